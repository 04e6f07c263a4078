"""The harness: run a unit on a copy and check that it did what its contract says, and nothing else."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from expunge.contract.job import Job
from expunge.contract.mask import Mask, moved_outside
from expunge.contract.model import Model
from expunge.contract.registry import settings_of
from expunge.contract.scope import scoped
from expunge.contract.splits import Splits
from expunge.contract.units import Guard, Guarded, Locator, Method
from expunge.contract.weights import is_sharded, moved_entries, not_finite, snapshot, weights_digest
from expunge.facts.errors import ContractBroken, InputError
from expunge.facts.record import MethodFacts


@contextmanager
def undisturbed(seed: int) -> Iterator[None]:
    """Seed every global generator inside, and put all of them and the grad mode back on leaving."""
    python, numpy, grad = random.getstate(), np.random.get_state(), torch.is_grad_enabled()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            torch.set_grad_enabled(grad)


def name_of(unit: object) -> str:
    """Return a unit's registered name: its module's file name."""
    return type(unit).__module__.rpartition(".")[2]


def check_fits(unit: Method | Locator | Guard, model: Model, splits: Splits, job: Job) -> None:
    """Refuse what can be refused before any work: modality, missing splits, missing capabilities, no recipe, a target not prepared."""
    about, name = unit.about, name_of(unit)
    if model.modality not in about.modalities:
        raise InputError(
            f"{name} serves {', '.join(about.modalities)}, and this is a {model.modality} model",
            do=f"use a unit that serves it: expunge units --for {model.modality}",
        )
    for need in about.needs:
        if need in ("forget", "retain", "holdout", "test") and not len(splits.rows.get(need, ())):
            raise InputError(f"{name} needs {need} rows and there are none", do=f"give --{need} FILE")
        check_offers((need,), name, model)
        if need == "recipe" and job.recipe is None:
            raise InputError(f"{name} trains again and needs a recipe", do="give [recipe] in the plan")
    check_target = getattr(unit, "check_target", None)
    if check_target is not None:
        check_target(model)


def check_offers(needs: Iterable[str], name: str, model: Model) -> None:
    """Refuse a model without a capability that a unit needs."""
    for need in needs:
        if need in ("logits", "numbers", "features", "generate") and not getattr(model.capabilities, need):
            raise InputError(
                f"{name} needs {need}, which a {model.modality} model of this kind does not offer",
                do="use a unit that does without: expunge units shows what each needs",
            )


def unlearn(
    method: Method,
    target: Model,
    splits: Splits,
    *,
    job: Job | None = None,
    scope: str = "full",
    consume: bool = False,
) -> tuple[Model, MethodFacts]:
    """Run a method on a copy of `target` and return (unlearned model in eval mode, facts for the record).

    With `consume` the target itself is changed, so that only one model is in memory (the command keeps it on disk). Raises
    ContractBroken where parameters are not finite, an entry outside scope or mask moved, or the caller's model or rows changed.
    """
    job = job or Job()
    if scope.partition(":")[0] not in method.about.scope:
        raise InputError(f"{name_of(method)} works in the scopes {', '.join(method.about.scope)}, not {scope!r}")
    if is_sharded(target.module) and (scope != "full" or job.mask is not None or "features" in method.about.needs):
        raise InputError(
            "a model spread over processes takes no mask, no features and no scope but full", do="--scope full"
        )
    if scope == "lora" and job.mask is not None:
        raise InputError("a mask names entries of the weights, and LoRA moves none of them", do="use --scope full")
    check_fits(method, target, splits, job)
    given, trained = weights_digest(target.module), target.module.training
    own = splits.restricted(method.about.needs)
    contents = {name: rows.contents() for name, rows in own.rows.items()}
    own.handed_out = dict(contents)  # the unit's own: what is compared below is out of its reach
    started = time.perf_counter()
    with undisturbed(job.seed):
        model = target if consume else target.copy()
        model.module.train(False)
        before = snapshot(model.module)
        with scoped(model, scope, seed=job.seed) as (inside, movable):
            mask = job.mask.within(movable) if job.mask is not None else None
            if mask is not None and mask.prunes:
                job.notes["pruned_entries"] = mask.prune(model.module)
            result = method.run(model, own, replace(job, scope=inside, mask=mask))
        same_shape = {name: p.shape for name, p in result.module.named_parameters()} == {
            name: p.shape for name, p in before.items()
        }
        _check_finite(method, result)
        if same_shape:
            _check_movement(method, before, result, movable, mask)
    _check_caller(method, target, given, trained, consume)
    if {name: rows.contents() for name, rows in own.rows.items()} != contents:
        raise ContractBroken(f"{name_of(method)} changed the rows it was given")
    result.module.train(False)
    job.notes["seconds"] = time.perf_counter() - started
    return result, _facts(
        method, job, scope, own, given, result, moved_entries(before, result.module) if same_shape else 0
    )


def _check_finite(method: Method, result: Model) -> None:
    broken = not_finite(result.module)
    if broken:
        raise ContractBroken(f"{name_of(method)} returned weights that are not finite in {broken[0]}", do="lower lr")


def _check_movement(
    method: Method, before: dict[str, torch.Tensor], result: Model, movable: frozenset[str], mask: Mask | None
) -> None:
    wrong = moved_outside(before, result.module, movable, mask)
    if wrong:
        raise ContractBroken(f"{name_of(method)} moved entries outside its scope or mask in {wrong[0]}")


def _check_caller(method: Method, target: Model, given: str, trained: bool, consume: bool) -> None:
    if consume:
        return
    if weights_digest(target.module) != given:
        raise ContractBroken(f"{name_of(method)} changed the caller's model")
    if target.module.training != trained:
        raise ContractBroken(f"{name_of(method)} changed the caller's train mode")


def _facts(method: Method, job: Job, scope: str, own: Splits, given: str, result: Model, moved: int) -> MethodFacts:
    notes = {key: value for key, value in job.notes.items() if key != "seconds"}
    return MethodFacts(
        name=name_of(method),
        settings=settings_of(method),
        scope=scope,
        seed=job.seed,
        provenance=notes.pop("provenance", "none"),
        provenance_checks=tuple(notes.pop("provenance_checks", ())),
        assumptions=tuple(notes.pop("assumptions", ())),
        digest_before=given,
        digest_after=weights_digest(result.module),
        moved_entries=moved,
        reads=dict(own.reads),
        notes=notes,
    )


def locate(locator: Locator, model: Model, splits: Splits, *, job: Job | None = None) -> Mask:
    """Run a locator on the model (left as it was) and return its mask."""
    job = job or Job()
    check_fits(locator, model, splits, job)
    given, trained = weights_digest(model.module), model.module.training
    with undisturbed(job.seed):
        model.module.train(False)
        mask = locator.run(model, splits.restricted(locator.about.needs), job)
        model.module.zero_grad(set_to_none=True)
        model.module.train(trained)
    if weights_digest(model.module) != given:
        raise ContractBroken(f"{name_of(locator)} changed the model it was to look at")
    return mask


def guard(unit: Guard, model: Model, splits: Splits, *, job: Job | None = None) -> Guarded:
    """Put a model behind a guard; the weights inside must be bit-identical afterwards."""
    job = job or Job()
    check_fits(unit, model, splits, job)
    given = weights_digest(model.module)
    with undisturbed(job.seed):
        guarded = unit.run(model, splits.restricted(unit.about.needs), job)
    if weights_digest(guarded.model.module) != given:
        raise ContractBroken(f"{name_of(unit)} is a guard and changed weights")
    return guarded
