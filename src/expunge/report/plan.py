"""Write a plan as the TOML that `expunge run` reads."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def plan_text(plan: Mapping[str, Any]) -> str:
    """Return a plan as TOML: values first, then tables. A key without a value becomes a comment, TOML has no null."""
    return "\n".join(_table(plan, ())).strip() + "\n"


def _table(table: Mapping[str, Any], at: tuple[str, ...]) -> list[str]:
    lines, tables = [], []
    for key, value in table.items():
        place = (*at, key)
        name = ".".join(_key(part) for part in place)
        if isinstance(value, Mapping):
            tables += ["", f"[{name}]", *_table(value, place)]
        elif isinstance(value, (list, tuple)) and value and all(isinstance(item, Mapping) for item in value):
            for item in value:
                tables += ["", f"[[{name}]]", *_table(item, place)]
        else:
            lines.append(f"# {_key(key)} has no value" if value is None else f"{_key(key)} = {_value(value)}")
    return lines + tables


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _quoted(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return _quoted(str(value))


def _quoted(text: str) -> str:
    """Return a TOML basic string: JSON's escapes are TOML's, but a character beyond 16 bits must stand as itself."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
