"""Train a model stage by stage: one group of layers after another, from the top, the ones before it still."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine.ensembles import Ensemble, kind_of
from expunge.engine.fit import fit, seeded
from expunge.engine.staged import DOWN, UP, Staged, changed, digest_of, merged
from expunge.facts.errors import ContractBroken, InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows

MAPS = ("Linear", "Conv2d", "Conv1D")


class LowRank(nn.Module):
    """A weight plus up @ down; up begins at zero, so that a stage begins where the last one ended."""

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        outputs, rest = weight.shape[0], weight[0].numel()
        down = torch.randn(min(rank, outputs, rest), rest, generator=generator) / rest**0.5
        self.down = nn.Parameter(down.to(weight))
        self.up = nn.Parameter(torch.zeros(outputs, len(down)).to(weight))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the changed weight."""
        return changed(weight, self.down, self.up)


def groups_of(model: Model, slices: int) -> list[list[str]]:
    """Return names of the linear maps in each group of layers, from the top; there are at most as many groups as slices."""
    sites = model.sites()
    layers = [_maps(model, name) for name in (*sites.embedding, *sites.blocks)]
    layers = [maps for maps in reversed(layers) if maps]
    if not layers:
        raise InputError("s3t trains the linear maps of layers, and this network has none")
    count = min(slices, len(layers))
    cuts = [number * len(layers) // count for number in range(count + 1)]
    return [[name for maps in layers[a:b] for name in maps] for a, b in pairwise(cuts)]


def _maps(model: Model, layer: str) -> list[str]:
    return [
        name
        for name, module in model.module.named_modules()
        if type(module).__name__ in MAPS and (name == layer or name.startswith(layer + "."))
    ]


def _head(model: Model) -> set[str]:
    """Return the head's parameters; a head that shares its weight with the embedding has none of its own."""
    heads = tuple(f"{name}." for name in model.sites().head)
    return {name for name, _ in model.module.named_parameters() if heads and name.startswith(heads)}


@contextmanager
def low_rank(model: Model, maps: list[str], rank: int, seed: int) -> Iterator[dict[str, LowRank]]:
    """Put a low-rank change on each map inside; the weights are what they were on leaving."""
    generator = torch.Generator().manual_seed(seed)
    changes: dict[str, LowRank] = {}
    for name in maps:
        module = model.module.get_submodule(name)
        weight = module.get_parameter("weight")
        changes[name] = LowRank(weight, rank, generator)
        parametrize.register_parametrization(module, "weight", changes[name])
    try:
        yield changes
    finally:
        for name in maps:
            parametrize.remove_parametrizations(model.module.get_submodule(name), "weight", leave_parametrized=False)


def train_staged(
    ensemble: Ensemble,
    shard: int,
    number: int,
    order: tuple[int, ...],
    rows: Rows,
    recipe: Recipe,
    job: Job,
    rank: int,
    cumulative: bool,
) -> Staged:
    """Train model `number` of a shard from the base weights; a slice without rows adds an empty stage.

    Stage j moves group j of the layers (beginning again from the top where slices are more), the first one the head too. It reads slice
    `order[j]`, or with `cumulative` all slices up to it: no stage reads a slice that comes later.
    """
    model = kind_of(ensemble).copy()
    groups, places = groups_of(model, len(order)), [ensemble.place_of(row) for row in rows]
    one = Staged(order, [], [])
    for j in range(len(order)):
        read = order[: j + 1] if cumulative else order[j : j + 1]
        chosen = [i for i, (s, part) in enumerate(places) if s == shard and part in read]
        own = any(places[i][1] == order[j] for i in chosen)
        model.module.load_state_dict(merged(ensemble.base, one.stages))
        one.stages.append(
            _stage(model, groups[j % len(groups)], rows.take(chosen), _part(recipe, shard, number, j), job, rank, not j)
            if own
            else {}
        )
        one.digests.append(digest_of(one.stages))
    return one


def _part(recipe: Recipe, shard: int, number: int, stage: int) -> Recipe:
    """Return the recipe of one stage, under a seed of its own."""
    return recipe.model_copy(update={"seed": recipe.seed + 1_000_000 * number + 1000 * shard + stage})


def _stage(
    model: Model, maps: list[str], rows: Rows, recipe: Recipe, job: Job, rank: int, first: bool
) -> dict[str, Tensor]:
    head = _head(model) if first else set()
    with low_rank(model, maps, rank, recipe.seed) as changes, seeded(job, recipe.seed) as own:
        movable = {f"{name}.parametrizations.weight.0.{side}" for name in maps for side in ("down", "up")}
        fit(model, rows, recipe, job=own, label=f"stage on {len(rows)} rows", movable=frozenset(movable | head))
        added = {f"{name}.weight{DOWN}": change.down.detach().clone() for name, change in changes.items()}
        added |= {f"{name}.weight{UP}": change.up.detach().clone() for name, change in changes.items()}
    state = model.module.state_dict()
    return {**added, **{name: state[name].detach().clone() for name in head}}


def serve(ensemble: Ensemble, shard: int) -> None:
    """Put the model of a shard with the most stages on (the first of equals) in the shard's place; without any it has no vote."""
    best = max(ensemble.copies[shard], key=lambda one: sum(map(bool, one.stages)))
    ensemble.members[shard].module.load_state_dict(merged(ensemble.base, best.stages))
    ensemble.silent = ensemble.silent - {shard} if best.knows() else ensemble.silent | {shard}


def switch_off(ensemble: Ensemble, rows: Sequence[Row]) -> tuple[int, int]:
    """Drop every stage that read a slice of `rows`, which are in; return how many slices and stages. Refuse to drop the last one."""
    places = sorted({ensemble.place_of(row) for row in rows})
    gone = sum(one.switch_off(part) for shard, part in places for one in ensemble.copies[shard])
    if not any(one.knows() for copies in ensemble.copies for one in copies):
        raise InputError(
            "no stage of any shard would be left: the model must be trained again",
            causes=("the forget rows touch every slice that a model began with",),
            do="prepare it again on the retain rows",
        )
    for shard in sorted({shard for shard, _ in places}):
        if not all(one.is_what_was_trained() for one in ensemble.copies[shard]):
            raise ContractBroken(f"what is left of shard {shard} is not what was trained before the slice was read")
        serve(ensemble, shard)
    ensemble.let_go(rows)
    return len(places), gone
