"""ConceptVectors' published rows: what a large model knows of a concept, in passages to complete and in questions."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.contract.about import About
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows

COMPLETE = "Please complete the following paragraph: {text}"


@dataclass(frozen=True, kw_only=True)
class Conceptvectors:
    """Read one concept to forget, and the others to keep, from a file of ConceptVectors.

    `forget` are passages about the concept, first half asked and second half answered, each with the block and unit of the concept's
    vector in the model that the file is for; `retain` are those of the other concepts. The file's questions have no answers: the
    published scores compare with what the target itself says. With `answers`, `forget/questions` are the concept's and `test` the
    unrelated ones; without, they are left out.

    Source: Hong et al. 2024. Differs: see `differs`. Reads one file.
    """

    about = About(
        needs=(),
        modalities=("text",),
        claim="A 7B model completes and answers what its file asks about a concept, and not with noise on the concept's vector.",
        paper="Intrinsic Evaluation of Unlearning Using Parametric Knowledge Traces",
        link="https://arxiv.org/abs/2406.11614",
        year=2024,
        paper_id="P005",
        differs=(
            "Passages stand for the Wikipedia page that the paper's code trains on, cut to 500 tokens a piece.",
            "Asked of a model of two layers that learnt them by heart; noise on a concept's vectors takes others along (.08 left).",
        ),
        cost="one read of the file",
    )

    data: str = ""
    """File such as llama2-7b_concepts_dev.json, or its .gz."""
    concept: str = ""
    """The concept to forget; empty takes the file's first."""
    answers: str = ""
    """JSON file of the target's own answer by question; empty leaves the questions out."""

    def run(self) -> dict[str, Rows]:
        """Return forget and retain and, with answers, forget/questions and test."""
        if not self.data:
            raise InputError(
                "conceptvectors reads a published file", do="--set data=FILE, such as its *_concepts_dev.json"
            )
        concepts = {str(one["Concept"]): one for one in _json(Path(self.data))}
        if not concepts:
            raise InputError(f"{self.data} has no concepts")
        name = self.concept or next(iter(concepts))
        if name not in concepts:
            raise InputError(f"{self.data} has no concept {name!r}", do=f"use one of: {', '.join(sorted(concepts))}")
        found = {
            "forget": _passages(concepts[name]),
            "retain": [row for other, one in concepts.items() if other != name for row in _passages(one)],
        }
        if self.answers:
            known = _json(Path(self.answers))
            found["forget/questions"] = _questions(concepts[name], "QA", known)
            found["test"] = _questions(concepts[name], "unrelated_QA", known)
        return {split: Rows(tuple(rows), split) for split, rows in found.items()}


def _json(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def _passages(concept: Any) -> list[Row]:
    place = {"block": int(concept["Layer"]), "unit": int(concept["Dim"])}
    name = str(concept["Concept"])
    return [
        Row(
            id=f"{_slug(name)}/passage-{i}",
            fields={"prompt": COMPLETE.format(text=one["First_half"]), "answer": str(one["Second_half"]), **place},
            group=_slug(name),
        )
        for i, one in enumerate(concept["text_completion"])
    ]


def _questions(concept: Any, key: str, known: Any) -> list[Row]:
    name, rows = _slug(str(concept["Concept"])), []
    for i, text in enumerate(concept[key]):
        question = str(text).strip()
        if question not in known:
            raise InputError(
                f"the answers have none to {question!r}", do="ask the target every question of the concept"
            )
        group = name if key == "QA" else None
        rows.append(
            Row(id=f"{name}/{key}-{i}", fields={"prompt": question, "answer": str(known[question])}, group=group)
        )
    return rows


def _slug(name: str) -> str:
    return "-".join(name.lower().split())
