"""A random forest that forgets rows exactly and cheaply: DaRE."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_random_state, validate_data

from expunge.estimators._dare_draws import count_attributes
from expunge.estimators._dare_nodes import Branch, Leaf, Table, shares
from expunge.estimators._dare_tree import grow_all, prune_all
from expunge.estimators._labels import label_positions
from expunge.estimators._places import places_of, strike_places
from expunge.estimators._rows import Numbers, checked_request, checked_rows, row_keys
from expunge.facts.errors import InputError


class DaREForest(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fit a forest whose nodes keep the statistics of their candidate splits, and forget rows by updating these.

    A deletion changes counts along one path of each tree. A subtree is trained again only where another of the node's drawn splits
    has become the best, or a drawn threshold has lost its rows and the draw that replaces it wins. Upper `random_layers` look at one
    attribute and one threshold, whatever the labels, so they change least. Every draw is keyed by (seed, tree, path) and by the value
    itself (_dare_draws): the forest is a function of the seed and the multiset of rows. Exact: the very forest, node by node, that
    `fit` with the same seed grows on the rows that are left, provided that requests do not depend on what the forest said.
    Source: Brophy and Lowd 2021, arXiv 2009.05567. Differs: thresholds are drawn among all values at a node, not only those between
    labels, and lie on the lower value, so that no deletion can bring a new candidate in; random layers draw among the values present
    and not in [min, max]; several classes; no bagging (as in the paper).
    `forgotten_rows_retrained_`, `forgotten_subtrees_retrained_` and `forgotten_draws_renewed_` tell what the last request cost, over
    all trees. Keeps the rows; the place of a forgotten row is overwritten with NaN at once and stays empty.
    """

    provenance = "exact"

    def __init__(
        self,
        *,
        n_estimators: int = 10,
        max_depth: int = 10,
        thresholds: int = 10,
        random_layers: int = 0,
        max_features: int | str = "sqrt",
        random_state: Any = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.thresholds = thresholds
        self.random_layers = random_layers
        self.max_features = max_features
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Grow a forest on these rows."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        if min(self.n_estimators, self.max_depth, self.thresholds) < 1 or self.random_layers < 0:
            raise InputError("n_estimators, max_depth and thresholds must be 1 or more, and random_layers 0 or more")
        if self.max_depth > 500:
            raise InputError(f"max_depth is {self.max_depth}; at most 500 is supported")
        self._labels, labels = np.unique(y, return_inverse=True)
        self.seed_ = int(check_random_state(self.random_state).randint(2**31))
        self.table_ = Table(
            X=X + 0.0,
            y=labels.astype(np.int64),
            classes=len(self._labels),
            attributes=count_attributes(self.max_features, X.shape[1]),
            thresholds=self.thresholds,
            max_depth=self.max_depth,
            random_layers=self.random_layers,
        )
        self._where = places_of(row_keys(self.table_.X, self.table_.y.astype(np.float64)))
        self._left = len(X)
        self.trees_: list[Branch | Leaf] = grow_all(self.table_, self.seed_, self.n_estimators)
        return self._count()

    def forget(self, X: Any, y: Any) -> Self:
        """Take rows out; refuse rows that are not in and a request for all of them."""
        X, y = checked_request(self, X, y)
        keys = row_keys(X, label_positions(self._labels, y))
        gone = strike_places(self._where, keys, left=self._left)
        self.trees_, tally = prune_all(self.table_, self.trees_, self.seed_, gone)
        self.table_.X[gone], self.table_.y[gone] = np.nan, 0
        self._left -= len(gone)
        self.forgotten_rows_retrained_, self.forgotten_subtrees_retrained_ = tally.rows, tally.subtrees
        self.forgotten_draws_renewed_ = tally.draws
        return self._count()

    def predict_proba(self, X: Any) -> Numbers:
        """Return the mean over trees of the share of each class in the leaf."""
        X = checked_rows(self, X)
        total = sum(shares(tree, X, self.table_.classes) for tree in self.trees_)
        return np.asarray(total)[:, self._present] / len(self.trees_)

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """Return the class with the largest mean share."""
        found = self.predict_proba(X)
        return np.asarray(self.classes_[found.argmax(1)])

    def _count(self) -> Self:
        self._present = np.flatnonzero(self.trees_[0].counts)
        self.classes_ = self._labels[self._present]
        return self
