"""Forgetting people of UCI Adult: a neural network on a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.benchmarks._classifiers import ATTACKS, columns, network
from expunge.benchmarks._data_file import data_file
from expunge.contract.about import About
from expunge.contract.units import BenchmarkPlan

FILES = ("adult-train.csv.gz", "adult-train.csv", "adult.data")


@dataclass(frozen=True, kw_only=True)
class UciAdultBenchmark:
    """Train an MLP on people of a census until it knows their income class by heart (target), and without the forget rows (retrained).

    A request as the GDPR has it: some people by id (`ids=adult-7,adult-30`), so many of them, or a kind (`native-country=Mexico`,
    `age=60,90`). A classifier that generalises guesses forgotten people as well as ever, so that doing nothing would look perfect: a
    share of the training labels is wrong, and few rows and many passes make the target learn them by heart.

    Source: Fan et al. 2024 (random data forgetting; no tabular rows there). Reads adult-train.csv.gz. Cost: 4 training runs, then every
    method and seed.
    """

    about = About(
        needs=("forget", "retain", "holdout", "test", "recipe", "retrained"),
        modalities=("tabular",),
        claim="Relabelling, scrubbing and dampening forget named people as retraining does at kept utility; fine-tuning does not.",
        paper="SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency",
        link="https://arxiv.org/abs/2310.12508",
        year=2024,
        paper_id="P039",
        differs=(
            "UCI Adult and an MLP in place of CIFAR-10 and ResNet-18.",
            "A share of the training labels is wrong, and the recipe learns them by heart: otherwise random forgetting shows little.",
            "Scaling saw the retain rows alone; words are the published lists. Retrained models read the target's scaled rows.",
            "Membership is told from holdout rows of the same labels that no model saw.",
            "Ten retrained models stand in place of one, attacks run on them too, and a verdict is derived.",
            "The claim does not hold: on five draws scrubbing leaves 77% of the forget rows right (retrained 60), dampening 83%; "
            "relabelling 54 to 65%, but retain rows fall to 91 to 92% (99); none is shown above fine-tuning by tug-of-war (claim test).",
        ),
        cost="4 training runs of some seconds, then seconds a method and seed",
    )

    forget: str = "random=0.1"
    """What must go: random=0.1, sample=150, ids=adult-7,adult-30, COLUMN=WORD (native-country=Mexico) or COLUMN=LOW,HIGH (age=60,90)."""
    train_rows: int = 1500
    """People for forget, retain and holdout together."""
    label_noise: float = 0.2
    """Share of these whose income class is the wrong one."""
    width: int = 128
    """Width of each hidden layer."""
    depth: int = 2
    """Hidden layers after the first."""
    epochs: int = 40
    """Passes over the training rows."""
    lr: float = 3e-3
    """Peak learning rate of training."""
    seed: int = 0
    """Which rows are drawn, and which labels are wrong."""

    def run(self, data: Path | None) -> BenchmarkPlan:
        """Return the protocol over adult-train.csv.gz, or over the folder that holds it."""
        path = data_file(data, FILES)
        kind = self.forget.partition("=")[0] not in ("random", "sample", "ids")
        return BenchmarkPlan(
            source="uci_adult",
            methods=("retrain", "finetune", "random_label", "ascent", "ssd", "scrub", "l1_sparse", "npo"),
            metrics=("accuracy", "probability", "calibration_error", "gap_closed", "tow"),
            attacks=ATTACKS,
            controls=("retrained", "untrained"),
            seeds=5,
            retrained=10,
            columns=columns("forget", "retain", "test", *(("test_forget",) if kind else ())),
            settings={
                "source": {
                    "data": str(path),
                    "forget": self.forget,
                    "train_rows": self.train_rows,
                    "label_noise": self.label_noise,
                    "seed": self.seed,
                },
                **network("mlp", self.width, self.depth),
                "recipe": {"epochs": self.epochs, "batch_size": 32, "lr": self.lr, "stop_loss": 0.01},
                "retain_rows": 1000,
            },
            notes=(
                f"Of the training rows a share of {self.label_noise:g} has the wrong class; test labels are the true ones.",
            ),
        )
