"""Fictitious people with known facts, and a ledger of unique statements inserted a known number of times."""

from __future__ import annotations

import random
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.facts.rows import Rows
from expunge.sources._people_rows import ledger_rows, new_name, person_rows, public_rows
from expunge.sources._people_world import RELATIONS, SYLLABLES, words

__all__ = ["SYLLABLES", "People", "words"]


@dataclass(frozen=True, kw_only=True)
class People:
    """Make fictitious people, each with 20 facts, every fact asked and answered in two phrasings, and a ledger of insertions.

    Names are of random syllables and values are drawn evenly from 24 (the last two relations follow from others: birth city ->
    country, 8 values), so that a model which never saw a person guesses about one value in 20. `forget` is the last of the
    trained people, `holdout` more of the same draw that nobody trains on; person i is the same whatever the counts. The two
    rows of a `fact` stand in one split: an attack that shares out a split must share out facts or groups. `test` and
    `extra_training` are public facts (which country a city is in).

    The insertion ledger: unique statements (the code of a locker), each 0, 1, 4 or 16 times in training, its `copies`. Half of those
    with copies stand in `forget`, copy by copy, the other half in `retain`; those without are true controls and stand in `holdout`.
    `ledger` names every statement once, with the `side` it is on, for measuring how memorisation grows with copies.

    Source: after Maini et al. 2024 (people) and Carlini et al. 2019 (insertions). Differs: generated here.
    """

    about = About(
        needs=(),
        modalities=("text",),
        claim="A small model recalls the values it was trained on, and guesses those of people it never saw.",
        paper="TOFU: A Task of Fictitious Unlearning for LLMs",
        link="https://arxiv.org/abs/2401.06121",
        year=2024,
        differs=("People, facts and phrasings are generated; the insertion ledger follows Carlini et al. 2019.",),
        cost="milliseconds",
    )

    people: int = 40
    """People that the target is trained on, those to forget among them."""
    forget_people: int = 4
    """People to forget."""
    holdout_people: int = 4
    """People of the same draw that no model is trained on."""
    relations: int = 20
    """Facts a person, each in two rows; at most 20, the last two of which follow from others."""
    ledger: int = 4
    """Ledger statements for each number of copies (0, 1, 4, 16); 0 leaves the ledger out."""
    seed: int = 0
    """Another seed makes other people."""

    def __post_init__(self) -> None:
        if not 1 <= self.forget_people < self.people or self.holdout_people < 0 or self.ledger < 0:
            raise ValueError("1 <= forget_people < people, and holdout_people and ledger at least 0, are needed")
        if not 1 <= self.relations <= len(RELATIONS):
            raise ValueError(f"relations must be in 1..{len(RELATIONS)}, not {self.relations}")

    def run(self) -> dict[str, Rows]:
        """Return forget, retain, holdout, test, extra_training and ledger."""
        taken: set[str] = set()
        draw = random.Random(f"{self.seed}/names")
        names = [new_name(draw, (2, 3), taken) for _ in range(self.people + self.holdout_people)]
        facts = [row for i, name in enumerate(names) for row in person_rows(self.seed, i, name, self.relations)]
        first, end = ((self.people - n) * self.relations * 2 for n in (self.forget_people, 0))
        public = public_rows()
        inserted = ledger_rows(self.seed, self.ledger, taken)
        found = {
            "forget": facts[first:end] + inserted["forget"],
            "retain": facts[:first] + inserted["retain"],
            "holdout": facts[end:] + (inserted["holdout"] if self.holdout_people else []),
            "test": public,
            "extra_training": public,
            "ledger": inserted["ledger"],
        }
        return {name: Rows(tuple(rows), name) for name, rows in found.items() if rows}
