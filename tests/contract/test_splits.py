"""The four splits: disjoint, and read only where declared."""

from __future__ import annotations

import numpy as np
import pytest

from expunge.contract.splits import Splits
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.rows import Row, Rows


def asked(key: str, prompt: str, **more: object) -> Row:
    return Row(id=key, fields={"prompt": prompt, "answer": "a", **more})


A, B, C = asked("a", "one"), asked("b", "two"), asked("c", "three")


def test_an_undeclared_read_raises() -> None:
    """Fails if a unit reads the retain rows it did not declare, or only their number, by either way in."""
    own = Splits.of(forget=Rows((A,)), retain=Rows((B,))).restricted(("forget", "gradients"))
    assert own.forget.ids == ("a",)
    with pytest.raises(UndeclaredRead, match="'retain' without declaring it"):
        len(own.retain)
    assert "retain" not in own.rows


def test_the_ledger_counts_reads() -> None:
    """Fails if reads are not counted, or the unit's reads fall into its caller's ledger."""
    whole = Splits.of(forget=Rows((A,)), retain=Rows((B,)))
    own = whole.restricted(("forget", "retain"))
    assert [own.forget.ids, own.forget.ids, own.retain.ids] == [("a",), ("a",), ("b",)]
    assert own.reads == {"forget": 2, "retain": 1}
    assert whole.reads == {}


def test_contents_are_those_handed_out() -> None:
    """Fails if contents outside a unit are remembered from before a row changed, those handed out are made anew, or an undeclared
    split's are given."""
    array = np.zeros(2, np.float32)
    row = Row(id="a", fields={"image": array, "label": 0})
    own = Splits.of(forget=Rows((row,)), retain=Rows((B,))).restricted(("forget",))
    first = own.contents("forget")
    assert first == (row.content(),)
    array[0] = 1
    assert own.contents("forget") == (row.content(),) != first
    own.handed_out = {"forget": first}
    assert own.contents("forget") == first
    with pytest.raises(UndeclaredRead):
        own.contents("retain")


def test_a_declared_split_that_is_not_there_is_empty() -> None:
    """Fails if reading a declared split without rows raises: whether rows are needed is checked before the run."""
    own = Splits.of(forget=Rows((A,))).restricted(("forget", "holdout"))
    assert len(own.holdout) == 0


def test_an_empty_forget_set_is_refused() -> None:
    """Fails if there may be nothing to forget."""
    with pytest.raises(InputError, match="the forget set is empty"):
        Splits.of(forget=Rows(()), retain=Rows((B,)))


@pytest.mark.parametrize("other", ["retain", "holdout"])
def test_one_row_in_two_splits_is_refused(other: str) -> None:
    """By id, and by content under another id. Fails if either is let through."""
    with pytest.raises(InputError, match=f"row 'a' of {other} is also row 'a' of forget"):
        Splits.of(forget=Rows((A,)), **{other: Rows((asked("a", "another"),))})
    with pytest.raises(InputError, match=f"row 'z' of {other} is also row 'a' of forget"):
        Splits.of(forget=Rows((A,)), **{other: Rows((B, asked("z", "one")))})


def test_the_same_question_and_answer_is_the_same_row() -> None:
    """Fails if a paraphrase carried along makes another row of it: the model would forget and keep one sentence."""
    phrased = asked("z", "one", paraphrased_answer="b", perturbed_answers=("c",))
    with pytest.raises(InputError, match="also row 'a' of forget"):
        Splits.of(forget=Rows((A,)), retain=Rows((phrased,)))
    Splits.of(forget=Rows((A,)), retain=Rows((A.replace(answer="other"),), "r").take([]))


def test_arrays_are_compared_by_content() -> None:
    """Fails if two images with equal entries pass as two rows, or with other labels as one."""
    image = np.arange(4.0)
    row = Row(id="x", fields={"image": image, "label": 1})
    with pytest.raises(InputError, match="also row"):
        Splits.of(
            forget=Rows((row,)), retain=Rows((Row(id="y", fields={"image": image.copy(), "label": 1, "clean": 2}),))
        )
    Splits.of(forget=Rows((row,)), retain=Rows((Row(id="y", fields={"image": image, "label": 2}),)))


def test_rows_of_another_kind_are_compared_whole() -> None:
    """Fails if rows of a plug-in's modality pass for one another because they share a label, or know no field at all."""
    for more in ({}, {"label": 1}):
        first, second = Row(id="x", fields={"sound": 1, **more}), Row(id="y", fields={"sound": 2, **more})
        Splits.of(forget=Rows((first,)), retain=Rows((second,)))
        with pytest.raises(InputError, match="also row 'x' of forget"):
            Splits.of(forget=Rows((first,)), retain=Rows((Row(id="z", fields=dict(first.fields)),)))


def test_test_rows_may_repeat_others() -> None:
    """Utility rows may be training rows (public facts). Fails if they are refused; a doublet inside one split is no overlap."""
    Splits.of(forget=Rows((A,)), retain=Rows((B, asked("b2", "two"))), test=Rows((B, C)))
