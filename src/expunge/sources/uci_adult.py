"""UCI Adult from a CSV file: people of a census and whether they earn more than 50,000 dollars a year."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expunge.contract.about import About
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.sources._adult_rows import WORDS, Person, features, names_a_kind, of_kind, read_people
from expunge.sources._images import check_shares, image_splits, noisy, shared_out


@dataclass(frozen=True, kw_only=True)
class UciAdult:
    """Read people as 92 numbers and their income class, with rows or a kind of people to forget: a country, an education, an age band.

    Features: six numbers standardised by the retain rows, and a mark for each word of seven columns (the published lists of words).
    A model that never saw a person guesses the income about as well as one that did, unless it learned by heart: `label_noise` gives
    that share of the rows the other class, on forget, retain and holdout alike, never on test, and only a model trained on
    such a row knows it (`clean_label` keeps the true one).

    Source: Kohavi 1996, the 1994 census. Reads adult.data (adult-train.csv), gzipped or not.
    """

    about = About(
        needs=(),
        modalities=("tabular",),
        claim="With label noise a model fits the labels it was trained on and misses those it was not.",
        paper="Scaling Up the Accuracy of Naive-Bayes Classifiers: a Decision-Tree Hybrid",
        link="https://doi.org/10.24432/C5XW20",
        year=1996,
        differs=(
            "Test rows are drawn from the training file, so that one file is enough.",
            "`?` is a word like others; education is read as its number alone, and capital gains, losses and weights as logarithms.",
        ),
        cost="about 1 s",
    )

    data: str = ""
    """Path of adult-train.csv.gz, adult-train.csv or adult.data."""
    forget: str = "random=0.1"
    """What must go: random=0.1, sample=150, ids=adult-7, COLUMN=WORD (native-country=Mexico) or COLUMN=LOW,HIGH (age=60,90)."""
    holdout: float = 1.0
    """Holdout rows a forget row, with the same labels, taken out of training; a kind of people is shared out between the two."""
    train_rows: int = 3000
    """People for forget, retain and holdout together, drawn at random; 0 takes all but test."""
    test_rows: int = 2000
    """Further people for utility only."""
    label_noise: float = 0.0
    """Share of the training rows that bear the other class."""
    seed: int = 0
    """Which rows are drawn, and which labels are wrong."""

    def __post_init__(self) -> None:
        check_shares(holdout=self.holdout, label_noise=self.label_noise)
        if self.train_rows < 0 or self.test_rows < 0:
            raise ValueError("train_rows and test_rows must be at least 0")
        word = self.forget.partition("=")[0]
        if word not in ("random", "sample", "ids") and not names_a_kind(self.forget):
            raise InputError(
                f"forget={self.forget!r} is not understood",
                do=f"use random=0.1, sample=150, ids=ID,ID, age=LOW,HIGH or COLUMN=WORD of {', '.join(WORDS)}",
            )

    def run(self) -> dict[str, Rows]:
        """Return forget, retain, holdout and test; of a kind of people test_forget has the test rows it covers."""
        if not self.data:
            raise InputError("no data file was given", do="set data to adult-train.csv.gz")
        every = read_people(Path(self.data))
        used = self.train_rows or len(every) - self.test_rows
        if used < 1 or used + self.test_rows > len(every):
            raise InputError(f"{self.data} has {len(every)} people, {used} + {self.test_rows} were asked for")
        draw = np.random.default_rng(self.seed)
        order = draw.permutation(len(every)).tolist()
        training, test = ([every[i] for i in part] for part in (order[:used], order[used : used + self.test_rows]))
        given = noisy(np.array([one.label for one in training], np.int64), self.label_noise, draw)
        bare = [Row(id=one.id, fields={"label": label}) for one, label in zip(training, given.tolist(), strict=True)]
        kind = names_a_kind(self.forget)
        if kind:
            asked = of_kind(training, self.forget, draw)
            found = shared_out(bare, asked, self.holdout, draw, kind=True)
        else:
            found = image_splits(bare, self.forget, self.holdout, draw)
        for name in ("forget", "retain"):
            if name not in found:
                raise InputError(f"forget={self.forget!r} leaves no {name} row", do="ask for others, or use more rows")
        person = {one.id: one for one in every}
        like = [person[row.id] for row in found["retain"]]
        full = {name: _rows([person[row.id] for row in rows], rows, like) for name, rows in found.items()}
        if test:
            covered = set(of_kind(test, self.forget, draw)) if kind else set()
            for name, inside in (("test", False), ("test_forget", True)):
                people = [one for i, one in enumerate(test) if (i in covered) == inside]
                clean = [Row(id=one.id, fields={"label": one.label}) for one in people]
                full |= {name: _rows(people, clean, like)} if people else {}
        return {name: Rows(tuple(rows), name) for name, rows in full.items()}


def _rows(people: Sequence[Person], bare: Sequence[Row], like: Sequence[Person]) -> list[Row]:
    """Return the rows with their features; one whose label is wrong keeps its own as `clean_label`."""
    pairs = zip(people, bare, features(people, like), strict=True)
    return [
        row.replace(features=vector, **({"clean_label": one.label} if one.label != row["label"] else {}))
        for one, row, vector in pairs
    ]
