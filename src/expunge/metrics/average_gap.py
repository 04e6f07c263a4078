"""Average gap: the mean distance to the retrained models in four numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.anchors import refuse_out_of_order
from expunge.engine.distributions import ahead, remembered, right
from expunge.engine.told_apart import called_non_member
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.score import Score, unscored
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import percentiles, resampled_means

Rowwise = Callable[[Evidence], FloatArray]


@dataclass(frozen=True, kw_only=True)
class AverageGap:
    """Average |gap to retrained| of unlearning accuracy, retain accuracy, test accuracy and membership efficacy, in points of 100.

    Unlearning accuracy is the share of forget rows got wrong, membership efficacy the share that an SVC on the model's own confidence
    calls non-members (the metric `mia_efficacy`). None of the four is better high or low: a retrained model's values are the
    aim, 100 and 100 on a class that went, a few points on random rows. A retrained model is read against the other ones: its
    value is the floor, and a method below the floor is as good as retraining. `all/...` are the four gaps, signed.

    Source: Fan et al. 2024 (SalUn). Differs: see `differs`. Reads predictions of the model, of the target and of retrained models.
    """

    about = About(
        needs=("forget", "logits", "retain", "test", "predictions", "target", "retrained"),
        modalities=("vision", "tabular"),
        claim="On digits with label noise doing nothing lies 17 to 22 points from retraining, a further retrained model 1.",
        paper="SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency in Both Image Classification and Generation",
        link="https://arxiv.org/abs/2310.12508",
        year=2024,
        paper_id="P039",
        stochastic=False,
        differs=(
            "The gap to the mean of several retrained models, with an interval that resamples rows; the paper prints no floor.",
            "The claim is of an MLP of width 256, 100 passes; of width 96 and 30 passes it is 3 to 6 points, and 1.4 to 2.6 of retrained "
            "models.",
            "Unscored where doing nothing lies no further away than a retrained model lies from the others.",
        ),
        battery="full",
        cost="arithmetic on predictions, and an SVC on as many retain rows as test rows for each model compared",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the average gap and the four signed gaps."""
        n = sum(len(evidence.rows.get(split, ())) for split in ("forget", "retain", "test"))
        parts = _parts()
        try:
            refuse_out_of_order(evidence, lambda one, others: _average(_columns(one, others, parts)), better="lower")
            columns = _columns(evidence, evidence.retrained, parts)
        except (InputError, UndeclaredRead) as error:
            return {"all": unscored("average gap", error.what, n=n, ideal="lower")}
        found, draws = {}, []
        for place, (split, column) in enumerate(columns.items()):
            drawn = 100 * resampled_means(column, evidence.rows[split].groups, seed=place)
            draws.append(np.abs(drawn))
            for name, own, gap in zip(parts[split], drawn.T, 100 * column.mean(1), strict=True):
                low, high = percentiles(own)
                found[f"all/{name.replace(' ', '_')}"] = Score(
                    name=f"{name}, gap to retrained",
                    value=float(gap),
                    low=low,
                    high=high,
                    n=column.shape[1],
                    ideal="none",
                )
        value, (low, high) = _average(columns), percentiles(np.concatenate(draws, axis=1).mean(1))
        bounds = {"low": min(low, value), "high": max(high, value)}
        return {"all": Score(name="average gap", value=value, n=n, ideal="lower", **bounds), **found}


def _parts() -> Mapping[str, Mapping[str, Rowwise]]:
    """Return the four readings by the split whose rows they are read on, each made once a model (one fits an SVC)."""
    return {
        "forget": {
            "unlearning accuracy": remembered(lambda one: 1 - right(one, "forget")),
            "membership efficacy": remembered(called_non_member),
        },
        "retain": {"retain accuracy": remembered(lambda one: right(one, "retain"))},
        "test": {"test accuracy": remembered(lambda one: right(one, "test"))},
    }


def _columns(
    one: Evidence, others: Sequence[Evidence], parts: Mapping[str, Mapping[str, Rowwise]]
) -> dict[str, FloatArray]:
    return {split: np.stack([ahead(one, others, read) for read in reads.values()]) for split, reads in parts.items()}


def _average(columns: Mapping[str, FloatArray]) -> float:
    return 100 * float(np.mean(np.abs(np.concatenate([column.mean(1) for column in columns.values()]))))
