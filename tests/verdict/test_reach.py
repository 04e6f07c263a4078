"""Planted cases: what is known about the model decides which claim must come out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from expunge.facts import record as facts
from expunge.facts.claim import Claim
from expunge.facts.errors import InputError
from expunge.facts.score import Score
from expunge.verdict.reach import derive_tests, reach

Make = Callable[..., Any]
Rates = dict[str, float]


def test_the_target_itself_is_not_shown(planted: Make, knows: Rates) -> None:
    """Fails if the control is left out of the comparison, or a failed direct question is skipped."""
    claim = reach(planted().record(knows))
    assert (claim.rung, claim.provenance, claim.not_found, claim.control) == ("not_shown", "none", False, "retrained")
    assert claim.missing[0].startswith(
        "behavioural: direct questions: success 0.975 against 0.050 (mean of 3 retrained)"
    )


@pytest.mark.parametrize("seed", range(5))
def test_another_retrained_model_is_indistinguishable(planted: Make, never: Rates, seed: int) -> None:
    """Fails if any rung asks for more than equality with the retrained models, or the condition on k is not printed."""
    claim = reach(planted(seed).record(never))
    assert claim == Claim(
        provenance="none",
        rung="indistinguishable",
        control="retrained",
        qualifiers=("conditional on 3 retrained models",),
    )
    assert claim.headline == "indistinguishable (conditional on 3 retrained models)"


def test_forgetting_the_direct_form_only_is_behavioural(planted: Make, never: Rates) -> None:
    """Fails if one attack of the battery may fail: the facts come back after relearning."""
    claim = reach(planted().record({**never, "relearning": 0.6}))
    assert claim.rung == "behavioural"
    assert len(claim.missing) == 1
    assert claim.missing[0].startswith("resistant: relearning: success 0.600 against 0.062 (mean of 3 retrained)")


def test_membership_alone_blocks_resistant(planted: Make, never: Rates) -> None:
    """Fails if member outcomes are read with the wrong sign, or only successes count."""
    claim = reach(planted().record({**never, "loss": 1.0}))
    assert claim.rung == "behavioural"
    assert claim.missing[0].startswith("resistant: loss: success 0.")
    hidden = reach(planted().record({**never, "loss": -1.0}))
    assert hidden.rung == "indistinguishable"


def test_a_wrecked_model_is_not_shown(planted: Make, never: Rates) -> None:
    """Fails if utility is no part of behavioural, or is tested the wrong way round."""
    claim = reach(planted().record({**never, "utility": 0.5}))
    assert claim.rung == "not_shown"
    assert claim.missing[0].startswith(
        "behavioural: accuracy[retain]: utility 0.500 against 0.963 (mean of 3 retrained)"
    )
    assert reach(planted().record({**never, "utility": 1.0})).rung == "indistinguishable"


def test_over_forgetting_is_not_indistinguishable(planted: Make, never: Rates) -> None:
    """Fails if equivalence is one-sided: the answers are far less probable than to the retrained models."""
    claim = reach(planted().record({**never, "probability": 0.02, "direct": 0.0, "relearning": 0.0}))
    assert claim.rung == "resistant"
    assert claim.missing[0].startswith("indistinguishable: probability[forget]: 0.0")
    under = reach(planted().record({**never, "probability": 0.18}))
    assert under.rung == "resistant"


def test_never_knew_is_not_found(planted: Make, never: Rates) -> None:
    """Fails if absence is read as forgetting, or the weights may have been moved."""
    nothing_done = planted().record(None, target=never)
    claim = reach(nothing_done)
    assert (claim.not_found, claim.rung, claim.headline) == (True, "not_shown", "not_found")
    left_alone = reach(planted().record(never, target=never, method={"digest_after": "a"}))
    assert left_alone.not_found
    moved = reach(planted().record(never, target=never))
    assert (moved.not_found, moved.rung) == (False, "not_shown")
    assert moved.missing == (
        "behavioural: the target passes direct questions and every attack too, so that passing them shows no removal",
    )
    knew = reach(planted().record(None))
    assert (knew.not_found, knew.rung, knew.missing) == (False, "not_shown", ("behavioural: no unlearned model",))


def test_questions_that_the_target_passes_show_no_removal(planted: Make, never: Rates, knows: Rates) -> None:
    """The target knows the rows and never says them: membership alone shows that they were there.

    Fails if doing nothing climbs to `behavioural` because direct questions see nothing before the removal either, or if a model that passes
    the attack which does see something is refused.
    """
    silent = {**knows, "direct": 0.04, "relearning": 0.06}
    untouched = reach(planted().record(silent, target=silent))
    assert untouched.rung == "not_shown"
    assert (
        untouched.missing[0]
        == "behavioural: the target passes direct questions too, so that passing them shows no removal"
    )
    assert untouched.missing[1].startswith("resistant: loss: success 0.")
    assert reach(planted().record(never, target=silent)).rung == "indistinguishable"
    outside = {"battery": ("relearning",)}
    assert reach(planted().record(never, target=silent, thresholds=outside)).rung == "not_shown"
    spoken = {**knows, "relearning": 0.06, "loss": 0.0}
    assert reach(planted().record({**never, "relearning": 0.6}, target=spoken)).rung == "behavioural"


def test_utility_that_cannot_fall_is_no_evidence(planted: Make, never: Rates) -> None:
    """Controls at .963: with random weights at .93 a loss of .05 could not be seen; at .5 it could. Without them the floor is 0.

    Fails if a model that was wrecked keeps "utility" because there was none to lose.
    """

    def with_random_weights(utility: float) -> Any:
        record = planted().record(never)
        blank = facts.ModelFacts(role="untrained", name="untrained", content_digest="1")
        score = Score(name="accuracy", value=utility, n=320)
        measured = facts.Measurement(metric="accuracy", model="untrained", split="retain", score=score)
        return record.model_copy(
            update={"models": (*record.models, blank), "measurements": (*record.measurements, measured)}
        )

    assert reach(with_random_weights(0.5)).rung == "indistinguishable"
    claim = reach(with_random_weights(0.93))
    assert claim.rung == "not_shown"
    assert "within the margin of 0.050 of 0.930 (random weights, or 0): no loss could be seen" in claim.missing[0]
    record = planted().record({**never, "utility": 0.0})
    for i in range(3):
        record = planted.with_outcome(record, "accuracy", f"retrained-{i}", forget=(0.0,) * 304 + (1.0,) * 16)
    assert reach(record).rung == "not_shown"


def test_not_found_says_how_it_was_asked(planted: Make, never: Rates) -> None:
    """Fails if attacks that were not run leave no trace in the claim, or an unequal attack is passed over."""
    record = planted().record(None, target=never)
    direct_only = planted.without(planted.without(record, attack="relearning"), attack="loss")
    assert reach(direct_only).headline == "not_found (by direct questions)"
    assert reach(planted.without(record, attack="loss")).qualifiers == ("unscored: loss",)
    assert not reach(planted().record(None, target={**never, "loss": 1.0})).not_found
    assert not reach(planted().record(None, target={**never, "relearning": 0.3})).not_found
    assert not reach(planted.without(record, step="behavioural")).not_found


@pytest.mark.parametrize("how", ["not run", "unscored", "no control outcome", "invisible"])
def test_an_attack_that_shows_nothing_blocks_resistant_and_is_named(planted: Make, never: Rates, how: str) -> None:
    """Fails if a missing attack counts as passed: vacuous truth."""
    record = planted().record(never)
    if how == "not run":
        record, said = planted.without(record, attack="relearning", model="judged"), "relearning: unscored, not run"
    elif how == "unscored":
        record = planted.with_outcome(record, "relearning", "judged", forget=(), unscored="no rows to relearn from")
        said = "relearning: unscored, no rows to relearn from"
    elif how == "no control outcome":
        for i in range(3):
            record = planted.without(record, attack="relearning", model=f"retrained-{i}")
        said = "relearning: unscored, the control has no outcome"
    else:
        record = planted.with_outcome(record, "relearning", "judged", forget=(1.0,) * 20 + (0.0,) * 60)
        for i in range(3):
            record = planted.with_outcome(record, "relearning", f"retrained-{i}", forget=(0.0,) * 52 + (1.0,) * 28)
        said = "relearning: cannot see its margin of 0.150; the smallest visible difference is 0.2"
    claim = reach(record)
    assert claim.rung == "behavioural"
    assert [entry for entry in claim.missing if entry.startswith(f"resistant: {said}")] == list(claim.missing)


def test_an_attack_beyond_the_battery_that_finds_leakage_blocks_too(planted: Make, never: Rates) -> None:
    """Fails if what was found is dropped because the plan did not name it; what could not be scored there blocks nothing."""
    leaky = planted().record({**never, "loss": 1.0}, thresholds={"battery": ("relearning",)})
    assert reach(leaky).rung == "behavioural"
    unscored = planted.with_outcome(leaky, "loss", "judged", forget=(), holdout=(), unscored="no holdout rows")
    assert reach(unscored).rung == "indistinguishable"


def test_no_battery_and_no_metrics_reach_no_rung_by_default(planted: Make, never: Rates) -> None:
    """Fails if an empty list of attacks or metrics passes."""
    claim = reach(planted().record(never, thresholds={"battery": ()}))
    assert (claim.rung, claim.missing) == ("behavioural", ("resistant: the plan names no battery of attacks",))
    claim = reach(planted().record(never, thresholds={"indistinguishable_metrics": ()}))
    assert (claim.rung, claim.missing) == ("resistant", ("indistinguishable: the plan declares no metric",))
    claim = reach(planted.without(planted().record(never), step="utility"))
    assert (claim.rung, claim.missing) == ("not_shown", ("behavioural: utility: unscored, not measured",))
    claim = reach(planted.without(planted().record(never), step="behavioural"))
    assert (claim.rung, claim.missing) == ("not_shown", ("behavioural: direct questions: unscored, not asked",))


def test_without_any_control_nothing_is_shown(planted: Make, never: Rates) -> None:
    """Fails if success near 0, or an AUC near 0.5, counts without a control."""
    record = planted.without(planted().record(never, controls=0), attack="loss")
    claim = reach(record)
    assert (claim.rung, claim.control) == ("not_shown", "missing")
    assert claim.missing[0].startswith("no control")


def test_the_item_control_reaches_resistant_at_most(planted: Make, never: Rates) -> None:
    """Fails if matched holdout rows stand for a retrained model, or the claim does not say what controlled it."""
    claim = reach(planted().record(never, controls=0, items=True))
    assert (claim.rung, claim.control) == ("resistant", "item")
    assert claim.headline == "resistant (item control)"
    leaky = reach(planted().record({**never, "loss": 1.0}, controls=0, items=True))
    assert leaky.rung == "behavioural"
    knows = reach(planted().record({**never, "direct": 0.5}, controls=0, items=True))
    assert knows.rung == "not_shown"


def test_a_model_never_trained_reaches_resistant_at_most(planted: Make, never: Rates) -> None:
    """Fails if another control than retrained models allows `indistinguishable`."""
    claim = reach(planted().record(never, controls=3, control_role="never_trained"))
    assert (claim.rung, claim.control, claim.qualifiers) == ("resistant", "never_trained", ())
    assert claim.missing == ("indistinguishable: no retrained models to be indistinguishable from",)


def test_two_retrained_models_are_too_few(planted: Make, never: Rates) -> None:
    """Fails if k below three passes, or a retrained model may be left out of the measurement."""
    claim = reach(planted().record(never, controls=2))
    assert claim.rung == "resistant"
    assert "2 retrained models measured; 3 are needed" in claim.missing[0]
    record = planted().record(never, controls=4)
    fewer = [one for one in record.measurements if one.model != "retrained-3"]
    claim = reach(record.model_copy(update={"measurements": tuple(fewer)}))
    assert (claim.rung, "not every retrained model was measured once" in claim.missing[0]) == ("resistant", True)


def test_a_margin_below_the_noise_floor_is_unscored(planted: Make, never: Rates) -> None:
    """Fails if the retrained models need not pass their own test."""
    own = planted()
    record = own.record(never)
    apart = [own.probability("retrained-0", 0.2) if one.model == "retrained-0" else one for one in record.measurements]
    claim = reach(record.model_copy(update={"measurements": tuple(apart)}))
    assert claim.rung == "resistant"
    assert claim.missing[0] == "indistinguishable: probability[forget]: unscored, margin below noise floor"
    assert claim.missing[1].startswith("indistinguishable: probability[forget] of retrained-0: 0.20")


def test_few_authors_are_named(planted: Make, never: Rates) -> None:
    """Fails if the claim hides that its intervals hold for these four authors only."""
    assert reach(planted(authors=4).record(never)).qualifiers == (
        "intervals conditional on these 4 groups",
        "conditional on 3 retrained models",
    )
    assert reach(planted(authors=1).record(never)).qualifiers[0] == "intervals conditional on this 1 group"


def test_stored_tests_and_control_are_not_believed(planted: Make, knows: Rates) -> None:
    """Fails if a record may state its own verdict."""
    record = planted().record(knows)
    passing = [one.model_copy(update={"passed": True, "unscored": None}) for one in derive_tests(record)]
    claim = Claim(provenance="none", rung="indistinguishable", control="retrained")
    forged = record.model_copy(update={"tests": tuple(passing), "claim": claim, "control": "retrained"})
    assert reach(forged) == reach(record)
    uncontrolled = planted.without(planted().record(knows, controls=0), attack="loss").model_copy(
        update={"control": "retrained"}
    )
    assert reach(uncontrolled).control == "missing"


def test_exact_leads_the_headline_and_is_contradicted_by_leakage(planted: Make, never: Rates) -> None:
    """Fails if provenance survives a leak beyond the margin, or a difference within noise contradicts it."""
    exact = {"provenance": "exact", "provenance_checks": ("slice hash",)}
    claim = reach(planted().record(never, method=exact))
    assert (claim.provenance, claim.rung, claim.contradicted) == ("exact", "indistinguishable", False)
    assert claim.headline.startswith("exact (")
    broken = reach(planted().record({**never, "relearning": 0.6}, method=exact))
    assert (broken.provenance, broken.rung, broken.contradicted) == ("exact", "not_shown", True)
    assert broken.missing[0].startswith("exact is contradicted: relearning: success 0.600")
    slight = reach(planted().record({**never, "relearning": 0.15}, method=exact))
    assert (slight.provenance, slight.contradicted) == ("exact", False)


def test_one_record_judges_one_model(planted: Make, never: Rates) -> None:
    """Fails if the first of two unlearned models is silently taken (the best of several seeds)."""
    record = planted().record(never)
    second = facts.ModelFacts(role="unlearned", name="seed-1", content_digest="1")
    with pytest.raises(InputError, match="judges 2 models"):
        reach(record.model_copy(update={"models": (*record.models, second)}))
