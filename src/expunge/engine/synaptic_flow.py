"""Synaptic flow: what passes through each weight when a network carries ones from its input to its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.engine.gradients import evaluating
from expunge.engine.inputs import input_of, moved_to
from expunge.engine.prune import prunable
from expunge.engine.select import Portion
from expunge.facts.errors import InputError

NORMS = (nn.GroupNorm, nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d)


def _passed_through(_: nn.Module, given: tuple[Any, ...], __: Any) -> Any:
    return given[0]


@contextmanager
def _without_norms(module: nn.Module) -> Iterator[None]:
    """Let norms hand on what they are given: one that divides by its input's size makes every product of paths 1."""
    handles = [part.register_forward_hook(_passed_through) for part in module.modules() if isinstance(part, NORMS)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def flows(model: Model, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Return R, the sum of the logits of an input of ones, and theta dR/dtheta of every prunable weight by name.

    `model` holds absolute values, so that with rectifiers R is a sum over paths of products of weights.
    """
    named = prunable(model.module)
    with _without_norms(model.module), evaluating(model.module), torch.enable_grad():
        through = model.logits(moved_to(batch, torch.ones_like(input_of(batch)))).sum()
        gradients = torch.autograd.grad(through, list(named.values()))
    return through.detach(), {name: (p.detach() * g) for (name, p), g in zip(named.items(), gradients, strict=True)}


def kept_by_flow(model: Model, batch: Batch, *, sparsity: float, rounds: int, job: Job) -> Mapping[str, Tensor]:
    """Return, by name, scores whose highest 1 - sparsity are what is left after pruning in `rounds`, (1 - sparsity)^(k/rounds) each.

    Weights that an earlier round pruned score zero. Works on a copy in double precision.
    """
    twin = model.copy()
    twin.module.double()
    with torch.no_grad():
        for parameter in twin.module.parameters():
            parameter.abs_()
    batch = moved_to(batch, input_of(batch)[:1].double())
    scores: dict[str, Tensor] = {}
    for done in job.progress.track(range(1, rounds + 1), total=rounds, label="synaptic flow"):
        through, scores = flows(twin, batch)
        if not bool(torch.isfinite(through)):
            raise InputError("the synaptic flow of this network is not finite", do="use one_shot_pruning")
        kept = Portion(ratio=(1.0 - sparsity) ** (done / rounds)).mask(scores).entries
        with torch.no_grad():
            for name, parameter in prunable(twin.module).items():
                parameter.mul_(kept[name])
        scores = {name: value * kept[name] for name, value in scores.items()}
    return scores
