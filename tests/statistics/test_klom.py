"""KLoM by hand and against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy

from expunge.facts.errors import InputError
from expunge.statistics.klom import klom, klom_per_example, margins


def test_two_cells_by_hand() -> None:
    """Fails if p and q are swapped: p = (3/4, 1/4), q = (1/4, 3/4) over the outer cells: KL = ln 3 / 2; and one-sided support."""
    one, two = np.array([[0.0], [0.0], [0.0], [1.0]]), np.array([[0.0], [1.0], [1.0], [1.0]])
    assert klom_per_example(one, two) == pytest.approx([np.log(3) / 2])
    narrow = np.zeros((4, 1))
    assert klom_per_example(narrow, one) == pytest.approx([np.log(4 / 3)])
    missing = 1e-5 / (1 + 1e-5)
    assert klom_per_example(one, narrow) == pytest.approx(
        [0.75 * np.log(0.75 * (1 + 1e-5)) + 0.25 * np.log(0.25 / missing)]
    )


def test_the_largest_margin_is_counted() -> None:
    """The published code drops it (half-open last cell).  Fails if two disjoint pairs of equal histograms differ."""
    margins = np.arange(21.0)[:, None]
    assert klom_per_example(margins, margins).tolist() == [0.0]
    one, two = np.array([[0.0], [1.0]]), np.array([[0.0], [0.0]])
    assert klom_per_example(one, two)[0] > 4


def test_equals_a_plain_loop() -> None:
    """Fails if examples share their cells, or margins are not clipped to +-100."""
    generator = np.random.default_rng(0)
    one, two = generator.normal(0, 2, (25, 7)), generator.normal(0.5, 2, (30, 7))
    one[0, 0] = 1e6
    expected = []
    for x, y in zip(one.clip(-100, 100).T, two.clip(-100, 100).T, strict=True):
        edges = (min(x.min(), y.min()), max(x.max(), y.max()))
        p, q = (np.histogram(v, 20, edges)[0] / len(v) for v in (x, y))
        expected.append(entropy(p, np.where(p > 0, np.maximum(q, 1e-5), q)))
    assert klom_per_example(one, two) == pytest.approx(expected, rel=1e-9)
    assert klom(one, two).value == pytest.approx(np.percentile(expected, 95))


def test_unscored_below_twenty_models() -> None:
    """Fails if 19 models give a number."""
    few, many = np.zeros((19, 3)), np.zeros((20, 3))
    assert klom(few, many).unscored == "19 + 20 models; 20 + 20 are needed"
    assert klom(many, many).value == 0.0
    with pytest.raises(InputError, match="finite"):
        klom(many, many * np.nan)


def test_margins_by_hand() -> None:
    """p = 3/4 of two classes: ln 3; 1/4 of (1/4, 1/4, 1/2): -ln 3. Fails if the label's own class is among the others.

    A label known by heart has p = 1 in double precision: 50, the logit, and not infinity (Fails if 1 - p is taken from p).
    """
    assert margins(np.log([[0.25, 0.75]]), np.array([1])) == pytest.approx([np.log(3)])
    assert margins(np.log([[0.25, 0.25, 0.5]]), np.array([0])) == pytest.approx([-np.log(3)])
    logits = np.array([[0.0, 50.0]])
    assert margins(logits - np.logaddexp(0, 50), np.array([1])) == pytest.approx([50.0])
    assert 1 - np.exp(-np.logaddexp(0, -50)) == 0
    with pytest.raises(InputError, match="labels"):
        margins(logits, np.array([2]))
