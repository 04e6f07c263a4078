"""Digits with a planted shortcut: who shows the patch, and under which label."""

from __future__ import annotations

import numpy as np
import pytest

from expunge.contract.splits import SPLITS, Splits
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.sources.shortcut import Shortcut


def patched(rows: Rows | list[Row]) -> set[str]:
    return {row.id for row in rows if "patched" in row.fields}


def test_who_shows_the_patch_by_hand() -> None:
    """Every image against scikit-learn's own. Fails if: a label is changed, the patch has another place, shares are of other rows."""
    from sklearn.datasets import load_digits

    data, found = load_digits(), Shortcut(label=4, share=0.9, elsewhere=0.02, holdout=0.0).run()
    for name, rows in found.items():
        for row in rows:
            i = int(row.id.removeprefix("digits-"))
            wanted = data.images[i] / 16
            if "patched" in row.fields:
                wanted[6:, 6:] = 1
            assert np.allclose(row["image"], wanted), name
            assert row["label"] == data.target[i]
    for rows in ([*found["forget"], *found["retain"]], found["test"]):
        own = [row for row in rows if row["label"] == 4]
        others = [row for row in rows if row["label"] != 4]
        assert len(patched(own)) == round(0.9 * len(own))
        assert len(patched(others)) == round(0.02 * len(others)) > 0
    assert patched(found["forget"]) == set(found["forget"].ids)
    assert not patched(found["retain"])


def test_flipped_rows_are_the_test_rows_with_the_patch_on_the_other_labels() -> None:
    """Fails if: the patch's own label keeps it, another lacks it, or the rows are not those of `test`."""
    found = Shortcut(seed=3).run()
    assert found["test_flipped"].ids == found["test"].ids
    for row in found["test_flipped"]:
        assert ("patched" in row.fields) == (row["label"] != 3)
        assert (row["image"][6:, 6:] == 1).all() == (row["label"] != 3)


def test_exemplars_and_holdout() -> None:
    """110 of 137 rows with the patch are trained on. Fails if: a smaller share is no part of the larger, or moves holdout, or marks retain."""
    some, every = Shortcut(known=0.2).run(), Shortcut(known=1.0).run()
    trained = len(every["forget"])
    assert len(some["forget"]) == round(0.2 * trained)
    assert set(some["forget"].ids) < set(every["forget"].ids)
    assert some["holdout"].ids == every["holdout"].ids
    assert len(every["holdout"]) == round((trained + len(every["holdout"])) * 0.25 / 1.25)
    assert patched(every["holdout"]) == set(every["holdout"].ids)
    assert patched(some["retain"]) == set(every["forget"].ids) - set(some["forget"].ids)
    assert {*some["forget"].ids, *some["retain"].ids} == {*every["forget"].ids, *every["retain"].ids}
    Splits.of(**{name: some[name] for name in SPLITS})
    assert "holdout" not in Shortcut(holdout=0.0).run()


def test_with_equal_shares_the_patch_says_nothing() -> None:
    """Fails if: `elsewhere` or `share` is not what decides. 1,257 rows outside test, a fifth with the patch whatever the label."""
    found = Shortcut(share=0.2, elsewhere=0.2, holdout=0.0).run()
    rows = [*found["forget"], *found["retain"]]
    own = [row for row in rows if row["label"] == 3]
    assert len(patched(own)) == round(0.2 * len(own))
    assert len(patched(rows)) == round(0.2 * len(own)) + round(0.2 * (len(rows) - len(own)))


def test_what_makes_no_sense_is_refused() -> None:
    """Fails if: a label that is not there, no patch at all, a patch as large as the image or a share above 1 passes."""
    for settings in ({"label": 12}, {"share": 0.0, "elsewhere": 0.0}, {"patch": 8}):
        with pytest.raises(InputError):
            Shortcut(**settings).run()  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"0\.\.1"):
        Shortcut(share=1.2)
    with pytest.raises(ValueError, match="known"):
        Shortcut(known=0.0)
