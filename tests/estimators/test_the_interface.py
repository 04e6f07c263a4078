"""Every estimator keeps scikit-learn's rules, and nothing imports the folder before it is asked for."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.datasets import make_classification
from sklearn.utils.estimator_checks import check_estimator

import expunge.estimators
from expunge.facts.errors import InputError


def found() -> list[type[Any]]:
    """Return the estimators of every public file of the folder."""
    modules = [
        importlib.import_module(f"expunge.estimators.{each.name}")
        for each in pkgutil.iter_modules(expunge.estimators.__path__)
        if not each.name.startswith("_")
    ]
    return [
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, BaseEstimator) and kind.__module__ == module.__name__
    ]


ESTIMATORS = found()


def rows_for(kind: type[Any]) -> tuple[Any, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return an estimator and rows that it learns."""
    x, y = make_classification(60, 5, n_informative=4, n_redundant=0, random_state=3)
    estimator = kind()
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=0)
    return estimator, x, y if is_classifier(estimator) else x @ np.arange(1.0, 6.0)


def outputs(estimator: Any, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(estimator.predict_proba(x) if is_classifier(estimator) else estimator.predict(x))


def test_one_file_an_estimator() -> None:
    """Fails if a file is not found by the walk, so that every other test here would skip it."""
    names = {each.name for each in pkgutil.iter_modules(expunge.estimators.__path__) if not each.name.startswith("_")}
    assert len(ESTIMATORS) == len(names) >= 5


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_scikit_learn_finds_nothing_to_say(kind: type[Any]) -> None:
    """Fails if an estimator breaks a rule of scikit-learn's public check, e.g. sets an attribute in `__init__` or reads NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(kind())


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_requests_that_cannot_be_met_change_nothing(kind: type[Any]) -> None:
    """Fails if a foreign row, another label, NaN, other columns, no rows or all rows are accepted, or a refusal changes the model."""
    estimator, x, y = rows_for(kind)
    estimator.fit(x, y)
    before = outputs(estimator, x)
    other = 1 - y[:1] if is_classifier(estimator) else y[:1] + 1
    unknown = np.array([7]) if is_classifier(estimator) else y[:1] + 7
    requests = {
        "foreign": (x[:1] + 1e-9, y[:1]),
        "one of two": (np.vstack([x[:1], x[:1] + 1.0]), y[[0, 0]]),
        "twice in one": (x[[0, 0]], y[[0, 0]]),
        "other label": (x[:1], other),
        "unknown label": (x[:1], unknown),
        "nan": (x[:1] * np.nan, y[:1]),
        "nan label": (x[:1], y[:1] * np.nan),
        "columns": (x[:1, :4], y[:1]),
        "no rows": (x[:0], y[:0]),
        "everything": (x, y),
    }
    for name, (x_forget, y_forget) in requests.items():
        with pytest.raises(InputError):
            estimator.forget(x_forget, y_forget)
            pytest.fail(f"{name} was accepted")
        assert np.array_equal(outputs(estimator, x), before), name
    for i in range(30):
        estimator.forget(x[i : i + 1], y[i : i + 1])


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_same_request_twice(kind: type[Any]) -> None:
    """Fails if a second request for a forgotten row is met, or a row that was learned twice cannot be forgotten twice."""
    estimator, x, y = rows_for(kind)
    estimator.fit(np.vstack([x, x[:2]]), np.concatenate([y, y[:2]]))
    estimator.forget(x[:2], y[:2]).forget(x[:2], y[:2])
    with pytest.raises(InputError, match="2 of the 2 rows to forget are not among the training rows"):
        estimator.forget(x[:2], y[:2])


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_forgetting_changes_the_model_and_negative_zero_is_zero(kind: type[Any]) -> None:
    """Fails if `forget` does nothing, or tells -0.0 from 0.0."""
    estimator, x, y = rows_for(kind)
    x[:20, 0] = 0.0
    before = outputs(estimator.fit(x, y), x)
    asked = x[:20].copy()
    asked[:, 0] = -0.0
    estimator.forget(asked, y[:20])
    assert not np.allclose(outputs(estimator, x), before)


@pytest.mark.parametrize("kind", [each for each in ESTIMATORS if hasattr(each, "partial_fit")])
def test_learning_in_parts_is_learning_at_once(kind: type[Any]) -> None:
    """Fails if `partial_fit` starts over, or loses rows that `forget` is asked for later."""
    estimator, x, y = rows_for(kind)
    parts = clone(estimator).partial_fit(x[:25], y[:25]).partial_fit(x[25:], y[25:])
    assert np.allclose(outputs(parts, x), outputs(estimator.fit(x, y), x), rtol=0, atol=1e-10)
    assert np.allclose(
        outputs(parts.forget(x[20:30], y[20:30]), x),
        outputs(estimator.forget(x[20:30], y[20:30]), x),
        rtol=0,
        atol=1e-10,
    )


def test_the_package_does_not_import_the_folder() -> None:
    """Fails if `import expunge`, the command or a unit's registry loads scikit-learn or an estimator before it is asked for."""
    program = (
        "import sys, expunge, expunge.app.command, expunge.contract.registry\n"
        "print([name for name in sys.modules if name.startswith(('expunge.estimators', 'sklearn'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
