"""The largest weights."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.gradients import trainable
from expunge.engine.select import Portion


@dataclass(frozen=True, kw_only=True)
class Magnitude:
    """Let the entries move that are largest in size: what magnitude pruning would keep.

    It knows nothing of the forget rows, only of which weights do much at all. Score: |theta|.

    Source: Han et al. 2015, as a mask for unlearning in Jia et al. 2024 (WAGLE). Differs: see `differs`.
    Reads nothing. Moves nothing. Cost: one look at the weights.
    """

    about = About(
        needs=(),
        modalities=("text", "vision", "tabular", "diffusion"),
        claim="As a mask for NPO it forgets less at equal utility than weight attribution.",
        paper="Learning both Weights and Connections for Efficient Neural Networks",
        link="https://arxiv.org/abs/1506.02626",
        year=2015,
        stochastic=False,
        differs=(
            "Entries of all parameters are ranked together unless per_tensor says otherwise; pruning ranks by layer.",
            "On a class of digits it forgets less than attribution at one rate (33 points [18, 48]); with the rate that forgets, each its "
            "own, they keep the same (-.05 points [-.9, .8], five targets).",
        ),
        cost="1 look at the weights",
    )

    portion: Portion = Portion(ratio=0.5)
    """Share of entries that may move."""

    def run(self, model: Model, splits: Splits, job: Job) -> Mask:
        """Return the mask of the largest entries."""
        return self.portion.mask({name: p.detach().abs() for name, p in trainable(model.module).items()})
