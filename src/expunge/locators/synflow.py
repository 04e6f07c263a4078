"""SynFlow: prune round by round what carries least from input to output, without looking at data."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.prune import check_sparsity, pruning_mask
from expunge.engine.synaptic_flow import kept_by_flow


@dataclass(frozen=True, kw_only=True)
class SynFlow:
    """Prune the weights with the least synaptic flow before a method runs.

    With all weights made positive and an input of ones, R = sum of logits is a sum over paths through the network; theta dR/dtheta is what
    passes through one weight. What enters a layer leaves it, so that no layer is emptied before the rest if pruning goes in many rounds.
    Score: |theta| dR/d|theta|, computed anew each round; round k of n leaves (1 - sparsity)^(k/n) of the weights.

    Source: Tanaka et al. 2020, used before unlearning in Jia et al. 2023. Differs: see `differs`.
    Reads one forget row for the shape of its input. Moves nothing itself; the harness sets pruned weights to zero. Cost: `rounds`
    forward and backward passes of one example.
    """

    about = About(
        needs=("forget", "logits", "gradients"),
        modalities=("vision", "tabular"),
        claim="Without data it empties no layer at sparsities where pruning by magnitude or in a single round does.",
        paper="Pruning neural networks without any data by iteratively conserving synaptic flow",
        link="https://arxiv.org/abs/2006.05467",
        year=2020,
        paper_id="P029",
        stochastic=False,
        differs=(
            "Scores the trained target; the paper prunes at initialisation and trains afterwards.",
            "Norms hand on what they are given while flow is measured; the paper's are batch norms in eval mode.",
            "Exactly the share that is asked for is pruned, ties in order.",
            "Residual branches, and six layers with biases at 99.5%, are emptied all the same.",
            "A backdoor whose rows are all known: success after fine-tuning at lr 1e-3 82% dense, 58% pruned by 95%; at 5e-3 6% dense, "
            "31% pruned (means of five draws). Small CNNs: 84 and 89%, 5 and 46%.",
        ),
        cost="rounds x (1 forward + 1 backward) of one example",
    )

    sparsity: float = 0.95
    """Share of the weights of linear maps and convolutions that is set to zero."""
    rounds: int = 100
    """Rounds of pruning, each a constant share of what is left."""

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity)
        if self.rounds < 1:
            raise ValueError(f"rounds must be at least 1, not {self.rounds}")

    def run(self, model: Model, splits: Splits, job: Job) -> Mask:
        """Return the mask that prunes what carries least."""
        batch = model.pack(splits.forget[:1])
        scores = kept_by_flow(model, batch, sparsity=self.sparsity, rounds=self.rounds, job=job)
        return pruning_mask(model.module, scores, self.sparsity)
