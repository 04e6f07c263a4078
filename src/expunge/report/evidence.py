"""Every test behind a claim, as lines of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from expunge.facts.record import Test
from expunge.report.figures import strip
from expunge.report.groups import Subject
from expunge.report.words import STEP_WORDS, guarded_words

Side = Literal["below", "above", "between"]
"""Where the interval of a difference must lie, seen from the margin."""
PASSED = ("passed", "not passed")
RESULTS = {"guard_off": ("still there", "not shown"), "presence": ("nothing found", "not equivalent")}
"""What a test that passed and one that did not are called, where passing is not what a method aims at."""
RULER = ("presence", "noise_floor")
"""Steps that judge the target and the retrained models, not what a method made."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One test as a line of the table, with its picture."""

    name: str
    step: str
    seed: int
    subject: str
    against: str
    test: Test
    result: str
    picture: Markup | None
    why: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All tests of one method, all seeds."""

    label: str
    series: str
    lines: tuple[Shown, ...]
    passed: int
    failed: int
    unscored: int


def evidence(found: Sequence[Subject]) -> tuple[Evidence, ...]:
    """Return the tests of each method, in the order of the ladder's steps; then those of the ruler itself, each once.

    Presence and noise floor judge the target and the retrained models, which all records share.
    """
    made = []
    ruler: dict[Test, int] = {}
    for one in found:
        tests = [(record.method.seed, test) for record in one.records for test in record.tests]
        own = [(seed, test) for seed, test in tests if test.step not in RULER]
        if not one.reference:
            ruler.update((test, seed) for seed, test in tests if test.step in RULER and test not in ruler)
        made.append(_evidence(one.label, one.series, own))
    made.append(
        _evidence(
            "The ruler itself: the target and the retrained models", "", [(seed, test) for test, seed in ruler.items()]
        )
    )
    return tuple(table for table in made if table.lines)


def _evidence(label: str, series: str, tests: Sequence[tuple[int, Test]]) -> Evidence:
    steps = list(STEP_WORDS)
    ordered = sorted(tests, key=lambda pair: (steps.index(pair[1].step), pair[1].name))
    lines = tuple(_line(seed, test) for seed, test in ordered)
    results = [line.result for line in lines]
    return Evidence(
        label=label,
        series=series,
        lines=lines,
        passed=results.count("passed"),
        failed=results.count("not passed"),
        unscored=results.count("unscored"),
    )


def _line(seed: int, test: Test) -> Shown:
    picture = None
    if test.estimate is not None and test.low is not None and test.high is not None and test.margin is not None:
        one_side: Side = "above" if test.step == "utility" or test.kind == "superiority" else "below"
        picture = strip(
            estimate=test.estimate,
            low=test.low,
            high=test.high,
            margin=-test.margin if test.step == "utility" else test.margin,
            side="between" if test.kind == "equivalence" else one_side,
            passed=test.passed,
        )
    blind = test.margin is not None and test.smallest_visible is not None and test.smallest_visible > test.margin
    why = test.unscored or (
        "cannot see its margin" if blind and not test.passed and test.kind == "non_inferiority" else ""
    )
    return Shown(
        name=guarded_words(test.name),
        step=STEP_WORDS[test.step],
        seed=seed,
        subject=guarded_words(test.subject),
        against=guarded_words(test.against),
        test=test,
        result="unscored" if test.unscored is not None else RESULTS.get(test.step, PASSED)[not test.passed],
        picture=picture,
        why=guarded_words(why),
    )
