"""Labels: their positions among the classes, and the labels that an estimator refuses to learn or to forget."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from expunge.estimators._rows import Numbers, refuse_unknown
from expunge.facts.errors import InputError


def label_positions(classes: NDArray[Any], y: NDArray[Any]) -> Numbers:
    """Return the position of each label among the classes, or refuse labels that were never learned."""
    where = {label: i for i, label in enumerate(classes.tolist())}
    found = np.array([where.get(label, -1) for label in y.tolist()], dtype=np.float64)
    if unknown := int((found < 0).sum()):
        raise refuse_unknown(unknown, len(y))
    return found


def check_declared(y: Any, classes: Any) -> None:
    """Refuse labels outside the classes that were declared, where any were."""
    if classes is not None and not np.isin(np.asarray(y), np.asarray(classes)).all():
        raise InputError("y has labels that are not in classes")


def two_classes(y: NDArray[Any]) -> tuple[NDArray[Any], Numbers]:
    """Return the two classes of y, in order, and the position of each label, (n,).

    Fewer or more classes are a ValueError, with scikit-learn's words.
    """
    check_classification_targets(y)
    classes = np.unique(y)
    if len(classes) > 2:
        raise ValueError(f"Only binary classification is supported. The type of the target is {type_of_target(y)}.")
    if len(classes) < 2:
        raise ValueError("Classifier can't train when only one class is present.")
    return classes, np.searchsorted(classes, y).astype(np.float64)


def check_two_left(classes: NDArray[Any], y: Numbers, gone: NDArray[np.bool_]) -> None:
    """Refuse a request that leaves rows of one class only; y, (n,), are positions among the two classes."""
    if len(np.unique(y[~gone])) < 2:
        what = f"this request forgets the last row of class {classes[int(y[gone][0])]}; nothing was changed"
        raise InputError(what, do="two classes are needed: keep a row of it, or drop the estimator")
