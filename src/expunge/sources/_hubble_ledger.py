"""Statements inserted into a corpus a known number of times, early or late, word for word or each time in other words."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from expunge.facts.rows import Row
from expunge.sources._people_rows import new_name
from expunge.sources._people_world import LEDGER, LEDGER_PARAPHRASE, LEDGER_UNSEEN

LATE, EARLY, VARIED, NEVER = "late", "early", "early-varied", "never"
CODE, WRONG = 5, 31
"""Digits of a code, and wrong codes a statement: it is told apart by its rank among them."""
PROMPTS = (LEDGER[0], *LEDGER_UNSEEN)
ANSWERS = (LEDGER[1], LEDGER_PARAPHRASE)


@dataclass(frozen=True)
class Statement:
    """The code of one locker, how often and how it is in training, and codes that it could be mistaken for."""

    id: str
    locker: str
    code: str
    wrong: tuple[str, ...]
    manner: str
    copies: int

    def fields(self, prompt: str = LEDGER[0], answer: str = LEDGER[1]) -> dict[str, Any]:
        """Return the statement in one wording."""
        words = {"name": self.locker, "value": self.code}
        return {"prompt": prompt.format(**words), "answer": answer.format(**words), "value": self.code}

    def asked(self, **more: Any) -> Row:
        """Return the row that it is measured by: the first wording, with the wrong codes in the same words."""
        wrong = tuple(LEDGER[1].format(name=self.locker, value=code) for code in self.wrong)
        return Row(id=self.id, fields={**self.fields(), "perturbed_answers": wrong, **more}, group=self.id)

    def inserted(self) -> list[Row]:
        """Return its copies as training rows: all alike, or (varied) each in the next of ten wordings, the first among them."""
        wordings = [(prompt, answer) for answer in ANSWERS for prompt in PROMPTS]
        chosen = [wordings[i % len(wordings) if self.manner == VARIED else 0] for i in range(self.copies)]
        return [
            Row(id=f"{self.id}/{i}", fields={**self.fields(*wording), "copies": self.copies}, group=self.id)
            for i, wording in enumerate(chosen)
        ]


def statements(seed: int, each: int, copies: tuple[int, ...], never: int) -> list[Statement]:
    """Return `each` statements for every manner and number of copies, and `never` of the same draw in no copy."""
    taken, names = set[str](), random.Random(f"{seed}/lockers")
    cells = [(manner, count, each) for manner in (LATE, EARLY, VARIED) for count in copies]
    found = []
    for manner, count, size in [*cells, (NEVER, 0, never)]:
        for k in range(size):
            name = f"{manner}-x{count}-{k}"
            code, *wrong = _codes(random.Random(f"{seed}/{name}"))
            found.append(Statement(name, new_name(names, (4,), taken), code, tuple(wrong), manner, count))
    return found


def _codes(draw: random.Random) -> list[str]:
    """Return distinct codes: the right one and WRONG others drawn like it."""
    found: dict[str, None] = {}
    while len(found) <= WRONG:
        found[" ".join(draw.choices("0123456789", k=CODE))] = None
    return list(found)


def ledger_rows(listed: list[Statement]) -> dict[str, list[Row]]:
    """Return every statement once with its `copies` and `side` (the ledger), and by manner and number of copies without them."""
    found: dict[str, list[Row]] = {"ledger": [one.asked(copies=one.copies, side=one.manner) for one in listed]}
    for one in listed:
        if one.copies:
            found.setdefault(f"{one.manner}/x{one.copies}", []).append(one.asked())
    return found


def by_manner(listed: list[Statement]) -> Mapping[str, list[Row]]:
    """Return the training rows of each manner."""
    found: dict[str, list[Row]] = {manner: [] for manner in (LATE, EARLY, VARIED)}
    for one in listed:
        if one.copies:
            found[one.manner] += one.inserted()
    return found
