"""The corrective protocol as a plan, and what its paper says on 8x8 digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from classifiers import mean_interval
from poisoned_class import after, mean_again, measured, poisoned

from expunge.benchmarks.corrective import CorrectiveBenchmark
from expunge.contract.registry import find
from expunge.facts.errors import InputError
from expunge.methods.ssd import SSD
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark


def test_settings_reach_the_plan(tmp_path: Path) -> None:
    """Fails if the share known, the kind or the recipe does not reach the plan, or a column names what is not measured."""
    protocol = CorrectiveBenchmark(known=0.25, kind="confusion", poisoned=40, seed=7, epochs=3).run(None)
    check_benchmark(protocol)
    plan = benchmark_plan("corrective", protocol, protocol.methods, seeds=(0,), retrained=(101, 102))
    assert plan.request.settings == {"kind": "confusion", "known": 0.25, "poisoned": 40, "seed": 7}
    assert (plan.model.architecture, plan.model.settings) == ("mlp", {"width": 256, "depth": 1})
    assert plan.recipe is not None
    assert (plan.recipe.epochs, plan.recipe.optimiser, plan.recipe.lr, plan.recipe.clip) == (3, "sgd", 0.05, None)
    rows = find("source", plan.request.source).create(dict(plan.request.settings)).run()
    splits = {column.partition(":")[2] for column in protocol.columns if column.startswith(("accuracy", "backdoor"))}
    assert splits <= set(rows)
    (tmp_path / "mnist.npz").write_bytes(b"")
    given = CorrectiveBenchmark(train_rows=500).run(tmp_path).settings["source"]
    assert (given["data"], given["train_rows"]) == (str(tmp_path / "mnist.npz"), 500)


def test_missing_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        CorrectiveBenchmark().run(tmp_path / "none.npz")


SEEDS = range(5)


@pytest.mark.slow
def test_claim_retraining_without_a_tenth_of_the_poison_leaves_the_backdoor() -> None:
    """And without all of it none is left. Five draws, ten retrained models each, with 95% intervals over draws.

    Without a tenth 1.5% (-.2 to 3.1) of the triggered rows are corrected, without all of it 88.6 (86.9 to 90.3); 98.5 (96.9 to 100.2) and
    .0 do as the manipulation wants, and clean accuracy is 97.4 both times. Fails if unknown manipulated rows leave the retain rows, or the known ones stay.
    """
    part, whole = ([mean_again(seed, known) for seed in SEEDS] for known in (0.1, 1.0))
    found = {
        (name, what): mean_interval([one[what] for one in each])
        for name, each in (("part", part), ("whole", whole))
        for what in ("corrected", "success", "clean")
    }
    print(found)
    assert found["part", "corrected"].high < 25
    assert found["part", "success"].low > 70
    assert found["whole", "corrected"].low > 75
    assert found["whole", "success"].high < 8
    assert min(found["part", "clean"].low, found["whole", "clean"].low) > 93


@pytest.mark.slow
def test_claim_dampening_removes_a_backdoor_of_which_a_tenth_is_known_at_a_price() -> None:
    """With gradients squared by the batch, as the reference code does. Five draws, corrected accuracy in percent.

    The best alpha of each draw brings 85.9 (79.0 to 92.8) back. Alpha 10 brings 71 to 92 back on all, for 3 to 33 points of clean accuracy;
    no alpha brings more than half back on all within 2 points (50: 1.0 to 83.7). Fails if forget rows are not what is dampened.
    """
    alphas = (5.0, 10.0, 25.0, 50.0, 100.0)
    corrected, lost = np.zeros((2, len(SEEDS), len(alphas)))
    for i, seed in enumerate(SEEDS):
        of = poisoned(seed)
        clean = measured(of.target, of)["clean"]
        for j, alpha in enumerate(alphas):
            found = after(SSD(alpha=alpha, dampening=1.0, batch_size=64), of)[0]
            corrected[i, j], lost[i, j] = found["corrected"], clean - found["clean"]
    best = corrected.max(1)
    print("corrected", corrected.round(1).tolist(), "lost", lost.round(1).tolist(), "best", mean_interval(best))
    assert mean_interval(best).low > 50
    assert corrected[:, alphas.index(10.0)].min() > 50
    assert not ((corrected > 50) & (lost <= 2)).all(0).any()


KNOWN = (0.1, 0.5, 0.8, 1.0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claims_on_a_small_cnn_over_the_share_known() -> None:
    """A backdoor on five small CNNs, ten retrained models each and share.

    Of the triggered rows retrained models do as the manipulation wants 99.8% (99.3 to 100.2) without a tenth of the poison, 98.9 without
    half, 81.8 (71.3 to 92.3) without four fifths, and .0 without all: until most of it is flagged the backdoor stays. SSD knows a tenth.
    The best alpha of each draw corrects 92.2% (87.5 to 97.0); within two points of clean accuracy 95.7, 90.9, 5.2, 86.4 and 88.2: the
    paper's claim on four draws of five, at alphas from 2 to 200, and no alpha brings more than half back on all within 2 points. Fails if
    unknown manipulated rows leave the retain rows, or forget rows are not what is dampened.
    """
    alphas = (2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
    retrained = np.array([[mean_again(seed, known, network="cnn")["success"] for known in KNOWN] for seed in SEEDS])
    corrected, lost = np.zeros((2, len(SEEDS), len(alphas)))
    for i, seed in enumerate(SEEDS):
        of = poisoned(seed, network="cnn")
        clean = measured(of.target, of)["clean"]
        for j, alpha in enumerate(alphas):
            found = after(SSD(alpha=alpha, dampening=1.0, batch_size=64), of)[0]
            corrected[i, j], lost[i, j] = found["corrected"], clean - found["clean"]
    left = {known: mean_interval(column) for known, column in zip(KNOWN, retrained.T, strict=True)}
    best, cheap = corrected.max(1), np.where(lost <= 2, corrected, 0.0).max(1)
    print(left, corrected.round(1).tolist(), lost.round(1).tolist(), mean_interval(best), cheap)
    assert min(left[0.1].low, left[0.5].low) > 70
    assert left[0.8].low > 50
    assert left[1.0].high < 8
    assert mean_interval(best).low > 75
    assert sum(cheap > 75) >= 3
    assert not ((corrected > 50) & (lost <= 2)).all(0).any()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_on_a_small_cnn_dampening_does_not_undo_confused_classes() -> None:
    """Of the way to ten models trained without the confused rows (19.1 points, 16.4 to 21.7) dampening goes none, on five small CNNs.

    Single rows: alpha 30 -.4 (-1.2 to .3), 10 -1.4 (-3.6 to .7), 3 -3.3 (-4.5 to -2.0); batches of 64 -2.7, -3.9 and -3.8. On no draw does
    any of the six go half of it. Fails if the confused rows are not what is trained on.
    """
    before, aim = (
        np.array([one["corrected"] for one in each])
        for each in (
            [measured(poisoned(seed, "confusion", "cnn").target, poisoned(seed, "confusion", "cnn")) for seed in SEEDS],
            [mean_again(seed, 1.0, "confusion", "cnn") for seed in SEEDS],
        )
    )
    print("to gain", mean_interval(aim - before))
    assert mean_interval(aim - before).low > 5
    for alpha in (3.0, 10.0, 30.0):
        for size in (1, 64):
            method = SSD(alpha=alpha, dampening=1.0, batch_size=size)
            left = np.array([after(method, poisoned(seed, "confusion", "cnn"))[0]["corrected"] for seed in SEEDS])
            print(alpha, size, left.round(1).tolist(), mean_interval((left - before) / (aim - before)))
            assert (left < (before + aim) / 2).all()


@pytest.mark.slow
def test_claim_dampening_does_not_undo_confused_classes() -> None:
    """Corrected accuracy after SSD stays below half of the way to models trained without the confused rows, on each of five draws.

    Of that way (18.2 points, 14.7 to 21.7) alpha 30 goes -.05 (-.24 to .15), 10 -.84 (-2.5 to .8) and 3 -3.1 (-4.4 to -1.7): what it dampens
    is accuracy. Fails if the confused rows are not what is trained on.
    """
    before, aim = (
        [measured(poisoned(seed, "confusion").target, poisoned(seed, "confusion")) for seed in SEEDS],
        [mean_again(seed, 1.0, "confusion") for seed in SEEDS],
    )
    known, free = (np.array([one["corrected"] for one in each]) for each in (before, aim))
    print("to gain", mean_interval(free - known))
    assert mean_interval(free - known).low > 5
    for alpha in (3.0, 10.0, 30.0):
        method = SSD(alpha=alpha, dampening=1.0)
        left = np.array([after(method, poisoned(seed, "confusion"))[0]["corrected"] for seed in SEEDS])
        print(alpha, left.round(1).tolist(), mean_interval((left - known) / (free - known)))
        assert (left < (known + free) / 2).all()
