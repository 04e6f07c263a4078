"""Forgetting the rows that are hardest to forget, beside as many drawn at random."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from expunge.benchmarks._classifiers import ATTACKS, METRICS, columns, network
from expunge.contract.about import About
from expunge.contract.units import BenchmarkPlan
from expunge.engine.worst_case import Search
from expunge.facts.errors import InputError


@dataclass(frozen=True, kw_only=True)
class WorstCaseBenchmark:
    """Search, on the target, for the forget set that stays known to an unlearner; run every method on it, and on a random set as large.

    Random forget sets are mostly rows that fall by themselves, so that a method may look good on them that cannot remove the others.
    The search (bi-level: engine/worst_case.py) reads training rows and the target alone; its rows are then fixed, committed to and chained
    as a request of their own before any method runs. Target, holdout and test rows are the same for both requests. A record says which
    model was searched, by which settings, and whether that model is its own target.

    Writes table.md and report.html on the searched set, table-random.md and report-random.html on the random one.

    Source: Fan et al. 2024. Reads scikit-learn's digits; --data takes mnist.npz in their place.
    """

    about = About(
        needs=("forget", "retain", "holdout", "test", "recipe", "retrained"),
        modalities=("vision",),
        claim="A set searched on one unlearner is answered right more often after unlearning than random sets of its size, also by "
        "unlearners it was not searched on: random sets flatter methods.",
        paper="Challenging Forgets: Unveiling the Worst-Case Forget Sets in Machine Unlearning",
        link="https://arxiv.org/abs/2403.07362",
        year=2024,
        paper_id="P013",
        differs=(
            "8x8 digits (or MNIST) with a fifth of the labels wrong and an MLP, in place of CIFAR-10 and ResNet-18.",
            "Rows are searched, no classes and no prompts.",
            "The search starts at equal weights, where released code starts at a random set and can only trade some of its rows.",
            "The claim holds here by the share of forget rows answered wrong; transfer of a set found on fine-tuning to relabelling and "
            "scrub is not shown. By the distance to models retrained without the same rows it does not: they answer a searched set right "
            "as well, and random sets are no easier where retain rows are kept, for most methods harder (docs/results/worst_case.md).",
            "On a searched set the target itself may pass every attack beside the retrained models: then no removal can be shown, and the "
            "verdict says so, of retrained models as well.",
            "Holdout rows have the labels of the random set and are no easier than it: on a searched set membership AUCs say how easy its "
            "rows are, and only their difference from the retrained models' says what was remembered.",
        ),
        cost="7 training runs, a search of as many seconds, then seconds a method, seed and request",
    )

    share: float = 0.1
    """Share of the training images to forget; as many are held out, so that it lies below one half."""
    label_noise: float = 0.2
    """Share of the training images with a wrong label."""
    train_rows: int = 3000
    """MNIST's training images to use, from the first on; of scikit-learn's digits 8 of 10 are used."""
    width: int = 256
    """Width of the MLP's hidden layers."""
    depth: int = 1
    """Hidden layers after the first."""
    epochs: int = 100
    """Most passes over the training rows: training ends at a mean loss of 0.02 nats."""
    seed: int = 0
    """Which rows are drawn, and which labels are wrong."""
    search: Search = Search()
    """Settings of the search."""

    def __post_init__(self) -> None:
        if not 0 < self.share < 0.5:
            raise ValueError(f"share must lie between 0 and 0.5, not {self.share}")

    def run(self, data: Path | None) -> BenchmarkPlan:
        """Return the protocol over scikit-learn's digits, or over mnist.npz or the folder that holds it."""
        path = data / "mnist.npz" if data is not None and data.is_dir() else data
        if path is not None and not path.is_file():
            raise InputError(f"there is no file {path}", do="give --data the path of mnist.npz, or none")
        source = {
            "forget": f"random={self.share:g}",
            "holdout": 1.0,
            "label_noise": self.label_noise,
            "seed": self.seed,
            **({"data": str(path), "train_rows": self.train_rows} if path else {}),
        }
        return BenchmarkPlan(
            source="mnist" if path else "digits",
            methods=("retrain", "finetune", "l1_sparse", "scrub", "random_label", "ascent"),
            metrics=METRICS,
            attacks=ATTACKS,
            controls=("retrained", "untrained"),
            seeds=5,
            retrained=10,
            columns=columns("forget", "retain", "test"),
            settings={
                "source": source,
                **network("mlp", self.width, self.depth),
                "recipe": {"epochs": self.epochs, "lr": 4e-3, "batch_size": 64, "stop_loss": 0.02},
                "retain_rows": 1000,
            },
            notes=(f"Labels of forget, retain and holdout rows: a share of {self.label_noise:g} is wrong.",),
            search=asdict(self.search),
        )
