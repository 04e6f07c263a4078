"""Several processes on one job: join the group that accelerate or torchrun launched, and let the first one write."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch.distributed as dist

from expunge.contract.job import Cache
from expunge.engine.parallel import world
from expunge.store.atomic import new_directory

T = TypeVar("T")


@contextmanager
def together(device: str = "cpu") -> Iterator[None]:
    """Be in the launcher's process group inside; without a launcher do nothing.

    Gloo on the CPU; elsewhere accelerate's choice, one device a process.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        yield
        return
    from accelerate import PartialState

    state = PartialState(cpu=True, backend="gloo") if device == "cpu" else PartialState()
    try:
        yield
    finally:
        state.destroy_process_group()
        PartialState._reset_state()


def is_lead() -> bool:
    """True in the process that prints and writes."""
    return world()[0] == 0


def from_lead(make: Callable[[], T]) -> T:
    """Return everywhere what `make` returns in the lead, which alone runs it; what it raises is raised everywhere."""
    if world()[1] == 1:
        return make()
    box: list[Any] = [None, None]
    if is_lead():
        try:
            box[0] = make()
        except Exception as error:
            box[1] = error
    dist.broadcast_object_list(box)
    if box[1] is not None:
        raise box[1]
    found: T = box[0]
    return found


@contextmanager
def new_directory_of_lead(path: Path) -> Iterator[Path]:
    """Give every process the directory that the lead fills; it takes its name when the lead's block ends well."""
    if world()[1] == 1:
        with new_directory(path) as partial:
            yield partial
        return
    filling = new_directory(path)
    partial = from_lead(filling.__enter__)
    try:
        yield partial
    except BaseException:
        if is_lead():
            filling.__exit__(*sys.exc_info())
        raise
    from_lead(lambda: filling.__exit__(None, None, None))


@dataclass(frozen=True)
class LeadCache:
    """A cache that the lead alone opens: all processes find the same, so that none computes what another reads."""

    cache: Cache

    def get(self, key: str) -> bytes | None:
        """Return what was put under `key`, or None."""
        return from_lead(lambda: self.cache.get(key))

    def put(self, key: str, value: bytes) -> None:
        """Keep `value` under `key`."""
        from_lead(lambda: self.cache.put(key, value))


def shared(cache: Cache) -> Cache:
    """Return the cache, or under several processes one that answers all of them alike."""
    return cache if world()[1] == 1 or isinstance(cache, LeadCache) else LeadCache(cache)
