"""What a method made that acts before training is compared with models that it prepared without the forget rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from expunge.contract.registry import find
from expunge.contract.weights import weights_digest
from expunge.facts.rows import Row, Rows
from expunge.pipeline.given import Given
from expunge.pipeline.loading import load_model
from expunge.pipeline.plan import check_plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.river import River
from expunge.store.store import Store

SEEDS = (101, 102, 103)
PLAN: dict[str, Any] = {
    "request": {"id": "clouds", "source": "digits"},
    "model": {"architecture": "mlp", "settings": {"width": 96}},
    "recipe": {"epochs": 20, "lr": 1e-2, "batch_size": 32},
    "method": [{"name": "acu", "settings": {"ridge": 0.5}}, {"name": "finetune", "settings": {"epochs": 1}}],
    "verify": {"attacks": ["direct_question", "loss", "relearning"], "metrics": ["accuracy", "probability"]},
    "seeds": {"retrained": list(SEEDS)},
}


def clouds() -> Given:
    """Four clouds of points, one of which is to be forgotten."""
    draw = np.random.default_rng(0)

    def some(name: str, labels: list[int], each: int) -> Rows:
        return Rows(
            tuple(
                Row(
                    id=f"{name}-{label}-{i}",
                    fields={"features": (draw.normal(size=8) + 2.5 * np.eye(8)[label]).tolist(), "label": label},
                )
                for label in labels
                for i in range(each)
            ),
            name,
        )

    return Given(
        {
            "forget": some("forget", [0], 60),
            "retain": some("retain", [1, 2, 3], 100),
            "holdout": some("holdout", [0], 40),
            "test": some("test", [1, 2, 3], 150),
        }
    )


@pytest.fixture(scope="module")
def river(tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.set_num_threads(1)
    plan, given = check_plan(PLAN), clouds()
    with Store.open(tmp_path_factory.mktemp("controls") / "store") as store:
        store.open_request("clouds", given.rows["forget"])
        with store.run("run", "clouds", plan=b"{}") as run:
            yield River(plan, store, run, given, Path(), progress=Bars(quiet=True))


def test_controls_are_prepared_on_retain_rows_alone(river: River) -> None:
    """Bit for bit what `prepare` makes of the retain rows. Fails if controls are plain networks, or saw the forget rows."""
    method = river.plan.method[0]
    made = river.retrained_as(method)
    assert len(made) == len(SEEDS)
    assert not set(made) & set(river.retrained())
    unit, rows = find("method", "acu").create({"ridge": 0.5}), river.given.rows["retain"]
    for seed, directory in zip(SEEDS, made, strict=True):
        blank = load_model(river.blank(), river.placement).fresh(seed)
        never = unit.prepare(blank, rows, river.shop.recipe(seed), river.shop.job(seed))
        assert weights_digest(load_model(directory, river.placement).module) == weights_digest(never.module)
    assert river.retrained_as(river.plan.method[1]) == river.retrained()


def test_an_exact_removal_is_not_contradicted(river: River) -> None:
    """An analytic head relearns at another speed than a network: fails if it is held against plain retrained networks."""
    record = river.verified(river.plan.method[0], 0)
    assert record.claim is not None
    assert (record.claim.provenance, record.claim.contradicted) == ("exact", False)
    assert record.claim.rung in ("resistant", "indistinguishable"), record.claim
    digests = {model.name: model.content_digest for model in record.models}
    plain = river.verified(river.plan.method[1], 0)
    assert digests["retrained-0"] not in {model.content_digest for model in plain.models}
