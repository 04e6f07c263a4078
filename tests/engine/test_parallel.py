"""Who takes which rows, and how sums meet: with the number of processes given, and no process started."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from expunge.engine import parallel
from expunge.engine.parallel import batch_share, gather_objects, my_share, sum_gradients, total


def as_process(monkeypatch: pytest.MonkeyPatch, rank: int, size: int) -> None:
    monkeypatch.setattr(parallel, "world", lambda: (rank, size))


def test_one_process_does_everything_itself() -> None:
    """Fails if a process that is alone waits for others or copies a sum."""
    assert my_share(3) == [0, 1, 2]
    assert batch_share(3) == ([0, 1, 2], 1)
    assert gather_objects("x") == ["x"]
    value = torch.ones(2)
    assert total(value) is value


def test_shares_cover_every_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a row goes to two processes or to none."""
    taken: list[int] = []
    for rank in range(3):
        as_process(monkeypatch, rank, 3)
        taken += my_share(8)
        assert batch_share(8) == (my_share(8), 1)
    assert sorted(taken) == list(range(8))


def test_a_batch_smaller_than_the_processes_is_everyones(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch's last batch may hold one row. Fails if a process is left with nothing to pack, or a row counts once for each."""
    for rank in range(3):
        as_process(monkeypatch, rank, 3)
        assert batch_share(2) == ([0, 1], 3)
        assert batch_share(0) == ([], 1)


def test_a_gradient_that_nobody_has_stays_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes in one: what they sum is doubled. Fails if a zero stands in: decay and momentum would then move the parameter."""
    as_process(monkeypatch, 0, 2)

    def doubled(value: Tensor) -> None:
        value.mul_(2.0)

    monkeypatch.setattr(parallel.dist, "all_reduce", doubled)
    first, second = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    first.grad = torch.tensor([1.0, 3.0])
    sum_gradients([first, second])
    assert first.grad.tolist() == [2.0, 6.0]
    assert second.grad is None
