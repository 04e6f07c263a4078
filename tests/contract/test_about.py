"""What a unit declares about itself."""

from __future__ import annotations

from typing import Any

import pytest

from expunge.contract.about import About

FACTS: dict[str, Any] = {
    "needs": ("forget",),
    "modalities": ("text",),
    "claim": "",
    "paper": "",
    "link": "",
    "year": 2026,
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"needs": ("forget", "moon")}, "unknown needs .'moon'"),
        ({"modalities": ("text", "audio")}, "unknown modalities .'audio'"),
        ({"battery": "huge"}, "unknown battery 'huge'"),
        ({"takes": ("shadows", "retrained")}, "cannot take .'retrained'"),
        ({"search": {"lr": ("gaussian", 0.0, 1.0)}}, "search of 'lr'"),
        ({"search": {"lr": ("log", 0.0, 1.0)}}, "search of 'lr'"),
        ({"search": {"lr": ("linear", 1.0, 0.5)}}, "search of 'lr'"),
        ({"search": {"lr": ("choice",)}}, "search of 'lr'"),
    ],
)
def test_a_word_outside_the_closed_lists_is_refused(changed: dict[str, Any], said: str) -> None:
    """Fails if a need, a modality, a battery or a range that nothing understands passes until a run."""
    About(**FACTS)
    with pytest.raises(ValueError, match=said):
        About(**{**FACTS, **changed})


def test_ranges_of_a_search() -> None:
    """Fails if a range of one of the four kinds is refused."""
    given = {"a": ("log", 1e-3, 1.0), "b": ("linear", 0.0, 1.0), "c": ("int", 1, 5), "d": ("choice", "x", "y")}
    assert About(**FACTS, search=given).search == given


def test_what_is_taken_is_read_and_not_needed() -> None:
    """Fails if what a unit only takes holds a battery back, or nobody gathers it."""
    found = About(**FACTS, takes=("shadows",))
    assert found.needs == ("forget",)
    assert found.reads == ("forget", "shadows")
