from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from digits_seeds import gaps, over_targets, untouched
from tiny_problems import Tiny, mean_over_rows, nll, plain
from torch import Tensor

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.engine.descend import Descent, one_pass
from expunge.facts.rows import Row, Rows
from expunge.methods import unsir
from expunge.methods.unsir import UNSIR


def test_noise_bears_the_classes_to_forget_and_is_as_wrong_as_can_be(clouds: Tiny) -> None:
    """Fails if: error is minimised, noise stays as drawn, or it bears other classes."""
    two = Rows((*clouds.forget, *(row for row in clouds.retain if row["label"] == 3)))
    start, found = (UNSIR(noise_rows=8, noise_steps=steps).noise(clouds.target, two, Job()) for steps in (0, 40))
    assert found.targets.tolist() == [0] * 8 + [3] * 8
    assert found.inputs["x"].shape == (16, 2)
    with torch.no_grad():
        before, after = (clouds.target.total_loss(noise) for noise in (start, found))
    assert float(after.mean()) > float(before.mean()) + 5
    assert bool((after > before).all())


def test_no_forget_row_is_looked_at_but_its_class(clouds: Tiny) -> None:
    """What the paper calls zero-glance. Fails if: the features of forget rows reach the weights."""
    blind = Rows(
        tuple(Row(id=row.id, fields={"features": [0.001 * i, 9.0], "label": 0}) for i, row in enumerate(clouds.forget))
    )
    digests = set()
    for forget in (clouds.forget, blind, blind[:1]):
        model, _ = unlearn(UNSIR(), clouds.target, Splits.of(forget=forget, retain=clouds.retain), job=Job())
        digests.add(weights_digest(model.module))
    assert len(digests) == 1


def test_impairing_is_noise_and_retain_rows_and_repairing_retain_rows_alone(
    clouds: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if: the noise bears another class, its weight is lost, repairing still shows noise, or keeps the impairing's rate."""
    seen: list[tuple[float, float]] = []
    repairs: list[Descent] = []
    method = UNSIR(noise_weight=0.3, repair_lr=0.01, repair_epochs=4, noise_rows=8)

    def spy(model: Any, job: Job, descent: Descent, losses: Iterator[Callable[[], Tensor]], **_: Any) -> None:
        noise = method.noise(model, clouds.forget, Job())
        before = job.generator.get_state()
        step = next(one_pass(model, job, descent.batch_size, 0, forget=Rows(()), retain=clouds.retain))
        with torch.no_grad():
            loss = float(next(iter(losses))())
            drawn = torch.randint(8, (len(step.retain),), generator=torch.Generator().set_state(before))
            logs = torch.log_softmax(model.module(noise.inputs["x"][drawn]), -1)[:, 0]
        keep = mean_over_rows([nll(row) for row in plain(model, step.retain)])
        seen.append((loss, 0.3 * -float(logs.mean()) + keep))

    def second(model: Any, job: Job, descent: Descent, loss: Callable[[Any], Tensor], **given: Rows) -> None:
        repairs.append(descent)
        step = next(one_pass(model, job, 16, 0, forget=Rows(()), retain=given["retain"]))
        seen.append((float(loss(step).detach()), mean_over_rows([nll(row) for row in plain(model, step.retain)])))

    monkeypatch.setattr(unsir, "descend_on", spy)
    monkeypatch.setattr(unsir, "descend", second)
    clouds.run(method)
    assert [found for found, _ in seen] == pytest.approx([wanted for _, wanted in seen], rel=1e-4)
    assert (repairs[0].lr, repairs[0].epochs) == (0.01, 4)


def test_claim_two_passes_forget_a_class_of_digits_unseen() -> None:
    """Five targets: forget 0, retain 99.8, test 98.6 (retrained 0, 100, 98.4); gap .21 [.09, .33], do nothing 33.5.

    Fails if: nothing repairs, or no noise is shown (retain rows alone leave up to 15). That it bears the class is tested above.
    """
    after = over_targets(UNSIR())
    assert min(gaps(untouched())) > 30
    assert mean_interval(gaps(after)).high <= 1.5
    for one in after:
        assert one.forget <= 3
        assert one.retain >= 99


def test_claim_it_is_the_learnt_noise_that_forgets() -> None:
    """At half the default rates, five targets: forget 6.7 [-4.8, 18.2] with learnt noise, 51 with noise as drawn, 60 with retain rows
    alone; differences -44 [-54, -35] and -53 [-61, -45].

    At the default rates retain rows alone leave 0 to 15, 4.6 on average: fine-tuning at training's own rate fools this problem, and two
    passes of it must be beaten where they do not. Fails if: the noise is not learnt, or not shown.
    """
    slow: dict[str, Any] = {"repair_lr": 1e-3, "descent": Descent(lr=2e-3, epochs=1, batch_size=32)}
    learnt = [one.forget for one in over_targets(UNSIR(**slow))]
    fooled = [one.forget for one in over_targets(UNSIR(noise_weight=0.0))]
    assert max(mean_interval(left).high for left in (learnt, fooled)) <= 20
    for more in ({"noise_steps": 0}, {"noise_weight": 0.0}):
        without = [one.forget for one in over_targets(UNSIR(**slow, **more))]
        assert mean_interval(np.subtract(learnt, without)).high <= -20


def test_a_bound_on_steps_leaves_some_for_the_repair(clouds: Tiny) -> None:
    """150 retain rows are 5 steps of 32 a pass, 6 in all 3 and 3. Fails if: impairing takes them all, so that nothing is repaired and
    the repair's rate is a setting of nothing."""
    digests = set()
    for rate in (1e-3, 1e-2):
        model, facts = clouds.run(UNSIR(repair_lr=rate, descent=Descent(lr=4e-3, epochs=2, batch_size=32, max_steps=6)))
        assert facts.notes["optimiser_steps"] == 6
        digests.add(weights_digest(model.module))
    assert len(digests) == 2
