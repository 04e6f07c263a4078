"""A row of data with a stable id: the unit that can be asked to be forgotten."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, overload

from expunge.facts.errors import InputError


@lru_cache(maxsize=256)
def _dtype_name(dtype: Any) -> str:
    """Return the name of a dtype. NumPy makes it anew each time, which took a third of a row's digest."""
    return str(dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One example under a stable id.

    Text rows carry `prompt` and `answer`, and optionally `value` (the short string that must not come back),
    `paraphrased_answer`, `perturbed_answers`, `paraphrased_prompts`; image rows `image` (array) and `label`; tables
    `features` (array) and `label`. `group` names whom the row is about (author, speaker): rows of one group are not
    independent and intervals resample groups.
    """

    id: str
    fields: Mapping[str, Any]
    group: str | None = None

    def __getitem__(self, key: str) -> Any:
        return self.fields[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return a field or `default`."""
        return self.fields.get(key, default)

    def replace(self, **fields: Any) -> Row:
        """Return a copy with some fields replaced, under the same id and group."""
        return Row(id=self.id, fields={**self.fields, **fields}, group=self.group)

    def content(self) -> bytes:
        """Return bytes that identify the content (not the id): what commitments and cache keys are made of."""
        digest = hashlib.sha256()
        for key in sorted(self.fields):
            value = self.fields[key]
            digest.update(key.encode() + b"\0")
            array = value.numpy() if hasattr(value, "numpy") else value
            if hasattr(array, "tobytes"):
                digest.update(f"{_dtype_name(array.dtype)}{array.shape}".encode() + array.tobytes())
            else:
                digest.update(repr(value).encode())
            digest.update(b"\1")
        return digest.digest()


@dataclass(frozen=True)
class Rows(Sequence[Row]):
    """An immutable sequence of rows with unique ids."""

    items: tuple[Row, ...]
    name: str = field(default="rows", compare=False)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for row in self.items:
            if row.id in seen:
                raise InputError(f"{self.name}: the row id {row.id!r} appears twice", do="give every row its own id")
            seen.add(row.id)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> Row | Rows:
        return Rows(self.items[index], self.name) if isinstance(index, slice) else self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.items)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids in order."""
        return tuple(row.id for row in self.items)

    @property
    def groups(self) -> tuple[str, ...]:
        """Group of each row; a row without one is its own group."""
        return tuple(row.group if row.group is not None else row.id for row in self.items)

    def take(self, indices: Sequence[int]) -> Rows:
        """Return the rows at `indices`, in that order."""
        return Rows(tuple(self.items[int(i)] for i in indices), self.name)

    def digest(self) -> str:
        """Return the sha256 over ids and contents, in order."""
        digest = hashlib.sha256()
        for row in self.items:
            digest.update(row.id.encode() + b"\0" + row.content())
        return digest.hexdigest()
