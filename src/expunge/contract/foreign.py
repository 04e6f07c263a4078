"""Try a method of others: `unlearn(module, forget, retain)` with two data loaders, on a problem with a known answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.contract.checks import Known, mean_loss
from expunge.contract.mask import Mask, moved_outside
from expunge.contract.model import Model
from expunge.contract.trial import Foreign, Trial
from expunge.contract.weights import not_finite, snapshot
from expunge.facts.rows import Rows

ROUNDING = 1e-3
"""Share of the way a method moved that leaving out half of a split may move for rounding's sake."""


@dataclass(frozen=True)
class Finding:
    """One thing that was tried: whether it went as it should, and what was seen."""

    name: str
    passed: bool
    seen: str

    def __str__(self) -> str:
        return f"{'passed' if self.passed else 'FAILED'}  {self.name}: {self.seen}"


def check_foreign(
    call: Foreign,
    problem: Known,
    *,
    retrains: bool = False,
    reads_retain: bool = True,
    mask: Mask | None = None,
    batch_size: int = 32,
) -> list[Finding]:
    """Return what came of trying a method of others; nothing is raised for what it does wrong.

    `retrains` is for one that claims to train from newly drawn weights: whichever model it starts from, the result must be the same,
    parameter by parameter. `mask` names the entries that the callable was told to keep to. An exception of its own passes through
    on the first run, and is a finding on unusual requests.
    """
    forget, retain = problem.splits.rows["forget"], problem.splits.rows["retain"]
    trial, before = Trial(call, problem, batch_size), snapshot(problem.target.module)
    first = trial.run(forget, retain)
    weights = snapshot(first.module)
    if weights.keys() != before.keys() or any(weights[name].shape != before[name].shape for name in before):
        return [Finding("keeps the architecture", False, "parameters have other names or shapes than the target's")]
    found = [
        _finding("returns the model it changed", _distance(before, weights) > 0, "weights differ from the target's",
                 "the weights returned are the target's: an optimiser over another model, or a step of zero"),
        _finding("weights are finite", not not_finite(first.module), "all are", f"not in {not_finite(first.module)[:3]}"),
    ]  # fmt: skip
    if mask is not None:
        names = frozenset(before)
        wrong = moved_outside(before, first.module, names, mask)
        found.append(_finding("keeps to its mask", not wrong, "entries outside did not move",
                              f"entries outside moved in {wrong[:3]}: momentum and weight decay move them without a gradient"))  # fmt: skip
    again = snapshot(trial.run(forget, retain).module)
    found.append(
        _finding("same seed, same weights", _distance(weights, again) == 0, "yes", "two runs under one seed differ")
    )
    found += _reading(trial, forget, retain, weights, _distance(before, weights), reads_retain=reads_retain)
    found += _outcome(problem, first, forget, retain)
    if retrains:
        found.append(_draws_anew(trial, forget, retain, weights))
    found.append(_one_row(trial, forget, retain))
    return found


def _reading(
    trial: Trial, forget: Rows, retain: Rows, weights: Mapping[str, Tensor], moved: float, *, reads_retain: bool
) -> Iterable[Finding]:
    """Leave half of a split out: weights must differ by more than rounding does, as a share of how far they moved."""
    halves = {"forget": (forget[: max(1, len(forget) // 2)], retain)}
    if reads_retain:
        halves["retain"] = (forget, retain[: len(retain) // 2])
    for split, rows in halves.items():
        share = _distance(weights, snapshot(trial.run(*rows).module)) / moved if moved else 0.0
        yield _finding(f"the {split} rows matter", share > ROUNDING, f"half of them give weights {share:.0%} of the way off",
                       f"half of them give the same weights but for {share:.0e} of the way: a frozen copy that shares its parameters, "
                       "or a term without a gradient")  # fmt: skip


def _outcome(problem: Known, model: Model, forget: Rows, retain: Rows) -> Iterable[Finding]:
    with torch.no_grad():
        was, now = (mean_loss(one, forget) for one in (problem.target, model))
        kept_was, kept = (mean_loss(one, retain) for one in (problem.target, model))
        fresh = mean_loss(problem.target.fresh(0), retain)
    yield Finding("raises the forget loss", now > was, f"{was:.3f} before, {now:.3f} after (nats a row)")
    words = f"loss {kept_was:.3f} before, {kept:.3f} after, {fresh:.3f} of random weights"
    yield Finding("keeps the retain rows", kept < (kept_was + fresh) / 2, words)


def _draws_anew(trial: Trial, forget: Rows, retain: Rows, weights: Mapping[str, Tensor]) -> Finding:
    """Start from a model of other weights: what differs afterwards was not drawn anew."""
    other = trial.problem.target.copy()
    with torch.no_grad():
        draw = torch.Generator().manual_seed(1)
        for parameter in other.module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw).to(parameter))
    elsewhere = snapshot(trial.run(forget, retain, target=other).module)
    kept = [name for name, value in weights.items() if not torch.equal(value, elsewhere[name])]
    words = (
        f"{len(kept)} of {len(weights)} parameters depend on the model it starts from, {', '.join(kept[:1])} among them"
    )
    return _finding("training again draws every weight anew", not kept, "the result is the same from any model", words)


def _one_row(trial: Trial, forget: Rows, retain: Rows) -> Finding:
    name = "takes a request of one row"
    try:
        wrong = not_finite(trial.run(forget[:1], retain).module)
    except Exception as error:
        return Finding(name, False, f"{type(error).__name__}: {error}")
    return _finding(name, not wrong, "weights are finite", f"not finite in {wrong[:3]}")


def _distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    return max(float((value - other[name]).abs().max()) for name, value in one.items())


def _finding(name: str, passed: bool, fine: str, wrong: str) -> Finding:
    return Finding(name, passed, fine if passed else wrong)
