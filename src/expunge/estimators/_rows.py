"""Rows by content: what a training multiset holds, and what a request may take out of it.

A request names rows by their numbers, bit by bit (-0.0 counts as 0.0), and their label. The training rows are a multiset: a row that was
learned twice is forgotten once by a request and a second time by the next. A request that asks for more copies than are left is refused
whole, so forgetting the same request twice is refused, and nothing changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from hashlib import blake2b
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from expunge.facts.errors import InputError

Numbers = NDArray[np.float64]
Positions = NDArray[np.int64]
Key = TypeVar("Key", bound=Hashable)


def checked_request(estimator: Any, X: Any, y: Any, **checks: Any) -> tuple[Numbers, NDArray[Any]]:
    """Return a request as finite arrays that fit the estimator's features, or refuse it with words."""
    check_is_fitted(estimator)
    try:
        X, y = validate_data(estimator, X, y, reset=False, dtype=np.float64, **checks)
    except ValueError as error:
        what = f"this request to forget cannot be used: {error}"
        raise InputError(
            what, do="pass X and y with the columns of fit, without NaN and with at least one row"
        ) from error
    return X, y


def checked_rows(estimator: Any, X: Any) -> Numbers:
    """Return rows to predict as finite numbers that fit a fitted estimator's features, or raise as scikit-learn does."""
    check_is_fitted(estimator)
    return np.asarray(validate_data(estimator, X, reset=False, dtype=np.float64))


def row_keys(X: Numbers, y: Numbers) -> list[bytes]:
    """Return one key a row: the bytes of its numbers and of its target."""
    table = np.ascontiguousarray(np.column_stack([X, y]), dtype=np.float64) + 0.0
    width, raw = table.shape[1] * table.itemsize, table.tobytes()
    return [raw[start : start + width] for start in range(0, len(raw), width)]


def row_digests(X: Numbers, y: Numbers) -> list[bytes]:
    """Return 16 bytes a row that stand for its content, for estimators that keep statistics and no rows."""
    return [blake2b(key, digest_size=16).digest() for key in row_keys(X, y)]


def refuse_unknown(missing: int, asked: int) -> InputError:
    """Return the error of a request for rows that are not there."""
    return InputError(
        f"{missing} of the {asked} rows to forget are not among the training rows; nothing was changed",
        causes=(
            "they were forgotten before",
            "they were scaled, rounded or ordered in another way than the rows given to fit",
            "their label is another one",
        ),
        do="pass the rows exactly as they were learned, each as often as it was learned and no more",
    )


def refuse_everything() -> InputError:
    """Return the error of a request that leaves nothing to train on."""
    return InputError(
        "this request forgets every training row, and no model can be trained on none; nothing was changed",
        do="drop the estimator itself, or fit a new one on other rows",
    )


def check_held(held: Counter[Key], keys: list[Key]) -> None:
    """Refuse a request for keys that the multiset does not hold as often, or for all of them."""
    missing = sum(max(0, count - held[key]) for key, count in Counter(keys).items())
    if missing:
        raise refuse_unknown(missing, len(keys))
    if len(keys) == held.total():
        raise refuse_everything()


def strike(held: Counter[Key], keys: list[Key]) -> None:
    """Take keys out of the multiset, and those that are not left altogether."""
    for key in keys:
        held[key] -= 1
        if not held[key]:
            del held[key]


def find_rows(X: Numbers, y: Numbers, X_forget: Numbers, y_forget: Numbers) -> NDArray[np.bool_]:
    """Return which training rows a request takes, the first copies first, or refuse it."""
    keys = row_keys(X_forget, y_forget)
    wanted = Counter(keys)
    likely = np.flatnonzero(np.isin(_checksums(X), _checksums(X_forget)))
    taken = np.zeros(len(X), dtype=bool)
    for i, key in zip(likely, row_keys(X[likely], y[likely]), strict=True):
        if wanted.get(key):
            wanted[key] -= 1
            taken[i] = True
    if missing := wanted.total():
        raise refuse_unknown(missing, len(keys))
    if taken.all():
        raise refuse_everything()
    return taken


def _checksums(X: Numbers) -> NDArray[np.int64]:
    return np.asarray(np.bitwise_xor.reduce((np.ascontiguousarray(X) + 0.0).view(np.int64), axis=1))
