"""Per-example gradients kept as factors: what can be summed, squared or normed without ever being written out for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

BLOCK = 2**18
"""Gradient entries written out at once: small enough to stay in a processor's cache (one example's gradient is the least)."""
FEW_PLACES = 4
"""Up to here the squares of a convolution's gradients are summed over pairs of output places, none of them written out."""
FEW_CHANNELS = 8
"""Below, a convolution's patches are copied a row of places at a time; from here on, all channels of a place at a time."""


@dataclass(frozen=True)
class Written:
    """One use's gradient of each example as it stands, (examples, *shape of the parameter)."""

    values: Tensor
    positions: ClassVar[int] = 0

    def take(self, part: slice) -> Written:
        """Return the examples of a slice."""
        return Written(self.values[part])

    def dot(self, direction: Tensor) -> Tensor:
        """Return each example's inner product with `direction`, (examples,)."""
        return self.values.flatten(1) @ direction.flatten()


@dataclass(frozen=True)
class Outer:
    """One use's gradient of example i as sum over positions t of rows[i, t] (x) columns[i, t].

    `rows` (examples, positions, R) of a parameter (R, C), or integers (examples, positions) that stand for one-hot rows (an
    embedding's token ids); `columns` (examples, positions, C).
    """

    rows: Tensor
    columns: Tensor

    def take(self, part: slice) -> Outer:
        """Return the examples of a slice."""
        return Outer(self.rows[part], self.columns[part])

    @property
    def positions(self) -> int:
        """Terms of the sum."""
        return self.columns.shape[1]

    @property
    def one_hot(self) -> bool:
        """True where `rows` are integers."""
        return self.rows.ndim == 2

    def dot(self, direction: Tensor) -> Tensor:
        """Return each example's inner product with `direction`, (examples,)."""
        matrix = direction.flatten(1)
        return ((matrix[self.rows] if self.one_hot else self.rows @ matrix) * self.columns).sum((1, 2))


@dataclass(frozen=True)
class Convolved:
    """One use of a convolution: an Outer over output places whose columns are the patches below them, unfolded when needed."""

    module: nn.Conv2d
    images: Tensor
    gradients: Tensor

    @property
    def positions(self) -> int:
        """Output places."""
        return self.gradients.shape[2] * self.gradients.shape[3]

    def take(self, part: slice) -> Outer:
        """Return the examples of a slice, unfolded."""
        m = self.module
        patches = nn.functional.unfold(self.images[part], m.kernel_size, m.dilation, m.padding, m.stride)  # type: ignore[arg-type]
        return Outer(self.gradients[part].flatten(2).mT, patches.mT)

    def write_out(self, part: slice) -> Tensor:
        """Return the gradients of a slice of examples, (examples, *shape of the weight); in memory channels may come last.

        The patches are those of `take`, copied in longer runs than `unfold` does.
        """
        m, x, gradients = self.module, self.images[part], self.gradients[part].flatten(2)
        (count, channels), places, kernel = x.shape[:2], self.gradients.shape[2:], m.kernel_size
        (up, across), (down, right), (high, wide) = m.stride, m.dilation, cast(tuple[int, int], m.padding)
        if channels < FEW_CHANNELS:
            padded = nn.functional.pad(x, (wide, wide, high, high))
            image, channel, row, column = padded.stride()
            steps = (image, channel, down * row, right * column, up * row, across * column)
            patches = padded.as_strided((count, channels, *kernel, *places), steps).flatten(4).flatten(1, 3)
            return torch.bmm(gradients, patches.mT).view(count, *m.weight.shape)
        return self._as_weight(torch.bmm(gradients, self._patches(part)))

    def _patches(self, part: slice) -> Tensor:
        """Return the patches below each output place of a slice of examples, (examples, places, kernel height * width * channels)."""
        m, x = self.module, self.images[part]
        (count, channels, tall, broad), places, kernel = x.shape, self.gradients.shape[2:], m.kernel_size
        (up, across), (down, right), (high, wide) = m.stride, m.dilation, cast(tuple[int, int], m.padding)
        padded = x.new_zeros(count, tall + 2 * high, broad + 2 * wide, channels)
        padded[:, high : high + tall, wide : wide + broad] = x.permute(0, 2, 3, 1)
        image, row, column, channel = padded.stride()
        steps = (image, up * row, across * column, down * row, right * column, channel)
        return padded.as_strided((count, *places, *kernel, channels), steps).flatten(3).flatten(1, 2)

    def _as_weight(self, flat: Tensor) -> Tensor:
        """Return (examples, outputs, kernel height * width * channels) in the weight's order of dimensions."""
        count, outputs, _ = flat.shape
        return flat.view(count, outputs, *self.module.kernel_size, -1).permute(0, 1, 4, 2, 3)

    def squares(self) -> Tensor:
        """Return the sum over examples of the squared gradient, of the weight's shape.

        (sum_t r_t c_t)^2 = sum over places t, s of (r_t r_s) (c_t c_s), summed over examples by one product of matrices a pair.
        """
        outputs, entries = len(self.module.weight), self.module.weight[0].numel()
        found = self.gradients.new_zeros(outputs, entries)
        for part in blocks(len(self.images), self.positions * entries):
            rows = self.gradients[part].flatten(2).permute(2, 0, 1).contiguous()
            columns = self._patches(part).transpose(0, 1).contiguous()
            for t, s in combinations_with_replacement(range(self.positions), 2):
                found.addmm_((rows[t] * rows[s]).T, columns[t] * columns[s], alpha=1 if t == s else 2)
        # a sum of signed terms can fall below zero by rounding
        return self._as_weight(found.clamp_min_(0)[None])[0]

    def dot(self, direction: Tensor) -> Tensor:
        """Return each example's inner product with `direction`, (examples,)."""
        m = self.module
        moved = nn.functional.conv2d(self.images, direction, None, m.stride, m.padding, m.dilation)
        return (moved * self.gradients).flatten(1).sum(1)


Use = Written | Outer | Convolved


def blocks(examples: int, entries: int) -> list[slice]:
    """Return slices of examples whose gradients of a parameter with `entries` entries fill one block."""
    step = max(1, BLOCK // max(1, entries))
    return [slice(i, min(i + step, examples)) for i in range(0, examples, step)]


def _room(uses: Sequence[Use], shape: torch.Size) -> int:
    """Return the entries that writing out one example takes: its gradient, or a convolution's patches where these are more."""
    patches = [use.positions * (shape.numel() // shape[0]) for use in uses if isinstance(use, Convolved)]
    return max([shape.numel(), *patches])


def write_out(uses: Sequence[Use], part: slice, shape: torch.Size) -> Tensor:
    """Return the gradients of a slice of examples, all uses of the parameter summed, (examples, *shape)."""
    found: Tensor | None = None
    for use in uses:
        if isinstance(use, Convolved):
            own = use.write_out(part)
            found = own if found is None else found.add_(own)
            continue
        one = use.take(part)
        if isinstance(one, Written):
            found = one.values.clone() if found is None else found.add_(one.values)
            continue
        count = len(one.rows)
        if one.one_hot:
            if found is None:
                found = one.columns.new_zeros(count, *shape)
            offset = torch.arange(count, device=one.rows.device)[:, None] * shape[0]
            found.view(count * shape[0], -1).index_add_(0, (one.rows + offset).flatten(), one.columns.flatten(0, 1))
        elif found is None:
            found = torch.bmm(one.rows.mT, one.columns).view(count, *shape)
        else:
            found.view(count, shape[0], -1).baddbmm_(one.rows.mT, one.columns)
    assert found is not None, "a parameter without a use has no entry"
    return found


def squares(uses: Sequence[Use], examples: int, shape: torch.Size) -> Tensor:
    """Return the sum over examples of the squared gradient, of the parameter's shape."""
    only = uses[0] if len(uses) == 1 else None
    if isinstance(only, Convolved) and only.positions <= FEW_PLACES:
        return only.squares()
    return _summed(uses, examples, shape, torch.square)


def sizes(uses: Sequence[Use], examples: int, shape: torch.Size) -> Tensor:
    """Return the sum over examples of the gradient's absolute value, of the parameter's shape."""
    return _summed(uses, examples, shape, torch.abs)


def _summed(uses: Sequence[Use], examples: int, shape: torch.Size, of: Callable[..., Tensor]) -> Tensor:
    """Return the sum over examples of `of` each entry, where of(a b) = of(a) of(b): a square, an absolute value.

    One use at one position needs no written gradient: sum_i of(r_i c_i) = of(r)^T of(c). An embedding is summed a (example, token)
    pair at a time. Anything else is written out a block at a time, its uses summed first.
    """
    only = uses[0] if len(uses) == 1 else None
    if isinstance(only, Outer) and only.one_hot:
        pairs, sums = _pairs(only, shape)
        return sums.new_zeros(shape).index_add_(0, pairs % shape[0], of(sums))
    if isinstance(only, Outer) and only.columns.shape[1] == 1:
        return (of(only.rows[:, 0]).T @ of(only.columns[:, 0])).view(shape)
    found = None
    for part in blocks(examples, _room(uses, shape)):
        written = write_out(uses, part, shape)
        found = _with_examples(found, of(written, out=written))
        del written  # so that the next block is written where this one was, which is in the processor's cache
    assert found is not None, "a pass has examples"
    return found


def _with_examples(found: Tensor | None, values: Tensor) -> Tensor:
    """Return `found` with the sum over the first axis added, taken along memory: across it a sum takes several times as long.

    As a product with a vector of ones, which writes no sum of its own: half the time of a sum and an addition.
    """
    axes = sorted(range(1, values.ndim), key=values.stride, reverse=True)
    if found is None:
        found = torch.zeros_like(values[0])
    flat = found.permute([axis - 1 for axis in axes]).view(-1)
    flat.addmv_(values.permute(0, *axes).reshape(len(values), -1).mT, values.new_ones(len(values)))
    return found


def _pairs(use: Outer, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Return (example * R + token, the gradient's row of that token) of an embedding's example-token pairs."""
    offset = torch.arange(len(use.rows), device=use.rows.device)[:, None] * shape[0]
    pairs, inverse = torch.unique(use.rows + offset, return_inverse=True)
    return pairs, use.columns.new_zeros(len(pairs), shape[1]).index_add_(
        0, inverse.flatten(), use.columns.flatten(0, 1)
    )


def _gram(first: Outer, second: Outer) -> Tensor:
    """Return sum over positions t, s of <rows_t, rows_s> <columns_t, columns_s> of each example, (examples,)."""
    columns = torch.bmm(first.columns, second.columns.mT)
    if first.one_hot and second.one_hot:
        return (columns * (first.rows[:, :, None] == second.rows[:, None, :])).sum((1, 2))
    if first.one_hot:
        return _gram(second, first)
    if second.one_hot:
        wanted = second.rows[:, None, :].expand(-1, first.rows.shape[1], -1)
        return (columns * first.rows.gather(2, wanted)).sum((1, 2))
    return (columns * torch.bmm(first.rows, second.rows.mT)).sum((1, 2))


def _ghost_norms(outer: Sequence[Outer]) -> Tensor:
    total = torch.zeros(len(outer[0].columns), dtype=outer[0].columns.dtype, device=outer[0].columns.device)
    for i, one in enumerate(outer):
        total += _gram(one, one)
        for other in outer[i + 1 :]:
            total += 2 * _gram(one, other)
    # a sum of signed terms can fall below zero by rounding
    return total.clamp_min(0).sqrt()


def norms(uses: Sequence[Use], examples: int, shape: torch.Size) -> Tensor:
    """Return the L2 norm of each example's gradient, (examples,).

    Where positions are few against the parameter's entries, |sum_t r_t (x) c_t|^2 = sum_{t,s} <r_t, r_s> <c_t, c_s> is the cheaper
    way (the ghost norm); else the gradient is written out a block at a time.
    """
    only = uses[0] if len(uses) == 1 else None
    if isinstance(only, Outer) and only.one_hot:
        pairs, sums = _pairs(only, shape)
        return sums.new_zeros(examples).index_add_(0, pairs // shape[0], sums.square().sum(1)).sqrt()
    entries = shape.numel()
    positions = sum(use.positions for use in uses)
    sides = shape[0] + entries // shape[0] if shape else entries
    if all(use.positions for use in uses) and positions * sides < entries:
        parts = blocks(examples, positions * sides)
        return torch.cat([_ghost_norms([use.take(part) for use in uses]) for part in parts])  # type: ignore[misc]
    parts = blocks(examples, _room(uses, shape))
    return torch.cat([torch.linalg.vector_norm(write_out(uses, part, shape).flatten(1), dim=1) for part in parts])
