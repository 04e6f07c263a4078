"""Small classifiers that tell members from non-members."""

from __future__ import annotations

import numpy as np
import pytest
from classifiers import by_hand

from expunge.engine.told_apart import called_member, called_non_member, chosen, loss_accuracy

SURE, UNSURE = [0.99] * 20, [0.6, 0.62, 0.58, 0.64] * 5


def test_an_svc_on_the_models_own_confidence() -> None:
    """Fails if members and non-members are swapped, or forget rows called members are counted: 5 of 8 look like test rows."""
    found = called_non_member(by_hand("m", {"forget": [0.99] * 3 + [0.61] * 5, "retain": SURE * 3, "test": UNSURE}))
    assert found.tolist() == [0.0] * 3 + [1.0] * 5


def test_sides_of_one_size_by_a_hash_of_ids() -> None:
    """Fails if all retain rows are members: 200 of them at one place outvote 20 test rows there, and none is called a non-member."""
    many = by_hand("m", {"forget": [0.9] * 4, "retain": [0.9] * 15 + [0.99] * 185, "test": [0.9] * 20})
    assert called_non_member(many).tolist() == [1.0] * 4
    picked = chosen(many, "retain", 20)
    assert len(set(picked.tolist())) == 20
    assert picked.tolist() != list(range(20))
    assert picked.tolist() == chosen(many, "retain", 20).tolist()


def test_a_balanced_line_on_the_entropy() -> None:
    """Fails if classes are not balanced, or non-members are counted: of 20 retain rows to 1 test row a plain line calls all members."""
    rows = {"forget": [0.99] * 2 + [0.5] * 6, "retain": SURE * 10, "test": [0.5] * 5}
    assert called_member(by_hand("m", rows)).tolist() == [1.0] * 2 + [0.0] * 6
    assert called_member(by_hand("m", {**rows, "forget": [0.01]})).tolist() == [1.0]


def test_how_often_the_loss_tells_forget_rows_from_others() -> None:
    """Fails if it is not balanced (twenty against forty would give 2/3 at chance), or trained and asked on the same rows."""
    apart = by_hand("m", {"forget": SURE, "holdout": UNSURE * 2})
    assert loss_accuracy(apart, "holdout") == 1.0
    draw = np.random.default_rng(0)
    same = by_hand("m", {"forget": draw.uniform(0.2, 0.9, 40).tolist(), "holdout": draw.uniform(0.2, 0.9, 80).tolist()})
    assert loss_accuracy(same, "holdout") == pytest.approx(0.5, abs=0.15)
