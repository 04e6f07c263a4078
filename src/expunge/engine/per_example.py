"""Gradients example by example, from one forward and one backward pass over many: norms, squares, inner products.

Each layer's input and output gradient make up its parameters' per-example gradients (ghost.py); no (rows, parameters) table is
ever held. The first pass is compared with plain autograd on two of its rows. Where a model cannot be read so, every row runs
alone, with the same numbers, and `job.notes["per_example"]` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine import ghost
from expunge.engine.capture import Pass, Unsupported, Uses, captured
from expunge.engine.ghost import Written
from expunge.engine.gradients import RowNoise, evaluating, mean_losses, trainable
from expunge.engine.loop import keep_memory
from expunge.engine.parallel import gather_objects, my_share, total
from expunge.engine.widest import widest_output
from expunge.facts.rows import Rows

MOST_ROWS = 512
"""Examples of one pass."""
MOST_OUTPUTS = 2**19
"""Entries of the widest layer's output over the examples of a pass: a pass costs what many do, and its arrays should stay in the
processor's cache (bench/per_example.py --most-rows)."""
FEW_ROWS = 64
"""Examples of one pass whose outputs are wider than that."""
MOST_POSITIONS = 4096
"""Positions of one pass, padding included."""
MOST_ENTRIES = 2**26
"""Positions times the longest side of any parameter (the vocabulary): bounds the logits of one pass."""


def squared_gradient_sum(model: Model, rows: Rows, *, job: Job) -> dict[str, Tensor]:
    """Return, by name, the sum over rows of the squared gradient of each row's mean loss (total_loss / length)."""
    return _summed(model, rows, job, ghost.squares)


def gradient_size_sum(model: Model, rows: Rows, *, job: Job) -> dict[str, Tensor]:
    """Return, by name, the sum over rows of the absolute value of the gradient of each row's mean loss, entry by entry."""
    return _summed(model, rows, job, ghost.sizes)


def _summed(
    model: Model, rows: Rows, job: Job, of: Callable[[Sequence[ghost.Use], int, torch.Size], Tensor]
) -> dict[str, Tensor]:
    named = trainable(model.module)
    found = {name: torch.zeros_like(p, dtype=_wide(p.dtype)) for name, p in named.items()}

    def add(indices: list[int], uses: Uses) -> None:
        for name, used in uses.items():
            found[name] += of(used, len(indices), named[name].shape)

    _every_pass(model, rows, job, add)
    return {name: total(value) for name, value in found.items()}


def gradient_norms(model: Model, rows: Rows, *, job: Job) -> tuple[Tensor, Tensor]:
    """Return two numbers a row of the gradient of its mean loss: its L2 norm, and the mean over parameters of their L2 norms.

    The second is the standard framework's gradient norm. A parameter that no loss depends on does not count in its mean.
    """
    named = trainable(model.module)

    def both(uses: Uses, count: int) -> Tensor:
        each = torch.stack([ghost.norms(of, count, named[name].shape) for name, of in uses.items()])
        return torch.stack([torch.linalg.vector_norm(each, dim=0), each.mean(0)], dim=1)

    values = _by_row(model, rows, job, both)
    return values[:, 0], values[:, 1]


def gradient_dots(model: Model, rows: Rows, direction: Mapping[str, Tensor], *, job: Job) -> Tensor:
    """Return the inner product of each row's gradient of its mean loss with `direction` (by parameter name), (rows,)."""

    def dots(uses: Uses, count: int) -> Tensor:
        parts = [use.dot(direction[name]) for name, of in uses.items() if name in direction for use in of]
        return torch.stack([torch.zeros(count, device=model.device), *parts]).sum(0)[:, None]

    return _by_row(model, rows, job, dots)[:, 0]


def gradient_products(model: Model, rows: Rows, directions: Mapping[str, Tensor], *, job: Job) -> Tensor:
    """Return the inner product of each row's gradient with each of k directions, (k, *shape) by parameter name, (rows, k).

    One pass over the rows however many directions there are; gradients are written out a block at a time.
    """
    flat = {name: value.flatten(1).T for name, value in directions.items()}
    some = next(iter(flat.values()))
    count = some.shape[1]

    def products(uses: Uses, size: int) -> Tensor:
        found = some.new_zeros(size, count)
        for name, of in uses.items():
            if name in flat:
                shape = directions[name].shape[1:]
                parts = ghost.blocks(size, shape.numel())
                found += torch.cat([ghost.write_out(of, part, shape).flatten(1) @ flat[name] for part in parts])
        return found

    return _by_row(model, rows, job, products).reshape(len(rows), count)


def gradients(model: Model, rows: Rows, *, job: Job) -> dict[str, Tensor]:
    """Return the gradient of each row's mean loss, (rows, *shape) by name: for a few rows, since all of it is held."""
    named = trainable(model.module)

    def whole(uses: Uses, size: int) -> Tensor:
        pieces = [
            ghost.write_out(uses[name], slice(None), p.shape).flatten(1)
            if name in uses
            else torch.zeros(size, p.numel(), device=p.device)
            for name, p in named.items()
        ]
        return torch.cat(pieces, dim=1)

    table = _by_row(model, rows, job, whole).to(model.device)
    pieces = torch.split(table, [p.numel() for p in named.values()], dim=1)
    return {name: piece.view(len(rows), *p.shape) for (name, p), piece in zip(named.items(), pieces, strict=True)}


def _by_row(model: Model, rows: Rows, job: Job, numbers: Callable[[Uses, int], Tensor]) -> Tensor:
    """Return `numbers(uses, count)`, (rows of a pass, k), of all rows in their order, on the CPU, from every process."""
    own: list[tuple[list[int], Tensor]] = []
    _every_pass(model, rows, job, lambda indices, uses: own.append((indices, numbers(uses, len(indices)).cpu())))
    shares = [part for share in gather_objects(own) for part in share]
    if not shares:
        return torch.zeros(0, 2)
    order = torch.tensor([i for indices, _ in shares for i in indices])
    return torch.cat([values for _, values in shares])[order.argsort()]


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _widest_side(model: Model) -> int:
    """Return the longest side of any parameter; of a language model the vocabulary."""
    return max((max(p.shape, default=1) for p in model.module.parameters()), default=1)


def _most_rows(model: Model, rows: Rows, noise: RowNoise, job: Job) -> int:
    """Return how many examples one pass takes; a forward pass of one row says how wide outputs are, where logits alone do not."""
    few = min(FEW_ROWS, MOST_ROWS)
    if len(rows) <= few:
        return few
    if model.question_cost(model.questions(rows[:1])[0]) * _widest_side(model) > MOST_OUTPUTS // FEW_ROWS:
        return few
    one = model.pack_apart(rows[:1])
    widest = widest_output(model.module, lambda: mean_losses(model, one, noise.draw([0]), job))
    return min(MOST_ROWS, max(FEW_ROWS, MOST_OUTPUTS // max(1, widest)))


def _plan(model: Model, rows: Rows, most_rows: int) -> list[list[int]]:
    """Return this process's passes: rows of near-equal length together, each within the bounds on rows, positions and logits."""
    most = max(1, min(MOST_POSITIONS, MOST_ENTRIES // _widest_side(model)))
    mine = my_share(len(rows))
    costs = {}
    for i, question in zip(mine, model.questions([rows[i] for i in mine]), strict=True):
        if len(question.answers) > 1:
            name, answer = next(iter(question.answers.items()))
            question = question._replace(answers={name: answer})
        costs[i] = model.question_cost(question)
    passes: list[list[int]] = []
    for i in sorted(mine, key=costs.__getitem__):
        # ascending, so that the newest row is the longest of its pass
        if not passes or len(passes[-1]) == most_rows or (len(passes[-1]) + 1) * costs[i] > most:
            passes.append([])
        passes[-1].append(i)
    return passes


def _every_pass(model: Model, rows: Rows, job: Job, take: Callable[[list[int], Uses], None]) -> None:
    """Call `take(row indices, every parameter's uses)` pass by pass, in eval mode."""
    keep_memory()
    noise = RowNoise.of(model, rows, job)
    first: Pass | None = None
    reason = ""
    with evaluating(model.module), torch.enable_grad():
        plan = _plan(model, rows, _most_rows(model, rows, noise, job))
        for indices in job.progress.track(plan, total=len(plan), label="gradients"):
            if not reason:
                try:
                    now = _together(model, rows, indices, noise, job)
                    _check(model, rows, indices, noise, job, now, first)
                    first = first or now
                except Unsupported as error:
                    reason = str(error)
                    job.notes["per_example"] = f"one row at a time: {reason}"
            if not reason:
                take(indices, now.uses)
                continue
            for i in indices:
                alone = _alone(model, rows, i, noise, job)
                take([i], {name: [Written(value[None])] for name, value in alone.items()})


def _together(model: Model, rows: Rows, indices: list[int], noise: RowNoise, job: Job) -> Pass:
    batch = model.pack_apart([rows[i] for i in indices])
    drawn = noise.draw(indices)
    with captured(model.module, batch) as capture:
        try:
            losses = mean_losses(model, batch, drawn, job)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            if not capture.stand_ins:
                raise
            unknown = ", ".join(capture.stand_ins)
            raise Unsupported(f"{unknown} cannot run with a copy of a parameter an example: {error}") from error
        return capture.read(losses)


def _alone(model: Model, rows: Rows, index: int, noise: RowNoise, job: Job) -> dict[str, Tensor]:
    """Return one row's gradient by plain autograd, without the parameters that its loss does not depend on."""
    named = trainable(model.module)
    losses = mean_losses(model, model.pack_apart([rows[index]]), noise.draw([index]), job)
    values = torch.autograd.grad(losses.sum(), list(named.values()), allow_unused=True)
    return {name: v.to(_wide(v.dtype)) for name, v in zip(named, values, strict=True) if v is not None}


def _check(
    model: Model, rows: Rows, indices: list[int], noise: RowNoise, job: Job, now: Pass, first: Pass | None
) -> None:
    """Raise Unsupported where a pass cannot be trusted.

    The first pass is compared with autograd on its first and last row. That finds wrong reading (a weight used outside its layer, rows
    mixed up), not rounding: entries are held to 0.1% of the parameter's largest, or a millionth of the model's where a
    gradient is zero but for rounding (more in half precision). Later passes must count first dimensions as the first did.
    """
    if first is not None:
        if len(first.layout) != len(now.layout) or not all(
            a & b for a, b in zip(first.layout, now.layout, strict=True)
        ):
            raise Unsupported("a layer's first dimension counts other things in one pass than in another")
        return
    for at in sorted({0, len(indices) - 1}):
        wanted = _alone(model, rows, indices[at], noise, job)
        largest = max((float(value.abs().max()) for value in wanted.values()), default=0.0)
        for name in dict.fromkeys([*wanted, *now.uses]):
            value = wanted.get(name)
            if value is not None and name in now.uses:
                found = ghost.write_out(now.uses[name], slice(at, at + 1), value.shape)[0]
                bound = max(max(1e-3, 8 * now.eps) * float(value.abs().max()), max(1e-6, now.eps / 8) * largest)
                if float((found - value).abs().max()) <= bound:
                    continue
            raise Unsupported(f"the gradient of {name!r} read off its layer is not autograd's")
