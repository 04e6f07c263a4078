"""A real third-party package is built, installed and found: adding a method takes one file and one entry point."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_directory import make_tiny

PACKAGE = Path(__file__).resolve().parents[1] / "plugin_package"


def installed(package: Path, site: Path) -> Path:
    """Build a wheel of the package as its author would, without network, and install it into a folder of its own."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    wheels = site.parent / f"{site.name}-wheels"
    for words in (
        [
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--no-build-isolation",
            "--wheel-dir",
            str(wheels),
            str(package),
        ],
        [
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--target",
            str(site),
            "--find-links",
            str(wheels),
            "expunge-example",
        ],
    ):
        done = subprocess.run([*pip, *words], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    return site


def run(site: Path | None, *arguments: object, program: str = "") -> subprocess.CompletedProcess[str]:
    command = ["-c", program] if program else ["-m", "expunge.app.command", *map(str, arguments)]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([*([str(site)] if site is not None else []), os.environ.get("PYTHONPATH", "")]),
    }
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, timeout=300)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the plug-in is installed."""
    work = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PACKAGE, work / "package")
    return installed(work / "package", work / "site")


def test_it_is_listed_with_its_facts(site: Path) -> None:
    """Fails if entry points are not read, or the module is imported to be listed. Without the package it is not there."""
    listed = {unit["name"]: unit for unit in json.loads(run(site, "units", "--kind", "method", "--json").stdout)}
    assert listed["example"]["class"] == "Example"
    assert listed["example"]["year"] == 2020
    assert {"weight", "descent"} == {knob["name"] for knob in listed["example"]["settings"]}
    assert set(listed) - {"example"} == {
        unit["name"] for unit in json.loads(run(None, "units", "--kind", "method", "--json").stdout)
    }
    assert run(site, "units", "show", "example").stdout.startswith("# example (method)")
    assert run(None, "units", "show", "example").returncode == 2


def test_it_forgets_through_the_command(site: Path, tmp_path: Path) -> None:
    """Fails if a plug-in's method is found and not run: the answers of the forget rows spread, and its setting reaches it."""
    tiny = make_tiny(tmp_path / "tiny", models=("target",))
    done = run(site, "forget", "--model", tiny.target, *tiny.files("forget", "retain", "holdout"), "--method", "example", "--set", "weight=2.0",
               "--set", "epochs=10", "--out", tmp_path / "out", "--store", tmp_path / "store", "--quiet")  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["method"]["name"] == "example"
    assert record["method"]["settings"]["weight"] == 2.0
    scores = {
        (m["model"], m["split"]): m["score"]["value"] for m in record["measurements"] if m["metric"] == "probability"
    }
    assert scores["target", "forget"] > 0.9
    assert scores["unlearned", "forget"] < 0.3
    assert scores["unlearned", "retain"] > 0.5
    typo = run(site, "forget", "--model", tiny.target, *tiny.files("forget", "retain"), "--method", "exmple", "--out", tmp_path / "two",
               "--store", tmp_path / "store")  # fmt: skip
    assert typo.returncode == 2
    assert "the nearest is 'example'" in typo.stderr


def test_it_passes_the_public_checks(site: Path) -> None:
    """Fails if `check_method` cannot be run by a third party on its own unit and problem."""
    here = Path(__file__).parent
    program = (
        f"import sys; sys.path[:0] = [{str(here)!r}, {str(here.parent / 'app')!r}]\n"
        "from expunge.contract.checks import check_method\n"
        "from expunge.contract.registry import find\n"
        "from meta_problems import clouds\n"
        "print(check_method(find('method', 'example').create({'batch_size': 4, 'clip': 0.05}), clouds()))\n"
    )
    done = run(site, program=program)
    assert done.returncode == 0, done.stderr
    assert "forget_after" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ('"method.example"', '"method.npo"', "a plug-in offers method 'npo', a name the package has"),
        ('"method.example"', '"methods.example"', "is not `kind.name` of a module"),
        ("expunge_example.example:Example", "expunge_example:Example", "holds no unit"),
    ],
)
def test_a_broken_plugin_is_named(tmp_path: Path, old: str, new: str, wanted: str) -> None:
    """Fails if a plug-in replaces a unit of the package, or a wrong entry point is passed over in silence."""
    shutil.copytree(PACKAGE, tmp_path / "package")
    path = tmp_path / "package" / "pyproject.toml"
    path.write_text(path.read_text().replace(old, new))
    done = run(installed(tmp_path / "package", tmp_path / "site"), "units", "--kind", "method")
    assert done.returncode == 2, done.stdout
    assert wanted in done.stderr
