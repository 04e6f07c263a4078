"""The RWKU protocol: forget what is known of a few people, and probe for it in eleven frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.benchmarks._models import small_llama
from expunge.contract.about import About
from expunge.contract.units import BenchmarkPlan
from expunge.facts.errors import InputError
from expunge.statistics.rwku import ABILITIES, ADVERSARIAL

MEMBERSHIP = ("loss", "zlib", "min_k", "min_k_plus_plus")


@dataclass(frozen=True, kw_only=True)
class RwkuBenchmark:
    """Train a small model on people (target), and without some of them (retrained), then remove those, measure, probe and attack.

    Levels of `rwku_forget`: blanks to fill (1), questions (2), nine adversarial kinds (3), each kind by itself too; four membership
    attacks; `rwku_neighbour` on people of the same family name and on distant ones; `rwku_utility` in five abilities.
    Without --data the people are generated; with it they are those of a folder in RWKU's format.

    Source: Jin et al. 2024 (RWKU). Cost: 4 training runs, then every method and seed.
    """

    about = About(
        needs=("forget", "retain", "holdout", "test", "recipe", "retrained"),
        modalities=("text",),
        claim="An unlearned model that no longer answers questions still answers under some probes (fill-in-the-blank, reverse query, "
        "prefix injection), while its neighbours degrade.",
        paper="RWKU: Benchmarking Real-World Knowledge Unlearning for Large Language Models",
        link="https://arxiv.org/abs/2406.10890",
        year=2024,
        paper_id="P022",
        differs=(
            "A model of 0.5M parameters trained from nothing on generated people: not comparable with published RWKU (8B, real ones).",
            "A forget and a retain set are given, and retrained models, which RWKU cannot have; all people are forgotten at once.",
            "Forget people are trained in statements, one wording of a question and filled blanks; retain people in all eleven frames.",
            "Membership is told from people that no model was trained on; RWKU compares two sets of members (`rwku_membership`).",
        ),
        cost="4 training runs, then seconds to minutes a method and seed",
    )

    people: int = 36
    """People that the target is trained on, those to forget among them; with data at most that many."""
    forget_people: int = 4
    """People to forget; as many are held out."""
    neighbours: int = 2
    """Generated neighbours of each person to forget."""
    relations: int = 8
    """Generated facts a person."""
    seed: int = 0
    """Another seed makes other people."""
    width: int = 128
    """Hidden width of the Llama-style model; 128 with 2 layers is 0.5M parameters."""
    layers: int = 2
    """Blocks."""
    epochs: int = 22
    """Most passes over the training rows; training ends sooner at `stop_loss`."""
    lr: float = 3e-3
    """Peak learning rate of training."""
    stop_loss: float = 0.02
    """Mean loss a position (nats) at which training ends."""
    precision: str = "bfloat16"
    """Of matrix products while training: bfloat16 or float32. Everything else runs in float32."""

    def run(self, data: Path | None) -> BenchmarkPlan:
        """Return the protocol over generated people, or over a folder in RWKU's format."""
        if data is not None and not data.is_dir():
            raise InputError(f"there is no folder {data}", do="give --data a folder in RWKU's format, or leave it out")
        model = small_llama(
            self.width, self.layers, positions=256 if data is None else 2048, vocabulary=1024 if data is None else 4096
        )
        chosen = ("people", "forget_people", "neighbours", "relations", "seed")
        source = {"holdout_people": self.forget_people, **{name: getattr(self, name) for name in chosen}}
        recipe = {name: getattr(self, name) for name in ("epochs", "lr", "stop_loss", "precision")}
        tests = [f"rwku_utility:test/{ability}" for ability in ABILITIES[:-1]]
        return BenchmarkPlan(
            source="rwku",
            methods=("ascent", "grad_diff", "npo", "dpo", "rmu"),
            metrics=("rwku_forget", "rwku_neighbour", "rwku_utility", "rwku_membership", "probability", "rouge"),
            attacks=("direct_question", *MEMBERSHIP),
            controls=("retrained", "untrained"),
            columns=(
                *(f"rwku_forget:forget/probes/level_{level}" for level in (1, 2, 3)),
                *(f"rwku_forget:forget/probes/{kind}" for kind in ADVERSARIAL),
                *(f"{attack}:auc" for attack in MEMBERSHIP),
                "rwku_neighbour:neighbour",
                *(("rwku_neighbour:distant",) if data is None else ()),
                *tests,
                "rwku_utility:fluency/fluency",
            ),
            settings={
                "source": {**source, **({"data": str(data)} if data is not None else {})},
                "architecture": "llama",
                "model": model,
                "recipe": {"batch_size": 32, **recipe},
                "max_new_tokens": 64,
                "retain_rows": 200,
            },
            notes=(f"Forget: {self.forget_people} of {self.people} people.",),
        )
