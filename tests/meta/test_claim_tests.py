"""Every unit of a paper on the list of systems has a test of that paper's claim."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from expunge.contract.about import KINDS
from expunge.contract.registry import units

ROOT = Path(__file__).resolve().parents[2]
LISTED = {f"{kind}.{name}": unit for kind in KINDS for name, unit in units(kind).items() if unit.about.paper_id}
OPENINGS = ("The claim", "The paper's claim")


def claim_tests(source: str) -> list[str]:
    """Return the tests of a file that are named `test_claim...`, or whose docstring opens by naming the claim."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("test_")
        and (node.name.startswith("test_claim") or (ast.get_docstring(node) or "").startswith(OPENINGS))
    ]


def test_what_counts_as_a_claim_test() -> None:
    """Fails if a helper, another test, or a docstring that mentions a claim further down counts."""
    source = '''
def test_claim_it_holds(): ...
def test_by_hand():
    """Half of it. The claim is elsewhere."""
def test_it_collapses():
    """The paper's claim: it does."""
def claim(): ...
def test_the_claim_is_derived(): ...
'''
    assert claim_tests(source) == ["test_claim_it_holds", "test_it_collapses"]


@pytest.mark.parametrize("name", sorted(LISTED))
def test_a_unit_of_a_listed_paper_tests_its_claim(name: str) -> None:
    """Fails if a unit with a `paper_id` has no claim test: a new one brings it along."""
    kind, _, own = name.partition(".")
    assert claim_tests((ROOT / "tests" / f"{kind}s" / f"test_{own}.py").read_text())


def test_units_of_one_paper_bear_one_id() -> None:
    """Fails if a unit leaves `paper_id` empty where another unit of the same paper gives it: it would escape the tests above."""
    ids: dict[str, set[str]] = {}
    for kind in KINDS:
        for unit in units(kind).values():
            ids.setdefault(unit.about.link, set()).add(unit.about.paper_id)
    assert {link: found for link, found in ids.items() if len(found) > 1} == {}
