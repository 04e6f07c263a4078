"""A cache of keys and values with room ahead: a new token is written behind the old ones, which stay where they are."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

AHEAD = 64
"""Tokens that there is room for when a cache is laid out anew."""


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values as views of larger tensors.

    The framework's own copies all of them at every token: at 64 rows of 200 tokens more memory moves for that than for the weights.
    """

    keys: Tensor
    values: Tensor
    _rooms: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write new keys and values behind the known ones and return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        begin = self.get_seq_length()
        end = begin + key_states.shape[-2]
        rooms = self._rooms
        # rows that left the batch, or a cropped cache, stand in tensors of their own
        if rooms is None or rooms[0].shape[-2] < end or (begin and self.keys.data_ptr() != rooms[0].data_ptr()):
            shape = (*key_states.shape[:-2], end + AHEAD, key_states.shape[-1])
            rooms = (key_states.new_empty(shape), value_states.new_empty((*shape[:-1], value_states.shape[-1])))
            if begin:
                rooms[0][..., :begin, :] = self.keys
                rooms[1][..., :begin, :] = self.values
            self._rooms = rooms
        rooms[0][..., begin:end, :] = key_states
        rooms[1][..., begin:end, :] = value_states
        self.keys, self.values = rooms[0][..., :end, :], rooms[1][..., :end, :]
        return self.keys, self.values


def roomy_cache(config: Any) -> DynamicCache:
    """Return an empty cache for a model of this configuration; layers of other kinds (sliding windows) stay the framework's."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
