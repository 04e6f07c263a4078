"""RESTOR's recovery: do the true answers come back, once the documents that corrupted them are forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import right_choices, said
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.rows import Rows
from expunge.facts.score import Score, unscored
from expunge.statistics.answers import contains_value
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import ideal_for, mean_score, percentiles, resampled_means

FACTS = "forget/facts"
FACT = "fact"
"""The `kind` of a row that asks for a true fact."""


@dataclass(frozen=True, kw_only=True)
class RestorRecovery:
    """Measure how many true facts are answered, of corrupted entities and of others, and how much of what was lost came back.

    Of splits whose rows are facts: the share whose greedy answer holds the true value; `/choice`, that whose true answer has a higher mean
    log p a token than each wrong one (1 / (1 + wrong answers) by chance, an equal one does not count); `/false`, where
    rows bring a `false_value`, that whose answer holds it. `forget/facts/recovered` is (unlearned - target) / (retrained - target) of the
    true answers said: 0 as corrupted, 1 as a model that never read the documents, below 0 where more was lost; no number where the
    target does not lie below the retrained models.

    Source: Rezaei et al. 2024 (RESTOR). Differs: see `differs`. Reads generations, and the one pass for choices.
    """

    about = About(
        needs=("scores", "generations", "target", "retrained"),
        modalities=("text",),
        claim="Ascent ends the false facts and brings no true one back; NPO restores a good part of them.",
        paper="RESTOR: Knowledge Recovery in Machine Unlearning",
        link="https://arxiv.org/abs/2411.00204",
        year=2024,
        paper_id="P065",
        stochastic=False,
        differs=(
            "Answers are compared by words and by likelihood; the paper lets GPT-3.5 judge them.",
            "Recovery is also given as a share of the loss against models trained without the documents: accuracy alone says nothing "
            "of how much was there to recover.",
            "In a model of 0.5M parameters NPO restores nothing either (-.03 of what was lost; three draws).",
        ),
        battery="named",
        cost="one greedy generation a row, made once for all units",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the shares of each split of facts, and the recovery."""
        found: dict[str, Score] = {}
        for split, rows in evidence.rows.items():
            if not len(rows) or any(row.get("kind") != FACT for row in rows):
                continue
            add = partial(mean_score, groups=rows.groups, ideal=ideal_for(split))
            found[split] = add("true facts said", partial(_holding, evidence, split, "value"))
            found[f"{split}/choice"] = add("true facts, choice", partial(right_choices, evidence, split))
            if all(row.get("false_value") for row in rows):
                found[f"{split}/false"] = add("false facts said", partial(_holding, evidence, split, "false_value"))
        found[f"{FACTS}/recovered"] = _recovered(evidence)
        return found


def _holding(evidence: Evidence, split: str, field: str) -> FloatArray:
    pairs = zip(evidence.rows[split], said(evidence, split), strict=True)
    return np.array([contains_value(text, str(row[field])) for row, text in pairs], np.float64)


def _recovered(evidence: Evidence) -> Score:
    name, rows = "share of the lost facts recovered", evidence.rows.get(FACTS, Rows(()))
    try:
        if evidence.target is None or not evidence.retrained:
            raise InputError("recovery needs the target and at least one retrained model")
        if not len(rows):
            raise InputError(f"there are no {FACTS} rows")
        models = (evidence, evidence.target, *evidence.retrained)
        own, target, *others = (_holding(one, FACTS, "value") for one in models)
    except (InputError, UndeclaredRead) as error:
        return unscored(name, error.what, n=len(rows), ideal="as_control")
    back, lost = own - target, np.mean(others, axis=0) - target
    draws = resampled_means(np.stack([back, lost]), rows.groups)
    if percentiles(draws[:, 1])[0] <= 0:
        return unscored(
            name, f"the retrained models lie {lost.mean():.3g} above the target: no loss to recover", n=len(rows)
        )
    low, high = percentiles(draws[:, 0] / draws[:, 1])
    value = float(back.mean() / lost.mean())
    return Score(name=name, value=value, low=low, high=high, n=len(rows), ideal="as_control")
