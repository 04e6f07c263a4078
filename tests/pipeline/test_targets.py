"""What a table's labels say is to be learned, and which rows are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification, Regression
from expunge.pipeline.build import untrained
from expunge.pipeline.plan import ModelPlan
from expunge.pipeline.targets import task_of


def rows(labels: list[Any], name: str, features: list[Any] | None = None) -> Rows:
    return Rows(
        tuple(
            Row(id=f"{name}-{i}", fields={"features": (features or [[float(i), 1.0]] * len(labels))[i], "label": label})
            for i, label in enumerate(labels)
        ),
        name,
    )


def built(settings: dict[str, Any], **splits: Rows) -> Any:
    return untrained(ModelPlan(architecture="mlp", settings={"width": 4, **settings}), splits, 0)


def test_a_regression_is_standardised_by_retain_rows_alone() -> None:
    """Fails if forget or holdout rows move the mean or the deviation, or whole numbers are taken for values to predict."""
    splits = {"forget": rows([1000.0], "forget"), "retain": rows([1.0, 2.0, 3.0, 6.0], "retain")}
    assert task_of(splits, {}) == Regression(mean=3.0, std=float(np.array([1.0, 2.0, 3.0, 6.0]).std()))
    assert task_of(splits, {"task": "regression", "mean": 0, "std": 2}) == Regression(mean=0.0, std=2.0)
    whole = {"forget": rows([4], "forget"), "retain": rows([0, 1, 2, 1], "retain")}
    assert task_of(whole, {}) == Classification(classes=5)
    assert task_of(whole, {"task": "regression"}) == Regression(mean=1.0, std=0.5**0.5)
    model = built({"task": "regression", "depth": 2}, **whole)
    assert (model.task.mean, len(model.sites().blocks), model.capabilities.numbers) == (1.0, 2, True)


@pytest.mark.parametrize(
    ("label", "wanted"),
    [
        (float("nan"), "forget row 'forget-1': the target is nan"),
        (float("inf"), "forget row 'forget-1': the target is inf"),
        ("dear", "forget row 'forget-1': the label 'dear' is no number"),
        (None, "forget row 'forget-1': the label None is no number"),
    ],
)
def test_a_target_that_is_no_number_is_refused_by_its_row(label: Any, wanted: str) -> None:
    """Fails if a NaN target reaches training, where the loss of its whole batch becomes NaN, or the row is not named."""
    with pytest.raises(InputError, match=wanted):
        built({}, forget=rows([1.5, label], "forget"), retain=rows([1.0, 2.5], "retain"))


def test_features_are_read_before_anything_is_trained() -> None:
    """Fails if a NaN feature or a row of another width is found out in the middle of training."""
    retain = rows([1.0, 2.5], "retain")
    for bad, wanted in (([1.0, float("nan")], "not finite"), ([1.0], r"has features \(1,\), the model reads \(2,\)")):
        with pytest.raises(InputError, match=rf"row 'holdout-1'.*{wanted}"):
            built({}, forget=retain, retain=retain, holdout=rows([1.0, 2.0], "holdout", [[1.0, 2.0], bad]))


def test_settings_that_fit_no_task_are_refused() -> None:
    """Fails if a misspelt task is taken for classification, a mean is dropped in silence, or constant targets divide by zero."""
    retain = rows([1, 2], "retain")
    with pytest.raises(InputError, match="there is no task 'regresion'; the nearest is 'regression'"):
        built({"task": "regresion"}, forget=retain, retain=retain)
    with pytest.raises(InputError, match="model.settings.mean belongs to a regression"):
        built({"mean": 2.0}, forget=retain, retain=retain)
    with pytest.raises(InputError, match="cannot be standardised"):
        same = rows([2.5, 2.5], "retain")
        built({}, forget=same, retain=same)
    with pytest.raises(InputError, match="the label 0.5 is no whole number"):
        built({"task": "classification"}, forget=rows([0.5, 1], "forget"), retain=retain)
