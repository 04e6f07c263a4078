"""Trials of settings, as many for every method and ended by one rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
MOST, PATIENCE = 12, 4
"""Trials of a method at most, its defaults the first; and how many in a row without gain end its search."""


def until_idle(
    trial: Callable[[int], T], value: Callable[[T], Any], *, most: int = MOST, patience: int = PATIENCE
) -> list[T]:
    """Return what trials 0, 1, ... gave: `most` of them, or fewer where `patience` in a row brought no lower value.

    Values are compared with `<`; tuples order by their first part.
    """
    found: list[T] = []
    idle, best = 0, None
    while len(found) < most and idle < patience:
        found.append(trial(len(found)))
        own = value(found[-1])
        better = best is None or own < best
        best, idle = (own, 0) if better else (best, idle + 1)
    return found
