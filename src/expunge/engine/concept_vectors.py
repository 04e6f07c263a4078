"""Find the value vectors that a concept hangs on: by their words, by what writes on its rows, and by what noise does.

Source: Hong et al. 2024 (ConceptVectors).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.engine.gradients import evaluating
from expunge.engine.order import cut, ordered
from expunge.engine.value_vectors import Outputs, Place, disturb, head_of, top_tokens
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows

BATCH = 64


def concept_tokens(model: Model, forget: Rows, retain: Rows, contrast: float) -> Tensor:
    """Return the tokens that stand in a share of forget answers more than `contrast` times that of retain answers, sorted."""
    shares = []
    for rows in (forget, retain):
        batch = model.pack(rows)
        pairs = torch.unique(torch.stack([batch.owner, batch.targets]), dim=1)
        counts = torch.bincount(pairs[1], minlength=len(head_of(model)))
        shares.append(counts.double() / max(1, len(rows)))
    found = ((shares[0] > contrast * shares[1]) & (shares[0] > 0)).nonzero()[:, 0]
    if not len(found):
        raise InputError(f"no token is {contrast} times as frequent in forget answers as in retain answers")
    return found


def specificity(model: Model, vectors: Tensor, tokens: Tensor, k: int) -> Tensor:
    """Return the share of each vector's `k` likeliest tokens that are among `tokens`, (vectors,)."""
    return torch.isin(top_tokens(model, vectors, k), tokens).double().mean(-1)


@torch.no_grad()
def writing(model: Model, rows: Rows, job: Job) -> list[Tensor]:
    """Return, a block, how strongly each unit writes: the mean over positions of |activation| times its vector's length, (units,)."""
    outputs = Outputs.of(model)
    sums = [torch.zeros(len(matrix), dtype=torch.float64, device=matrix.device) for matrix in outputs.matrices]
    seen = [0] * len(sums)

    def hook(block: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def keep(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            active = args[0].flatten(0, -2)
            sums[block] += active.abs().sum(0, dtype=torch.float64)
            seen[block] += len(active)

        return keep

    modules = [model.module.get_submodule(name.removesuffix(".weight")) for name in outputs.names]
    handles = [module.register_forward_pre_hook(hook(block)) for block, module in enumerate(modules)]
    try:
        with evaluating(model.module), job.autocast():
            for part in cut(range(len(rows)), BATCH):
                model.total_loss(model.pack(rows.take(part)))
    finally:
        for handle in handles:
            handle.remove()
    return [
        total / count * matrix.norm(dim=-1).double()
        for total, count, matrix in zip(sums, seen, outputs.matrices, strict=True)
    ]


@torch.no_grad()
def falls(model: Model, places: Sequence[Place], noise: float, sets: Sequence[Rows], job: Job) -> Tensor:
    """Return how far the mean log p a row of each of `sets` falls with noise on one vector at a time, (places, sets).

    A row counts by its mean over scored positions. The weights are put back; 1 + places passes over all rows.
    """
    outputs = Outputs.of(model)
    packed = [[model.pack(rows.take(part)) for part in cut(range(len(rows)), BATCH)] for rows in sets]
    found = torch.zeros(len(places), len(sets), dtype=torch.float64)
    with evaluating(model.module):
        before = _losses(model, packed, job)
        for i, place in enumerate(job.progress.track(places, total=len(places), label="noise")):
            vector = outputs.at(place)
            kept = vector.clone()
            vector.copy_(disturb([kept], noise, job.generator)[0])
            try:
                found[i] = _losses(model, packed, job) - before
            finally:
                vector.copy_(kept)
    return found


def _losses(model: Model, packed: Sequence[Sequence[Batch]], job: Job) -> Tensor:
    def mean(batches: Sequence[Batch]) -> float:
        with job.autocast():
            parts = [model.total_loss(batch) / batch.lengths().clamp_min(1) for batch in batches]
        return float(torch.cat(parts).double().mean())

    return torch.tensor([mean(batches) for batches in packed], dtype=torch.float64)


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a concept's value vectors are looked for: settings that the locator and the method share."""

    vectors: int = 1
    """Value vectors to take: those where noise costs the forget rows most beyond the retain rows."""
    shortlist: int = 32
    """Vectors tried with noise from each list: by words, and by how much more they write on forget than on retain rows."""
    top_k: int = 20
    """Likeliest tokens of a vector that are looked at; the paper has 200 of 32,000."""
    contrast: float = 10.0
    """How many times more frequent a token must be in forget than in retain answers to count as the concept's."""
    noise: float = 4.0
    """Length of the Gaussian noise on a vector, in multiples of the vector's own."""
    trials: int = 2
    """Noises that each vector of the shortlist is tried with; the falls are means over them."""
    retain_rows: int = 200
    """Retain rows compared with, at most."""

    def __post_init__(self) -> None:
        least = min(self.vectors, self.shortlist, self.top_k, self.trials, self.retain_rows)
        if least < 1 or self.vectors > self.shortlist:
            raise ValueError("vectors, shortlist, top_k, trials, retain_rows are at least 1; vectors at most shortlist")
        if self.contrast <= 0 or self.noise <= 0:
            raise ValueError("contrast and noise must be above 0")


@dataclass(frozen=True)
class Found:
    """A value vector that was tried: its words' share of the concept, and how far forget and retain rows fell with noise on it."""

    place: Place
    share: float
    forget_fall: float
    retain_fall: float


@torch.no_grad()
def find(model: Model, forget: Rows, retain: Rows, search: Search, job: Job) -> list[Found]:
    """Return the vectors tried, the concept's first: by the forget rows' fall beyond the retain rows'.

    Words alone do not tell that a model uses a vector, so that noise decides, as in the paper; the shortlist is what is tried.
    """
    outputs = Outputs.of(model)
    places, vectors = outputs.places(), torch.cat(outputs.matrices)
    retain = retain.take(ordered(retain, job.seed, 0)[: search.retain_rows])
    shares = specificity(model, vectors, concept_tokens(model, forget, retain, search.contrast), search.top_k)
    more = torch.cat(writing(model, forget, job)) - torch.cat(writing(model, retain, job))
    count = min(search.shortlist, len(places))
    tried = sorted({*shares.topk(count).indices.tolist(), *more.topk(count).indices.tolist()})
    at = [places[i] for i in tried]
    total = torch.zeros(len(at), 2, dtype=torch.float64)
    for _ in range(search.trials):
        total += falls(model, at, search.noise, (forget, retain), job)
    drops = (total / search.trials).tolist()
    found = [Found(places[i], float(shares[i]), *fell) for i, fell in zip(tried, drops, strict=True)]
    return sorted(found, key=lambda one: one.retain_fall - one.forget_fall)


def chosen(model: Model, forget: Rows, retain: Rows, search: Search, job: Job) -> list[Place]:
    """Return the places of the concept's vectors and note in the record what the search saw."""
    found = find(model, forget, retain, search, job)
    job.notes["vectors_tried"] = len(found)
    job.notes["concept_vectors"] = [
        f"{one.place.block}/{one.place.unit}: {one.share:.2f} concept words, falls {one.forget_fall:.3f} forget, "
        f"{one.retain_fall:.3f} retain"
        for one in found[: search.vectors]
    ]
    return [one.place for one in found[: search.vectors]]
