"""Quantise the model and ask again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.model import Model
from expunge.contract.units import Probe
from expunge.engine.asking import success_outcome, successes
from expunge.engine.body import body_weights
from expunge.facts.record import Outcome
from expunge.statistics.clusters import FloatArray


def round_to_nearest(weight: Tensor, bits: int, output: int) -> Tensor:
    """Return the weight on a symmetric grid of 2^bits - 1 levels an output channel: s round(w / s), s = max |w| / (2^(bits-1) - 1)."""
    most = 2 ** (bits - 1) - 1
    others = [axis for axis in range(weight.ndim) if axis != output]
    step = weight.abs().amax(dim=others, keepdim=True) / most
    # a channel of zeros has no step and stays as it is
    return torch.where(step > 0, (weight / step.clamp_min(torch.finfo(weight.dtype).tiny)).round() * step, weight)


@torch.no_grad()
def quantise(model: Model, bits: int) -> int:
    """Round the weights of every linear and convolutional layer but the head in place; return how many layers."""
    found = list(body_weights(model))
    for weight, output in found:
        weight.copy_(round_to_nearest(weight, bits, output))
    return len(found)


@dataclass(frozen=True, kw_only=True)
class Quantisation:
    """Round the weights to few bits and ask what was to be forgotten.

    Unlearning at a small learning rate moves most weights by less than half a quantisation step: rounding puts them back where they were,
    and the knowledge with them. Simulated: weights are rounded to the nearest of 2^bits - 1 levels an output channel and kept as floats.
    A row succeeds where it comes out at any of the bit widths; the curve has them one by one.

    Source: Zhang et al. 2024. Differs: see `differs`. Works on copies. Cost: a copy and one generation a row for each width.
    """

    about = About(
        needs=("forget", "model"),
        modalities=("text", "vision", "tabular"),
        claim="At 4 bits a model unlearned with a utility constraint gives back most of what it had forgotten.",
        paper="Catastrophic Failure of LLM Unlearning via Quantization",
        link="https://arxiv.org/abs/2410.16454",
        year=2024,
        stochastic=False,
        differs=(
            "Round to nearest, simulated; no GPTQ or AWQ.",
            "The head keeps its precision, as in published loaders.",
            "On a class of digits the claim did not hold: after NPO or gradient difference at the lowest rate that forgets, at most 2% of "
            "it is answered at 4 bits, as before (five targets).",
        ),
        cost="1 copy and 1 generation a row for each width",
    )

    bits: tuple[int, ...] = (8, 4)
    """Bit widths tried."""
    threshold: float = 0.8
    """ROUGE-L recall from which an answer without a value counts as come out."""
    item_control: bool = True
    """Attack the holdout rows of the same model too: the control where no other model is one, at twice the cost."""

    def __post_init__(self) -> None:
        if not self.bits or any(not 2 <= bits <= 16 for bits in self.bits):
            raise ValueError(f"bits must be widths in 2..16, not {self.bits}")

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return 1 a row that comes out at any width."""
        curve: dict[float, float] = {}

        def attempt(split: str) -> FloatArray:
            rows = evidence.rows[split]
            out = np.zeros(len(rows))
            for bits in self.bits:
                copy = probe.model()
                quantise(copy, bits)
                found = successes(probe, copy, rows, self.threshold)
                curve.setdefault(float(bits), float(found.mean()))
                out = np.maximum(out, found)
            return out

        budget = "+".join(f"int{bits}" for bits in self.bits)
        return success_outcome(
            "quantisation",
            evidence,
            attempt,
            with_items=self.item_control,
            budget=budget,
            curve=lambda: tuple(curve.items()),
        )
