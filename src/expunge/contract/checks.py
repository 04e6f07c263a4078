"""Public checks of the contract: run them on your own unit and a problem with a known answer; they raise where it breaks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from expunge.contract.apply import check_fits, locate, name_of, unlearn
from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.contract.registry import build, settings_of
from expunge.contract.splits import Splits
from expunge.contract.units import Locator, Method
from expunge.contract.weights import weights_digest
from expunge.facts.errors import ContractBroken, InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows


class Known(Protocol):
    """A problem with a known answer: splits, a target that knows the forget rows, and the recipe it was trained by."""

    @property
    def splits(self) -> Splits:
        """Forget, retain, holdout and test rows."""

    @property
    def target(self) -> Model:
        """A model trained on forget and retain rows."""

    @property
    def recipe(self) -> Recipe:
        """How it was trained."""


def _run(method: Method, problem: Known, *, seed: int = 0, splits: Splits | None = None) -> Model:
    job = Job(seed=seed, recipe=problem.recipe)
    return unlearn(method, problem.target, splits or problem.splits, job=job)[0]


def _require(fine: bool, words: str) -> None:
    if not fine:
        raise ContractBroken(words)


def mean_loss(model: Model, rows: Rows) -> float:
    """Return the mean over rows of the loss a scored position, in nats; noise, where the loss takes some, is drawn under seed 0."""
    with torch.no_grad():
        batch = model.pack(rows)
        noise = model.noise(batch, torch.Generator().manual_seed(0))
        return float((model.total_loss(batch, noise) / batch.lengths().clamp_min(1)).mean())


def check_method(method: Method, problem: Known, *, knobs: bool = True) -> dict[str, float]:
    """Check a method against the whole contract and return what was measured (losses before and after).

    Raises the forget loss; leaves the caller's model, grad mode and generators alone; same seed same result and, where
    stochastic, other seed another; every declared split and every knob changes the result; an empty request is refused;
    what is saved are its own values.
    """
    name, about = name_of(method), method.about
    forget, retain = problem.splits.rows["forget"], problem.splits.rows["retain"]
    random_state, grad = torch.random.get_rng_state(), torch.is_grad_enabled()
    first = _run(method, problem)
    _require(torch.equal(random_state, torch.random.get_rng_state()), f"{name} moved torch's global generator")
    _require(grad == torch.is_grad_enabled(), f"{name} changed the grad mode")
    measured = {
        "forget_before": mean_loss(problem.target, forget), "forget_after": mean_loss(first, forget),
        "retain_before": mean_loss(problem.target, retain), "retain_after": mean_loss(first, retain),
    }  # fmt: skip
    digest = weights_digest(first.module)
    _require(digest != weights_digest(problem.target.module), f"{name} changed nothing")
    if "forgets" not in about.allowances:
        _require(
            measured["forget_after"] > measured["forget_before"], f"{name} did not raise the forget loss: {measured}"
        )
    _require(weights_digest(_run(method, problem).module) == digest, f"{name}: same seed, another result")
    if about.stochastic:
        _require(
            weights_digest(_run(method, problem, seed=1).module) != digest, f"{name}: another seed, the same result"
        )
    else:
        _require(weights_digest(_run(method, problem, seed=1).module) == digest, f"{name} is declared not stochastic")
    _check_splits(method, problem, digest)
    if knobs:
        _check_knobs(method, problem, digest)
    _check_refusals(method, problem)
    check_round_trip(first)
    return measured


def _check_splits(method: Method, problem: Known, digest: str) -> None:
    for split in ("forget", "retain", "holdout", "test"):
        if split not in method.about.needs or f"split {split}" in method.about.allowances:
            continue
        rows = problem.splits.rows
        fewer = Splits({**rows, split: rows[split][: max(1, len(rows[split]) // 2)]})
        changed = weights_digest(_run(method, problem, splits=fewer).module) != digest
        _require(changed, f"{name_of(method)} declares {split} and half of it gives the same result")


def _others(value: Any) -> tuple[Any, ...]:
    """Return other values of a knob, to be tried in turn until one is not refused: one step may be too few for a method of stages."""
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return value + 1, value + 16
    if isinstance(value, float):
        return (value * 0.5 if value else 0.25,)
    return (value[:-1],) if isinstance(value, tuple) and value else ()


def _check_knobs(method: Method, problem: Known, digest: str) -> None:
    settings = settings_of(method)
    for knob, value in settings.items():
        others = _others(value)
        if not others or knob in method.about.inert_when:
            continue
        for other in others:
            changed = build(type(method), {**settings, knob: other}, where=name_of(method))
            try:
                found = weights_digest(_run(changed, problem).module)
            except InputError:
                if other == others[-1]:
                    raise
            else:
                break
        _require(found != digest, f"{name_of(method)}: {knob}={other!r} gives the same result as {value!r}")


def _check_refusals(method: Method, problem: Known) -> None:
    for split in ("forget", "retain"):
        if split in method.about.needs:
            empty = Splits({**problem.splits.rows, split: Rows((), split)})
            check_refused(lambda empty=empty: check_fits(method, problem.target, empty, Job(recipe=problem.recipe)))  # type: ignore[misc]


def check_refused(call: Callable[[], Any]) -> None:
    """Check that a call raises InputError with words."""
    try:
        call()
    except InputError as error:
        _require(bool(error.what), "the refusal says nothing")
        return
    raise ContractBroken("an empty or degenerate request was accepted")


def check_round_trip(model: Model) -> None:
    """Check that `save` writes the model's own values as safetensors, and nothing pickled."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "model"
        model.save(directory)
        _require(any(directory.rglob("*.safetensors")), "save wrote no safetensors file")
        pickled = [
            path.name for path in directory.rglob("*") if path.suffix in (".bin", ".pt", ".pth", ".pkl", ".ckpt")
        ]
        _require(not pickled, f"save wrote pickled files: {pickled}")
        from safetensors.torch import load_file

        saved: Mapping[str, torch.Tensor] = {
            name: tensor for path in directory.rglob("*.safetensors") for name, tensor in load_file(path).items()
        }
        state = model.module.state_dict()
        for name, tensor in saved.items():
            twin = state.get(name)
            if twin is not None:
                _require(torch.equal(twin.cpu(), tensor), f"save wrote other values for {name}")


def check_model(model: Model, rows: Rows) -> None:
    """Check an adapter: losses are sums of its own cross-entropies, or of its own errors, packing keeps order, copies share nothing."""
    batch = model.pack(rows)
    noise = model.noise(batch, torch.Generator().manual_seed(0))
    with torch.no_grad():
        total = model.total_loss(batch, noise)
        _require(total.shape == (len(rows),), f"total_loss has shape {tuple(total.shape)} for {len(rows)} rows")
        if model.capabilities.logits:
            logs = torch.log_softmax(model.logits(batch).float(), -1)
            own = -logs.gather(-1, batch.targets[:, None])[:, 0]
            sums = torch.zeros(len(rows), device=own.device).index_add(0, batch.owner, own)
            _require(
                torch.allclose(total.float(), sums, rtol=1e-4, atol=1e-4), "total_loss is not the sum over positions"
            )
        if model.capabilities.numbers:
            _check_numbers(model, rows, batch, total)
        if noise is None:
            one = model.total_loss(model.pack([rows[len(rows) - 1]]))
            _require(torch.allclose(one[0], total[-1], rtol=1e-3, atol=1e-3), "a row's loss depends on its batch")
    copy = model.copy()
    shared = {p.data_ptr() for p in model.module.parameters()} & {p.data_ptr() for p in copy.module.parameters()}
    _require(not shared, "copy() shares tensors with the model")
    _require(
        weights_digest(model.fresh(1).module) == weights_digest(model.fresh(1).module),
        "fresh(seed) is not reproducible",
    )
    _require(
        weights_digest(model.fresh(1).module) != weights_digest(model.fresh(2).module), "fresh(seed) ignores the seed"
    )


def _check_numbers(model: Any, rows: Rows, batch: Batch, total: torch.Tensor) -> None:
    """Check that the loss is half the squared error of the number predicted, in units that all rows share."""
    targets = torch.tensor([float(row["label"]) for row in rows])
    squares = (model.predict(batch)[:, 0].float().cpu() - targets).square() / 2
    units = float(squares.sum() / total.sum())
    fine = torch.allclose(total.float().cpu() * units, squares, rtol=1e-3, atol=1e-4 * float(squares.max()))
    _require(fine, "total_loss is not half the squared error of the predicted number")


def check_locator(locator: Locator, problem: Known) -> float:
    """Check a locator: the model is left alone, names and shapes fit, the same seed gives the same mask; return its density."""
    mask = locate(locator, problem.target, problem.splits)
    again = locate(locator, problem.target, problem.splits)
    shapes = {name: p.shape for name, p in problem.target.module.named_parameters()}
    for name, entry in mask.entries.items():
        _require(
            name in shapes and entry.shape == shapes[name],
            f"{name_of(locator)}: the mask of {name!r} fits no parameter",
        )
        _require(torch.equal(entry, again.entries[name]), f"{name_of(locator)}: same seed, another mask")
    density = mask.density()
    _require(0 < density < 1, f"{name_of(locator)}: a mask of density {density} selects nothing or everything")
    return density
