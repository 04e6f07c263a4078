"""Target and retrained models that start from one base model: given as a directory, or trained on the source's rows for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expunge.contract.apply import undisturbed
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.weights import weights_digest
from expunge.engine.ensembles import Ensemble, train_member
from expunge.engine.fit import fit
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.pipeline.given import Given
from expunge.pipeline.loading import load_model
from expunge.pipeline.plan import check_plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.ready import check_plan_ready
from expunge.pipeline.river import River
from expunge.pipeline.validation import train_models, validation_request
from expunge.store.store import Store

PLAN: dict[str, Any] = {
    "request": {"id": "points", "source": "digits"},
    "model": {"architecture": "mlp", "settings": {"width": 16}},
    "recipe": {"epochs": 2, "lr": 1e-2, "batch_size": 16},
    "base_recipe": {"epochs": 3, "lr": 3e-2, "batch_size": 8},
    "method": [{"name": "finetune", "settings": {"epochs": 1}}],
    "verify": {"attacks": ["loss"], "metrics": ["probability"]},
    "seeds": {"target": 5, "retrained": [101, 102]},
}


def points(name: str, n: int) -> Rows:
    draw = np.random.default_rng(len(name) * 1000 + n)
    return Rows(
        tuple(
            Row(id=f"{name}-{i}", fields={"features": draw.normal(size=6).tolist(), "label": int(draw.integers(2))})
            for i in range(n)
        ),
        name,
    )


GIVEN = Given(
    {name: points(name, n) for name, n in {"forget": 8, "retain": 24, "holdout": 8, "test": 8}.items()},
    base=points("base", 20),
)


@contextmanager
def river(folder: Path, given: Given = GIVEN, **changes: Any) -> Iterator[River]:
    """A river over the points in a store of its own."""
    plan = check_plan({**PLAN, **changes})
    with Store.open(folder / "store") as store:
        store.open_request("points", given.rows["forget"])
        with store.run("r", "points") as run:
            yield River(plan, store, run, given, progress=Bars(quiet=True))


def fitted(start: Path, rows: Rows, recipe: dict[str, Any], seed: int) -> str:
    """Digest of the model in `start` trained on `rows`, computed here."""
    with undisturbed(seed):
        made = fit(load_model(start), rows, Recipe(**recipe, seed=seed), job=Job(seed=seed))
    return weights_digest(made.module)


def digest(directory: Path | None) -> str:
    assert directory is not None
    return weights_digest(load_model(directory).module)


def test_every_model_starts_from_the_one_trained_on_base_rows(tmp_path: Path) -> None:
    """Fails if the base is trained by the recipe in place of base_recipe, or target or retrained models start from new weights."""
    with river(tmp_path) as one:
        base, target, retrained = one.base_model(), one.target(), one.retrained()
        assert base is not None
        assert digest(base) == fitted(one.blank(), GIVEN.base, PLAN["base_recipe"], 5)
        assert digest(target) == fitted(base, one.given.training("forget", "retain"), PLAN["recipe"], 5)
        assert [digest(path) for path in retrained] == [
            fitted(base, one.given.training("retain"), PLAN["recipe"], seed) for seed in (101, 102)
        ]
    with river(tmp_path / "bare", replace(GIVEN, base=Rows(())), base_recipe=None) as other:
        assert other.base_model() is None
        assert digest(other.target()) == fitted(
            other.blank(), other.given.training("forget", "retain"), PLAN["recipe"], 5
        )
        assert digest(other.target()) != digest(target)


def test_record_has_the_base_model_and_how_retrained_models_began(tmp_path: Path) -> None:
    """Fails if the base is attacked or stands as a control, is missing from the record, or `retrain` says that its weights were newly drawn."""
    with river(tmp_path, method=[{"name": "retrain"}]) as one:
        nothing, *_, removed = one.records()
        facts = {model.name: model for model in nothing.models}
        assert facts["base"].role == "base"
        assert facts["base"].content_digest not in {m.content_digest for m in nothing.models if m.name != "base"}
        assert {found.model for found in nothing.measurements} >= {"base", "untrained", "target", "retrained-0"}
        assert "base" not in {outcome.model for outcome in nothing.outcomes}
        assert nothing.control == "retrained"
        assert any("base model" in text for text in removed.method.provenance_checks)
        assert not any("newly drawn" in text for text in removed.method.provenance_checks)


def test_a_base_directory_is_what_models_are_tuned_from(tmp_path: Path) -> None:
    """A target by the base, and a given target with the base it was tuned from: retrained models are the same.

    Fails if retrained models of a given target start from that target, which saw the forget rows, or from new weights.
    """
    bare = replace(GIVEN, base=Rows(()))
    with river(tmp_path / "first") as one:
        base = one.base_model()
        assert base is not None
    with river(tmp_path / "second", bare, model={"base": str(base)}, base_recipe=None) as two:
        assert digest(two.target()) == fitted(base, two.given.training("forget", "retain"), PLAN["recipe"], 5)
        tuned, again = two.target(), [digest(path) for path in two.retrained()]
        model = {"directory": str(tuned), "base": str(base)}
        with river(tmp_path / "third", bare, model=model, base_recipe=None) as three:
            assert three.target() == tuned
            assert [digest(path) for path in three.retrained()] == again
        assert again[0] == fitted(base, two.given.training("retain"), PLAN["recipe"], 101)


def test_a_shard_starts_from_the_base(tmp_path: Path) -> None:
    """Fails if SISA draws new weights where the plan has a base: its members would not be of the recipe."""
    with river(tmp_path) as one:
        base = one.base_model()
        assert base is not None
        start: Model = load_model(base)
        ensemble = Ensemble.empty(start, shards=2, slices=1, seed=0)
        rows = GIVEN.rows["retain"]
        mine = Rows(tuple(row for row in rows if ensemble.place(row.id)[0] == 1))
        train_member(ensemble, 1, rows, Recipe(**PLAN["recipe"]), one.shop.job(0), from_slice=0)
        alone = fit(load_model(base), mine, Recipe(**PLAN["recipe"], seed=1000), job=Job())
        assert weights_digest(ensemble.members[1].module) == weights_digest(alone.module)


def test_a_search_trains_from_a_base_of_its_own(tmp_path: Path) -> None:
    """Fails if `expunge tune` trains its target from new weights although the plan's target has a base."""
    with river(tmp_path) as one:
        rows = validation_request(GIVEN, GIVEN.rows["test"], 7)
        models = train_models(one.plan, rows, one.run, tmp_path, 7, 1, one.placement, Bars(quiet=True))
        start, blank = one.run.directory("tune-base"), one.run.directory("tune-untrained")
        assert digest(start) == fitted(blank, GIVEN.base, PLAN["base_recipe"], 7)
        training = Rows((*rows.splits.rows["forget"], *rows.splits.rows["retain"]))
        assert digest(models.target) == fitted(start, training, PLAN["recipe"], 7)


def test_what_cannot_be_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    """Fails if base rows hold forget rows, or a base is asked for that nothing can make."""
    rows = dict(GIVEN.rows)
    with pytest.raises(InputError, match="1 base_training rows are forget rows"):
        Given.of({**rows, "base_training": Rows((*GIVEN.base, replace(rows["forget"][0], id="again")))})
    assert Given.of({**rows, "base_training": GIVEN.base}).base == GIVEN.base
    for model in ({"architecture": "mlp", "base": "x"}, {"architecture": "mlp", "directory": "x"}):
        with pytest.raises(InputError, match="directory and the base it was tuned from"):
            check_plan({**PLAN, "model": model})
    with pytest.raises(InputError, match=r"needs \[recipe\]"):
        check_plan({**PLAN, "model": {"base": "x"}, "recipe": None, "base_recipe": None})
    with pytest.raises(InputError, match="needs model.architecture"):
        check_plan({**PLAN, "model": {"base": "x"}})
    with pytest.raises(InputError, match="gives no base_training rows"):
        check_plan_ready(check_plan(PLAN), tmp_path)
    with pytest.raises(InputError, match="there is no model directory"):
        check_plan_ready(check_plan({**PLAN, "base_recipe": None, "model": {"base": "nowhere"}}), tmp_path)


def test_a_model_is_shared_whatever_order_its_rows_came_in(tmp_path: Path) -> None:
    """Two requests over one training set share a target: it is named, and trained, by its rows and not by their order.

    Fails if training reads rows in the order they stand (what is shared would then be another model), or another row makes no difference.
    """
    rows = GIVEN.rows["retain"]
    turned = Rows(tuple(reversed(rows.items)))
    with river(tmp_path) as one:
        recipe = Recipe(**PLAN["recipe"])
        shop, blank = one.shop, one.blank()
        assert shop.made_from(blank, rows, recipe) == shop.made_from(blank, turned, recipe)
        assert shop.made_from(blank, rows, recipe) != shop.made_from(blank, rows[1:], recipe)
        assert fitted(blank, rows, PLAN["recipe"], 3) == fitted(blank, turned, PLAN["recipe"], 3)
