"""Forbid a concept to a linear head: take what a concept vector reads, and what it stands for, out of what the head is given.

Rows of label y that show a concept have features f = f0(y) + pattern on average. The pattern is the concept's coefficient in the least
squares of features on labels and concept: what showing it adds among rows of one label. The concept vector v is the direction of a ridge
regression of showing it on features, both less their label's mean. Concept layer: score s(f) = v . (f - m) / (v . pattern), rest
f - s(f) pattern; m is the mean of rows without the concept. The rule 'not concept' puts 0 for s:
W' = W - (W pattern) v^T / (v . pattern), b' = b + (W pattern) (v . m) / (v . pattern), so that W' pattern = 0.

Removing along v alone leaves the decision as it was: a vector that tells a concept apart is not what the concept adds
(Pahde et al. 2025). Where a label and the concept always come together the pattern takes half of what tells the label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine.concept_bottleneck import directions_of
from expunge.engine.concepts import BoolArray
from expunge.engine.order import cut
from expunge.engine.predict import ROWS
from expunge.engine.solved_head import head_of
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.statistics.clusters import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Concept:
    """What a concept adds to features (`pattern`), what reads it (`vector`, 1 on the pattern), and the mean features where it is absent."""

    pattern: FloatArray
    vector: FloatArray
    absent: FloatArray

    def without(self, features: FloatArray) -> FloatArray:
        """Return features whose score on the concept is that of rows without it, (rows, width)."""
        return np.asarray(features - np.outer((features - self.absent) @ self.vector, self.pattern))

    def forbidden(self, weight: FloatArray, bias: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the head that gives for any features what (weight, bias) gives for them without the concept."""
        moved = weight @ self.pattern
        return np.asarray(weight - np.outer(moved, self.vector)), np.asarray(bias + moved * (self.vector @ self.absent))


@torch.no_grad()
def head_inputs(model: Model, rows: Rows, *, job: Job) -> FloatArray:
    """Return what the head is given for each row, (rows, width)."""
    parts: list[FloatArray] = []

    def keep(_: object, given: tuple[Tensor, ...]) -> None:
        parts.append(given[0].double().cpu().numpy())

    handle = head_of(model).register_forward_pre_hook(keep)
    try:
        for indices in cut(list(range(len(rows))), ROWS):
            with job.autocast():
                model.logits(model.pack(rows.take(indices)))
    finally:
        handle.remove()
    return np.asarray(np.concatenate(parts))


def concept_in(features: FloatArray, labels: IntArray, shown: BoolArray) -> Concept:
    """Return the concept that the rows in `shown` share beyond their labels; refuses one that all rows show, or that leaves no mark."""
    if shown.all() or not shown.any():
        raise InputError(
            "all rows show the concept, or none does", do="give rows with it to forget and rows without it to retain"
        )
    kinds, at = np.unique(labels, return_inverse=True)
    known = np.column_stack([np.eye(len(kinds))[at], shown.astype(np.float64)])
    pattern = np.linalg.lstsq(known, features - features.mean(0), rcond=None)[0][-1]
    means = np.stack([features[at == i].mean(0) for i in range(len(kinds))])
    inner = features - means[at]
    never = not any(0 < shown[at == i].sum() < (at == i).sum() for i in range(len(kinds)))
    vector = directions_of(features if never else inner, shown[:, None])[0]
    reads = float(vector @ pattern)
    if not reads > 0:
        raise InputError("nothing in the features says whether a row shows the concept")
    return Concept(pattern=pattern, vector=vector / reads, absent=features[~shown].mean(0))


def refitted(
    features: FloatArray, labels: IntArray, weight: FloatArray, bias: FloatArray, *, stay: float
) -> tuple[FloatArray, FloatArray]:
    """Return the head that minimises mean -log p(label | features) + stay / 2 * the squared distance from (weight, bias), by L-BFGS."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    start = np.concatenate([weight.ravel(), bias])
    wanted = np.eye(len(weight))[labels]

    def loss(point: FloatArray) -> tuple[float, FloatArray]:
        w, b = point[: weight.size].reshape(weight.shape), point[weight.size :]
        logs = log_softmax(features @ w.T + b, axis=1)
        slope, moved = (np.exp(logs) - wanted) / len(features), point - start
        value = -(logs * wanted).sum() / len(features) + stay / 2 * moved @ moved
        return float(value), np.concatenate([(slope.T @ features).ravel(), slope.sum(0)]) + stay * moved

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return np.asarray(found[: weight.size].reshape(weight.shape)), np.asarray(found[weight.size :])
