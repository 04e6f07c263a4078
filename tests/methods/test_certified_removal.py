"""Certified removal: a bound that holds and is not idle, one epsilon for a whole group, canaries that catch a broken one, and a plan."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from tiny_problems import Tiny, known

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.engine.certified import CertifiedModel, secret_of
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.record import MethodFacts
from expunge.facts.rows import Row, Rows
from expunge.maths.certified_head import CertifiedHead
from expunge.methods.certified_removal import CertifiedRemoval
from expunge.modalities.array_tasks import Classification
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.tabular import Features, tabular_model
from expunge.modalities.vision import vision_model
from expunge.pipeline.given import Given
from expunge.pipeline.loading import load_model
from expunge.pipeline.plan import check_plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.river import River
from expunge.sources.digits import Digits
from expunge.statistics.gaussian_shift import epsilon_of_shift
from expunge.store.store import Store
from expunge.testbeds.vision import IMAGES
from expunge.verdict.provenance import made

RECIPE = Recipe(epochs=3, lr=6e-3, batch_size=64, seed=11)


def network(seed: int = 0) -> ArrayModel:
    return vision_model("mlp", images=IMAGES, classes=10, seed=seed, width=64, depth=0)


@pytest.fixture(scope="module", autouse=True)
def key(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A secret, and a method that has it by default."""
    path = tmp_path_factory.mktemp("secret") / "key"
    path.write_bytes(b"k" * 32)
    KEYED["noise_key"] = str(path)
    return str(path)


KEYED: dict[str, str] = {}


def certified(**settings: Any) -> CertifiedRemoval:
    return CertifiedRemoval(**{**KEYED, **settings})


def prepared(rows: Rows, method: CertifiedRemoval | None = None, *, seed: int = 11, base: Any = None) -> CertifiedModel:
    recipe = RECIPE.model_copy(update={"seed": seed})
    model = (method or certified()).prepare(network(), rows, recipe, Job(recipe=recipe, base=base))
    assert isinstance(model, CertifiedModel)
    return model


def forget(
    model: CertifiedModel, gone: Rows, rows: Rows, method: CertifiedRemoval | None = None, **job: Any
) -> tuple[CertifiedModel, MethodFacts]:
    """Forget some of the rows that are in; the others are retained."""
    out = set(gone.ids)
    splits = Splits.of(forget=gone, retain=Rows(tuple(row for row in rows if row.id not in out)))
    after, facts = unlearn(method or certified(), model, splits, job=Job(recipe=RECIPE, **job))
    assert isinstance(after, CertifiedModel)
    return after, facts


@pytest.fixture(scope="module")
def digits() -> dict[str, Rows]:
    torch.set_num_threads(1)
    return Digits(forget="class=3", holdout=0.0).run()


@pytest.fixture(scope="module")
def whole(digits: dict[str, Rows]) -> Rows:
    return Rows((*digits["forget"], *digits["retain"]))


def test_claim_one_step_stands_for_training_again(digits: dict[str, Rows], whole: Rows) -> None:
    """5 threes of 1438 digits, seeds 1 to 5: the gradient over the kept rows is measured below the bound, the bound within the budget,
    and the head is nearer to the one trained on the kept rows with the same noise than doing nothing is, by 262 times, 95% interval
    [240, 284]. That head is the only one: solved to the end, so that there is one retrained model a seed. The bound is a proof: it
    holds on each. Measured: bounds .162, .260, .157, .156, .209 over gradients .0211, .0366, .0262, .0183, .0298, epsilon .24, .38,
    .23, .23, .31.

    Fails if: the step has another sign or Hessian, or the bound is below the gradient or above a hundred times it.
    """
    times = []
    for seed in (1, 2, 3, 4, 5):
        model = prepared(whole, seed=seed)
        after, facts = forget(model, digits["forget"][:5], whole)
        never = prepared(Rows((*digits["forget"][5:], *digits["retain"])), seed=seed)
        assert np.array_equal(never.head.noise, model.head.noise)
        start = np.linalg.norm(model.head.weights - never.head.weights)
        times.append(start / np.linalg.norm(after.head.weights - never.head.weights))
        notes = facts.notes
        assert 0 < notes["residual_measured"] <= notes["residual_bound"] <= notes["budget"]
        assert notes["residual_bound"] <= 100 * notes["residual_measured"]
        assert (facts.provenance, notes["trainings"], notes["forgotten_rows"], notes["group_rows"]) == (
            "bounded",
            1,
            5,
            5,
        )
        assert notes["epsilon"] == epsilon_of_shift(notes["residual_bound"] / 3.0, 1e-4)
        assert "the bound" in facts.provenance_checks[0]
        assert "above it for every class" in facts.provenance_checks[0]
        assert "NOT" not in " ".join(facts.provenance_checks)
        assert len(facts.assumptions) == 4
        print(seed, notes)
    nearer = mean_interval(times)
    print(times, nearer)
    assert nearer.low > 100


def test_epsilon_is_of_the_group_and_the_budget_leads_to_a_new_training(digits: dict[str, Rows], whole: Rows) -> None:
    """One three a request. Fails if: epsilon is of the last request, an overspent head is kept, or a class above the budget is still known.

    A whole class is above any budget of these settings: it is trained again, and says so.
    """
    model, left, spent = prepared(whole), whole, [0.0]
    for i in range(4):
        model, facts = forget(model, digits["forget"][i : i + 1], left)
        left = Rows(tuple(row for row in left if row.id != digits["forget"][i].id))
        assert (facts.notes["group_rows"], facts.notes["trainings"]) == (i + 1, 1)
        assert facts.notes["residual_measured"] <= facts.notes["residual_bound"]
        spent.append(facts.notes["epsilon"])
    assert (np.diff(spent) > 0).all()
    after, facts = forget(model, digits["forget"][4:], left)
    assert (facts.notes["group_rows"], facts.notes["trainings"]) == (0, 2)
    assert "trained again" in facts.notes["trained_again"]
    assert facts.notes["epsilon"] < 1e-6
    assert known(model, digits["forget"])[0] > 0.7
    assert known(after, digits["forget"])[0] == 0.0
    assert known(after, digits["test"])[0] > known(model, digits["test"])[0] - 0.02


def test_a_request_twice_and_one_for_rows_never_seen_change_nothing(digits: dict[str, Rows], whole: Rows) -> None:
    """Fails if: a step is taken twice, the same rows are counted twice, or the epsilon of the group is lost on a repeat."""
    once, first = forget(prepared(whole), digits["forget"][:3], whole)
    for gone in (digits["forget"][:3], digits["test"][:5]):
        out = set(digits["forget"][:3].ids)
        twice, facts = forget(once, gone, Rows(tuple(row for row in whole if row.id not in out)))
        assert weights_digest(twice.module) == weights_digest(once.module)
        assert facts.notes["forgotten_rows"] == 0
        assert facts.notes["group_rows"] == 3
        assert facts.notes["epsilon"] == first.notes["epsilon"]


def test_what_the_bound_covers_depends_on_what_the_layers_saw(digits: dict[str, Rows]) -> None:
    """Fails if: a backbone that was trained on the forget rows is called bounded, or a scaler that saw them is not named."""
    gone, whole = digits["forget"][:3], Rows((*digits["forget"][:3], *digits["retain"][:400]))
    facts = forget(prepared(whole), gone, whole)[1]
    assert facts.provenance == "bounded"
    assert any("newly drawn" in check for check in facts.provenance_checks)
    based, facts = forget(prepared(whole, base=lambda: network(77)), gone, whole)
    assert facts.provenance == "bounded"
    assert any("base model" in check and "not checked" in check for check in facts.provenance_checks)
    assert torch.equal(based.module.stem.linear.weight, network(77).module.stem.linear.weight)
    method = certified(train_backbone=True)
    trained = prepared(whole, method)
    facts = forget(trained, gone, whole, method)[1]
    assert facts.provenance == "none"
    assert any("saw the forget rows: every layer" in check for check in facts.provenance_checks)
    splits = Splits.of(forget=gone, retain=Rows(tuple(row for row in whole if row.id not in set(gone.ids))))
    job = Job(recipe=RECIPE.model_copy(update={"artefacts": ("scaler",)}))
    facts = unlearn(certified(), prepared(whole), splits, job=job)[1]
    assert "kept although it saw the forget rows: scaler" in facts.provenance_checks


def test_a_gradient_above_its_bound_leaves_no_provenance(
    digits: dict[str, Rows], whole: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if: the measured gradient is not looked at, so that the check could not fail. The bound is made 1000 times too small."""
    monkeypatch.setattr("expunge.statistics.noisy_logistic.BEND", 1e-4)
    facts = forget(prepared(whole), digits["forget"][:5], whole)[1]
    assert facts.provenance == "none"
    assert "NOT above it" in facts.provenance_checks[0]


def test_without_a_key_nothing_is_bounded(digits: dict[str, Rows], whole: Rows, tmp_path: Path) -> None:
    """Who has the network finds its seed by drawing the layers again, and with it the noise; canaries draw their own and see nothing.

    Fails if: noise that follows from a seed is called a bound, a key that is named at the request alone mends it, or the key is not read.
    """
    gone, open_noise = digits["forget"][:1], prepared(whole, CertifiedRemoval())
    layers = {name: value for name, value in open_noise.inner.module.state_dict().items() if "head" not in name}
    guess = next(
        seed for seed in range(50)
        if all(torch.equal(network(seed).module.state_dict()[name], value) for name, value in layers.items())
    )  # fmt: skip
    assert np.array_equal(replace(open_noise.head, secret=secret_of(guess, "")).noise, open_noise.head.noise)
    open_noise.save(tmp_path / "open")
    for model in (open_noise, load_model(tmp_path / "open")):
        facts = forget(model, gone, whole, certified())[1]  # type: ignore[arg-type]
        assert facts.provenance == "none"
        assert "no noise_key was given when the model was prepared" in " ".join(facts.provenance_checks)
    model = prepared(whole)
    assert np.abs(model.head.noise - open_noise.head.noise).min() > 0
    model.save(tmp_path / "keyed")
    for one in (model, load_model(tmp_path / "keyed")):
        facts = forget(one, gone, whole)[1]  # type: ignore[arg-type]
        assert facts.provenance == "bounded"
        assert b"k" * 8 not in facts.model_dump_json().encode()
    (tmp_path / "short").write_bytes(b"k" * 15)
    with pytest.raises(InputError, match="15 bytes, which can be guessed"):
        prepared(whole, CertifiedRemoval(noise_key=str(tmp_path / "short")))


def test_the_order_of_retain_rows_is_nothing(digits: dict[str, Rows], whole: Rows) -> None:
    """After a new training, whose gradient is rounding. Fails if: the same gradient summed in another order is above its bound."""
    model, facts = forget(prepared(whole), digits["forget"], whole)
    assert facts.notes["trainings"] == 2
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(len(digits["retain"]))
        again = forget(
            model, digits["forget"][:2], Rows((*digits["forget"][:2], *digits["retain"].take(order.tolist())))
        )[1]
        assert (again.provenance, again.notes["group_rows"]) == ("bounded", 0)


def test_what_cannot_be_is_refused(digits: dict[str, Rows], whole: Rows, clouds: Tiny) -> None:
    """Fails if: a plain model is taken for one that was prepared, another noise is stated than was drawn, or settings make no sense."""
    with pytest.raises(InputError, match="prepared"):
        clouds.run(CertifiedRemoval())
    with pytest.raises(InputError, match="'sigma': 3.0"):
        forget(prepared(whole), digits["forget"][:1], whole, CertifiedRemoval(sigma=30.0))
    for settings, words in (({"sigma": 0.0}, "must be above 0"), ({"canary_trials": 39}, "at least 40")):
        with pytest.raises(ValueError, match=words):
            CertifiedRemoval(**settings)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="epsilon must be above 0"):
        CertifiedRemoval(epsilon=0.0)


PLAN: dict[str, Any] = {
    "request": {"id": "clouds", "source": "digits"},
    "model": {"architecture": "mlp", "settings": {"width": 12}},
    "recipe": {"epochs": 20, "lr": 1e-2, "batch_size": 32},
    "method": [{"name": "certified_removal"}],
    "verify": {"attacks": ["direct_question", "loss"], "metrics": ["accuracy"]},
    "seeds": {"retrained": [101, 102]},
}


def some(name: str, n: int, seed: int) -> Rows:
    """Rows around three corners."""
    draw = np.random.default_rng(seed)
    points = (draw.normal(size=8) + 2.5 * np.eye(8)[i % 3] for i in range(n))
    return Rows(
        tuple(Row(id=f"{name}{i}", fields={"features": x.tolist(), "label": i % 3}) for i, x in enumerate(points)), name
    )


def recorded(folder: Path) -> Any:
    """Return the record of a plan that forgets 9 of 249 rows."""
    torch.set_num_threads(1)
    given = Given(
        {"forget": some("f", 9, 0), "retain": some("r", 240, 1), "holdout": some("h", 60, 2), "test": some("t", 90, 3)}
    )
    with Store.open(folder / "store") as store:
        store.open_request("clouds", given.rows["forget"])
        with store.run("run", "clouds", plan=b"{}") as run:
            method = {"name": "certified_removal", "settings": {"canary_trials": 60, **KEYED}}
            river = River(
                check_plan({**PLAN, "method": [method]}), store, run, given, Path(), progress=Bars(quiet=True)
            )
            return river.verified(river.plan.method[0], 0)


def test_a_plan_ends_in_a_bounded_claim(tmp_path: Path) -> None:
    """Fails if: the record loses epsilon or what canaries saw, an epsilon above the plan's cap stands, or rows never in are not said.

    Prepared, saved, loaded, forgotten from and verified as `expunge run` does it, against controls prepared on the retain rows.
    """
    record = recorded(tmp_path)
    notes, claim = record.method.notes, record.claim
    assert (notes["trainings"], notes["group_rows"], notes["canary_rows"]) == (1, 9, 9)
    assert 0.001 < notes["epsilon"] <= 1
    assert notes["canary_epsilon_low"] <= notes["epsilon"]
    assert (claim.provenance, claim.contradicted) == ("bounded", False)
    assert claim.qualifiers[0] == f"epsilon {notes['epsilon']:g}"
    assert "epsilon not tried on canaries" not in claim.headline
    cap = record.thresholds.model_copy(update={"epsilon_cap": notes["epsilon"] / 2})
    above = made(record.model_copy(update={"thresholds": cap}))
    assert above.provenance == "none"
    assert "is above the plan's cap" in str(above.refused)
    fewer = record.method.model_copy(update={"notes": {**notes, "forgotten_rows": 4}})
    assert "4 of the 9 forget rows were in training" in made(record.model_copy(update={"method": fewer})).qualifiers


def test_a_plan_whose_noise_is_broken_is_contradicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise is stated and none is drawn. Fails if: canaries do not see it, or the verdict passes over what they saw."""
    monkeypatch.setattr(CertifiedHead, "noise", property(lambda self: 0 * self.weights))
    record = recorded(tmp_path)
    assert record.method.notes["canary_epsilon_low"] > 1.5 > record.method.notes["epsilon"]
    assert record.claim.contradicted
    assert record.claim.rung == "not_shown"
    assert any("canaries show epsilon of at least" in words for words in record.claim.missing)


def test_canaries_are_tried_on_a_whole_group_only() -> None:
    """Fails if: canaries of the last request stand for all, or a repeat is called tried; such a record says epsilon was not tried."""
    rows, method = some("r", 120, 5), certified(canary_trials=60)
    table = tabular_model("mlp", features=Features(width=8), task=Classification(classes=3), width=12, seed=0)
    model = method.prepare(table, rows, RECIPE, Job(recipe=RECIPE))
    assert isinstance(model, CertifiedModel)
    once, facts = forget(model, rows[:2], rows, method)
    assert facts.notes["canary_rows"] == 2
    assert 0 <= facts.notes["canary_epsilon_low"] <= facts.notes["epsilon"] < math.inf
    second, facts = forget(once, rows[2:4], rows[2:], method)
    assert "canary_epsilon_low" not in facts.notes
    assert "earlier requests" in facts.notes["canaries"]
    assert "canary_epsilon_low" not in forget(second, rows[2:4], rows[4:], method)[1].notes
