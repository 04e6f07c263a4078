"""What classifiers predict, row by row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from expunge.contract.evidence import Evidence
from expunge.engine.distributions import ahead, label_log_probs, log_probs, mean_over, right
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.rows import Row, Rows

P = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]], np.float32)
ROWS = Rows(tuple(Row(id=str(i), fields={"label": label}) for i, label in enumerate((0, 2))))


def made(p: np.ndarray = P) -> Evidence:
    return Evidence(
        name="m", role="unlearned", modality="vision", rows={"forget": ROWS}, predictions={"forget": np.log(p)}
    )


def test_right_and_log_p_of_the_label() -> None:
    """Fails if another row's label is read, or the second choice counts as right."""
    assert right(made(), "forget").tolist() == [1.0, 0.0]
    assert label_log_probs(made(), "forget") == pytest.approx(np.log([0.7, 0.3]))


def test_against_several_models() -> None:
    """Fails if the others are summed, or the mean of predictions is compared in place of the mean of comparisons."""
    others = [made(P[::-1]), made()]
    assert ahead(made(), others, lambda one: label_log_probs(one, "forget")) == pytest.approx(
        [np.log(0.7) - (np.log(0.1) + np.log(0.7)) / 2, np.log(0.3) - (np.log(0.1) + np.log(0.3)) / 2]
    )
    found = mean_over(made(), others, "forget", lambda one, two: np.abs(np.exp(one) - np.exp(two)).sum(1))
    assert found == pytest.approx([0.6, 0.6])


def test_what_is_no_classifier_is_refused() -> None:
    """Fails if a regression's number is read as a class, NaN gives a first choice, or missing predictions a default."""
    with pytest.raises(InputError, match="predicts a number"):
        log_probs(made(P[:, :1]), "forget")
    with pytest.raises(InputError, match="1 forget rows have predictions that are no numbers"):
        log_probs(made(np.array([[np.nan, 0.5, 0.5], [0.2, 0.3, 0.5]])), "forget")
    with pytest.raises(InputError, match="there are no test rows"):
        log_probs(made(), "test")
    with pytest.raises(InputError, match="2 predictions for 1 forget rows"):
        log_probs(replace(made(), rows={"forget": ROWS[:1]}), "forget")
    with pytest.raises(UndeclaredRead, match="no predictions of 'forget'"):
        log_probs(replace(made(), predictions={}), "forget")
