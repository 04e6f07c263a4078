"""One process or several (accelerate, torchrun): who takes which rows, and how their sums meet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def world() -> tuple[int, int]:
    """Return (rank, number of processes); (0, 1) where no process group was started."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def my_share(n: int) -> list[int]:
    """Return the indices in 0..n-1 that this process takes: every size-th one."""
    rank, size = world()
    return list(range(rank, n, size))


def gather_objects(mine: T) -> list[T]:
    """Return every process's object, in rank order."""
    _, size = world()
    if size == 1:
        return [mine]
    every: list[Any] = [None] * size
    dist.all_gather_object(every, mine)
    return every


def total(value: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes."""
    _, size = world()
    if size > 1:
        value = value.clone()
        dist.all_reduce(value)
    return value


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Add up every parameter's gradient over all processes; one without a gradient here counts as zero."""
    if world()[1] == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        dist.all_reduce(parameter.grad)
