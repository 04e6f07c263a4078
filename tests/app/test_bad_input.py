"""Bad input through the real command: exit code 2, a message that names the place, nothing written."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_directory import Command, Tiny, files_under, write_jsonl


@pytest.fixture
def refused(command: Command, tiny: Tiny, tmp_path: Path) -> Callable[..., str]:
    """Run `forget` with some options changed; check exit 2 and that not a file appeared; return the message."""

    def run(name: str = "forget", /, **changed: Any) -> str:
        given: dict[str, Any] = {
            "model": tiny.target, "forget": tiny.file("forget"), "retain": tiny.file("retain"), "holdout": tiny.file("holdout"),
            "method": "npo", "out": tmp_path / "out", "store": tmp_path / "store", **changed,
        }  # fmt: skip
        before = files_under(tmp_path)
        options = [part for key, value in given.items() if value is not None for part in (f"--{key}", value)]
        done = command(name, *options)
        assert done.code == 2, (done.out, done.err)
        assert files_under(tmp_path) == before
        assert "Traceback" not in done.err
        return done.err

    return run


def test_broken_jsonl_names_file_and_line(refused: Callable[..., str], tiny: Tiny, tmp_path: Path) -> None:
    """Fails if lines are counted from 0, or if the error is raised without its place."""
    lines = tiny.file("forget").read_text().splitlines()
    broken = tmp_path / "broken.jsonl"
    broken.write_text("\n".join([lines[0], lines[1], lines[2][:25], lines[3]]))
    message = refused(forget=broken)
    assert f"{broken}:3: broken JSON" in message
    assert "try:" in message


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_forget_set_is_refused(refused: Callable[..., str], tmp_path: Path, text: str) -> None:
    """Fails if an empty file counts as a request for nothing and the command goes on."""
    (tmp_path / "none.jsonl").write_text(text)
    assert f"{tmp_path / 'none.jsonl'} holds no rows" in refused(forget=tmp_path / "none.jsonl")


@pytest.mark.parametrize("by", ["id", "content"])
def test_forget_overlapping_retain_names_both_rows(
    refused: Callable[..., str], tiny: Tiny, tmp_path: Path, by: str
) -> None:
    """Fails if rows are compared by id alone, or by content alone."""
    rows, row = tiny.rows("retain"), dict(tiny.rows("forget")[2])
    row["answer" if by == "id" else "id"] = "another"
    retain = write_jsonl(tmp_path / "retain.jsonl", [*rows, row])
    message = refused(retain=retain)
    assert "'p2' of forget" in message
    assert f"row {row['id']!r} of retain" in message


def test_an_unknown_column_names_the_nearest(refused: Callable[..., str], tiny: Tiny) -> None:
    """Fails if a mapped column that is not there is taken as empty."""
    message = refused(map="question=qestion,answer=answer")
    assert "has no column 'qestion'" in message
    assert "the nearest is 'question'" in message
    assert str(tiny.file("forget")) in message


def test_columns_that_are_no_record_are_named(refused: Callable[..., str], tmp_path: Path) -> None:
    """Fails if rows without an answer column reach the model."""
    rows = write_jsonl(tmp_path / "q.jsonl", [{"q": "Who?", "a": "me"}])
    message = refused(forget=rows)
    assert "no column for question and answer; it has: q, a" in message
    assert "--map" in message


def test_a_missing_file_is_named(refused: Callable[..., str], tmp_path: Path) -> None:
    """Fails if FileNotFoundError reaches the user as a traceback."""
    assert f"{tmp_path / 'nowhere.jsonl'} cannot be read" in refused(forget=tmp_path / "nowhere.jsonl")


def test_a_model_directory_without_safetensors_is_refused(
    refused: Callable[..., str], tiny: Tiny, tmp_path: Path
) -> None:
    """Fails if a directory with a configuration only is taken as a model of random weights."""
    folder = tmp_path / "bare"
    shutil.copytree(tiny.target, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    message = refused(model=folder)
    assert f"{folder} has no safetensors weights" in message
    assert "save_pretrained" in message


def test_pickled_weights_are_named_and_never_opened(refused: Callable[..., str], tiny: Tiny, tmp_path: Path) -> None:
    """Fails if the pickle is loaded: opening it makes a file."""
    folder, proof = tmp_path / "pickled", tmp_path / "opened"
    shutil.copytree(tiny.target, folder, ignore=shutil.ignore_patterns("*.safetensors"))

    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (proof,)

    torch.save({"lm_head.weight": Runs()}, folder / "pytorch_model.bin")
    message = refused(model=folder)
    assert "only pickled ones (pytorch_model.bin)" in message
    assert "never read" in message
    assert not proof.exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["forget", "verify"])
def test_weights_that_are_not_finite_are_named(
    refused: Callable[..., str], tiny: Tiny, tmp_path: Path, value: float, name: str
) -> None:
    """Fails if one bad entry in one tensor passes: NaN losses would come out as a model that forgot."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "nan"
    shutil.copytree(tiny.target, folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][3, 5] = value
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    other = {"method": None, "unlearned": tiny.target} if name == "verify" else {}
    message = refused(name, model=folder, **other)
    assert "not finite, the first in model.layers.1.mlp.up_proj.weight" in message
    assert str(folder) in message


def test_weights_that_are_cut_off_are_named(refused: Callable[..., str], tiny: Tiny, tmp_path: Path) -> None:
    """Fails if safetensors' own error reaches the user as a traceback."""
    folder = tmp_path / "cut"
    shutil.copytree(tiny.target, folder)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert f"{path} cannot be read" in refused(model=folder)


@pytest.mark.parametrize(("broken", "what"), [("config.json", "config or weights"), ("tokenizer.json", "tokenizer")])
def test_a_directory_that_does_not_load_says_so(
    refused: Callable[..., str], tiny: Tiny, tmp_path: Path, broken: str, what: str
) -> None:
    """Fails if transformers' error reaches the user as a traceback, or the store was opened before the model."""
    folder = tmp_path / "broken"
    shutil.copytree(tiny.target, folder)
    (folder / broken).write_text("{")
    assert f"{folder}: its {what} cannot be read" in refused(model=folder)


def test_a_directory_that_is_no_model_is_refused(refused: Callable[..., str], tiny: Tiny, tmp_path: Path) -> None:
    """Fails if the modality is guessed."""
    (tmp_path / "empty").mkdir()
    assert "neither config.json nor expunge.json" in refused(model=tmp_path / "empty")
    assert "there is no model directory" in refused(model=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"method": "npoo"}, ("no method named 'npoo'", "nearest is 'npo'")),
        ({"set": "bta=0.1"}, ("no setting 'bta'", "nearest is 'beta'")),
        ({"set": "beta"}, ("--set takes key=value", "beta")),
        ({"set": "beta=often"}, ("beta takes float", "'often'")),
        ({"locator": "salience"}, ("no locator named 'salience'", "nearest is 'saliency'")),
        ({"battery": "quik"}, ("no battery 'quik'", "nearest is 'quick'")),
        ({"scope": "layer:0"}, ("'layer:0'", "nearest is 'layers'")),
        ({"scope": "layers:first"}, ("names no layers", "layers:0-3")),
        ({"scope": "layers:0-7"}, ("asks for layer 7", "0..1")),
        ({"require": "resistent"}, ("no rung 'resistent'", "nearest is 'resistant'")),
        ({"dtype": "float23"}, ("no dtype 'float23'", "nearest is 'float32'")),
        ({"dtype": "nn"}, ("no dtype 'nn'", "float32")),
        ({"device": "cuda:3"}, ("the device 'cuda:3' is not there", "expunge doctor")),
        ({"device": "gpu"}, ("the device 'gpu' is not there", "expunge doctor")),
        ({"threads": "-1"}, ("no number of threads", "--threads")),
        ({"method": "retrain"}, ("needs a recipe", "[recipe]")),
        ({"method": "kl_retain", "retain": None}, ("needs retain rows", "--retain")),
        ({"key": "nowhere.pem"}, ("nowhere.pem", "Ed25519")),
        ({"request": "../up"}, ("'../up'", "cannot name a request")),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(
    refused: Callable[..., str], options: dict[str, str | None], wanted: tuple[str, ...]
) -> None:
    """Fails if a name is looked up after the store is opened, or the nearest is not named."""
    if options.get("device") == "cuda:3" and torch.cuda.device_count() > 3:
        pytest.skip("this machine has a fourth GPU")
    message = refused(**options)
    for part in wanted:
        assert part in message


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"attacks": "loss,min_kk"}, ("no attack named 'min_kk'", "nearest is 'min_k'")),
        ({"battery": "ful"}, ("no battery 'ful'", "nearest is 'full'")),
        ({"require": "behaviour"}, ("no rung 'behaviour'", "nearest is 'behavioural'")),
        ({"unlearned": Path("nowhere")}, ("there is no model directory nowhere", "safetensors")),
    ],
)
def test_verify_refuses_before_it_loads(
    refused: Callable[..., str], tiny: Tiny, options: dict[str, Any], wanted: tuple[str, ...]
) -> None:
    """Fails if a rung is checked only after the evaluation was paid for, or a record is written all the same."""
    message = refused("verify", **{"method": None, "unlearned": tiny.target, **options})
    for part in wanted:
        assert part in message


def test_a_directory_that_is_not_empty_is_not_written_into(refused: Callable[..., str], tmp_path: Path) -> None:
    """Fails if old and new files are mixed in one model directory."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    assert f"{tmp_path / 'full'} exists already and is not empty" in refused(out=tmp_path / "full")
    assert f"{tmp_path / 'full' / 'mine'} is a file" in refused(out=tmp_path / "full" / "mine")


@pytest.mark.parametrize("where", ["safetensors", "rename"])
def test_a_full_disk_leaves_no_output(
    command: Command, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Fails if half a model directory stays, or the cause is not named.

    The disk is full once in safetensors, which passes the system's words only, and once in the last step.
    """
    import transformers.modeling_utils

    from expunge.store import atomic

    def full(*_: object, **__: object) -> None:
        if where == "safetensors":
            raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
        raise OSError(errno.ENOSPC, "No space left on device")

    target = (transformers.modeling_utils, "safe_save_file") if where == "safetensors" else (atomic, "sync_tree")
    monkeypatch.setattr(*target, full)
    out, store = tmp_path / "made" / "out", tmp_path / "store"
    done = command("forget", "--model", tiny.target, *tiny.files("forget", "retain", "holdout"), "--method", "ascent",
                   "--set", "epochs=1", "--out", out, "--store", store)  # fmt: skip
    monkeypatch.undo()
    assert done.code == 2, (done.out, done.err)
    assert "the disk is full" in done.err
    assert "purge" in done.err
    assert not out.exists()
    assert files_under(out.parent) == []


def test_a_missing_store_is_named_and_not_made(command: Command, tmp_path: Path) -> None:
    """Fails if looking at a store makes an empty one, which then verifies as whole."""
    for words in (
        ["ledger", "list"],
        ["ledger", "verify"],
        ["ledger", "show", "x"],
        ["purge", "--all"],
        ["report", "x"],
    ):
        done = command(*words, "--store", tmp_path / "gone")
        assert done.code == 2, words
        assert f"no store at {tmp_path / 'gone'}" in done.err
    assert files_under(tmp_path) == []


def test_a_store_that_is_no_store_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    """Fails if a file in the store's place ends in a traceback."""
    (tmp_path / "file").write_text("mine")
    assert str(tmp_path / "file") in refused(store=tmp_path / "file")


def test_unknown_options_and_commands_are_usage_errors(command: Command) -> None:
    """Fails if a misspelt option is ignored."""
    assert command("forget", "--modle", "x").code == 2
    assert command("forgot").code == 2


def test_json_on_standard_output_is_nothing_else(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if progress or a loader's bar is printed between the JSON."""
    done = command("verify", "--target", tiny.target, "--unlearned", tiny.never, *tiny.files("forget", "holdout"),
                   "--attacks", "direct_question", "--store", tmp_path / "store", "--json", "--quiet")  # fmt: skip
    assert done.code == 0, done.err
    assert json.loads(done.out)["method"]["name"] == "unknown"
    assert done.err == ""
