"""Gradient methods: what a step is made of, and that one joint forward is two separate ones."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import torch
from plain_models import arrays, plain_nll, text_model
from torch import Tensor, nn

from expunge.contract.job import Job
from expunge.engine.descend import Descent, Step, descend, descend_on, one_pass, riding, shared_out
from expunge.engine.loop import rate
from expunge.engine.order import cut, ordered
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows

DESCENT = Descent(lr=5e-3, epochs=2, batch_size=2, warmup=0.0, schedule="linear", clip=1.0, weight_decay=0.1)


def split(rows: Rows) -> tuple[Rows, Rows]:
    return rows[:3], rows[3:]


def steps_of(model: Any, forget: Rows, retain: Rows, *, epoch: int = 0, seed: int = 0, size: int = 2) -> list[Step]:
    following = riding(retain, seed) if len(forget) and len(retain) else None
    return list(one_pass(model, Job(seed=seed), size, epoch, forget=forget, retain=retain, following=following))


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_joint_is_separate(architecture: str) -> None:
    """Losses and gradients of forget and retain rows packed together equal those of each row alone, to 1e-5.

    Fails if packed rows see one another, or the parts of the joint batch are told apart wrongly.
    """
    model, rows = text_model(architecture)
    forget, retain = split(rows)
    (step,) = steps_of(model, forget, retain, size=3)
    total_forget, total_retain = step.total_losses()
    (2 * total_forget.sum() - total_retain.sum()).backward()
    joint = {name: p.grad.clone() for name, p in model.module.named_parameters()}
    alone = [torch.stack([plain_nll(model, [row]).sum() for row in part]) for part in (step.forget, step.retain)]
    torch.testing.assert_close(total_forget, alone[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(total_retain, alone[1], rtol=1e-5, atol=1e-5)
    model.module.zero_grad()
    (2 * alone[0].sum() - alone[1].sum()).backward()
    largest = max(float(gradient.abs().max()) for gradient in joint.values())
    for name, p in model.module.named_parameters():
        torch.testing.assert_close(
            joint[name], p.grad, rtol=1e-4, atol=1e-5 * largest, msg=lambda t, n=name: f"{n}: {t}"
        )
    lengths = [[len(plain_nll(model, [row])) for row in part] for part in (step.forget, step.retain)]
    assert [part.tolist() for part in step.lengths()] == lengths
    assert step.is_forget.sum() == sum(lengths[0])


def test_equals_a_loop_written_out() -> None:
    """Ascent on forget beside descent on retain, 2 epochs of 2 steps, each row in a forward of its own.

    Fails if forget rows are not passed over whole each epoch, retain rows do not ride along in their own order (going on where the
    last step ended), means are over the wrong counts, or rate, decay or clipping are not the settings'.
    """
    model, rows = text_model("llama")
    forget, retain = split(rows)
    twin = model.copy()

    def loss(step: Step) -> Tensor:
        total_forget, total_retain = step.total_losses()
        n_forget, n_retain = step.lengths()
        push = step.forget_mean(total_forget / n_forget)
        return step.position_mean(total_retain, n_retain.sum()) - 0.3 * push

    descend(model, Job(seed=6), DESCENT, loss, forget=forget, retain=retain)
    matrices, vectors = ([p for p in twin.module.parameters() if (p.ndim > 1) is big] for big in (True, False))
    adam = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}])
    order = [i for cycle in range(2) for i in ordered(retain, 6, 10_000 + cycle)]
    pieces = [piece for epoch in range(2) for piece in cut(ordered(forget, 6, epoch), 2)]
    assert [len(piece) for piece in pieces] == [2, 1, 2, 1]
    for number, piece in enumerate(pieces):
        beside, order = order[: len(piece)], order[len(piece) :]
        push = torch.stack([plain_nll(twin, [forget[i]]).mean() for i in piece]).mean()
        keep = plain_nll(twin, [retain[i] for i in beside]).mean()
        adam.zero_grad()
        (keep - 0.3 * push).backward()
        nn.utils.clip_grad_norm_(list(twin.module.parameters()), 1.0)
        for group in adam.param_groups:
            group["lr"] = 5e-3 * rate(number, 4, 0.0, "linear")
        adam.step()
    for (name, one), other in zip(model.module.named_parameters(), twin.module.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_retain_rows_ride_in_an_order_of_their_own() -> None:
    """Every retain row once a cycle, in a new order each. Fails if a cycle repeats the last one's order or leaves a row out."""
    retain = Rows(tuple(Row(id=f"k{i}", fields={}) for i in range(5)))
    drawn = list(islice(riding(retain, 3), 15))
    cycles = [drawn[0:5], drawn[5:10], drawn[10:15]]
    assert [sorted(cycle) for cycle in cycles] == [[0, 1, 2, 3, 4]] * 3
    assert len({tuple(cycle) for cycle in cycles}) == 3
    assert cycles == [ordered(retain, 3, 10_000 + k) for k in range(3)]


def test_what_a_step_holds() -> None:
    """3 forget rows in steps of 2 beside 4 retain rows. Fails if forget_index names other rows, or a count is a share's."""
    model, rows = text_model("llama")
    forget, retain = split(rows)
    steps = steps_of(model, forget, retain, epoch=1, seed=2)
    order = ordered(forget, 2, 1)
    assert [step.forget_index.tolist() for step in steps] == [order[:2], order[2:]]
    assert [step.forget.ids for step in steps] == [forget.take(order[:2]).ids, forget.take(order[2:]).ids]
    assert [(step.forget_count, step.retain_count, step.epoch) for step in steps] == [(2, 2, 1), (1, 1, 1)]
    assert [row.id for row in steps[0].whole] == [*steps[0].forget.ids, *steps[0].retain.ids]
    assert steps[0].places == (0, 1, 2, 3)


def test_fewer_retain_rows_than_a_step_takes() -> None:
    """One retain row beside three forget rows: once, and counted once. Fails if a row drawn twice weighs twice in a batch."""
    model, rows = text_model("llama")
    (step,) = steps_of(model, rows[:3], rows[3:4], size=3)
    assert (step.retain.ids, step.retain_count, step.forget_count) == (("r3",), 1, 3)
    assert int(step.is_forget.sum()) == int(step.lengths()[0].sum())


def test_one_split_alone() -> None:
    """Fails if a method without forget rows passes over nothing, or one without retain rows packs some."""
    model, rows = text_model("llama")
    steps = steps_of(model, Rows(()), rows, size=3)
    assert [step.retain.ids for step in steps] == [rows.take(piece).ids for piece in cut(ordered(rows, 0, 0), 3)]
    assert [(step.forget_count, len(step.forget)) for step in steps] == [(0, 0)] * 3
    steps = steps_of(model, rows, Rows(()), size=3)
    assert [(step.retain_count, len(step.forget)) for step in steps] == [(0, 3), (0, 3), (0, 1)]


def test_after_epoch_may_end_the_run() -> None:
    """Fails if it is asked each step, or the run goes on."""
    model, rows = arrays(nn.Linear(4, 3), (4,))
    asked: list[int] = []
    taken: list[int] = []

    def after_epoch(epoch: int) -> bool:
        asked.append(epoch)
        return epoch == 1

    def loss(step: Step) -> Tensor:
        taken.append(len(step.forget))
        return step.forget_mean(step.total_losses()[0])

    descend(model, Job(), Descent(epochs=5, batch_size=3), loss, forget=rows, after_epoch=after_epoch)
    assert asked == [0, 1]
    assert taken == [3, 3, 1] * 2


def test_noise_is_drawn_once_a_step() -> None:
    """Fails if a second look at the noise draws anew: a frozen copy would see another."""
    model, rows = arrays(nn.Linear(4, 3), (4,))
    model.noisy = True
    (step,) = steps_of(model, rows[:3], rows[3:6], size=3)
    assert step.noise is step.noise
    wanted = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(step.noise, wanted)


@pytest.mark.parametrize("given", [{"lr": -1.0}, {"epochs": 0}, {"batch_size": 0}, {"schedule": "steps"}])
def test_settings_that_cannot_be(given: dict[str, Any]) -> None:
    """Fails if a run of no epochs, of empty batches or under an unknown schedule starts."""
    with pytest.raises(ValueError, match="must"):
        Descent(**given)


def test_steps_are_bounded_over_loops() -> None:
    """all rows at one a step, then the two steps that are left, then none.

    Fails if a loop starts counting anew, runs past the bound.
    """
    model, rows = text_model("llama")
    job, seen = Job(), []
    bounded = Descent(lr=1e-3, epochs=1, batch_size=1, max_steps=len(rows) + 2)

    def loss(step: Step) -> Tensor:
        seen.append(step.epoch)
        return step.retain_mean(step.total_losses()[1])

    descend(model, job, bounded, loss, retain=rows)
    assert job.notes == {"optimiser_steps": len(rows)}
    descend(model, job, bounded, loss, retain=rows)
    assert job.notes == {"optimiser_steps": len(rows) + 2}
    assert len(seen) == len(rows) + 2
    descend(model, job, bounded, loss, retain=rows)
    assert len(seen) == len(rows) + 2


def test_the_schedule_ends_with_the_bound() -> None:
    """Two of five steps of a linear schedule have the rates of a run of two. Fails if they are the first two of five."""
    model, rows = text_model("llama")
    short, cut_short = model.copy(), model.copy()

    def loss(step: Step) -> Tensor:
        return step.retain_mean(step.total_losses()[1])

    settings = {"lr": 1e-2, "warmup": 0.0}
    descend(short, Job(), Descent(epochs=1, batch_size=1, max_steps=2, **settings), loss, retain=rows)
    order = ordered(rows, 0, 0)[:2]
    first = iter([rows.take([i]) for i in order])

    def losses() -> Any:
        for one in first:
            yield lambda one=one: cut_short.total_loss(cut_short.pack(one)).sum()

    descend_on(cut_short, Job(), Descent(**settings), losses(), total=2, label="two")
    for a, b in zip(short.module.parameters(), cut_short.module.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_negative_bound_is_refused() -> None:
    """Fails if it is taken for none."""
    with pytest.raises(ValueError, match="max_steps must not be negative"):
        Descent(max_steps=-1)


def test_stages_are_cut_alike() -> None:
    """By hand: 10, 2, 10, 2, 10 steps in 20: a step each, and the 15 left by the others' 9, 1, 9, 1, 9 of 29.

    Fails if the last stages get nothing, a stage gets more than it has, or together they pass the bound.
    """
    assert shared_out([10, 2, 10], 0) == [10, 2, 10] == shared_out([10, 2, 10], 22)
    assert shared_out([10, 2, 10, 2, 10], 20) == [1 + 4, 1 + 1, 1 + 4, 1 + 1, 1 + 5]
    for most in range(3, 120):
        found = shared_out([63, 1, 55], most)
        assert sum(found) == min(most, 119)
        assert all(1 <= own <= full for own, full in zip(found, (63, 1, 55), strict=True))
    with pytest.raises(InputError, match="max_steps of 2 leaves stages without a step: there are 3"):
        shared_out([9, 9, 9], 2)
