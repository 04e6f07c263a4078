"""The public checks raise where a unit breaks the contract: each is shown a unit that does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tiny_units import Does, rows, splits, table

from expunge.contract.about import About
from expunge.contract.checks import check_method, check_model, check_refused, check_round_trip, mean_loss
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.facts.errors import ContractBroken, InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.modalities.array_tasks import Regression
from expunge.modalities.tabular import Features, tabular_model


@dataclass(frozen=True)
class Problem:
    splits: Splits
    target: Any
    recipe: Recipe


PROBLEM = Problem(splits(), table(), Recipe())


@dataclass(frozen=True, kw_only=True)
class Pushes:
    """Step up the loss of the forget rows, less for the retain rows, from a seeded start."""

    about = About(needs=("forget", "retain"), modalities=("tabular",), claim="", paper="", link="", year=2026)
    size: float = 1.0
    """Step."""
    jitter: float = 1e-3
    """Spread of the start."""
    unread: float = 0.5
    """Changes nothing in this class."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        named = list(model.module.parameters())
        forget, retain = (model.total_loss(model.pack(one)).mean() for one in (splits.forget, splits.retain))
        gradients = torch.autograd.grad(forget - 0.1 * retain, named)
        with torch.no_grad():
            for parameter, gradient in zip(named, gradients, strict=True):
                parameter.add_(
                    self.size * gradient + self.jitter * torch.randn(gradient.shape, generator=job.generator)
                )
        return model


@dataclass(frozen=True, kw_only=True)
class Good(Pushes):
    about = About(
        needs=("forget", "retain"), modalities=("tabular",), claim="", paper="", link="", year=2026,
        inert_when={"unread": "always"},
    )  # fmt: skip


def test_a_unit_that_keeps_the_contract_passes_and_is_measured() -> None:
    """Fails if the checks refuse a right unit, or measure other rows than they say."""
    measured = check_method(Good(), PROBLEM)
    assert measured["forget_before"] == pytest.approx(mean_loss(PROBLEM.target, PROBLEM.splits.rows["forget"]))
    assert measured["forget_after"] > measured["forget_before"]


def test_an_inert_knob_is_found() -> None:
    """Fails if a setting that changes nothing need not be declared."""
    with pytest.raises(ContractBroken, match=r"unread=0\.25 gives the same result"):
        check_method(Pushes(), PROBLEM)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"size": 0.0, "jitter": 0.0}, "changed nothing"), ({"size": -1.0}, "did not raise the forget loss"),
     ({"jitter": 0.0}, "another seed, the same result")],
    ids=["does nothing", "learns", "no draw"],
)  # fmt: skip
def test_what_does_not_forget_or_draw(settings: dict[str, float], said: str) -> None:
    """Fails if a unit that does nothing, learns instead, or draws nothing though stochastic, passes."""
    with pytest.raises(ContractBroken, match=said):
        check_method(Good(**settings), PROBLEM)


@dataclass(frozen=True, kw_only=True)
class ForgetsOnly(Good):
    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        assert len(splits.retain)
        own = Splits({"forget": splits.forget, "retain": rows("retain", 5)})
        return Pushes.run(self, model, own, job)


def test_a_declared_split_must_matter() -> None:
    """Fails if a unit may declare retain rows and pay them no heed."""
    with pytest.raises(ContractBroken, match="declares retain and half of it gives the same result"):
        check_method(ForgetsOnly(), PROBLEM, knobs=False)


def test_a_refusal_must_refuse() -> None:
    """Fails if a call that goes through passes for a refusal."""
    with pytest.raises(ContractBroken, match="was accepted"):
        check_refused(lambda: None)

    def refuses() -> None:
        raise InputError("no")

    check_refused(refuses)


def test_saving_is_compared_with_the_model() -> None:
    """Fails if a save that writes other values, or pickles, passes."""
    check_round_trip(table())

    class Forgetful:
        module = table().module

        def save(self, directory: Any) -> None:
            other = table()
            with torch.no_grad():
                other.module.head.bias.add_(1.0)
            other.save(directory)

    with pytest.raises(ContractBroken, match="other values for head"):
        check_round_trip(Forgetful())  # type: ignore[arg-type]


def test_an_adapter_is_compared_with_its_own_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a loss that is a mean over a batch, or depends on a row's company, passes."""
    check_model(table(), rows("forget", 4))
    model = table()
    real = type(model).total_loss
    monkeypatch.setattr(type(model), "total_loss", lambda self, batch, noise=None: real(self, batch) / batch.size)
    with pytest.raises(ContractBroken, match="not the sum over positions"):
        check_model(model, rows("forget", 4))


def test_a_regression_is_compared_with_its_own_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a loss passes that is that of other numbers than `predict` gives, or depends on a row's company: the absolute error, a mean."""
    model = tabular_model("mlp", features=Features(width=3), task=Regression(mean=1.0, std=3.0))
    some = Rows(tuple(row.replace(label=2.5 * i) for i, row in enumerate(rows("forget", 4))))
    check_model(model, some)
    real = type(model).total_loss
    monkeypatch.setattr(type(model), "total_loss", lambda self, batch, noise=None: real(self, batch).sqrt())
    with pytest.raises(ContractBroken, match="not half the squared error"):
        check_model(model, some)
    monkeypatch.setattr(type(model), "total_loss", lambda self, batch, noise=None: real(self, batch) / batch.size)
    with pytest.raises(ContractBroken, match="depends on its batch"):
        check_model(model, some)


def test_a_method_that_disturbs_is_caught_by_the_harness() -> None:
    """Fails if `Does`, which moves one entry to NaN, gets as far as the losses."""

    def act(model: Any, given: Splits, job: Job) -> None:
        with torch.no_grad():
            model.module.head.bias[0] = float("nan")

    with pytest.raises(ContractBroken, match="not finite"):
        check_method(Does(act=act), PROBLEM)
