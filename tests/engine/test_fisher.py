from __future__ import annotations

import pytest
import torch

from expunge.contract.job import Job
from expunge.engine.fisher import diagonal_fisher, expected_fisher
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.tabular import Features, tabular_model


def problem() -> tuple[ArrayModel, Rows]:
    model = tabular_model("mlp", features=Features(width=3), task=Classification(classes=4), width=8, seed=0)
    draw = torch.Generator().manual_seed(0)
    points = torch.randn(9, 3, generator=draw) * 2
    return model, Rows(tuple(Row(id=str(i), fields={"features": x.tolist(), "label": 0}) for i, x in enumerate(points)))


def test_expected_fisher_is_the_mean_over_rows_and_predicted_classes() -> None:
    """A plain loop over rows and classes. Fails if: gradients are averaged before squaring, classes weigh alike, or labels are read."""
    model, rows = problem()
    wanted = {name: torch.zeros_like(p) for name, p in model.module.named_parameters()}
    for row in rows:
        logs = torch.log_softmax(model.module(torch.tensor([row["features"]])), -1)[0]
        for log in logs:
            slopes = torch.autograd.grad(log, list(model.module.parameters()), retain_graph=True)
            for name, slope in zip(wanted, slopes, strict=True):
                wanted[name] += float(log.exp().detach()) * slope.square() / len(rows)
    found = expected_fisher(model, rows, job=Job())
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.allclose(found[name], value, rtol=1e-4, atol=1e-8), name


def test_of_a_bias_of_the_head_it_is_p_times_one_minus_p() -> None:
    """E_y (1[y = k] - p_k)^2 = p_k (1 - p_k). Fails if: labels are read: the empirical Fisher is another number."""
    model, rows = problem()
    with torch.no_grad():
        p = torch.softmax(model.logits(model.pack(rows)), -1)
    found = expected_fisher(model, rows, job=Job())["head.bias"]
    assert found.tolist() == pytest.approx((p * (1 - p)).mean(0).tolist(), rel=1e-4)
    empirical = diagonal_fisher(model, rows, job=Job())["head.bias"]
    assert empirical.tolist() == pytest.approx((p - torch.tensor([1.0, 0, 0, 0])).square().mean(0).tolist(), rel=1e-4)
