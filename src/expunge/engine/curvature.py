"""The Gauss-Newton curvature of a model's mean loss over rows: products with vectors, and EK-FAC's factors.

For cross-entropy and for half the squared error the Gauss-Newton matrix G = mean over rows of J^T (d^2 loss / d outputs^2) J is
the Fisher information under the model's own predictions: positive semi-definite at every weight, which the Hessian is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.engine import ghost
from expunge.engine.capture import Unsupported, Uses, captured
from expunge.engine.ghost import Convolved, Outer
from expunge.engine.gradients import evaluating, trainable
from expunge.engine.hooks import output_at
from expunge.engine.order import cut
from expunge.engine.parallel import my_share, total
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.maths.curvature import Kronecker, damping_of, rotated_squares

ROWS = 64
"""Examples of one pass."""


def flatten(vector: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    """Return the named tensors as one vector, in the order of `names`."""
    return torch.cat([vector[name].flatten() for name in names])


def unflatten(vector: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a vector as tensors of the shapes of `like`, in its order."""
    pieces = torch.split(vector, [tensor.numel() for tensor in like.values()])
    return {name: piece.view(tensor.shape) for (name, tensor), piece in zip(like.items(), pieces, strict=True)}


def _outputs(model: Model, batch: Batch) -> Tensor:
    """Return logits (positions, classes), or (positions, 1) of a regression whose loss is half the squared error of its output."""
    if model.capabilities.logits:
        return model.logits(batch)
    losses: list[Tensor] = []
    found = output_at(model.module, "", lambda: losses.append(model.total_loss(batch)))
    if found.shape != (batch.size, 1) or not torch.allclose(
        (found[:, 0].float() - batch.targets).square() / 2, model.total_loss(batch), rtol=1e-4, atol=1e-6
    ):
        raise InputError("curvature is known of models with logits and of regressions by squared error")
    return found


def _by_example(values: Tensor, batch: Batch) -> Tensor:
    return values.new_zeros(batch.size).index_add(0, batch.owner, values)


def _own_losses(model: Model, batch: Batch) -> Tensor:
    """Return losses, (size,), whose Hessian is the Gauss-Newton matrix here: from the model's present predictions to its own."""
    outputs = _outputs(model, batch)
    if model.capabilities.logits:
        logs = torch.log_softmax(outputs, dim=-1)
        values = -(logs.detach().exp() * logs).sum(-1)
    else:
        values = (outputs - outputs.detach()).square().sum(-1) / 2
    return _by_example(values, batch) / batch.lengths().clamp_min(1)


@dataclass
class GaussNewton:
    """G v for the mean loss over `rows`, by differentiating twice; `names` fixes the order of a flat vector.

    The rows are packed once, since an inverse takes many products.
    """

    model: Model
    rows: Rows
    job: Job

    def __post_init__(self) -> None:
        self.named = trainable(self.model.module)
        self.names = list(self.named)
        self.batches = self._packed(range(len(self.rows)))

    def _packed(self, chosen: Sequence[int]) -> list[Batch]:
        parts = cut([chosen[i] for i in my_share(len(chosen))], 4 * ROWS)
        return [self.model.pack([self.rows[i] for i in part]) for part in parts]

    def product(self, vector: Tensor, indices: Sequence[int] | None = None) -> Tensor:
        """Return G v over the rows at `indices` (all where None), (parameters,)."""
        pieces = list(unflatten(vector, self.named).values())
        found = torch.zeros_like(vector)
        parameters = list(self.named.values())
        with evaluating(self.model.module), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            for batch in self.batches if indices is None else self._packed(indices):
                losses = _own_losses(self.model, batch)
                first = torch.autograd.grad(losses.sum(), parameters, create_graph=True, materialize_grads=True)
                second = torch.autograd.grad(first, parameters, grad_outputs=pieces, materialize_grads=True)
                found += torch.cat([piece.flatten() for piece in second])
        return total(found) / len(self.rows if indices is None else indices)


@dataclass(frozen=True)
class EKFAC:
    """G layer by layer: linear and convolutional layers in Kronecker factors, every other parameter by its diagonal."""

    layers: tuple[Kronecker, ...]
    diagonal: Mapping[str, Tensor]

    def solve(self, vectors: Mapping[str, Tensor], *, damping: float | None = None) -> dict[str, Tensor]:
        """Return (G + damping)^-1 v for vectors (k, *shape) by name; a tenth of each layer's mean eigenvalue where None."""
        found: dict[str, Tensor] = {}
        for layer in self.layers:
            weight = vectors[layer.weight]
            matrices = weight.flatten(2)
            if layer.bias:
                matrices = torch.cat([matrices, vectors[layer.bias][..., None]], dim=2)
            solved = layer.solve(matrices, damping)
            if layer.bias:
                solved, found[layer.bias] = solved[..., :-1], solved[..., -1]
            found[layer.weight] = solved.reshape(weight.shape)
        for name, values in self.diagonal.items():
            found[name] = vectors[name] / (values + damping_of(values, damping))
        return found


def _pseudo_losses(model: Model, batch: Batch, generator: torch.Generator) -> Tensor:
    """Return each example's loss on targets drawn from the model itself, (size,).

    Divided by the root of the length: the mean square of its gradient is then the Gauss-Newton matrix of the mean loss.
    """
    outputs = _outputs(model, batch)
    if model.capabilities.logits:
        logs = torch.log_softmax(outputs, dim=-1)
        drawn = torch.multinomial(logs.detach().double().exp().cpu(), 1, generator=generator).to(logs.device)
        values = -logs.gather(-1, drawn)[:, 0]
    else:
        noise = torch.randn(outputs.shape, generator=generator).to(outputs)
        values = (outputs - outputs.detach() - noise).square().sum(-1) / 2
    return _by_example(values, batch) / batch.lengths().clamp_min(1).to(values.dtype).sqrt()


def _passes(model: Model, rows: Rows, job: Job, draws: int, label: str) -> Iterator[tuple[int, Uses]]:
    """Yield (examples, every parameter's uses in the gradients of pseudo-losses), `draws` times over the rows."""
    parts = cut(my_share(len(rows)), ROWS) * draws
    with evaluating(model.module), torch.enable_grad():
        for part in job.progress.track(parts, total=len(parts), label=label):
            batch = model.pack_apart([rows[i] for i in part])
            with captured(model.module, batch) as capture:
                yield len(part), capture.read(_pseudo_losses(model, batch, job.generator)).uses


def _factored(root: nn.Module, uses: Uses) -> list[tuple[str, str]]:
    """Return (weight, bias or an empty name) of the layers that are used once and are linear or convolutional."""
    found = []
    for path, module in root.named_modules():
        weight, bias = (f"{path}.{own}" if path else own for own in ("weight", "bias"))
        if isinstance(module, nn.Linear | nn.Conv2d) and len(uses.get(weight, ())) == 1:
            found.append((weight, bias if len(uses.get(bias, ())) == 1 else ""))
    return found


def _sides(uses: Uses, weight: str, bias: str) -> tuple[Tensor, Tensor]:
    """Return (output gradients (examples, places, R), inputs (examples, places, C)), inputs with a last one for the bias."""
    use = uses[weight][0]
    outer = use.take(slice(None)) if isinstance(use, Convolved) else use
    assert isinstance(outer, Outer)
    columns = outer.columns
    return outer.rows, nn.functional.pad(columns, (0, 1), value=1.0) if bias else columns


def fit_ekfac(model: Model, rows: Rows, *, job: Job, draws: int = 1) -> EKFAC:
    """Return the EK-FAC curvature of the mean loss over `rows`.

    The first pass sums A = sum a a^T over a layer's inputs (with a one for the bias) and S = sum s s^T over the gradients of its
    outputs; their eigenvectors are the basis. The second refits the eigenvalues: the mean of the squared rotated gradient. Targets are
    drawn from the model (the labels of the rows would make it the empirical Fisher), `draws` times a row in each pass.

    Source: George et al. 2018; Grosse et al. 2023.
    """
    named = trainable(model.module)
    sums: dict[tuple[str, str], list[Tensor]] = {}
    try:
        for _, uses in _passes(model, rows, job, draws, "curvature factors"):
            for pair in _factored(model.module, uses):
                sides = _sides(uses, *pair)
                products = [side.flatten(0, 1).T @ side.flatten(0, 1) for side in sides]
                sums[pair] = [a + b for a, b in zip(sums[pair], products, strict=True)] if pair in sums else products
    except Unsupported as error:
        raise InputError(f"curvature factors cannot be read off this model: {error}", do="use cg") from error
    bases = {pair: [torch.linalg.eigh(total(side)).eigenvectors for side in sides] for pair, sides in sums.items()}
    covered = {name for pair in bases for name in pair}
    squares = {name: torch.zeros_like(p) for name, p in named.items() if name not in covered}
    values = {pair: torch.zeros(len(s), len(a), device=s.device, dtype=s.dtype) for pair, (s, a) in bases.items()}
    count = len(rows) * draws
    for size, uses in _passes(model, rows, job, draws, "curvature eigenvalues"):
        for pair, basis in bases.items():
            values[pair] += rotated_squares(*_sides(uses, *pair), *basis)
        for name in squares:
            if name in uses:
                squares[name] += ghost.squares(uses[name], size, named[name].shape)
    return EKFAC(
        tuple(Kronecker(*pair, left, right, total(values[pair]) / count) for pair, (left, right) in bases.items()),
        {name: total(value) / count for name, value in squares.items()},
    )
