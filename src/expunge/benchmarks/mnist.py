"""Forgetting on MNIST: a class, a random share of the rows, or a few rows by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.benchmarks._classifiers import ATTACKS, network
from expunge.benchmarks._mnist_cases import CASES, TUNED
from expunge.contract.about import About
from expunge.contract.units import BenchmarkPlan
from expunge.facts.errors import InputError


@dataclass(frozen=True, kw_only=True)
class MnistBenchmark:
    """Train a small CNN on MNIST (target), and without the forget rows (retrained), then remove, measure and attack.

    Three cases by what must go: `class=8`, `random=0.1`, or `sample=150` (a few rows); with `labels` such as parity also `subclass=8`, one
    digit out of a label that stays, of which a retrained model still answers a part. A model
    that never saw a clean digit reads it all the same, so that outside the class case doing nothing would look perfect: there a share
    of the training labels is wrong, and only a model trained on a row knows its wrong label.

    Source: Fan et al. 2024 (class-wise and random data forgetting). Reads mnist.npz. Cost: 4 training runs, then every method and seed.
    """

    about = About(
        needs=("forget", "retain", "holdout", "test", "recipe", "retrained"),
        modalities=("vision",),
        claim="Dampening and salient relabelling forget as retraining does at kept utility; ascent pays for it with utility.",
        paper="SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency",
        link="https://arxiv.org/abs/2310.12508",
        year=2024,
        paper_id="P039",
        differs=(
            "MNIST and a small CNN with GroupNorm in place of CIFAR-10 and ResNet-18.",
            "Outside the class case a share of the training labels is wrong: on clean digits random forgetting shows nothing.",
            "Membership is told from holdout rows of the same labels that no model saw, not from test rows; a forgotten class is "
            "shared out between forget and holdout rows.",
            "Ten retrained models stand in place of one, attacks run on them too, and a verdict is derived.",
            "The claim held for salient relabelling on classes and for ascent throughout; not for dampening (41 to 100% of a class left), "
            "and for single rows for no method (random tenth: nearest at kept utility .739, retrained .62 to .67; docs/results/mnist.md).",
        ),
        cost="4 training runs, then seconds to a minute a method and seed",
    )

    forget: str = "class=8"
    """What must go: class=8, subclass=8, random=0.1 (of the training rows), sample=150 (rows) or ids=mnist-17,mnist-30."""
    labels: str = "digit"
    """What the model is to answer: digit, parity (even 0, odd 1), or groups of digits such as 01234,56789."""
    train_rows: int = 0
    """Training images to use, from the first on, up to 60,000; 0 takes 15,000 for a class and 3,000 else."""
    label_noise: float = 0.2
    """Share of the training images with a wrong label; not where a class or subclass must go."""
    architecture: str = "cnn"
    """cnn, resnet, vit or mlp."""
    width: int = 8
    """Channels of the CNN's stem, which each block doubles (of an mlp, its hidden width)."""
    depth: int = 3
    """Blocks."""
    epochs: int = 0
    """Most passes over the training rows; 0 takes 4 for a class and 30 else, where training ends at a mean loss of 0.02 nats."""
    lr: float = 6e-3
    """Peak learning rate of training."""
    seed: int = 0
    """Which rows are drawn, and which labels are wrong."""

    def run(self, data: Path | None) -> BenchmarkPlan:
        """Return the protocol over mnist.npz, or over the folder that holds it."""
        path = data / "mnist.npz" if data is not None and data.is_dir() else data
        if path is None or not path.is_file():
            raise InputError(f"there is no file {path or 'mnist.npz'}", do="give --data the path of mnist.npz")
        word = self.forget.partition("=")[0]
        name = "sample" if word == "ids" else word if word in CASES else "class"
        case = CASES[name]
        rows = self.train_rows or case["train_rows"]
        kind = word in ("class", "subclass")
        noise = 0.0 if kind else self.label_noise
        recipe = {key: case[key] for key in ("epochs", "batch_size", "stop_loss")}
        source = {
            "data": str(path),
            "forget": self.forget,
            "labels": self.labels,
            "train_rows": rows,
            "label_noise": noise,
            "holdout": case["holdout"],
            "seed": self.seed,
        }
        metrics = ("accuracy", "probability", "calibration_error", "gap_closed", "tow")
        attacks = (*ATTACKS, "gradient_norm")
        splits = ("forget", "retain", "test", *(("test_forget",) if kind else ()))
        return BenchmarkPlan(
            source="mnist",
            methods=("retrain", "ssd", "random_label+saliency", "l1_sparse", "scrub", "ascent", "finetune"),
            metrics=metrics,
            attacks=attacks,
            controls=("retrained", "untrained"),
            seeds=5,
            retrained=10,
            columns=(
                *(f"accuracy:{split}" for split in splits),
                "gap_closed:forget",
                "tow:all",
                *(f"{attack}:auc" for attack in ("loss", "reference", "gradient_norm", "rmia")),
                *(f"{attack}:success" for attack in ("relearning", "quantisation", "feature_probe")),
            ),
            settings={
                "source": source,
                **network(self.architecture, self.width, self.depth),
                "recipe": {**recipe, "lr": self.lr, **({"epochs": self.epochs} if self.epochs else {})},
                "retain_rows": 1000,
            },
            method_settings=TUNED.get(name, {}),
            notes=(f"Training images: the first {rows}, of which a share of {noise:g} has a wrong label.",),
        )
