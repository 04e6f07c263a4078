"""The one pass of a model that predicts a number."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from expunge.contract.job import Job
from expunge.engine.score import score
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Regression
from expunge.modalities.tabular import Features, tabular_model
from expunge.statistics.answers import predicted, told, within
from expunge.statistics.member import logit
from expunge.statistics.memorisation import exact_memorisation
from expunge.statistics.position_scores import PositionScores, concatenate


def test_the_log_density_of_each_target_below_its_peak() -> None:
    """Fails if -loss is taken on the scale of the rows, without the half, or rows change places over the batches."""
    draw = np.random.default_rng(0)
    rows = Rows(
        tuple(
            Row(id=str(i), fields={"features": draw.normal(size=4).astype("f"), "label": float(10 + 5 * draw.normal())})
            for i in range(7)
        )
    )
    model = tabular_model("mlp", features=Features(width=4), task=Regression(mean=10, std=5), width=8)
    found = score(model, rows, job=Job(), budget=2)
    with torch.no_grad():
        said = model.module(torch.tensor(np.stack([row["features"] for row in rows])))[:, 0].numpy()
    z = said - (np.array([row["label"] for row in rows]) - 10) / 5
    assert np.allclose(found.log_prob, -(z**2) / 2, atol=1e-6)
    assert np.allclose(found.errors(), np.abs(z), atol=1e-3)
    assert [key for key, _ in found.keys] == list(rows.ids)
    assert (found.rank, found.token, found.top) == (None, None, None)
    assert within(found, rows, tolerance=float(np.sort(np.abs(z))[2]) + 1e-3).sum() == 3
    assert told(found, rows).tolist() == (np.abs(z) <= 0.1).astype(float).tolist()
    assert np.isfinite(logit(found.mean_log_prob())).all()


def test_moments_are_those_of_a_gaussian() -> None:
    """Fails if mean and variance of the log density are invented: 200,000 draws of z agree with -1/2 and 1/2."""
    rows = Rows((Row(id="a", fields={"features": [0.5], "label": 1.0}),))
    model = tabular_model("mlp", features=Features(width=1), task=Regression(), width=8)
    found = score(model, rows, job=Job())
    density = -(np.random.default_rng(0).normal(size=200_000) ** 2) / 2
    assert found.mean[0] == pytest.approx(density.mean(), abs=0.01)
    assert found.variance[0] == pytest.approx(density.var(), abs=0.02)


def test_a_number_has_no_rank_and_a_class_no_error() -> None:
    """Fails if accuracy, memorisation or an error is made up where there is none, or a rank appears on the way through a file."""
    keys = (("a", "label"), ("b", "label"))
    made = {
        "keys": keys,
        "offsets": np.arange(3),
        "mean": np.zeros(2),
        "variance": np.ones(2),
        "is_end": np.zeros(2, bool),
    }
    numbers = PositionScores(log_prob=np.array([-0.005, -2.0]), **made)  # type: ignore[arg-type]
    classes = PositionScores(log_prob=np.array([-0.1, -2.0]), rank=np.array([0, 1]), **made)  # type: ignore[arg-type]
    rows = [Row(id=name, fields={}) for name, _ in keys]
    assert told(numbers, rows).tolist() == [1.0, 0.0]
    assert told(classes, rows).tolist() == [1.0, 0.0]
    assert numbers.errors() == pytest.approx([0.1, 2.0])
    for again in (PositionScores.load(numbers.save()), numbers.take([1, 0]), numbers.without_end()):
        assert again.rank is None
    moved = PositionScores(log_prob=np.zeros(2), **{**made, "keys": (("c", "label"), ("d", "label"))})  # type: ignore[arg-type]
    assert concatenate([numbers, moved]).rank is None
    for read in (lambda: predicted(numbers, rows), lambda: exact_memorisation(numbers)):
        with pytest.raises(InputError, match="it has no rank"):
            read()
    with pytest.raises(InputError, match="no error in numbers"):
        within(classes, rows)
