from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from plain_models import alone, arrays, close
from torch import Tensor, nn

from expunge.contract.job import Job
from expunge.engine import per_example
from expunge.engine.per_example import gradient_dots, gradient_norms, squared_gradient_sum


class Root(nn.Module):
    """The root-mean-square norm as language models write it, around any way to use the weight."""

    def __init__(self, width: int, plus_one: bool) -> None:
        super().__init__()
        self.weight, self.plus_one = nn.Parameter(torch.ones(width)), plus_one

    def forward(self, x: Tensor) -> Tensor:
        normed = x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()
        return normed * (1 + self.weight) if self.plus_one else self.weight * normed


class Bare(nn.Module):
    """Parameters that no layer owns: a class token, positions with and without a leading one, a scale."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.places = nn.Parameter(torch.zeros(1, 1, 6)), nn.Parameter(torch.zeros(5, 6))
        self.more, self.head = nn.Parameter(torch.zeros(1, 5, 6)), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1)
        return self.head((x + self.places + self.more).tanh().mean(1))


class Tied(nn.Module):
    """One matrix for embedding and head, and one layer called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.inner = nn.Embedding(5, 6), nn.Linear(6, 6)
        self.head = nn.Linear(6, 5, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.inner(self.inner(self.embedding(x)).tanh()).mean(1))


class Flat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def conv1d(inputs: int, outputs: int) -> nn.Module:
    from transformers.pytorch_utils import Conv1D

    return Conv1D(outputs, inputs)


def llama_norm() -> nn.Module:
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    return LlamaRMSNorm(6)


def batch_norm(channels: int) -> nn.Module:
    module = nn.BatchNorm2d(channels)
    module.running_mean, module.running_var = torch.linspace(-1, 1, channels), torch.linspace(1, 3, channels)
    return module


def around(*parts: nn.Module, width: int = 6) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 6), *parts, nn.Tanh(), Flat(), nn.Linear(4 * width, 3))


def imaged(*parts: nn.Module, out: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(inplace=True), *parts, Flat(), nn.Linear(out, 3))


KINDS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], bool]] = {
    "linear": (lambda: nn.Sequential(nn.Linear(6, 4, bias=False), nn.ReLU(), nn.Linear(4, 3)), (6,), False),
    "linear over places": (lambda: around(nn.Linear(6, 6, bias=False)), (4, 6), False),
    "transposed linear": (lambda: around(conv1d(6, 6)), (4, 6), False),
    "padded embedding": (
        lambda: nn.Sequential(nn.Embedding(5, 6, padding_idx=2), Flat(), nn.Linear(24, 3)),
        (4,),
        True,
    ),
    "tied, and a layer called twice": (Tied, (4,), True),
    "layer norm": (lambda: around(nn.LayerNorm(6)), (4, 6), False),
    "layer norm of two axes": (lambda: around(nn.LayerNorm((4, 6))), (4, 6), False),
    "layer norm without a bias": (lambda: around(nn.LayerNorm(6, bias=False)), (4, 6), False),
    "rms norm": (lambda: around(nn.RMSNorm(6)), (4, 6), False),
    "llama norm": (lambda: around(llama_norm()), (4, 6), False),
    "rms norm by hand": (lambda: around(Root(6, plus_one=False)), (4, 6), False),
    "rms norm of one plus a weight": (lambda: around(Root(6, plus_one=True)), (4, 6), False),
    "group norm": (lambda: imaged(nn.GroupNorm(2, 4), nn.Tanh(), out=144), (2, 6, 6), False),
    "batch norm": (lambda: imaged(batch_norm(4), nn.ReLU(inplace=True), out=144), (2, 6, 6), False),
    "strided convolution": (lambda: imaged(nn.Conv2d(4, 5, 2, stride=2), out=45), (2, 6, 6), False),
    "bare parameters": (Bare, (4, 6), False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_equals_the_loop(kind: str) -> None:
    """Fails if any reader leaves out a place, a padding row, a use of a tied weight, or takes the wrong normalised input."""
    build, shape, ids = KINDS[kind]
    model, rows = arrays(build(), shape, ids=ids)
    job = Job()
    squares = squared_gradient_sum(model, rows, job=job)
    norm, mean = gradient_norms(model, rows, job=job)
    direction = {name: torch.linspace(-1, 1, p.numel()).view_as(p) for name, p in model.module.named_parameters()}
    dots = gradient_dots(model, rows, direction, job=job)
    assert job.notes == {}
    wanted = alone(model, rows)
    scale = max(float(g.abs().max()) for one in wanted for g in one.values())
    for name, found in squares.items():
        close(found, sum(one[name].square() for one in wanted), scale**2)
    each = torch.tensor([[float(g.norm()) for g in one.values()] for one in wanted])
    close(norm, each.square().sum(1).sqrt(), scale)
    close(mean, each.mean(1), scale)
    along = [sum(float((g * direction[name]).sum()) for name, g in one.items()) for one in wanted]
    torch.testing.assert_close(dots, torch.tensor(along), rtol=1e-5, atol=1e-5 * max(map(abs, along)))


class Outside(nn.Module):
    """Uses an embedding's matrix outside the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 6)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(self.embedding(x).tanh().mean(1), self.embedding.weight)


class Places(nn.Module):
    """Looks positions up once for the whole batch: a first dimension that counts positions, not examples."""

    def __init__(self) -> None:
        super().__init__()
        self.places, self.head = nn.Embedding(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((x + self.places(torch.arange(4))).tanh().mean(1))


class Scaled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Attended(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(6, 2, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.attention(x, x, x)[0].mean(1))


UNKNOWN: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], bool, int, str]] = {
    "grouped convolution": (lambda: imaged(nn.Conv2d(4, 4, 3, groups=2), out=64), (2, 6, 6), False, 7, "groups"),
    "overridden forward": (lambda: nn.Sequential(Scaled(6, 3)), (6,), False, 7, "Scaled"),
    "weight used outside its layer": (Outside, (4,), True, 7, "embedding.weight"),
    "first dimension of positions": (Places, (4, 6), False, 7, "Embedding 'places' sees 4"),
    "as many examples as positions": (Places, (4, 6), False, 4, "places.weight"),
    "attention that calls no layer": (Attended, (4, 6), False, 7, "attention"),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_cannot_be_read_runs_alone_and_says_so(kind: str) -> None:
    """Fails if the check against autograd is left out: tied use outside a layer and position lookups then give wrong numbers."""
    build, shape, ids, count, said = UNKNOWN[kind]
    model, rows = arrays(build(), shape, count, ids=ids)
    before = {name: id(p) for name, p in model.module.named_parameters()}
    job = Job()
    squares = squared_gradient_sum(model, rows, job=job)
    assert job.notes["per_example"].startswith("one row at a time: ")
    assert said in job.notes["per_example"]
    wanted = alone(model, rows)
    for name, found in squares.items():
        torch.testing.assert_close(found, sum((one[name].square() for one in wanted), torch.zeros(())))
    assert {name: id(p) for name, p in model.module.named_parameters()} == before


class OneAtATime(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 1:
            raise RuntimeError("broken on purpose")
        return self.head(x)


def test_an_error_of_the_model_is_not_hidden() -> None:
    """No copy stands in for a parameter here, so the error is the model's own. Fails if the loop is run in its stead."""
    model, rows = arrays(OneAtATime(), (6,))
    with pytest.raises(RuntimeError, match="broken on purpose"):
        gradient_norms(model, rows, job=Job())


class Sometimes(nn.Module):
    """Looks positions up only for some rows: as many positions as the later pass has examples."""

    def __init__(self) -> None:
        super().__init__()
        self.places, self.head = nn.Embedding(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        if float(x.max()) > 10:
            x = x + self.places(torch.arange(4))
        return self.head(x.tanh().mean(1))


def test_a_layer_that_first_runs_in_a_later_pass_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """4 rows that no check has seen look up 4 positions. Fails if later passes are not held to the layout of the first."""
    monkeypatch.setattr(per_example, "MOST_ROWS", 4)
    model, rows = arrays(Sometimes(), (4, 6), 8)
    for row in rows[4:]:
        row["x"][0, 0] = 20.0
    job = Job()
    found = squared_gradient_sum(model, rows, job=job)
    wanted = alone(model, rows)
    places = sum((one["places.weight"].square() for one in wanted[4:]), torch.zeros(4, 6))
    torch.testing.assert_close(found["places.weight"], places)
    assert "in one pass than in another" in job.notes["per_example"]
