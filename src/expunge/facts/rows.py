"""A row of data with a stable id: the unit that can be asked to be forgotten."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, overload

from expunge.facts.errors import InputError


@lru_cache(maxsize=1024)
def _head(key: str, dtype: Any, shape: tuple[int, ...]) -> bytes:
    """Return what stands before an array's bytes. Kept, because naming a dtype and a shape takes as long as hashing a small array."""
    return f"{key}\0{dtype}{shape}".encode()


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
        parts: list[bytes] = []
        for key in sorted(self.fields):
            value = self.fields[key]
            plain = type(value) in (str, int, float)
            array = value.numpy() if not plain and hasattr(value, "numpy") else value
            if not plain and hasattr(array, "tobytes"):
                parts += (_head(key, array.dtype, array.shape), array.tobytes(), b"\1")
            else:
                parts.append(f"{key}\0{value!r}\1".encode())
        return hashlib.sha256(b"".join(parts)).digest()


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

    def contents(self) -> tuple[bytes, ...]:
        """Return what identifies each row's content, in order."""
        return tuple(row.content() for row in self.items)

    def digest(self, contents: Iterable[bytes] | None = None) -> str:
        """Return the sha256 over ids and contents, in order; `contents` where the caller has them."""
        given = self.contents() if contents is None else contents
        pairs = zip(self.items, given, strict=True)
        return hashlib.sha256(b"".join(row.id.encode() + b"\0" + content for row, content in pairs)).hexdigest()
