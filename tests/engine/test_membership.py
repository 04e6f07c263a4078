"""From one number a row to an outcome."""

from __future__ import annotations

import numpy as np
import pytest

from expunge.contract.evidence import Evidence
from expunge.engine.membership import member_outcome
from expunge.facts.rows import Row, Rows

ROWS = {
    "forget": Rows((Row(id="a", fields={}), Row(id="b", fields={}))),
    "holdout": Rows((Row(id="c", fields={}),)),
}
EVIDENCE = Evidence(name="m", role="unlearned", modality="text", rows=ROWS)


def test_rows_keep_their_order_and_split() -> None:
    """Fails if splits change places or scores are sorted."""
    found = member_outcome("x", EVIDENCE, lambda split: np.array([2.0, -1.0] if split == "forget" else [5.0]))
    assert (found.attack, found.model, found.kind) == ("x", "m", "member")
    assert (found.forget, found.holdout, found.unscored) == ((2.0, -1.0), (5.0,), None)


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (np.array([1.0]), r"\(1,\) member scores for 2 forget rows"),
        (np.array([1.0, np.inf]), "1 of 2 forget rows have no finite member score"),
    ],
)
def test_what_does_not_fit_is_unscored(scores: np.ndarray, reason: str) -> None:
    """Fails if a short list is taken for the rows, or infinity for a score."""
    found = member_outcome("x", EVIDENCE, lambda split: scores)
    assert found.forget == ()
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(found.unscored)
