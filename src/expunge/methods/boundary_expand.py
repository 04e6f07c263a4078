"""Boundary expand: hand the forget rows to an extra class, and then take the class away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend
from expunge.facts.errors import InputError

EXTRA = ("extra_weight", "extra_bias")
"""Names of the extra output's parameters while it is there."""


@contextmanager
def one_more_output(model: Model, generator: torch.Generator) -> Iterator[Mask]:
    """Give the head one more output, drawn as a linear layer is; yield a mask of its parameters, and prune it on leaving."""
    name = next(iter(model.sites().head), "")
    head = model.module.get_submodule(name)
    if not name or not isinstance(head, nn.Linear):
        raise InputError("an output is added to a linear head, and this model has none", do="use boundary_shrink")
    reach = head.in_features**-0.5
    for own, shape in zip(EXTRA, ((1, head.in_features), (1,)), strict=True):
        drawn = (2 * torch.rand(shape, generator=generator) - 1) * reach
        head.register_parameter(own, nn.Parameter(drawn.to(head.weight)))

    def widen(module: nn.Module, given: tuple[Tensor, ...], outputs: Tensor) -> Tensor:
        weight, bias = (getattr(module, own) for own in EXTRA)
        return torch.cat([outputs, nn.functional.linear(given[0], weight, bias)], dim=-1)

    handle = head.register_forward_hook(widen)
    try:
        yield Mask({f"{name}.{own}": torch.ones_like(getattr(head, own), dtype=torch.bool) for own in EXTRA})
    finally:
        handle.remove()
        for own in EXTRA:
            delattr(head, own)


@dataclass(frozen=True, kw_only=True)
class BoundaryExpand:
    """Add an output for a class that does not exist, train the forget rows to it, and prune it.

    The extra class draws the forget rows out of their own region; without it they fall to whichever real class is left next to
    them. Loss: mean over forget rows of -log p(extra class), over K + 1 classes.

    Source: Chen et al. 2023. Differs: see `differs`. Reads forget. Moves every parameter in scope. Cost: one forward and backward a step
    over forget rows.
    """

    about = About(
        needs=("forget", "logits", "sites"),
        modalities=("vision", "tabular"),
        claim="Forgets a whole class from its forget rows alone, faster than boundary shrink, and keeps the other classes.",
        paper="Boundary Unlearning: Rapid Forgetting of Deep Networks via Shifting the Decision Boundary",
        link="https://arxiv.org/abs/2303.11570",
        year=2023,
        differs=(
            "AdamW where the paper has SGD.",
            "Pruned, as in the paper: a widely used copy keeps the extra output, by which forget rows are answered with no class.",
            "On digits (5 targets) 13% of the class comes back with the pruning, and retain accuracy falls to 97.7% (after a search "
            "to 95.2%): behind boundary shrink on both.",
        ),
        cost="1 forward + 1 backward over forget rows a step",
        search={"lr": ("log", 1e-4, 1e-2)},
    )

    descent: Descent = Descent(lr=1e-3, epochs=3)
    """Optimiser settings."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model without the extra output."""
        with one_more_output(model, job.generator) as extra:

            def loss(step: Step) -> Tensor:
                logits = model.logits(step.forget_batch)
                return step.forget_mean(-torch.log_softmax(logits.float(), dim=-1)[:, -1])

            if job.mask is not None:
                job = replace(job, mask=Mask({**job.mask.entries, **extra.entries}))
            descend(model, job, self.descent, loss, forget=splits.forget)
        return model
