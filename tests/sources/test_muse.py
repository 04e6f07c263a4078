"""MUSE's passages and questions on made-up books and, where there are any, on real ones."""

from __future__ import annotations

import random
import re
import zipfile
from pathlib import Path

import protocols
import pytest

from expunge.contract.splits import Splits
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.sources._muse_text import Passage, apart, clozes_of, passages_of, read_books, trained_questions
from expunge.sources.muse import Muse

PLAIN = [
    a + b
    for a in ("lo", "mi", "ra", "te", "sul", "por", "fen", "gar")
    for b in ("den", "lish", "mond", "vereth", "kantor")
]


def book(seed: int, words: int, names: int = 12) -> str:
    """A text of invented words, with names and numbers in mid-sentence."""
    draw = random.Random(seed)
    people = [
        draw.choice("BDKMPT") + draw.choice(("ar", "el", "ir", "on")) + draw.choice(("dan", "mus", "vik")) + c
        for c in "abcdefghijkl"
    ]
    found = []
    for i in range(words):
        kind = draw.random()
        found.append(
            draw.choice(people[:names])
            if kind < 0.04
            else str(draw.randint(10, 99))
            if kind < 0.06
            else draw.choice(PLAIN)
        )
        if i % 11 == 10:
            found[-1] += "."
    return f"[A Title by Nobody 1900]\n\n{' '.join(found)}\n"


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("books")
    for i, name in enumerate(("alpha", "beta", "gamma")):
        (folder / f"{name}.txt").write_text(book(i, 3000))
    return folder


def small(books: Path, **settings: object) -> dict[str, Rows]:
    given = {"book": "alpha", "passages": 8, "holdout_passages": 10, "retain_passages": 15, **settings}
    return Muse(data=str(books), **given).run()  # type: ignore[arg-type]


def texts(rows: Rows) -> set[str]:
    return {f"{row['prompt']} {row['answer']}" for row in rows if row["kind"] == "passage"}


def grams(rows: Rows) -> set[tuple[str, ...]]:
    found = [re.findall(r"\w+", text.lower()) for text in texts(rows)]
    return {tuple(words[i : i + 13]) for words in found for i in range(len(words) - 12)}


def test_passages_by_hand() -> None:
    """Fails if the title stays, a passage is short, or one begins where the last did not end."""
    found = passages_of("b", "[Title by X 1900]\n\none two  three\nfour five six seven", 3)
    assert [passage.words for passage in found] == [("one", "two", "three"), ("four", "five", "six")]
    assert [passage.id for passage in found] == ["b-00000", "b-00001"]


def test_a_blank_by_hand() -> None:
    """Fails if a sentence's first word, a word that the book also writes small, a repeated word or one near an end is left out as a name."""
    start, end = "a b c d e f g h", "i j k l m n o p q"
    cases = {
        f"{start} then. Pelvar saw Dormik and {end}": ("Dormik", "name"),
        f"{start} with Dormik and Dormik in 1912 of {end}": ("1912", "number"),
        f"{start} the River was rivers and wonderful {end}": ("wonderful", "word"),
        "Dormik a b c d e f g h i j k l m n o p q r s t u": None,
    }
    passages = [Passage(f"p{i}", tuple(text.split())) for i, text in enumerate(cases)]
    whole = [*passages, Passage("w", ("river",))]
    found = clozes_of(passages, whole, 0)
    assert [(c.answer, c.kind) if (c := found.get(p.id)) else None for p in passages] == list(cases.values())
    one, two = trained_questions(passages[0], found["p0"])
    assert one["prompt"] == "d e f g h then. Pelvar saw ____ and i j k l"
    assert two["prompt"] == "g h then. Pelvar saw ____ and i j k l m n o"
    assert (one["answer"], one["value"], one["fact"], one.group) == ("Dormik", "Dormik", "p0", "p0")


def test_holdout_shares_no_13_words_with_a_trained_passage(tmp_path: Path) -> None:
    """Fails if holdout passages are not deduplicated: here every second passage of the book is a copy of the one before, 13 words of it."""
    draw, words = random.Random(5), [*PLAIN, *map(str, range(10, 99))]
    runs = []
    for _ in range(40):
        one = draw.choices(words, k=48)
        runs += [one, [*draw.choices(words, k=20), *one[:13], *draw.choices(words, k=15)]]
    (tmp_path / "alpha.txt").write_text(" ".join(word for run in runs for word in run))
    (tmp_path / "beta.txt").write_text(book(1, 3000))
    found = small(tmp_path, passages=20, holdout_passages=12)
    trained = grams(found["forget"]) | grams(found["retain"])
    assert not grams(found["holdout"]) & trained
    numbers = {int(passage_id.rpartition("-")[2]) // 2 for passage_id in found["forget"].groups}
    assert not numbers & {int(passage_id.rpartition("-")[2]) // 2 for passage_id in found["holdout"].groups}
    one, copy, other = (Passage(n, tuple(words)) for n, words in (("a", runs[0]), ("b", runs[1]), ("c", runs[2])))
    assert apart([copy, other], [one]) == [other]


def test_splits_are_disjoint_and_hold_what_they_say(books: Path) -> None:
    """Fails if a holdout row is trained on, a retain passage is of the book, or a question is asked in a trained wording."""
    found = small(books)
    Splits.of(**{name: found[name] for name in ("forget", "retain", "holdout", "test")})
    assert {name: len(rows) for name, rows in found.items()} == {
        "forget": 24, "retain": 45, "holdout": 30, "test": 15, "forget/knowledge": 8
    }  # fmt: skip
    assert {row.id.partition("-")[0] for row in found["retain"]} == {"beta", "gamma"}
    assert {row.id.partition("-")[0] for name in ("forget", "holdout") for row in found[name]} == {"alpha"}
    assert not {row.group for row in found["forget"]} & {row.group for row in found["holdout"]}
    trained = {row["prompt"] for name in ("forget", "retain") for row in found[name]}
    assert not trained & {row["prompt"] for name in ("test", "forget/knowledge") for row in found[name]}
    for row in found["forget/knowledge"]:
        (passage,) = (one for one in found["forget"] if one.id == row.group)
        whole = f"{passage['prompt']} {passage['answer']}"
        assert row["prompt"].replace("____", row["answer"]) in whole
        assert len(set(row["perturbed_answers"]) - {row["answer"]}) == 3
        assert not [word for word in row["perturbed_answers"] if word in re.findall(r"\w+", whole)]
    passage = found["forget"][0]
    assert (len(passage["prompt"].split()), len(passage["answer"].split())) == (16, 32)


def test_candidates_come_from_elsewhere_where_a_book_has_too_few(books: Path) -> None:
    """Fails if a book with two passages is refused, or gets fewer candidates than others."""
    found = small(books, retain_passages=4)
    assert [len(set(row["perturbed_answers"]) - {row["answer"]}) for row in found["test"]] == [3] * 4


def test_forget_sizes_are_nested_in_one_training_set(books: Path) -> None:
    """Fails if 1, 2 and 4 parts are not of one training set and one holdout, or a smaller request is not in a larger one."""
    found = {size: small(books, parts=4, forget_size=size) for size in (1, 2, 4)}
    training = [{*rows["forget"].ids, *rows["retain"].ids} for rows in found.values()]
    assert training[0] == training[1] == training[2]
    assert len({rows["holdout"].digest() for rows in found.values()}) == 1
    counts = [len(texts(rows["forget"])) for rows in found.values()]
    assert counts == [8, 16, 32]
    assert set(found[1]["forget"].ids) < set(found[2]["forget"].ids) < set(found[4]["forget"].ids)
    assert {row.digest() for row in (found[4]["forget"], small(books, parts=4, forget_size=4)["forget"])} == {
        found[4]["forget"].digest()
    }
    assert small(books, seed=1)["forget"].digest() != small(books)["forget"].digest()


def test_a_sequence_of_requests_covers_the_parts_once(books: Path) -> None:
    """Fails if a later request still retains what an earlier one forgot, or forgets it twice."""
    found = [small(books, parts=3, first=k) for k in (1, 2, 3)]
    forgotten = [set(rows["forget"].groups) for rows in found]
    assert [len(groups) for groups in forgotten] == [8, 8, 8]
    assert not forgotten[0] & forgotten[1] | forgotten[1] & forgotten[2] | forgotten[0] & forgotten[2]
    assert "forget/earlier" not in found[0]
    for k in (1, 2):
        earlier = set().union(*forgotten[:k])
        assert set(found[k]["forget/earlier"].groups) == earlier
        assert not earlier & {
            group for name in ("forget", "retain", "holdout", "test") for group in found[k][name].groups
        }
    assert set(found[0]["retain"].groups) == set(found[1]["retain"].groups) | forgotten[1]


def test_a_zip_reads_as_its_folder_and_latin_1_is_read(books: Path, tmp_path: Path) -> None:
    """Fails if an archive, alone or in a folder beside its note, gives other rows than the folder, or old encodings are refused."""
    with zipfile.ZipFile(tmp_path / "books.zip", "w") as archive:
        for path in sorted(books.glob("*.txt")):
            archive.write(path, path.name)
    (tmp_path / "SOURCE.txt").write_text("a note")
    digests = {small(place)["forget"].digest() for place in (books, tmp_path, tmp_path / "books.zip")}
    assert len(digests) == 1
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.txt").write_bytes("caf\xe9".encode("latin-1"))
    assert read_books(tmp_path / "old") == {"a": "caf\xe9"}


def test_bad_requests_are_refused(books: Path, tmp_path: Path) -> None:
    """Fails if too small a book, a missing one, or parts that there are not, give rows all the same."""
    with pytest.raises(InputError, match="alpha, beta, gamma: delta and another are needed"):
        small(books, book="delta")
    with pytest.raises(InputError, match="alpha has 62 passages, too few"):
        small(books, passages=60)
    with pytest.raises(InputError, match="give 124 passages of the 200"):
        small(books, retain_passages=200)
    with pytest.raises(ValueError, match="parts 2 to 3 are to be forgotten and there are 2"):
        Muse(parts=2, forget_size=2, first=2)
    with pytest.raises(ValueError, match="words must be at least 24"):
        Muse(words=20)
    (tmp_path / "b.zip").write_text("no archive")
    with pytest.raises(InputError, match="not one .zip archive"):
        small(tmp_path)


def test_real_books(shared_data: Path) -> None:
    """Fails if real passages repeat between training and holdout, or questions are not made of most of them."""
    found = Muse(data=str(shared_data / "gutenberg")).run()
    assert (len(texts(found["forget"])), len(texts(found["holdout"])), len(texts(found["retain"]))) == (60, 60, 240)
    assert not grams(found["holdout"]) & (grams(found["forget"]) | grams(found["retain"]))
    assert len(found["forget/knowledge"]) >= 58
    assert len(found["test"]) >= 235
    kinds = [row["answer_kind"] for row in found["forget/knowledge"]]
    assert kinds.count("name") >= 10
    assert all(row["prompt"].count("____") == 1 for row in found["forget/knowledge"])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_a_model_without_the_passages_continues_them_no_better_than_held_out_ones() -> None:
    """Three draws of books. Retrained models continue forget passages by .00 [-.04, .03] more than held-out ones (the target by .89) and answer
    .00 of the questions on them.

    Fails if holdout passages are trained on, or forget passages stand in the retain rows.
    """
    found = protocols.muse()
    gap = found.over("retrained", "muse_verbmem:forget", than="muse_verbmem:holdout")
    assert gap.low < 0.05
    assert found.over("target", "muse_verbmem:forget", than="muse_verbmem:holdout").low > 0.5
    assert found.over("retrained", "muse_knowmem:forget/knowledge").high < 0.3
