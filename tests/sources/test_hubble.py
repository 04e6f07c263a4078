"""The ledger of insertions: how often, when and how each statement is in training."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from expunge.contract.splits import Splits
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.pipeline.given import Given
from expunge.sources.hubble import Hubble

SMALL = {"corpus": 80, "statements": 3, "copies": (1, 4, 16), "never": 5}


def locker(row: Row) -> str:
    return next(word.rstrip("?") for word in row["prompt"].split() if word.rstrip("?").istitle() and len(word) > 6)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
def test_claim_the_ledger_is_the_truth(seed: int) -> None:
    """Every statement stands in the training rows of its phase as often as the ledger says, and in no other.

    Fails if copies are lost or shared, an early one is in the request, or a statement in no copy is in training.
    """
    found = Hubble(**{**SMALL, "seed": seed}).run()
    given = Given.of(found)
    Splits.of(**given.rows)
    late = Counter(row.group for row in found["forget"])
    early = Counter(row.group for row in found["base_training"] if row.get("copies"))
    for row in found["ledger"]:
        copies, side = row["copies"], row["side"]
        assert late[row.group or ""] == (copies if side == "late" else 0)
        assert early[row.group or ""] == (copies if side.startswith("early") else 0)
    sizes = Counter((row["side"], row["copies"]) for row in found["ledger"])
    assert sizes == {("never", 0): 5} | {(side, n): 3 for side in ("late", "early", "early-varied") for n in (1, 4, 16)}
    assert {row.group for row in found["holdout"]} == {row.group for row in found["ledger"] if not row["copies"]}
    assert len(found["forget"]) == 3 * (1 + 4 + 16)
    assert len(found["retain"]) == 40
    assert len(found["base_training"]) == 40 + 2 * 3 * (1 + 4 + 16)
    assert len({locker(row) for row in found["ledger"]}) == len(found["ledger"]) == 32
    assert {row.id for name in found if "/x" in name for row in found[name]} == {
        row.id for row in found["ledger"] if row["copies"]
    }
    assert all(row.get("copies") is None for name in found if "/x" in name for row in found[name])


def test_same_and_other_words() -> None:
    """Copies are word for word the probe; varied ones use ten wordings in turn, the probe's first.

    Fails if varied copies are all alike, or never in the words that are asked.
    """
    found = Hubble(**SMALL).run()
    asked = {row.id: row for row in found["ledger"]}
    wordings: dict[str, list[tuple[str, str]]] = {}
    for row in (*found["forget"], *found["base_training"]):
        if row.get("copies"):
            wordings.setdefault(row.group or "", []).append((row["prompt"], row["answer"]))
    for name, texts in wordings.items():
        probe = (asked[name]["prompt"], asked[name]["answer"])
        assert texts[0] == probe
        assert len(set(texts)) == (min(10, len(texts)) if name.startswith("early-varied") else 1)
        assert all(asked[name]["value"] in answer for _, answer in texts)
    for row in asked.values():
        assert len(row["perturbed_answers"]) == 31
        assert len({*row["perturbed_answers"], row["answer"]}) == 32


def test_methods_get_every_copy_and_are_measured_on_one() -> None:
    """Fails if a statement in 16 copies counts as 16 rows of evidence."""
    given = Given.of(Hubble(**SMALL).run())
    assert len(given.splits().forget) == 63
    assert len(given.measured().rows["forget"]) == 9


def test_the_corpus_alone_depends_on_its_size() -> None:
    """Fails if a larger corpus brings other statements: the number of copies would not be all that is compared."""
    small, large = (Hubble(**{**SMALL, "corpus": n}).run() for n in (80, 160))
    assert small["forget"].digest() == large["forget"].digest()
    assert small["ledger"].digest() == large["ledger"].digest()
    assert (len(large["retain"]), len(small["retain"])) == (80, 40)
    other = Hubble(**{**SMALL, "seed": 1}).run()
    assert other["ledger"].digest() != small["ledger"].digest()


def test_books_may_be_the_corpus(tmp_path: Path) -> None:
    """Fails if passages are not of the length asked for, or too short a book is taken."""
    (tmp_path / "a.txt").write_text(" ".join(f"word{i}" for i in range(2000)))
    found = Hubble(**SMALL, data=str(tmp_path), words=24).run()
    texts = [f"{row['prompt']} {row['answer']}".split() for row in found["retain"]]
    assert {len(text) for text in texts} == {24}
    assert all(text[0].startswith("word") for text in texts)
    corpus = Rows(tuple(row for row in found["base_training"] if not row.get("copies")))
    assert not set(corpus.ids) & set(found["retain"].ids)
    with pytest.raises(InputError, match="83 passages"):
        Hubble(**{**SMALL, "corpus": 84}, data=str(tmp_path)).run()


@pytest.mark.parametrize(
    "change", [{"copies": (0, 4)}, {"copies": (4, 4)}, {"copies": ()}, {"corpus": 2}, {"never": 0}]
)
def test_what_makes_no_ledger_is_refused(change: dict[str, object]) -> None:
    """Fails if a ledger without non-members, or with statements in no copy among the inserted, is made."""
    with pytest.raises(ValueError, match="at least"):
        Hubble(**{**SMALL, **change})
