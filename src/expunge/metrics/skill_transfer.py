"""What went with a forgotten skill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.skills import answered, by_skill
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.score import Score, unscored
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import mean_score, percentiles, resampled_means

SEEN, UNSEEN = "forget", "forget/unseen"


@dataclass(frozen=True, kw_only=True)
class SkillTransfer:
    """Measure the change in accuracy from the target to the model, row by row: on the forget rows, and on rows that neither was trained on.

    change = model - target; below 0 is forgotten. `forget` and `forget/unseen` are of the skill to go, `skill/NAME` of each other: one
    line of the task-by-task matrix. `forget/carried` is the change on unseen examples divided by that on those given: 1 where the skill
    went as a whole, 0 where its examples alone did. It is unscored where the given examples lost less than `least`.

    Source: Zhang, Choshen and Andreas 2024. Differs: see `differs`. Reads generations of the model and of the target. Cost: nothing.
    """

    about = About(
        needs=("generations", "target"),
        modalities=("text",),
        claim="The share of forgetting that carries over to unseen examples differs strongly between skills; unrelated skills fall too.",
        paper="Unforgettable Generalization in Language Models",
        link="https://arxiv.org/abs/2409.02228",
        year=2024,
        paper_id="P125",
        stochastic=False,
        differs=(
            "A signed change by row with an interval, and a ratio; the paper reports the gap to a model fine-tuned on true labels.",
        ),
        battery="full",
        row_fields=("skill",),
        cost="arithmetic on generations made for all units",
    )

    least: float = 0.1
    """Loss of accuracy on the examples given to the method from which the share carried over is formed."""

    def __post_init__(self) -> None:
        if not 0 < self.least <= 1:
            raise ValueError(f"least must be above 0 and at most 1, not {self.least}")

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the changes, and the share carried over; forget rows are always answered for."""
        found = {}
        for split in (name for name in evidence.rows if name in (SEEN, UNSEEN) or name.startswith("skill/")):
            chosen = _chosen(evidence, split)

            def change(split: str = split) -> FloatArray:
                return self._change(evidence, split)

            found[split] = mean_score(
                "change from the target",
                change,
                evidence.rows[split].take(chosen).groups,
                ideal="as_control" if split.startswith(SEEN) else "none",
                keep=len(chosen) == len(evidence.rows[split]),
            )
        if UNSEEN in evidence.rows:
            found[f"{SEEN}/carried"] = self._carried(evidence)
        return found

    def _change(self, evidence: Evidence, split: str) -> FloatArray:
        if evidence.target is None:
            raise InputError("changes are counted from the target, which is not there")
        chosen = _chosen(evidence, split)
        if not chosen:
            raise InputError(f"no {split} row has a skill")
        return answered(evidence, split, chosen) - answered(evidence.target, split, chosen)

    def _carried(self, evidence: Evidence) -> Score:
        name = "share of forgetting carried over"
        try:
            seen, unseen = (self._change(evidence, split) for split in (SEEN, UNSEEN))
        except (InputError, UndeclaredRead) as error:
            return unscored(name, error.what)
        if -seen.mean() < self.least:
            return unscored(name, f"the examples given lost {-seen.mean():.2f}, less than {self.least}", n=len(unseen))
        draws = [
            resampled_means(change[None], [str(i) for i in range(len(change))], seed=seed)[:, 0]
            for seed, change in enumerate((unseen, seen))
        ]
        low, high = percentiles(draws[0] / np.minimum(draws[1], -1 / len(seen)))
        return Score(
            name=name, value=float(unseen.mean() / seen.mean()), low=low, high=high, n=len(unseen), ideal="none"
        )


def _chosen(evidence: Evidence, split: str) -> list[int]:
    return sorted(i for places in by_skill(evidence.rows[split]).values() for i in places)
