"""Fisher forgetting: noise where the retain rows do not need the weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.edit import write
from expunge.engine.fisher import expected_fisher

LARGEST = 1e3
"""Largest inverse Fisher information of an entry before it is scaled by alpha."""
LARGEST_OF_HEAD = 1e2
"""The same in the head."""
GONE = 1e-4
"""Variance of the head's entries of a class that is wholly to be forgotten, around zero."""
SPREAD = 10.0
"""Factor on the variance of the head, of norms and of biases."""


@dataclass(frozen=True, kw_only=True)
class FisherForgetting:
    """Add Gaussian noise to every weight, the more the less the retain rows depend on it; no training.

    theta + N(0, v), with F the Fisher information of the retain rows, E_x E_{y ~ p(y|x)} (d log p(y|x) / d theta)^2, and
    v = alpha * min(1 / (F + 1e-8), 1e3), the cap being 1e2 in the head; v is averaged over each output's inputs, and ten times larger
    in the head, in norms and in biases. The head's entries of a class that no retain row bears are drawn from N(0, 1e-3) instead.

    Source: Golatkar et al. 2020 and its code. Differs: see `differs`. Reads forget (labels) and retain. Moves every parameter in scope.
    Cost: see `cost`.
    """

    about = About(
        needs=("forget", "retain", "logits", "gradients", "sites"),
        modalities=("vision", "tabular"),
        claim="Noise shaped by the retain rows' Fisher information takes the forget rows away at little cost to the retain rows.",
        paper="Eternal Sunshine of the Spotless Net: Selective Forgetting in Deep Networks",
        link="https://arxiv.org/abs/1911.04933",
        year=2020,
        scope=("full", "layers"),
        differs=(
            "The head is found by its name; published code takes any layer of as many outputs as classes for it.",
            "A class counts as wholly to be forgotten where forget rows bear it and no retain row does; published code is told.",
            "The claim does not hold on digits: a class goes by the head's reset alone; without it noise that keeps retain rows (99.8%) "
            "leaves the class whole, and noise that takes the class away on four targets of five takes retain rows to 11%.",
        ),
        cost="1 forward + 1 backward over retain rows for each class, once",
        search={"alpha": ("log", 1e-8, 1e-3)},
        inert_when={"reset_classes": "every class of the forget rows is also borne by a retain row"},
        allowances={
            "split forget": "only the classes that no retain row bears are read of it (in the check there are none)",
        },
    )

    alpha: float = 1e-7
    """Scale of the variance."""
    reset_classes: bool = True
    """Whether the head's entries of a class that no retain row bears are drawn anew around zero."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model with noise added."""
        retain = splits.retain
        kept = set(model.pack(retain).targets.tolist())
        asked = set(model.pack(splits.forget).targets.tolist())
        gone = sorted(asked - kept) if self.reset_classes else []
        fisher = expected_fisher(model, retain, job=job)
        head = tuple(f"{name}." for name in model.sites().head)
        for name, parameter in model.module.named_parameters():
            if name not in fisher:
                continue
            in_head = name.startswith(head)
            variance = self.alpha * (1 / (fisher[name] + 1e-8)).clamp(max=LARGEST_OF_HEAD if in_head else LARGEST)
            if variance.ndim > 1:
                variance = variance.mean(dim=1, keepdim=True).expand_as(parameter).clone()
            mean = parameter.detach().clone()
            if in_head:
                mean[gone], variance[gone] = 0.0, GONE
            if in_head or parameter.ndim == 1:
                variance = SPREAD * variance
            noise = torch.randn(parameter.shape, generator=job.generator).to(parameter)
            write(job, name, parameter, mean + variance.sqrt().to(parameter) * noise)
        job.notes["classes_gone"] = gone
        return model
