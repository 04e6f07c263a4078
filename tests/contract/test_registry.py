"""Units are found by walking folders, read without importing, and built from flat settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_units import Settled

from expunge.contract import registry
from expunge.contract.about import KINDS
from expunge.contract.registry import build, find, settings_of, units
from expunge.engine.descend import Descent
from expunge.facts.errors import InputError

UNITS = [unit for kind in KINDS for unit in units(kind).values()]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: f"{unit.kind}.{unit.name}")
def test_what_is_read_equals_what_is_imported(unit: registry.Listing) -> None:
    """Fails if reading the source misses a fact or a setting, or takes another class for the unit."""
    loaded = unit.load()
    assert unit.about == loaded.about
    assert (unit.class_name, unit.module) == (loaded.__name__, loaded.__module__)
    assert [knob.name for knob in unit.knobs] == list(loaded.__dataclass_fields__)
    assert all(knob.doc for knob in unit.knobs), [knob.name for knob in unit.knobs if not knob.doc]


def test_every_file_is_a_unit_and_has_its_name() -> None:
    """Fails if a file is passed over, or a listing is kept by hand: the folder is the list."""
    package = Path(registry.__file__).parents[1]
    for kind in KINDS:
        files = {path.stem for path in (package / f"{kind}s").glob("*.py") if not path.stem.startswith("_")}
        assert set(units(kind)) == files


def test_listing_imports_no_torch() -> None:
    """`expunge units` answers in half a second. Fails if reading a unit's facts imports it."""
    code = (
        "import sys; from expunge.contract.registry import units; "
        "print(len(units('method')), [m for m in ('torch', 'numpy', 'expunge.methods.npo') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == f"{len(units('method'))} []"


def test_an_unknown_name_names_the_nearest() -> None:
    """Fails if a misspelt unit or kind is answered without a hint."""
    with pytest.raises(InputError, match="no method named 'nop'; the nearest is 'npo'"):
        find("method", "nop")
    with pytest.raises(InputError, match="no kind 'methods'"):
        units("methods")


def test_groups_are_flattened() -> None:
    """`lr` reaches `descent.lr`, and the group's other defaults stay. Fails if a group's key must be nested or resets the rest."""
    unit = build(Settled, {"lr": 1e-5, "beta": 0.5, "layers": [3]}, where="u")
    assert unit == Settled(beta=0.5, layers=(3,), descent=Descent(lr=1e-5, epochs=2))
    flat = settings_of(unit)
    assert (flat["lr"], flat["epochs"], flat["beta"]) == (1e-5, 2, 0.5)
    assert "descent" not in flat
    assert build(Settled, flat, where="u") == unit
    assert build(Settled, {"descent": {"lr": 2.0}}, where="u").descent == Descent(lr=2.0, epochs=2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"bta": 1.0}, "no setting 'bta'; the nearest is 'beta'"),
        ({"epoch": 1}, "no setting 'epoch'; the nearest is 'epochs'"),
        ({"beta": "much"}, "beta takes float, not 'much'"),
        ({"beta": True}, "beta takes float, not True"),
        ({"rounds": 1.5}, "rounds takes int, not 1.5"),
        ({"strict": 1}, "strict takes bool, not 1"),
        ({"name": 3}, "name takes str, not 3"),
        ({"beta": -1.0}, "beta must not be negative"),
        ({"lr": -1.0}, "lr and max_steps must not be negative"),
        ({"descent": {"lrr": 1.0}}, "lrr"),
    ],
)
def test_what_cannot_be_built_is_refused(given: dict[str, object], said: str) -> None:
    """Fails if a misspelt key, a wrong type or a value the unit refuses passes, or leaves as another error."""
    with pytest.raises(InputError, match=said):
        build(Settled, given, where="u")


def test_a_whole_number_is_a_float() -> None:
    """`--set beta=1` is TOML's integer. Fails if it is refused or stays one (the record's digest would differ from 1.0)."""
    beta = build(Settled, {"beta": 1}, where="u").beta
    assert isinstance(beta, float)
    assert beta == 1.0


def _unit(path: Path, body: str) -> Path:
    path.write_text("from expunge.contract.about import About\n\nclass Unit:\n    '''Do it.'''\n" + body)
    return path


def test_facts_must_be_literals(tmp_path: Path) -> None:
    """Fails if a fact that only running the file gives is dropped or guessed."""
    path = _unit(tmp_path / "odd.py", "    about = About(needs=tuple(['forget']), modalities=('text',))\n")
    with pytest.raises(InputError, match="takes literals only"):
        registry._listing("method", "odd", "odd", path)


def test_knobs_with_their_words(tmp_path: Path) -> None:
    """Fails if a setting's docstring goes to another setting, or a default is not read as written."""
    facts = "needs=(), modalities=('text',), claim='', paper='', link='', year=1, search={'beta': ('log', 0.1, 1.0)}"
    body = f"    about = About({facts})\n    beta: float = 2 / 3\n    '''How\n    strong.'''\n    name: str = 'x'\n"
    listing = registry._listing("method", "odd", "odd", _unit(tmp_path / "odd.py", body))
    assert listing is not None
    assert [(k.name, k.annotation, k.default, k.doc) for k in listing.knobs] == [
        ("beta", "float", "2 / 3", "How strong."),
        ("name", "str", "'x'", ""),
    ]
    assert (listing.summary, dict(listing.about.search)) == ("Do it.", {"beta": ("log", 0.1, 1.0)})
