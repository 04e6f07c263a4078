"""Table rows as the network reads them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model


def test_vectors_are_taken_as_they_are() -> None:
    """Fails if the reader scales: a scaler that saw the rows would be an artefact of its own."""
    assert Features(width=2).read([[1, -2.5], np.array([1e3, 0])], ["a", "b"]).tolist() == [[1, -2.5], [1000, 0]]


@pytest.mark.parametrize(
    ("features", "message"),
    [([1.0], r"\(1,\)"), ([1.0, float("nan")], "not finite"), ([1.0, "x"], "no numbers"), ([[1.0, 2.0]], r"\(1, 2\)")],
)
def test_what_is_no_vector_of_this_width_is_refused_by_its_row(features: object, message: str) -> None:
    """Fails if a short vector is broadcast, or a missing value becomes NaN in the network."""
    with pytest.raises(InputError, match=f"(?s)row 'b'.*{message}"):
        Features(width=2).read([[0.0, 0.0], features], ["a", "b"])


def test_depth_counts_hidden_layers_behind_the_stem() -> None:
    """Fails if a block is dropped: 3*4+4, 2*(4*4+4), 4*2+2 parameters."""
    model = tabular_model("mlp", features=Features(width=3), task=Classification(classes=2), width=4, depth=2)
    assert sum(p.numel() for p in model.module.parameters()) == 16 + 40 + 10
