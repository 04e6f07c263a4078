from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call, jacrev

from expunge.contract.job import Job
from expunge.engine.curvature import EKFAC, GaussNewton, fit_ekfac, flatten, unflatten
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification, Regression
from expunge.modalities.tabular import Features, tabular_model
from expunge.modalities.vision import Images, vision_model


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def table(task: Classification | Regression, *, width: int = 6) -> tuple[Any, Rows]:
    draw = np.random.default_rng(0)
    model = tabular_model("mlp", features=Features(width=4), task=task, width=width, seed=0)
    rows = [Row(id=str(i), fields={"features": draw.normal(size=4).tolist(), "label": i % 3}) for i in range(300)]
    return model, Rows(tuple(rows))


def pictures() -> tuple[Any, Rows]:
    draw = np.random.default_rng(0)
    model = vision_model("cnn", images=Images(shape=(1, 4, 4)), classes=3, seed=0, width=4, depth=1)
    rows = [
        Row(id=str(i), fields={"image": draw.normal(size=(4, 4)).astype(np.float32), "label": i % 3}) for i in range(40)
    ]
    return model, Rows(tuple(rows))


def explicit(model: Any, rows: Rows) -> Tensor:
    """Mean over rows of J^T (diag(p) - p p^T) J, or J^T J of a regression: the Jacobian written out, (parameters, parameters)."""
    batch = model.pack(rows)
    named = {name: p.detach() for name, p in model.module.named_parameters()}
    found = jacrev(lambda given: functional_call(model.module, given, (batch.inputs["x"],)))(named)
    jacobian = torch.cat([found[name].flatten(2) for name in named], -1)
    outputs = model.module(batch.inputs["x"]).detach()
    p = torch.softmax(outputs, -1)
    inner = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    if not model.capabilities.logits:
        inner = torch.ones(len(outputs), 1, 1)
    return torch.einsum("npa,npq,nqb->ab", jacobian, inner, jacobian) / len(rows)


@pytest.mark.parametrize("task", [Classification(classes=3), Regression(mean=1.0, std=2.0)], ids=["classes", "number"])
def test_products_are_those_of_the_explicit_matrix(task: Classification | Regression) -> None:
    """Fails if: labels enter (the Hessian), the softmax's own gradient is not stopped, or the sum is not divided by the rows."""
    model, rows = table(task)
    curvature = GaussNewton(model, rows, Job())
    wanted = explicit(model, rows)
    columns = torch.stack([curvature.product(one) for one in torch.eye(len(wanted))], 1)
    torch.testing.assert_close(columns, wanted, rtol=1e-3, atol=1e-5 * float(wanted.abs().max()))
    some = [5, 17, 200]
    vector = torch.linspace(-1, 1, len(wanted))
    torch.testing.assert_close(
        curvature.product(vector, some), explicit(model, rows.take(some)) @ vector, rtol=1e-3, atol=1e-4
    )


def diagonals(factors: EKFAC, wanted: Tensor, model: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """By name: EK-FAC's eigenvalues, and the diagonal of the explicit matrix in EK-FAC's basis."""
    named = dict(model.module.named_parameters())
    places = unflatten(torch.arange(len(wanted)), named)
    found = {}
    for layer in factors.layers:
        index = places[layer.weight].flatten(1)
        if layer.bias:
            index = torch.cat([index, places[layer.bias][:, None]], 1)
        block = wanted[index.flatten()][:, index.flatten()]
        both = torch.kron(layer.left, layer.right)
        found[layer.weight] = layer.eigenvalues.flatten(), torch.diag(both.T @ block @ both)
    for name, values in factors.diagonal.items():
        found[name] = values.flatten(), wanted.diag()[places[name].flatten()]
    return found


@pytest.mark.parametrize("kind", ["classes", "number", "pictures"])
def test_eigenvalues_are_the_diagonal_of_the_explicit_matrix_in_the_basis(kind: str) -> None:
    """Many draws: each layer's to 10%. Fails if: the rows' own labels stand in for drawn ones, the bias has no column of its own, or
    places of a convolution are squared apart. The norms of the CNN go by the plain diagonal."""
    model, rows = (
        pictures()
        if kind == "pictures"
        else table(Classification(classes=3) if kind == "classes" else Regression(mean=1.0, std=2.0))
    )
    wanted = explicit(model, rows)
    factors = fit_ekfac(model, rows, job=Job(seed=0), draws=60)
    assert len(factors.layers) == 3
    assert bool(factors.diagonal) == (kind == "pictures")
    for name, (found, exact) in diagonals(factors, wanted, model).items():
        assert float((found - exact).norm() / exact.norm()) < 0.1, name


def test_the_basis_beats_the_parameters_own() -> None:
    """Its eigenvalues hold more of the block's norm than the block's own diagonal does. Fails if: the basis is the identity, or of the
    wrong side."""
    model, rows = table(Classification(classes=3))
    wanted = explicit(model, rows)
    factors = fit_ekfac(model, rows, job=Job(seed=0), draws=20)
    rotated = diagonals(factors, wanted, model)
    for layer in factors.layers:
        own = unflatten(wanted.diag(), dict(model.module.named_parameters()))
        plain = torch.cat([own[layer.weight].flatten(), own[layer.bias]])
        assert float(rotated[layer.weight][1].norm()) > 1.1 * float(plain.norm())


def test_scope_and_refusals() -> None:
    """A frozen bias gets no column, and a frozen layer no factors. Fails if: what cannot move enters the system; or a model that is
    neither a classifier nor a regression by squared error is taken for one."""
    model, rows = table(Classification(classes=3))
    model.module.stem.linear.weight.requires_grad_(False)
    model.module.stem.linear.bias.requires_grad_(False)
    model.module.head.bias.requires_grad_(False)
    factors = fit_ekfac(model, rows, job=Job())
    assert [(layer.weight, layer.bias) for layer in factors.layers] == [
        ("blocks.0.linear.weight", "blocks.0.linear.bias"),
        ("head.weight", ""),
    ]
    assert factors.layers[1].right.shape == (6, 6)
    other, rows = table(Regression())
    other.task = AbsoluteError()
    with pytest.raises(InputError, match="curvature"):
        fit_ekfac(other, rows, job=Job())


class AbsoluteError(Regression):
    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs[:, 0] - targets).abs()


def test_flat_vectors_come_back() -> None:
    """Fails if: the order of names differs between the two."""
    named = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([9.0])}
    back = unflatten(flatten(named, ["a", "b"]), named)
    assert all(torch.equal(back[name], named[name]) for name in named)
