"""Train many models of one architecture in one vectorised loop: what `fit` does to each, at a fraction of its time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.engine.fit import fit
from expunge.engine.folding import Folding
from expunge.engine.loop import keep_memory, optimiser, rate
from expunge.engine.order import cut, ordered
from expunge.engine.widest import widest_output
from expunge.facts.errors import ContractBroken, InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows

MOST_ENTRIES = 2**23
"""Parameters held at once, over all models of a loop: beyond, models are trained a few at a time. Four times as many took 1.3 times as
long (64 MLPs 784-256-256-10, one core): they no longer stay in the processor's cache."""
MOST_OUTPUTS = 2**21
"""Entries of the widest layer's output over all models of a loop. CNNs took longer a model beyond these 8 MiB, and much longer from 32 MiB
on: memory is then asked of the system anew, page by page, at every step (bench/shadows.py --uncut)."""
FEWEST = 4
"""Models to a loop where outputs allow fewer: then arithmetic is most of a step, and one model after another is as fast or faster."""


def trains_together(model: Model) -> bool:
    """True where many such models can be trained in one loop: one answer a row, parameters and no buffers, no noise of their own."""
    # stochastic depth has a class a library, and a `drop_prob` in each
    noisy = any(isinstance(part, nn.Dropout) or getattr(part, "drop_prob", 0) for part in model.module.modules())
    return model.capabilities.predictions and not noisy and next(model.module.buffers(), None) is None


class _Losses(nn.Module):
    """A model's losses as a function of its parameters: `functional_call` swaps them inside the adapter's own module."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model, self.module = model, model.module

    def forward(self, x: Tensor, targets: Tensor) -> Tensor:
        """Return one loss an example, (examples,)."""
        owner = torch.arange(len(targets), device=targets.device)
        with Folding() if x.device.type == "cpu" else nullcontext():
            return self.model.total_loss(Batch({"x": x}, targets, owner, len(targets)))


def fit_many(models: Sequence[Model], rows: Sequence[Rows], recipes: Sequence[Recipe], *, job: Job) -> None:
    """Train `models[i]` in place on `rows[i]` by `recipes[i]`; recipes may differ in their seed alone.

    Each model sees its own rows in its own order, takes its own clipped steps and ends at its own `stop_loss`, so that its weights are
    those that `fit` gives it but for rounding. One forward and backward of `torch.func.vmap` serves a step of all models that
    have as many batches an epoch. Where one model's layers alone fill the processor, models are trained by `fit`, one after another.
    """
    if len({recipe.model_copy(update={"seed": 0}) for recipe in recipes}) != 1:
        raise InputError("models that are trained together need recipes that differ in their seed alone")
    if not all(trains_together(model) and recipes[0].precision == "float32" for model in models):
        raise InputError(f"{models[0].modality} models of this kind cannot be trained together", do="train one by one")
    parameters = sum(p.numel() for p in models[0].module.parameters())
    widest = widest_output(models[0].module, lambda: models[0].total_loss(models[0].pack(rows[0][:1])))
    outputs = min(recipes[0].batch_size, max(map(len, rows))) * widest
    fitting = MOST_OUTPUTS // max(1, outputs)
    if fitting < FEWEST:
        for model, own, recipe in zip(models, rows, recipes, strict=True):
            fit(model, own, recipe, job=job)
        return
    most = max(1, min(MOST_ENTRIES // max(1, parameters), fitting))
    lengths = [math.ceil(len(own) / recipes[0].batch_size) for own in rows]
    for length in sorted(set(lengths)):
        for part in cut([i for i, found in enumerate(lengths) if found == length], most):
            _together([models[i] for i in part], [rows[i] for i in part], [recipes[i] for i in part], job)


def _together(models: list[Model], rows: list[Rows], recipes: list[Recipe], job: Job) -> None:
    """Train models that have as many batches an epoch."""
    keep_memory()
    recipe = recipes[0]
    every = {row.id: row for own in rows for row in own}
    place = {row_id: i for i, row_id in enumerate(every)}
    packed = models[0].pack(list(every.values()))
    x, targets = packed.inputs["x"], packed.targets
    for model in models:
        model.module.train(True)
    stacked, _ = stack_module_state([model.module for model in models])
    held = {name: _channels_last(value.detach()).requires_grad_(True) for name, value in stacked.items()}
    single = _Losses(models[0])

    def losses(own: dict[str, Tensor], x: Tensor, targets: Tensor) -> Tensor:
        found: Tensor = functional_call(single, {f"module.{name}": value for name, value in own.items()}, (x, targets))
        return found

    every_loss = vmap(losses)
    # entry by entry an optimiser over stacked parameters is one a model; a vector (norm, bias) has two axes here
    rule = optimiser(list(held.values()), recipe.optimiser, lr=recipe.lr, weight_decay=recipe.weight_decay,
                     momentum=recipe.momentum, vector=2)  # fmt: skip
    length = math.ceil(len(rows[0]) / recipe.batch_size)
    counts = torch.tensor([float(len(own)) for own in rows], device=x.device)
    running = torch.ones(len(models), dtype=torch.bool, device=x.device)
    for epoch in job.progress.track(range(recipe.epochs), total=recipe.epochs, label=f"training {len(models)} models"):
        sums = torch.zeros(len(models), device=x.device)
        for step, (index, inside) in enumerate(_batches(rows, recipes, epoch, place)):
            factor = rate(epoch * length + step, recipe.epochs * length, recipe.warmup, recipe.schedule)
            for group in rule.param_groups:
                group["lr"] = recipe.lr * factor
            each = every_loss(held, x[index], targets[index]) * inside.to(x)
            loss = each.sum(1) / inside.to(x).sum(1)
            if not bool(torch.isfinite(loss[running]).all()):
                raise ContractBroken(f"training together: a loss is not finite in epoch {epoch}", do="lower lr")
            rule.zero_grad(set_to_none=True)
            loss[running].sum().backward()  # type: ignore[no-untyped-call]
            _clip(held, recipe.clip)
            _step(rule, held, running)
            sums += each.detach().sum(1)
        if recipe.stop_loss is not None:
            running &= sums / counts >= recipe.stop_loss
            if not bool(running.any()):
                break
    _write(models, held)
    job.notes["trained_together"] = len(models)


def _batches(
    rows: Sequence[Rows], recipes: Sequence[Recipe], epoch: int, place: dict[str, int]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, a step, where each model's rows stand, (models, rows), and which of these places are filled."""
    size = recipes[0].batch_size
    cuts = [
        cut([place[own[i].id] for i in ordered(own, recipe.seed, epoch)], size)
        for own, recipe in zip(rows, recipes, strict=True)
    ]
    for parts in zip(*cuts, strict=True):
        widest = max(map(len, parts))
        yield (
            torch.tensor([[*part, *[part[0]] * (widest - len(part))] for part in parts]),
            torch.tensor([[i < len(part) for i in range(widest)] for part in parts]),
        )


def _channels_last(value: Tensor) -> Tensor:
    """Return a copy; kernels of images (models, outputs, channels, h, w) with channels last in memory, as the loop's images have them."""
    if value.ndim != 5:
        return value.clone()
    return value.permute(0, 1, 3, 4, 2).clone(memory_format=torch.contiguous_format).permute(0, 1, 4, 2, 3)


@torch.no_grad()
def _clip(held: dict[str, Tensor], most: float | None) -> None:
    """Scale each model's gradient to a norm of at most `most`, as `clip_grad_norm_` does to one."""
    if most is None:
        return
    found = [value.grad for value in held.values() if value.grad is not None]
    norms = torch.stack([torch.linalg.vector_norm(grad, dim=tuple(range(1, grad.ndim))) for grad in found])
    factor = (most / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1.0)
    for grad in found:
        grad.mul_(factor.view(-1, *[1] * (grad.ndim - 1)))


@torch.no_grad()
def _step(rule: torch.optim.Optimizer, held: dict[str, Tensor], running: Tensor) -> None:
    """Take a step, and put back the weights of models that have ended: momentum and decay would move them on."""
    if bool(running.all()):
        rule.step()
        return
    before = {name: value[~running].clone() for name, value in held.items()}
    rule.step()
    for name, value in held.items():
        value[~running] = before[name]


@torch.no_grad()
def _write(models: Sequence[Model], held: dict[str, Tensor]) -> None:
    for i, model in enumerate(models):
        for name, parameter in model.module.named_parameters():
            parameter.copy_(held[name][i])
        model.module.train(False)
