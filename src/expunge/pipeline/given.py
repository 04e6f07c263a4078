"""The rows that a plan's source gives, each where it belongs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from expunge.contract.splits import SPLITS, Splits, trained_on
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows

BESIDE = "extra_training"
"""Name under which a source gives rows for every training set."""
BASE = "base_training"
"""Name under which a source gives rows that a base model is trained on first."""


@dataclass(frozen=True)
class Given:
    """Rows by split, the evaluation rows beside them, and rows in every training set that no method is given.

    The last (`beside`) are in the same training run as the others; `base` are trained on before it, in one base model that target and
    retrained models start from.
    """

    rows: Mapping[str, Rows]
    extra: Mapping[str, Rows] = field(default_factory=dict)
    beside: Rows = field(default_factory=lambda: Rows(()))
    base: Rows = field(default_factory=lambda: Rows(()))

    @classmethod
    def of(cls, found: Mapping[str, Rows]) -> Given:
        """Return what a source gave, sorted; forget rows among those that retrained models train on, or none, are refused."""
        rows = {name: part for name, part in found.items() if name in SPLITS}
        Splits.of(**{"forget": Rows(()), **rows})
        extra = {name: part for name, part in found.items() if name not in (*SPLITS, BESIDE, BASE, "refusals")}
        given = cls(rows, extra, found.get(BESIDE, Rows(())), found.get(BASE, Rows(())))
        gone = {trained_on(row) for row in rows["forget"]}
        for name, part in ((BESIDE, given.beside), (BASE, given.base)):
            shared = sum(trained_on(row) in gone for row in part)
            if shared:
                raise InputError(
                    f"{shared} {name} rows are forget rows: retrained models would be trained on them",
                    do=f"take them out of {name}",
                )
        return given

    def splits(self) -> Splits:
        """Return the checked splits, with a ledger of their own."""
        return Splits.of(**self.rows)

    def measured(self) -> Splits:
        """Return the checked splits with one of the `copies` of a row: asked again a copy says nothing new, and would count as a row.

        Methods are given every copy: forget and retain together are the training set.
        """
        return Splits.of(**{name: _once(rows) for name, rows in self.rows.items()})

    def training(self, *names: str) -> Rows:
        """Return the rows of the named splits and those in every training set."""
        return Rows(
            tuple(row for part in (*(self.rows[name] for name in names), self.beside) for row in part), "training"
        )


def _once(rows: Rows) -> Rows:
    first: dict[bytes, str] = {}
    for row in rows:
        if row.get("copies", 1) > 1:
            first.setdefault(row.content(), row.id)
    kept = set(first.values())
    return Rows(tuple(row for row in rows if row.get("copies", 1) <= 1 or row.id in kept), rows.name)
