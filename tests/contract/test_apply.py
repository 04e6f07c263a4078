"""The harness: what it lets through, and what it catches."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_units import Does, add, disturb, rows, splits, table

from expunge.contract.about import About
from expunge.contract.apply import guard, locate, undisturbed, unlearn
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.facts.errors import ContractBroken, InputError, UndeclaredRead
from expunge.facts.rows import Rows

HEAD = "head.weight"


def run(act: Any, **options: Any) -> Any:
    return unlearn(Does(act=act), table(), splits(), **options)


def test_what_it_writes_down() -> None:
    """Fails if reads, digests, counts of moved entries or a note are not those of the run."""
    target = table()

    def act(model: Any, given: Splits, job: Job) -> None:
        assert len(given.forget) + len(given.forget) + len(given.retain) == 13
        job.notes["steered"] = 7
        add(1.0, HEAD)(model, given, job)

    result, facts = unlearn(Does(act=act), target, splits(), job=Job(seed=5))
    assert facts.reads == {"forget": 2, "retain": 1}
    assert facts.digest_before == weights_digest(target.module) == weights_digest(table().module)
    assert facts.digest_after == weights_digest(result.module)
    assert facts.moved_entries == 15
    assert (facts.name, facts.seed, facts.scope, facts.provenance) == ("tiny_units", 5, "full", "none")
    assert facts.notes == {"steered": 7}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(value: float) -> None:
    """Fails if NaN or infinite weights leave the harness."""
    with pytest.raises(ContractBroken, match=f"not finite in {HEAD}"):
        run(add(value, HEAD))


def test_weights_that_are_not_finite_in_a_model_of_another_shape() -> None:
    """Fails if weights are looked at only where the architecture stayed the same."""

    def act(model: Any, given: Splits, job: Job) -> Model:
        with torch.no_grad():
            model.module.head.weight.fill_(float("nan"))
        model.module.blocks = model.module.blocks[:1]
        return model  # type: ignore[no-any-return]

    with pytest.raises(ContractBroken, match="not finite"):
        run(act)


def test_movement_outside_the_scope() -> None:
    """Fails if a method that moves every weight passes under a scope of one block."""
    with pytest.raises(ContractBroken, match="outside its scope or mask in stem"):
        run(add(1.0), scope="layers:1")
    result, _ = run(add(1.0, "blocks.1.linear.weight"), scope="layers:1")
    moved = [n for n, p in result.module.named_parameters() if not torch.equal(p, table().module.get_parameter(n))]
    assert moved == ["blocks.1.linear.weight"]


def test_movement_outside_the_mask() -> None:
    """Fails if an entry that the mask holds may move, or a parameter that the mask does not name."""
    entry = torch.ones(3, 5, dtype=torch.bool)
    entry[0, 0] = False
    job = Job(mask=Mask({HEAD: entry}))
    with pytest.raises(ContractBroken, match=f"outside its scope or mask in {HEAD}"):
        run(add(1.0, HEAD), job=job)
    with pytest.raises(ContractBroken, match=r"mask in head\.bias"):
        run(add(1.0, "head.bias"), job=job)

    def inside(model: Any, given: Splits, job: Job) -> None:
        with torch.no_grad():
            model.module.head.weight.add_(entry)

    assert run(inside, job=job)[1].moved_entries == 14


def test_a_pruning_mask_is_applied_before_the_method_and_holds_after_it() -> None:
    """Fails if the method sees the dense weights, the caller's model is pruned, a pruned weight may come back, or a scope prunes beyond it."""
    entry = torch.ones(3, 5, dtype=torch.bool)
    entry[0, :2] = False
    mask, target, seen = Mask({HEAD: entry}, prunes=True), table(), []

    def look(model: Any, given: Splits, job: Job) -> None:
        seen.append((model.module.head.weight == 0).sum().item())
        assert job.mask is not None
        assert job.mask.prunes

    result, facts = unlearn(Does(act=look), target, splits(), job=Job(mask=mask))
    assert seen == [2]
    assert facts.moved_entries == facts.notes["pruned_entries"] == 2
    assert result.module.head.weight[0, :2].tolist() == [0.0, 0.0]
    assert weights_digest(target.module) == weights_digest(table().module)
    with pytest.raises(ContractBroken, match=f"outside its scope or mask in {HEAD}"):
        run(add(1.0, HEAD), job=Job(mask=mask))
    assert run(lambda model, given, job: None, job=Job(mask=mask), scope="layers:1")[1].moved_entries == 0


def test_the_callers_model_is_a_copys_source_and_nothing_else() -> None:
    """Fails if a method that keeps hold of the caller's model may move it."""
    target = table()

    def act(model: Any, given: Splits, job: Job) -> None:
        add(1.0, HEAD)(target, given, job)

    with pytest.raises(ContractBroken, match="changed the caller's model"):
        unlearn(Does(act=act), target, splits())


def test_the_callers_train_mode() -> None:
    """Fails if the caller's model comes back in another mode; what is returned is in eval mode whatever the method left."""
    target = table()
    target.module.train(True)
    result, _ = unlearn(Does(act=lambda model, s, j: model.module.train(True) and None), target, splits())
    assert target.module.training
    assert not any(part.training for part in result.module.modules())
    with pytest.raises(ContractBroken, match="train mode"):
        unlearn(Does(act=lambda model, s, j: target.module.train(False) and None), target, splits())


def test_the_callers_rows() -> None:
    """Fails if a method may change the rows in place: every later method would run on other data."""

    def act(model: Any, given: Splits, job: Job) -> None:
        given.forget[0]["features"][0] = 7.0

    def hide(model: Any, given: Splits, job: Job) -> None:
        act(model, given, job)
        given.handed_out["forget"] = given.forget.contents()

    for change in (act, hide):
        with pytest.raises(ContractBroken, match="changed the rows"):
            run(change)


def test_generators_and_the_grad_mode_are_put_back() -> None:
    """Fails if torch's, NumPy's or Python's generator, or the grad mode, is other than before, also after an error."""
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()

    def untouched() -> None:
        assert torch.equal(states[0], torch.random.get_rng_state())
        assert (states[1] == np.random.get_state()[1]).all()
        assert states[2] == random.getstate()
        assert torch.is_grad_enabled()

    run(disturb)
    untouched()

    def fails(model: Any, given: Splits, job: Job) -> None:
        disturb(model, given, job)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(fails)
    untouched()


def test_one_seed_one_result_whatever_was_drawn_before() -> None:
    """Fails if a method's draws depend on the state of a global generator, or a job used twice goes on where it ended."""

    def act(model: Any, given: Splits, job: Job) -> None:
        draws = torch.rand(1), torch.rand(1, generator=job.generator), np.random.rand(), random.random()
        with torch.no_grad():
            model.module.head.bias.add_(sum(float(one) for one in draws))

    job = Job(seed=3)
    first = run(act, job=job)[1].digest_after
    torch.rand(5)
    assert run(act, job=job)[1].digest_after == first
    assert run(act, job=Job(seed=4))[1].digest_after != first


def test_undisturbed_seeds_numpy_beyond_32_bits() -> None:
    """NumPy takes 32 bits. Fails if a longer seed, as hashes give, is refused."""
    with undisturbed(2**40 + 1):
        first = np.random.rand()
    with undisturbed(1):
        assert np.random.rand() == first


def test_consume_changes_the_target_itself() -> None:
    """Fails if `consume` copies (two models in memory) or the facts then name the changed weights as those before."""
    target = table()
    result, facts = unlearn(Does(act=add(1.0)), target, splits(), consume=True)
    assert result is target
    assert facts.digest_before == weights_digest(table().module)
    assert facts.digest_after == weights_digest(target.module) != facts.digest_before


def test_an_undeclared_split_cannot_be_read() -> None:
    """Fails if holdout, which the unit does not declare, can be read by its name or through the rows."""
    with pytest.raises(UndeclaredRead, match="'holdout'"):
        run(lambda model, given, job: len(given.holdout) and None)
    with pytest.raises(KeyError):
        run(lambda model, given, job: len(given.rows["holdout"]) and None)


@dataclass(frozen=True, kw_only=True)
class Needs(Does):
    about = About(
        needs=("forget", "retain", "generate", "recipe"), modalities=("tabular", "vision"), claim="", paper="", link="",
        year=2026, scope=("full",),
    )  # fmt: skip


def test_what_can_be_refused_is_refused_before_the_run() -> None:
    """Fails if a scope, modality, empty split, missing capability or recipe only shows inside the method."""
    ran: list[int] = []
    unit = Needs(act=lambda *_: ran.append(1))  # type: ignore[func-returns-value]
    with pytest.raises(InputError, match="works in the scopes full, not 'layers:0'"):
        unlearn(unit, table(), splits(), scope="layers:0")
    with pytest.raises(InputError, match="needs generate, which a tabular model"):
        unlearn(unit, table(), splits())
    with pytest.raises(InputError, match="needs retain rows and there are none"):
        unlearn(unit, table(), Splits.of(forget=rows("forget", 4)))
    able = table()
    able.capabilities = replace(able.capabilities, generate=True)
    with pytest.raises(InputError, match="needs a recipe"):
        unlearn(unit, able, splits())
    able.modality = "audio"
    with pytest.raises(InputError, match="serves tabular, vision, and this is a audio model"):
        unlearn(unit, able, splits())
    assert ran == []


@dataclass(frozen=True, kw_only=True)
class Looks(Does):
    def run(self, model: Model, splits: Splits, job: Job) -> Any:
        self.act(model, splits, job)
        return Mask({HEAD: torch.ones(3, 5, dtype=torch.bool)})


def test_a_locator_leaves_the_model_alone() -> None:
    """Fails if a locator may move weights, or leaves gradients or another mode behind."""
    target = table()
    target.module.train(True)
    act = lambda model, s, j: model.total_loss(model.pack(s.forget)).sum().backward()  # noqa: E731
    assert locate(Looks(act=act), target, splits()).density() == 1.0
    assert target.module.training
    assert all(parameter.grad is None for parameter in target.module.parameters())
    with pytest.raises(ContractBroken, match="changed the model it was to look at"):
        locate(Looks(act=add(1.0)), table(), splits())


@dataclass
class Wrapped:
    model: Any


@dataclass(frozen=True, kw_only=True)
class Guards(Does):
    def run(self, model: Model, splits: Splits, job: Job) -> Any:
        self.act(model, splits, job)
        return Wrapped(model)


def test_a_guard_moves_no_weight() -> None:
    """Fails if a guard that changed weights counts as one: what it claims is judged by other rules."""
    assert guard(Guards(act=add(0.0)), table(), splits()).model.modality == "tabular"
    with pytest.raises(ContractBroken, match="is a guard and changed weights"):
        guard(Guards(act=add(1.0)), table(), splits())


def test_a_mask_under_lora_is_refused() -> None:
    """Adapters are no entries of the mask: nothing would move, in silence. Fails if the run goes ahead."""
    with pytest.raises(InputError, match="LoRA moves none of them"):
        run(add(0.0), scope="lora", job=Job(mask=Mask({HEAD: torch.ones(3, 5, dtype=torch.bool)})))


def test_an_empty_retain_set_is_refused_in_plain_words() -> None:
    """Fails if the message does not say which file to give."""
    with pytest.raises(InputError, match="--retain FILE"):
        unlearn(Does(act=add(1.0)), table(), Splits({"forget": rows("forget", 2), "retain": Rows(())}))
