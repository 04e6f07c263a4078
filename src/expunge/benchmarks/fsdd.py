"""Forgetting a speaker and keeping the digits: identity removal where the label says nothing of the identity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.benchmarks._classifiers import ATTACKS, METHODS, METRICS, columns, network
from expunge.contract.about import About
from expunge.contract.units import BenchmarkPlan
from expunge.facts.errors import InputError


@dataclass(frozen=True, kw_only=True)
class FsddBenchmark:
    """Train a small CNN to tell spoken digits (target), and without one speaker (retrained), then remove, measure and attack.

    A model trained without the speaker reads that speaker's digits worse, and not at chance: forgetting more than that is
    over-forgetting. Clips of the speaker that no model is trained on are the non-members.

    Source: Choi and Na 2023 (MUFAC and MUCAC). Reads fsdd.npz. Cost: 4 training runs of seconds, then every method and seed.
    """

    about = About(
        needs=("forget", "retain", "holdout", "test", "recipe", "retrained"),
        modalities=("vision",),
        claim="Fine-tuning leaves membership where it was, and ascent lowers it by destroying accuracy.",
        paper="Towards Machine Unlearning Benchmarks: Forgetting the Personal Identities in Facial Recognition Systems",
        link="https://arxiv.org/abs/2311.02240",
        year=2023,
        paper_id="P140",
        differs=(
            "Voices in place of faces: spectrograms of spoken digits, whose label (the digit) is independent of the speaker.",
            "One speaker of four goes, and some of that speaker's clips are held out as non-members; MUFAC takes them from other persons.",
            "Distance to retrained models is the headline; NoMUS can rank a method above them.",
            "Over three speakers fine-tuning at a tenth of training's rate leaves membership (loss AUC .58, target .58) and all else; at "
            "twice the rate it does not (.52, retrained .50). Ascent lowers it to .48 at a test accuracy of .10.",
            "Scrub is not shown above fine-tuning: by NoMUS .958 and .962 (on another processor .949 and .981), by average gap 4.9 and "
            "8.7 (7.9 and 5.7); ascent .77, 38.",
            "Of odd and even scrub does not collapse (test .98 and more) but takes the speaker to .60 (retrained .85); ascent collapses.",
        ),
        cost="4 training runs of seconds, then seconds a method and seed",
    )

    forget: str = "speaker=0"
    """Whose clips must go."""
    architecture: str = "cnn"
    """cnn, resnet, vit or mlp."""
    width: int = 8
    """Channels of the stem (of an mlp, its hidden width)."""
    depth: int = 3
    """Blocks."""
    epochs: int = 12
    """Passes over the training rows."""
    lr: float = 4e-3
    """Peak learning rate of training."""
    seed: int = 0
    """Which clips are held out."""

    def run(self, data: Path | None) -> BenchmarkPlan:
        """Return the protocol over fsdd.npz, or over the folder that holds it."""
        path = data / "fsdd.npz" if data is not None and data.is_dir() else data
        if path is None or not path.is_file():
            raise InputError(f"there is no file {path or 'fsdd.npz'}", do="give --data the path of fsdd.npz")
        return BenchmarkPlan(
            source="fsdd",
            methods=METHODS,
            metrics=(*METRICS, "nomus"),
            attacks=ATTACKS,
            controls=("retrained", "untrained"),
            seeds=5,
            retrained=10,
            columns=(*columns("forget", "retain", "test", "test_forget"), "nomus:all"),
            settings={
                "source": {"data": str(path), "forget": self.forget, "seed": self.seed},
                **network(self.architecture, self.width, self.depth),
                "recipe": {"epochs": self.epochs, "batch_size": 64, "lr": self.lr},
                "retain_rows": 600,
            },
        )
