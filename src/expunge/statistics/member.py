"""Member scores: higher always means more likely a member, whatever the source's sign."""

from __future__ import annotations

import zlib as compression
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import InputError
from expunge.statistics.clusters import FloatArray, numbers
from expunge.statistics.position_scores import PositionScores


def loss(scores: PositionScores) -> FloatArray:
    """Return mean_t log p(x_t): minus the loss a token.  Source: Yeom et al. 2018."""
    return scores.mean_log_prob()


def zlib(scores: PositionScores, texts: Sequence[str]) -> FloatArray:
    """Return mean_t log p(x_t) / len(zlib(utf-8 text)).

    Source: Carlini et al. 2021. Differs: the paper divides the total; both public codes the mean, as here.
    """
    if len(texts) != len(scores):
        raise InputError(f"{len(texts)} texts for {len(scores)} scored answers")
    lengths = np.array([len(compression.compress(text.encode())) for text in texts], np.float64)
    return np.asarray(loss(scores) / lengths, np.float64)


def min_k(scores: PositionScores, *, k: float = 0.2) -> FloatArray:
    """Return the mean of the floor(k T) smallest log p(x_t) of an answer, at least one.  Source: Shi et al. 2024."""
    return _mean_of_smallest(scores, scores.log_prob, k)


def min_k_plus_plus(scores: PositionScores, *, k: float = 0.2, least_variance: float = 1e-6) -> FloatArray:
    """Return the mean of the floor(k T) smallest z_t, at least one; z_t = (log p(x_t) - mean_t) / sqrt(variance_t).

    The variance is raised to `least_variance`: a model that is certain has none.  Source: Zhang et al. 2025.
    """
    z = (scores.log_prob - scores.mean) / np.sqrt(np.maximum(scores.variance, least_variance))
    return _mean_of_smallest(scores, z, k)


def reference(scores: PositionScores, of_reference: PositionScores) -> FloatArray:
    """Return mean log p under the model minus that under a reference model, on the same answers."""
    if scores.keys != of_reference.keys:
        raise InputError("the reference model scored other answers")
    return loss(scores) - loss(of_reference)


def logit(log_prob: Sequence[float] | FloatArray, *, least: float = 2.0**-24) -> FloatArray:
    """Return phi = log(p / (1 - p)) of log-probabilities, 1 - p kept at `least` or more.

    Models answer in single precision, where 1 - p is 0 below 2^-24: a least 1 - p far under that would put the surest rows, by rounding
    alone, far above those next to them, and such jumps fill the variances of LiRA.
    """
    array = numbers(log_prob, "log-probabilities")
    if (array > 1e-9).any():
        raise InputError("a log-probability is positive")
    return array - np.log(np.maximum(-np.expm1(np.minimum(array, 0.0)), least))


def lira(
    phi: Sequence[float] | FloatArray,
    shadows: FloatArray,
    trained_on: NDArray[np.bool_],
    *,
    per_example_from: int = 64,
) -> FloatArray:
    """Return LiRA's online score log N(phi | in) - log N(phi | out), Gaussians an example.

    `shadows` (models, examples) holds phi of the shadow models, `trained_on` whether each was trained on the example.
    Below `per_example_from` models a side, one variance is pooled over all examples of the side.
    Source: Carlini et al. 2022 (the paper pools below 64 models).
    """
    table, inside = np.asarray(shadows, np.float64), np.asarray(trained_on, np.bool_)
    if table.shape != inside.shape:
        raise InputError(f"{table.shape} shadow scores, {inside.shape} memberships")
    return _log_density(phi, table, inside, per_example_from) - _log_density(phi, table, ~inside, per_example_from)


def lira_offline(phi: Sequence[float] | FloatArray, shadows: FloatArray, *, per_example_from: int = 64) -> FloatArray:
    """Return LiRA's offline score -log Pr[N(mean_out, variance_out) > phi], from shadows not trained on the example.

    Source: Carlini et al. 2022. Differs: the paper's 1 - Pr ranks the same rows alike, but is 1 in floats from 8 deviations on: where
    models are sure, the first rows tie, and no threshold of few false positives lies between them.
    """
    from scipy.special import log_ndtr

    table = np.asarray(shadows, np.float64)
    mean, variance = _moments(phi, table, np.ones(table.shape, np.bool_), per_example_from)
    return np.asarray(-log_ndtr((mean - numbers(phi, "scores")) / np.sqrt(variance)), np.float64)


def u_lira(
    phi: Sequence[float] | FloatArray, unlearned: FloatArray, retrained: FloatArray, *, per_example_from: int = 64
) -> FloatArray:
    """Return log N(phi | trained on it, then unlearned) - log N(phi | retrained without it), Gaussians an example.

    Population attacks ask whether a forget row looks like the average member and so miss what unlearning left of it;
    here each row is compared with itself under the two histories. `unlearned` and `retrained` are (models, examples).
    Source: Hayes et al. 2024 (U-LiRA).
    """
    one, two = np.asarray(unlearned, np.float64), np.asarray(retrained, np.float64)
    all_of = [np.ones(table.shape, np.bool_) for table in (one, two)]
    return _log_density(phi, one, all_of[0], per_example_from) - _log_density(phi, two, all_of[1], per_example_from)


def offline_marginal(p_out: Sequence[float] | FloatArray, *, a: float = 0.3) -> FloatArray:
    """Return RMIA's p(x) from models not trained on x: ((1 + a) p_out(x) + (1 - a)) / 2.  Source: Zarifzadeh et al. 2024."""
    return ((1 + a) * numbers(p_out, "probabilities") + (1 - a)) / 2


def online_marginal(p: FloatArray, trained_on: NDArray[np.bool_]) -> FloatArray:
    """Return RMIA's p(x) where reference models of both kinds are: (mean p of those trained on x + mean p of the others) / 2.

    `p` and `trained_on` are (models, examples). Source: Zarifzadeh et al. 2024; with equally many of either kind it is the mean of all.
    """
    table, inside = np.asarray(p, np.float64), np.asarray(trained_on, np.bool_)
    if table.ndim != 2 or table.shape != inside.shape:
        raise InputError(f"{table.shape} probabilities, {inside.shape} memberships")
    if inside.all(0).any() or not inside.any(0).all():
        raise InputError("an example was trained on by all or by none of the reference models")
    each = [np.where(chosen, table, 0.0).sum(0) / chosen.sum(0) for chosen in (inside, ~inside)]
    return np.asarray((each[0] + each[1]) / 2, np.float64)


def rmia(
    ratio: Sequence[float] | FloatArray, population: Sequence[float] | FloatArray, *, gamma: float = 2.0
) -> FloatArray:
    """Return the share of population points z with ratio(x) / ratio(z) > gamma, where ratio(x) = p_model(x) / p(x).

    Strictly greater: at gamma = 1 a point does not beat its equals. The ratio falls as ratio(z) grows, also rounded to floats, so
    the points beaten are the lowest of the sorted population: O((N + Z) log Z) in place of the N x Z table, to the last count.
    Source: Zarifzadeh et al. 2024 (RMIA). Sources write both > and >=; they differ at exact ties only.
    """
    of_x, of_z = numbers(ratio, "ratios"), np.sort(numbers(population, "population ratios"))
    if gamma <= 0 or of_z[0] <= 0 or of_x.min() < 0:
        raise InputError("likelihood ratios and gamma must be positive")
    return np.searchsorted(of_z, _last_beaten(of_x, gamma), side="right") / len(of_z)


def _last_beaten(of_x: FloatArray, gamma: float) -> FloatArray:
    """Return the greatest float z with x / z > gamma in floats, 0 where there is none.

    It lies within three floats of x / gamma: comparing z < x / gamma instead counts near ties (2.2 / 2 against 1.1) wrongly.
    """
    last = of_x / gamma
    for _ in range(3):
        last = np.nextafter(last, np.inf)
    for _ in range(6):
        beaten = np.divide(of_x, last, out=np.full(len(last), np.inf), where=last > 0) > gamma
        last = np.where(beaten, last, np.nextafter(last, 0.0))
    return np.asarray(last, np.float64)


def _mean_of_smallest(scores: PositionScores, column: FloatArray, k: float) -> FloatArray:
    """Return the mean of the floor(k T) smallest numbers of each answer, without a loop over answers."""
    lengths = scores.lengths()
    if not 0 < k <= 1:
        raise InputError(f"k is a share of the tokens, not {k}")
    if not lengths.all():
        raise InputError(f"answer {int(np.argmin(lengths)) + 1} of {len(lengths)} has no scored position")
    kept = np.maximum(1, np.floor(k * lengths).astype(np.int64))
    owners = scores.owners()
    ordered = column[np.lexsort((column, owners))]
    place = np.arange(len(column)) - np.repeat(scores.offsets[:-1], lengths)
    sums = scores.total(np.where(place < np.repeat(kept, lengths), ordered, 0.0))
    return np.asarray(sums / kept, np.float64)


def _moments(
    phi: Sequence[float] | FloatArray, shadows: FloatArray, chosen: NDArray[np.bool_], per_example_from: int
) -> tuple[FloatArray, FloatArray]:
    """Return mean and variance an example over the chosen shadows; the variance pooled where they are few."""
    if shadows.ndim != 2 or shadows.shape[1:] != np.shape(phi) or not np.isfinite(shadows).all():
        raise InputError(f"shadow scores must be finite and (models, {np.shape(phi)}), not {shadows.shape}")
    counts = chosen.sum(0)
    if counts.min() < 1 or counts.sum() <= len(counts):
        raise InputError("an example has no shadow model of one kind, or none has two: no spread to measure")
    mean = np.where(chosen, shadows, 0.0).sum(0) / counts
    squares = np.where(chosen, (shadows - mean) ** 2, 0.0).sum(0)
    pooled = np.full(len(counts), squares.sum() / (counts - 1).sum())
    variance = squares / (counts - 1) if counts.min() >= max(per_example_from, 2) else pooled
    if (variance <= 0).any():
        raise InputError("the shadow models agree to the last digit: they are not independent trainings")
    return mean, variance


def _log_density(
    phi: Sequence[float] | FloatArray, shadows: FloatArray, chosen: NDArray[np.bool_], per_example_from: int
) -> FloatArray:
    mean, variance = _moments(phi, shadows, chosen, per_example_from)
    return -0.5 * (np.log(2 * np.pi * variance) + (numbers(phi, "scores") - mean) ** 2 / variance)
