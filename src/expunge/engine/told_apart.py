"""Small classifiers that tell members from non-members by what a model predicts: the membership numbers of papers on classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from expunge.contract.evidence import Evidence
from expunge.engine.distributions import label_log_probs, log_probs
from expunge.engine.order import ordered
from expunge.facts.errors import InputError
from expunge.statistics.class_membership import entropy
from expunge.statistics.clusters import FloatArray, IntArray

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

FEWEST = 6
"""Rows a side of which a tenth, rounded up over both, still holds one of each."""


def chosen(evidence: Evidence, split: str, count: int) -> IntArray:
    """Return `count` places in a split, by a hash of row ids: the same for every model."""
    return np.array(ordered(evidence.rows[split], 0, 0)[:count], np.int64)


def called_non_member(evidence: Evidence) -> FloatArray:
    """Return 1 a forget row that an SVC(C=3, rbf, gamma=auto) on p(label) calls a non-member, else 0.

    Fitted on as many retain rows (members) as test rows (non-members), with the attacked model's own confidences.
    """
    from sklearn.svm import SVC

    sure = {split: np.exp(label_log_probs(evidence, split)) for split in ("forget", "retain", "test")}
    count = min(len(sure["retain"]), len(sure["test"]))
    inside, outside = (sure[split][chosen(evidence, split, count)] for split in ("retain", "test"))
    machine = SVC(C=3, kernel="rbf", gamma="auto")
    machine.fit(np.concatenate([inside, outside])[:, None], np.repeat([1, 0], count))
    return np.asarray(machine.predict(sure["forget"][:, None]) == 0, np.float64)


def called_member(evidence: Evidence) -> FloatArray:
    """Return 1 a forget row that a balanced logistic regression on the entropy calls a member, else 0.

    Fitted on all retain rows (members) and all test rows (non-members).
    """
    line = _by_entropy(evidence)
    return np.asarray(line.predict(entropy(log_probs(evidence, "forget"))[:, None]) == 1, np.float64)


def sure_is_member(evidence: Evidence) -> bool:
    """Return False where that regression turned round: retain rows are less sure than test rows, and the unsure are called members."""
    return float(_by_entropy(evidence).coef_[0, 0]) < 0


def _by_entropy(evidence: Evidence) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    sides = [entropy(log_probs(evidence, split)) for split in ("retain", "test")]
    labels = np.repeat([1, 0], [len(side) for side in sides])
    return LogisticRegression(class_weight="balanced").fit(np.concatenate(sides)[:, None], labels)


def loss_accuracy(evidence: Evidence, outside: str) -> float:
    """Return how often a logistic regression on the loss tells forget rows from as many of `outside`, 10 times cross-validated."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedShuffleSplit, cross_val_score

    losses = [-label_log_probs(evidence, split) for split in ("forget", outside)]
    count = min(map(len, losses))
    if count < FEWEST:
        raise InputError(
            f"{count} rows a side are too few to fit and test a regression on", do=f"give {FEWEST} or more"
        )
    both = [loss[chosen(evidence, split, count)] for loss, split in zip(losses, ("forget", outside), strict=True)]
    folds = StratifiedShuffleSplit(n_splits=10, random_state=0)
    found = cross_val_score(LogisticRegression(), np.concatenate(both)[:, None], np.repeat([1, 0], count), cv=folds)
    return float(found.mean())
