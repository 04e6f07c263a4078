"""Progress that a person can read: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds before anything is shown: short loops stay silent."""
LINE_EVERY = 10.0
"""Seconds between plain lines off a terminal."""


@dataclass
class Bars:
    """Progress on standard error; `stage` names what the loops are part of."""

    stage: str = ""
    quiet: bool = False

    def track(self, items: Iterable[T], *, total: int, label: str) -> Iterator[T]:
        """Yield items; after two seconds show count, rate and estimated time left, at most ten times a second."""
        if self.quiet:
            yield from items
            return
        name = f"{self.stage}: {label}" if self.stage else label
        started = shown = time.monotonic()
        terminal, drawn = sys.stderr.isatty(), False
        for done, item in enumerate(items, start=1):
            yield item
            now = time.monotonic()
            if now - started < PATIENCE or now - shown < (0.1 if terminal else LINE_EVERY):
                continue
            shown, drawn = now, True
            self._show(name, done, total, now - started, terminal)
        if drawn and terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)  # noqa: T201

    @staticmethod
    def _show(name: str, done: int, total: int, spent: float, terminal: bool) -> None:
        left = spent / done * (total - done)
        text = f"{name} {done}/{total} ({100 * done // max(1, total)}%), {left:.0f} s left"
        if terminal:
            width = 24 * done // max(1, total)
            print(f"\r\x1b[K{'█' * width}{'░' * (24 - width)} {text}", end="", file=sys.stderr, flush=True)  # noqa: T201
        else:
            print(text, file=sys.stderr, flush=True)  # noqa: T201

    def say(self, text: str) -> None:
        """Print one line, unless quiet."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)  # noqa: T201
