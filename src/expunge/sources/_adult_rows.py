"""People of the 1994 census as numbers: read from the file, chosen by what stands in a column, and put on a scale."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import InputError, nearest
from expunge.sources._table import read_text

COLUMNS = ("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship",
           "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income")  # fmt: skip
"""In the order of the file, which has no header."""
NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
LOGARITHMS = ("fnlwgt", "capital-gain", "capital-loss")
"""Numbers over several orders of magnitude: log(1 + x) is what a model reads."""
UNKNOWN = "?"
WORDS: Mapping[str, tuple[str, ...]] = {
    name: tuple(text.split())
    for name, text in {
        "workclass": "Private Self-emp-not-inc Self-emp-inc Federal-gov Local-gov State-gov Without-pay Never-worked ?",
        "education": "Preschool 1st-4th 5th-6th 7th-8th 9th 10th 11th 12th HS-grad Some-college Assoc-voc Assoc-acdm Bachelors "
        "Masters Prof-school Doctorate",
        "marital-status": "Married-civ-spouse Divorced Never-married Separated Widowed Married-spouse-absent Married-AF-spouse",
        "occupation": "Tech-support Craft-repair Other-service Sales Exec-managerial Prof-specialty Handlers-cleaners "
        "Machine-op-inspct Adm-clerical Farming-fishing Transport-moving Priv-house-serv Protective-serv Armed-Forces ?",
        "relationship": "Wife Own-child Husband Not-in-family Other-relative Unmarried",
        "race": "White Asian-Pac-Islander Amer-Indian-Eskimo Other Black",
        "sex": "Female Male",
        "native-country": "United-States Cambodia England Puerto-Rico Canada Germany Outlying-US(Guam-USVI-etc) India Japan "
        "Greece South China Cuba Iran Honduras Philippines Italy Poland Jamaica Vietnam Mexico Portugal Ireland France "
        "Dominican-Republic Laos Ecuador Taiwan Haiti Columbia Hungary Guatemala Nicaragua Scotland Thailand Yugoslavia "
        "El-Salvador Trinadad&Tobago Peru Hong Holand-Netherlands ?",
    }.items()
}
"""The words of each column as adult.names lists them: fixed, so that no row was seen to choose them. `?` is one of its own."""
READ = tuple(name for name in WORDS if name != "education")
"""Columns of words that a model reads: education stands in education-num already, number for word."""
INCOMES = ("<=50K", ">50K")


@dataclass(frozen=True)
class Person:
    """One line of the file: its numbers and words by column, and 1 where the income is above 50,000 dollars a year."""

    id: str
    numbers: Mapping[str, float]
    words: Mapping[str, str]
    label: int


def read_people(path: Path) -> list[Person]:
    """Return every person in the order of the file (adult.data or adult-train.csv, gzipped or not); blank lines are passed over."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), skipinitialspace=True)
    found: list[Person] = []
    for cells in filter(None, reader):
        place = f"{path}:{reader.line_num}"
        if len(cells) != len(COLUMNS):
            raise InputError(f"{place}: {len(cells)} cells, and adult has {len(COLUMNS)}")
        found.append(_person(f"adult-{len(found)}", place, dict(zip(COLUMNS, map(str.strip, cells), strict=True))))
    if not found:
        raise InputError(f"{path} holds no rows", causes=("the file is empty",))
    return found


def _person(name: str, place: str, cells: Mapping[str, str]) -> Person:
    numbers = {}
    for column in NUMBERS:
        if not cells[column].isdecimal():
            raise InputError(f"{place}: {column} is {cells[column]!r}, which is no whole number")
        numbers[column] = float(cells[column])
    words = {column: _known(cells[column], known, f"{place}: {column}") for column, known in WORDS.items()}
    return Person(name, numbers, words, INCOMES.index(_known(cells["income"], INCOMES, f"{place}: income")))


def _known(word: str, known: Sequence[str], where: str) -> str:
    if word not in known:
        raise InputError(f"{where} is {word!r}; the nearest known is {nearest(word, tuple(known))!r}")
    return word


def features(people: Sequence[Person], like: Sequence[Person]) -> NDArray[np.float32]:
    """Return (people, 92): six numbers standardised by the people `like`, then a mark for each word of seven columns.

    Means and deviations come from `like` (the retain rows) alone: taken from all training rows they would be artefacts that saw
    the forget rows.
    """
    known, found = _numbers(like), _numbers(people)
    spread = known.std(0)
    scaled = (found - known.mean(0)) / np.where(spread > 0, spread, 1.0)
    marks = [[one.words[column] == word for column in READ for word in WORDS[column]] for one in people]
    return np.concatenate([scaled, np.array(marks)], axis=1).astype(np.float32)


def _numbers(people: Sequence[Person]) -> NDArray[np.float64]:
    table = np.array([[one.numbers[name] for name in NUMBERS] for one in people], np.float64)
    places = [NUMBERS.index(name) for name in LOGARITHMS]
    table[:, places] = np.log1p(table[:, places])
    return table


def names_a_kind(forget: str) -> bool:
    """True where a request names a kind of people (education=Doctorate, age=17,20) and not rows (random, sample, ids)."""
    return forget.partition("=")[0] in (*WORDS, *NUMBERS)


def of_kind(people: Sequence[Person], forget: str, draw: np.random.Generator) -> list[int]:
    """Return indices of the people whom COLUMN=WORD or COLUMN=LOW,HIGH (both ends counted) names, in random order."""
    column, _, value = forget.partition("=")
    order: list[int] = draw.permutation(len(people)).tolist()
    if column in WORDS:
        _known(value, WORDS[column], f"forget={forget!r}: the {column}")
        return [i for i in order if people[i].words[column] == value]
    try:
        low, high = map(float, value.split(","))
    except ValueError as error:
        raise InputError(f"forget={forget!r}: {value!r} is no LOW,HIGH", do=f"write {column}=30,39") from error
    return [i for i in order if low <= people[i].numbers[column] <= high]
