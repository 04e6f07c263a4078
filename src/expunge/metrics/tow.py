"""Tug-of-war: how near a removal lies to retraining on three splits at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.anchors import refuse_out_of_order
from expunge.engine.distributions import ahead, remembered, right
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.score import Score, unscored
from expunge.statistics.summary import percentiles, resampled_means

SPLITS = ("forget", "retain", "test")


@dataclass(frozen=True, kw_only=True)
class Tow:
    """Multiply 1 - |accuracy - retrained accuracy| over forget, retain and test rows.

    1 is a model as accurate as the retrained ones on each split, and one factor near 0 is not made up for by the others. Retrained
    accuracy is the mean of the retrained models; a retrained model is read against the other ones, and what that gives is the floor.

    Source: Zhao et al. 2024 (RUM). Differs: see `differs`. Reads predictions of the model, of the target and of retrained models.
    """

    about = About(
        needs=("forget", "logits", "retain", "test", "predictions", "target", "retrained"),
        modalities=("vision", "tabular"),
        claim="Where only a model trained on the forget rows knows them, a retrained model scores near 1 and doing nothing far below.",
        paper="What Makes Unlearning Hard and What to Do About It",
        link="https://arxiv.org/abs/2406.01257",
        year=2024,
        stochastic=False,
        differs=(
            "Against the mean of several retrained models, with an interval that resamples rows.",
            "Unscored where doing nothing scores no lower than a retrained model does against the others.",
            "Measured on digits, five draws: retraining .98 and more. Doing nothing scores 0 on a class, but .68 on a tenth with wrong "
            "labels learnt by heart, .85 where they were hardly learnt, .95 to .97 with clean labels (on two draws refused).",
            "It reads first choices alone: on a class a target whose head only was taught other labels scores .97.",
        ),
        battery="full",
        cost="arithmetic on predictions",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the product over the three splits."""
        n = sum(len(evidence.rows.get(split, ())) for split in SPLITS)
        reads = {split: remembered(partial(right, split=split)) for split in SPLITS}

        def product(one: Evidence, others: Sequence[Evidence]) -> float:
            return float(np.prod([1 - abs(ahead(one, others, read).mean()) for read in reads.values()]))

        try:
            refuse_out_of_order(evidence, product, better="higher")
            columns = {split: ahead(evidence, evidence.retrained, read) for split, read in reads.items()}
        except (InputError, UndeclaredRead) as error:
            return {"all": unscored("tug-of-war", error.what, n=n, ideal="higher")}
        means = [
            resampled_means(column[None], evidence.rows[split].groups, seed=place)
            for place, (split, column) in enumerate(columns.items())
        ]
        low, high = percentiles(np.prod([1 - np.abs(mean[:, 0]) for mean in means], axis=0))
        value = float(np.prod([1 - abs(column.mean()) for column in columns.values()]))
        bounds = {"low": min(low, value), "high": max(high, value)}
        return {"all": Score(name="tug-of-war", value=value, n=n, ideal="higher", **bounds)}
