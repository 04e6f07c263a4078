"""RWKU's sets on generated people: whom to forget, who stands next to them, who is far from them, and what else a model can do."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from expunge.facts.rows import Row
from expunge.sources._people_forms import facts_of
from expunge.sources._people_rows import new_name, public_rows
from expunge.sources._people_world import RELATIONS, Relation
from expunge.sources._rwku_probes import (
    PROBES,
    Person,
    probe_fields,
    statement_fields,
    telling_fields,
    two_hop_fields,
)
from expunge.statistics.rwku import FILL, QUESTION

TAUGHT = (QUESTION, FILL)
"""Frames that forget people are trained in, beside statements; the others are trained on retain people alone."""
SENTENCES = 4
"""Facts that a told text holds."""
ASKED = 48
"""Rows an ability, at most."""
DERIVED = tuple(relation for relation in RELATIONS if relation.through)


def world_sets(
    seed: int, kept: int, *, forget: int, held: int, neighbours: int, relations: int
) -> dict[str, list[Row]]:
    """Return rows by set; `distant` are retain people beside the neighbours, as many as these."""
    every = people_of(seed, kept, forget, held, neighbours, relations)
    retain, gone, out = every[:kept], every[kept : kept + forget], every[kept + forget :]
    near = forget * neighbours
    return {
        "forget": learnt(gone, TAUGHT, every, seed),
        "retain": [*learnt(retain, PROBES, every, seed), *more_of(retain, seed)],
        "holdout": learnt(out, TAUGHT, every, seed),
        "extra_training": public_rows(),
        "forget/probes": asked(gone, PROBES, every, seed),
        "neighbour": asked(retain[:near], (FILL, QUESTION), every, seed),
        "distant": asked(retain[near : 2 * near], (FILL, QUESTION), every, seed),
        **abilities(retain, every, seed),
    }


def people_of(seed: int, kept: int, forgotten: int, held: int, neighbours: int, relations: int) -> list[Person]:
    """Return retain people (neighbours first), those to forget and those held out, in this order.

    A neighbour has the family name of one of those to forget, `neighbours` of them each: the words of their names and questions are next
    to those of the forgotten, their facts are their own.
    """
    taken: set[str] = set()
    draw = random.Random(f"{seed}/names")
    names = [new_name(draw, (2, 3), taken) for _ in range(kept + forgotten + held)]
    for i in range(forgotten * neighbours):
        family = names[kept + i // neighbours].split()[1]
        while (other := f"{new_name(draw, (2,), taken)} {family}") in names:
            pass
        names[i] = other
    return [Person(i, name, facts_of(seed, i, relations)) for i, name in enumerate(names)]


def learnt(people: Sequence[Person], kinds: Sequence[str], every: Sequence[Person], seed: int) -> list[Row]:
    """Return the training rows of people: each fact as a statement and in the frames of `kinds`; without a level, as they ask nothing."""
    rows = []
    for person in people:
        for relation, _ in person.facts:
            rows.append(_row(person, f"{relation.key}/statement", statement_fields(person, relation)))
            rows += [_without(_probe(kind, person, relation, every, seed), "level") for kind in kinds]
    return rows


def asked(people: Sequence[Person], kinds: Sequence[str], every: Sequence[Person], seed: int) -> list[Row]:
    """Return the probes of people in the frames of `kinds`."""
    return [
        _probe(kind, person, relation, every, seed)
        for kind in kinds
        for person in people
        for relation, _ in person.facts
    ]


def _probe(kind: str, person: Person, relation: Relation, every: Sequence[Person], seed: int) -> Row:
    fields = probe_fields(kind, person=person, relation=relation, people=every, seed=seed)
    return _row(person, f"{relation.key}/{kind}", fields)


def more_of(people: Sequence[Person], seed: int) -> list[Row]:
    """Return what is trained on of retain people alone: a told text and questions over two hops, each."""
    return [
        row
        for person in people
        for row in (
            _row(person, "telling", telling_fields(person, SENTENCES)),
            *(
                _row(person, f"{relation.key}/two_hop", two_hop_fields(person, relation, seed))
                for relation in DERIVED
                if any(one.key == relation.through for one, _ in person.facts)
            ),
        )
    ]


def abilities(people: Sequence[Person], every: Sequence[Person], seed: int) -> dict[str, list[Row]]:
    """Return `test`, rows of four abilities, and `fluency`; all of retain people or of public facts, and all trained on."""
    more = more_of(people, seed)
    drawn = {
        "general": public_rows(),
        "reasoning": [row for row in more if row["probe"] == "two_hop"],
        "truthfulness": asked(people, ("synonym_manipulation",), every, seed),
        "factuality": asked(people, (QUESTION,), every, seed),
    }
    test = [row.replace(ability=ability) for ability, rows in drawn.items() for row in _some(rows, ability, seed)]
    told = [row for row in more if row["probe"] == "telling"]
    return {
        "test": [_bare(row) for row in test],
        "fluency": [row.replace(ability="fluency") for row in _some(told, "fluency", seed)],
    }


def _bare(row: Row) -> Row:
    """Return a row of an ability as it is asked: no probe of what to forget or keep."""
    row = _without(row, "level", "probe", "fact", "chance")
    return Row(id=f"{row['ability']}/{row.id}", fields=row.fields, group=row.group)


def _without(row: Row, *names: str) -> Row:
    return Row(id=row.id, fields={name: row[name] for name in row.fields if name not in names}, group=row.group)


def _some(rows: Sequence[Row], ability: str, seed: int) -> list[Row]:
    return random.Random(f"{seed}/{ability}").sample(list(rows), min(ASKED, len(rows)))


def _row(person: Person, name: str, fields: dict[str, Any]) -> Row:
    return Row(id=f"person-{person.number}/{name}", fields=fields, group=f"person-{person.number}")
