"""ACU: exact to the bit on digits after 100 requests, honest about what saw the rows, idempotent, refusing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny_problems import Tiny, known

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.engine.analytic import AnalyticModel
from expunge.engine.solved_head import head_of
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.methods.acu import ACU
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.vision import vision_model
from expunge.sources.digits import Digits
from expunge.testbeds.vision import IMAGES

RECIPE = Recipe(epochs=3, lr=6e-3, batch_size=64, seed=11)


def network(seed: int = 0) -> ArrayModel:
    return vision_model("mlp", images=IMAGES, classes=10, seed=seed, width=128, depth=0)


def prepared(rows: Rows, method: ACU | None = None, *, seed: int = 11, base: Any = None) -> AnalyticModel:
    recipe = RECIPE.model_copy(update={"seed": seed})
    model = (method or ACU()).prepare(network(), rows, recipe, Job(recipe=recipe, base=base))
    assert isinstance(model, AnalyticModel)
    return model


def forget(model: AnalyticModel, gone: Rows, method: ACU | None = None) -> tuple[Any, Any]:
    return unlearn(method or ACU(), model, Splits.of(forget=gone), job=Job(recipe=RECIPE))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def digits() -> dict[str, Rows]:
    return Digits(forget="class=3", holdout=0.0).run()


def whole(digits: dict[str, Rows]) -> Rows:
    return Rows((*digits["forget"], *digits["retain"]))


def test_claim_100_requests_are_bit_identical_to_training_without(digits: dict[str, Rows]) -> None:
    """100 requests of learning and forgetting, 3 seeds, single rows and whole classes: state and head equal those from scratch bit by bit, which
    equal ridge solved by least squares in float64 to 1e-8. Fails if: sums drift, rows are added twice, or requests depend on order."""
    rows = whole(digits)
    for seed in (1, 2, 3):
        draw = np.random.default_rng(seed)
        order = rows.take(draw.permutation(len(rows)).tolist())
        model, left = prepared(order[:600], seed=seed), order[:600]
        for i in range(50):
            new = order[600 + 10 * i : 610 + 10 * i]
            model.learn(new)
            gone = Rows(tuple(row for row in left if row["label"] == 3)) if i == 25 else left[5:17]
            model.forget(gone)
            left = Rows((*(row for row in left if row.id not in set(gone.ids)), *new))
        scratch = prepared(left, seed=seed)
        assert model.state.digest() == scratch.state.digest()
        assert weights_digest(model.module) == weights_digest(scratch.module)
        entries = list(model.entries(left).values())
        x, y = np.stack([one[0] for one in entries]), np.stack([one[1] for one in entries])
        above = np.vstack([x, np.eye(x.shape[1])])
        wanted = np.linalg.lstsq(above, np.vstack([y, np.zeros((x.shape[1], 10))]), rcond=None)[0]
        assert np.abs(model.state.solve() - wanted).max() <= 1e-8
        assert np.allclose(head_of(model).weight.detach().numpy(), wanted[:-1].T, rtol=1e-6, atol=1e-7)


def test_claim_a_class_is_forgotten_and_the_rest_kept(digits: dict[str, Rows]) -> None:
    """Digit 3 from newly drawn layers, 3 seeds: the model equals the one that never saw a 3, recall of threes .96 or more to 0, test accuracy of
    the rest above .95 and no lower than a point before. Do nothing keeps .96. Fails if: another class is subtracted."""
    for seed in (1, 2, 3):
        model = prepared(whole(digits), seed=seed)
        after, facts = forget(model, digits["forget"])
        never = prepared(digits["retain"], seed=seed)
        assert weights_digest(after.module) == weights_digest(never.module)
        assert known(model, digits["forget"])[0] >= 0.9
        assert known(after, digits["forget"])[0] == 0.0
        assert known(after, digits["test"])[0] >= max(0.95, known(model, digits["test"])[0] - 0.01)
        assert facts.provenance == "exact"
        assert facts.notes["forgotten_rows"] == len(digits["forget"])
        assert "retain" not in facts.reads


def test_what_exact_covers_depends_on_what_the_layers_saw(digits: dict[str, Rows]) -> None:
    """Layers newly drawn, of a base model, or trained on every row: only the last has seen what is to go, and then the model is not exact
    though its head is. Fails if: a backbone that was trained on the forget rows is called exact, or is not named."""
    rows, gone = whole(digits), digits["forget"]
    fresh = forget(prepared(rows), gone)[1]
    assert fresh.provenance == "exact"
    assert any("newly drawn" in check for check in fresh.provenance_checks)
    based, facts = forget(prepared(rows, base=lambda: network(77)), gone)
    assert facts.provenance == "exact"
    assert any("base model" in check and "not checked" in check for check in facts.provenance_checks)
    assert torch.equal(based.module.stem.linear.weight, network(77).module.stem.linear.weight)
    method = ACU(train_backbone=True)
    trained = prepared(rows, method)
    after, facts = forget(trained, gone, method)
    assert facts.provenance == "none"
    assert any("saw the forget rows: every layer" in check for check in facts.provenance_checks)
    never = prepared(digits["retain"], method)
    assert weights_digest(after.module) != weights_digest(never.module)
    scratch = AnalyticModel.empty(trained.inner.copy(), ridge=1.0, scale=10.0, backbone="trained")
    scratch.learn(digits["retain"])
    assert weights_digest(after.module) == weights_digest(scratch.module)


def test_artefacts_of_the_recipe_are_listed(digits: dict[str, Rows]) -> None:
    """Fails if: a scaler that saw the forget rows is left out of what exact does not cover."""
    job = Job(recipe=RECIPE.model_copy(update={"artefacts": ("scaler",)}))
    _, facts = unlearn(ACU(), prepared(whole(digits)), Splits.of(forget=digits["forget"]), job=job)
    assert "kept although it saw the forget rows: scaler" in facts.provenance_checks


def test_a_request_twice_and_one_for_rows_never_seen_change_nothing(digits: dict[str, Rows]) -> None:
    """Fails if: rows are subtracted twice, or a row that was never in is."""
    once, _ = forget(prepared(whole(digits)), digits["forget"])
    for gone in (digits["forget"], digits["test"][:5]):
        twice, facts = forget(once, gone)
        assert weights_digest(twice.module) == weights_digest(once.module)
        assert twice.state.digest() == once.state.digest()
        assert facts.notes["forgotten_rows"] == 0


def test_everything_can_be_forgotten(digits: dict[str, Rows]) -> None:
    """Fails if: anything is left of the rows when all are gone. The head is zero and says every class alike."""
    model, facts = forget(prepared(whole(digits)), whole(digits))
    assert facts.notes["rows_left"] == 0
    assert not torch.any(head_of(model).weight)


def test_what_cannot_be_is_refused(digits: dict[str, Rows], clouds: Tiny) -> None:
    """Fails if: an ill-conditioned head is given out, or a plain model is taken for one that was prepared."""
    with pytest.raises(InputError, match="ill-conditioned"):
        prepared(digits["retain"][:50], ACU(ridge=1e-6))
    with pytest.raises(InputError, match="ridge must be above 0"):
        prepared(digits["retain"][:50], ACU(ridge=0.0))
    with pytest.raises(InputError, match="prepared"):
        clouds.run(ACU())
