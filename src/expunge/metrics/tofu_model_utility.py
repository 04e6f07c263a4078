"""TOFU's model utility."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import named_answers, rouges
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.score import Score, unscored
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import percentiles, resampled_means
from expunge.statistics.tofu import harmonic_mean, log_truth_ratio, normalised_probability, true_better

PUBLIC = ("real_authors", "world_facts")
RETAIN = ("retain_perturbed", "retain")


@dataclass(frozen=True, kw_only=True)
class TofuModelUtility:
    """Average nine numbers harmonically: probability, ROUGE-L recall and truth ratio on retain, real-authors and world-facts rows.

    Probability is normalised by the wrong answers on the latter two; the truth ratio is max(0, 1 - TR), geometric. One zero makes the whole
    zero. `utility/retain` is the harmonic mean of the three retain numbers alone: where real authors and world facts stood in
    training as a stand-in for pre-training, it is the one to read. Retain rows are those of `retain_perturbed` where there are any.

    Source: Maini et al. 2024. Reads the one pass and generations.
    """

    about = About(
        needs=("retain", "scores", "generations"),
        modalities=("text",),
        claim="Gradient ascent sends it to 0 on forget05 and forget10, where the retrained model keeps the target's.",
        paper="TOFU: A Task of Fictitious Unlearning for LLMs",
        link="https://arxiv.org/abs/2401.06121",
        year=2024,
        stochastic=False,
        differs=("With an interval: rows (or authors) of the three sets are resampled.",),
        cost="arithmetic on the one pass and on generations",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the utility of all nine and of the three on retain rows."""
        retain = next((split for split in RETAIN if len(evidence.rows.get(split, ()))), "retain")
        return {
            "utility": _score("TOFU model utility", evidence, (retain, *PUBLIC)),
            "utility/retain": _score("TOFU model utility, retain only", evidence, (retain,)),
        }


def three_measures(evidence: Evidence, split: str) -> FloatArray:
    """Return probability, ROUGE-L recall and truth ratio of each row, (3, rows)."""
    if not len(evidence.rows.get(split, ())):
        raise InputError(f"there are no {split} rows")
    answers = named_answers(evidence, split)
    probability = normalised_probability(answers) if split in PUBLIC else np.exp(answers.own)
    recall = np.array([one.recall for one in rouges(evidence, split)], np.float64)
    return np.stack([probability, recall, true_better(log_truth_ratio(answers, "geometric"))])


def _score(name: str, evidence: Evidence, splits: Sequence[str]) -> Score:
    try:
        tables = [three_measures(evidence, split) for split in splits]
        value = harmonic_mean(np.concatenate([table.mean(1) for table in tables]))
    except (InputError, UndeclaredRead) as error:
        return unscored(name, error.what, ideal="higher")
    pairs = zip(tables, splits, strict=True)
    draws = np.concatenate([resampled_means(table, evidence.rows[split].groups) for table, split in pairs], axis=1)
    low, high = percentiles(np.array([harmonic_mean(draw) for draw in draws]))
    return Score(name=name, value=value, low=low, high=high, n=sum(table.shape[1] for table in tables), ideal="higher")
