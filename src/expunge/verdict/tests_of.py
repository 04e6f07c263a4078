"""Every test that a record's evidence supports, made again from its rows alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from expunge.facts.errors import InputError
from expunge.facts.record import Measurement, Outcome, Record, Step, Test
from expunge.statistics.bounds import Bounds, paired_success_bounds
from expunge.statistics.equivalence import leave_one_out_bounds, paired_bounds
from expunge.verdict.compare import Comparison, compare, control_outcomes, decide, of_models, unscored_test
from expunge.verdict.roles import (
    controls_of,
    groups_of,
    is_guarded,
    name_of,
    names_of,
    outcomes_of,
    subject_of,
    target_of,
)

BELOW_NOISE = "margin below noise floor"


def derive_tests(record: Record) -> tuple[Test, ...]:
    """Return the tests of every rung from outcomes, measurements, groups and thresholds; stored tests are not read.

    Direct questions (step `behavioural`) and attacks (`resistant`): non-inferiority of the judged model's success to
    its control's. Utility: non-inferiority of the judged model's per-row utility to the control models', else the
    target's. Declared metrics: equivalence to the mean of the retrained models, and of each retrained model to the
    others. Presence: equivalence of the target to the control, direct questions first. Guard off: superiority of the
    model without its guard to the control. An attack of the battery that was not run gives an unscored test; one
    outside it that could not be scored gives none.
    """
    subject, target = subject_of(record), target_of(record)
    tests: list[Test] = []
    if subject is not None:
        tests += _direct(record, subject) + _utility(record, subject) + _attacks(record, subject)
        tests += _alike(record, subject)
    if target is not None:
        tests += _presence(record, target)
    if is_guarded(record) and subject is not None:
        tests += _guard_off(record, subject)
    return tuple(tests)


def _direct(record: Record, subject: str) -> list[Test]:
    asked = outcomes_of(record, subject, "behavioural").values()
    if not asked:
        return [unscored_test("direct questions", subject, "not asked", step="behavioural", kind="non_inferiority")]
    return [compare(record, outcome, step="behavioural", kind="non_inferiority") for outcome in asked]


def _attacks(record: Record, subject: str) -> list[Test]:
    found = outcomes_of(record, subject, "resistant").values()
    tests = [
        test
        for attack in record.thresholds.battery
        for test in [
            compare(record, outcome, step="resistant", kind="non_inferiority")
            for outcome in found
            if outcome.attack == attack
        ]
        or [unscored_test(attack, subject, "not run", step="resistant", kind="non_inferiority")]
    ]
    beyond = [outcome for outcome in found if outcome.attack not in record.thresholds.battery]
    more = [compare(record, outcome, step="resistant", kind="non_inferiority") for outcome in beyond]
    return tests + [test for test in more if test.unscored is None]


def _utility(record: Record, subject: str) -> list[Test]:
    found = outcomes_of(record, subject, "utility").values()
    if not found:
        return [unscored_test("utility", subject, "not measured", step="utility", kind="non_inferiority")]
    return [_utility_test(record, outcome) for outcome in found]


def _utility_test(record: Record, outcome: Outcome) -> Test:
    """Return whether utility falls by less than the margin; here low > -margin decides, power is not asked for.

    Where the control lies no more than the margin above random weights (above 0, where these were not measured), no loss could fail.
    """
    plan, name = record.thresholds, name_of(outcome)
    try:
        if outcome.unscored is not None:
            raise InputError(outcome.unscored)
        others, against = _utility_control(record, outcome)
        mean = np.mean([one.forget for one in others], axis=0)
        floor = _utility_floor(record, outcome)
        if float(mean.mean()) - floor <= plan.utility_margin:
            raise InputError(
                f"utility {mean.mean():.3f} ({against}) is within the margin of {plan.utility_margin:.3f} of "
                f"{floor:.3f} (random weights, or 0): no loss could be seen"
            )
        bounds = paired_success_bounds(
            outcome.forget,
            mean,
            groups_of(record, outcome.split, len(outcome.forget)),
            alpha=plan.alpha,
            min_groups=plan.min_groups,
        )
    except InputError as error:
        return unscored_test(
            name, outcome.model, error.what, step="utility", kind="non_inferiority", margin=plan.utility_margin
        )
    found = Comparison(
        bounds=bounds, success=float(np.mean(outcome.forget)), control_success=float(mean.mean()), against=against
    )
    test = decide(found, name, outcome.model, step="utility", kind="non_inferiority", margin=plan.utility_margin)
    return test.model_copy(update={"passed": bounds.low > -plan.utility_margin})


def _utility_floor(record: Record, outcome: Outcome) -> float:
    """Return the utility of random weights on the same rows; 0 where it was not measured."""
    found = [
        one.score.value
        for one in record.measurements
        if (one.metric, one.split) == (outcome.attack, outcome.split) and one.model in names_of(record, "untrained")
    ]
    return next((value for value in found if value is not None), 0.0)


def _utility_control(record: Record, outcome: Outcome) -> tuple[list[Outcome], str]:
    names, target = controls_of(record), target_of(record)
    if any(outcomes_of(record, name, "utility") for name in names):
        found = control_outcomes(record, outcome, names)
        role = "retrained" if names_of(record, "retrained") else "never trained"
        return found, of_models(len(found), len(names), role)
    if target is None:
        raise InputError("neither a control nor the target has its utility measured")
    return control_outcomes(record, outcome, (target,)), "target"


def _alike(record: Record, subject: str) -> list[Test]:
    tests: list[Test] = []
    for metric in record.thresholds.indistinguishable_metrics:
        own = [one for one in record.measurements if one.metric == metric and one.model == subject]
        if not own:
            tests.append(unscored_test(metric, subject, "not measured", step="indistinguishable", kind="equivalence"))
        for measurement in own:
            tests += _alike_on(record, measurement)
    return tests


def _alike_on(record: Record, own: Measurement) -> list[Test]:
    plan, name = record.thresholds, f"{own.metric}[{own.split}]"
    retrained = names_of(record, "retrained")
    others = [
        one
        for one in record.measurements
        if one.metric == own.metric and one.split == own.split and one.model in retrained
    ]
    part = own.split.partition("/")[2]
    measured = f"{own.metric}/{part}" if part else own.metric
    margin = plan.indistinguishable_margins.get(measured, plan.indistinguishable_margin)
    try:
        values = _per_example(own)
        if len(others) < max(plan.min_retrained, 2):
            raise InputError(f"{len(others)} retrained models measured; {plan.min_retrained} are needed")
        if sorted(one.model for one in others) != sorted(retrained):
            raise InputError("not every retrained model was measured once")
        if any(len(_per_example(one)) != len(values) for one in others):
            raise InputError("a retrained model was measured on other rows")
        table = np.array([_per_example(one) for one in others])
        groups = groups_of(record, own.split, len(values))
        bounds = paired_bounds(values, table, groups, alpha=plan.alpha, min_groups=plan.min_groups)
        floor = leave_one_out_bounds(table, groups, alpha=plan.alpha, min_groups=plan.min_groups)
    except InputError as error:
        return [unscored_test(name, own.model, error.what, step="indistinguishable", kind="equivalence", margin=margin)]

    def test_of(model: str, row: Sequence[float], mean: float, found: Bounds, against: str) -> Test:
        compared = Comparison(bounds=found, success=float(np.mean(row)), control_success=mean, against=against)
        step: Step = "indistinguishable" if model == own.model else "noise_floor"
        return decide(compared, name, model, step=step, kind="equivalence", margin=margin)

    k = len(table)
    noise = [
        test_of(
            one.model, table[i], float(np.delete(table, i, 0).mean()), floor[i], f"mean of the other {k - 1} retrained"
        )
        for i, one in enumerate(others)
    ]
    test = test_of(own.model, values, float(table.mean()), bounds, f"mean of {k} retrained")
    if not all(one.passed for one in noise):
        test = test.model_copy(update={"passed": False, "unscored": BELOW_NOISE})
    return [test, *noise]


def _per_example(measurement: Measurement) -> tuple[float, ...]:
    score = measurement.score
    if score.per_example is None:
        raise InputError(f"{measurement.model}: {score.unscored or 'no number a row was kept'}")
    return score.per_example


def _presence(record: Record, target: str) -> list[Test]:
    margin = record.thresholds.presence_margin
    direct = outcomes_of(record, target, "behavioural").values()
    attacks = [
        outcome
        for outcome in outcomes_of(record, target, "resistant").values()
        if outcome.attack in record.thresholds.battery
    ]
    run = {outcome.attack for outcome in attacks}
    return [
        *(compare(record, outcome, step="presence", kind="equivalence", margin=margin) for outcome in direct),
        *(compare(record, outcome, step="presence", kind="equivalence", margin=margin) for outcome in attacks),
        *(
            unscored_test(attack, target, "not run", step="presence", kind="equivalence", margin=margin)
            for attack in record.thresholds.battery
            if attack not in run
        ),
    ]


def _guard_off(record: Record, subject: str) -> list[Test]:
    """Judge the weights inside: the guarded model's own guard-off outcomes, else the direct questions to those weights."""
    own = outcomes_of(record, subject, "guard_off").values()
    bare = next(iter(names_of(record, "unlearned")), target_of(record))
    asked = own or outcomes_of(record, bare, "behavioural").values()
    if not asked:
        return [unscored_test("guard off", subject, "not asked", step="guard_off", kind="superiority", margin=0.0)]
    return [compare(record, outcome, step="guard_off", kind="superiority", margin=0.0) for outcome in asked]
