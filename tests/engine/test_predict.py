"""What a model predicts for each row."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from expunge.contract.job import Job
from expunge.engine.ensembles import Ensemble
from expunge.engine.predict import ROWS, predict
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification, Regression
from expunge.modalities.tabular import Features, tabular_model

N = ROWS + 3


def table(label: int | float) -> Rows:
    draw = np.random.default_rng(0)
    return Rows(
        tuple(Row(id=str(i), fields={"features": draw.normal(size=4).astype("f"), "label": label}) for i in range(N))
    )


def test_a_classifier_gives_log_probabilities_in_row_order() -> None:
    """Fails if rows past the first batch are lost or logits are not normalised."""
    model = tabular_model("mlp", features=Features(width=4), task=Classification(classes=3), width=8)
    rows = table(1)
    found = predict(model, rows, job=Job())
    x = torch.tensor(np.stack([row["features"] for row in rows]))
    assert found.shape == (N, 3)
    assert np.allclose(found, torch.log_softmax(model.module(x), -1).detach().numpy(), atol=1e-5)


def test_a_regression_predicts_on_the_scale_of_the_rows() -> None:
    """Fails if the standardised output is given: 10 + 5 z."""
    model = tabular_model("mlp", features=Features(width=4), task=Regression(mean=10, std=5), width=8)
    rows = table(1.5)
    found = predict(model, rows, job=Job())
    x = torch.tensor(np.stack([row["features"] for row in rows]))
    assert found.shape == (N, 1)
    assert np.allclose(found, model.module(x).detach().numpy() * 5 + 10, atol=1e-4)


def test_an_ensemble_predicts_the_mean_probability() -> None:
    """Fails if an ensemble has no predictions, or those of one member."""
    one = tabular_model("mlp", features=Features(width=4), task=Classification(classes=3), width=8)
    both = Ensemble.empty(one, shards=2, slices=1, seed=5)
    rows = table(0)
    each = [np.exp(predict(member, rows, job=Job())) for member in both.members]
    assert np.allclose(np.exp(predict(both, rows, job=Job())), np.mean(each, axis=0), atol=1e-6)


def test_a_model_without_one_answer_a_row_is_refused() -> None:
    """Fails if a diffusion model is asked for classes."""
    from expunge.contract.model import Capabilities

    model = tabular_model("mlp", features=Features(width=4), task=Classification(classes=3), width=8)
    model.capabilities = Capabilities()
    with pytest.raises(InputError, match="no single prediction"):
        predict(model, table(0), job=Job())
