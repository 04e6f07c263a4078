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
from expunge.contract.model import Model
from expunge.contract.weights import is_sharded
from expunge.engine.parallel import world
from expunge.facts.errors import InputError
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


def spread(model: Model) -> Model:
    """Spread a text model's weights over the processes where accelerate's config asks for FSDP; else return it as it is.

    One group a block, each freed after its forward pass, the root's as well: left whole after a pass without gradient, its parameters
    would be others than those that an optimiser is given. The forward pass runs through the root: logits are computed at every
    position, not only at scored ones.
    """
    size = world()[1]
    if size == 1 or os.environ.get("ACCELERATE_USE_FSDP", "false").lower() != "true":
        return model
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if model.modality != "text":
        raise InputError(
            f"FSDP spreads language models, and this is a {model.modality} model", do="launch without FSDP"
        )
    text: Any = model
    mesh = init_device_mesh(model.device.type, (size,))
    for name in model.sites().blocks:
        fully_shard(model.module.get_submodule(name), mesh=mesh, reshard_after_forward=True)
    fully_shard(model.module, mesh=mesh, reshard_after_forward=True)
    text.split_head = False
    return model


def copied(model: Model) -> Model:
    """Return a copy; weights that are spread cannot be copied, and what needs a copy is refused by name."""
    if is_sharded(model.module):
        raise InputError("a copy is needed, and a model spread over processes cannot be copied")
    return model.copy()


def save_by_lead(model: Model, directory: Path) -> None:
    """Write a model's directory, once; weights that are spread are gathered in the lead."""
    if not is_sharded(model.module):
        return from_lead(lambda: model.save(directory))
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    text: Any = model
    state = get_model_state_dict(model.module, options=StateDictOptions(full_state_dict=True, cpu_offload=True))

    def write() -> None:
        text.module.save_pretrained(directory, state_dict=state, safe_serialization=True)
        text.tokens.tokenizer.save_pretrained(directory)

    return from_lead(write)


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
