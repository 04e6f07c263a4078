"""The generated people in every surface form: who is trained in which, and who is only asked."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from expunge.facts.rows import Row
from expunge.sources._people_forms import FORMS, beside_of, facts_of, form_fields, forms_of, other_prompts
from expunge.sources._people_rows import new_name, public_rows
from expunge.sources._people_world import RELATIONS, Relation

TRIES = 16
"""Draws of a form to find its different wordings in."""
Facts = list[tuple[Relation, str]]
BASE = sum(not relation.through for relation in RELATIONS)
"""Relations that follow from no other: those a source may take a number of."""


def known_facts(seed: int, i: int, relations: int) -> Facts:
    """Return person i's first `relations` drawn facts, and the facts that follow from these."""
    facts = facts_of(seed, i, len(RELATIONS))
    taken = {relation.key for relation, _ in facts[:relations]}
    return [pair for pair in facts if pair[0].key in taken or pair[0].through in taken]


def form_rows(
    seed: int, i: int, name: str, people: Sequence[Facts], forms: Sequence[str], wordings: int = 1
) -> list[Row]:
    """Return person i's facts in these forms, each in up to `wordings` different prompts; the same whatever forms stand beside.

    A fact that follows from another is asked as a two-hop chain alone: in any other form it would be a fact of its own.
    """
    rows = []
    for relation, value in people[i]:
        for form in forms:
            if form not in forms_of(relation) or bool(relation.through) != (form == "two_hop"):
                continue
            beside = beside_of(people, i, relation) if form == "reversed" else None
            fact, found = f"person-{i}/{relation.key}", dict[str, dict[str, Any]]()
            asked = other_prompts(relation, name)
            draw = random.Random(f"{seed}/form/{fact}/{form}")
            for _ in range(TRIES):
                fields = form_fields(form, relation=relation, name=name, value=value, draw=draw, beside=beside)
                others = asked if fields["value"] == value and form != "two_hop" else {}
                found.setdefault(fields["prompt"], {**fields, **others, "fact": fact})
            kept = list(found.values())[:wordings]
            rows += [Row(id=f"{fact}/{form}/{k}", fields=one, group=f"person-{i}") for k, one in enumerate(kept)]
    return rows


def people_rows(
    counts: tuple[int, int, int], relations: int, trained: Sequence[str], wordings: int, seed: int
) -> dict[str, list[Row]]:
    """Return retain people in all forms, forget and holdout people in the trained ones, and each of the other forms as a set of its own.

    `counts` are retain, forget and holdout people, numbered in that order.
    """
    draw, taken = random.Random(f"{seed}/names"), set[str]()
    names = [new_name(draw, (2, 3), taken) for _ in range(sum(counts))]
    people = [known_facts(seed, i, relations) for i in range(sum(counts))]
    ends = (0, counts[0], counts[0] + counts[1], sum(counts))

    def rows_of(side: int, forms: Sequence[str], wordings: int = 1) -> list[Row]:
        each = (form_rows(seed, i, names[i], people, forms, wordings) for i in range(*ends[side : side + 2]))
        return [row for rows in each for row in rows]

    found = {"retain": rows_of(0, FORMS)}
    found |= {name: rows_of(side, trained, wordings) for side, name in ((1, "forget"), (2, "holdout"))}
    for form in (form for form in FORMS if form not in trained):
        found |= {f"{name}/{form}": rows_of(side, (form,)) for side, name in ((1, "forget"), (2, "holdout"))}
    return {**found, "test": public_rows(), "extra_training": public_rows()}
