"""Which column of a table is which field of a row, and what a cell may hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expunge.facts.errors import InputError, nearest

COLUMNS: dict[str, tuple[str, ...]] = {
    "prompt": ("question", "prompt"),
    "answer": ("answer", "completion"),
    "text": ("text",),
    "id": ("id",),
    "group": ("group",),
    "value": ("value",),
    "paraphrased_answer": ("paraphrased_answer",),
    "perturbed_answers": ("perturbed_answers", "perturbed_answer"),
    "paraphrased_prompts": ("paraphrased_prompts", "paraphrased_questions", "paraphrased_question"),
}
"""Field -> names that its column may have, the first found counts; a map takes any of them on its left."""
LISTS = ("perturbed_answers", "paraphrased_prompts")
ARRAY_COLUMNS: dict[str, tuple[str, ...]] = {
    "features": ("features",),
    "image": ("image",),
    "label": ("label", "target"),
}
"""The same of rows that are arrays."""


def parse_map(text: str) -> dict[str, str]:
    """Return `question=q,answer=a` as {field: column}; an unknown name is an error naming the nearest."""
    fields = {name: field for field, names in {**COLUMNS, **ARRAY_COLUMNS}.items() for name in names}
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not column:
            raise InputError(f"--map: {part!r} maps nothing", do="write --map question=COLUMN,answer=COLUMN")
        if name not in fields:
            raise InputError(
                f"--map: a row has no field {name!r}; the nearest is {nearest(name, tuple(fields))!r}",
                do=f"use one of: {', '.join(fields)}",
            )
        found[fields[name]] = column
    if "text" in found and {"prompt", "answer"} & set(found):
        raise InputError("--map: a row is a text, or a question and an answer, not both", do="drop one of them")
    if set(ARRAY_COLUMNS) & set(found) and {"prompt", "answer", "text"} & set(found):
        raise InputError("--map: a row is a text, or an array with its label, not both", do="drop one of them")
    return found


def check_mapped(path: Path, present: tuple[str, ...], mapping: Mapping[str, str]) -> None:
    """Refuse a map that names a column which the file has not."""
    for field, column in mapping.items():
        if column not in present:
            raise InputError(
                f"{path} has no column {column!r} for {field}; the nearest is {nearest(column, present)!r}",
                do=f"map one of its columns: {', '.join(present)}",
            )


def choose_columns(path: Path, present: tuple[str, ...], mapping: Mapping[str, str]) -> dict[str, str]:
    """Return the column of each field that the file has; mapped columns must be there, and question + answer or text."""
    check_mapped(path, present, mapping)
    free = [name for name in present if name not in mapping.values()]
    found = {field: next((name for name in names if name in free), "") for field, names in COLUMNS.items()}
    found.update(mapping)
    if "text" in mapping or (found["text"] and not found["answer"]):
        found["prompt"] = found["answer"] = ""
    else:
        found["text"] = ""
        missing = [name for name, field in (("question", "prompt"), ("answer", "answer")) if not found[field]]
        if missing:
            raise InputError(
                f"{path} has no column for {' and '.join(missing)}; it has: {', '.join(present)}",
                causes=(
                    "records need question and answer, prompt and completion, text, or features (an image) and label",
                ),
                do=f"--map {','.join(f'{name}={nearest(name, present)}' for name in missing)}",
            )
    return {field: column for field, column in found.items() if column}


def text_of(value: Any, place: str, column: str) -> str:
    """Return a cell as text; a number is written out, anything else and blank text is an error naming the place."""
    missing = value is None or value != value or (isinstance(value, str) and not value.strip())
    if missing or isinstance(value, bool) or not isinstance(value, (str, int, float)):
        shown = "empty" if missing else f"a {type(value).__name__}"
        raise InputError(f"{place}: {column!r} is {shown}, and text is needed")
    text = str(value)
    if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
        raise InputError(
            f"{place}: {column!r} holds half of a surrogate pair, which is no text", do="repair the \\u escapes"
        )
    return text


def texts_of(value: Any, place: str, column: str) -> tuple[str, ...]:
    """Return a cell as texts; a cell of a CSV holds them as a JSON list, and one text stands for a list of one."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise InputError(f"{place}: {column!r} is not a JSON list: {error.msg}") from error
    return tuple(text_of(item, place, column) for item in (value if isinstance(value, list) else [value]))
