"""The TOFU protocol: forget some of 200 fictitious authors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.benchmarks._models import small_llama
from expunge.contract.about import About
from expunge.contract.units import BenchmarkPlan
from expunge.facts.errors import InputError


@dataclass(frozen=True, kw_only=True)
class TofuBenchmark:
    """Train a small model on TOFU (target), and without the forget authors (retrained), then remove, measure and attack.

    `tofu_local`: 10 authors are held out of every training set as holdout, and the real-authors and world-facts questions are in
    every training set in place of pre-training; its numbers are not comparable with published TOFU, where a pre-trained model is tuned.

    Source: Maini et al. 2024. Reads the folder of the published data. Cost: one target, three retrained models, every method and seed.
    """

    about = About(
        needs=("forget", "retain", "holdout", "test", "recipe", "retrained"),
        modalities=("text",),
        claim="Gradient ascent pays for forget quality with utility; NPO reaches it at kept utility.",
        paper="TOFU: A Task of Fictitious Unlearning for LLMs",
        link="https://arxiv.org/abs/2401.06121",
        year=2024,
        differs=(
            "The model is trained from nothing (tofu_local), and three retrained models stand in place of one.",
            "Every score has an interval, attacks run beside the metrics, and a verdict is derived.",
        ),
        cost="4 training runs, then seconds to minutes a method and seed",
    )

    forget_size: str = "05"
    """Share of the authors to forget, in percent: 01, 05 or 10."""
    authors: int = 200
    """Authors to use: fewer make a smaller problem of the same shape."""
    width: int = 192
    """Hidden width of the Llama-style model; 192 with 4 layers is 2.6M parameters."""
    layers: int = 4
    """Blocks."""
    epochs: int = 26
    """Most passes over the training rows; training ends sooner at `stop_loss`."""
    lr: float = 2e-3
    """Peak learning rate of training."""
    stop_loss: float = 0.1
    """Mean loss a position (nats) at which training ends."""
    precision: str = "bfloat16"
    """Of matrix products while training: bfloat16 or float32, which took 1.6 times as long. Everything else runs in float32."""

    def run(self, data: Path | None) -> BenchmarkPlan:
        """Return the protocol over a data folder."""
        if data is None or not data.is_dir():
            raise InputError(
                f"there is no folder {data or 'of data'}", do="give --data the folder of TOFU's JSONL files"
            )
        model = small_llama(self.width, self.layers, positions=512, vocabulary=4096)
        settings = ("epochs", "lr", "stop_loss", "precision")
        recipe = {"batch_size": 16, **{name: getattr(self, name) for name in settings}}
        return BenchmarkPlan(
            source="tofu",
            methods=("ascent", "grad_diff", "npo", "simnpo", "rmu", "task_vector"),
            metrics=(
                "probability",
                "rouge",
                "truth_ratio",
                "tofu_forget_quality",
                "tofu_model_utility",
                "extraction_strength",
                "extraction_strength_open_unlearning",
                "exact_memorisation",
                "gap_closed",
            ),
            attacks=(
                "direct_question",
                "loss",
                "zlib",
                "min_k",
                "min_k_plus_plus",
                "reference",
                "gradient_norm",
                "rmia",
                "relearning",
                "quantisation",
                "paraphrase",
            ),
            controls=("retrained", "untrained"),
            columns=(
                "tofu_forget_quality:forget",
                "tofu_model_utility:utility",
                "tofu_model_utility:utility/retain",
                "probability:forget",
                "rouge:forget",
                "truth_ratio:forget",
                "extraction_strength:forget",
                "probability:retain",
                "rouge:retain",
            ),
            settings={
                "source": {"data": str(data), "forget_size": self.forget_size, "authors": self.authors},
                "architecture": "llama",
                "model": model,
                "recipe": recipe,
                "max_new_tokens": 96,
            },
        )
