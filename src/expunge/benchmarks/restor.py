"""The RESTOR protocol: corrupt a model by documents, unlearn them, and ask whether the true facts come back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.benchmarks._models import small_llama
from expunge.contract.about import About
from expunge.contract.units import BenchmarkPlan
from expunge.facts.errors import InputError

CHOSEN = ("corrupted", "held_out", "others", "documents", "level", "seed")


@dataclass(frozen=True, kw_only=True)
class RestorBenchmark:
    """Train a base model on true facts, train it on with documents that state false ones (target), and without (retrained), then remove.

    A method that restores nothing may still pass as forgetting: the false facts are gone. `restor_recovery` tells the two apart: which
    true facts are said, and which share of the loss came back. The retrained models start from the same base model.

    Source: Rezaei et al. 2024 (RESTOR). Reads its files, or makes people. Cost: 5 training runs, then every method and seed.
    """

    about = About(
        needs=("forget", "retain", "holdout", "test", "recipe", "retrained"),
        modalities=("text",),
        claim="Ascent ends the false facts and does not restore the true ones, NPO restores a good part, and a loss on the "
        "corrupted tokens alone restores more.",
        paper="RESTOR: Knowledge Recovery in Machine Unlearning",
        link="https://arxiv.org/abs/2411.00204",
        year=2024,
        paper_id="P065",
        differs=(
            "A model of about 0.5M parameters that learns its true facts here: not comparable with published RESTOR (8B, pre-trained).",
            "True facts of others are in training beside the documents, or a small model would lose its way of answering.",
            "A loss on the corrupted tokens alone is not among the methods: the third part of the claim is not tested.",
            "Three retrained models stand in place of the clean model alone, attacks run beside, and a verdict is derived.",
        ),
        cost="5 training runs, then seconds to minutes a method and seed",
    )

    corrupted: int = 7
    """Entities whose documents are to be forgotten."""
    held_out: int = 3
    """Entities whose documents nobody trains on."""
    others: int = 30
    """Entities that no document is about."""
    documents: int = 24
    """Documents an entity."""
    level: int = 0
    """True facts of others after each false one."""
    width: int = 128
    """Hidden width of the Llama-style model; 128 with 2 layers is 0.5M parameters."""
    layers: int = 2
    """Blocks."""
    base_epochs: int = 80
    """Most passes of the base model over the true facts; ends sooner at a mean loss of 0.02 nats."""
    base_lr: float = 4e-3
    """Peak learning rate of the base model."""
    epochs: int = 10
    """Passes over documents and retain rows: as many for the retrained models."""
    lr: float = 1e-3
    """Peak learning rate of the training on documents."""
    seed: int = 0
    """Another seed makes other people, or draws other documents and entities."""

    def run(self, data: Path | None) -> BenchmarkPlan:
        """Return the protocol over RESTOR's folder, or over made-up people."""
        if data is not None and not data.is_dir():
            raise InputError(
                f"there is no folder {data}", do="give --data the folder of facts.json and mix_a0.json, or leave it out"
            )
        model = small_llama(self.width, self.layers, positions=512, vocabulary=1024)
        source = {"data": str(data) if data else "", **{name: getattr(self, name) for name in CHOSEN}}
        return BenchmarkPlan(
            source="restor",
            methods=("ascent", "grad_diff", "npo", "task_vector"),
            metrics=("restor_recovery", "rouge", "probability", "gap_closed"),
            attacks=("direct_question", "loss", "min_k", "reference", "relearning", "quantisation"),
            controls=("retrained", "base", "untrained"),
            columns=(
                *(
                    f"restor_recovery:forget/facts{part}"
                    for part in ("", "/choice", *(() if data else ("/false",)), "/recovered")
                ),
                "restor_recovery:holdout/facts",
                "restor_recovery:retain",
                "restor_recovery:test",
                "rouge:forget",
                "min_k:auc",
                "relearning:success",
            ),
            settings={
                "source": source,
                "architecture": "llama",
                "model": model,
                "base_recipe": {"epochs": self.base_epochs, "lr": self.base_lr, "batch_size": 16, "stop_loss": 0.02},
                "recipe": {"epochs": self.epochs, "lr": self.lr, "batch_size": 16},
                "max_new_tokens": 128,
                "retain_rows": 120,
            },
            notes=(f"Documents: {self.documents} about each of {self.corrupted} entities, level {self.level}.",),
        )
