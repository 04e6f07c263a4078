"""What a source gives is sorted: splits, evaluation rows beside them, and rows of every training set."""

from __future__ import annotations

import pytest

from expunge.contract.splits import Splits
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.pipeline.given import Given
from expunge.pipeline.verify import Settings, evaluation_rows


def rows(name: str, n: int) -> Rows:
    return Rows(tuple(Row(id=f"{name}-{i}", fields={"prompt": name, "answer": f"{name} {i}"}) for i in range(n)), name)


FOUND = {
    name: rows(name, n)
    for name, n in {"forget": 2, "retain": 5, "holdout": 2, "extra_training": 3, "ledger": 4, "refusals": 1}.items()
}


def test_rows_go_where_their_name_says() -> None:
    """Fails if rows of every training set reach a method, or evaluation rows are trained on."""
    given = Given.of(FOUND)
    assert set(given.rows) == {"forget", "retain", "holdout"}
    assert set(given.extra) == {"ledger"}
    assert given.training("forget", "retain").ids == (
        *FOUND["forget"].ids,
        *FOUND["retain"].ids,
        *FOUND["extra_training"].ids,
    )
    assert given.training("retain").ids == (*FOUND["retain"].ids, *FOUND["extra_training"].ids)
    assert set(given.splits().rows) == {"forget", "retain", "holdout"}


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"forget": Rows(())}, "the forget set is empty"),
        (
            {"retain": Rows((*FOUND["retain"], FOUND["forget"][1]))},
            "row 'forget-1' of retain is also row 'forget-1' of forget",
        ),
        ({"holdout": Rows((FOUND["forget"][0].replace(answer="other"),))}, "row 'forget-0' of holdout"),
    ],
)
def test_what_no_plan_can_be_run_on_is_refused(change: dict[str, Rows], wanted: str) -> None:
    """Fails if a split is checked only when a method reads it."""
    with pytest.raises(InputError, match=wanted):
        Given.of({**FOUND, **change})
    with pytest.raises(InputError, match="the forget set is empty"):
        Given.of({"retain": FOUND["retain"]})


def test_retain_rows_are_a_seeded_sample_and_the_rest_is_whole() -> None:
    """Fails if the first rows of the file are taken (they may be alike), or forget and holdout are cut too."""
    many = {"forget": rows("forget", 9), "retain": rows("retain", 60), "holdout": rows("holdout", 9)}
    splits = Splits.of(**many)
    found = evaluation_rows(splits, Settings(retain_rows=6))
    assert {name: len(part) for name, part in found.items()} == {"forget": 9, "retain": 6, "holdout": 9}
    assert found["retain"].ids == evaluation_rows(splits, Settings(retain_rows=6)).get("retain", Rows(())).ids
    assert found["retain"].ids != evaluation_rows(splits, Settings(retain_rows=6, seed=1))["retain"].ids
    assert found["retain"].ids != many["retain"].ids[:6]
    fewer = Splits.of(**{**many, "retain": many["retain"][:50]})
    kept = set(evaluation_rows(fewer, Settings(retain_rows=6))["retain"].ids)
    assert len(kept & set(found["retain"].ids)) >= 4


def test_named_evaluation_rows_replace_the_sample() -> None:
    """Fails if retain rows with perturbed answers are measured beside the retain rows instead of as them."""
    splits = Splits.of(forget=rows("forget", 2), retain=rows("retain", 5))
    perturbed = rows("perturbed", 3)
    found = evaluation_rows(splits, Settings(), {"retain_perturbed": perturbed, "real_authors": rows("real", 2)})
    assert found["retain"].ids == perturbed.ids
    assert set(found) == {"forget", "retain", "real_authors"}


def test_copies_are_trained_on_and_measured_once() -> None:
    """Fails if training drops copies, a method is handed fewer rows than were trained on, or 16 copies count as 16 people.

    Rows that are alike but are no copies of a ledger stay: what a user repeats, the user has measured as often.
    """
    copy = {"prompt": "code", "answer": "1 2", "copies": 3}
    copies = Rows(tuple(Row(id=f"ledger/{i}", fields=copy, group="ledger") for i in range(3)))
    other = Rows(tuple(Row(id=f"other/{i}", fields={**copy, "answer": "3 4"}, group="other") for i in range(3)))
    twice = Rows(tuple(Row(id=f"same-{i}", fields={"prompt": "a", "answer": "b"}) for i in range(2)))
    given = Given.of(
        {
            **FOUND,
            "forget": Rows((*FOUND["forget"], *copies)),
            "retain": Rows((*FOUND["retain"], *other, *twice)),
        }
    )
    assert given.training("forget", "retain").ids == (
        *FOUND["forget"].ids, *copies.ids, *FOUND["retain"].ids, *other.ids, *twice.ids, *FOUND["extra_training"].ids,
    )  # fmt: skip
    assert not set(given.training("retain").ids) & set(copies.ids)
    assert len(given.splits().rows["forget"]) == 5
    measured = given.measured().rows
    assert measured["forget"].ids == (*FOUND["forget"].ids, "ledger/0")
    assert measured["retain"].ids == (*FOUND["retain"].ids, "other/0", "same-0", "same-1")
