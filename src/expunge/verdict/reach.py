"""From a record to the claim that its evidence supports, and what was missing for the next rung."""

from __future__ import annotations

from collections.abc import Sequence

from expunge.facts.claim import Claim, Control, Rung
from expunge.facts.record import Record, Step, Test
from expunge.verdict.compare import compare
from expunge.verdict.noise import beyond_noise
from expunge.verdict.over_forgetting import over_forgotten
from expunge.verdict.provenance import made
from expunge.verdict.roles import (
    control_of,
    group_count,
    is_guarded,
    names_of,
    outcomes_of,
    subject_of,
    target_of,
)
from expunge.verdict.tests_of import derive_tests
from expunge.verdict.words import in_words

__all__ = ["derive_tests", "reach"]

BLIND = "behavioural: the target passes direct questions too, so that passing them shows no removal"
BLIND_ALL = (
    "behavioural: the target passes direct questions and every attack too, so that passing them shows no removal"
)
WITHIN_NOISE = "exceeds its control, within the noise between control models"
NO_CONTROL = "no control: neither retrained models, nor a model never trained on the forget rows, nor holdout rows"


def reach(record: Record) -> Claim:
    """Return the claim of DESIGN section 4, from tests made again from the record's rows; stored tests are not read.

    Each rung needs the one below and all its tests (intersection-union), so that no correction for multiplicity enters.
    The tests passed must also see something in the target: one that it passes, too, is no evidence of a removal.
    `missing` names, for the next rung, every test that failed or could not be made. Provenance is contradicted by a direct
    question or an attack whose success is shown to exceed the control's by more than its margin, and by more than control models
    differ among themselves; an excess within that noise is named beside the claim. Beside a rung that was reached stands what is shown to
    lie below its control.
    """
    tests, control, how = derive_tests(record), control_of(record), made(record)
    refused = (f"provenance: {how.refused}",) if how.refused else ()
    if control == "missing":
        return Claim(provenance=how.provenance, rung="not_shown", control=control, missing=(NO_CONTROL, *refused))
    common = _common_qualifiers(record, control)
    never = _never_known(record, tests)
    if never is not None:
        return Claim(provenance="none", rung="not_shown", not_found=True, control=control, qualifiers=(*never, *common))
    judged = [test for test in _of(tests, "behavioural", "resistant") if test.unscored is None]
    above = [test for test in judged if _exceeds(test)] if how.provenance != "none" else []
    leaks = beyond_noise(record, above, len(judged))
    if how.contradicted or leaks:
        reasons = [how.contradicted] if how.contradicted else [in_words(test) for test in leaks]
        return Claim(
            provenance=how.provenance,
            rung="not_shown",
            control=control,
            qualifiers=common,
            missing=tuple(f"{how.provenance} is contradicted: {reason}" for reason in reasons),
            contradicted=True,
        )
    rung, more, missing = _guarded(tests) if is_guarded(record) else _climb(record, tests, control)
    over = () if rung in ("not_shown", "suppressed") else over_forgotten(record, tests)
    return Claim(
        provenance=how.provenance,
        rung=rung,
        control=control,
        qualifiers=(*how.qualifiers, *common, *(f"{test.name} {WITHIN_NOISE}" for test in above), *over, *more),
        missing=(*missing, *refused),
    )


def _climb(record: Record, tests: Sequence[Test], control: Control) -> tuple[Rung, tuple[str, ...], tuple[str, ...]]:
    """Return the rung of a model whose weights were changed, its qualifiers, and what the next rung lacks."""
    lacking = _lacking(tests, "behavioural", "utility")
    if subject_of(record) is None:
        lacking = ("behavioural: no unlearned model",)
    if lacking:
        return "not_shown", (), lacking
    lacking = _lacking(tests, "resistant")
    if not record.thresholds.battery:
        lacking = ("resistant: the plan names no battery of attacks",)
    by_questions = _shows_in_target(record, "behavioural")
    if lacking:
        return ("behavioural", (), lacking) if by_questions else ("not_shown", (), (BLIND, *lacking))
    if not (by_questions or _shows_in_target(record, "resistant")):
        return "not_shown", (), (BLIND_ALL,)
    if control != "retrained":
        return "resistant", (), ("indistinguishable: no retrained models to be indistinguishable from",)
    lacking = _lacking(tests, "indistinguishable", "noise_floor")
    if not _of(tests, "indistinguishable"):
        lacking = ("indistinguishable: the plan declares no metric",)
    if lacking:
        return "resistant", (), lacking
    return "indistinguishable", (f"conditional on {len(names_of(record, 'retrained'))} retrained models",), ()


def _shows_in_target(record: Record, step: Step) -> bool:
    """True where a test of the step fails on the target: what it cannot see before the removal, passing it does not show gone.

    A record without the target cannot say; direct questions are then taken to show.
    """
    target = target_of(record)
    if target is None:
        return True
    made_again = (
        compare(record, outcome, step=step, kind="non_inferiority")
        for outcome in outcomes_of(record, target, step).values()
        if step == "behavioural" or outcome.attack in record.thresholds.battery
    )
    return any(test.unscored is None and not test.passed for test in made_again)


def _guarded(tests: Sequence[Test]) -> tuple[Rung, tuple[str, ...], tuple[str, ...]]:
    """Return the rung of a guarded system: never above suppressed, and that only where the guard holds back knowledge."""
    lacking = [f"suppressed: {in_words(test)}" for test in _of(tests, "behavioural") if not test.passed]
    off = _of(tests, "guard_off")
    if not any(test.passed for test in off):
        lacking += [f"suppressed: guard off, {in_words(test)}" for test in off]
    if lacking:
        return "not_shown", (), tuple(lacking)
    kept = all(test.passed for test in _of(tests, "utility"))
    return (
        "suppressed",
        () if kept else ("utility not shown to be kept",),
        ("behavioural: a guard leaves the weights; judged without it the knowledge is there",),
    )


def _never_known(record: Record, tests: Sequence[Test]) -> tuple[str, ...] | None:
    """Return qualifiers where the target is equivalent to its control and the weights were left alone, else None.

    Every direct question and every attack that could be scored must be equivalent; attacks of the battery that were
    not run or not scored are named.
    """
    before, after = record.method.digest_before, record.method.digest_after
    untouched = subject_of(record) is None or (before == after and before != "")
    presence = _of(tests, "presence")
    questions = len(outcomes_of(record, target_of(record), "behavioural"))
    direct, attacks = presence[:questions], presence[questions:]
    scored = [test for test in attacks if test.unscored is None]
    if not untouched or not direct or not all(test.passed for test in (*direct, *scored)):
        return None
    if not scored:
        return ("by direct questions",)
    unscored = ", ".join(test.name for test in attacks if test.unscored is not None)
    return (f"unscored: {unscored}",) if unscored else ()


def _common_qualifiers(record: Record, control: Control) -> tuple[str, ...]:
    groups = group_count(record)
    few = 0 < groups < record.thresholds.min_groups
    return (
        *(("item control",) if control == "item" else ()),
        *((f"intervals conditional on {'this 1 group' if groups == 1 else f'these {groups} groups'}",) if few else ()),
    )


def _of(tests: Sequence[Test], *steps: Step) -> list[Test]:
    return [test for test in tests if test.step in steps]


def _lacking(tests: Sequence[Test], *steps: Step) -> tuple[str, ...]:
    found = _of(tests, *steps)
    return tuple(f"{_rung_of(test.step)}: {in_words(test)}" for test in found if not test.passed)


def _rung_of(step: Step) -> str:
    return {"utility": "behavioural", "noise_floor": "indistinguishable"}.get(step, step)


def _exceeds(test: Test) -> bool:
    return test.low is not None and test.margin is not None and test.low > test.margin
