"""The command under `accelerate launch` with two gloo processes: one result, written and printed once."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tiny_directory import Command, Tiny, files_under

SETTINGS = ("--method", "npo", "--set", "epochs=5", "--set", "batch_size=3", "--battery", "quick")


PLAIN = (
    "--multi_gpu",
    "--num_processes",
    "2",
    "--num_machines",
    "1",
    "--mixed_precision",
    "no",
    "--dynamo_backend",
    "no",
)


def launched(*arguments: object, cwd: Path, how: tuple[str, ...] = PLAIN) -> subprocess.CompletedProcess[str]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = str(one.getsockname()[1])
    launch = [sys.executable, "-m", "accelerate.commands.launch", *how, "--main_process_port", port]
    return subprocess.run(
        [*launch, "-m", "expunge.app.command", *map(str, arguments)],
        cwd=cwd, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=500,
    )  # fmt: skip


def numbers(record: dict[str, object]) -> list[float]:
    """Every number of the outcomes and measurements, in order."""
    found: list[float] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for key in sorted(value):
                if key not in ("cost", "seconds"):
                    walk(value[key])
        elif isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found.append(float(value))

    walk([record["outcomes"], record["measurements"], record["tests"]])
    return found


@pytest.fixture(scope="module")
def removed(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A removal by two processes, and what it printed."""
    work = tmp_path_factory.mktemp("launched")
    done = launched("forget", "--model", tiny.target, *tiny.files("forget", "retain", "holdout"), *SETTINGS, "--out",
                    work / "out", "--store", work / "store", "--quiet", "--json", cwd=work)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return work, done.stdout


def test_forget_gives_what_one_process_gives(
    removed: tuple[Path, str], command: Command, tiny: Tiny, tmp_path: Path
) -> None:
    """Weights within 1e-5, the same claim, every number of the record within 1e-3.

    Fails if each process trains on all rows, or writes its own: two records, two lines of evidence, two printed results.
    """
    work, said = removed
    alone = command("forget", "--model", tiny.target, *tiny.files("forget", "retain", "holdout"), *SETTINGS, "--out",
                    tmp_path / "out", "--store", tmp_path / "store", "--quiet", "--json")  # fmt: skip
    assert alone.code == 0, alone.err
    one, two = json.loads(alone.out), json.loads(said)
    assert two["claim"] == one["claim"]
    np.testing.assert_allclose(numbers(two), numbers(one), atol=1e-3)
    first, second = (load_file(folder / "out" / "model" / "model.safetensors") for folder in (tmp_path, work))
    assert max(float(np.abs(first[name] - second[name]).max()) for name in first) <= 1e-5
    started = load_file(tiny.target / "model.safetensors")
    assert max(float(np.abs(first[name] - started[name]).max()) for name in first) > 1e-3
    assert files_under(work / "out") == files_under(tmp_path / "out")
    listed = command("ledger", "list", "--store", work / "store", "--json")
    (request,) = [row["id"] for row in json.loads(listed.out)]
    shown = command("ledger", "show", request, "--store", work / "store", "--json")
    assert [json.loads(line)["kind"] for line in shown.out.splitlines()] == ["request", "record", "certificate"]
    checked = command("certificate", "verify", work / "out" / "certificate.json", "--model", work / "out" / "model",
                      "--target", tiny.target, "--allow-unknown-signer")  # fmt: skip
    assert checked.code == 0, checked.out


@pytest.mark.slow
def test_verify_gives_what_one_process_gives(
    removed: tuple[Path, str], command: Command, tiny: Tiny, tmp_path: Path
) -> None:
    """Two processes share each split's batches: every number equal to 1e-6. Fails if a share is lost, or both print."""
    given = ("verify", "--target", tiny.target, "--unlearned", removed[0] / "out" / "model", "--control", tiny.never,
             *tiny.files("forget", "retain", "holdout"), "--battery", "quick", "--quiet", "--json")  # fmt: skip
    two = launched(*given, "--store", tmp_path / "two", cwd=tmp_path)
    assert two.returncode == 0, two.stderr[-3000:]
    one = command(*given, "--store", tmp_path / "one")
    assert one.code == 0, one.err
    np.testing.assert_allclose(numbers(json.loads(two.stdout)), numbers(json.loads(one.out)), rtol=0, atol=1e-6)


def test_what_one_process_does_is_refused_under_several(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if two processes run one plan side by side: the second would find the run locked, or repeat it."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("run", "bench", "demo", "tune"):
        done = command(name, "x")
        assert done.code == 2
        assert f"expunge {name} runs in one process" in done.err


@pytest.mark.slow
def test_the_guides_fsdp_file_works(removed: tuple[Path, str], tiny: Tiny, tmp_path: Path) -> None:
    """The YAML of docs/guide/scale.md as it stands there. Fails if the guide shows a file under which the command does not run.

    Weights are those that two processes with whole models give, within 1e-5, and the claim is theirs.
    """
    guide = Path(__file__).resolve().parents[2] / "docs" / "guide" / "scale.md"
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", guide.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "fsdp.yaml").write_text(block)
    given = ("forget", "--model", tiny.target, *tiny.files("forget", "retain", "holdout"), *SETTINGS, "--out",
             tmp_path / "out", "--store", tmp_path / "store", "--quiet", "--json")  # fmt: skip
    done = launched(*given, cwd=tmp_path, how=("--config_file", str(tmp_path / "fsdp.yaml")))
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["claim"] == json.loads(removed[1])["claim"]
    first, second = (load_file(folder / "out" / "model" / "model.safetensors") for folder in (tmp_path, removed[0]))
    assert first.keys() == second.keys()
    assert max(float(np.abs(first[name] - second[name]).max()) for name in first) <= 1e-5
