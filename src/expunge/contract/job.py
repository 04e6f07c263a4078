"""What a unit is handed beside the model and the splits: randomness, scope, mask, cache, progress."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import torch

from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.facts.recipe import Recipe

T = TypeVar("T")


class Cache(Protocol):
    """Something that keeps bytes under a key made of content hashes; pipeline implements it with store."""

    def get(self, key: str) -> bytes | None:
        """Return what was put under `key`, or None."""

    def put(self, key: str, value: bytes) -> None:
        """Keep `value` under `key`."""


class Progress(Protocol):
    """Something that shows how far a loop got."""

    def track(self, items: Iterable[T], *, total: int, label: str) -> Iterator[T]:
        """Yield `items`, showing progress and an estimate of the time left."""


@dataclass(frozen=True)
class Silent:
    """Progress that shows nothing."""

    def track(self, items: Iterable[T], *, total: int, label: str) -> Iterator[T]:
        """Yield `items`."""
        yield from items


@dataclass(frozen=True)
class Forgetful:
    """A cache that keeps nothing."""

    def get(self, key: str) -> bytes | None:
        """Return None."""
        return None

    def put(self, key: str, value: bytes) -> None:
        """Keep nothing."""


class Remembering(dict[str, bytes]):
    """A cache in memory, for removals of one process that share work: other seeds or settings, or the next request."""

    def put(self, key: str, value: bytes) -> None:
        """Keep `value` under `key`."""
        self[key] = value


@dataclass
class Job:
    """One run of one unit.

    `generator` is on the CPU and is the unit's only source of randomness. `scope` holds the names of the parameters that may
    move, `mask` which of their entries. `notes` goes into the record. `autocast` wraps forward passes where the user
    asked for a lower precision. `base` opens the model that training by the recipe starts from; None where it starts from newly
    drawn weights.
    """

    seed: int = 0
    generator: torch.Generator = field(default_factory=torch.Generator)
    scope: frozenset[str] = frozenset()
    mask: Mask | None = None
    cache: Cache = field(default_factory=Forgetful)
    progress: Progress = field(default_factory=Silent)
    recipe: Recipe | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    base: Callable[[], Model] | None = None

    def __post_init__(self) -> None:
        self.generator.manual_seed(self.seed)

    def kept(self, work: str, *facts: str) -> tuple[str, bytes | None]:
        """Return the key in `cache` of some work done on `facts`, and what an earlier run kept there, or None.

        What was found is named in `notes["found_kept"]`: the seconds of this run leave it out.
        """
        key = f"{work.replace(' ', '-')}-{hashlib.sha256('/'.join(facts).encode()).hexdigest()}"
        found = self.cache.get(key)
        if found is not None:
            self.notes.setdefault("found_kept", []).append(work)
        return key, found

    def apart(self) -> Job:
        """Return the job of an auxiliary model: same seed, cache and progress; no mask, and notes and generator of its own.

        Mask and bound on steps are the removal's: a model that is trained to learn from may move everything, and its steps do not count.
        """
        return replace(self, notes={}, mask=None, generator=torch.Generator())

    @property
    def fresh_seed(self) -> int:
        """The seed under which a unit draws weights anew: made from `seed`, and never a small number such as trainings have.

        Under `seed` itself a target that was trained under the same seed began with the very weights that are drawn, and its layers below
        fit them still: a head so drawn knows the forgotten class at once.
        """
        return int.from_bytes(hashlib.sha256(f"newly drawn weights {self.seed}".encode()).digest()[:4], "big") | 1 << 31
