"""What stands in the package: enough units, each with a test of its own, a source and a page; a wheel that holds them all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from expunge.contract.about import KINDS
from expunge.contract.registry import Listing, units

ROOT = Path(__file__).resolve().parents[2]
AT_LEAST = {"source": 19, "locator": 7, "method": 44, "guard": 1, "metric": 51, "attack": 39, "benchmark": 15}
EVERY = [(kind, name) for kind in KINDS for name in units(kind)]
ESTIMATORS = sorted((ROOT / "src" / "expunge" / "estimators").glob("[!_]*.py"))
SMALL = [units(kind)[name].path for kind, name in EVERY] + ESTIMATORS
NUMBERS = re.compile(r"assert[^\n]*(==|<|>|approx|isclose|allclose|assert_allclose|equal)")


def test_as_many_units_are_found_as_there_were() -> None:
    """Fails if a folder is not walked, or a unit was lost: a kind of zero units would otherwise pass every other test here."""
    for kind in KINDS:
        assert len(units(kind)) >= AT_LEAST[kind], kind
    assert len(ESTIMATORS) >= 6


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_unit_has_a_test_that_compares_numbers(kind: str, name: str) -> None:
    """Fails if a unit is added without a test file of its name, or with one that only looks at types and shapes."""
    path = ROOT / "tests" / f"{kind}s" / f"test_{name}.py"
    assert path.is_file()
    text = path.read_text()
    assert NUMBERS.search(text)
    assert "Fails if" in text


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_unit_says_where_it_comes_from(kind: str, name: str) -> None:
    """Fails if a unit has no link, year, claim or summary, if a setting is not explained, or its source line is missing."""
    unit = units(kind)[name]
    about = unit.about
    assert re.fullmatch(r"https?://\S+", about.link)
    assert 1900 < about.year <= 2026
    assert len(about.claim) > 20
    assert about.paper
    assert about.modalities
    assert re.fullmatch(r"(P\d{3})?", about.paper_id)
    assert re.match(r"[A-Z].*[.:]$", unit.summary)
    assert "Source:" in unit.doc
    assert not [knob.name for knob in unit.knobs if not knob.doc]


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_unit_is_what_its_source_says(kind: str, name: str) -> None:
    """Fails if what is read from the source differs from what is imported, or a unit is more than one frozen dataclass."""
    import dataclasses
    import inspect

    unit: Listing = units(kind)[name]
    found = unit.load()
    assert found.about == unit.about
    assert inspect.getdoc(found) == inspect.cleandoc(unit.doc)
    assert found.__dataclass_params__.frozen
    assert all(field.kw_only for field in dataclasses.fields(found))
    assert [field.name for field in dataclasses.fields(found)] == [knob.name for knob in unit.knobs]
    assert found.__mro__[1:] == (object,)


@pytest.mark.parametrize("path", SMALL, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_unit_or_an_estimator_is_a_short_file(path: Path) -> None:
    """Fails if the file of a unit, or a public one of `expunge.estimators`, has 121 lines."""
    assert len(path.read_text().splitlines()) <= 120


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's own wheel, built without network."""
    folder = tmp_path_factory.mktemp("wheel")
    words = [
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *words],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("expunge-*.whl")
    return found


def test_the_wheel_holds_every_file(wheel: Path) -> None:
    """Fails if a unit, a template, a migration or the typing marker stays behind; tests and data do not come along."""
    held = {name for name in zipfile.ZipFile(wheel).namelist() if not name.split("/")[0].endswith(".dist-info")}
    source = ROOT / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for path in (source / "expunge").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == wanted
    assert {
        "expunge/py.typed",
        "expunge/store/migrations/0001_ledger.sql",
        "expunge/report/templates/page.html.j2",
    } <= held
    assert sum(name.startswith("expunge/methods/") for name in held) > AT_LEAST["method"]


def test_the_wheel_works_by_itself(wheel: Path, tmp_path: Path) -> None:
    """Fails if the installed package finds other units than the checkout, or cannot make a store."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = (
        "import pathlib, expunge\n"
        "from expunge.contract.about import KINDS\n"
        "from expunge.contract.registry import units\n"
        "from expunge.store.store import Store\n"
        f"with Store.open(pathlib.Path({str(tmp_path / 'store')!r})) as store:\n"
        "    assert store.verify_chain() == 0\n"
        "print(expunge.__file__, *[f'{kind}.{name}' for kind in KINDS for name in units(kind)])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    place, *names = done.stdout.split()
    assert place.startswith(str(tmp_path / "site"))
    assert names == [f"{kind}.{name}" for kind, name in EVERY]
