"""Selective synaptic dampening."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.dampen import Importances, dampen
from expunge.engine.fisher import diagonal_fisher
from expunge.facts.rows import Rows


@dataclass(frozen=True, kw_only=True)
class SSD:
    """Dampen the weights that matter much more to the forget rows than to all rows; no training.

    With I the diagonal of the empirical Fisher information, a weight with I_forget > alpha I_all becomes
    theta * min(lambda I_all / I_forget, 1).

    Source: Foster, Schoepf and Brintrup 2024. Differs: see `differs`.
    Reads forget and retain. Moves only the selected entries. Cost: one gradient pass over forget, and one over all rows that later removals
    need not repeat.
    """

    about = About(
        needs=("forget", "retain", "gradients"),
        modalities=("text", "vision", "tabular", "diffusion"),
        claim="Without any training step it forgets a class as well as retraining while retain accuracy stays near.",
        paper="Fast Machine Unlearning Without Retraining Through Selective Synaptic Dampening",
        link="https://arxiv.org/abs/2308.07707",
        year=2024,
        paper_id="P127",
        scope=("full", "layers"),
        stochastic=False,
        differs=(
            "Squares per-example gradients (the Fisher diagonal); the reference code squares batch gradients (batch_size > 1).",
            "I_all is taken over forget and retain rows together, as in the paper; batches are cut in the order of ids, and not shuffled.",
            "On a class of digits (5 targets) single rows at alpha 3 leave the class in one, and batches of 64 at the alpha that four "
            "other targets chose (20) in another. At alpha 8 they take it away in all, at 91 to 99.9% retain accuracy: not shown nearer "
            "to retraining than one epoch of ascent (gap .9 more, -2.6 to 4.5), which the paper's ascent is not. A membership attack calls "
            "0, 100, 0, 100 and 100% of the forget rows non-members then (retrained 100). Searched, it is first of 34 methods by the "
            "average gap on a class of digits (.06, all retain rows kept; docs/results/digits.md).",
            "On five small CNNs the claim holds (alpha 20, batches of 64, searched on three others): forget 0 to 1%, retain 99.9 to 100, "
            "gap .15 [-.07, .36], all forget rows called non-members; more retain rows than ascent at equal forgetting on each (.8 to 9.1 "
            "points). Below alpha 10 retain rows go, above 20 the class stays.",
            "A random tenth of digits with wrong labels: average gap 16.53, do nothing 18.92 (docs/results/digits.md). Corrective, a tenth "
            "of a backdoor known: .2 to 8.2% corrected on four seeds of five, 82.4% on the fifth for 15.6 points of clean accuracy; small "
            "CNNs, the best alpha of each within 2 points: 95.7, 90.9, 5.2, 86.4, 88.2%.",
            "MNIST (docs/results/mnist.md): a class keeps 58% (gap closed .52) and 83% on another processor, a sample 99% (.08); a random "
            "tenth 63% at 61% of the retain rows, and 98.7% at all of them elsewhere: training that ends in other weights changes sides. "
            "UCI Adult: 84% of the forget rows right (retrained 55 to 63; gap closed .37, RMIA .71).",
        ),
        cost="1 forward + 1 backward over forget rows, and over all rows once a target (job.cache)",
        search={"alpha": ("log", 1.0, 30.0), "dampening": ("log", 0.1, 1.0)},
    )

    alpha: float = 3.0
    """How many times more a weight must matter to forget than to all rows; from (all rows)/(forget rows) on none can."""
    dampening: float = 0.25
    """The paper's lambda: how strongly selected weights are dampened."""
    batch_size: int = 1
    """Rows whose gradients are averaged before squaring; 1 is the Fisher diagonal."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model with selected weights dampened."""

        def importance(rows: Rows) -> dict[str, Tensor]:
            return diagonal_fisher(model, rows, batch_size=self.batch_size, job=job)

        found = Importances.of(model, splits, importance, kind=f"fisher-{self.batch_size}", job=job)
        dampen(model, found, alpha=self.alpha, dampening=self.dampening, job=job)
        return model
