from __future__ import annotations

import pytest
import torch
from tiny_problems import Tiny, mean_over_positions, nll, plain

from expunge.contract.job import Job
from expunge.contract.registry import build
from expunge.engine.descend import Descent, descend
from expunge.methods.task_vector import TaskVector, negated


def test_negated_by_hand() -> None:
    """1 tuned to 3 at alpha 2: 1 - 2 * 2 = -3. Fails if: the vector is added, or scaled wrongly."""
    assert negated(torch.tensor([1.0, 5.0]), torch.tensor([3.0, 5.0]), 2.0).tolist() == [-3.0, 5.0]


def test_tunes_towards_the_forget_rows(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: tuning ascends, or reads retain rows."""
    seen = people.spied(TaskVector(), monkeypatch)
    assert len(seen.step.retain) == 0
    want = mean_over_positions([nll(row) for row in plain(seen.moved, seen.step.forget)])
    assert seen.loss == pytest.approx(want, rel=1e-5)


def test_result_is_target_minus_alpha_times_the_vector(people: Tiny) -> None:
    """Fails if: tuned weights are returned, alpha is ignored, or the vector starts elsewhere than at the target."""
    descent = Descent(lr=1e-3, epochs=2)
    model, _ = people.run(TaskVector(alpha=0.5, descent=descent))
    tuned = people.target.copy()
    descend(
        tuned,
        Job(seed=0),
        descent,
        lambda step: step.position_mean(step.total_losses()[0], step.lengths()[0].sum()),
        forget=people.forget,
    )
    for (name, got), before, after in zip(
        model.module.named_parameters(), people.target.module.parameters(), tuned.module.parameters(), strict=True
    ):
        want = before.detach() - 0.5 * (after.detach() - before.detach())
        assert not torch.equal(before, after)
        assert torch.allclose(got, want, atol=1e-7), name


def test_forgets_more_than_it_breaks(people: Tiny, clouds: Tiny) -> None:
    """On text it breaks much of the rest too: its rows share their form. Fails if: the vector is added."""
    after = people.after(build(TaskVector, {"batch_size": 4, "lr": 5e-4, "alpha": 6.0}, where="test"))
    assert after.forget <= 0.4
    assert after.forget_loss > 1.2 * after.retain_loss > 0.1
    clouds.removes(TaskVector, {"batch_size": 4, "lr": 1e-3}, forget=0.1, retain=0.9)
