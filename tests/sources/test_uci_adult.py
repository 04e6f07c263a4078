"""UCI Adult on the real file and on small made-up ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from classifiers import SEEDS
from own_answers import fits_its_own, right, ten_retrained

from expunge.contract.splits import Splits
from expunge.facts.errors import InputError
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model
from expunge.sources._adult_rows import COLUMNS, NUMBERS, READ, WORDS, features, read_people
from expunge.sources.uci_adult import UciAdult
from expunge.testbeds.problem import Problem


def made_up(path: Path, count: int = 60, end: str = "\n", **change: str) -> Path:
    """Person i is 20 + i years old, Mexican where i is a multiple of 3, rich where it is even; `change` alters the fifth line."""
    lines = []
    for i in range(count):
        cells = {
            "age": str(20 + i), "workclass": "?" if i % 10 == 3 else "Private", "fnlwgt": str(100_000 + 1000 * i),
            "education": "Masters", "education-num": str(1 + i % 16), "marital-status": "Divorced", "occupation": "Sales",
            "relationship": "Wife", "race": "Other", "sex": "Female", "capital-gain": str(50 * i), "capital-loss": "0",
            "hours-per-week": str(30 + i % 20), "native-country": "Cuba" if i % 3 else "Mexico",
            "income": "<=50K" if i % 2 else ">50K",
        }  # fmt: skip
        lines.append(", ".join((cells | change if i == 4 else cells).values()))
    path.write_text("\n".join(lines) + end)
    return path


def test_numbers_are_scaled_by_retain_rows_alone(tmp_path: Path) -> None:
    """Fails if forget or holdout rows move a mean or a deviation, a number is scaled raw, or a column that never changes is divided by 0."""
    path = made_up(tmp_path / "a.csv", end="\n\n")
    found = UciAdult(data=str(path), forget="age=60,79", train_rows=50, test_rows=10).run()
    place = {row.id: int(row.id.removeprefix("adult-")) for rows in found.values() for row in rows}
    kept = [place[row.id] for row in found["retain"]]
    ages, gains = np.array([20 + i for i in kept]), np.log1p([50 * i for i in kept])
    assert ages.max() < 60
    for rows in found.values():
        for row in rows:
            i, vector = place[row.id], row["features"]
            assert vector[0] == pytest.approx((20 + i - ages.mean()) / ages.std(), abs=1e-4)
            assert vector[NUMBERS.index("capital-gain")] == pytest.approx(
                (np.log1p(50 * i) - gains.mean()) / gains.std(), abs=1e-4
            )
            assert vector[NUMBERS.index("capital-loss")] == 0
            assert row["label"] == (i + 1) % 2
    Splits.of(**{name: found[name] for name in ("forget", "retain", "holdout", "test")})


def test_words_are_marks_in_columns_of_their_own(tmp_path: Path) -> None:
    """Fails if two columns share a mark (`?` stands in three), a mark moves with the words that occur, or education is read twice."""
    (person, other) = (one := read_people(made_up(tmp_path / "a.csv")))[3], one[4]
    names = [(column, word) for column in READ for word in WORDS[column]]
    marks = features([person, other], one)[:, len(NUMBERS) :]
    assert len(names) + len(NUMBERS) == 92
    for vector, work, country in ((marks[0], "?", "Mexico"), (marks[1], "Private", "Cuba")):
        assert {names[i] for i in np.flatnonzero(vector)} == {
            ("workclass", work), ("marital-status", "Divorced"), ("occupation", "Sales"), ("relationship", "Wife"),
            ("race", "Other"), ("sex", "Female"), ("native-country", country),
        }  # fmt: skip


def test_a_kind_is_shared_out_and_leaves_training(tmp_path: Path) -> None:
    """Fails if a Mexican stays in retain, an end of a band is left out, or test rows of the kind stand in test."""
    path = str(made_up(tmp_path / "a.csv"))
    found = UciAdult(data=path, forget="native-country=Mexico", train_rows=45, test_rows=15).run()
    place = {name: sorted(int(row.id.removeprefix("adult-")) for row in rows) for name, rows in found.items()}
    assert all(i % 3 == 0 for name in ("forget", "holdout", "test_forget") for i in place[name])
    assert all(i % 3 for name in ("retain", "test") for i in place[name])
    assert abs(len(place["forget"]) - len(place["holdout"])) <= 1
    assert sorted(i for one in place.values() for i in one) == list(range(60))
    band = UciAdult(data=path, forget="age=30,33", train_rows=60, test_rows=0, holdout=0).run()
    assert sorted(band["forget"].ids) == ["adult-10", "adult-11", "adult-12", "adult-13"]


def test_rows_have_holdout_rows_of_their_label(tmp_path: Path) -> None:
    """Fails if the holdout's labels are others, noise is lost or falls on test rows, or the seed does not reach the draw."""
    path = str(made_up(tmp_path / "a.csv"))

    def drawn(seed: int) -> dict[str, tuple[str, ...]]:
        found = UciAdult(data=path, forget="sample=8", train_rows=40, test_rows=20, label_noise=0.25, seed=seed).run()
        labels = {name: sorted(row["label"] for row in rows) for name, rows in found.items()}
        assert labels["forget"] == labels["holdout"]
        wrong = {name: [row for row in rows if "clean_label" in row.fields] for name, rows in found.items()}
        assert sum(map(len, wrong.values())) == 10
        assert not wrong["test"]
        for row in (row for rows in wrong.values() for row in rows):
            assert row["clean_label"] == 1 - row["label"] == (int(row.id.removeprefix("adult-")) + 1) % 2
        return {name: rows.ids for name, rows in found.items()}

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    named = UciAdult(data=path, forget="ids=adult-4,adult-7", train_rows=60, test_rows=0).run()
    assert set(named["forget"].ids) == {"adult-4", "adult-7"}


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"age": "old"}, r":5: age is 'old', which is no whole number"),
        ({"native-country": "Mexco"}, r":5: native-country is 'Mexco'; the nearest known is 'Mexico'"),
        ({"income": "50K"}, r":5: income is '50K'; the nearest known is"),
        ({"sex": "Male, Male"}, r":5: 16 cells, and adult has 15"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, change: dict[str, str], wanted: str) -> None:
    """Fails if a bad cell becomes a number or a column without a mark."""
    with pytest.raises(InputError, match=wanted):
        UciAdult(data=str(made_up(tmp_path / "a.csv", 60, "\n", **change)), train_rows=40, test_rows=10).run()


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"forget": "contry=Mexico"}, "is not understood"),
        ({"forget": "native-country=Mexco"}, "the nearest known is 'Mexico'"),
        ({"forget": "age=30"}, "no LOW,HIGH"),
        ({"forget": "native-country=Haiti"}, "leaves no forget row"),
        ({"forget": "age=0,200"}, "leaves no retain row"),
        ({"forget": "ids=adult-900"}, "no training row has the id"),
        ({"train_rows": 55}, "has 60 people, 55"),
        ({"data": ""}, "no data file"),
    ],
)
def test_bad_requests_are_refused(tmp_path: Path, settings: dict[str, object], wanted: str) -> None:
    """Fails if a request that names nobody, or everybody, is run."""
    given = {"data": str(made_up(tmp_path / "a.csv")), "train_rows": 50, "test_rows": 10} | settings
    with pytest.raises(InputError, match=wanted):
        UciAdult(**given).run()  # type: ignore[arg-type]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """Fails if no line is read as nobody; a gzipped file is read as it stands."""
    with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
        file.write("\n")
    with pytest.raises(InputError, match="holds no rows"):
        read_people(tmp_path / "a.csv.gz")


def test_the_real_file(shared_data: Path) -> None:
    """Fails if a line is lost, a word of the file is not in the published lists, or a count of adult.names is missed.

    32,561 people, 7,841 of them with more than 50,000 dollars; 643 born in Mexico; 1,836 without a known workclass.
    """
    people = read_people(shared_data / "uci_adult" / "adult-train.csv.gz")
    assert (len(people), sum(one.label for one in people)) == (32_561, 7_841)
    assert sum(one.words["native-country"] == "Mexico" for one in people) == 643
    assert sum(one.words["workclass"] == "?" for one in people) == 1_836
    grades = {one.words["education"]: one.numbers["education-num"] for one in people}
    assert all(grades[one.words["education"]] == one.numbers["education-num"] for one in people)
    assert len(COLUMNS) == 15
    assert sorted(grades, key=lambda word: grades[word]) == list(WORDS["education"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_a_model_fits_the_labels_it_saw_over_five_draws(shared_data: Path) -> None:
    """A fifth of the labels wrong: the target answers 95.8% [93.3, 98.3] of its forget rows as labelled and 62.9 of holdout rows as noisy;
    ten retrained models 59.4 [58.3, 60.5] and 62.8: the forget rows of these draws have more wrong labels.

    Fails if forget and holdout rows differ in more than training, or the noise is drawn again for each use.
    """

    def drawn(seed: int) -> Problem:
        path = str(shared_data / "uci_adult" / "adult-train.csv.gz")
        found = UciAdult(data=path, forget="random=0.1", holdout=1.0, label_noise=0.2, train_rows=2000, seed=seed).run()
        width = len(found["forget"][0]["features"])
        task = Classification(classes=2)
        blank = tabular_model("mlp", features=Features(width=width), task=task, seed=100 + seed, width=128, depth=1)
        return ten_retrained("uci_adult", found, blank, seed, epochs=60, lr=2e-3, batch_size=64)

    fits_its_own(map(drawn, SEEDS), right, 5)
