"""The MUSE protocol on books: six ways to look at a model that was to forget passages of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.benchmarks._models import small_llama
from expunge.contract.about import About
from expunge.contract.units import BenchmarkPlan
from expunge.facts.errors import InputError

ATTACKS = ("direct_question", "loss", "zlib", "min_k", "min_k_plus_plus", "reference", "relearning", "quantisation")


@dataclass(frozen=True, kw_only=True)
class MuseBenchmark:
    """Train a small model on passages of books (target), and without those of one book (retrained), then remove, measure and attack.

    Every run: verbatim memory (`muse_verbmem`), knowledge memory (`muse_knowmem:forget/knowledge`), privacy leakage against the retrained
    models (`muse_privleak`) and utility (`muse_knowmem:test`, questions on retain passages). Scaling: `forget_size` of 1, 2 and 4 with
    `parts=4`, a run each. Sustainability: `first` of 1, 2, ...; each request starts from the model that the one before left, so
    that it is a plan with model.directory (a benchmark trains its target itself).

    Source: Shi et al. 2024 (MUSE). Reads a folder of .txt books or a .zip. Cost: 4 training runs, then every method and seed.
    """

    about = About(
        needs=("forget", "retain", "holdout", "test", "recipe", "retrained"),
        modalities=("text",),
        claim="Most methods end verbatim and knowledge memory; nearly all leave PrivLeak far from 0 and lose utility, more of it the "
        "larger the forget set is, and with every further request.",
        paper="MUSE: Machine Unlearning Six-Way Evaluation for Language Models",
        link="https://arxiv.org/abs/2407.06460",
        year=2024,
        paper_id="P019",
        differs=(
            "A model of about 0.5M parameters trained from nothing on short passages: not comparable with published MUSE (7B, tuned).",
            "Cloze questions made by rule, trained in two wordings and asked in a third; non-members are passages of the same book.",
            "Three retrained models stand in place of one, every score has an interval, attacks run beside, and a verdict is derived.",
            "NPO is the loss of its paper; MUSE's own code applies it to raw logits.",
        ),
        cost="4 training runs, then seconds to minutes a method and seed",
    )

    book: str = "chesterton-brown"
    """Book (without .txt) that passages are to be forgotten of."""
    passages: int = 24
    """Passages a part of the book; as many are held out."""
    retain_passages: int = 48
    """Passages of other books."""
    words: int = 32
    """Words a passage, a third of them the prompt."""
    parts: int = 1
    """Parts of the book that the target is trained on."""
    forget_size: int = 1
    """Parts to forget: 1, 2 and 4 of 4 show scaling."""
    first: int = 1
    """First part to forget; later requests of a sequence have higher numbers."""
    width: int = 128
    """Hidden width of the Llama-style model; 128 with 2 layers is 0.5M parameters."""
    layers: int = 2
    """Blocks."""
    epochs: int = 60
    """Most passes over the training rows; training ends sooner at `stop_loss`."""
    lr: float = 4e-3
    """Peak learning rate of training."""
    stop_loss: float = 0.1
    """Mean loss a position (nats) at which training ends."""
    precision: str = "bfloat16"
    """Of matrix products while training: bfloat16 or float32. Everything else runs in float32."""

    def run(self, data: Path | None) -> BenchmarkPlan:
        """Return the protocol over a folder or an archive of books."""
        if data is None or not data.exists():
            raise InputError(
                f"there is no {data or 'folder of books'}", do="give --data a folder of .txt books, or a .zip of them"
            )
        model = small_llama(self.width, self.layers, positions=256, vocabulary=1024)
        chosen = ("book", "passages", "retain_passages", "words", "parts", "forget_size", "first")
        source = {"holdout_passages": self.passages, **{name: getattr(self, name) for name in chosen}}
        recipe = {name: getattr(self, name) for name in ("epochs", "lr", "stop_loss", "precision")}
        return BenchmarkPlan(
            source="muse",
            methods=("ascent", "grad_diff", "npo", "rmu", "task_vector"),
            metrics=("muse_verbmem", "muse_knowmem", "muse_privleak", "probability", "rouge"),
            attacks=ATTACKS,
            controls=("retrained", "untrained"),
            columns=(
                "muse_verbmem:forget",
                "muse_knowmem:forget/knowledge",
                "muse_knowmem:forget/knowledge/choice",
                "muse_privleak:forget",
                "muse_privleak:forget/auc",
                "muse_knowmem:test",
                "muse_verbmem:retain",
                "muse_verbmem:holdout",
                *(("muse_knowmem:forget/earlier",) if self.first > 1 else ()),
                "relearning:success",
                "quantisation:success",
            ),
            settings={
                "source": {"data": str(data), **source},
                "architecture": "llama",
                "model": model,
                "recipe": {"batch_size": 8, **recipe},
                "max_new_tokens": 80,
                "retain_rows": 200,
            },
            notes=(f"Forget: {self.forget_size} of {self.parts} parts of {self.passages} passages of {self.book}.",),
        )
