"""A post-hoc concept bottleneck: features projected on concept directions, and a sparse linear head that names the class from these.

Concept activation vector: the direction of a ridge regression of the concept on features, of length 1 (Kim et al. 2018, who use a linear
classifier). Head: multinomial logistic regression with an L1 penalty on standardised scores (Yuksekgonul et al. 2022: elastic net).
Integrated gradients (Sundararajan et al. 2017) of p(class) along the straight path from the mean scores to the row's:
(s_k - s0_k) * mean over the path of d p / d s_k; they sum to p(s) - p(s0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expunge.engine.concepts import BoolArray
from expunge.facts.errors import InputError
from expunge.statistics.clusters import FloatArray, IntArray

RIDGE = 1e-2
"""Ridge of the concept regression, as a share of the features' mean variance times the number of rows."""
PATH = 64
"""Points of the path, at the middles of equal pieces."""


@dataclass(frozen=True, kw_only=True)
class Bottleneck:
    """Directions of concepts (concepts, width), mean and spread of the scores on them, and the head's weights and biases by class."""

    directions: FloatArray
    mean: FloatArray
    spread: FloatArray
    weights: FloatArray
    biases: FloatArray
    classes: tuple[int, ...]

    def scores(self, features: FloatArray) -> FloatArray:
        """Return the standardised score of each row on each concept, (rows, concepts)."""
        return np.asarray((features @ self.directions.T - self.mean) / self.spread)

    def probabilities(self, scores: FloatArray) -> FloatArray:
        """Return p(class) from scores, (..., classes)."""
        logits = scores @ self.weights.T + self.biases
        found = np.exp(logits - logits.max(-1, keepdims=True))
        return np.asarray(found / found.sum(-1, keepdims=True))

    def attributions(self, features: FloatArray, label: int) -> FloatArray:
        """Return the integrated gradients of p(label) by concept, from the mean scores of the rows it was fitted on, (rows, concepts)."""
        scores, at = self.scores(features), self.classes.index(label)
        middles = (np.arange(PATH) + 0.5) / PATH
        found = np.zeros_like(scores)
        for middle in middles:
            p = self.probabilities(middle * scores)
            found += p[:, at, None] * (self.weights[at] - p @ self.weights)
        return np.asarray(scores * found / PATH)

    def mass(self, features: FloatArray, labels: IntArray, label: int) -> FloatArray:
        """Return what having each concept adds to p(label), the mean over the class's own rows, (concepts,).

        Rows below the mean score of a concept do not have it and count 0: a class is told by what it lacks too, and two classes that
        lack the same do not share a concept.
        """
        own = features[labels == label]
        return np.asarray((self.attributions(own, label) * (self.scores(own) > 0)).mean(0))


def directions_of(features: FloatArray, concepts: BoolArray) -> FloatArray:
    """Return the unit direction of each concept, (concepts, width): the ridge regression of having it on centred features."""
    x = features - features.mean(0)
    y = concepts - concepts.mean(0)
    ridge = RIDGE * len(x) * max(float(x.var(0).mean()), np.finfo(np.float64).tiny)
    found = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y).T
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise InputError(
            f"nothing in the features says whether a row has concept {int(np.argmin(lengths))}",
            do="give more retain rows of each class, or another method",
        )
    return np.asarray(found / lengths)


def fit_bottleneck(features: FloatArray, labels: IntArray, concepts: BoolArray, *, sparsity: float) -> Bottleneck:
    """Return the bottleneck of rows; `sparsity` weighs the L1 norm of the head against the mean loss."""
    from sklearn.linear_model import LogisticRegression

    directions = directions_of(features, concepts)
    raw = features @ directions.T
    spread = raw.std(0)
    scores = (raw - raw.mean(0)) / spread
    classes = tuple(int(label) for label in np.unique(labels))
    if len(classes) < 3:
        raise InputError(f"{len(classes)} classes leave no choice of another", do="use a model of at least 3 classes")
    head = LogisticRegression(
        C=1 / (sparsity * len(scores)), l1_ratio=1.0, solver="saga", max_iter=5000, tol=1e-4, random_state=0
    ).fit(scores, labels)
    return Bottleneck(
        directions=directions, mean=raw.mean(0), spread=spread, weights=head.coef_, biases=head.intercept_, classes=classes
    )  # fmt: skip


def ranked(mass: FloatArray) -> list[int]:
    """Return concepts from the most attributed to the least."""
    return [int(i) for i in np.argsort(-mass, kind="stable")]


def shared(first: FloatArray, second: FloatArray) -> float:
    """Return how much of two classes' positive attribution falls on the same concepts: sum of the smaller of the two shares, 0..1."""
    shares = [np.clip(mass, 0, None) / max(float(np.clip(mass, 0, None).sum()), 1e-12) for mass in (first, second)]
    return float(np.minimum(*shares).sum())
