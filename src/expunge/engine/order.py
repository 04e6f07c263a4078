"""The order of rows: keyed on (seed, epoch, row id), so that leaving rows out does not reshuffle the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from expunge.facts.rows import Row


def ordered(rows: Sequence[Row], seed: int, epoch: int) -> list[int]:
    """Return indices of `rows` in the order of a hash of (seed, epoch, row id)."""
    salt = f"{seed}/{epoch}/".encode()
    keys = [hashlib.blake2b(salt + row.id.encode(), digest_size=8).digest() for row in rows]
    return sorted(range(len(rows)), key=keys.__getitem__)


def cut(indices: Sequence[int], size: int) -> list[list[int]]:
    """Return consecutive pieces of at most `size`."""
    return [list(indices[i : i + size]) for i in range(0, len(indices), size)]
