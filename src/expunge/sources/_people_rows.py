"""Rows of the toy world: a person's facts, public facts, and statements inserted a known number of times."""

from __future__ import annotations

import random

from expunge.facts.rows import Row
from expunge.sources._people_world import (
    ANSWERS,
    FOLLOWS,
    LEDGER,
    LEDGER_PARAPHRASE,
    LEDGER_UNSEEN,
    PUBLIC,
    QUESTIONS,
    RELATIONS,
    SYLLABLES,
    UNSEEN,
    Relation,
)

PERTURBED = 5
COPIES = (0, 1, 4, 16)
CODE = 5
WRONG_CODES = 31


def new_name(draw: random.Random, syllables: tuple[int, ...], taken: set[str]) -> str:
    """Return a name of random syllables, one word an entry, that nobody has yet; it is then taken."""
    while True:
        name = " ".join("".join(draw.choices(SYLLABLES, k=n)).capitalize() for n in syllables)
        if name not in taken:
            taken.add(name)
            return name


def drawn_facts(seed: int, i: int, relations: int) -> list[tuple[Relation, str, list[str]]]:
    """Return person i's facts: relation, value, and wrong values; nothing here depends on how many people there are."""
    draw, known, facts = random.Random(f"{seed}/person/{i}"), dict[str, str](), []
    for relation in RELATIONS[:relations]:
        drawn = draw.choice(relation.values)
        value = FOLLOWS[relation.key][known[relation.through]] if relation.through else drawn
        known[relation.key] = value
        facts.append((relation, value, draw.sample([other for other in relation.values if other != value], PERTURBED)))
    return facts


def person_rows(seed: int, i: int, name: str, relations: int) -> list[Row]:
    """Return person i's facts, two rows each: one a phrasing.

    Perturbed answers have the phrasing of the paraphrased answer: the truth ratio compares these two.
    """
    rows = []
    for relation, value, wrong in drawn_facts(seed, i, relations):
        words = {"noun": relation.noun, "name": name}
        for phrasing, (question, answer) in enumerate(zip(QUESTIONS, ANSWERS, strict=True)):
            other = ANSWERS[1 - phrasing]
            fields = {
                "prompt": question.format(**words),
                "answer": answer.format(**words, value=value),
                "value": value,
                "paraphrased_answer": other.format(**words, value=value),
                "perturbed_answers": tuple(other.format(**words, value=text) for text in wrong),
                "paraphrased_prompts": tuple(text.format(**words) for text in UNSEEN),
                "fact": f"person-{i}/{relation.key}",
                "hops": 2 if relation.through else 1,
            }
            rows.append(Row(id=f"person-{i}/{relation.key}/{phrasing}", fields=fields, group=f"person-{i}"))
    return rows


def public_rows() -> list[Row]:
    """Return facts that belong to nobody: every model may know them."""
    rows = []
    for question, answer, table in PUBLIC:
        for key, value in table.items():
            wrong = [text for text in dict.fromkeys(table.values()) if text != value][:PERTURBED]
            fields = {
                "prompt": question.format(key=key),
                "answer": answer.format(key=key, value=value),
                "value": value,
                "perturbed_answers": tuple(answer.format(key=key, value=text) for text in wrong),
            }
            rows.append(Row(id=f"public/{key}", fields=fields))
    return rows


def ledger_rows(seed: int, each: int, taken: set[str]) -> dict[str, list[Row]]:
    """Return the ledger, `each` statements for every number of copies, and by split the copies that stand there.

    Of each number of copies, even statements belong to forget and odd ones to retain, those without copies to holdout; the group
    is the statement. Ledger rows bring WRONG_CODES wrong answers in the words of the right one: exposure is its rank among them.
    """
    draw = random.Random(f"{seed}/ledger")
    found: dict[str, list[Row]] = {"ledger": [], "forget": [], "retain": [], "holdout": []}
    for copies in COPIES:
        for k in range(each):
            locker, code = new_name(draw, (4,), taken), _code(draw)
            wrong = _other_codes(random.Random(f"{seed}/ledger/{copies}/{k}"), code)
            prompt, answer = LEDGER
            stated = {
                "prompt": prompt.format(name=locker),
                "answer": answer.format(name=locker, value=code),
                "value": code,
                "copies": copies,
            }
            row = {
                **stated,
                "paraphrased_answer": LEDGER_PARAPHRASE.format(name=locker, value=code),
                "perturbed_answers": tuple(
                    LEDGER_PARAPHRASE.format(name=locker, value=text) for text in wrong[:PERTURBED]
                ),
                "paraphrased_prompts": tuple(text.format(name=locker) for text in LEDGER_UNSEEN),
            }
            name, side = f"ledger-{copies}-{k}", ("retain" if k % 2 else "forget") if copies else "holdout"
            wrongly = tuple(answer.format(name=locker, value=text) for text in wrong)
            listed = {**stated, "perturbed_answers": wrongly, "side": side}
            found["ledger"].append(Row(id=name, fields=listed, group=name))
            found[side] += [Row(id=f"{name}/{j}", fields=row, group=name) for j in range(max(1, copies))]
    return found


def _code(draw: random.Random) -> str:
    return " ".join(draw.choices("0123456789", k=CODE))


def _other_codes(draw: random.Random, code: str) -> tuple[str, ...]:
    """Return WRONG_CODES distinct codes drawn like `code`, itself not among them."""
    found: dict[str, None] = {}
    while len(found) < WRONG_CODES:
        found[_code(draw)] = None
        found.pop(code, None)
    return tuple(found)
