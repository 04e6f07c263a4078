"""Value vectors: the columns of a block's feed-forward output, what words they speak, and what hangs on them.

A feed-forward layer writes sum_i a_i v_i into the residual stream: v_i, a column of its output matrix, is written as strongly as unit i
is active. E v_i, with E the head, tells which tokens v_i makes likelier. Where these are the words of one concept and noise on v_i
takes the concept's answers away and leaves others, v_i is the concept's vector.

Source: Hong et al. 2024 (ConceptVectors).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.facts.errors import InputError


@dataclass(frozen=True)
class Place:
    """Where a value vector stands: a block, the name of its output matrix, and which of its vectors."""

    block: int
    parameter: str
    unit: int


@dataclass(frozen=True)
class Outputs:
    """The feed-forward output matrices of a model by block, each as (units, width): a row is a value vector. Views, not copies."""

    names: tuple[str, ...]
    matrices: tuple[Tensor, ...]
    by_row: tuple[bool, ...]
    """Whether the parameter itself has a vector a row (transformers' Conv1D) or a column (a linear layer)."""

    @classmethod
    def of(cls, model: Model) -> Outputs:
        """Find them by shape: the layer of a feed-forward module that leads back to the width of the hidden state."""
        sites, named = model.sites(), dict(model.module.named_parameters())
        if not sites.feed_forward or not sites.head or not sites.embedding:
            raise InputError("this architecture has no feed-forward modules, or no head, to read value vectors by")
        width = head_of(model).shape[1]
        names, matrices, by_row = [], [], []
        for site in sites.feed_forward:
            name, matrix, rows = _output(model.module.get_submodule(site), site, width)
            if name not in named:
                raise InputError(f"{name} is no parameter of the model", do="merge adapters into the weights first")
            names.append(name)
            matrices.append(matrix)
            by_row.append(rows)
        return cls(tuple(names), tuple(matrices), tuple(by_row))

    def places(self) -> list[Place]:
        """Return every value vector's place, block by block."""
        pairs = enumerate(zip(self.names, self.matrices, strict=True))
        return [Place(block, name, unit) for block, (name, matrix) in pairs for unit in range(len(matrix))]

    def at(self, place: Place) -> Tensor:
        """Return the vector at a place: a view into the model's weights."""
        return self.matrices[place.block][place.unit]

    def within(self, place: Place, like: Tensor) -> Tensor:
        """Return the part that belongs to a place of a tensor shaped like the place's parameter: a view."""
        return (like if self.by_row[place.block] else like.T)[place.unit]


def _output(module: nn.Module, site: str, width: int) -> tuple[str, Tensor, bool]:
    found = []
    for name, part in module.named_modules():
        transposed = type(part).__name__ == "Conv1D" and hasattr(part, "nf")
        if transposed or isinstance(part, nn.Linear):
            weight = part.weight.detach()
            units = weight if transposed else weight.T
            if units.shape[1] == width:
                found.append((f"{site}.{name}.weight", units, transposed))
    widened = [one for one in found if one[1].shape[0] != width] or found[-1:]
    if len(widened) != 1:
        raise InputError(f"{site} has {len(widened)} output matrices and value vectors are read of one a block")
    return widened[0]


def head_of(model: Model) -> Tensor:
    """Return the head's weight, (vocabulary, width)."""
    weight = model.module.get_submodule(model.sites().head[0]).weight
    assert isinstance(weight, Tensor)
    return weight.detach()


def top_tokens(model: Model, vectors: Tensor, k: int) -> Tensor:
    """Return the k tokens that each vector makes likeliest, (vectors, k): the largest of E v, without the final norm, as in the paper."""
    head = head_of(model)
    if not 1 <= k <= len(head):
        raise InputError(f"the {k} likeliest tokens of a vocabulary of {len(head)} were asked for", do="lower top_k")
    return (vectors @ head.T).topk(k, -1).indices


def disturb(vectors: Sequence[Tensor], noise: float, generator: torch.Generator) -> list[Tensor]:
    """Return each vector with Gaussian noise whose expected squared length is (noise x its own length)^2."""
    found = []
    for vector in vectors:
        drawn = torch.randn(vector.shape, generator=generator).to(vector)
        found.append(vector + drawn * (noise * vector.norm() / len(vector) ** 0.5))
    return found


def columns(model: Model, places: Sequence[Place]) -> Mask:
    """Return the mask that lets exactly these value vectors move."""
    outputs = Outputs.of(model)
    shapes = {name: parameter for name, parameter in model.module.named_parameters() if name in outputs.names}
    entries = {place.parameter: torch.zeros_like(shapes[place.parameter], dtype=torch.bool) for place in places}
    for place in places:
        outputs.within(place, entries[place.parameter]).fill_(True)
    return Mask(entries)


@dataclass(frozen=True)
class Change:
    """What became of one value vector: cosine, L2 distance over its length before, Jaccard of the k likeliest tokens."""

    cosine: float
    distance: float
    jaccard: float


@torch.no_grad()
def changes(before: Model, after: Model, places: Sequence[Place], k: int) -> list[Change]:
    """Return the change of each vector from one model to another; both are read by the head of `before`, as in the paper's code.

    It says something of models of one checkpoint alone: a model trained apart has its units in another order.
    """
    old, new, found = Outputs.of(before), Outputs.of(after), []
    for place in places:
        a, b = (one.at(place).double() for one in (old, new))
        first, second = (set(top_tokens(before, one.to(head_of(before)), k).tolist()) for one in (a, b))
        cosine = float(torch.cosine_similarity(a, b, dim=0).clamp(-1, 1))
        found.append(Change(cosine, float((a - b).norm() / a.norm()), len(first & second) / len(first | second)))
    return found
