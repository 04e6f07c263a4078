"""One-shot magnitude pruning: keep the largest weights and set the others to zero."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.prune import check_sparsity, prunable, pruning_mask


@dataclass(frozen=True, kw_only=True)
class OneShotPruning:
    """Prune the smallest weights before a method runs; with fine-tuning this is the paper's "prune first, then unlearn".

    Fewer weights hold less of single rows, so that a method has less to undo. Score: |theta|, over the weights of all linear maps and
    convolutions together; what is pruned is zero before the method and stays zero.

    Source: Jia et al. 2023. Differs: see `differs`.
    Reads nothing. Moves nothing itself; the harness sets pruned weights to zero. Cost: one look at the weights.
    """

    about = About(
        needs=(),
        modalities=("text", "vision", "tabular"),
        claim="Fine-tuning a model of which 90 to 95% is pruned closes more of the gap to retraining than fine-tuning it dense.",
        paper="Model Sparsity Can Simplify Machine Unlearning",
        link="https://arxiv.org/abs/2304.04934",
        year=2023,
        paper_id="P029",
        stochastic=False,
        differs=(
            "Prunes the trained target, and only the method trains it then; the paper trains a pruned model on all rows first.",
            "Linear maps are pruned too; the public code prunes convolutions only.",
            "Holds for a class of digits at low learning rates; for random rows with wrong labels the gap grows (2.2 to 3.4 points).",
            "A backdoor whose rows are all known: success after fine-tuning at lr 1e-3 82% dense, 38% pruned by 95%; at 5e-3 6% dense, "
            "17% pruned (means of five draws). Small CNNs: 84 and 98%, 5 and 68%.",
        ),
        cost="1 look at the weights",
    )

    sparsity: float = 0.95
    """Share of the weights of linear maps and convolutions that is set to zero."""

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity)

    def run(self, model: Model, splits: Splits, job: Job) -> Mask:
        """Return the mask that prunes the smallest weights."""
        scores = {name: parameter.detach().abs() for name, parameter in prunable(model.module).items()}
        return pruning_mask(model.module, scores, self.sparsity)
