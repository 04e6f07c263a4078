"""Remove data, knowledge, concepts and behaviours from trained models on request, and show how far it got."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from expunge.app.api import attack, forget, units, verify

__all__ = ["attack", "forget", "units", "verify"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from expunge.app import api

        return getattr(api, name)
    raise AttributeError(f"module 'expunge' has no attribute {name!r}")
