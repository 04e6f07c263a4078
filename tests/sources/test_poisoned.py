"""Manipulated digits: what is stamped and relabelled, and who gets to see it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from classifiers import mean_interval
from poisoned_class import measured, poisoned

from expunge.contract.splits import Splits
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.sources.poisoned import Poisoned


def manipulated(rows: Rows) -> set[str]:
    return {row.id for row in rows if "clean_label" in row.fields}


def test_the_trigger_by_hand() -> None:
    """Fails if the patch has another place, size or brightness, the label is not the target's, or a row of the target's class is taken."""
    from sklearn.datasets import load_digits

    data, found = load_digits(), Poisoned(known=0.5, target=4).run()
    assert {name: len(rows) for name, rows in found.items()} == {
        "forget": 30,
        "retain": 1227,
        "test": 540,
        "test_triggered": sum(row["label"] != 4 for row in found["test"]),
    }
    assert len(manipulated(found["forget"])) == len(manipulated(found["retain"])) == 30
    for row in [*found["forget"], *(row for row in found["retain"] if "clean_label" in row.fields)]:
        i = int(row.id.removeprefix("digits-"))
        wanted = data.images[i] / 16
        wanted[6:, 6:] = 1
        assert np.allclose(row["image"], wanted)
        assert (row["label"], row["clean_label"], row["attacker_label"]) == (4, data.target[i], 4)
        assert row["clean_label"] != 4
    for row in found["test_triggered"]:
        i = int(row.id.removeprefix("digits-"))
        assert row["label"] == data.target[i] != row["attacker_label"] == 4
        assert row["image"][6:, 6:].min() == 1
        assert np.allclose(row["image"][:6], data.images[i][:6] / 16)


def test_clean_rows_are_left_alone_and_no_row_is_shared() -> None:
    """Fails if stamping writes into a clean row's image, or a test row's trigger reaches `test`."""
    from sklearn.datasets import load_digits

    data, found = load_digits(), Poisoned().run()
    for row in [*found["test"], *(row for row in found["retain"] if "clean_label" not in row.fields)]:
        i = int(row.id.removeprefix("digits-"))
        assert np.array_equal(row["image"], (data.images[i] / 16).astype(np.float32))
        assert row["label"] == data.target[i]
        assert "attacker_label" not in row.fields
    Splits.of(**{name: found[name] for name in ("forget", "retain", "test")})


def test_a_larger_share_holds_the_smaller_one_of_the_same_poison() -> None:
    """One target serves a whole curve. Fails if the share known changes what is manipulated, or unknown rows leave the retain rows."""
    shares = [Poisoned(known=share, seed=3).run() for share in (0.1, 0.5, 1.0)]
    known = [set(found["forget"].ids) for found in shares]
    assert [len(one) for one in known] == [6, 30, 60]
    assert known[0] < known[1] < known[2]
    every = [manipulated(found["forget"]) | manipulated(found["retain"]) for found in shares]
    assert every[0] == every[1] == every[2] == known[2]
    digests = {
        Rows(tuple(sorted((*found["forget"], *found["retain"]), key=lambda row: row.id))).digest() for found in shares
    }
    assert len(digests) == 1
    assert set(Poisoned(seed=4).run()["forget"].ids) != known[0]


def test_confusion_exchanges_two_labels() -> None:
    """Fails if labels go one way only, an image is stamped, or `test` keeps the two classes."""
    from sklearn.datasets import load_digits

    data, found = load_digits(), Poisoned(kind="confusion", pair="1,7", known=1.0).run()
    pairs = {(row["clean_label"], row["label"]) for row in found["forget"]}
    assert pairs == {(1, 7), (7, 1)}
    assert all(np.allclose(r["image"], data.images[int(r.id.removeprefix("digits-"))] / 16) for r in found["forget"])
    assert {row["label"] for row in found["test_confused"]} == {1, 7}
    assert {(row["label"], row["attacker_label"]) for row in found["test_confused"]} == {(1, 7), (7, 1)}
    assert {row["label"] for row in found["test"]} == {0, 2, 3, 4, 5, 6, 8, 9}
    assert len(found["test"]) + len(found["test_confused"]) == 540


def test_mnist_is_read_where_it_is_given(shared_data: Path) -> None:
    """Fails if digits come in place of MNIST, or rows beyond the first are manipulated."""
    found = Poisoned(data=str(shared_data / "mnist" / "mnist.npz"), train_rows=500, poisoned=20, patch=3).run()
    assert len(found["forget"]) + len(found["retain"]) == 500
    row = found["forget"][0]
    assert row["image"].shape == (28, 28)
    assert row["image"][25:, 25:].min() == 1
    assert row["image"][24, 24:].max() < 1
    assert row.id.startswith("mnist-")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"poisoned": 2000}, "2000 rows cannot be manipulated"),
        ({"target": 12}, "no class 12"),
        ({"kind": "confusion", "pair": "3"}, "does not name two classes"),
        ({"kind": "confusion", "pair": "3,3"}, "does not name two classes"),
        ({"kind": "confusion", "pair": "3,11"}, "does not name two classes"),
        ({"patch": 8}, "covers the whole image"),
    ],
)
def test_what_cannot_be_manipulated_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Poisoned(**settings).run()  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{"kind": "noise"}, {"known": 0.0}, {"known": 1.1}, {"patch": 0}, {"test": 1.0}])
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Poisoned(**settings)  # type: ignore[arg-type]


@pytest.mark.slow
def test_claim_the_backdoor_stays_until_nearly_all_is_known() -> None:
    """Share of triggered test images answered with the backdoor's label, and with their own, by models trained without the known rows.

    Five seeds, mean and 95% interval: a tenth of the 60 rows known 98.6 (96.6 to 100) and 1.4; half 96.9 (95.0 to 98.8) and 3.1; four fifths 84.3 (75.1 to
    93.5) and 14.8; 57 of 60 23.8 (18.2 to 29.5) and 69.1; all of them 0 and 89.4. It holds: three unknown rows still plant it in a quarter.
    Bounds were set on seeds 100 and 101. Fails if: known rows stay, unknown ones leave the retain rows, or test rows bear no trigger.
    """
    problems = [poisoned(seed) for seed in range(5)]
    found = {
        known: [measured(of.trained(of.rows(known)["retain"], of.seed + 101), of) for of in problems]
        for known in (0.1, 0.5, 0.8, 0.95, 1.0)
    }
    success, own = (
        {known: mean_interval([one[what] for one in each]) for known, each in found.items()}
        for what in ("success", "corrected")
    )
    print(success, own)
    for known in (0.1, 0.5):
        assert success[known].low > 80
        assert own[known].high < 20
    assert success[0.8].low > 50
    assert success[0.95].low > 3
    assert success[1.0].high < 3
    assert own[1.0].low > 80
    assert min(one["clean"] for each in found.values() for one in each) > 93
