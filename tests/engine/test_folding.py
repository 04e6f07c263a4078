"""Convolutions and norms of stacked models are those of one model after another, and so are their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import vmap
from torch.nn import functional

from expunge.engine.folding import Folding

MODELS = 3


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


CASES: dict[str, tuple[Callable[..., Tensor], list[tuple[int, ...]]]] = {
    "plain": (lambda x, w, b: functional.conv2d(x, w, b), [(5, 2, 6, 6), (4, 2, 3, 3), (4,)]),
    "strided": (lambda x, w, b: functional.conv2d(x, w, b, stride=2, padding=1), [(5, 2, 7, 5), (4, 2, 3, 3), (4,)]),
    "few places": (lambda x, w, b: functional.conv2d(x, w, b, 2, 1), [(5, 2, 4, 4), (4, 2, 3, 3), (4,)]),
    "few places, oblong": (
        lambda x, w: functional.conv2d(x, w, stride=(2, 1), padding=(1, 0)),
        [(5, 2, 4, 3), (4, 2, 2, 3)],
    ),
    "few places, dilated": (lambda x, w, b: functional.conv2d(x, w, b, 1, 0, 2), [(5, 2, 6, 6), (4, 2, 3, 3), (4,)]),
    "few places, by name": (lambda x, w: functional.conv2d(x, w, padding="valid"), [(5, 2, 3, 3), (4, 2, 3, 3)]),
    "few places, by channel": (lambda x, w: functional.conv2d(x, w, groups=4), [(5, 4, 4, 4), (8, 1, 3, 3)]),
    "no bias, dilated": (lambda x, w: functional.conv2d(x, w, None, 1, 2, 2), [(5, 2, 6, 6), (4, 2, 3, 3)]),
    "by channel": (lambda x, w: functional.conv2d(x, w, padding="same", groups=4), [(5, 4, 6, 6), (8, 1, 3, 3)]),
    "one image": (lambda x, w: functional.conv2d(x, w, padding=1), [(2, 6, 6), (4, 2, 3, 3)]),
    "by name": (lambda x, w: functional.conv2d(input=x, weight=w, stride=(2, 1)), [(5, 2, 6, 6), (4, 2, 3, 3)]),
    "norm": (lambda x, w, b: functional.group_norm(x, 2, w, b, 0.1), [(5, 4, 3, 3), (4,), (4,)]),
    "norm, flat": (lambda x, w, b: functional.group_norm(x, 2, weight=w, bias=b), [(5, 4), (4,), (4,)]),
    "norm of a line": (lambda x: functional.group_norm(x, 2), [(5, 4, 7)]),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_one_after_another(name: str) -> None:
    """Fails if a model reads another's weights, groups mix models, a setting is dropped, or a gradient goes astray."""
    torch.manual_seed(0)
    rule, shapes = CASES[name]
    given = [drawn(MODELS, *shape) for shape in shapes]

    def folded(*one: Tensor) -> Tensor:
        with Folding():
            return rule(*one)

    found, wanted = vmap(folded)(*given), torch.stack([rule(*one) for one in zip(*given, strict=True)])
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    sent = torch.randn_like(wanted)
    for a, b in zip(torch.autograd.grad(found, given, sent), torch.autograd.grad(wanted, given, sent), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [6, 4])
@pytest.mark.parametrize("shared", [0, 1])
def test_what_all_models_share(shared: int, size: int) -> None:
    """Fails if images or weights that are the same for all models are read as if there were one a model."""
    x, w = drawn(5, 2, size, size), drawn(4, 2, 3, 3)
    stacked = [drawn(MODELS, *one.shape) for one in (x, w)]
    given = [x if shared == 0 else stacked[0], w if shared == 1 else stacked[1]]

    def folded(x: Tensor, w: Tensor) -> Tensor:
        with Folding():
            return functional.conv2d(x, w)

    found = vmap(folded, in_dims=(None if shared == 0 else 0, None if shared == 1 else 0))(*given)
    wanted = [
        functional.conv2d(*(one if i == shared else one[m] for i, one in enumerate(given))) for m in range(MODELS)
    ]
    torch.testing.assert_close(found, torch.stack(wanted), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("size", "named"), [(4, "aten::bmm"), (5, "aten::convolution")])
def test_outputs_of_few_places_are_products(size: int, named: str) -> None:
    """2x2 places of an output and 3x3: fails if the one is left to the library's convolution, or the other is not."""

    def network(x: Tensor, w: Tensor) -> Tensor:
        with Folding():
            return functional.conv2d(x, w)

    with torch.profiler.profile() as seen:
        vmap(network)(torch.randn(MODELS, 5, 4, size, size), torch.randn(MODELS, 4, 4, 3, 3))
    assert {event.name for event in seen.events()} & {"aten::bmm", "aten::convolution"} == {named}


@pytest.mark.parametrize("size", [(2, 9), (2, 2)])
def test_a_kernel_larger_than_the_images_is_refused_as_by_the_library(size: tuple[int, int]) -> None:
    """Fails if a product is made of no places, or of fewer than none."""

    def network(x: Tensor, w: Tensor) -> Tensor:
        with Folding():
            return functional.conv2d(x, w)

    with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
        vmap(network)(torch.randn(MODELS, 5, 4, *size), torch.randn(MODELS, 4, 4, 3, 3))


def test_nothing_is_copied_between_layers() -> None:
    """A convolution, norm, rectifier and convolution: fails if images are laid out anew between them."""
    x, w = torch.randn(MODELS, 5, 4, 6, 6), torch.randn(MODELS, 4, 4, 3, 3)

    def network(x: Tensor, w: Tensor) -> Tensor:
        with Folding():
            found = functional.group_norm(functional.conv2d(x, w, padding=1), 2).relu()
            return functional.conv2d(found, w, padding=1)

    with torch.profiler.profile(record_shapes=True) as seen:
        vmap(network)(x, w)
    entries = [math.prod(event.input_shapes[0]) for event in seen.events() if event.name == "aten::copy_"]
    assert entries.count(x.numel()) == 1, entries
