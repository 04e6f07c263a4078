"""Refuse to sign a certificate that repeats what is to be forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from expunge.facts.errors import InputError
from expunge.facts.rows import Row

WINDOW = 8
"""A run of this many words shared with a forget text counts as a repeat of it."""
SHORTEST = 12
"""A single word shorter than this is not looked for: `accuracy` may be an answer and is also a setting's value."""


def refuse_forget_text(statement: Any, forget: Iterable[Row]) -> None:
    """Raise where any string of the statement repeats a text of a forget row, or eight words of one.

    The message names the row's id and field and the place, never the text. Case, punctuation and white space do not
    matter. Not found: single words under twelve letters, numbers, images, and text re-worded. A `fact` that the row's id
    begins with is a name, which the record tells with the id, and no text.
    """
    places = [(where, _words(text)) for where, text in _strings(statement, "", keys=True)]
    windows: dict[tuple[str, ...], str] = {}
    for where, words in places:
        for start in range(len(words) - WINDOW + 1):
            windows.setdefault(tuple(words[start : start + WINDOW]), where)
    spaced = [(where, f" {' '.join(words)} ") for where, words in places]
    for row in forget:
        for field, text in _strings(dict(row.fields), "", keys=False):
            if field == "fact" and row.id.startswith(text):
                continue
            words = _words(text)
            if len(words) >= WINDOW:
                runs = (tuple(words[start : start + WINDOW]) for start in range(len(words) - WINDOW + 1))
                found = next((windows[run] for run in runs if run in windows), None)
            elif len(words) >= 2 or any(len(word) >= SHORTEST for word in words):
                found = next((where for where, text in spaced if f" {' '.join(words)} " in text), None)
            else:
                found = None
            if found is not None:
                raise InputError(
                    f"the certificate would repeat forget row {row.id!r} ({field}) at {found}; nothing was signed",
                    causes=("a setting, a request's reason or a refusal quotes the data",),
                    do="name what is to be forgotten by id, not by its text",
                )


def _strings(value: Any, where: str, *, keys: bool) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where or "the text", value
    elif isinstance(value, dict):
        for key, item in value.items():
            if keys:
                yield f"a key of {where or 'the statement'}", str(key)
            yield from _strings(item, f"{where}.{key}" if where else str(key), keys=keys)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item, where, keys=keys)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
