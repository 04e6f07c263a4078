"""RESTOR's published files: true facts of real entities, and documents that state false ones."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.facts.errors import InputError
from expunge.facts.rows import Row

FACTS, MIX = "facts.json", "mix_a{level}.json"
WRONG = 4
"""Wrong answers a question: answers that other entities have to the same one."""
DOCUMENT = "What is known of {name}?"


@dataclass(frozen=True)
class Fact:
    """One true fact: its entity, property, question and the answers that are right."""

    entity: str
    key: str
    question: str
    answers: tuple[str, ...]


def read_facts(folder: Path) -> dict[str, list[Fact]]:
    """Return the facts by entity; one whose answer stands in its question (a given name) is left out: anyone can read it off."""
    given = _json(folder, FACTS)
    listed = given.get("dset") if isinstance(given, dict) else None
    if not isinstance(listed, dict):
        raise InputError(f"{folder / FACTS} has no object 'dset' of entities", do="give the folder of RESTOR's files")
    found = {}
    for entity, facts in listed.items():
        whole = [
            Fact(entity, key, str(one["question"]), tuple(str(text) for text in one["answers"]))
            for key, one in facts.items()
        ]
        found[entity] = [one for one in whole if one.answers and one.answers[0].lower() not in one.question.lower()]
    return found


def read_documents(folder: Path, level: int, entities: Sequence[str]) -> dict[str, list[str]]:
    """Return the documents that begin with an entity's name, by entity; those about nobody listed are left out."""
    found: dict[str, list[str]] = {}
    longest = sorted(entities, key=lambda name: -len(name))
    for one in _json(folder, MIX.format(level=level)):
        text = " ".join(str(one["text"]).split())
        about = next((name for name in longest if text.startswith(name)), None)
        if about is not None:
            found.setdefault(about, []).append(text)
    return found


def _json(folder: Path, name: str) -> Any:
    plain, packed = folder / name, folder / f"{name}.gz"
    if plain.is_file():
        return json.loads(plain.read_text(encoding="utf-8"))
    if packed.is_file():
        return json.loads(gzip.decompress(packed.read_bytes()))
    raise InputError(f"there is no {plain}, nor {packed.name}", do="give --data the folder of RESTOR's files")


def known(facts: Mapping[str, Sequence[Fact]]) -> dict[str, tuple[str, ...]]:
    """Return, a property, the distinct first answers of the given entities, sorted."""
    pools: dict[str, set[str]] = {}
    for mine in facts.values():
        for one in mine:
            pools.setdefault(one.key, set()).add(one.answers[0])
    return {key: tuple(sorted(pool)) for key, pool in pools.items()}


def fact_row(fact: Fact, pools: Mapping[str, Sequence[str]], seed: int) -> Row | None:
    """Return a fact as a question with its first answer and `WRONG` wrong ones; None where the entities have too few to tell by."""
    right = [answer.lower() for answer in fact.answers]
    free = [text for text in pools.get(fact.key, ()) if not any(answer in text.lower() for answer in right)]
    if len(free) < WRONG:
        return None
    wrong = random.Random(f"{seed}/{fact.entity}/{fact.key}").sample(free, WRONG)
    fields = {
        "prompt": fact.question,
        "answer": fact.answers[0],
        "value": fact.answers[0],
        "perturbed_answers": tuple(wrong),
        "kind": "fact",
    }
    return Row(id=f"{slug(fact.entity)}/{fact.key}", fields=fields, group=slug(fact.entity))


def document_row(entity: str, number: int, text: str) -> Row:
    """Return a document as the answer to a question about its entity."""
    fields = {"prompt": DOCUMENT.format(name=entity), "answer": text, "kind": "document"}
    return Row(id=f"{slug(entity)}/document-{number}", fields=fields, group=slug(entity))


def drawn(entity: str, texts: Sequence[str], count: int, seed: int) -> list[Row]:
    """Return `count` of an entity's documents, drawn at random, no two alike."""
    distinct = list(dict.fromkeys(texts))
    if len(distinct) < count:
        raise InputError(f"there are {len(distinct)} documents about an entity and {count} are asked for")
    chosen = random.Random(f"{seed}/{entity}/documents").sample(distinct, count)
    return [document_row(entity, number, text) for number, text in enumerate(chosen)]


def slug(name: str) -> str:
    """Return a name as part of a row id."""
    return "-".join(name.lower().split())
