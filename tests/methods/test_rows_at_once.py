"""No method hands a network all rows at once: memory must not grow with the training set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.registry import find, units
from expunge.contract.splits import Splits
from expunge.engine.fit import fit
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.vision import Images, vision_model

MOST = 512
RECIPE = Recipe(epochs=1, lr=1e-2, batch_size=64)
CASES: list[tuple[str, dict[str, Any]]] = [
    ("dmm", {"models": 10}),
    ("dmm", {"attributor": "trak"}),
    ("dmm", {"attributor": "ekfac"}),
    *(
        (name, {})
        for name, unit in units("method").items()
        if "vision" in unit.about.modalities and not unit.about.before_training and name not in ("dmm", "imp")
    ),
]


def images(count: int, name: str, seed: int) -> Rows:
    draw = np.random.default_rng(seed)
    made = []
    for i in range(count):
        image = 0.5 * draw.normal(size=(1, 6, 6)).astype("f")
        image[0, i % 4] += 2
        made.append(Row(id=f"{name}{i}", fields={"image": image, "label": i % 4}))
    return Rows(tuple(made), name)


@pytest.fixture(scope="module")
def trained() -> tuple[ArrayModel, Splits]:
    splits = Splits.of(forget=images(MOST + 8, "forget", 0), retain=images(2 * MOST, "retain", 1))
    model = vision_model("mlp", images=Images(shape=(1, 6, 6)), classes=4, seed=0, width=8, depth=1)
    fit(model, Rows((*splits.forget, *splits.retain)), RECIPE, job=Job())
    return model, splits


@pytest.mark.parametrize(("name", "settings"), CASES, ids=[f"{name} {' '.join(map(str, s))}" for name, s in CASES])
def test_a_network_reads_at_most_so_many_rows_at_once(
    trained: tuple[ArrayModel, Splits], monkeypatch: pytest.MonkeyPatch, name: str, settings: dict[str, Any]
) -> None:
    """Fails if a method reads what it needs of all forget or retain rows in one pass (dmm, laf and ebyd did)."""
    seen: list[int] = []
    real = torch.nn.Linear.forward
    monkeypatch.setattr(torch.nn.Linear, "forward", lambda self, x: seen.append(len(x)) or real(self, x))
    method = find("method", name).create(settings)
    if hasattr(method, "descent"):
        method = find("method", name).create({**settings, "epochs": 1})
    model, splits = trained
    unlearn(method, model, splits, job=Job(seed=1, recipe=RECIPE))
    assert 0 < max(seen) <= MOST
