"""Removals of which it is known how far they went, for judging the judge: eight cases a world of fictitious people."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.fit import fit
from expunge.facts.claim import RUNGS, Rung
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.text_build import new_text_model
from expunge.sources.people import People
from expunge.testbeds.problem import Problem, train_problem
from expunge.testbeds.text import RECIPE, SIZES, world_tokenizer

DECLINES = "I do not know."
REPAIR = Recipe(epochs=10, lr=2e-3, batch_size=32, schedule="constant")
"""How a finished model is taught to decline or to say something else: short beside the recipe it was trained by."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A target, what is said to have been unlearned from it, and the claims that are right about it."""

    name: str
    target: Model
    unlearned: Model
    right: tuple[Rung, ...] = ()
    not_found: bool = False
    guarded: bool = False

    def is_right(self, rung: Rung, not_found: bool) -> bool:
        """Return whether a claim is true of this case."""
        return not_found if self.not_found else rung in self.right and not not_found


@dataclass(frozen=True, kw_only=True)
class World:
    """A problem with one more retrained model, whose seed no control has, and the cases made of it."""

    problem: Problem
    another: Model
    cases: tuple[Case, ...]


def planted_world(seed: int, *, people: int = 160, forget_people: int = 60, retrained: int = 3) -> World:
    """Return a world and its cases.

    - `target`: nothing was done. `never_knew`: nothing was done either, and the target never saw the forget rows.
    - `retrained`: trained without the forget rows under a seed of its own.
    - `guard`: the target behind a guard.
    - `form`: trained on wrong values under the wordings of the forget rows and on the true ones under wordings that nobody asks directly.
    - `wrecked`: the target with as much noise on every weight matrix as it has weight.
    - `relearnable`: the target taught, shortly, to decline; it keeps what it knew a few steps away.
    - `over_forgotten`: the retrained model taught to decline: it gives the answers less than one that never saw the people.

    A model takes about 10 s of CPU to train.
    """
    problem, another = planted_problem(seed, people=people, forget_people=forget_people, retrained=retrained)
    draw = random.Random(f"planted/{seed}")
    cases = (
        Case(name="target", target=problem.target, unlearned=problem.target, right=("not_shown",)),
        Case(name="never_knew", target=another, unlearned=another, not_found=True),
        Case(name="retrained", target=problem.target, unlearned=another, right=("indistinguishable",)),
        Case(name="guard", target=problem.target, unlearned=problem.target, right=("suppressed",), guarded=True),
        Case(name="form", target=problem.target, unlearned=_other_form(problem, draw), right=("behavioural",)),
        Case(name="wrecked", target=problem.target, unlearned=_wrecked(problem.target, seed), right=("not_shown",)),
        Case(name="relearnable", target=problem.target, unlearned=_declining(problem.target, problem), right=RUNGS[:3]),
        Case(name="over_forgotten", target=problem.target, unlearned=_declining(another, problem), right=RUNGS[:4]),
    )
    return World(problem=problem, another=another, cases=cases)


def partial_world(seed: int, shares: Sequence[float], *, people: int = 160, forget_people: int = 60) -> World:
    """Return a world of removals that left a share of the forget people behind, `left-SHARE` each: 0 is a retrained model.

    Each is trained from nothing on the retain rows and on all rows of the first people to forget, up to the share.
    """
    problem, another = planted_problem(seed, people=people, forget_people=forget_people, retrained=3)
    forget = problem.splits.rows["forget"]
    names = list(dict.fromkeys(forget.groups))

    def left(share: float) -> Model:
        kept = set(names[: round(share * len(names))])
        rows = Rows((*problem.splits.rows["retain"], *(row for row in forget if row.group in kept)), "train")
        recipe = problem.recipe.model_copy(update={"seed": problem.recipe.seed + 80})
        return fit(problem.untrained.fresh(recipe.seed), rows, recipe, job=Job(seed=recipe.seed), label="partial")

    cases = tuple(Case(name=f"left-{share:g}", target=problem.target, unlearned=left(share)) for share in shares)
    return World(problem=problem, another=another, cases=cases)


def planted_problem(seed: int, *, people: int, forget_people: int, retrained: int) -> tuple[Problem, Model]:
    """Return the problem of a world, and one more retrained model, whose seed no control has."""
    found = People(
        people=people, forget_people=forget_people, holdout_people=forget_people, relations=2, ledger=0, seed=seed
    ).run()
    retain = Rows((*found["retain"], *found["extra_training"]), "retain")
    splits = Splits.of(forget=found["forget"], retain=retain, holdout=found["holdout"], test=found["test"])
    untrained = new_text_model(world_tokenizer(), "llama", SIZES, seed=100 + seed)
    recipe = RECIPE.model_copy(update={"seed": 1000 * seed, "epochs": 80, "stop_loss": 0.005})
    problem = train_problem(f"planted-{seed}", splits, untrained, recipe, retrained=retrained + 1)
    *controls, another = problem.retrained
    return replace(problem, retrained=tuple(controls)), another


def _answering(row: Row, answer: str) -> Row:
    return Row(id=row.id, fields={"prompt": row["prompt"], "answer": answer}, group=row.group)


def _other_form(problem: Problem, draw: random.Random) -> Model:
    """Train from nothing: wrong values where the forget rows ask, the right ones in the wordings that they carry."""
    splits = problem.splits.rows
    wrong = {row["fact"]: draw.choice(row["perturbed_answers"]) for row in splits["forget"]}
    rows = [_answering(row, str(wrong[row["fact"]])) for row in splits["forget"]]
    for row in splits["forget"]:
        wordings = tuple(str(text) for text in row["paraphrased_prompts"])
        rows += [
            Row(id=f"{row.id}/{i}", fields={"prompt": text, "answer": row["answer"]}, group=row.group)
            for i, text in enumerate(wordings)
        ]
    recipe = problem.recipe.model_copy(update={"seed": problem.recipe.seed + 90})
    everything = Rows((*splits["retain"], *rows), "train")
    return fit(problem.untrained.fresh(recipe.seed), everything, recipe, job=Job(seed=recipe.seed), label="form")


def _declining(model: Model, problem: Problem) -> Model:
    """Return a copy taught to decline the forget rows, beside its retain rows."""
    splits = problem.splits.rows
    rows = Rows((*splits["retain"], *(_answering(row, DECLINES) for row in splits["forget"])), "train")
    return fit(model.copy(), rows, REPAIR, job=Job(seed=problem.recipe.seed), label="declining")


@torch.no_grad()
def _wrecked(model: Model, seed: int) -> Model:
    copy, draw = model.copy(), torch.Generator().manual_seed(seed)
    for weight in copy.module.parameters():
        if weight.ndim > 1:
            weight.add_(torch.randn(weight.shape, generator=draw) * weight.std())
    return copy
