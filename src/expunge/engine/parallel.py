"""One process or several (accelerate, torchrun): who takes which rows, and how their sums meet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from expunge.contract.weights import is_sharded

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


def batches_of(module: torch.nn.Module, n: int) -> list[int]:
    """Return which of n evaluation batches this process takes: its share, or all where the weights are spread over processes."""
    return list(range(n)) if is_sharded(module) else my_share(n)


def batch_share(n: int) -> tuple[list[int], int]:
    """Return (indices in 0..n-1 that this process takes of a batch, how many processes take each of them).

    A batch with fewer rows than processes is taken whole by all of them: none is left without a row to pack, and each counts for
    its part of the sum. Elsewhere every row is one process's.
    """
    size = world()[1]
    return (list(range(n)), size) if 0 < n < size else (my_share(n), 1)


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
    """Add up every parameter's gradient over all processes; one that has none anywhere still has none after.

    A zero in its place would let momentum and weight decay move what one process leaves alone. FSDP has averaged the gradients of a
    parameter that it spreads: times the number of processes they are sums.
    """
    given = list(parameters)
    if world()[1] == 1 or not given:
        return
    used = torch.tensor([float(parameter.grad is not None) for parameter in given], device=given[0].device)
    for parameter, processes in zip(given, total(used).tolist(), strict=True):
        if not processes:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        if hasattr(parameter, "full_tensor"):
            parameter.grad.mul_(world()[1])
        else:
            dist.all_reduce(parameter.grad)
