"""The four splits with a ledger of reads: a unit gets what it declared, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.rows import Row, Rows

SPLITS = ("forget", "retain", "holdout", "test")
TRAINED_ON = {"answer": ("prompt", "answer"), "image": ("image", "prompt", "label"), "features": ("features", "label")}
"""What a model trains on, by the field that says which kind of row it is; other fields serve measuring."""


@dataclass
class Splits:
    """Rows to forget, to retain, never trained on (holdout) and for utility (test).

    Reading a split counts in `reads`. Inside a unit only the splits it declared may be read; another raises
    UndeclaredRead, also when the unit would only look at its length.
    """

    rows: dict[str, Rows]
    allowed: frozenset[str] = frozenset(SPLITS)
    reads: dict[str, int] = field(default_factory=dict)
    handed_out: dict[str, tuple[bytes, ...]] = field(default_factory=dict, repr=False)
    """What identified each row's content when the harness gave these splits to a unit, by split."""

    def _read(self, name: str) -> Rows:
        if name not in self.allowed:
            raise UndeclaredRead(f"the unit read the split {name!r} without declaring it", do=f"add {name!r} to needs")
        self.reads[name] = self.reads.get(name, 0) + 1
        return self.rows.get(name, Rows((), name))

    @property
    def forget(self) -> Rows:
        """Rows that must go."""
        return self._read("forget")

    @property
    def retain(self) -> Rows:
        """Rows that must stay; disjoint from forget."""
        return self._read("retain")

    @property
    def holdout(self) -> Rows:
        """Rows of the same distribution as forget that no compared model trained on."""
        return self._read("holdout")

    @property
    def test(self) -> Rows:
        """Rows for utility only."""
        return self._read("test")

    def contents(self, name: str) -> tuple[bytes, ...]:
        """Return what identifies each row's content: as handed out, in a unit that the harness runs."""
        rows = self._read(name)
        return self.handed_out[name] if name in self.handed_out else rows.contents()

    def restricted(self, needs: Iterable[str]) -> Splits:
        """Return the splits a unit with `needs` may read, and no others' rows, with a fresh ledger."""
        allowed = frozenset(needs) & frozenset(SPLITS)
        return Splits({name: rows for name, rows in self.rows.items() if name in allowed}, allowed)

    @classmethod
    def of(
        cls, *, forget: Rows, retain: Rows | None = None, holdout: Rows | None = None, test: Rows | None = None
    ) -> Splits:
        """Build checked splits: forget is not empty, and no id or content stands in two of them.

        Content that forget shares with retain would make forgetting it and keeping it the same request. It is what a model trains
        on: two rows of one question and answer are the same whatever paraphrases they carry.
        """
        if not len(forget):
            raise InputError("the forget set is empty", do="give at least one row to forget")
        given = {"forget": forget, "retain": retain, "holdout": holdout, "test": test}
        rows = {name: Rows(split.items, name) for name, split in given.items() if split is not None}
        _check_disjoint(rows)
        return cls(rows)


def trained_on(row: Row) -> bytes:
    """Return bytes of what a model trains on; of a row of another kind, all of it."""
    names = next((names for field, names in TRAINED_ON.items() if field in row.fields), tuple(row.fields))
    return Row(id="", fields={name: row[name] for name in names if name in row.fields}).content()


def _check_disjoint(rows: dict[str, Rows]) -> None:
    seen: dict[str | bytes, tuple[str, str]] = {}
    for name, split in rows.items():
        for row in split:
            for key in (row.id, trained_on(row)):
                other, row_id = seen.get(key, (name, ""))
                if other != name and "test" not in (other, name):
                    raise InputError(
                        f"row {row.id!r} of {name} is also row {row_id!r} of {other}",
                        causes=("the same example was put in two files",),
                        do=f"remove it from {name} or from {other}: a row cannot be both",
                    )
                seen[key] = (name, row.id)
