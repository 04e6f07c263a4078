"""The entries whose change moves the forget loss most, with what the retain loss would answer taken into account."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.gradients import mean_gradient, trainable
from expunge.engine.select import Portion


def attribution(theta: Tensor, forget: Tensor, retain: Tensor, gamma: float) -> Tensor:
    """Return |(theta - g_retain / gamma) * g_forget| of each entry."""
    return ((theta - retain / gamma) * forget).abs()


@dataclass(frozen=True, kw_only=True)
class WeightAttribution:
    """Let the entries move whose removal would change the forget loss most, after retain training has answered.

    A bi-level view: switch an entry off, let the retain loss settle (to first order, with gamma times the identity for its Hessian),
    and ask how the forget loss changes: S = theta g_f - (1/gamma) g_r g_f, entry by entry. Ranked by |S|.

    Source: Jia et al. 2024. Differs: see `differs`.
    Reads forget and retain. Moves nothing. Cost: one forward and backward over forget and over retain.
    """

    about = About(
        needs=("forget", "retain", "gradients"),
        modalities=("text", "vision", "tabular", "diffusion"),
        claim="With NPO or GradDiff it forgets better at equal or better utility than dense, random or magnitude masks.",
        paper="WAGLE: Strategic Weight Attribution for Effective and Modular Unlearning in Large Language Models",
        link="https://arxiv.org/abs/2410.17509",
        year=2024,
        paper_id="P035",
        stochastic=False,
        differs=(
            "Ranks by |S|, as the public code does; the paper writes S with its sign.",
            "Gradients are means over rows, of all forget and of all retain rows; the code sums batch means over one pass that pairs them. "
            "gamma here is the code's mu over its number of batches.",
            "Masked entries are held still by the optimiser loop; the code only zeroes their gradients, under weight decay 0.1.",
            "On a class of digits it forgets more than random and magnitude masks at one rate, and keeps no more than they or all weights "
            "do where each has the rate that forgets (.0 points [-.07, .07] to all weights, five targets).",
        ),
        cost="1 forward + 1 backward over every forget and retain row, once",
    )

    gamma: float = 1e-6
    """The retain loss's curvature: small values rank by |g_r g_f| almost alone, large ones by |theta g_f|."""
    portion: Portion = Portion(ratio=0.8)
    """Share of entries that may move."""

    def __post_init__(self) -> None:
        if self.gamma <= 0:
            raise ValueError(f"gamma must be above 0, not {self.gamma}")

    def run(self, model: Model, splits: Splits, job: Job) -> Mask:
        """Return the mask of the entries attributed most."""
        forget = mean_gradient(model, splits.forget, job=job)
        retain = mean_gradient(model, splits.retain, job=job)
        return self.portion.mask(
            {
                name: attribution(parameter.detach(), forget[name], retain[name], self.gamma)
                for name, parameter in trainable(model.module).items()
            }
        )
