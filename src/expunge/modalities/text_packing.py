"""Lay questions out in few, full rows: a question's answers share what they begin with, and rows share a block mask."""

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
class Segment:
    """Tokens that some answers share, the place in the text of the first, and the segment before it (-1: none)."""

    ids: tuple[int, ...]
    start: int
    above: int


@dataclass(frozen=True)
class Tree:
    """One question with its answers as a tree: whatever several answers have in common from the start stands there once.

    Above all that is the prompt; answers that differ in a name share what stands before it, too. The last token of an answer is
    predicted, never read, so it takes no position. `paths[k]` are the segments that answer k runs through.
    """

    segments: tuple[Segment, ...]
    paths: tuple[tuple[int, ...], ...]
    answers: tuple[Encoded, ...]

    @property
    def cost(self) -> int:
        """Positions the body of the model runs."""
        return sum(len(one.ids) for one in self.segments)


def tree(answers: Sequence[Encoded]) -> Tree:
    """Return the tree of one question's answers; a segment stands behind the one it follows."""
    inputs = [answer.ids[:-1] for answer in answers]
    segments: list[Segment] = []
    paths: list[list[int]] = [[] for _ in answers]
    open_parts = [(tuple(range(len(answers))), 0, -1)]
    while open_parts:
        members, begin, above = open_parts.pop()
        # of sorted sequences, the first and the last have in common what all have
        first, last = min(inputs[k] for k in members), max(inputs[k] for k in members)
        end = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
        if end > begin:
            segments.append(Segment(first[begin:end], begin, above))
            above = len(segments) - 1
            for k in members:
                paths[k].append(above)
        following: dict[int, list[int]] = {}
        for k in members:
            if len(inputs[k]) > end:
                following.setdefault(inputs[k][end], []).append(k)
        open_parts.extend((tuple(part), end, above) for part in following.values())
    return Tree(tuple(segments), tuple(map(tuple, paths)), tuple(answers))


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


def pack_trees(trees: Sequence[Tree], eos: int) -> Layout:
    """Lay trees out in rows under a block mask: a position sees the segments above its own and its own so far, and nothing else."""
    rows = assign([one.cost for one in trees])
    length = max(sum(trees[i].cost for i in row) for row in rows)
    ids = torch.full((len(rows), length), eos)
    positions = torch.zeros((len(rows), length), dtype=torch.long)
    mask = torch.eye(length, dtype=torch.bool).repeat(len(rows), 1, 1)
    places: list[list[Tensor]] = [[] for _ in trees]
    for r, row in enumerate(rows):
        cursor = 0
        for i in row:
            found = _place(trees[i], cursor, ids[r], positions[r], mask[r])
            places[i] = [r * length + one for one in found]
            cursor += trees[i].cost
    at: list[Tensor] = []
    targets: list[int] = []
    owner: list[int] = []
    for one, found in zip(trees, places, strict=True):
        for answer, path in zip(one.answers, found, strict=True):
            at.append(path[answer.first - 1 :])
            targets.extend(answer.ids[answer.first :])
            owner.append(len(answer.ids) - answer.first)
    return _layout(ids, positions, mask[:, None], torch.cat(at), targets, owner, eos)


def _place(one: Tree, begin: int, ids: Tensor, positions: Tensor, mask: Tensor) -> list[Tensor]:
    """Write a tree into one row from `begin` on and return where each answer's inputs stand."""
    spans: list[tuple[int, int]] = []
    for segment in one.segments:
        end = begin + len(segment.ids)
        ids[begin:end] = torch.tensor(segment.ids, dtype=torch.long)
        positions[begin:end] = torch.arange(segment.start, segment.start + len(segment.ids))
        mask[begin:end, begin:end] = torch.ones(end - begin, end - begin, dtype=torch.bool).tril()
        above = segment.above
        while above >= 0:
            mask[begin:end, slice(*spans[above])] = True
            above = one.segments[above].above
        spans.append((begin, end))
        begin = end
    return [torch.cat([torch.arange(*spans[part]) for part in path]) for path in one.paths]


def plain_rows(trees: Sequence[Tree], eos: int) -> Layout:
    """Lay every answer out in a row of its own, padded on the right: for architectures that take no block mask.

    `mask` is (rows, length), made from lengths and not from ids.
    """
    answers = [answer for one in trees for answer in one.answers]
    length = max(len(answer.ids) for answer in answers) - 1
    ids = torch.full((len(answers), length), eos)
    mask = torch.zeros((len(answers), length), dtype=torch.bool)
    at: list[Tensor] = []
    targets: list[int] = []
    owner: list[int] = []
    for r, answer in enumerate(answers):
        n = len(answer.ids) - 1
        ids[r, :n] = torch.tensor(answer.ids[:-1], dtype=torch.long)
        mask[r, :n] = True
        at.append(torch.arange(answer.first - 1, n) + r * length)
        targets.extend(answer.ids[answer.first :])
        owner.append(len(answer.ids) - answer.first)
    positions = torch.arange(length).expand(len(answers), length)
    return _layout(ids, positions, mask, torch.cat(at), targets, owner, eos)


def _layout(
    ids: Tensor, positions: Tensor, mask: Tensor, at: Tensor, targets: list[int], scored: list[int], eos: int
) -> Layout:
    wanted = torch.tensor(targets, dtype=torch.long)
    owner = torch.repeat_interleave(torch.arange(len(scored)), torch.tensor(scored, dtype=torch.long))
    last = torch.ones(len(owner), dtype=torch.bool)
    last[:-1] = owner[1:] != owner[:-1]
    return Layout(ids, positions, mask, at, wanted, owner, last & (wanted == eos), len(scored))
