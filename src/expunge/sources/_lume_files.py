"""LUME's files: one record a test, the records of one document or person under one id."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.sources._table import read_table
from expunge.statistics.lume import COMPLETION, QUESTION

ENDINGS = (".jsonl.gz", ".jsonl")
FIELDS = ("id", "input", "output", "task")
ITEM = re.compile(r'"?([^"]+)"?(sc|qa)(\d+)')
"""Document, kind and number of a record's id; those of Task 1 have the document in quotation marks."""
KINDS = {"sc": COMPLETION, "qa": QUESTION}


@dataclass(frozen=True)
class Document:
    """A document or person of one task: its completion and its questions, in the file's order."""

    id: str
    task: str
    rows: tuple[Row, ...]


def read_documents(folder: Path, name: str, prompt_words: int, answer_words: int) -> list[Document]:
    """Return the documents of one of LUME's two files, completions cut to so many words (0: whole)."""
    path = next((path for ending in ENDINGS if (path := folder / f"{name}{ending}").is_file()), None)
    if path is None:
        raise InputError(
            f"{folder} has no {name}.jsonl.gz or {name}.jsonl", do="give the folder that holds LUME's forget and retain"
        )
    found: dict[tuple[str, str], list[Row]] = {}
    for place, record in read_table(path):
        document, row = _row(place, record, prompt_words, answer_words)
        found.setdefault((str(record["task"]), document), []).append(row)
    return [Document(document, task, tuple(rows)) for (task, document), rows in found.items()]


def _row(place: str, record: Mapping[str, Any], prompt_words: int, answer_words: int) -> tuple[str, Row]:
    missing = [name for name in FIELDS if not record.get(name)]
    if missing:
        raise InputError(f"{place}: a LUME record needs {missing[0]!r}, this has: {', '.join(record)}")
    item = ITEM.fullmatch(str(record["id"]))
    if item is None:
        raise InputError(f"{place}: the id {record['id']!r} does not end in sc or qa and a number")
    document, kind, prompt, answer = item[1], KINDS[item[2]], str(record["input"]), str(record["output"])
    fields = {"kind": kind, "subtask": str(record["task"]), "fact": document}
    if kind == COMPLETION:
        fields |= {"prompt": _last(prompt, prompt_words), "answer": _first(answer, answer_words)}
    else:
        fields |= {"prompt": prompt, "answer": answer, "value": answer}
    return document, Row(id=f"{document}{item[2]}{item[3]}", fields=fields, group=document)


def _last(text: str, count: int) -> str:
    return " ".join(text.split()[-count:]) if count else text


def _first(text: str, count: int) -> str:
    return " ".join(text.split()[:count]) if count else text


def drawn(documents: Sequence[Document], task: str, where: str, seed: int) -> list[Document]:
    """Return the documents of a task in an order that the seed fixes, so that fewer of them are the first of more."""
    own = [document for document in documents if document.task == task]
    if not own:
        raise InputError(f"LUME's {where} file has no document of {task}")
    return random.Random(f"{seed}/{task}/{where}").sample(own, len(own))


def shares(documents: list[Document], task: str, counts: Mapping[str, int]) -> dict[str, list[Document]]:
    """Return the documents cut into consecutive parts of so many each; the last part takes all that are left where it is 0."""
    *_, last = counts
    wanted = sum(counts.values()) + (not counts[last])
    if wanted > len(documents):
        raise InputError(
            f"{task} has {len(documents)} documents and {' + '.join(counts)} take {wanted}",
            do="ask for fewer documents",
        )
    found, start = {}, 0
    for name, count in counts.items():
        end = start + count if count else len(documents)
        found[name] = documents[start:end]
        start = end
    return found
