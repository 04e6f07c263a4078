"""The other commands: what they print and how they leave."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_directory import Command, Tiny, files_under


def test_verify_tells_knowing_from_not_knowing(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if target and unlearned are swapped on the way, or a control is not measured.

    The target itself stands once in the unlearned model's place: everything comes out. The model that never saw the rows: nothing.
    """
    found = {}
    for name, unlearned in (("untouched", tiny.target), ("gone", tiny.never)):
        done = command("verify", "--target", tiny.target, "--unlearned", unlearned, "--control", tiny.never, *tiny.files("forget", "holdout"),
                       "--attacks", "direct_question, loss", "--store", tmp_path / "store", "--out", tmp_path / f"{name}.json")  # fmt: skip
        assert done.code == 0, done.err
        assert f"written: {tmp_path / f'{name}.json'}" in done.out
        found[name] = json.loads((tmp_path / f"{name}.json").read_text())
    for name, forget, auc in (("untouched", 1.0, 1.0), ("gone", 0.0, None)):
        tests = {test["name"]: test for test in found[name]["tests"] if test["subject"] == "unlearned"}
        assert tests["direct_question"]["success"] == forget
        assert tests["direct_question"]["control_success"] == 0.0
        assert auc is None or tests["loss"]["success"] == auc
        assert found[name]["control"] == "never_trained"


def test_attack_prints_success_beside_the_control(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if the difference printed is not success - control, or a failed test reads as passed."""
    done = command("attack", "--unlearned", tiny.target, "--retrained", tiny.never, *tiny.files("forget", "holdout"), "--battery", "quick",
                   "--store", tmp_path / "store", "--out", tmp_path / "record.json")  # fmt: skip
    assert done.code == 0, done.err
    head, *lines = done.out.splitlines()
    assert head.split() == ["attack", "success", "control", "difference", "upper", "margin", "result"]
    assert {line.split()[0] for line in lines} >= {"direct_question", "loss", "min_k", "zlib"}
    for line in lines:
        name, success, control, difference = line.split()[:4]
        assert float(success) - float(control) == pytest.approx(float(difference), abs=2e-3), name
        assert line.endswith("not passed"), name
    assert json.loads((tmp_path / "record.json").read_text())["control"] == "retrained"


def test_require_passes_where_the_rung_is_reached(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if --require exits 1 whatever was reached."""
    given = ("--target", tiny.target, "--unlearned", tiny.target, *tiny.files("forget", "holdout"), "--attacks", "direct_question",
             "--store", tmp_path / "store")  # fmt: skip
    assert command("verify", *given, "--require", "not_shown").code == 0
    assert command("verify", *given, "--require", "behavioural").code == 1


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("units", "--for", "txt"), "no modality 'txt'; the nearest is 'text'"),
        (("units", "--kind", "methods"), "there is no kind 'methods'"),
        (("units", "show", "npoo"), "there is no unit 'npoo'; the nearest is 'npo'"),
        (("units", "show", "method.npoo"), "no method named 'npoo'; the nearest is 'npo'"),
        (("bench", "tof", "--data", "x"), "no benchmark named 'tof'; the nearest is 'tofu'"),
        (("bench", "tofu", "--data", "nowhere"), "there is no folder nowhere"),
        (("certificate", "show", "nowhere.json"), "nowhere.json cannot be read"),
        (("certificate", "verify", "nowhere.json"), "nowhere.json cannot be read"),
        (("run", "nowhere.toml"), "the plan nowhere.toml cannot be read"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)
def test_a_wrong_word_is_named_and_nothing_is_made(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], wanted: str
) -> None:
    """Fails if a wrong word gives an empty answer, a traceback, or a store in the working directory."""
    monkeypatch.chdir(tmp_path)
    done = command(*words)
    assert done.code == 2, (done.out, done.err)
    assert wanted in done.err
    assert files_under(tmp_path) == []


def test_seeds_that_are_none_are_refused(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if `--seeds a` ends in a traceback."""
    from expunge.app.options import read_seeds
    from expunge.facts.errors import InputError

    assert read_seeds("0, 1,2") == [0, 1, 2]
    with pytest.raises(InputError, match="'0,a' is no list of seeds"):
        read_seeds("0,a")


def test_report_refuses_what_is_no_record(command: Command, tmp_path: Path) -> None:
    """Fails if a certificate given in a record's place ends in a traceback of the validator."""
    for text in ("{}", '{"payload": "x"}', "not json"):
        (tmp_path / "file.json").write_text(text)
        done = command("report", tmp_path / "file.json", "--out", tmp_path / "page.html")
        assert done.code == 2
        assert f"{tmp_path / 'file.json'} is not a record" in done.err
    assert not (tmp_path / "page.html").exists()


def test_keys_are_never_overwritten(command: Command, tmp_path: Path) -> None:
    """Fails if a second keygen replaces a key that certificates were signed with, or if others may read it."""
    assert command("certificate", "keygen", tmp_path / "k.pem").code == 0
    data = (tmp_path / "k.pem").read_bytes()
    assert (tmp_path / "k.pem").stat().st_mode & 0o077 == 0
    assert command("certificate", "keygen", tmp_path / "k.pem").code == 2
    assert (tmp_path / "k.pem").read_bytes() == data


def test_an_unknown_signer_is_exit_1_unless_allowed(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if a certificate that anyone could have made passes without a key."""
    from expunge import forget

    forget(tiny.target, forget=tiny.rows("forget"), retain=tiny.rows("retain"), holdout=tiny.rows("holdout"), method="ascent",
           settings={"epochs": 1}, out=tmp_path / "out", store=tmp_path / "store")  # fmt: skip
    path = tmp_path / "out" / "certificate.json"
    done = command("certificate", "verify", path)
    assert done.code == 1
    assert "signature consistent; signer NOT checked" in done.out
    assert command("certificate", "verify", path, "--allow-unknown-signer").code == 0


def test_a_store_that_cannot_be_written_is_named(command: Command, tmp_path: Path) -> None:
    """Fails if doctor calls a store fine that no run could use."""
    (tmp_path / "file").write_text("")
    done = command("doctor", "--store", tmp_path / "file" / "store")
    assert done.code == 2
    assert re.search(r"BAD +store .* cannot be written", done.out)
    assert command("doctor", "--store", tmp_path / "new" / "store").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_python_m_expunge_is_the_command() -> None:
    """Fails if the package cannot be run as a module, or leaves with another status than the command."""
    done, wrong = (
        subprocess.run([sys.executable, "-m", "expunge", *words], capture_output=True, text=True, check=False)
        for words in (("units", "--kind", "guard"), ("nonsense",))
    )
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["guard", "refusal"])
    assert (wrong.returncode, "nonsense" in wrong.stderr) == (2, True)
