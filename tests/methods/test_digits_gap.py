"""The settings that claims on the digits run at are those that the page's search chose."""

from __future__ import annotations

from pathlib import Path

import pytest
from digits_gap import SETTINGS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "results" / "digits.md"
SECTIONS = {
    "class": "## The threes\n",
    "random": "## A random tenth, a fifth of the labels wrong\n",
    "class_cnn": "## A small CNN: the threes\n",
    "random_cnn": "## A small CNN: a random tenth, a fifth of the labels wrong\n",
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_are_the_pages(case: str) -> None:
    """Fails if the page was made again and a method's settings here were not, or a method stands in no row."""
    section = PAGE.read_text(encoding="utf-8").partition(SECTIONS[case])[2].partition("\n## ")[0]
    found = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in SETTINGS[case]:
            told = cells[-1].removeprefix("**met** ").partition(";")[0]
            found[cells[0]] = {name: float(value) for name, value in (one.split(" ") for one in told.split(", "))}
    assert found == SETTINGS[case]
