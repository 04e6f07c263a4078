from __future__ import annotations

import numpy as np
import pytest
from classifiers import mean_interval
from digits_class import removed
from digits_random import REPORTED, digits_random
from tiny_problems import Tiny, mean_over_positions, nll, plain

from expunge.contract.registry import build
from expunge.engine.descend import Descent
from expunge.methods.finetune import Finetune


def test_loss_is_the_mean_over_retain_positions(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: prompt or padding positions count, rows are averaged before positions, or forget rows are trained on."""
    seen = people.spied(Finetune(), monkeypatch)
    assert len(seen.step.forget) == 0
    want = mean_over_positions([nll(row) for row in plain(seen.moved, seen.step.retain)])
    assert seen.loss == pytest.approx(want, rel=1e-5)


def test_reads_retain_only(people: Tiny) -> None:
    """Fails if: the forget rows are read."""
    assert set(people.run(Finetune())[1].reads) == {"retain"}


def test_fades_only_at_high_learning_rates(people: Tiny, clouds: Tiny) -> None:
    """The baseline's claim. Fails if: the forget rows are read, or the learning rate is not used."""
    for tiny, settings in ((people, {"lr": 8e-3, "batch_size": 4}), (clouds, {"lr": 2e-2})):
        low = tiny.after(build(Finetune, {"lr": 5e-4}, where="test"))
        high = tiny.after(build(Finetune, settings, where="test"))
        assert low.forget >= 0.9
        assert high.forget <= 0.7
        assert high.forget_loss > 10 * low.forget_loss
        assert high.retain >= 0.75


def known(seed: int, wrong: float) -> np.ndarray:
    """Accuracy on forget rows, in percent: before, after fine-tuning, and of ten retrained models."""
    problem, again = digits_random(seed, wrong)
    before, after = (
        removed(method, problem, seed=seed).forget for method in (Finetune(descent=Descent(lr=0.0)), Finetune())
    )
    print(seed, wrong, before, after, again.forget)
    return np.array([before, after, again.forget])


def test_claim_fine_tuning_looks_good_on_wrong_labels_and_random_rows_show_nothing() -> None:
    """Seed 0: wrong labels make 92% of the forget rows known, fine-tuning leaves 80%, ten retrained models 75%; of clean rows all three
    read 99 to 100%, so that a table of accuracies shows nothing of what was done or not.

    Fails if wrong labels are not learnt, or fine-tuning reads forget rows.
    """
    before, after, again = known(0, 0.2)
    assert before - again > 12
    assert before - after > 0.6 * (before - again)
    assert np.ptp(known(0, 0.0)) < 8


@pytest.mark.slow
def test_claim_fine_tuning_looks_good_on_wrong_labels_over_five_draws() -> None:
    """Wrong labels: the target knows 20.6 points [17.0, 24.1] more of the forget rows than ten retrained models, after it 2.6 [-.3, 5.6].

    It closes .87 [.71, 1.02] of that. Of clean rows all are known, and 1.2 points [.1, 2.4] lost by fine-tuning, 2.3 [1.1, 3.5] by
    retraining. Fails as above.
    """
    before, after, again = np.array([known(seed, 0.2) for seed in REPORTED]).T
    clean_before, clean_after, clean_again = np.array([known(seed, 0.0) for seed in REPORTED]).T
    learnt, closed, missing = (
        mean_interval(one) for one in (before - again, (before - after) / (before - again), after - again)
    )
    lost = [mean_interval(clean_before - one) for one in (clean_after, clean_again)]
    print(learnt, closed, missing, lost)
    assert learnt.low > 12
    assert closed.low > 0.6
    assert max(one.high for one in lost) < 8
