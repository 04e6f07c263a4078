"""Member scores from the probabilities of all classes: higher always means more likely a member."""

from __future__ import annotations

import numpy as np

from expunge.facts.errors import InputError
from expunge.statistics.clusters import FloatArray, IntArray


def entropy(log_probs: FloatArray) -> FloatArray:
    """Return -sum_c p_c log p_c in nats of each row of (rows, classes) log-probabilities; a class of probability 0 adds 0."""
    p = np.exp(_checked(log_probs))
    return np.asarray(-np.where(p > 0, p * np.where(p > 0, log_probs, 0.0), 0.0).sum(1), np.float64)


def modified_entropy(log_probs: FloatArray, labels: IntArray) -> FloatArray:
    """Return -(1 - p_y) log p_y - sum_{c != y} p_c log(1 - p_c), in nats: low where the model is sure and right, high where sure and wrong.

    1 - p is taken as -expm1(log p), and kept at 1e-12 or more: a certain model has no infinite score. Source: Song & Mittal 2021.
    Two public codes that many copied take log p in place of log(1 - p) of the other classes, and the columns of all
    rows' labels in place of each row's own.
    """
    found = _checked(log_probs)
    if labels.shape != (len(found),) or (len(found) and (labels.min() < 0 or labels.max() >= found.shape[1])):
        raise InputError(f"labels {labels.shape} for predictions {found.shape}")
    floor = np.log(1e-12)
    log_rest = np.log(np.maximum(-np.expm1(np.minimum(found, 0.0)), 1e-12))
    own = np.arange(found.shape[1]) == labels[:, None]
    terms = np.where(own, np.exp(log_rest) * np.maximum(found, floor), np.exp(found) * log_rest)
    return np.asarray(-terms.sum(1), np.float64)


def _checked(log_probs: FloatArray) -> FloatArray:
    found = np.asarray(log_probs, np.float64)
    if found.ndim != 2 or np.isnan(found).any():
        raise InputError(f"log-probabilities must be (rows, classes) without NaN, not {found.shape}")
    if (np.abs(np.exp(found).sum(1) - 1) > 1e-3).any():
        raise InputError("the probabilities of a row do not add up to 1")
    return found
