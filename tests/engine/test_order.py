"""The order of rows keys on (seed, epoch, row id)."""

from __future__ import annotations

import hashlib

from expunge.engine.order import cut, ordered
from expunge.facts.rows import Row, Rows

ROWS = Rows(tuple(Row(id=f"r{i}", fields={}) for i in range(30)))


def test_by_hand() -> None:
    """Fails if seed, epoch or id is left out of the key, or the key is no fixed hash (Python's changes each process)."""
    key = {i: hashlib.blake2b(f"5/2/r{i}".encode(), digest_size=8).digest() for i in range(30)}
    assert ordered(ROWS, 5, 2) == sorted(key, key=key.__getitem__)
    assert len({tuple(ordered(ROWS, seed, epoch)) for seed in (1, 11) for epoch in (0, 1)}) == 4


def test_leaving_rows_out_does_not_reshuffle_the_rest() -> None:
    """A permutation of indices under a seed would. Fails if a row's place depends on others' number or place in the list."""
    whole = [ROWS[i].id for i in ordered(ROWS, 0, 3)]
    fewer = ROWS.take([i for i in reversed(range(30)) if i not in (0, 7, 29)])
    assert [fewer[i].id for i in ordered(fewer, 0, 3)] == [key for key in whole if key not in ("r0", "r7", "r29")]


def test_cut() -> None:
    """Fails if the last short piece is dropped."""
    assert cut([4, 5, 6, 7, 8], 2) == [[4, 5], [6, 7], [8]]
    assert cut([], 2) == []
