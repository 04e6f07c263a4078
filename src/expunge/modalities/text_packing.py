"""Lay questions out in few, full rows: a question's answers share its prompt, and rows share a block mask."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.modalities.text_tokens import Encoded

ROW = 256
"""Positions that a packed row aims at: long enough to fill evenly, short enough that attention stays cheap."""
ATTENTION = 2048
"""Row length at which attention costs as much as the rest of a position (measured at width 256; wider models: longer)."""


@dataclass(frozen=True)
class Tree:
    """One prompt's common token prefix, once, with every answer's remaining tokens behind it.

    The last token of an answer is predicted, never read, so it takes no position. `branches[k]` holds the inputs of answer k after
    the prefix; `answers[k]` the whole answer.
    """

    prefix: tuple[int, ...]
    branches: tuple[tuple[int, ...], ...]
    answers: tuple[Encoded, ...]

    @property
    def cost(self) -> int:
        """Positions the body of the model runs."""
        return len(self.prefix) + sum(len(branch) for branch in self.branches)


def tree(answers: Sequence[Encoded]) -> Tree:
    """Return the shared-prefix layout of one question's answers."""
    inputs = [answer.ids[:-1] for answer in answers]
    shared = min(len(ids) for ids in inputs)
    for ids in inputs[1:]:
        while ids[:shared] != inputs[0][:shared]:
            shared -= 1
    return Tree(inputs[0][:shared], tuple(ids[shared:] for ids in inputs), tuple(answers))


def assign(costs: Sequence[int]) -> list[list[int]]:
    """Return rows of indices: the evenly filled layout that costs least, padding and attention counted.

    For a number of rows, items go longest first, each into the least filled row. The cost of a layout is
    rows * length * (1 + length / ATTENTION): positions run, each dearer the longer its row.
    """
    n, fewest = len(costs), -(-sum(costs) // max(*costs, 2 * ROW)) if len(costs) > 1 else 1
    return min((_filled(costs, count) for count in range(fewest, n + 1)), key=lambda rows: _cost(costs, rows))


def _filled(costs: Sequence[int], count: int) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in range(count)]
    heap = [(0, i) for i in range(count)]
    for item in sorted(range(len(costs)), key=lambda i: -costs[i]):
        filled, row = heapq.heappop(heap)
        rows[row].append(item)
        heapq.heappush(heap, (filled + costs[item], row))
    return [row for row in rows if row]


def _cost(costs: Sequence[int], rows: list[list[int]]) -> float:
    length = max(sum(costs[i] for i in row) for row in rows)
    return len(rows) * length * (1 + length / ATTENTION)


@dataclass(frozen=True)
class Layout:
    """Packed rows: ids, positions, mask (rows, 1, length, length) or None, and where each scored token is predicted."""

    ids: Tensor
    positions: Tensor
    mask: Tensor
    at: Tensor
    targets: Tensor
    owner: Tensor
    is_end: Tensor
    answers: int


def _flat(trees: Sequence[Tree]) -> tuple[list[int], list[int], list[int], list[int]]:
    """First answer ordinal of each tree and empty lists for at, targets, owner: filled in answer order."""
    first, count = [], 0
    for one in trees:
        first.append(count)
        count += len(one.branches)
    return first, [], [], []


def pack_trees(trees: Sequence[Tree], eos: int) -> Layout:
    """Lay trees out in rows under a block mask: a position sees its own prefix and branch, and nothing else."""
    rows = assign([one.cost for one in trees])
    length = max(sum(trees[i].cost for i in row) for row in rows)
    ids = torch.full((len(rows), length), eos)
    positions = torch.zeros((len(rows), length), dtype=torch.long)
    mask = torch.zeros((len(rows), 1, length, length), dtype=torch.bool)
    mask[:, 0] = torch.eye(length, dtype=torch.bool)
    starts: dict[int, tuple[int, int]] = {}
    for r, row in enumerate(rows):
        cursor = 0
        for i in row:
            starts[i] = (r, cursor)
            cursor = _place(trees[i], r, cursor, ids, positions, mask)
    first, at, targets, owner = _flat(trees)
    for i, one in enumerate(trees):
        r, begin = starts[i]
        shared, branch_begin = len(one.prefix), begin + len(one.prefix)
        for k, answer in enumerate(one.answers):
            for t in range(answer.first, len(answer.ids)):
                place = begin + t - 1 if t - 1 < shared else branch_begin + t - 1 - shared
                at.append(r * length + place)
            targets.extend(answer.ids[answer.first :])
            owner.extend([first[i] + k] * (len(answer.ids) - answer.first))
            branch_begin += len(one.branches[k])
    return _layout(ids, positions, mask, at, targets, owner, trees, eos)


def _place(one: Tree, r: int, cursor: int, ids: Tensor, positions: Tensor, mask: Tensor) -> int:
    begin, shared = cursor, len(one.prefix)
    end = begin + shared
    ids[r, begin:end] = torch.tensor(one.prefix, dtype=torch.long)
    positions[r, begin:end] = torch.arange(shared)
    mask[r, 0, begin:end, begin:end] = torch.ones(shared, shared, dtype=torch.bool).tril()
    for branch in one.branches:
        n = len(branch)
        ids[r, end : end + n] = torch.tensor(branch, dtype=torch.long)
        positions[r, end : end + n] = torch.arange(shared, shared + n)
        mask[r, 0, end : end + n, begin : begin + shared] = True
        mask[r, 0, end : end + n, end : end + n] = torch.ones(n, n, dtype=torch.bool).tril()
        end += n
    return end


def plain_rows(trees: Sequence[Tree], eos: int) -> Layout:
    """Lay every answer out in a row of its own, padded on the right: for architectures that take no block mask.

    `mask` is (rows, length), made from lengths and not from ids.
    """
    answers = [answer for one in trees for answer in one.answers]
    length = max(len(answer.ids) for answer in answers) - 1
    ids = torch.full((len(answers), length), eos)
    mask = torch.zeros((len(answers), length), dtype=torch.bool)
    at: list[int] = []
    targets: list[int] = []
    owner: list[int] = []
    for r, answer in enumerate(answers):
        n = len(answer.ids) - 1
        ids[r, :n] = torch.tensor(answer.ids[:-1], dtype=torch.long)
        mask[r, :n] = True
        at.extend(r * length + t - 1 for t in range(answer.first, len(answer.ids)))
        targets.extend(answer.ids[answer.first :])
        owner.extend([r] * (len(answer.ids) - answer.first))
    positions = torch.arange(length).expand(len(answers), length)
    return _layout(ids, positions, mask, at, targets, owner, trees, eos)


def _layout(
    ids: Tensor,
    positions: Tensor,
    mask: Tensor,
    at: list[int],
    targets: list[int],
    owner: list[int],
    trees: Sequence[Tree],
    eos: int,
) -> Layout:
    wanted, owners = torch.tensor(targets, dtype=torch.long), torch.tensor(owner, dtype=torch.long)
    last = torch.ones(len(owner), dtype=torch.bool)
    if len(owner) > 1:
        last[:-1] = owners[1:] != owners[:-1]
    return Layout(
        ids,
        positions,
        mask,
        torch.tensor(at, dtype=torch.long),
        wanted,
        owners,
        last & (wanted == eos),
        sum(len(one.branches) for one in trees),
    )
