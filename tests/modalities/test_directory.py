"""A model directory gives back the same model, and is refused when anything in it is not what it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from expunge.contract.weights import weights_digest
from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.modalities.array_tasks import Classification, Regression
from expunge.modalities.diffusion import Words, diffusion_model, load_diffusion
from expunge.modalities.tabular import Features, load_tabular, tabular_model
from expunge.modalities.vision import Images, load_vision, vision_model

IMAGES = Images(shape=(1, 8, 8), mean=(0.3,), std=(0.4,))


def image_row(name: str = "a") -> Row:
    image = np.random.default_rng(0).random((8, 8), dtype=np.float32)
    return Row(id=name, fields={"image": image, "label": 2, "prompt": "red three"})


def table_row(name: str = "a") -> Row:
    return Row(id=name, fields={"features": np.arange(5.0), "label": 1})


def models() -> dict[str, tuple[object, object, Row]]:
    table = Features(width=5)
    return {
        "vision": (vision_model("vit", images=IMAGES, classes=4, seed=3, width=16, depth=1), load_vision, image_row()),
        "tabular": (
            tabular_model("mlp", features=table, task=Classification(classes=3), seed=3, width=8),
            load_tabular,
            table_row(),
        ),
        "regression": (
            tabular_model("mlp", features=table, task=Regression(mean=2.0, std=0.5), seed=3, width=8),
            load_tabular,
            table_row(),
        ),
        "diffusion": (
            diffusion_model("denoiser", images=IMAGES, words=Words(known=("red", "three"), length=2), seed=3, width=8),
            load_diffusion,
            image_row(),
        ),
    }


@pytest.mark.parametrize("kind", ["vision", "tabular", "regression", "diffusion"])
def test_save_and_load_give_the_same_losses_and_bytes(kind: str, tmp_path: Path) -> None:
    """Fails if normalisation, vocabulary, task or an argument of the network is not written or not read back."""
    model, load, row = models()[kind]
    model.save(tmp_path / "one")
    again = load(tmp_path / "one")
    again.save(tmp_path / "two")
    assert weights_digest(again.module) == weights_digest(model.module)
    noise = model.noise(model.pack([row]), torch.Generator().manual_seed(0))
    first = model.total_loss(model.pack([row]), noise)
    assert torch.equal(first, again.total_loss(again.pack([row]), noise))
    for name in ("model.safetensors", "expunge.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert weights_digest(again.fresh(9).module) == weights_digest(model.fresh(9).module)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["expunge.json", "model.safetensors"]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    vision_model("cnn", images=IMAGES, classes=4, width=8).save(tmp_path)
    return tmp_path


def test_weights_that_are_not_finite_are_refused(saved: Path) -> None:
    """Fails if load does not look for NaN."""
    tensors = load_file(saved / "model.safetensors")
    tensors["head.bias"][1] = float("nan")
    save_file(tensors, saved / "model.safetensors")
    with pytest.raises(InputError, match=r"not finite, the first in head\.bias"):
        load_vision(saved)


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_of_another_architecture_are_refused(saved: Path, change: str) -> None:
    """Fails if missing or unknown tensors are let through (load_state_dict with strict=False)."""
    tensors = load_file(saved / "model.safetensors")
    if change == "missing":
        del tensors["stem.bias"]
    elif change == "extra":
        tensors["stem.more"] = torch.zeros(1)
    else:
        tensors["stem.bias"] = torch.zeros(3)
    save_file(tensors, saved / "model.safetensors")
    with pytest.raises(InputError, match=r"stem\."):
        load_vision(saved)


def test_pickled_or_cut_off_weights_are_refused(saved: Path) -> None:
    """Fails if a directory without safetensors falls back to a pickle, or a torn file is loaded."""
    whole = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        load_vision(saved)
    (saved / "model.safetensors").rename(saved / "model.bin")
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        load_vision(saved)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("network", "cnnn", "nearest is 'cnn'"),
        ("arguments", {"widht": 3}, "cannot be built"),
        ("modality", "tabular", "not a vision model"),
        ("format", "expunge/model/v9", "does not say"),
        ("surplus", 1, "'surplus' is unknown"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(saved: Path, key: str, value: object, message: str) -> None:
    """Fails if a field of expunge.json is ignored."""
    path = saved / "expunge.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(InputError, match=message):
        load_vision(saved)


def test_a_broken_description_is_refused(saved: Path) -> None:
    """Fails if a JSON error reaches the user as a traceback."""
    (saved / "expunge.json").write_text("{")
    with pytest.raises(InputError, match="is no JSON"):
        load_vision(saved)
    (saved / "expunge.json").unlink()
    with pytest.raises(InputError, match=r"no expunge\.json"):
        load_vision(saved)
