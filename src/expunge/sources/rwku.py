"""RWKU: forget what is known of a few people, on generated people or on a folder in RWKU's format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.contract.about import About
from expunge.facts.rows import Rows
from expunge.sources._rwku_folder import CORPORA, folder_sets
from expunge.sources._rwku_world import world_sets


@dataclass(frozen=True, kw_only=True)
class Rwku:
    """Give people to forget, their neighbours, and probes of eleven kinds on them.

    Generated people: those to forget are trained in statements, plain questions and filled blanks, retain people in all eleven frames, so
    that a model has met each frame, on others. `forget/probes` asks for every fact to forget in every frame; `neighbour` asks for those
    who share a family name with somebody to forget, `distant` for as many who share none; `test` holds four abilities, `fluency` the fifth.

    With `data`: RWKU's files, by the same names of sets. With `local` its people are shared out into forget, holdout and retain, and texts
    and probes of them are trained on as above, for a model trained here. Without it, for a model that knows them already, forget is the
    texts (`corpus`), retain the retain_mia texts, and nothing is held out.

    Source: Jin et al. 2024 (RWKU). Differs: see `differs`.
    """

    about = About(
        needs=(),
        modalities=("text",),
        claim="A model trained on the people answers probes on them, in frames it met on others, and one trained without them does not.",
        paper="RWKU: Benchmarking Real-World Knowledge Unlearning for Large Language Models",
        link="https://arxiv.org/abs/2406.10890",
        year=2024,
        paper_id="P022",
        differs=(
            "Without data, people, facts and frames are generated; RWKU's probes on 200 real people are written by GPT-4.",
            "A forget and a retain set are given; RWKU gives neither, and lets the model write them.",
            "Generated neighbours share a family name with the forgotten; RWKU's are linked in Wikipedia.",
            "Prompts of RWKU's files stand in this project's template, Answer: behind affirmative suffixes too, and TruthfulQA's and "
            "TriviaQA's without six examples in front.",
        ),
        cost="milliseconds, or one read of each file",
    )

    data: str = ""
    """Folder in RWKU's format; empty generates people."""
    people: int = 36
    """People that the target is trained on, those to forget among them; with data at most that many."""
    forget_people: int = 4
    """People to forget; with data the first ones."""
    holdout_people: int = 4
    """People that no model is trained on; with data the last ones."""
    neighbours: int = 2
    """Generated neighbours of each person to forget."""
    relations: int = 8
    """Generated facts a person, 3 to 18."""
    corpus: str = "forget_mia"
    """With data, the texts to forget: forget_mia, passage or positive."""
    words: int = 64
    """With data, words that a text is cut into."""
    texts: int = 4
    """With data, pieces of a text that are used, at most."""
    asked: int = 48
    """With data, rows an ability, at most."""
    local: bool = True
    """With data, share its people out and train on texts and probes."""
    seed: int = 0
    """Another seed makes other people."""

    def __post_init__(self) -> None:
        kept = self.people - self.forget_people
        if self.forget_people < 1 or self.holdout_people < 1 or kept < 2 * self.forget_people * self.neighbours:
            raise ValueError(
                "forget and holdout people, and twice as many retain people as there are neighbours, are needed"
            )
        if self.neighbours < 1 or not 3 <= self.relations <= 18 or min(self.texts, self.asked) < 1 or self.words < 6:
            raise ValueError("neighbours, texts and asked are at least 1, words at least 6, relations in 3..18")
        if self.corpus not in CORPORA:
            raise ValueError(f"corpus must be one of {', '.join(CORPORA)}, not {self.corpus!r}")

    def run(self) -> dict[str, Rows]:
        """Return forget, retain, holdout, test, extra_training, forget/probes, neighbour, distant and fluency."""
        sizes = {"forget": self.forget_people, "held": self.holdout_people}
        if self.data:
            cut = {"people": self.people, "words": self.words, "texts": self.texts, "asked": self.asked}
            found = folder_sets(Path(self.data), corpus=self.corpus, local=self.local, **sizes, **cut)
        else:
            kept = self.people - self.forget_people
            found = world_sets(self.seed, kept, **sizes, neighbours=self.neighbours, relations=self.relations)
        return {name: Rows(tuple(rows), name) for name, rows in found.items() if rows}
