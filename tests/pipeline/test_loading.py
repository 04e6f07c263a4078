"""A model directory to an adapter: by what it says of itself, in the dtype asked for; only safetensors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from meta_problems import clouds, people

from expunge.facts.errors import InputError
from expunge.pipeline.loading import Placement, check_directory, load_model, modality_of


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model and a classifier of tables."""
    folder = tmp_path_factory.mktemp("saved")
    people().target.save(folder / "text")
    clouds().target.save(folder / "table")
    return folder


def test_a_directory_says_what_it_is(saved: Path) -> None:
    """Fails if every directory is taken for a language model; the loss is that of the model saved, bit for bit."""
    assert (modality_of(saved / "text"), modality_of(saved / "table")) == ("text", "tabular")
    for name, problem in (("text", people()), ("table", clouds())):
        rows = problem.splits.rows["forget"]
        with torch.no_grad():
            before = problem.target.total_loss(problem.target.pack(rows))
            loaded = load_model(saved / name)
            assert torch.equal(loaded.total_loss(loaded.pack(rows)), before)


@pytest.mark.parametrize("name", ["text", "table"])
def test_the_dtype_reaches_every_modality(saved: Path, name: str) -> None:
    """Fails if --dtype is dropped on the way to a loader."""
    model = load_model(saved / name, Placement(dtype="bfloat16"))
    assert {parameter.dtype for parameter in model.module.parameters()} == {torch.bfloat16}


def test_gradient_checkpointing_is_switched_on_or_refused(saved: Path) -> None:
    """Fails if the flag is dropped for a language model, or ignored for a model that has none."""
    model = load_model(saved / "text", Placement(gradient_checkpointing=True))
    assert model.module.is_gradient_checkpointing
    with pytest.raises(InputError, match="no gradient checkpointing"):
        load_model(saved / "table", Placement(gradient_checkpointing=True))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{", "is no JSON"),
        ("[]", "does not say it is"),
        ('{"format": "other"}', "does not say it is"),
        ('{"kind": "forest"}', "does not say it is"),
    ],
)
def test_a_broken_description_is_named(saved: Path, tmp_path: Path, text: str, wanted: str) -> None:
    """Fails if a broken expunge.json ends in a traceback."""
    shutil.copytree(saved / "table", tmp_path / "table")
    (tmp_path / "table" / "expunge.json").write_text(text)
    for look in (modality_of, check_directory, load_model):
        with pytest.raises(InputError, match=wanted):
            look(tmp_path / "table")


def test_a_modality_that_has_no_loader_is_named(saved: Path, tmp_path: Path) -> None:
    """Fails if an unknown modality falls through to the language models."""
    shutil.copytree(saved / "table", tmp_path / "table")
    path = tmp_path / "table" / "expunge.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "modality": "sound"}))
    with pytest.raises(InputError, match="holds a sound model"):
        load_model(tmp_path / "table")


def test_the_template_reaches_a_language_model_and_no_other(saved: Path) -> None:
    """Fails if --template is dropped on the way to the tokenizer, or ignored for a model that reads no text."""
    model = load_model(saved / "text", Placement(template="Q {prompt} A "))
    assert model.tokens.prompt_text("who") == "Q who A "  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="has no template"):
        load_model(saved / "table", Placement(template="Q {prompt} A "))
