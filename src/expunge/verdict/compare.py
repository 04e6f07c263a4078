"""One outcome against its control: the bounds, and what they decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from expunge.facts.errors import InputError
from expunge.facts.record import Outcome, Record, Step, Test
from expunge.statistics.auc import auc, auc_bounds, auc_difference_bounds
from expunge.statistics.bounds import Bounds, paired_success_bounds, unpaired_success_bounds
from expunge.statistics.clusters import effective_rows
from expunge.statistics.equivalence import is_equivalent, is_non_inferior, is_superior, shrunk_margin
from expunge.verdict.roles import control_of, controls_of, groups_of, key_of, name_of, outcomes_of

Kind = Literal["non_inferiority", "equivalence", "superiority"]
SUCCESS_MARGIN_AT_80 = 0.15
AUC_MARGIN_AT_80 = 0.20
EXCHANGEABLE_AUC = 0.5


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Bounds of success - control, with both sides' own numbers and who the control was."""

    bounds: Bounds
    success: float
    control_success: float
    against: str


def compare(record: Record, outcome: Outcome, *, step: Step, kind: Kind, margin: float | None = None) -> Test:
    """Return the test of one outcome against the record's control; unscored with the reason where it cannot be made.

    Reads the control's outcome of the same key under the outcome's own step. The margin defaults to the plan's, or to
    that of the sample.
    """
    margin = default_margin(record, outcome) if margin is None else margin
    try:
        found = _comparison(record, outcome)
    except InputError as error:
        return unscored_test(name_of(outcome), outcome.model, error.what, step=step, kind=kind, margin=margin)
    return decide(found, name_of(outcome), outcome.model, step=step, kind=kind, margin=margin)


def decide(found: Comparison, name: str, subject: str, *, step: Step, kind: Kind, margin: float) -> Test:
    """Return a test with its bounds and whether it passed.

    A non-inferiority test of direct questions or of an attack must also be able to see its margin: what passes by luck
    at a sample that a clean model fails more than once in five is no evidence.
    """
    bounds = found.bounds
    passed = {
        "non_inferiority": is_non_inferior(bounds, margin) and bounds.smallest_visible <= margin,
        "equivalence": is_equivalent(bounds, margin),
        "superiority": is_superior(bounds, margin),
    }[kind]
    return Test(
        name=name,
        step=step,
        subject=subject,
        against=found.against,
        kind=kind,
        estimate=bounds.estimate,
        low=bounds.low,
        high=bounds.high,
        margin=margin,
        n=bounds.n,
        groups=bounds.groups,
        success=found.success,
        control_success=found.control_success,
        smallest_visible=bounds.smallest_visible,
        passed=passed,
    )


def unscored_test(name: str, subject: str, reason: str, *, step: Step, kind: Kind, margin: float | None = None) -> Test:
    """Return a test that could not be made, and why."""
    return Test(name=name, step=step, subject=subject, against="", kind=kind, margin=margin, unscored=reason)


def default_margin(record: Record, outcome: Outcome) -> float:
    """Return the plan's margin for the outcome's kind, or the default for what its forget rows and their groups are worth."""
    plan, n = record.thresholds, len(outcome.forget)
    given, at_80 = (
        (plan.auc_margin, AUC_MARGIN_AT_80) if outcome.kind == "member" else (plan.success_margin, SUCCESS_MARGIN_AT_80)
    )
    if given is not None or not n:
        return at_80 if given is None else given
    return shrunk_margin(at_80, effective_rows(n, groups_of(record, "forget", n), min_groups=plan.min_groups))


def control_outcomes(record: Record, outcome: Outcome, names: Sequence[str]) -> list[Outcome]:
    """Return the scored outcomes of the named models under the same key and step; raises where there is none.

    What is asked with the guard off is compared with what the control answers to direct questions: it has no guard.
    """
    step: Step = "behavioural" if outcome.step == "guard_off" else outcome.step
    found = [outcomes_of(record, name, step).get(key_of(outcome)) for name in names]
    scored = [one for one in found if one is not None and one.unscored is None]
    if not scored:
        reasons = {one.unscored for one in found if one is not None and one.unscored is not None}
        raise InputError(f"the control has no outcome{': ' + '; '.join(sorted(reasons)) if reasons else ''}")
    if any(one.kind != outcome.kind or len(one.forget) != len(outcome.forget) for one in scored):
        raise InputError("the control was asked about other rows")
    return scored


def of_models(count: int, all_of: int, role: str) -> str:
    """Return "mean of 3 retrained", or "mean of 2 of 3 retrained" where some have no outcome."""
    return f"mean of {count}{'' if count == all_of else f' of {all_of}'} {role.replace('_', ' ')}"


def _comparison(record: Record, outcome: Outcome) -> Comparison:
    if outcome.unscored is not None:
        raise InputError(outcome.unscored)
    control = control_of(record)
    if control == "missing":
        raise InputError("no control")
    if outcome.kind == "member" and not outcome.holdout:
        raise InputError("no holdout rows to tell members from")
    if control == "item":
        return _against_items(record, outcome)
    names = controls_of(record)
    others = control_outcomes(record, outcome, names)
    compared = _auc_against if outcome.kind == "member" else _success_against
    return compared(record, outcome, others, of_models(len(others), len(names), control))


def _success_against(record: Record, outcome: Outcome, others: Sequence[Outcome], against: str) -> Comparison:
    plan = record.thresholds
    mean = np.mean([one.forget for one in others], axis=0)
    bounds = paired_success_bounds(
        outcome.forget,
        mean,
        groups_of(record, "forget", len(outcome.forget)),
        alpha=plan.alpha,
        min_groups=plan.min_groups,
    )
    success = float(np.mean(outcome.forget))
    return Comparison(bounds=bounds, success=success, control_success=float(mean.mean()), against=against)


def _auc_against(record: Record, outcome: Outcome, others: Sequence[Outcome], against: str) -> Comparison:
    plan = record.thresholds
    bounds = auc_difference_bounds(
        outcome.forget,
        outcome.holdout,
        [(one.forget, one.holdout) for one in others],
        groups_of(record, "forget", len(outcome.forget)),
        groups_of(record, "holdout", len(outcome.holdout)),
        alpha=plan.alpha,
        min_groups=plan.min_groups,
    )
    success = auc(outcome.forget, outcome.holdout)
    return Comparison(bounds=bounds, success=success, control_success=success - bounds.estimate, against=against)


def _against_items(record: Record, outcome: Outcome) -> Comparison:
    """Compare forget rows with matched holdout rows of the same model; an AUC with that of exchangeable rows."""
    plan = record.thresholds
    groups = groups_of(record, "forget", len(outcome.forget))
    if outcome.kind == "member":
        other_groups = groups_of(record, "holdout", len(outcome.holdout))
        own = auc_bounds(
            outcome.forget, outcome.holdout, groups, other_groups, alpha=plan.alpha, min_groups=plan.min_groups
        )
        moved = replace(
            own,
            estimate=own.estimate - EXCHANGEABLE_AUC,
            low=own.low - EXCHANGEABLE_AUC,
            high=own.high - EXCHANGEABLE_AUC,
        )
        return Comparison(
            bounds=moved,
            success=own.estimate,
            control_success=EXCHANGEABLE_AUC,
            against="item control (forget and holdout rows exchangeable)",
        )
    if not outcome.item_control:
        raise InputError("not asked about matched holdout rows")
    bounds = unpaired_success_bounds(
        outcome.forget,
        outcome.item_control,
        groups,
        groups_of(record, "holdout", len(outcome.item_control)),
        alpha=plan.alpha,
        min_groups=plan.min_groups,
    )
    success, control_success = float(np.mean(outcome.forget)), float(np.mean(outcome.item_control))
    return Comparison(bounds=bounds, success=success, control_success=control_success, against="item control")
