"""Membership by loss."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from classifiers import reads_members_alone

from expunge.attacks.loss import Loss
from expunge.attacks.min_k import MinK
from expunge.attacks.min_k_plus_plus import MinKPlusPlus
from expunge.attacks.reference import Reference
from expunge.attacks.zlib import Zlib
from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.engine.score import score
from expunge.facts.rows import Rows
from expunge.statistics.auc import auc
from expunge.testbeds.text import text_problem

Make = Callable[..., Evidence]
NO_PROBE: Any = None


def test_mean_log_probability_a_token(evidence: Make) -> None:
    """Fails if the sign is the loss's (members must score higher), totals stand for means, or splits change places."""
    found = Loss().run(evidence({"forget": [[-1.0, -3.0], [-1.0]], "holdout": [[-4.0, -4.0, -4.0]]}), NO_PROBE)
    assert (found.forget, found.holdout, found.kind) == ((-2.0, -1.0), (-4.0,), "member")
    assert found.item_control == ()


def test_no_holdout_is_no_coin_toss(evidence: Make) -> None:
    """Fails if an attack without non-members falls back to an area of 0.5 (a peer's default) or to no scores at all."""
    found = Loss().run(evidence({"forget": [[-1.0]]}), NO_PROBE)
    assert found.unscored == "there are no holdout rows"
    assert (found.forget, found.holdout) == ((), ())


def test_nan_and_missing_scores_are_unscored(evidence: Make) -> None:
    """Fails if NaN becomes 0 or is dropped, or a split that was not scored gives numbers."""
    broken = evidence({"forget": [[-1.0], [np.nan]], "holdout": [[-1.0]]})
    assert Loss().run(broken, NO_PROBE).unscored == "1 of 2 forget rows have no finite member score"
    whole = evidence({"forget": [[-1.0]], "holdout": [[-1.0]]})
    bare = replace(whole, scores={"forget": whole.scores["forget"]})
    assert Loss().run(bare, NO_PROBE).unscored == "no scores of 'holdout' were computed"


def test_only_the_own_answer_counts(evidence: Make, scores: Callable[..., Any]) -> None:
    """Fails if perturbed answers of the same pass get into the score."""
    given = evidence({"forget": [[-1.0]], "holdout": [[-2.0]]})
    both = scores({("forget-0", "answer"): [-1.0], ("forget-0", "perturbed_answer/0"): [-9.0]})
    found = Loss().run(replace(given, scores={**given.scores, "forget": both}), NO_PROBE)
    assert found.forget == (-1.0,)


def test_padding_never_enters_a_mean(verified: Any) -> None:
    """Fails if rows of unequal length share a padded batch and padding counts in the mean (a peer's defect)."""
    rows = verified.problem.splits.rows["forget"]
    apart = [
        score(verified.models["target"], Rows((row,)), job=Job()).select("answer").mean_log_prob()[0] for row in rows
    ]
    assert len({len(row["answer"]) for row in rows}) > 5
    assert verified.attack(Loss(), "target").forget == pytest.approx(tuple(apart), abs=2e-5)


@pytest.mark.parametrize("attack", [Loss(), Zlib(), MinK(), MinKPlusPlus(), Reference()])
def test_target_leaks_and_retrained_do_not_know(attack: Any, verified: Any) -> None:
    """Fails if an attack is blind, or its sign is turned: the target's area is near 1, far above the retrained models' mean.

    Each retrained model's own area lies anywhere in 0.1 to 0.9 here: two people against two people are four names.
    """
    outcomes = {name: verified.attack(attack, name) for name in ("target", "retrained-0", "retrained-1")}
    areas = {name: auc(one.forget, one.holdout) for name, one in outcomes.items()}
    assert areas["target"] > 0.95
    assert areas["target"] > np.mean([areas["retrained-0"], areas["retrained-1"]]) + 0.1


@pytest.mark.slow
def test_retrained_models_lie_near_chance() -> None:
    """Fails if an attack tells forget from holdout rows where neither was seen: 12 people against 12, three retrained models.

    Measured: loss .55 to .61, min-k .56 to .65, min-k++ .48 to .57, zlib .55 to .59: the same 24 people for all three.
    """
    problem = text_problem(people=36, forget_people=12, holdout_people=12, retrained=3)
    rows = {split: problem.splits.rows[split] for split in ("forget", "holdout")}
    for model in (problem.target, *problem.retrained):
        passed = {split: score(model, rows[split], job=Job()) for split in rows}
        given = Evidence(name="one", role="retrained", modality="text", rows=rows, scores=passed)
        for attack in (Loss(), Zlib(), MinK(), MinKPlusPlus()):
            found = attack.run(given, NO_PROBE)
            area = auc(found.forget, found.holdout)
            assert area > 0.95 if model is problem.target else 0.3 < area < 0.7


def test_likelihood_attacks_cost_a_tenth_of_the_pass_at_most(verified: Any) -> None:
    """Fails if an attack runs a model, or loops over tokens in Python."""
    rows = verified.problem.splits.rows
    begun = time.process_time()
    for split in ("forget", "holdout"):
        score(verified.models["target"], rows[split], job=Job())
    passed = time.process_time() - begun
    begun = time.process_time()
    for attack in (Loss(), Zlib(), MinK(), MinKPlusPlus(), Reference()):
        attack.run(verified.evidence["target"], NO_PROBE)
    assert time.process_time() - begun < 0.1 * passed


@pytest.mark.slow
def test_claim_on_wrong_labels_over_five_draws() -> None:
    """AUC of the target .623 [.601, .646], of ten retrained models .503 [.490, .516]: chance. A fifth of the forget rows bear a wrong label.

    Fails if the attack is blind, or reads retrained models as members.
    """
    reads_members_alone(Loss())
