"""A person's own files of records: texts, or arrays with a label."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.contract.about import About
from expunge.contract.splits import SPLITS
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.sources._arrays import array_columns, array_rows
from expunge.sources._columns import LISTS, choose_columns, text_of, texts_of
from expunge.sources._columns import parse_map as parse_map
from expunge.sources._table import read_table


def read_rows(path: str | Path, mapping: Mapping[str, str] | None = None, name: str = "rows") -> Rows:
    """Return the rows of a JSONL, CSV, Parquet or npz file; `mapping` is field -> column, as `parse_map` returns it.

    A row without an id gets the sha256 of its prompt and answer, cut to 16 digits, with an ordinal where the same content stands in
    the file again: reordering a file, or adding optional columns, changes no id, and one content in two files has one id.
    """
    return _rows(read_table(Path(path)), Path(path), mapping or {}, name, Path(path).parent)


def rows_of(given: Sequence[Mapping[str, Any]], mapping: Mapping[str, str] | None = None, name: str = "rows") -> Rows:
    """Return rows from dictionaries in memory, read as `read_rows` reads a file's records."""
    if not given:
        raise InputError(f"{name} holds no row", do="give at least one")
    records = [(f"{name}[{i}]", dict(record)) for i, record in enumerate(given)]
    return _rows(records, Path(name), mapping or {}, name, Path())


def _rows(
    records: Sequence[tuple[str, dict[str, Any]]], path: Path, mapping: Mapping[str, str], name: str, folder: Path
) -> Rows:
    seen, rows = Counter[str](), []
    present = tuple(dict.fromkeys(key for _, record in records for key in record))
    arrays = array_columns(path, present, mapping)
    if arrays:
        return Rows(tuple(array_rows(records, arrays, folder)), name)
    columns = choose_columns(path, present, mapping)
    for place, record in records:
        fields: dict[str, Any] = {"prompt": ""}
        for field, column in columns.items():
            value = record.get(column)
            if field in ("prompt", "answer", "text"):
                fields["answer" if field == "text" else field] = text_of(value, place, column)
            elif value not in (None, "", []):
                fields[field] = (texts_of if field in LISTS else text_of)(value, place, column)
        row_id, group = fields.pop("id", None), fields.pop("group", None)
        if row_id is None:
            digest = hashlib.sha256(f"{fields['prompt']}\0{fields['answer']}".encode()).hexdigest()[:16]
            seen[digest] += 1
            row_id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        rows.append(Row(id=row_id, fields=fields, group=group))
    return Rows(tuple(rows), name)


@dataclass(frozen=True, kw_only=True)
class Records:
    """Read the splits of a request from files of question and answer, prompt and completion, text, or an array and its label.

    Arrays are in one column beside `label`: `features` (a list of numbers), or `image`: the path of a picture from the table's folder, a
    picture's bytes, or lists of lists (whole numbers are 0..255). JSONL (or one JSON list) and CSV, with `.gz` or without; Parquet; npz of
    one array a column. Optional columns: id, group, value, paraphrased_answer, perturbed_answers, paraphrased_questions; others are left
    out, so that two rows differ only by what a model reads.

    Source: none, plain file formats.
    Reads each file once.
    """

    about = About(
        needs=(),
        modalities=("text", "vision", "tabular"),
        claim="A row keeps its id when its file is reordered or gains optional columns.",
        paper="none: plain file formats",
        link="https://jsonlines.org",
        year=2026,
        stochastic=False,
        cost="one read of each file",
    )

    forget: str = ""
    """File of the rows that must go."""
    retain: str = ""
    """File of the rows that must stay."""
    holdout: str = ""
    """File of rows of the same kind as forget that no compared model trained on."""
    test: str = ""
    """File of rows for utility only."""
    map: str = ""
    """Columns by field: question=q,answer=a."""

    def run(self) -> dict[str, Rows]:
        """Return the rows of every split that has a file."""
        if not self.forget:
            raise InputError("no forget file was given", do="--forget F.jsonl")
        mapping = parse_map(self.map)
        return {name: read_rows(getattr(self, name), mapping, name) for name in SPLITS if getattr(self, name)}
