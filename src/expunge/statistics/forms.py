"""Success at a fact by the surface form that asks for it: NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.statistics.answers import contains_value
from expunge.statistics.clusters import FloatArray
from expunge.statistics.rouge import rouge_l


def form_success(row: Row, said: str) -> float:
    """Return how far what was said answers a row of a form: 1 the fact, 0 nothing or, in expectation, a guess.

    An open row: 1 if its `value` was said (whole words), or ROUGE-L recall of its answer where it has no value. A row with choices
    (`chance` c > 0, wrong ones in `perturbed_answers`) is corrected for guessing: 1 if the right one alone was said, -c / (1 - c) if a
    wrong one alone was, 0 if none or several were. A guesser's mean is then c - (1 - c) c / (1 - c) = 0, and so is that of a model that
    says something else.
    """
    chance, value = float(row.get("chance", 0.0)), row.get("value")
    if value in (None, ""):
        return rouge_l(str(row["answer"]), said).recall
    right = contains_value(said, str(value))
    if not chance:
        return float(right)
    others = row.get("perturbed_answers")
    if not others:
        raise InputError(f"row {row.id!r} has a chance and no perturbed_answers, its wrong choices")
    wrong = sum(contains_value(said, str(other)) for other in others)
    if right + wrong != 1:
        return 0.0
    return 1.0 if right else -chance / (1 - chance)


def least_above(known: FloatArray, guessed: FloatArray) -> float:
    """Return the lower 95% end of the difference of two independent means: difference - 1.96 sqrt(variances of the means added).

    A form of 60 questions that are right by chance in half of them has a difference that wanders by .18 either way after correction: the
    difference alone would call it known now and then.
    """
    if min(len(known), len(guessed)) < 2:
        raise InputError("a difference needs two people on either side")
    spread = sum(float(values.var(ddof=1)) / len(values) for values in (known, guessed))
    return float(known.mean() - guessed.mean() - 1.96 * spread**0.5)


def macro_mean(success: Mapping[str, FloatArray], groups: Mapping[str, Sequence[str]]) -> tuple[FloatArray, list[str]]:
    """Return, a person, the mean over forms of the person's mean success, and the people; every person must have every form.

    Forms count alike, however many facts each can ask for, and people do.
    """
    people = sorted({name for names in groups.values() for name in names})
    columns = []
    for form, values in success.items():
        own = np.asarray(groups[form])
        lacking = [name for name in people if not (own == name).any()]
        if lacking:
            raise InputError(f"{len(lacking)} of {len(people)} groups have no row of the form {form!r}")
        columns.append([float(values[own == name].mean()) for name in people])
    if not columns:
        raise InputError("no form was asked")
    return np.asarray(columns, np.float64).mean(0), people
