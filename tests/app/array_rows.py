"""Rows of a table for the command's tests: 60 points that a classifier of 4 classes read by heart, and 12 beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from meta_problems import clouds
from tiny_directory import Done, files_under

from expunge.facts.rows import Rows

Items = list[dict[str, Any]]


def items(rows: Rows) -> Items:
    return [{"id": row.id, "features": list(row["features"]), "label": row["label"]} for row in rows]


FORGET, RETAIN = (items(clouds().splits.rows[name]) for name in ("forget", "retain"))
HOLDOUT: Items = [{**one, "id": f"held-{i}", "features": one["features"][::-1]} for i, one in enumerate(RETAIN[:12])]


def changed(rows: Items, at: int, **fields: Any) -> Items:
    return [{**row, **fields} if i == at else row for i, row in enumerate(rows)]


def refused(done: Done, folder: Path) -> str:
    """Check exit 2, words, and that nothing but the rows is there; return the message."""
    assert done.code == 2, (done.out, done.err)
    assert "Traceback" not in done.err
    assert "try:" in done.err
    assert [name for name in files_under(folder) if not name.endswith((".jsonl", ".toml"))] == []
    return done.err
