from __future__ import annotations

import numpy as np
import pytest

from expunge.engine.concepts import clustered, concepts_of
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows


def rows(*concepts: object) -> Rows:
    return Rows(tuple(Row(id=str(i), fields={} if c is None else {"concepts": c}) for i, c in enumerate(concepts)))


FEATURES = np.array([[0.0, 0.1], [0.1, 0.0], [5.0, 5.1], [5.1, 5.0], [9.0, 0.0]])


def test_concepts_that_rows_carry_are_taken() -> None:
    """Fails if: features are clustered although rows say what they have."""
    found = concepts_of(rows((1, 0), (0, 1), (1, 1), (0, 0), (1, 0)), FEATURES, count=2, seed=0)
    assert found.astype(int).tolist() == [[1, 0], [0, 1], [1, 1], [0, 0], [1, 0]]


def test_else_they_are_clusters_of_features() -> None:
    """Three groups of points far apart. Fails if: a row has no cluster or two, or groups are mixed."""
    found = concepts_of(rows(*[None] * 5), FEATURES, count=3, seed=0)
    assert found.sum(1).tolist() == [1] * 5
    assert (found @ found.T).astype(int).tolist() == [
        [1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1],
    ]
    assert np.array_equal(found, clustered(FEATURES, count=3, seed=0))


@pytest.mark.parametrize(
    "given",
    [((1, 0), None), ((1, 0), (1,)), ((1, 0), (0, 2)), ((1, 0), (1, 1)), ((0, 0), (1, 0))],
    ids=["some rows", "lengths", "not 0 or 1", "all have it", "none has it"],
)
def test_what_is_no_concept_is_refused(given: tuple[object, ...]) -> None:
    """Fails if: a missing or constant concept is filled in."""
    with pytest.raises(InputError):
        concepts_of(rows(*given), FEATURES[: len(given)], count=2, seed=0)


def test_more_clusters_than_rows_are_refused() -> None:
    """Fails if: the error is scikit-learn's."""
    with pytest.raises(InputError):
        clustered(FEATURES, count=6, seed=0)
