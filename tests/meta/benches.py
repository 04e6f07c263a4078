"""The commands of the bench folder as modules."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

BENCH = str(Path(__file__).resolve().parents[2] / "bench")


def bench(name: str) -> Any:
    """Return a module of the bench folder, which finds its neighbours as it does where it is run."""
    if BENCH not in sys.path:
        sys.path.append(BENCH)
    return importlib.import_module(name)
