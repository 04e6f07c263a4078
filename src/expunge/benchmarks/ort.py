"""The ORT protocol: is a fact that was removed in one surface form gone in the others?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.benchmarks._models import small_llama
from expunge.contract.about import About
from expunge.contract.units import BenchmarkPlan
from expunge.facts.errors import InputError

ASKED = ("paraphrase", "tense", "translated", "choice", "cloze", "two_hop", "true_false", "reversed")

ATTACKS = ("direct_question", "paraphrase", "reformulation", "cross_lingual", "relearning", "quantisation")
"""Forms reach the verdict as attacks, success minus control: other wordings, another tense, another language."""

METHODS = ("ascent", "grad_diff", "npo", "rmu", "task_vector")


@dataclass(frozen=True, kw_only=True)
class OrtBenchmark:
    """Train a small model that knows facts in one form and reads all, remove them in that form, and ask for them in the others.

    Generated people without `--data`. With it, a folder that holds tofu and tofu_paraphrases: real questions, trained in some wordings and
    asked in others. Form gap and success by form stand beside do-nothing, retrained, untrained, and the forms asked of holdout people.

    Source: Ye et al. 2025 (ORT). Cost: 4 training runs, then every method and seed.
    """

    about = About(
        needs=("forget", "retain", "holdout", "test", "recipe", "retrained"),
        modalities=("text",),
        claim="Gradient ascent and NPO trained on one form leave accuracy high on the other forms.",
        paper="LLM Unlearning Should Be Form-Independent",
        link="https://arxiv.org/abs/2506.07795",
        year=2025,
        paper_id="P111",
        differs=(
            "A model of about 0.5M parameters trained from nothing: it reads a form because other people's facts were trained in it.",
            "The target itself was trained in the removed form alone: what it says in another form had to carry over.",
            "Choices are corrected for guessing; retrained models and holdout people show chance; every score has an interval.",
            "The claim does not hold here by the methods' defaults: all forms end; weaker ones left multiple choice, in one of two worlds.",
            "ROCR, the method of the paper, is no part of this protocol's methods.",
        ),
        cost="4 training runs of 2 to 4 minutes, then seconds a method and seed",
    )

    trained_forms: tuple[str, ...] = ("question",)
    """Forms that forget people are trained and removed in; every other form is only asked."""
    retain_people: int = 40
    """People trained in all forms; with data 3 authors."""
    forget_people: int = 10
    """People to forget; with data 4 authors."""
    holdout_people: int = 10
    """People that no model is trained on; with data 3 authors."""
    relations: int = 6
    """Facts a person, beside those that follow from them."""
    width: int = 128
    """Hidden width of the Llama-style model; 128 with 2 layers is 0.5M parameters."""
    layers: int = 2
    """Blocks."""
    epochs: int = 30
    """Passes over the training rows."""
    lr: float = 3e-3
    """Peak learning rate of training."""
    weight_decay: float = 0.3
    """Of training; the recipe was chosen with it, by the forms that a target of other people could answer."""
    precision: str = "bfloat16"
    """Of matrix products while training: bfloat16 or float32. Everything else runs in float32."""
    method_lr: float = 0.0
    """Learning rate of every method in place of its default, which 0 leaves: how forms fall as a removal gets stronger."""
    seed: int = 0
    """Another seed makes other people."""

    def run(self, data: Path | None) -> BenchmarkPlan:
        """Return the protocol over generated people, or over a folder with TOFU and its paraphrases."""
        if data is not None and not data.is_dir():
            raise InputError(
                f"there is no folder {data}", do="give --data a folder that holds tofu and tofu_paraphrases"
            )
        model = small_llama(self.width, self.layers, positions=256, vocabulary=1024 if data is None else 2048)
        real = {"data": str(data), "retain_people": 3, "forget_people": 4, "holdout_people": 3, "asked": 1, "plain": 5}
        chosen = ("retain_people", "forget_people", "holdout_people", "relations", "seed")
        made = {"trained_forms": list(self.trained_forms), **{name: getattr(self, name) for name in chosen}}
        asked = [form for form in ASKED if form not in self.trained_forms] if data is None else ["paraphrase", "tense"]
        recipe = {name: getattr(self, name) for name in ("epochs", "lr", "weight_decay", "precision")}
        recipe |= {"batch_size": 32} if data is None else {"batch_size": 16, "stop_loss": 0.03}
        return BenchmarkPlan(
            source="ort",
            methods=METHODS,
            method_settings={name: {"lr": self.method_lr} for name in METHODS} if self.method_lr else {},
            metrics=("ort_success", "ort_form_gap", "probability", "rouge"),
            attacks=ATTACKS if data is None else tuple(name for name in ATTACKS if name != "cross_lingual"),
            controls=("retrained", "untrained"),
            columns=(
                "ort_form_gap:forget",
                "ort_form_gap:forget/unseen",
                "ort_form_gap:holdout/unseen",
                "ort_success:forget",
                *(f"ort_success:forget/{form}" for form in asked),
                "ort_success:retain",
                "rouge:test",
            ),
            settings={
                "source": made if data is None else real,
                "architecture": "llama",
                "model": model,
                "recipe": recipe,
                "max_new_tokens": 24 if data is None else 128,
                "retain_rows": 300,
            },
        )
