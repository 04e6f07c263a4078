"""LUME's aggregates: the task aggregate and the final score of SemEval-2025 Task 4."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.lume import Cell, cells, completion_likelihood, utility_cell
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.score import Score, unscored
from expunge.statistics.auc import auc
from expunge.statistics.clusters import FloatArray
from expunge.statistics.lume import membership_score, resampled_aucs
from expunge.statistics.summary import percentiles
from expunge.statistics.tofu import harmonic_mean

Drawn = tuple[float, FloatArray]
"""A value and what it is over bootstrap draws."""


@dataclass(frozen=True, kw_only=True)
class LumeAggregate:
    """Average LUME's scores to one number, as its leaderboard did.

    `task_aggregate`: the harmonic mean of four scores a task: regurgitation and knowledge on retain rows, and 1 - those on forget rows.
    `task_mean`: their arithmetic mean. `final`: the mean of the task aggregate, the membership score and utility. One zero makes the
    harmonic mean zero: a target that answers one task's questions without a fault has 0, and so has a model that forgot all
    but these. On forget rows 0 is best, not what a retrained model has: one that says nothing there passes it. So this is no
    headline, and its ideal here is the control's value.

    Source: Ramakrishna et al. 2025 (SemEval-2025 Task 4). Differs: see `differs`. Reads the one pass and generations.
    """

    about = About(
        needs=("forget", "retain", "scores", "generations"),
        modalities=("text",),
        claim="The task aggregate and the membership score pull apart: methods that forget most overshoot, and lose utility.",
        paper="SemEval-2025 Task 4: Unlearning sensitive content from Large Language Models",
        link="https://arxiv.org/abs/2504.02883",
        year=2025,
        stochastic=False,
        differs=(
            "Utility is exact match on test questions; the published final score has MMLU accuracy, and 0.371 of it as a threshold.",
            "Over the tasks that there are: 12 scores with all three, 8 with two.",
            "With intervals; `task_mean` is added.",
        ),
        battery="full",
        row_fields=("subtask", "kind"),
        cost="arithmetic on the one pass and on generations",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the task aggregate, the arithmetic mean of the same scores, and the final score."""
        return {
            "task_aggregate": _score("LUME task aggregate (harmonic mean)", lambda: _tasks(evidence, harmonic_mean)),
            "task_mean": _score("LUME scores, arithmetic mean", lambda: _tasks(evidence, np.mean)),
            "final": _score("LUME final score", lambda: _final(evidence)),
        }


def _score(name: str, compute: Callable[[], Drawn]) -> Score:
    try:
        value, draws = compute()
    except (InputError, UndeclaredRead) as error:
        return unscored(name, error.what, ideal="as_control")
    low, high = percentiles(draws)
    return Score(name=name, value=value, low=low, high=high, ideal="as_control")


def _tasks(evidence: Evidence, average: Callable[[FloatArray], float]) -> Drawn:
    found = cells(evidence)
    draws = np.stack([cell.draws() for cell in found], axis=1)
    return float(average(_means(found))), np.array([float(average(draw)) for draw in draws])


def _means(found: list[Cell]) -> FloatArray:
    return np.array([cell.values.mean() for cell in found], np.float64)


def _final(evidence: Evidence) -> Drawn:
    tasks, task_draws = _tasks(evidence, harmonic_mean)
    utility = utility_cell(evidence)
    members, groups = completion_likelihood(evidence, "forget")
    others, other_groups = completion_likelihood(evidence, "holdout")
    area, areas = auc(members, others), resampled_aucs(members, others, groups, other_groups)
    value = np.mean([tasks, membership_score(area), utility.values.mean()])
    return float(value), (task_draws + membership_score(areas) + utility.draws()) / 3
