"""The LUME protocol (SemEval-2025 Task 4): regurgitation, knowledge, membership and their aggregate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.benchmarks._models import small_llama
from expunge.contract.about import About
from expunge.contract.units import BenchmarkPlan
from expunge.facts.errors import InputError

ATTACKS = ("direct_question", "loss", "min_k", "min_k_plus_plus", "relearning", "quantisation")


@dataclass(frozen=True, kw_only=True)
class LumeBenchmark:
    """Train a small model on documents and people (target), and without those to forget (retrained), then remove, measure and attack.

    Every run: regurgitation and knowledge, a task, on forget and retain rows; membership by loss; utility on documents that every model
    was trained on and no method was given; and the leaderboard's aggregates, which are not the headline (see `lume_aggregate`).

    Source: Ramakrishna et al. 2025 (LUME). Reads the folder of LUME's two files. Cost: 4 training runs, then every method and seed.
    """

    about = About(
        needs=("forget", "retain", "holdout", "test", "recipe", "retrained"),
        modalities=("text",),
        claim="The usual methods end regurgitation and knowledge of the forget set and lose those of the retain set with them; gradient "
        "ascent overshoots in membership.",
        paper="LUME: LLM Unlearning with Multitask Evaluations",
        link="https://arxiv.org/abs/2502.15097",
        year=2025,
        differs=(
            "A model of about 0.5M parameters trained from nothing on a part of the documents: not comparable with LUME's (1B, 7B).",
            "Completions are cut to their last words of prompt and first words of answer.",
            "In the place of MMLU stand questions on other documents, trained on by every model and given to no method.",
            "Three retrained models stand beside, where LUME has none; every score has an interval, attacks run, and a verdict is derived.",
        ),
        cost="4 training runs, then seconds to minutes a method and seed",
    )

    forget_documents: int = 16
    """Documents or people to forget, of each task."""
    retain_documents: int = 24
    """Documents or people to retain, of each task."""
    holdout_documents: int = 16
    """Of each task, trained on by no model."""
    test_documents: int = 16
    """Of each task, trained on by every model and given to no method."""
    prompt_words: int = 24
    """Words of a completion's prompt, its last ones; 0 takes all."""
    answer_words: int = 24
    """Words of a completion's answer, its first ones; 0 takes all."""
    draw: int = 0
    """Which documents are drawn."""
    width: int = 128
    """Hidden width of the Llama-style model; 128 with 2 layers is 0.5M parameters."""
    layers: int = 2
    """Blocks."""
    epochs: int = 40
    """Most passes over the training rows; training ends sooner at `stop_loss`."""
    lr: float = 4e-3
    """Peak learning rate of training."""
    stop_loss: float = 0.005
    """Mean loss a position (nats) at which training ends."""
    precision: str = "bfloat16"
    """Of matrix products while training: bfloat16 or float32. Everything else runs in float32."""

    def run(self, data: Path | None) -> BenchmarkPlan:
        """Return the protocol over the folder of LUME's two files."""
        if data is None or not data.is_dir():
            raise InputError(f"there is no folder {data or 'of data'}", do="give --data the folder of LUME's two files")
        model = small_llama(self.width, self.layers, positions=384, vocabulary=1024)
        counts = ("forget_documents", "retain_documents", "holdout_documents", "test_documents")
        source = {name: getattr(self, name) for name in (*counts, "prompt_words", "answer_words")}
        recipe = {name: getattr(self, name) for name in ("epochs", "lr", "stop_loss", "precision")}
        return BenchmarkPlan(
            source="lume",
            methods=("ascent", "grad_diff", "kl_retain", "npo"),
            metrics=(
                "lume_regurgitation",
                "lume_knowledge",
                "lume_membership",
                "lume_aggregate",
                "probability",
                "rouge",
            ),
            attacks=ATTACKS,
            controls=("retrained", "untrained"),
            columns=(
                *(f"lume_{kind}:{split}" for split in ("forget", "retain") for kind in ("regurgitation", "knowledge")),
                "lume_knowledge:test",
                "lume_membership:forget/auc",
                "lume_membership:forget",
                "lume_aggregate:task_aggregate",
                "lume_aggregate:task_mean",
                "lume_aggregate:final",
                "relearning:success",
                "quantisation:success",
            ),
            settings={
                "source": {"data": str(data), "seed": self.draw, **source},
                "architecture": "llama",
                "model": model,
                "recipe": {"batch_size": 8, **recipe},
                "max_new_tokens": 128,
                "retain_rows": 4000,
            },
            notes=(f"Forget: {self.forget_documents} documents or people of each task that the folder has.",),
        )
