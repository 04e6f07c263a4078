from __future__ import annotations

import numpy as np
import pytest
import torch

from expunge.engine.concept_bottleneck import RIDGE, Bottleneck, directions_of, fit_bottleneck, ranked, shared
from expunge.facts.errors import InputError


def planted(n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ten features; three concepts, each on an axis of its own; the class is named by the first two, the third is noise."""
    draw = np.random.default_rng(0)
    concepts = draw.random((n, 3)) < 0.5
    features = 0.3 * draw.normal(size=(n, 10))
    features[:, [1, 4, 7]] += concepts
    return features, concepts[:, 0] + 2 * concepts[:, 1].astype(np.int64), concepts


def hand() -> Bottleneck:
    """Two concepts, three classes."""
    return Bottleneck(
        directions=np.eye(2), mean=np.array([1.0, 2.0]), spread=np.array([2.0, 0.5]),
        weights=np.array([[2.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]), biases=np.array([0.1, 0.0, -0.2]), classes=(3, 5, 8),
    )  # fmt: skip


def test_a_direction_is_the_ridge_regression_of_the_concept() -> None:
    """By least squares on rows with sqrt(ridge) I below. Fails if: means stay in, or the ridge is another."""
    features, _, concepts = planted()
    found = directions_of(features, concepts)
    x = features - features.mean(0)
    ridge = RIDGE * len(x) * x.var(0).mean()
    stacked = np.vstack([x, np.sqrt(ridge) * np.eye(10)])
    for k, direction in enumerate(found):
        wanted = np.linalg.lstsq(stacked, np.append(concepts[:, k] - concepts[:, k].mean(), np.zeros(10)), rcond=None)[
            0
        ]
        assert direction == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-9)
    assert np.abs(found).argmax(1).tolist() == [1, 4, 7]


def test_the_head_is_optimal_for_the_mean_loss_and_the_l1_norm() -> None:
    """Subgradient: |slope of the mean loss| is `sparsity` where a weight stands and at most that where it is 0.

    Fails if: the penalty is of the sum of losses, or squared.
    """
    features, labels, concepts = planted()
    for sparsity in (0.01, 0.1):
        found = fit_bottleneck(features, labels, concepts, sparsity=sparsity)
        scores = found.scores(features)
        assert scores.mean(0) == pytest.approx(np.zeros(3), abs=1e-9)
        assert scores.std(0) == pytest.approx(np.ones(3))
        slope = (found.probabilities(scores) - np.eye(4)[labels]).T @ scores / len(scores)
        stands = np.abs(found.weights) > 1e-3
        assert np.abs(slope[stands]) == pytest.approx(np.full(stands.sum(), sparsity), rel=0.05, abs=1e-3)
        assert np.abs(slope).max() <= sparsity + 1e-3
        assert np.abs(found.weights[:, 2]).max() < 0.2
    assert (found.probabilities(scores).argmax(1) == labels).mean() > 0.8


def test_attributions_are_the_path_integral_by_autograd_and_sum_to_the_difference() -> None:
    """Fails if: the path starts elsewhere, the slope is of the logit, or of another class."""
    bottleneck, features = hand(), np.array([[4.0, 2.5], [-1.0, 1.0]])
    found = bottleneck.attributions(features, 5)
    scores = torch.tensor((features - [1.0, 2.0]) / [2.0, 0.5])
    weights, biases = torch.tensor(bottleneck.weights), torch.tensor(bottleneck.biases)
    wanted = torch.zeros(2, 2, dtype=torch.float64)
    for i in range(2000):
        s = ((i + 0.5) / 2000 * scores).requires_grad_(True)
        p = torch.softmax(s @ weights.T + biases, -1)[:, 1].sum()
        wanted += torch.autograd.grad(p, s)[0] / 2000
    assert found == pytest.approx((wanted * scores).numpy(), abs=1e-4)
    p = bottleneck.probabilities(bottleneck.scores(np.vstack([features, [1.0, 2.0]])))[:, 1]
    assert found.sum(1) == pytest.approx(p[:2] - p[2], abs=1e-4)


def test_a_class_is_read_from_the_concepts_it_has() -> None:
    """Class 3 has both concepts, class 1 the first alone, class 0 none: what it lacks tells it, and is no concept of it.

    Fails if: mass is over all rows, or a lack counts.
    """
    features, labels, concepts = planted()
    found = fit_bottleneck(features, labels, concepts, sparsity=0.01)
    mass = {label: found.mass(features, labels, label) for label in range(4)}
    own = features[labels == 1]
    by_hand = [
        sum(
            float(value[k])
            for value, score in zip(found.attributions(own, 1), found.scores(own), strict=True)
            if score[k] > 0
        )
        / len(own)
        for k in range(3)
    ]
    assert mass[1] == pytest.approx(by_hand)
    assert min(mass[3][:2]) > 0.2
    assert abs(mass[3][2]) < 0.05
    assert set(ranked(mass[3])[:2]) == {0, 1}
    assert mass[1][0] > 0.2
    assert mass[1][1] < 0.1
    assert found.attributions(features[labels == 0], 0).mean(0)[:2].min() > 0.2
    assert mass[0].max() < 0.1


def test_sharing_by_hand() -> None:
    """(.5, .3, -1) and (.2, .6, .2): shares (.625, .375, 0) and (.2, .6, .2). Fails if: what speaks against a class counts."""
    first, second = np.array([0.5, 0.3, -1.0]), np.array([0.2, 0.6, 0.2])
    assert shared(first, second) == pytest.approx(0.2 + 0.375)
    assert shared(first, first) == pytest.approx(1)
    assert shared(first, np.array([-1.0, 0.0, 4.0])) == 0
    assert ranked(first) == [0, 1, 2]


def test_two_classes_are_refused() -> None:
    """Fails if: a bottleneck is made where there is no choice of another class."""
    features, labels, concepts = planted()
    with pytest.raises(InputError):
        fit_bottleneck(features, labels % 2, concepts, sparsity=0.01)
