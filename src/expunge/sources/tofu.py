"""TOFU: questions and answers about 200 fictitious authors."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from expunge.contract.about import About
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.sources._tofu_files import (
    PER_AUTHOR,
    check_same,
    perturbed_rows,
    phrased_rows,
    plain_row,
    public_rows,
    read_questions,
    read_refusals,
)

SIZES = ("01", "05", "10")
HOLDOUT_ROWS = range(400, 3800)
"""Rows that a holdout author may be drawn from: not those of retain_perturbed, nor those of forget05."""


@dataclass(frozen=True, kw_only=True)
class Tofu:
    """Read TOFU, with a holdout of authors that no model is trained on.

    TOFU has no free holdout of its own. With `local`, whole authors are held out of every training set, and real-authors and world-facts
    questions (`extra_training`) are in all of them, in place of pre-training: the numbers are not comparable with published ones.

    Source: Maini et al. 2024. Differs: see `differs`.
    Reads a folder with full, forgetNN, retainNN and, where there, their perturbed forms; `.jsonl` or `.json`, `.gz` or not.
    """

    about = About(
        needs=(),
        modalities=("text",),
        claim="A model tuned on the retain set answers questions on the forget authors no better than one that saw none.",
        paper="TOFU: A Task of Fictitious Unlearning for LLMs",
        link="https://arxiv.org/abs/2401.06121",
        year=2024,
        differs=(
            "With local, 10 authors are a holdout that the published splits do not have, and retain is smaller by their rows.",
            "With local, real-authors and world-facts questions are training rows of every model.",
        ),
        cost="one read of each file",
    )

    data: str = ""
    """Folder that holds full.jsonl.gz and the rest."""
    forget_size: str = "05"
    """Share of the authors to forget, in percent: 01, 05 or 10."""
    holdout_authors: int = 10
    """Authors held out of every training set."""
    authors: int = 200
    """Authors to use; with fewer, forget is the last `forget_size` percent of as many (at least 2), retain the first ones."""
    seed: int = 0
    """Which authors are held out."""
    local: bool = True
    """Hold authors out and train on the extra questions; without it the splits are the published ones."""
    paraphrases: str = ""
    """Folder with paraphrase_res*.csv: up to 25 more phrasings of a forget question."""

    def __post_init__(self) -> None:
        if self.forget_size not in SIZES:
            raise ValueError(f"forget_size must be one of {', '.join(SIZES)}, not {self.forget_size!r}")
        if self.local and self.holdout_authors < 1:
            raise ValueError("holdout_authors must be at least 1; for the published splits set local=false")
        least = HOLDOUT_ROWS.start // PER_AUTHOR + self.forget_authors
        if not least <= self.authors <= 200:
            raise ValueError(
                f"authors must be in {least}..200 (the first 20 are retain_perturbed's), not {self.authors}"
            )

    @property
    def forget_authors(self) -> int:
        """Authors to forget."""
        return max(2, round(self.authors * int(self.forget_size) / 100))

    def run(self) -> dict[str, Rows]:
        """Return forget, retain, test, retain_perturbed, real_authors, world_facts, refusals; local: holdout, extra_training."""
        folder = Path(self.data)
        full, forget = read_questions(folder, "full"), read_questions(folder, f"forget{self.forget_size}")
        start = len(full) - len(forget)
        rows = [plain_row(i, item) for i, item in enumerate(full)]
        check_same(f"forget{self.forget_size}", forget, rows[start:])
        held = self._holdout(start) if self.local else frozenset[int]()
        forget_rows = perturbed_rows(folder, f"forget{self.forget_size}_perturbed", rows[start:]) or rows[start:]
        forget_rows = forget_rows[-self.forget_authors * PER_AUTHOR :]
        kept = min(start, (self.authors - self.forget_authors) * PER_AUTHOR)
        found = {
            "forget": phrased_rows(Path(self.paraphrases), forget_rows) if self.paraphrases else forget_rows,
            "retain": [row for i, row in enumerate(rows[:kept]) if i // PER_AUTHOR not in held],
            "retain_perturbed": perturbed_rows(folder, "retain_perturbed", rows[: HOLDOUT_ROWS.start]),
            "real_authors": public_rows(folder, "real_authors"),
            "world_facts": public_rows(folder, "world_facts"),
            "refusals": [Row(id=f"refusal-{i}", fields={"answer": t}) for i, t in enumerate(read_refusals(folder))],
        }
        found["test"] = [*found["real_authors"], *found["world_facts"]]
        if self.local:
            found["holdout"] = [row for i, row in enumerate(rows) if i // PER_AUTHOR in held]
            found["extra_training"] = found["test"]
        return {name: Rows(tuple(items), name) for name, items in found.items() if items}

    def _holdout(self, start: int) -> frozenset[int]:
        """Authors to hold out: one order a seed, so that a larger forget set only skips its own authors."""
        authors = list(range(HOLDOUT_ROWS.start // PER_AUTHOR, HOLDOUT_ROWS.stop // PER_AUTHOR))
        random.Random(self.seed).shuffle(authors)
        free = [author for author in authors if (author + 1) * PER_AUTHOR <= start]
        if len(free) < self.holdout_authors:
            raise InputError(f"{self.holdout_authors} holdout authors were asked for, and {len(free)} can be held out")
        return frozenset(free[: self.holdout_authors])
