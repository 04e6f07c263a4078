"""NoMUS."""

from __future__ import annotations

from statistics import fmean

import pytest
from classifiers import a_class, by_hand, mean_interval
from digits_gap import after
from identities import identities

from expunge.engine.told_apart import loss_accuracy
from expunge.facts.errors import InputError
from expunge.metrics.nomus import Nomus, normalised

SEEDS = (0, 2, 4, 6, 8)
"""Of persons and models, no model of two draws."""


def test_weighed_sum_by_hand() -> None:
    """Fails if the membership part is not folded at 1/2, or lambda weighs the wrong term."""
    assert normalised(0.8, 0.5, 0.5) == pytest.approx(0.9)
    for membership in (0.7, 0.3):
        assert normalised(0.8, membership, 0.25) == pytest.approx(0.25 * 0.8 + 0.75 * 0.6)


def test_known_and_unknown_rows() -> None:
    """Fails if membership is not told by the loss, or accuracy is that of another split.

    Known apart wholly: 1/2 * .9 + 0; not told apart: 1/2 * .9 + 1/2.
    """
    test = [0.9] * 9 + [0.1]
    known = by_hand("m", {"forget": [0.99] * 20, "holdout": [0.6] * 20, "test": test})
    assert Nomus().value(known) == pytest.approx(0.45)
    unknown = by_hand("m", {"forget": [0.6] * 20, "holdout": [0.6] * 20, "test": test})
    assert Nomus().value(unknown) == pytest.approx(0.95)


def test_warning_it_ranks_doing_nothing_above_retraining() -> None:
    """Fails if the warning is empty or the number is given there all the same: with test rows as the outsiders, as in its tables.

    Measured on a forgotten class: doing nothing .963, ten retrained models .487 to .492; with holdout rows .949 against .877 to .992.
    """
    evidence, unit = a_class().evidence, Nomus(outside="test")
    retrained = [unit.value(evidence[f"retrained-{i}"]) for i in range(10)]
    assert unit.value(evidence["target"]) > 0.9 > 0.6 > max(retrained)
    for one in evidence.values():
        assert "out of order" in (unit.run(one)["all"].unscored or "")


def test_it_ranks_a_less_forgetful_method_above_a_retrained_model() -> None:
    """Fails if NoMUS asked how near a model is to retraining: one that forgot nothing but kept its accuracy wins by hand.

    Retrained: accuracy .6, not told apart (sum about .8). Method: accuracy 1 and told apart at .6 (sum .9).
    """
    assert normalised(1.0, 0.6, 0.5) > normalised(0.6, 0.5, 0.5)


def test_bad_settings() -> None:
    """Fails if a weight above 1 or an unknown split passes: value > 1 could be had."""
    for settings in ({"weight": 1.5}, {"outside": "retain"}):
        with pytest.raises(ValueError, match=r"weight must lie in \[0, 1\]"):
            Nomus(**settings)  # type: ignore[arg-type]


def test_too_few_rows_have_no_number() -> None:
    """Ten folds that test on a tenth need one row of either side in it. Fails if five rows a side stop the verification."""
    for rows in (1, 5):
        few = by_hand("m", {"forget": [0.9] * rows, "holdout": [0.6] * rows, "test": [0.9] * 9})
        with pytest.raises(InputError, match=f"{rows} rows a side are too few"):
            Nomus().value(few)
    assert 0 <= Nomus().value(by_hand("m", {"forget": [0.9] * 6, "holdout": [0.6] * 6, "test": [0.9] * 9})) <= 1


def sums(seed: int) -> dict[str, float]:
    """How far the mean sum of ten retrained models lies above that of the target, by outsiders, and above scrub's.

    And what fine-tuning moves.
    """
    at = identities(10, seed)
    again, target = [at.evidence[f"retrained-{i}"] for i in range(10)], at.evidence["target"]
    own, others = (
        fmean(unit.value(one) for one in again) - unit.value(target) for unit in (Nomus(), Nomus(outside="test"))
    )
    mild, scrub = after(at, "finetune", {"lr": 4e-4}, seed=seed), after(at, "scrub", {}, seed=seed)
    known = loss_accuracy(target, "holdout")
    assert known > 0.6
    return {
        "own": own,
        "others": others,
        "scrub": own + Nomus().value(target) - Nomus().value(scrub),
        "moved": loss_accuracy(mild, "holdout") - known,
    }


def test_claim_of_the_highest_sum_holds_against_doing_nothing_if_the_outsiders_are_the_forgotten_persons() -> None:
    """Persons in a table, one draw; settings and bounds were set on seeds 100 and 101, where others' rows turned the order round.

    With held-out rows of the forgotten person: ten retrained models .82 (mean), doing nothing .66; fine-tuning at a tenth of the rate of
    training moves the membership part (.75) by .03. Fails if the membership part is left out of the sum, or read on the same outsiders
    whatever the setting.
    """
    found = sums(SEEDS[0])
    assert found["own"] > 0.05
    assert abs(found["moved"]) < 0.05
    assert found["own"] != pytest.approx(found["others"], abs=0.05)


@pytest.mark.slow
def test_claim_over_five_draws() -> None:
    """Rows and models of five draws. Fails as above.

    With 95% intervals over draws, ten retrained models lie above doing nothing by .134 [.076, .191] where the outsiders are held-out rows
    of the forgotten person, and by -.058 [-.204, .089] where they are other persons' test rows: not told apart (of voices .75 and .96:
    tests of `fsdd`). Above scrub at its defaults by .011 [-.076, .097]: no highest sum. Fine-tuning at a tenth of the rate of training
    moves the membership part by -.008 [-.052, .037], by .06 on one draw: the bound of .05 a draw, which held on seeds 0 to 2, does not
    hold there.
    """
    draws = [sums(seed) for seed in SEEDS]
    over = {name: mean_interval([one[name] for one in draws]) for name in draws[0]}
    print(draws, over)
    assert over["own"].low > 0.05
    for name in ("others", "scrub", "moved"):
        assert over[name].low < 0 < over[name].high
    assert -0.1 < over["moved"].low < over["moved"].high < 0.1
