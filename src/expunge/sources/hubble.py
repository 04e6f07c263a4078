"""A corpus with statements inserted a known number of times, early or late in training: the truth about who was a member."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from expunge.contract.about import About
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.sources import _hubble_ledger as ledger
from expunge.sources._muse_text import passage_row, passages_of, read_books
from expunge.sources._people_rows import new_name, person_rows

FACTS = 20
"""Facts a made-up person of the corpus, each in two rows."""


@dataclass(frozen=True, kw_only=True)
class Hubble:
    """Make two halves of a corpus, read one after the other, and insert statements (the code of a locker) into them.

    The first half, and what is inserted early, is `base_training`; the second is `retain`, and what is inserted late is `forget`: the
    target is the perturbed model, a retrained one the standard model that read the same text without the late insertions. Statements
    are of one draw and stand in training 0, 1, 4, 16 or 64 times; those in none are `holdout`: non-members of the same source.
    Early ones are repeated word for word, or each time in other words. `ledger` has every statement once with its `copies` and its
    `side` (late, early, early-varied, never); `late/x4` and the like have those of one kind, so that any metric is read by copies.

    Source: Wei et al. 2025 (Hubble). Differs: see `differs`. Reads a folder of books, or makes people.
    """

    about = About(
        needs=(),
        modalities=("text",),
        claim="The ledger says of every statement how often, when and how it was in training, and holdout statements are of the same draw.",
        paper="Hubble: a Model Suite to Advance the Study of LLM Memorization",
        link="https://arxiv.org/abs/2510.19811",
        year=2025,
        paper_id="P176",
        differs=(
            "Two phases in place of six; statements are codes of lockers in place of book passages, biographies and test sets.",
            "Early insertions belong to every model: what is forgotten are the late ones.",
        ),
        cost="milliseconds, or one read of the books",
    )

    data: str = ""
    """Folder of .txt books, or a .zip of them, whose passages are the corpus; empty makes people."""
    corpus: int = 1600
    """Rows of the corpus, half of them in each phase."""
    statements: int = 16
    """Statements for each number of copies, early, early in other words, and late."""
    copies: tuple[int, ...] = (1, 4, 16, 64)
    """Numbers of copies."""
    never: int = 40
    """Statements in no copy."""
    words: int = 24
    """Words a passage of a book."""
    seed: int = 0
    """Another seed makes other statements and another corpus."""

    def __post_init__(self) -> None:
        if self.corpus < 4 or min(self.statements, self.never, self.words) < 1 or not self.copies:
            raise ValueError("corpus is at least 4, statements, never and words at least 1, and copies is not empty")
        if any(count < 1 for count in self.copies) or len(set(self.copies)) < len(self.copies):
            raise ValueError(
                f"copies are distinct and at least 1, not {self.copies}: `never` says how many stand in none"
            )

    def run(self) -> dict[str, Rows]:
        """Return base_training, forget, retain, holdout, test, ledger, and by side and number of copies."""
        corpus = self._books(Path(self.data)) if self.data else self._people()
        first, second = corpus[: self.corpus // 2], corpus[self.corpus // 2 : self.corpus]
        listed = ledger.statements(self.seed, self.statements, self.copies, self.never)
        inserted = ledger.by_manner(listed)
        held = random.Random(f"{self.seed}/test").sample(second, max(1, len(second) // 8))
        made = {
            "base_training": [*first, *inserted[ledger.EARLY], *inserted[ledger.VARIED]],
            "forget": inserted[ledger.LATE],
            "retain": second,
            "holdout": [one.asked() for one in listed if not one.copies],
            "test": held,
            **ledger.ledger_rows(listed),
        }
        return {name: Rows(tuple(rows), name) for name, rows in made.items()}

    def _people(self) -> list[Row]:
        draw, taken = random.Random(f"{self.seed}/names"), set[str]()
        people = -(-self.corpus // (2 * FACTS))
        rows = [row for i in range(people) for row in person_rows(self.seed, i, new_name(draw, (2, 3), taken), FACTS)]
        return rows[: self.corpus]

    def _books(self, path: Path) -> list[Row]:
        cut = [one for name, text in read_books(path).items() for one in passages_of(name, text, self.words)]
        if len(cut) < self.corpus:
            raise InputError(
                f"{path} has {len(cut)} passages of {self.words} words and the corpus has {self.corpus} rows"
            )
        drawn = random.Random(f"{self.seed}/corpus").sample(cut, self.corpus)
        return [passage_row(one, self.words // 3) for one in drawn]
