"""What an auditor runs works in an install without torch, transformers and scikit-learn, and starts fast."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_directory import Tiny, write_jsonl

BLOCKED = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "accelerate",
    "sklearn",
    "rapidfuzz",
    "diffusers",
    "optuna",
    "pyarrow",
)
HOOK = f"""
from importlib.machinery import PathFinder

found = PathFinder.find_spec

def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in {BLOCKED!r} else found(name, path, target)

PathFinder.find_spec = find_spec
"""

Blocked = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def blocked(tmp_path_factory: pytest.TempPathFactory) -> Blocked:
    """Run the command where torch and all else of the extras are not found, as if they were not installed."""
    folder = tmp_path_factory.mktemp("hook")
    (folder / "sitecustomize.py").write_text(HOOK)

    def run(
        *arguments: object, program: str = "from expunge.app.command import main; main()"
    ) -> subprocess.CompletedProcess[str]:
        code = f"import sys; sys.argv[0] = 'expunge'\n{program}"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
            "OMP_NUM_THREADS": "1",
        }
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
        )

    return run


@pytest.fixture(scope="session")
def evidence(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one removal, its certificate and model."""
    from expunge import forget

    work = tmp_path_factory.mktemp("evidence")
    forget(tiny.target, forget=tiny.rows("forget"), retain=tiny.rows("retain"), holdout=tiny.rows("holdout"), method="ascent",
           settings={"epochs": 1}, out=work / "out", store=work / "store")  # fmt: skip
    return work


def test_the_hook_blocks(blocked: Blocked) -> None:
    """Fails if the other tests here would pass with torch imported: the check is checked."""
    for name in ("torch", "transformers.models", "sklearn"):
        done = blocked(program=f"import {name}")
        assert done.returncode == 1
        assert "ModuleNotFoundError" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--help",), ("forget", "--help"), ("run", "--help"), ("certificate", "--help"), ("units",), ("units", "--json"), ("units", "show", "npo"),
        ("units", "--kind", "attack", "--for", "text"), ("doctor",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_help_and_units_need_no_torch(blocked: Blocked, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Fails if a command module, or a listing, imports a unit."""
    more = ("--store", tmp_path / "store") if words == ("doctor",) else ()
    done = blocked(*words, *more)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_units_are_listed_whole_without_torch(blocked: Blocked) -> None:
    """Fails if a unit that cannot be imported drops out of the list: names, claims and settings are read from its source."""
    listed = json.loads(blocked("units", "--json").stdout)
    from expunge.contract.about import KINDS
    from expunge.contract.registry import units

    assert {(unit["kind"], unit["name"]) for unit in listed} == {(kind, name) for kind in KINDS for name in units(kind)}
    npo = next(unit for unit in listed if (unit["kind"], unit["name"]) == ("method", "npo"))
    assert {"beta"} <= {knob["name"] for knob in npo["settings"]}
    assert npo["paper_id"].startswith("P")


def test_an_auditor_verifies_without_torch(blocked: Blocked, tiny: Tiny, evidence: Path) -> None:
    """Fails if verifying signature, claim, files or chain loads a model."""
    out, store = evidence / "out", evidence / "store"
    given = ("--key", store / "keys" / "issuer.pub", "--model", out / "model", "--target", tiny.target)
    done = blocked("certificate", "verify", out / "certificate.json", *given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not checked" not in done.stdout
    shown = blocked("certificate", "show", out / "certificate.json")
    assert shown.returncode == 0, shown.stderr
    for words in (("list",), ("verify",), ("export",)):
        done = blocked("ledger", *words, "--store", store)
        assert done.returncode == 0, done.stderr


def test_tampering_is_seen_without_torch(blocked: Blocked, evidence: Path, tmp_path: Path) -> None:
    """Fails if the digest of weights is only taken where torch is."""
    shutil.copytree(evidence / "out", tmp_path / "out")
    path = tmp_path / "out" / "model" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    key = evidence / "store" / "keys" / "issuer.pub"
    done = blocked(
        "certificate", "verify", path.parent.parent / "certificate.json", "--key", key, "--model", path.parent
    )
    assert done.returncode == 1
    assert "changed model.safetensors" in done.stdout


def test_a_report_is_made_without_torch(blocked: Blocked, tiny: Tiny, evidence: Path, tmp_path: Path) -> None:
    """Fails if a page needs the models again; text is joined from the file given, and from nowhere else."""
    page = tmp_path / "page.html"
    done = blocked("report", evidence / "out" / "record.json", "--out", page, "--store", evidence / "store")
    assert done.returncode == 0, done.stderr
    answer = tiny.rows("forget")[0]["answer"]
    assert answer not in page.read_text()
    done = blocked("report", evidence / "out" / "record.json", "--out", page, "--with-text", tiny.file("forget"))
    assert done.returncode == 0, done.stderr


def test_purge_and_keygen_need_no_torch(blocked: Blocked, evidence: Path, tmp_path: Path) -> None:
    """Fails if throwing away needs what made it."""
    shutil.copytree(evidence / "store", tmp_path / "store")
    done = blocked("purge", "--all", "--store", tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 0
    assert blocked("certificate", "keygen", tmp_path / "k.pem").returncode == 0


def test_what_needs_torch_says_how_to_get_it(blocked: Blocked, tmp_path: Path) -> None:
    """Fails if a core install ends in a traceback where a model is needed."""
    rows = write_jsonl(tmp_path / "rows.jsonl", [{"question": "a", "answer": "b"}])
    done = blocked("forget", "--model", tmp_path, "--forget", rows, "--method", "npo", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "is not installed" in done.stderr
    assert "pip install 'expunge[models]'" in done.stderr


@pytest.mark.parametrize(
    "words", [("--help",), ("units",), ("certificate", "--help"), ("ledger", "--help")], ids=" ".join
)
def test_it_starts_in_half_a_second(words: tuple[str, ...]) -> None:
    """Fails if a heavy import creeps in: user + system time of the process, which a busy machine does not stretch much.

    The least of three, and torch is not among the modules (checked at exit).
    """
    program = (
        "import atexit, os, sys\n"
        "def end():\n"
        "    spent = os.times()\n"
        "    sys.stderr.write(f'{spent.user + spent.system} {sum(name in sys.modules for name in ' + repr(BLOCKED) + ')}')\n"
        "atexit.register(end)\n"
        "sys.argv[0] = 'expunge'\n"
        "from expunge.app.command import main\n"
        "main()\n"
    ).replace("' + repr(BLOCKED) + '", repr(BLOCKED).replace("'", '"'))
    found = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        seconds, heavy = done.stderr.split()
        assert heavy == "0"
        found.append(float(seconds))
    assert min(found) < 0.5
