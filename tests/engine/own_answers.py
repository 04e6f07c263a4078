"""A model fits the answers that it was trained on and misses those that it was not: what sources with wrong labels are for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from statistics import fmean

import torch
from classifiers import over

from expunge.contract.model import Model
from expunge.contract.splits import SPLITS, Splits
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.testbeds.problem import Problem, train_problem

Read = Callable[[Model, Rows], float]


@torch.no_grad()
def right(model: Model, rows: Rows) -> float:
    """Share of rows whose (noisy) label is the arg-max, in percent."""
    batch = model.pack(rows)
    return 100 * float((model.logits(batch).argmax(-1) == batch.targets).float().mean())


@torch.no_grad()
def closeness(model: Model, rows: Rows) -> float:
    """Root mean squared error in standard deviations of the target, below zero."""
    return -float((2 * model.total_loss(model.pack(rows)).mean()).sqrt())


def ten_retrained(name: str, found: Mapping[str, Rows], blank: Model, seed: int, **recipe: float) -> Problem:
    """Train a target under a seed and ten models on the retain rows under the next ones."""
    torch.set_num_threads(1)
    splits = Splits.of(**{split: found[split] for split in SPLITS})
    return train_problem(name, splits, blank, Recipe(**recipe, seed=seed), retrained=10)  # type: ignore[arg-type]


def fits_its_own(problems: Iterable[Problem], read: Read, least: float) -> None:
    """See, over draws, that the target reads better by `least` on its forget rows than on holdout rows, and than retrained models do there.

    And better by more than retrained models, which saw neither, find the two to differ: as many wrong answers in one as in the other.
    """
    draws = []
    for problem in problems:
        draw = {}
        for split in ("forget", "holdout"):
            rows = problem.splits.rows[split]
            draw[f"target {split}"] = read(problem.target, rows)
            draw[split] = fmean(read(one, rows) for one in problem.retrained)
        draw["more"] = draw["target forget"] - draw["target holdout"]
        draw["chance"] = draw["forget"] - draw["holdout"]
        draws.append(draw)
    for name in draws[0]:
        over(draws, name)
    assert over(draws, "target forget", less="target holdout").low > least
    assert over(draws, "target forget", less="forget").low > least
    assert over(draws, "more", less="chance").low > least
