"""The rule 'not concept': on features made by hand, where what a concept adds is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from expunge.contract.job import Job
from expunge.engine.concept_rule import Concept, concept_in, head_inputs, refitted
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.modalities.vision import vision_model
from expunge.testbeds.vision import IMAGES

PATTERN = np.array([0.0, 2.0, 0.0, -1.0, 0.0])
MEANS = np.array([[3.0, 0, 0, 0, 0], [0, 0, 3.0, 0, 0], [0, 0, 0, 0, 3.0]])


def confounded(n: int = 600, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of three labels; the concept is shown by 90 % of label 0 and 5 % of the others, and adds PATTERN."""
    draw = np.random.default_rng(0)
    labels = np.arange(n) % 3
    shown = draw.random(n) < np.where(labels == 0, 0.9, 0.05)
    return MEANS[labels] + np.outer(shown, PATTERN) + noise * draw.normal(size=(n, 5)), labels, shown


def test_the_pattern_is_what_the_concept_adds_beyond_the_label() -> None:
    """Least squares by normal equations; a difference of means would hold label 0's mean (3 in the first place).

    Fails if: labels are left out of the least squares, or the vector does not read 1 off the pattern.
    """
    features, labels, shown = confounded()
    found = concept_in(features, labels, shown)
    design = np.column_stack([labels == 0, labels == 1, labels == 2, shown]).astype(float)
    wanted = np.linalg.solve(design.T @ design, design.T @ features)[-1]
    assert found.pattern == pytest.approx(wanted, abs=1e-9)
    assert found.pattern == pytest.approx(PATTERN, abs=0.15)
    assert (features[shown].mean(0) - features[~shown].mean(0))[0] > 2
    assert found.vector @ found.pattern == pytest.approx(1)
    assert found.absent == pytest.approx(features[~shown].mean(0))
    read = (features - found.absent) @ found.vector
    inner = [read[(labels == 0) & shown].mean() - read[(labels == 0) & ~shown].mean()]
    assert inner[0] == pytest.approx(1, abs=0.1)


def test_a_forbidden_concept_moves_no_answer() -> None:
    """By hand in two dimensions, then on features: the new head on any features is the old one on features without the concept.

    Fails if: the bias stays, weight and pattern change places, or the score is measured from another point.
    """
    one = Concept(pattern=np.array([2.0, 0.0]), vector=np.array([0.5, 0.25]), absent=np.array([1.0, 4.0]))
    weight, bias = one.forbidden(np.array([[1.0, 3.0], [0.5, 0.0]]), np.array([0.0, 1.0]))
    assert weight.tolist() == [[0.0, 2.5], [0.0, -0.25]]
    assert bias.tolist() == [3.0, 2.5]
    features, labels, shown = confounded()
    draw = np.random.default_rng(1)
    w, b = draw.normal(size=(3, 5)), draw.normal(size=3)
    found = concept_in(features, labels, shown)
    weight, bias = found.forbidden(w, b)
    assert weight @ found.pattern == pytest.approx(np.zeros(3), abs=1e-12)
    assert features @ weight.T + bias == pytest.approx(found.without(features) @ w.T + b)
    assert np.abs(w @ found.pattern).max() > 0.5


def test_where_label_and_concept_are_one_the_pattern_is_half_of_the_label() -> None:
    """Least squares of least norm gives the label's column and the concept's, which are the same, half each. Fails if: it is refused, or all."""
    features, labels, _ = confounded(noise=0.0)
    features = MEANS[labels]
    found = concept_in(features, labels, labels == 0)
    assert found.pattern == pytest.approx((features[labels == 0].mean(0) - features.mean(0)) / 2, abs=1e-9)


def test_refusals() -> None:
    """Fails if: a direction is made up where all rows show it, none does, or features do not change with it."""
    features, labels, shown = confounded()
    for wrong in (np.ones_like(shown), np.zeros_like(shown)):
        with pytest.raises(InputError, match="show the concept"):
            concept_in(features, labels, wrong)
    with pytest.raises(InputError):
        concept_in(np.zeros_like(features), labels, shown)


def test_the_refitted_head_is_optimal() -> None:
    """Slope of mean loss + stay (w - w0) is 0, by autograd. Fails if: the sum of losses is taken, or the pull is to 0."""
    features, labels, _ = confounded()
    draw = np.random.default_rng(2)
    start, bias = draw.normal(size=(3, 5)), draw.normal(size=3)
    for stay in (0.01, 1.0):
        weight, moved = refitted(features, labels, start, bias, stay=stay)
        w, b = (torch.tensor(one, requires_grad=True) for one in (weight, moved))
        loss = torch.nn.functional.cross_entropy(torch.tensor(features) @ w.T + b, torch.tensor(labels))
        loss = loss + stay / 2 * ((w - torch.tensor(start)).square().sum() + (b - torch.tensor(bias)).square().sum())
        loss.backward()
        assert w.grad is not None
        assert float(w.grad.abs().max()) < 1e-4


@pytest.mark.parametrize("network", ["mlp", "resnet", "vit"])
def test_head_inputs_are_what_the_head_reads(network: str) -> None:
    """Fails if: the last block's output is taken, which a ResNet and a ViT average before their head."""
    model = vision_model(network, images=IMAGES, classes=10, seed=0)
    draw = np.random.default_rng(0)
    rows = Rows(
        tuple(
            Row(id=str(i), fields={"image": draw.random((8, 8)).astype(np.float32), "label": i % 10}) for i in range(7)
        )
    )
    found = head_inputs(model, rows, job=Job())
    head = model.module.head
    with torch.no_grad():
        logits = model.logits(model.pack(rows)).double().numpy()
    by_hand = found @ head.weight.detach().double().numpy().T + head.bias.detach().double().numpy()
    assert by_hand == pytest.approx(logits, abs=1e-5)
