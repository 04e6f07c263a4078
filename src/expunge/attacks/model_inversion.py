"""Ask the model to draw what it should no longer know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.asking import success_outcome
from expunge.engine.inputs import input_gradient, input_of, moved_to
from expunge.engine.penultimate import read_with
from expunge.facts.errors import InputError
from expunge.facts.record import Outcome
from expunge.statistics.clusters import FloatArray

LOOKS = 4
"""Points of the curve."""


@dataclass(frozen=True, kw_only=True)
class ModelInversion:
    """Climb from noise to an input that the model gives a forget row's label, and let a judge say whether it shows that class.

    Each forget row has a start of its own. Adam minimises -log p(label) + penalty * |x - mean|^2 with x kept in the range of the rows
    that the judge knows (retain and holdout). A confident model is fooled by noise too, so not the model judges but class means that it
    had no part in: the row succeeds where the input's direction from the mean of all judges' rows is nearest (cosine) to that of its
    class, among the classes of retain and holdout rows. Length says nothing: inverted inputs are paler or louder than real ones.

    Source: Fredrikson et al. 2015. Differs: see `differs`. Cost: `steps` forward and backward passes over the starts.
    """

    about = About(
        needs=("forget", "logits", "retain", "holdout", "model"),
        modalities=("vision", "tabular"),
        claim="From a target it draws the class that must go, and from a retrained model another.",
        paper="Model Inversion Attacks that Exploit Confidence Information and Basic Countermeasures",
        link="https://doi.org/10.1145/2810103.2813677",
        year=2015,
        differs=(
            "A start a forget row, and a judge made of rows; the paper asks people to recognise one reconstruction a class.",
            "No denoiser between steps.",
            "A class of digits hidden behind a relabelled head came out of one target; over five others no more than of retrained models "
            "(.02, -.03 to .07): the head is what it climbs.",
        ),
        battery="full",
        cost="steps forward and backward passes over as many inputs as there are forget rows",
    )

    steps: int = 200
    """Optimiser steps."""
    lr: float = 0.05
    """Learning rate of Adam, on the scale that the network reads."""
    penalty: float = 0.01
    """Weight of the squared distance from the mean of the rows that the judge knows."""
    retain_rows: int = 2000
    """Retain rows that the judge knows, at most."""
    item_control: bool = True
    """Attack the holdout rows of the same model too: the control where no other model is one, at twice the cost."""

    def __post_init__(self) -> None:
        if min(self.steps, self.retain_rows) < 1 or self.lr <= 0 or self.penalty < 0:
            raise ValueError("steps, retain_rows and lr must be positive and penalty not negative")

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return 1 a row whose drawing the judge takes for its class."""
        curves: dict[str, list[tuple[float, float]]] = {}

        def attempt(split: str) -> FloatArray:
            model = probe.model()
            real = model.pack(read_with(evidence, probe, split, self.retain_rows))
            known, start = input_of(real).flatten(1), model.pack(evidence.rows[split])
            directions, classes = _judge(known, real.targets)
            middle, low, high = known.mean(0), known.amin(0), known.amax(0)
            noise = torch.randn(input_of(start).flatten(1).shape, generator=probe.generator).to(known)
            x = (middle + known.std(0) * noise).clamp(low, high)
            adam, looks = torch.optim.Adam([x], lr=self.lr), _looks(self.steps)

            def shown() -> FloatArray:
                seen = torch.nn.functional.normalize(x - middle, dim=1) @ directions.T
                chosen = torch.tensor(classes, device=x.device)[seen.argmax(1)]
                return np.asarray((chosen == start.targets).double().cpu().numpy(), np.float64)

            curve = [(0.0, float(shown().mean()))]
            for step in probe.job.progress.track(range(1, self.steps + 1), total=self.steps, label="inverting"):
                drawn = moved_to(start, x.view_as(input_of(start)))
                x.grad = input_gradient(model, drawn, job=probe.job).view_as(x) + 2 * self.penalty * (x - middle)
                if not bool(x.grad.isfinite().all()):
                    raise InputError(f"the gradient of the inputs is not finite at step {step}")
                adam.step()
                x.copy_(x.clamp(low, high))
                if step in looks:
                    curve.append((float(step), float(shown().mean())))
            curves[split] = curve
            return shown()

        budget, with_items = f"{self.steps} steps", self.item_control
        return success_outcome(
            "model_inversion", evidence, attempt, with_items=with_items, budget=budget, curve=lambda: curves["forget"]
        )


def _looks(steps: int) -> frozenset[int]:
    return frozenset(max(1, steps * i // LOOKS) for i in range(1, LOOKS + 1))


def _judge(known: Tensor, labels: Tensor) -> tuple[Tensor, Sequence[int]]:
    """Return the direction of each class mean from the mean of all rows, (classes, inputs), and the classes."""
    classes = sorted(set(labels.tolist()))
    means = torch.stack([known[labels == one].mean(0) for one in classes]) - known.mean(0)
    return torch.nn.functional.normalize(means, dim=1), classes
