"""Seeds of a benchmark where the user names none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tiny_directory import call

from expunge.facts.errors import InputError


@pytest.mark.parametrize(
    ("words", "seeds", "retrained"),
    [
        (("corrective",), range(5), range(101, 111)),
        (("restor",), range(3), range(101, 104)),
        (("corrective", "--seeds", "7", "--retrained-seeds", "1,2"), [7], [1, 2]),
    ],
)
def test_seeds_are_the_protocols_where_none_are_named(
    words: Sequence[str], seeds: Sequence[int], retrained: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if small models get three seeds as language models do, or seeds that the user named are not those that run."""
    seen: list[tuple[list[int], list[int]]] = []

    def plan(*_: Any, seeds: Sequence[int], retrained: Sequence[int]) -> None:
        seen.append((list(seeds), list(retrained)))
        raise InputError("that is enough")

    monkeypatch.setattr("expunge.pipeline.benchmark.benchmark_plan", plan)
    assert call("bench", *words).code != 0
    assert seen == [(list(seeds), list(retrained))]


def test_an_empty_list_of_seeds_is_refused() -> None:
    """Fails if a variable that was never set runs the protocol's own seeds in its place."""
    for option in ("--seeds", "--retrained-seeds"):
        done = call("bench", "corrective", option, "")
        assert done.code != 0
        assert "'' is no list of seeds" in done.err
