"""Accuracy by skill, with chance beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.skills import answered, by_skill, commonest
from expunge.facts.score import Score, unscored
from expunge.statistics.summary import ideal_for, mean_score


@dataclass(frozen=True, kw_only=True)
class SkillAccuracy:
    """Measure the share of rows answered exactly: of each split that has skills, and of each skill of a split that has several.

    `SPLIT/chance` beside the forget splits is what saying always their commonest answer is worth. The retrained model, which never saw the
    skill, is the floor: it cannot do it, but may answer in the manner of a skill that it has, above or below chance.

    Source: Zhang, Choshen and Andreas 2024. Differs: see `differs`. Reads generations. Cost: nothing.
    """

    about = About(
        needs=("generations",),
        modalities=("text",),
        claim="Forgetting by random labels makes examples that it was given near chance; unseen ones of the same skill differ by skill.",
        paper="Unforgettable Generalization in Language Models",
        link="https://arxiv.org/abs/2409.02228",
        year=2024,
        paper_id="P125",
        stochastic=False,
        differs=(
            "Whole greedy answers, not the likelier of two options: a model that says something else altogether is below chance.",
        ),
        battery="full",
        row_fields=("skill",),
        cost="one greedy generation a row, made once for all units",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return accuracies by split and skill; forget rows are always answered for."""
        found = {}
        for split, rows in evidence.rows.items():
            skills = by_skill(rows)
            every = sorted(i for chosen in skills.values() for i in chosen)
            if not every:
                if split == "forget":
                    found[split] = unscored("accuracy", "no forget row has a skill", ideal=ideal_for(split))
                continue
            parts = {split: every}
            if len(skills) > 1:
                parts |= {f"{split}/{name}": chosen for name, chosen in skills.items()}
            for part, chosen in parts.items():
                found[part] = mean_score(
                    "accuracy",
                    partial(answered, evidence, split, chosen),
                    rows.take(chosen).groups,
                    ideal=ideal_for(split),
                    keep=len(chosen) == len(rows),
                )
            if split.partition("/")[0] == "forget":
                found[f"{split}/chance"] = mean_score(
                    "chance: the commonest answer",
                    partial(commonest, rows, every),
                    rows.take(every).groups,
                    ideal="none",
                    keep=False,
                )
        return found
