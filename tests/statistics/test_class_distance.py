"""How far two distributions over classes lie apart."""

from __future__ import annotations

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.statistics.class_distance import euclidean, jensen_shannon

P = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
Q = np.array([[0.1, 0.6, 0.3], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]])


def test_jensen_shannon_equals_scipys() -> None:
    """Fails if it is in nats, a mean over classes (a public ZRF is), or NaN at probability 0; disjoint is 1, equal 0."""
    from scipy.spatial.distance import jensenshannon

    with np.errstate(divide="ignore"):
        found = jensen_shannon(np.log(P), np.log(Q))
        assert jensen_shannon(np.log(Q), np.log(P)) == pytest.approx(found)
    assert found == pytest.approx([jensenshannon(p, q, base=2) ** 2 for p, q in zip(P, Q, strict=True)], abs=1e-12)
    assert found[1:] == pytest.approx([1.0, 0.0], abs=1e-12)


def test_euclidean_of_probabilities() -> None:
    """Fails if it is taken of logits or log-probabilities, or squared: certain of different classes is sqrt 2."""
    with np.errstate(divide="ignore"):
        found = euclidean(np.log(P), np.log(Q))
    assert found == pytest.approx([np.sqrt(0.36 + 0.16 + 0.04), np.sqrt(2), 0.0])
    with pytest.raises(InputError, match="not of the same rows"):
        euclidean(np.log(P[:1]), np.log(Q[:2, :2] + 0.1))
