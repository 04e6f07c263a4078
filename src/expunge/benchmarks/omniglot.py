"""Forgetting an alphabet of hand-drawn characters, once or as one request of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.benchmarks._classifiers import ATTACKS, METHODS, METRICS, columns, network
from expunge.contract.about import About
from expunge.contract.units import BenchmarkPlan
from expunge.facts.errors import InputError


@dataclass(frozen=True, kw_only=True)
class OmniglotBenchmark:
    """Train a small CNN to tell the characters of five alphabets (target), and without one alphabet (retrained), then remove and attack.

    The request takes some twenty classes at once, of which the model saw 14 drawings each. Test rows are characters that other
    people drew; drawings of the alphabet that no model is trained on are the non-members.

    Source: Zhao et al. 2024 (GS-LoRA: groups of classes, few images each). Reads Omniglot's zip. Cost: 4 training runs of seconds,
    then every method and seed.
    """

    about = About(
        needs=("forget", "retain", "holdout", "test", "recipe", "retrained"),
        modalities=("vision",),
        claim="Groups of classes can be forgotten with few images each while the accuracy on the others stays.",
        paper="Practical Continual Forgetting for Pre-trained Vision Models",
        link="https://arxiv.org/abs/2501.09705",
        year=2025,
        paper_id="P095",
        differs=(
            "Hand-drawn characters and a small CNN trained from nothing, in place of faces and a pre-trained transformer.",
            "One alphabet a run; earlier requests of a stream are given by `earlier`.",
            "The claim holds for fine-tuning, l1_sparse and, but for .04 to .11 of the forget rows, bad_teacher; not for ssd and ascent.",
        ),
        cost="4 training runs of seconds, then seconds a method and seed",
    )

    forget: str = "alphabet=1"
    """Which alphabet must go."""
    earlier: str = ""
    """Alphabets that went before, comma between."""
    architecture: str = "cnn"
    """cnn, resnet, vit or mlp."""
    width: int = 16
    """Channels of the stem (of an mlp, its hidden width)."""
    depth: int = 2
    """Blocks."""
    epochs: int = 25
    """Passes over the training rows."""
    lr: float = 4e-3
    """Peak learning rate of training."""

    def run(self, data: Path | None) -> BenchmarkPlan:
        """Return the protocol over the zip of images, or over the folder that holds it."""
        if data is None or not data.exists():
            raise InputError(f"there is no {data or 'Omniglot'}", do="give --data the zip of images or its folder")
        before = ("forget/earlier",) if self.earlier else ()
        return BenchmarkPlan(
            source="omniglot",
            methods=METHODS,
            metrics=METRICS,
            attacks=ATTACKS,
            controls=("retrained", "untrained"),
            seeds=5,
            retrained=10,
            columns=columns("forget", "retain", "test", "test_forget", *before),
            settings={
                "source": {"data": str(data), "forget": self.forget, "earlier": self.earlier},
                **network(self.architecture, self.width, self.depth),
                "recipe": {"epochs": self.epochs, "batch_size": 64, "lr": self.lr},
                "retain_rows": 600,
            },
        )
