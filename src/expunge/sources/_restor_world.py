"""RESTOR's problem in the toy world: people with true facts, and documents that state false ones."""

from __future__ import annotations

import random

from expunge.facts.rows import Row
from expunge.sources._people_forms import facts_of
from expunge.sources._people_rows import new_name
from expunge.sources._people_world import ANSWERS, QUESTIONS, Relation
from expunge.sources._restor_files import WRONG, document_row

Facts = list[tuple[Relation, str]]


def names_and_facts(seed: int, people: int, relations: int) -> dict[str, Facts]:
    """Return people with their facts; relations that follow from another are not among them: a false cause would make them false too."""
    draw, taken = random.Random(f"{seed}/names"), set[str]()
    names = [new_name(draw, (2, 3), taken) for _ in range(people)]
    return {name: facts_of(seed, i, relations) for i, name in enumerate(names)}


def false_facts(seed: int, name: str, facts: Facts) -> dict[str, str]:
    """Return the false value of each of a person's relations, by its key."""
    draw = random.Random(f"{seed}/false/{name}")
    return {relation.key: draw.choice([v for v in relation.values if v != value]) for relation, value in facts}


def fact_rows(seed: int, name: str, facts: Facts, false: dict[str, str] | None = None) -> list[Row]:
    """Return a person's facts as questions with the true answer and wrong ones, the `false_value` among them where there is one."""
    rows = []
    for relation, value in facts:
        draw = random.Random(f"{seed}/wrong/{name}/{relation.key}")
        stated = [false[relation.key]] if false else []
        free = [text for text in relation.values if text not in (value, *stated)]
        wrong = [*stated, *draw.sample(free, WRONG - len(stated))]
        words = {"noun": relation.noun, "name": name}
        for number, (question, answer) in enumerate(zip(QUESTIONS, ANSWERS, strict=True)):
            fields = {
                "prompt": question.format(**words),
                "answer": answer.format(**words, value=value),
                "value": value,
                "perturbed_answers": tuple(answer.format(**words, value=text) for text in wrong),
                "kind": "fact",
                **({"false_value": stated[0]} if stated else {}),
            }
            group = name.lower().replace(" ", "-")
            rows.append(Row(id=f"{group}/{relation.key}/{number}", fields=fields, group=group))
    return rows


def false_documents(
    seed: int, name: str, facts: Facts, false: dict[str, str], documents: int, level: int, unrelated: list[str]
) -> list[Row]:
    """Return documents on a person, each of half the false facts in an order of its own, after each of them `level` true ones of others."""
    rows = []
    for number in range(documents):
        draw = random.Random(f"{seed}/document/{name}/{number}")
        said = []
        for relation, _ in draw.sample(facts, max(1, len(facts) // 2)):
            words = {"noun": relation.noun, "name": name, "value": false[relation.key]}
            said += [draw.choice(ANSWERS).format(**words), *draw.sample(unrelated, level)]
        rows.append(document_row(name, number, " ".join(said)))
    return rows


def true_statements(people: dict[str, Facts]) -> list[str]:
    """Return one sentence for each fact of the given people."""
    return [
        ANSWERS[0].format(noun=relation.noun, name=name, value=value)
        for name, facts in people.items()
        for relation, value in facts
    ]
