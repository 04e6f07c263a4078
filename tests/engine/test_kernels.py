"""The faster matrix library gives the same numbers, and only where it may."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from expunge.engine.kernels import fast_linear


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the inputs that oneDNN was given."""
    found: list[tuple[int, ...]] = []
    real = torch.ops.mkldnn._linear_pointwise

    def note(x: Tensor, *rest: object) -> Tensor:
        found.append(tuple(x.shape))
        return real(x, *rest)  # type: ignore[no-any-return]

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", note)
    return found


def test_linear_layers_are_the_same_to_rounding(seen: list[tuple[int, ...]]) -> None:
    """Against float64, with and without a bias, on a transposed input. Fails if bias or weight is dropped, or precision is lowered (1e-3)."""
    draw = torch.Generator().manual_seed(0)
    x, w, b = (torch.randn(*shape, generator=draw) for shape in ((3, 5, 64), (48, 64), (48,)))
    cases = [(x, None), (x, b), (x.transpose(0, 1), b)]
    for given, bias in cases:
        wanted = linear(given.double(), w.double(), None if bias is None else bias.double())
        with torch.no_grad(), fast_linear():
            found = linear(given, w, bias) if bias is not None else torch.nn.Linear(64, 48, bias=False).eval()
            if bias is None:
                assert isinstance(found, torch.nn.Linear)
                found.weight.copy_(w)
                found = found(given)
        assert (found.double() - wanted).abs().max() < 2e-5
    assert len(seen) == len(cases)


def test_what_it_may_not_touch_is_left_alone(seen: list[tuple[int, ...]]) -> None:
    """Gradients, other precisions and autocast. Fails if a gradient is cut off, or a user's bfloat16 is computed in float32."""
    x, w = torch.ones(2, 4), torch.ones(3, 4, requires_grad=True)
    with fast_linear():
        linear(x, w).sum().backward()  # type: ignore[no-untyped-call]
    assert w.grad is not None
    assert w.grad.tolist() == [[2.0] * 4] * 3
    with torch.no_grad(), fast_linear():
        assert linear(x.bfloat16(), w.bfloat16()).dtype == torch.bfloat16
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert linear(x, w).dtype == torch.bfloat16
    assert seen == []
