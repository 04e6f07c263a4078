"""KLoM: how far the margins of unlearned models lie from those of retrained ones, point by point."""

from __future__ import annotations

import numpy as np

from expunge.facts.errors import InputError
from expunge.facts.score import Score, unscored
from expunge.statistics.clusters import FloatArray, IntArray

LEAST_MODELS = 20


def margins(log_probs: FloatArray, labels: IntArray) -> FloatArray:
    """Return log p(label) / (1 - p(label)) of each row of (rows, classes) log-probabilities, in nats.

    1 - p is summed over the other classes: taken from p it is 0 for a label that is known by heart, and the margin infinite.
    """
    found = np.asarray(log_probs, np.float64)
    if labels.shape != found.shape[:1] or (len(found) and (labels.min() < 0 or labels.max() >= found.shape[1])):
        raise InputError(f"labels {labels.shape} for predictions {found.shape}")
    own = np.arange(found.shape[1]) == labels[:, None]
    return np.asarray(found[own] - np.logaddexp.reduce(np.where(own, -np.inf, found), axis=1), np.float64)


def klom_per_example(
    unlearned: FloatArray, retrained: FloatArray, *, bins: int = 20, least: float = 1e-5
) -> FloatArray:
    """Return KL(unlearned || retrained) of the histograms of margins, one number an example.

    Both are (models, examples). Bins are equal cells from the least to the greatest of both, margins clipped to
    +-100; p and q are shares of models a cell, q at least `least` where p > 0; KL = sum p log(p / q), q normalised.
    Source: Georgiev et al. 2024, Attribute-to-Delete (P115). The published code drops the greatest margin, which lies on
    the last edge; here the last cell is closed.
    """
    one, two = np.asarray(unlearned, np.float64), np.asarray(retrained, np.float64)
    if one.ndim != 2 or two.ndim != 2 or one.shape[1] != two.shape[1] or not one.size or not two.size:
        raise InputError(f"margins must be (models, examples) on the same examples, not {one.shape} and {two.shape}")
    if not (np.isfinite(one).all() and np.isfinite(two).all()):
        raise InputError("margins hold numbers that are not finite")
    one, two = one.clip(-100, 100), two.clip(-100, 100)
    low = np.minimum(one.min(0), two.min(0))
    width = np.maximum(one.max(0), two.max(0)) - low
    width[width == 0] = 1.0

    def shares(margins: FloatArray) -> FloatArray:
        cell = np.minimum(((margins - low) / width * bins).astype(np.int64), bins - 1)
        flat = (cell + np.arange(cell.shape[1]) * bins).ravel()
        return np.bincount(flat, minlength=bins * cell.shape[1]).reshape(-1, bins) / len(margins)

    p, q = shares(one), shares(two)
    q = np.where(p > 0, np.maximum(q, least), q)
    q /= q.sum(1, keepdims=True)
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return np.asarray((p * np.log(ratio)).sum(1), np.float64)


def klom(unlearned: FloatArray, retrained: FloatArray, *, percentile: float = 95.0) -> Score:
    """Return the given percentile over examples of KLoM; unscored below 20 unlearned and 20 retrained models.

    A histogram of three models says nothing: KLoM of a retrained model against others is then large as well.
    """
    fewer = min(len(unlearned), len(retrained))
    if fewer < LEAST_MODELS:
        return unscored(
            "klom",
            f"{len(unlearned)} + {len(retrained)} models; {LEAST_MODELS} + {LEAST_MODELS} are needed",
            ideal="lower",
        )
    values = klom_per_example(unlearned, retrained)
    return Score(
        name="klom",
        value=float(np.percentile(values, percentile)),
        n=len(values),
        ideal="lower",
    )
