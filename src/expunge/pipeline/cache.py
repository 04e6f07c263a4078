"""The cache that pipeline hands to everything below: the store's, with each entry under the request it was made for."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.store.cache import Cache


@dataclass(frozen=True)
class RequestCache:
    """A store's cache whose entries `purge --request` finds."""

    cache: Cache
    request: str

    def get(self, key: str) -> bytes | None:
        """Return what was put under `key`, or None."""
        return self.cache.get(key, request=self.request)

    def put(self, key: str, value: bytes) -> None:
        """Keep `value` under `key`."""
        self.cache.put(key, value, request=self.request)
