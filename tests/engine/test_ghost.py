from __future__ import annotations

import pytest
import torch
from torch import nn

from expunge.engine import ghost
from expunge.engine.ghost import Convolved, Outer, Written, norms, sizes, squares, write_out

# example 0: (1, 2) (x) (3, 0) + (0, 1) (x) (1, 1) = [[3, 0], [7, 1]]; example 1: (1, 0) (x) (2, 2) + (1, 1) (x) (-2, 0) = [[0, 2], [-2, 0]]
ROWS = torch.tensor([[[1.0, 2.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]]])
COLUMNS = torch.tensor([[[3.0, 0.0], [1.0, 1.0]], [[2.0, 2.0], [-2.0, 0.0]]])
TWO = torch.Size((2, 2))
Pair = tuple[int, int]


def test_squares_and_norms_by_hand() -> None:
    """Fails if positions are squared before they are summed, or examples summed before they are squared."""
    use = Outer(ROWS, COLUMNS)
    assert write_out([use], slice(0, 2), TWO).tolist() == [[[3, 0], [7, 1]], [[0, 2], [-2, 0]]]
    assert squares([use], 2, TWO).tolist() == [[9, 4], [53, 1]]
    assert norms([use], 2, TWO).tolist() == pytest.approx([59**0.5, 8**0.5])
    assert use.dot(torch.tensor([[1.0, 10.0], [100.0, 1000.0]])).tolist() == [1703, -180]


def test_a_single_position_needs_no_written_gradient() -> None:
    """sum_i (r_i c_i)^2: (2 * 3)^2 + (1 * -1)^2 = 37. Fails if the factors are not squared each."""
    use = Outer(torch.tensor([[[2.0]], [[1.0]]]), torch.tensor([[[3.0]], [[-1.0]]]))
    assert squares([use], 2, torch.Size((1, 1))).tolist() == [[37]]


def test_sizes_by_hand() -> None:
    """|[[3, 0], [7, 1]]| + |[[0, 2], [-2, 0]]|; one position: |2 * 3| + |1 * -1|; token 1 twice: |1 - 2| and |5|.

    Fails if signs of examples cancel, or uses and positions are not summed before the absolute value is taken.
    """
    assert sizes([Outer(ROWS, COLUMNS)], 2, TWO).tolist() == [[3, 2], [9, 1]]
    single = Outer(torch.tensor([[[2.0]], [[1.0]]]), torch.tensor([[[3.0]], [[-1.0]]]))
    assert sizes([single], 2, torch.Size((1, 1))).tolist() == [[7]]
    tokens = Outer(torch.tensor([[1, 1], [1, 0]]), torch.tensor([[[1.0], [-2.0]], [[5.0], [4.0]]]))
    assert sizes([tokens], 2, torch.Size((3, 1))).tolist() == [[4], [6], [0]]


def test_a_repeated_token_is_summed_before_squaring() -> None:
    """Token 1 twice in example 0: (1 + 2)^2 + 5^2 from example 1. Fails if each occurrence is squared by itself (1 + 4 + 25)."""
    use = Outer(torch.tensor([[1, 1], [1, 0]]), torch.tensor([[[1.0], [2.0]], [[5.0], [4.0]]]))
    assert squares([use], 2, torch.Size((3, 1))).tolist() == [[16], [34], [0]]
    assert norms([use], 2, torch.Size((3, 1))).tolist() == pytest.approx([3.0, 41**0.5])
    assert use.dot(torch.tensor([[1.0], [10.0], [100.0]])).tolist() == [30, 54]


@pytest.mark.parametrize("ghostly", [True, False])
def test_two_uses_of_one_parameter_are_summed_before_squaring_and_norming(
    ghostly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tied embedding and head: head gives [[3, 0], [7, 1]], token 1 adds (-7, 2): [[3, 0], [0, 3]].

    Fails if the uses' squares are added (the cross term 2 <head, embedding> dropped).
    """
    head, embedding = Outer(ROWS[:1], COLUMNS[:1]), Outer(torch.tensor([[1]]), torch.tensor([[[-7.0, 2.0]]]))
    assert squares([head, embedding], 1, TWO).tolist() == [[9, 0], [0, 9]]
    assert squares([embedding, head], 1, TWO).tolist() == [[9, 0], [0, 9]]
    found = ghost._ghost_norms([embedding, head]) if ghostly else norms([embedding, head], 1, TWO)
    assert found.tolist() == pytest.approx([18**0.5])
    beside = [head, Written(torch.tensor([[[-3.0, 0.0], [-7.0, -1.0]]]))]
    assert norms(beside, 1, TWO).tolist() == [0.0]


def test_ghost_norms_equal_written_norms() -> None:
    """Fails if a Gram matrix pairs the wrong positions."""
    draw = torch.Generator().manual_seed(0)
    rows, columns = torch.randn(4, 3, 40, generator=draw), torch.randn(4, 3, 50, generator=draw)
    ids, more = torch.randint(40, (4, 6), generator=draw), torch.randn(4, 6, 50, generator=draw)
    uses, shape = [Outer(rows, columns), Outer(ids, more)], torch.Size((40, 50))
    written = write_out(uses, slice(0, 4), shape).flatten(1).norm(dim=1)
    torch.testing.assert_close(ghost._ghost_norms(uses), written)
    torch.testing.assert_close(norms(uses, 4, shape), written)


@pytest.mark.parametrize("few_places", [0, 99])
@pytest.mark.parametrize("channels", [2, ghost.FEW_CHANNELS])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [((3, 3), 1, 1, 1), ((3, 3), 2, 0, 1), ((3, 3), 1, 2, 2), ((3, 2), (1, 2), (1, 0), (2, 1))],
)
def test_a_convolution_read_by_patches_is_autograds(
    channels: int,
    few_places: int,
    kernel: Pair,
    stride: int | Pair,
    padding: int | Pair,
    dilation: int | Pair,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails if the kernel's sides, stride, padding or dilation do not reach the patches, a pair of places counts once, or a block is lost."""
    monkeypatch.setattr(ghost, "FEW_PLACES", few_places)
    monkeypatch.setattr(ghost, "BLOCK", 2000)
    module = nn.Conv2d(channels, 3, kernel, stride=stride, padding=padding, dilation=dilation).double()
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(4, channels, 7, 6, generator=draw, dtype=torch.float64)
    output = module(images)
    gradients = torch.randn(output.shape, generator=draw, dtype=torch.float64)
    wanted = torch.stack(
        [torch.autograd.grad((module(images[i : i + 1]) * gradients[i]).sum(), module.weight)[0] for i in range(4)]
    )
    use, shape = Convolved(module, images, gradients), module.weight.shape
    torch.testing.assert_close(write_out([use], slice(0, 4), shape), wanted)
    torch.testing.assert_close(squares([use], 4, shape), wanted.square().sum(0))
    torch.testing.assert_close(norms([use], 4, shape), wanted.flatten(1).norm(dim=1))
    torch.testing.assert_close(write_out([use, use], slice(1, 3), shape), 2 * wanted[1:3])
    direction = torch.randn(shape, generator=draw, dtype=torch.float64)
    torch.testing.assert_close(use.dot(direction), (wanted * direction).flatten(1).sum(1))


def test_squares_over_pairs_of_places_are_never_negative() -> None:
    """Gradients that are zero but for rounding. Fails if what a sum of signed terms falls below zero is left so."""
    module, images = nn.Conv2d(64, 2, 1), torch.randn(5, 64, 1, 3, generator=torch.Generator().manual_seed(0))
    images[..., 2] = -images[..., 0] - images[..., 1]
    found = squares([Convolved(module, images, torch.ones(5, 2, 1, 3))], 5, module.weight.shape)
    assert 0 <= found.min() <= found.max() < 1e-4


def test_sums_over_examples_in_any_order_of_memory() -> None:
    """Fails if a gradient whose axes lie in memory in another order is summed over another axis, or not at all."""
    vector, cube = torch.randn(5, 4).T, torch.randn(3, 5, 2, 4).permute(3, 0, 2, 1)
    for values in (vector, cube, torch.randn(4)):
        wanted = values.square().sum(0)
        torch.testing.assert_close(squares([Written(values)], 4, wanted.shape), wanted)
        torch.testing.assert_close(sizes([Written(values)], 4, wanted.shape), values.abs().sum(0))


def test_gradients_are_written_out_a_block_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 examples of 100 x 100 entries in blocks of 2^15: three examples at once. Fails if all are written out."""
    seen: list[int] = []
    plain = ghost.write_out

    def watch(*args: object) -> torch.Tensor:
        found = plain(*args)  # type: ignore[arg-type]
        seen.append(found.numel())
        return found

    monkeypatch.setattr(ghost, "BLOCK", 2**15)
    monkeypatch.setattr(ghost, "write_out", watch)
    use = Outer(torch.ones(100, 60, 100), torch.ones(100, 60, 100))
    assert float(squares([use], 100, torch.Size((100, 100)))[0, 0]) == 100 * 60**2
    assert norms([use], 100, torch.Size((100, 100)))[0] == 60 * 100
    assert max(seen) == 3 * 100 * 100
