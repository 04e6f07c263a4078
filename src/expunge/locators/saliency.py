"""The entries that the forget loss leans on."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.gradients import mean_gradient
from expunge.engine.select import Portion


@dataclass(frozen=True, kw_only=True)
class Saliency:
    """Let the entries move whose forget gradient is largest; with random labels this is SalUn.

    An entry that the forget loss hardly depends on has little to do with the forget rows, and moving it costs utility for
    nothing. Score: |d/d theta sum_i loss(forget_i)|; the median splits the entries in two halves (ratio 0.5).

    Source: Fan et al. 2024. Differs: see `differs`.
    Reads forget. Moves nothing. Cost: one forward and backward over forget.
    """

    about = About(
        needs=("forget", "gradients"),
        modalities=("text", "vision", "tabular", "diffusion"),
        claim="Random labels on salient weights alone come nearer to the retrained model than on all weights.",
        paper="SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency",
        link="https://arxiv.org/abs/2310.12508",
        year=2024,
        paper_id="P039",
        stochastic=False,
        differs=(
            "Rows count alike; the reference code sums gradients of batch means, where a short last batch counts more.",
            "Exactly the ratio is chosen, as in the reference code: `at least the median` lets everything move where half the "
            "gradients are zero.",
            "Masked entries are held still by the optimiser loop: zero gradients alone let momentum and decay move them.",
            "The paper's smallest gap is not reproduced. On digits with wrong labels (five problems) the average gap is 6.4, of "
            "relabelling on all weights 7.6 (paired difference -1.1 [-4.9, 2.6]), l1 sparsity 7.1 (-.6 [-2.2, 1.0]), ascent 13.0 "
            "(-6.6 [-9.9, -3.2]), fine-tuning 4.3 (+2.2 [.6, 3.8]: nearer). On a class .55 (with the least "
            "salient entries .64), and .44, .07, 3.1, .08. Small CNNs: 10.3, of all weights 7.1, l1 11.6, ascent 15.1, fine-tuning 6.3; on "
            "a class .13, and .32 (-.19 [-.31, -.06]: here the mask helps), .08, 2.3, .08 (none told apart).",
        ),
        cost="1 forward + 1 backward over forget, once",
    )

    portion: Portion = Portion(ratio=0.5)
    """Share of entries that may move."""

    def run(self, model: Model, splits: Splits, job: Job) -> Mask:
        """Return the mask of the most salient entries."""
        gradient = mean_gradient(model, splits.forget, job=job)
        return self.portion.mask({name: value.abs() for name, value in gradient.items()})
