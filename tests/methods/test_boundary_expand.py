from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from digits_class import accuracy, digits_class, removed
from digits_seeds import gaps, over_targets, untouched
from tiny_problems import Tiny
from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.engine.descend import Descent, Step, descend, one_pass
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.methods import boundary_expand
from expunge.methods.boundary_expand import BoundaryExpand, one_more_output
from expunge.methods.boundary_shrink import BoundaryShrink


def test_the_loss_is_of_the_extra_class_among_all(clouds: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand from the head's input: logits are (W h + b, w h + c). Fails if: another class is taught, or K outputs are normalised over."""
    losses: list[tuple[float, float]] = []

    def spy(model: Any, job: Job, descent: Descent, loss: Callable[[Step], Tensor], *, forget: Rows) -> None:
        head = model.module.head
        step = next(one_pass(model, job, descent.batch_size, 0, forget=forget, retain=Rows(())))
        with torch.no_grad():
            x = torch.tensor([row["features"] for row in step.forget])
            h = (x @ model.module.stem.linear.weight.T + model.module.stem.linear.bias).relu()
            h = (h @ model.module.blocks[0].linear.weight.T + model.module.blocks[0].linear.bias).relu()
            extra = h @ head.extra_weight[0] + head.extra_bias
            logits = torch.cat([h @ head.weight.T + head.bias, extra[:, None]], 1)
            wanted = (logits.exp().sum(1).log() - extra).mean()
            losses.append((float(loss(step)), float(wanted)))
        reach = 1 / h.shape[1] ** 0.5
        assert 0.5 * reach < float(head.extra_weight.detach().abs().max()) <= reach

    monkeypatch.setattr(boundary_expand, "descend", spy)
    clouds.run(BoundaryExpand())
    assert losses[0][0] == pytest.approx(losses[0][1], rel=1e-4)


def test_the_extra_output_is_pruned(clouds: Tiny) -> None:
    """The OPTML copy keeps it: forget rows are then answered with a class that does not exist, and accuracy on them is 0 by name only.

    Fails if: a K + 1st output, one of its parameters, or the hook that appends it is left; also where training breaks off.
    """
    before = {name: p.shape for name, p in clouds.target.module.named_parameters()}
    model, _ = clouds.run(BoundaryExpand(descent=Descent(lr=0.05, epochs=5)))
    assert {name: p.shape for name, p in model.module.named_parameters()} == before
    assert not model.module.head._forward_hooks
    logits = model.logits(model.pack(clouds.forget))
    assert logits.shape == (30, 6)
    features = model.features(model.pack(clouds.forget), "blocks.0")
    assert torch.allclose(logits, features @ model.module.head.weight.T + model.module.head.bias, atol=1e-5)
    twin = clouds.target.copy()
    with pytest.raises(RuntimeError, match="broke off"), one_more_output(twin, torch.Generator()):
        assert twin.logits(twin.pack(clouds.forget)).shape == (30, 7)
        raise RuntimeError("broke off")
    assert torch.equal(twin.logits(twin.pack(clouds.forget)), clouds.target.logits(clouds.target.pack(clouds.forget)))


def test_a_mask_lets_the_extra_output_learn(clouds: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: a parameter without an entry is held, so that under a mask the extra class could never be learnt."""
    moved: list[bool] = []

    def watched(model: Model, job: Job, *given: Any, **named: Any) -> None:
        before = model.module.head.extra_weight.detach().clone()
        descend(model, job, *given, **named)
        moved.append(not torch.equal(before, model.module.head.extra_weight))

    monkeypatch.setattr(boundary_expand, "descend", watched)
    from expunge.contract.apply import unlearn

    entries = {"blocks.0.linear.weight": torch.ones(32, 32, dtype=torch.bool)}
    model, _ = unlearn(BoundaryExpand(), clouds.target, clouds.splits, job=Job(mask=Mask(entries)))
    assert moved == [True]
    assert torch.equal(model.module.head.weight, clouds.target.module.head.weight)


def test_a_model_without_a_linear_head_is_refused(clouds: Tiny) -> None:
    """Fails if: the last linear layer found by walking is widened instead."""
    model = clouds.target.copy()
    model.module.head = torch.nn.Sequential(model.module.head)
    with pytest.raises(InputError, match="linear head"), one_more_output(model, torch.Generator()):
        pass


def test_claim_expand_forgets_a_class_but_keeps_less_than_shrink() -> None:
    """Five targets: forget 12.8 [7.0, 18.6] after pruning, retain 97.7, test 95.4; gap 6.0 [4.1, 8.0], do nothing 33.5.

    Further than boundary shrink by 5.8 [3.8, 7.8], which forgets 12.8 more and keeps 1.9 [.9, 3.0] more of the retain rows. The paper has
    both near retraining with shrink ahead; here expand forgets most of the class, and is behind on both sides. Before pruning the extra
    class takes nearly all forget rows: what an unpruned copy reports is not what the model still knows. Fails if: forget rows keep their
    labels.
    """
    after, shrunk = over_targets(BoundaryExpand()), over_targets(BoundaryShrink())
    nearer = mean_interval(np.subtract(gaps(after), gaps(untouched())))
    further = mean_interval(np.subtract(gaps(after), gaps(shrunk)))
    pairs = list(zip(after, shrunk, strict=True))
    assert mean_interval([one.forget - other.forget for one, other in pairs]).low > 0
    assert mean_interval([one.retain - other.retain for one, other in pairs]).high < 0
    assert nearer.high < -20
    assert further.low > 0


def test_what_an_unpruned_copy_reports_is_not_what_the_model_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured, 3 seeds: 8.4, 1.1, 3.2 before pruning, 14.0 after on average. Fails if: pruning changes no answer."""
    problem, seen = digits_class(), []

    def watched(model: Model, job: Job, *given: Any, **named: Any) -> None:
        descend(model, job, *given, **named)
        seen.append(accuracy(model, problem.splits.rows["forget"]))

    monkeypatch.setattr(boundary_expand, "descend", watched)
    after = [removed(BoundaryExpand(), problem, seed=seed).forget for seed in range(3)]
    assert all(kept >= hidden for kept, hidden in zip(after, seen, strict=True))
    assert sum(after) / 3 > sum(seen) / 3 + 3
