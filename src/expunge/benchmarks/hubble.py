"""Hubble in miniature: memorisation by number of copies, by size of the corpus and by phase, and what unlearning leaves of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.benchmarks._models import small_llama
from expunge.contract.about import About
from expunge.contract.units import BenchmarkPlan
from expunge.facts.errors import InputError

COPIES = (1, 4, 16, 64)


@dataclass(frozen=True, kw_only=True)
class HubbleBenchmark:
    """Read a corpus in two phases with statements inserted 1 to 64 times (target), and without the late ones (retrained), then remove.

    Each phase is one pass. Memorisation by copies is read off the target's row; by corpus size, from runs with `corpus` of 800, 1600
    and 3200; by phase, late beside early at the same number of copies; and how fast what was repeated word for word fades, beside what
    was said in other words, from the base model's row (the end of the first phase) to the retrained models' (of the second).

    Source: Wei et al. 2025 (Hubble), Chang et al. 2024. Makes its data, or reads books. Cost: 5 training runs, then every method and seed.
    """

    about = About(
        needs=("forget", "retain", "holdout", "test", "recipe", "retrained"),
        modalities=("text",),
        claim="Memorisation rises with the number of copies and falls when the corpus grows; what was read early fades; what was repeated "
        "word for word fades faster than what was said in other words.",
        paper="Hubble: a Model Suite to Advance the Study of LLM Memorization",
        link="https://arxiv.org/abs/2510.19811",
        year=2025,
        paper_id="P176",
        differs=(
            "A model of 0.5M parameters, two phases of some hundred steps: not comparable with the published suite (1B and 8B).",
            "The fading of repeated text is the prediction of Chang et al. 2024 (P117), read at two points, not a fitted power law.",
        ),
        cost="5 training runs, then seconds to minutes a method and seed",
    )

    corpus: int = 1600
    """Rows of the corpus, half of them in each phase."""
    statements: int = 16
    """Statements for each number of copies and manner."""
    never: int = 40
    """Statements in no copy."""
    width: int = 128
    """Hidden width of the Llama-style model; 128 with 2 layers is 0.5M parameters."""
    layers: int = 2
    """Blocks."""
    lr: float = 4e-3
    """Peak learning rate of the first phase."""
    late_lr: float = 2e-3
    """Peak learning rate of the second phase: as in one schedule over both, it is lower than the first's."""
    batch_size: int = 16
    """Rows a step."""
    seed: int = 0
    """Which statements are made, and which corpus."""

    def run(self, data: Path | None) -> BenchmarkPlan:
        """Return the protocol over books, or over made-up people."""
        if data is not None and not data.exists():
            raise InputError(f"there is no {data}", do="give --data a folder of .txt books, or leave it out")
        model = small_llama(self.width, self.layers, positions=256, vocabulary=1024)
        recipe = {"epochs": 1, "batch_size": self.batch_size}
        chosen = ("corpus", "statements", "never", "seed")
        source = {"data": str(data) if data else "", **{name: getattr(self, name) for name in chosen}}
        return BenchmarkPlan(
            source="hubble",
            methods=("ascent", "grad_diff", "npo"),
            metrics=("exposure", "hubble_membership", "extraction_strength", "value_recall", "probability"),
            attacks=("direct_question", "loss", "min_k", "min_k_plus_plus", "relearning"),
            controls=("retrained", "base", "untrained"),
            columns=(
                *(f"exposure:ledger/late x{n}" for n in COPIES),
                "exposure:ledger/never x0",
                *(f"exposure:ledger/{manner} x{n}" for n in COPIES[1:] for manner in ("early", "early-varied")),
                *(f"hubble_membership:late/x{n}/loss" for n in COPIES),
                *(f"hubble_membership:late/x{n}/min_k" for n in COPIES),
                *(f"extraction_strength:late/x{n}" for n in COPIES[2:]),
                "probability:test",
            ),
            settings={
                "source": source,
                "architecture": "llama",
                "model": model,
                "base_recipe": {**recipe, "lr": self.lr},
                "recipe": {**recipe, "lr": self.late_lr},
                "max_new_tokens": 24,
                "retain_rows": 100,
            },
            notes=(
                f"Corpus: {self.corpus} rows in two phases; {self.statements} statements for each number of copies.",
            ),
        )
