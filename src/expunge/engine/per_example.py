"""Gradients example by example, from one forward and one backward pass over many: norms, squares, inner products."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine import ghost
from expunge.engine.capture import Unsupported, Uses, captured
from expunge.engine.ghost import Written
from expunge.engine.order import cut
from expunge.engine.parallel import gather_objects, my_share, total
from expunge.facts.rows import Rows

MOST_ROWS = 64
"""Examples of one pass."""
MOST_POSITIONS = 4096
"""Positions of one pass, padding included."""
MOST_ENTRIES = 2**26
"""Positions times the longest side of any parameter (the vocabulary): bounds the logits of one pass."""
CHECKED = 2
"""Examples of the first pass whose gradients are compared with plain autograd."""


def squared_gradient_sum(model: Model, rows: Rows, *, job: Job) -> dict[str, Tensor]:
    """Return, by name, the sum over rows of the squared gradient of each row's mean loss (total_loss / length)."""
    named = _trainable(model.module)
    found = {name: torch.zeros_like(p, dtype=_wide(p)) for name, p in named.items()}
    for indices, uses in _passes(model, rows, job):
        for name, of in uses.items():
            found[name] += ghost.squares(of, len(indices), named[name].shape)
    return {name: total(value) for name, value in found.items()}


def gradient_norms(model: Model, rows: Rows, *, job: Job) -> tuple[Tensor, Tensor]:
    """Return two numbers a row of the gradient of its mean loss: its L2 norm, and the mean over parameters of their L2 norms.

    The second is the standard framework's gradient norm. A parameter that no loss depends on does not count in its mean.
    """

    def both(uses: Uses, count: int, named: Mapping[str, nn.Parameter]) -> Tensor:
        each = torch.stack([ghost.norms(of, count, named[name].shape) for name, of in uses.items()])
        return torch.stack([torch.linalg.vector_norm(each, dim=0), each.mean(0)], dim=1)

    named = _trainable(model.module)
    values = _by_row(rows, [(i, both(uses, len(i), named)) for i, uses in _passes(model, rows, job)], 2)
    return values[:, 0], values[:, 1]


def gradient_dots(model: Model, rows: Rows, direction: Mapping[str, Tensor], *, job: Job) -> Tensor:
    """Return the inner product of each row's gradient of its mean loss with `direction`, by parameter name, (rows,)."""

    def dots(uses: Uses, count: int) -> Tensor:
        parts = [use.dot(direction[name]) for name, of in uses.items() if name in direction for use in of]
        return torch.stack(parts).sum(0)[:, None] if parts else torch.zeros(count, 1)

    return _by_row(rows, [(i, dots(uses, len(i))) for i, uses in _passes(model, rows, job)], 1)[:, 0]


def _by_row(rows: Rows, parts: list[tuple[list[int], Tensor]], width: int) -> Tensor:
    """Return values of all rows in their order, from every process's parts."""
    found = torch.zeros(len(rows), width)
    for share in gather_objects([(indices, values.detach().cpu()) for indices, values in parts]):
        for indices, values in share:
            found = found.to(values.dtype)
            found[indices] = values
    return found


def _wide(parameter: Tensor) -> torch.dtype:
    return torch.promote_types(parameter.dtype, torch.float32)


def _trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put every part in eval mode inside, so that no dropout draws and no statistics move, and back on leaving."""
    training = [part for part in module.modules() if part.training]
    module.train(False)
    try:
        yield
    finally:
        for part in training:
            part.training = True


@dataclasses.dataclass(frozen=True)
class _Task:
    """Rows whose noise is a row's own, so that no number depends on how rows are put together in passes."""

    model: Model
    rows: Rows
    seeds: list[int] | None

    @classmethod
    def of(cls, model: Model, rows: Rows, job: Job) -> _Task:
        noisy = len(rows) and model.noise(model.pack_apart(rows[:1]), torch.Generator()) is not None
        drawn = torch.randint(2**62, (len(rows),), generator=job.generator).tolist() if noisy else None
        return cls(model, rows, drawn)

    def noise(self, indices: list[int]) -> Tensor | None:
        """Return the noise of some rows, each drawn from the row's own seed."""
        if self.seeds is None:
            return None
        drawn = []
        for i in indices:
            own = torch.Generator().manual_seed(self.seeds[i])
            drawn.append(self.model.noise(self.model.pack_apart([self.rows[i]]), own))
        return torch.cat([one for one in drawn if one is not None])

    def together(self, indices: list[int], job: Job) -> tuple[Uses, tuple[frozenset[str], ...]]:
        """Return every parameter's uses from one pass, and how the layers' first dimensions count."""
        batch = self.model.pack_apart([self.rows[i] for i in indices])
        noise = self.noise(indices)
        with captured(self.model.module, batch) as capture:
            try:
                with job.autocast():
                    losses = self.model.total_loss(batch, noise)
            except (RuntimeError, ValueError, TypeError, IndexError) as error:
                # with stand-ins for parameters the forward may fail; without them the loop shows whether it really does
                raise Unsupported(f"the forward pass with a parameter copy an example fails: {error}") from error
            uses = capture.uses(losses / batch.lengths().clamp_min(1))
        return uses, tuple(capture.layout)

    def alone(self, index: int, job: Job) -> dict[str, Tensor]:
        """Return one row's gradient by plain autograd; parameters that its loss does not depend on are left out."""
        named = _trainable(self.model.module)
        batch = self.model.pack_apart([self.rows[index]])
        with job.autocast():
            losses = self.model.total_loss(batch, self.noise([index])) / batch.lengths().clamp_min(1)
        values = torch.autograd.grad(losses.sum(), list(named.values()), allow_unused=True)
        return {name: value for name, value in zip(named, values, strict=True) if value is not None}


def _plan(model: Model, rows: Rows) -> list[list[int]]:
    """Return passes: rows of near-equal length together, each pass within the bounds on rows, positions and logits."""
    widest = max((max(p.shape, default=1) for p in model.module.parameters()), default=1)
    most = max(1, min(MOST_POSITIONS, MOST_ENTRIES // widest))
    mine = my_share(len(rows))
    costs = {}
    for i, question in zip(mine, model.questions([rows[i] for i in mine]), strict=True):
        first = next(iter(question.answers.items()))
        costs[i] = model.question_cost(dataclasses.replace(question, answers=dict([first])))
    passes: list[list[int]] = []
    for i in sorted(mine, key=lambda i: costs[i]):
        # ascending, so that the newest row is the longest of its pass
        if not passes or len(passes[-1]) == MOST_ROWS or (len(passes[-1]) + 1) * costs[i] > most:
            passes.append([])
        passes[-1].append(i)
    return passes


def _disagrees(uses: Uses, at: int, wanted: dict[str, Tensor]) -> str:
    """Return the first parameter whose gradient of example `at` is not what autograd gives, or an empty string.

    This finds wrong reading (a weight used outside its layer, rows mixed up), not rounding: entries are held to 1% of the
    parameter's largest, or 0.01% of the model's where a gradient is zero but for rounding.
    """
    largest = max((float(value.abs().max()) for value in wanted.values()), default=0.0)
    for name in dict.fromkeys([*wanted, *uses]):
        if name not in wanted or name not in uses:
            return name
        value = wanted[name]
        found = ghost.write_out(uses[name], slice(at, at + 1), value.shape)[0]
        bound = max(0.01 * float(value.abs().max()), 0.0001 * largest)
        if float((found - value).abs().max()) > bound:
            return name
    return ""


def _passes(model: Model, rows: Rows, job: Job) -> Iterator[tuple[list[int], Uses]]:
    """Yield (row indices, every parameter's uses), pass by pass.

    Layers are read in one pass where they can be; the first pass is compared with plain autograd on some of its rows, and later ones
    must count their first dimensions as it did. Else every row runs alone, which `job.notes["per_example"]` says.
    """
    with evaluating(model.module), torch.enable_grad():
        task = _Task.of(model, rows, job)
        plan = _plan(model, rows)
        known: tuple[frozenset[str], ...] | None = None
        reason = ""
        for indices in job.progress.track(plan, total=len(plan), label="gradients"):
            if not reason:
                try:
                    uses, layout = task.together(indices, job)
                    reason = _check(task, indices, uses, layout, known, job)
                    known = layout if known is None else known
                except Unsupported as error:
                    reason = str(error)
            if not reason:
                yield indices, uses
                continue
            job.notes["per_example"] = f"one row at a time: {reason}"
            for i in indices:
                alone = task.alone(i, job)
                yield [i], {name: [Written(value[None])] for name, value in alone.items()}


def _check(
    task: _Task,
    indices: list[int],
    uses: Uses,
    layout: tuple[frozenset[str], ...],
    known: tuple[frozenset[str], ...] | None,
    job: Job,
) -> str:
    """Return why a pass cannot be trusted, or an empty string."""
    if known is not None:
        same = len(known) == len(layout) and all(a & b for a, b in zip(known, layout, strict=True))
        return "" if same else "a layer's first dimension counts other things in one pass than in another"
    for at in sorted({0, len(indices) - 1} if CHECKED > 1 else {0}):
        name = _disagrees(uses, at, task.alone(indices[at], job))
        if name:
            return f"the gradient of {name!r} read off its layer is not autograd's"
    return ""
