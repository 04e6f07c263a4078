"""The facts of the toy world in other surface forms: one fact, nine ways to ask for it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from expunge.facts.errors import InputError
from expunge.sources._people_rows import PERTURBED, drawn_facts
from expunge.sources._people_world import ANSWERS, QUESTIONS, RELATIONS, UNSEEN, Relation

FORMS: tuple[str, ...] = (
    "question",
    "cloze",
    "choice",
    "true_false",
    "reversed",
    "paraphrase",
    "tense",
    "translated",
    "two_hop",
)
"""Surface forms; `two_hop` is only of relations that follow from another."""
OPTIONS = 4
CLOZE = ("Fill the gap: the {noun} of {name} is ____.", "{value}.")
CHOICE = ("Choose the {noun} of {name}: {options}?", "{value}.")
TRUE_FALSE = "Is {shown} the {noun} of {name}?"
YES, NO = "Yes", "No"
REVERSED = ("Who has {value} as {noun}{beside}?", "{name}.")
BESIDE = " and {value} as {noun}"
TENSES = (
    ("What was the {noun} of {name}?", "The {noun} of {name} was {value}."),
    ("Which {noun} did {name} have?", "{name} had {value} as {noun}."),
)
TRANSLATED = ("Was hat {name} als {noun}?", "{name} hat {value} als {noun}.", "{value} hat {name} als {noun}.")
"""German; values stay as they are, as names do: a table of 24 words a relation would not be learnt from 40 people."""
GERMAN = {
    "birth_city": "Geburtsstadt",
    "profession": "Beruf",
    "instrument": "Musikinstrument",
    "birth_year": "Geburtsjahr",
    "favourite_dish": "Lieblingsgericht",
    "favourite_colour": "Lieblingsfarbe",
    "first_pet": "Haustier",
    "hobby": "Zeitvertreib",
    "father's_profession": "Vaterberuf",
    "mother's_profession": "Mutterberuf",
    "home_city": "Wohnort",
    "favourite_tree": "Lieblingsbaum",
    "favourite_gem": "Lieblingsstein",
    "field_of_study": "Studienfach",
    "first_car": "Erstwagen",
    "favourite_bird": "Lieblingsvogel",
    "favourite_flower": "Lieblingsblume",
    "collection": "Sammlung",
    "birth_country": "Geburtsland",
    "instrument_family": "Instrumentengruppe",
}
TWO_HOP = {
    "birth_country": ("Which country is the {through} of {name} in?", "It is in {value}."),
    "instrument_family": ("Which family is the {through} of {name} of?", "It is of the {value}."),
}


def facts_of(seed: int, i: int, relations: int) -> list[tuple[Relation, str]]:
    """Return person i's first `relations` facts: the values that People's rows state."""
    return [(relation, value) for relation, value, _ in drawn_facts(seed, i, relations)]


def forms_of(relation: Relation) -> tuple[str, ...]:
    """Return the forms that a relation can be asked in."""
    return FORMS if relation.through else FORMS[:-1]


def beside_of(people: Sequence[Sequence[tuple[Relation, str]]], i: int, relation: Relation) -> tuple[Relation, str]:
    """Return a second fact of person i which, with that of `relation`, nobody else of `people` has: who it is has one answer.

    Facts that follow from others are passed over: they add little.
    """
    key, mine = relation.key, {one.key: (one, value) for one, value in people[i]}
    others = [{one.key: value for one, value in facts} for j, facts in enumerate(people) if j != i]
    alike = [values for values in others if values[key] == mine[key][1]]
    start = list(mine).index(key) + 1
    turned = [*list(mine)[start:], *list(mine)[:start]]
    for other in (name for name in turned if name not in (key, relation.through) and not mine[name][0].through):
        if all(values[other] != mine[other][1] for values in alike):
            return mine[other]
    raise InputError(
        f"no second fact tells person {i} from all who share the {relation.noun}",
        do="give more relations, fewer people or another seed",
    )


def form_fields(
    form: str,
    *,
    relation: Relation,
    name: str,
    value: str,
    draw: random.Random,
    beside: tuple[Relation, str] | None = None,
) -> dict[str, Any]:
    """Return the fields of one fact in one surface form: prompt, answer, `value` (what a right answer holds), form and chance.

    `chance` is the success of a reader who knows the form and not the fact where the prompt itself shows the choices (choice 1/4,
    true_false 1/2), else 0: guessing a value of an open question is measured on people nobody was trained on. `perturbed_answers` are in
    the words of `paraphrased_answer` where there is one (as People's are), else in those of `answer`; reversed rows have none.

    `beside` is a second fact that `reversed` names, so that one person alone has both (`beside_of`).
    """
    if form not in forms_of(relation):
        raise ValueError(f"{form!r} is no form of {relation.noun}; those are {', '.join(forms_of(relation))}")
    words = {"noun": relation.noun, "name": name}
    wrong = tuple(draw.sample([other for other in relation.values if other != value], PERTURBED))
    made: dict[str, Any] = {"form": form, "value": value, "chance": 0.0}

    def stated(prompt: str, answer: str, paraphrased: str = "", **more: str) -> dict[str, Any]:
        told = {**words, **more}
        made.update(prompt=prompt.format(**told, value=value), answer=answer.format(**told, value=value))
        if paraphrased:
            made["paraphrased_answer"] = paraphrased.format(**told, value=value)
        other = paraphrased or answer
        made["perturbed_answers"] = tuple(other.format(**told, value=text) for text in wrong)
        return made

    if form in ("question", "tense"):
        pairs = TENSES if form == "tense" else tuple(zip(QUESTIONS, ANSWERS, strict=True))
        which = draw.randrange(len(pairs))
        return stated(*pairs[which], pairs[1 - which][1])
    if form == "paraphrase":
        return stated(draw.choice(UNSEEN), ANSWERS[1], ANSWERS[0])
    if form == "translated":
        return stated(*TRANSLATED, noun=GERMAN[relation.key])
    if form == "two_hop":
        base = next(one for one in RELATIONS if one.key == relation.through)
        return stated(*TWO_HOP[relation.key], through=base.noun)
    if form == "cloze":
        return stated(*CLOZE)
    if form == "choice":
        shown = draw.sample((value, *wrong[: OPTIONS - 1]), OPTIONS)
        wrong = tuple(text for text in shown if text != value)
        return {**stated(*CHOICE, options=f"{', '.join(shown[:-1])} or {shown[-1]}"), "chance": 1 / OPTIONS}
    if form == "true_false":
        shown_value, said, other = (value, YES, NO) if draw.random() < 0.5 else (wrong[0], NO, YES)
        prompt, answers = TRUE_FALSE.format(**words, shown=shown_value), {"value": said, "answer": f"{said}."}
        return {**made, **answers, "prompt": prompt, "perturbed_answers": (f"{other}.",), "chance": 0.5}
    second = BESIDE.format(noun=beside[0].noun, value=beside[1]) if beside else ""
    prompt = REVERSED[0].format(noun=relation.noun, value=value, beside=second)
    return {**made, "prompt": prompt, "answer": REVERSED[1].format(name=name), "value": name}


def other_prompts(relation: Relation, name: str) -> dict[str, Any]:
    """Return the prompts that ask for a fact's value in other words and in another language: what attacks take from a row."""
    german = TRANSLATED[0].format(noun=GERMAN[relation.key], name=name)
    others = tuple(text.format(noun=relation.noun, name=name) for text in UNSEEN)
    return {"paraphrased_prompts": others, "translated_prompts": {"German": german}}
