"""Skill forgetting: does a skill go, or the examples it was shown by, and what goes with it?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.benchmarks._models import small_llama
from expunge.contract.about import About
from expunge.contract.units import BenchmarkPlan
from expunge.facts.errors import InputError

METHODS = ("random_answer", "random_label", "ascent", "npo")


@dataclass(frozen=True, kw_only=True)
class SkillsBenchmark:
    """Train a small model on several skills, have it forget one by trained examples of it, and ask for unseen ones of every skill.

    One run forgets one `skill`: one line of the task-by-task matrix. `python bench/skills.py` runs every skill in one store: all share
    the target, and prints the matrix. The retrained model never saw the skill and is the floor; `linear_probe` asks whether
    the answer can still be read from hidden states.

    Source: Zhang, Choshen and Andreas 2024. Makes its own data. Cost: 1 training run a world, 1 a skill and retrained seed.
    """

    about = About(
        needs=("forget", "retain", "holdout", "test", "recipe", "retrained"),
        modalities=("text",),
        claim="Random labels bring the examples they were given on near chance for every skill; unseen examples of it differ "
        "strongly between skills; a linear probe on hidden states keeps well-above-chance accuracy.",
        paper="Unforgettable Generalization in Language Models",
        link="https://arxiv.org/abs/2409.02228",
        year=2024,
        paper_id="P125",
        differs=(
            "A model of about 0.4M parameters that learns string functions here, in place of a pre-trained model and language tasks.",
            "Random labels: answers of forget rows (random_answer) or random bytes (random_label), drawn each step, retain rows beside.",
            "A retrained model that never saw the skill stands beside chance, every number has an interval, and a verdict is derived.",
        ),
        cost="1 training run of about a minute a world and a skill, then seconds a method and seed",
    )

    skill: str = "first"
    """Skill to forget."""
    skills: tuple[str, ...] = ("copy", "shift", "first", "last", "after", "early")
    """Skills of the world."""
    trained: int = 400
    """Examples a skill that models are trained on."""
    unseen: int = 100
    """Examples a skill to measure what carries over; in no training."""
    held: int = 100
    """Further examples of the skill in no training: the non-members."""
    width: int = 128
    """Hidden width of the Llama-style model; 128 with 2 layers is 0.43M parameters."""
    layers: int = 2
    """Blocks."""
    epochs: int = 15
    """Passes over the training rows."""
    lr: float = 4e-3
    """Peak learning rate of training."""
    batch_size: int = 32
    """Rows a step of training."""
    weight_decay: float = 0.1
    """Of training."""
    precision: str = "bfloat16"
    """Of matrix products while training: bfloat16 or float32. Everything else runs in float32."""
    retain_weight: float = 5.0
    """Weight of retain rows in random_answer, random_label and npo; 0 forgets by the forget rows alone, as the paper does."""
    seed: int = 0
    """Another seed draws other examples."""

    def run(self, data: Path | None) -> BenchmarkPlan:
        """Return the protocol of forgetting one skill."""
        if data is not None:
            raise InputError("this benchmark makes its own data", do="leave --data out")
        model = small_llama(self.width, self.layers, positions=128, vocabulary=257)
        source = {name: getattr(self, name) for name in ("skill", "trained", "unseen", "held", "seed")}
        recipe = {name: getattr(self, name) for name in ("epochs", "lr", "batch_size", "weight_decay", "precision")}
        return BenchmarkPlan(
            source="skills",
            methods=METHODS,
            method_settings={
                name: {"retain_weight": self.retain_weight} for name in ("random_answer", "random_label", "npo")
            },
            metrics=("skill_accuracy", "skill_transfer", "probability", "rouge"),
            attacks=("direct_question", "loss", "linear_probe"),
            controls=("retrained", "untrained"),
            columns=(
                "skill_accuracy:forget",
                "skill_accuracy:forget/unseen",
                "skill_accuracy:forget/chance",
                "skill_transfer:forget/carried",
                "linear_probe:success",
                "loss:auc",
                "skill_accuracy:test",
                *(f"skill_transfer:skill/{name}" for name in self.skills if name != self.skill),
            ),
            settings={
                "source": {**source, "skills": list(self.skills)},
                "architecture": "llama",
                "model": model,
                "recipe": recipe,
                "max_new_tokens": 8,
                "retain_rows": 200,
            },
            notes=(
                "The tokenizer has one token a byte and no other: it was trained on nothing, and is the same for every skill.",
            ),
        )
