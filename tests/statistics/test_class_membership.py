"""Member scores from the probabilities of all classes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.statistics.class_membership import entropy, modified_entropy

P = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]])
Y = np.array([0, 2])


def test_entropy_by_hand() -> None:
    """Fails if the sign is turned, bits are taken for nats, or a class of probability 0 makes it NaN."""
    wanted = [-sum(p * math.log(p) for p in row) for row in P]
    assert entropy(np.log(P)) == pytest.approx(wanted)
    with np.errstate(divide="ignore"):
        assert entropy(np.log(np.array([[1.0, 0.0], [0.5, 0.5]]))) == pytest.approx([0.0, math.log(2)])


def test_modified_entropy_by_hand() -> None:
    """Fails if the label's term is not weighted by 1 - p or the others' not by p, or one of them is left out."""
    wanted = [
        -(0.3 * math.log(0.7)) - (0.2 * math.log(0.8) + 0.1 * math.log(0.9)),
        -(0.7 * math.log(0.3)) - (0.1 * math.log(0.9) + 0.6 * math.log(0.4)),
    ]
    assert modified_entropy(np.log(P), Y) == pytest.approx(wanted)


def test_published_defect_log_p_in_place_of_log_of_the_rest() -> None:
    """Fails if log(1 - p) of the other classes is computed as log p (Unlearn-Sparse and its copies).

    That falls as a wrong class becomes likely: .2 log .2 + .1 log .1 weighs more than .2 log .8 + .1 log .9.
    """
    wrong = -(0.3 * math.log(0.7)) - (0.2 * math.log(0.2) + 0.1 * math.log(0.1))
    assert abs(modified_entropy(np.log(P), Y)[0] - wrong) > 0.4
    sure_and_wrong, sure_and_right = np.log(np.array([[0.02, 0.96, 0.02], [0.96, 0.02, 0.02]]))
    found = modified_entropy(np.stack([sure_and_wrong, sure_and_right]), np.array([0, 0]))
    assert found[0] > 6 > 0.1 > found[1]


def test_published_defect_every_rows_label_in_every_row() -> None:
    """Fails if the labels' columns are set in all rows (`p[:, labels]`): a row's score would hang on its neighbours' labels."""
    alone = [modified_entropy(np.log(P[i : i + 1]), Y[i : i + 1])[0] for i in range(2)]
    assert modified_entropy(np.log(P), Y) == pytest.approx(alone)
    assert modified_entropy(np.log(P), np.array([0, 0]))[0] == pytest.approx(alone[0])


def test_a_certain_model_has_a_finite_score_and_nonsense_is_refused() -> None:
    """Fails if log 0 reaches the score, or labels out of range or probabilities that do not add up pass."""
    with np.errstate(divide="ignore"):
        sure = np.log(np.array([[1.0, 0.0], [0.0, 1.0]]))
    found = modified_entropy(sure, np.array([0, 0]))
    assert found[0] == pytest.approx(0.0, abs=1e-9)
    assert 27 < found[1] < 60
    for bad in (np.array([0, 3]), np.array([0])):
        with pytest.raises(InputError, match="labels"):
            modified_entropy(np.log(P), bad)
    with pytest.raises(InputError, match="add up"):
        entropy(np.log(P / 2))
