"""Image classifiers of the transformers library, from and to a directory of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from expunge.contract.apply import unlearn
from expunge.contract.checks import check_model, check_round_trip
from expunge.contract.job import Job
from expunge.contract.registry import find
from expunge.contract.splits import Splits
from expunge.engine.fit import fit
from expunge.engine.fit_many import trains_together
from expunge.engine.gradients import mean_losses
from expunge.engine.per_example import squared_gradient_sum
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.vision_pretrained import PretrainedVision, load_pretrained_vision
from expunge.pipeline.loading import check_directory, load_model, modality_of

SHAPES: dict[str, dict[str, Any]] = {
    "ViT": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
            "image_size": 8, "patch_size": 4},
    "Swin": {"image_size": 8, "patch_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 2},
    "ConvNext": {"image_size": 8, "patch_size": 2, "hidden_sizes": [8, 8, 16], "depths": [1, 2, 1], "num_stages": 3},
    "ResNet": {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1]},
}  # fmt: skip
PROCESSOR = {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.4, 0.3],
             "image_std": [0.5, 0.25, 0.2], "size": {"height": 8, "width": 8}}  # fmt: skip


def written(folder: Path, kind: str = "ViT", **changes: Any) -> Path:
    """Write a small untrained model of four classes as the library does, with its processor."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**SHAPES[kind], num_channels=3, num_labels=4)
    getattr(transformers, f"{kind}ForImageClassification")(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({**PROCESSOR, **changes}))
    return folder


def pictures(count: int, seed: int = 0) -> Rows:
    draw = np.random.default_rng(seed)
    made = []
    for i in range(count):
        image = draw.integers(0, 150, (3, 8, 8)).astype(np.uint8)
        image[:, 2 * (i % 4) : 2 * (i % 4) + 2] += 100
        made.append(Row(id=f"{seed}-{i}", fields={"image": image, "label": i % 4}))
    return Rows(tuple(made))


@pytest.mark.parametrize("kind", ["ViT", "Swin", "ConvNext"])
def test_logits_are_the_librarys_and_the_adapter_keeps_its_contract(tmp_path: Path, kind: str) -> None:
    """Fails if pictures are normalised otherwise, losses depend on the batch, or what is saved is not what is there."""
    model = load_model(written(tmp_path / "m", kind))
    assert modality_of(tmp_path / "m") == check_directory(tmp_path / "m") == model.modality == "vision"
    rows = pictures(5)
    x = torch.tensor(np.stack([row["image"] for row in rows])).float() / 255
    x = (x - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / torch.tensor([0.5, 0.25, 0.2]).view(3, 1, 1)
    with torch.no_grad():
        wanted = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "m")(pixel_values=x).logits
        torch.testing.assert_close(model.logits(model.pack(rows)), wanted, rtol=1e-4, atol=1e-5)
    check_model(model, rows)
    check_round_trip(model)
    model.save(tmp_path / "again")
    assert load_model(tmp_path / "again").reader == model.reader  # type: ignore[attr-defined]
    for name, tensor in load_file(tmp_path / "again" / "model.safetensors").items():
        assert torch.equal(tensor, load_file(tmp_path / "m" / "model.safetensors")[name]), name


@pytest.mark.parametrize(
    ("kind", "blocks", "attention", "head"),
    [
        ("ViT", ["vit.layers.0", "vit.layers.1"], 2, "classifier"),
        ("Swin", ["swin.encoder.layers.0", "swin.encoder.layers.1"], 0, "classifier"),
        ("ConvNext", [f"convnext.encoder.stages.{i}" for i in range(3)], 0, "classifier"),
    ],
)
def test_parts_are_named(tmp_path: Path, kind: str, blocks: list[str], attention: int, head: str) -> None:
    """Fails if a stage's inner layers are taken for the blocks: the last block is the last before the head."""
    model = load_pretrained_vision(written(tmp_path, kind))
    sites = model.sites()
    assert list(sites.blocks) == blocks
    assert len(sites.attention) == attention
    assert sites.head == (head,)
    assert model.features(model.pack(pictures(3)), blocks[-1]).shape[0] == 3
    assert {*sites.embedding} <= {name for name, _ in model.module.named_modules()}


@pytest.mark.parametrize("kind", ["ViT", "Swin", "ConvNext"])
def test_per_example_gradients_are_those_of_a_loop(tmp_path: Path, kind: str) -> None:
    """Fails if a class token, places or a scale of a layer is read wrongly: squares of each row's gradient, summed."""
    model, rows = load_pretrained_vision(written(tmp_path, kind)), pictures(6)
    found = squared_gradient_sum(model, rows, job=Job())
    named = dict(model.module.named_parameters())
    wanted = {name: torch.zeros_like(p) for name, p in named.items()}
    for row in rows:
        loss = mean_losses(model, model.pack([row]), None, Job()).sum()
        for name, gradient in zip(
            named, torch.autograd.grad(loss, list(named.values()), allow_unused=True), strict=True
        ):
            if gradient is not None:
                wanted[name] += gradient.square()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-7, msg=name)


@pytest.mark.parametrize("name", ["finetune", "npo", "ssd", "scrub", "laf", "eu_k", "influence", "boundary_shrink"])
def test_methods_run_on_it_and_what_they_write_is_the_librarys(tmp_path: Path, name: str) -> None:
    """Fails if a method knows the networks of this package only, or writes what the library cannot read."""
    model = load_pretrained_vision(written(tmp_path / "m"))
    splits = Splits.of(forget=pictures(8, 1), retain=pictures(32, 2))
    recipe = Recipe(epochs=6, lr=3e-3, batch_size=8)
    fit(model, Rows((*splits.forget, *splits.retain)), recipe, job=Job())
    method = find("method", name).create({"epochs": 1} if name not in ("ssd", "influence") else {})
    found, facts = unlearn(method, model, splits, job=Job(seed=1, recipe=recipe))
    assert isinstance(found, PretrainedVision)
    assert facts.moved_entries
    found.save(tmp_path / "out")
    again = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "out")
    for (one, p), (_, q) in zip(found.module.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(p, q), one


def test_stochastic_depth_is_noise(tmp_path: Path) -> None:
    """Fails if models that draw while they train are put into one vectorised loop, which cannot draw."""
    assert trains_together(load_pretrained_vision(written(tmp_path / "plain", "ConvNext")))
    config = json.loads((tmp_path / "plain" / "config.json").read_text())
    (tmp_path / "plain" / "config.json").write_text(json.dumps({**config, "drop_path_rate": 0.3}))
    assert not trains_together(load_pretrained_vision(tmp_path / "plain"))


def broken(folder: Path, what: str) -> Path:
    """Write a directory that must be refused."""
    if what == "BatchNorm":
        return written(folder, "ResNet")
    if what == "size":
        return written(folder, size={"height": 16, "width": 16})
    if what == "scale":
        return written(folder, rescale_factor=1 / 127.5)
    written(folder)
    if what == "processor":
        (folder / "preprocessor_config.json").unlink()
    elif what == "mean":
        (folder / "preprocessor_config.json").write_text(json.dumps({**PROCESSOR, "image_mean": None}))
    elif what == "labels":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "problem_type": "multi_label_classification"}))
    elif what == "json":
        (folder / "preprocessor_config.json").write_text("{")
    elif what == "tensor":
        tensors = load_file(folder / "model.safetensors")
        del tensors["classifier.weight"]
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    elif what == "pickle":
        torch.save({}, folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    return folder


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("BatchNorm", "holds running statistics"),
        ("size", r"given one picture of \(3, 16, 16\), cannot be read"),
        ("scale", "scales pictures by 0.0078"),
        ("processor", "has no preprocessor_config.json: how its pictures were normalised is not known"),
        ("mean", "has no image_mean and image_std"),
        ("labels", "was trained for multi_label_classification"),
        ("json", "preprocessor_config.json cannot be read"),
        ("tensor", "lacks 1 tensors of its architecture, the first classifier.weight"),
        ("pickle", "only pickled ones"),
    ],
)
def test_what_cannot_be_trusted_is_refused(tmp_path: Path, what: str, words: str) -> None:
    """Fails if: weights are drawn at random or unpickled, or pictures are normalised by a guess."""
    with pytest.raises(InputError, match=words):
        load_pretrained_vision(broken(tmp_path, what))


def test_a_picture_of_another_size_is_refused_by_its_row(tmp_path: Path) -> None:
    """Fails if pictures are scaled in silence."""
    model = load_pretrained_vision(written(tmp_path))
    with pytest.raises(InputError, match=r"row 'r': the image is \(3, 9, 8\), the model reads \(3, 8, 8\)"):
        model.pack([Row(id="r", fields={"image": np.zeros((3, 9, 8), np.uint8), "label": 0})])
