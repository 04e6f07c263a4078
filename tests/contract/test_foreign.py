"""The conformance suite on sound methods, and on the defects that were found in published ones."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from meta_problems import clouds
from torch import Tensor, nn

from expunge.contract.foreign import Finding, check_foreign
from expunge.contract.mask import Mask


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def sgd(module: nn.Module, **settings: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), lr=0.05, **settings)


def grad_diff(module: nn.Module, forget: Any, retain: Any) -> None:
    rule = sgd(module)
    for _ in range(3):
        for (x, y), (u, v) in zip(forget, retain, strict=False):
            loss = nn.functional.cross_entropy(module(u), v) - 0.3 * nn.functional.cross_entropy(module(x), y)
            rule.zero_grad()
            loss.backward()
            rule.step()


def divergence(student: nn.Module, teacher: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        wanted = teacher(x).softmax(-1)
    return nn.functional.kl_div(student(x).log_softmax(-1), wanted, reduction="batchmean")


def scrub(teacher_of: Any, optimised: Any) -> Any:
    def run(module: nn.Module, forget: Any, retain: Any) -> nn.Module:
        student, teacher = module, teacher_of(module)
        rule = sgd(optimised(student, teacher))
        for _ in range(3):
            for loader, sign in ((retain, 1.0), (forget, -1.0)):
                for x, y in loader:
                    loss = sign * divergence(student, teacher, x)
                    if sign > 0:
                        loss = loss + nn.functional.cross_entropy(student(x), y)
                    rule.zero_grad()
                    loss.backward()
                    rule.step()
        return student

    return run


def retrain(reset: Any) -> Any:
    def run(module: nn.Module, forget: Any, retain: Any) -> nn.Module:
        reset(module)
        rule = sgd(module)
        for _ in range(3):
            for x, y in retain:
                rule.zero_grad()
                nn.functional.cross_entropy(module(x), y).backward()
                rule.step()
        return module

    return run


def reset_all(module: nn.Module) -> None:
    for part in module.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()


def reset_children(module: nn.Module) -> None:
    for part in module.children():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()


def failed(found: list[Finding]) -> set[str]:
    return {one.name for one in found if not one.passed}


def test_a_sound_method_passes() -> None:
    """Fails if the suite finds fault with plain gradient difference."""
    found = check_foreign(grad_diff, clouds())
    assert failed(found) == set(), [str(one) for one in found]
    assert len(found) == 8


def test_a_teacher_that_shares_its_parameters_is_found() -> None:
    """`copy.copy` of a module shares its tensors: the divergence is 0 for ever, and so is the gradient of the forget rows."""
    sound = check_foreign(scrub(copy.deepcopy, lambda student, teacher: student), clouds())
    shared = check_foreign(scrub(copy.copy, lambda student, teacher: student), clouds())
    assert "the forget rows matter" not in failed(sound)
    assert "the forget rows matter" in failed(shared)


def test_an_optimiser_over_the_wrong_model_is_found() -> None:
    found = check_foreign(scrub(copy.deepcopy, lambda student, teacher: teacher), clouds())
    assert {"returns the model it changed", "the forget rows matter", "raises the forget loss"} <= failed(found)


def test_a_retrain_that_resets_only_direct_children_is_found() -> None:
    """The layers of the network stand in modules of their own: only the head is a direct child that can be reset."""
    name = "training again draws every weight anew"
    whole = check_foreign(retrain(reset_all), clouds(), retrains=True)
    part = check_foreign(retrain(reset_children), clouds(), retrains=True)
    assert name not in failed(whole), [str(one) for one in whole]
    (seen,) = (one.seen for one in part if one.name == name)
    assert name in failed(part)
    assert "of 6 parameters depend on the model it starts from" in seen


@pytest.mark.parametrize(
    ("settings", "held"), [({"momentum": 0.9}, True), ({"momentum": 0.9}, False), ({"weight_decay": 0.1}, False)]
)
def test_masked_weights_that_move_are_found(settings: dict[str, float], held: bool) -> None:
    """One step without the mask leaves momentum behind; decay moves weights that have no gradient at all."""
    draw = torch.Generator().manual_seed(0)
    shapes = {name: p.shape for name, p in clouds().target.module.named_parameters()}
    mask = Mask({name: torch.rand(shape, generator=draw) < 0.5 for name, shape in shapes.items()})

    def masked(module: nn.Module, forget: Any, retain: Any) -> None:
        rule, before = sgd(module, **settings), {n: p.detach().clone() for n, p in module.named_parameters()}
        for step, (x, y) in enumerate([*forget, *forget]):
            rule.zero_grad()
            (-nn.functional.cross_entropy(module(x), y)).backward()
            for name, parameter in module.named_parameters():
                if step or "weight_decay" in settings:
                    parameter.grad.mul_(mask.entries[name])
            rule.step()
            if held:
                with torch.no_grad():
                    for name, parameter in module.named_parameters():
                        parameter.copy_(torch.where(mask.entries[name], parameter, before[name]))

    found = check_foreign(masked, clouds(), mask=mask, reads_retain=False)
    assert ("keeps to its mask" in failed(found)) is not held


def test_what_else_is_found() -> None:
    """Fails if a method that takes its own luck, breaks weights, changes the architecture or falls over one row passes."""

    def lucky(module: nn.Module, forget: Any, retain: Any) -> None:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(
                    torch.randn(parameter.shape, generator=torch.Generator().manual_seed(torch.seed() % 2**31))
                )

    assert "same seed, same weights" in failed(check_foreign(lucky, clouds()))

    def broken(module: nn.Module, forget: Any, retain: Any) -> None:
        with torch.no_grad():
            next(module.parameters()).fill_(float("nan"))

    assert "weights are finite" in failed(check_foreign(broken, clouds()))

    def wrecked(module: nn.Module, forget: Any, retain: Any) -> None:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.mul_(-1)

    assert "keeps the retain rows" in failed(check_foreign(wrecked, clouds()))

    def other(module: nn.Module, forget: Any, retain: Any) -> nn.Module:
        return nn.Sequential(module)

    assert failed(check_foreign(other, clouds())) == {"keeps the architecture"}

    def fussy(module: nn.Module, forget: Any, retain: Any) -> None:
        if len(forget.dataset) < 2:
            raise ValueError("standard deviation of one row")
        grad_diff(module, forget, retain)

    (found,) = (one for one in check_foreign(fussy, clouds()) if not one.passed)
    assert str(found) == "FAILED  takes a request of one row: ValueError: standard deviation of one row"


def test_the_problem_is_left_alone() -> None:
    """Fails if a foreign method is handed the problem's own target, or its grad mode and seeds leak."""
    before = {name: p.detach().clone() for name, p in clouds().target.module.named_parameters()}
    state = torch.random.get_rng_state()
    check_foreign(grad_diff, clouds())
    assert all(
        torch.equal(value, p) for (value, p) in zip(before.values(), clouds().target.module.parameters(), strict=True)
    )
    assert torch.equal(state, torch.random.get_rng_state())
