"""The corrective protocol as a plan, and what its paper says on 8x8 digits."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from classifiers import mean_interval
from poisoned_class import after, measured, poisoned

from expunge.benchmarks.corrective import CorrectiveBenchmark
from expunge.contract.job import Job
from expunge.contract.registry import find
from expunge.engine.fit_many import fit_many
from expunge.facts.errors import InputError
from expunge.methods.ssd import SSD
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark
from expunge.testbeds.poisoned import RECIPE, untrained


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


@cache
def retrained(seed: int, known: float, kind: str = "backdoor") -> dict[str, float]:
    """What ten models trained without the known rows have, on the mean."""
    of, seeds = poisoned(seed, kind), [1000 * (seed + 1) + i for i in range(10)]
    models, recipes = [untrained(own) for own in seeds], [RECIPE.model_copy(update={"seed": own}) for own in seeds]
    fit_many(models, [of.rows(known)["retain"]] * len(seeds), recipes, job=Job())
    each = [measured(model, of) for model in models]
    return {what: fmean(one[what] for one in each) for what in each[0]}


@pytest.mark.slow
def test_claim_retraining_without_a_tenth_of_the_poison_leaves_the_backdoor() -> None:
    """And without all of it none is left. Five draws, ten retrained models each, with 95% intervals over draws.

    Without a tenth 1.5% (-.2 to 3.1) of the triggered rows are corrected, without all of it 88.6 (86.9 to 90.3); 98.5 (96.9 to 100.2) and
    .0 do as the manipulation wants, and clean accuracy is 97.4 both times. Fails if unknown manipulated rows leave the retain rows, or the known ones stay.
    """
    part, whole = ([retrained(seed, known) for seed in SEEDS] for known in (0.1, 1.0))
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


@pytest.mark.slow
def test_claim_dampening_does_not_undo_confused_classes() -> None:
    """Corrected accuracy after SSD stays below half of the way to models trained without the confused rows, on each of five draws.

    Of that way (18.2 points, 14.7 to 21.7) alpha 30 goes -.05 (-.24 to .15), 10 -.84 (-2.5 to .8) and 3 -3.1 (-4.4 to -1.7): what it dampens
    is accuracy. Fails if the confused rows are not what is trained on.
    """
    before, aim = (
        [measured(poisoned(seed, "confusion").target, poisoned(seed, "confusion")) for seed in SEEDS],
        [retrained(seed, 1.0, "confusion") for seed in SEEDS],
    )
    known, free = (np.array([one["corrected"] for one in each]) for each in (before, aim))
    print("to gain", mean_interval(free - known))
    assert mean_interval(free - known).low > 5
    for alpha in (3.0, 10.0, 30.0):
        method = SSD(alpha=alpha, dampening=1.0)
        left = np.array([after(method, poisoned(seed, "confusion"))[0]["corrected"] for seed in SEEDS])
        print(alpha, left.round(1).tolist(), mean_interval((left - known) / (free - known)))
        assert (left < (known + free) / 2).all()
