"""Activation distance to the retrained models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.anchors import refuse_out_of_order
from expunge.engine.distributions import mean_over
from expunge.facts.errors import InputError
from expunge.facts.score import Score
from expunge.statistics.class_distance import euclidean
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import mean_score


@dataclass(frozen=True, kw_only=True)
class ActivationDistance:
    """Measure the mean Euclidean distance between softmax outputs and the retrained models' on forget rows.

    At most sqrt 2, where both are certain of different classes. A row's number is the mean over the retrained models; what one
    of them reads against the others is the floor.

    Source: Golatkar et al. 2021; Chundawat et al. 2023 use it so. Reads predictions.
    """

    about = About(
        needs=("forget", "logits", "predictions", "target", "retrained"),
        modalities=("vision", "tabular"),
        claim="It is largest for the target and at its floor for a second retrained model.",
        paper="Mixed-Privacy Forgetting in Deep Networks",
        link="https://arxiv.org/abs/2012.13431",
        year=2021,
        stochastic=False,
        differs=(
            "The mean over several retrained models, with an interval.",
            "Unscored where the target reads no worse than a retrained model against the others.",
            "The claim holds on a forgotten class. On a random tenth of digits the target is not the largest: .24 with wrong labels, .05 "
            "with clean ones, a model taught by an untrained one .29 and .26; retraining once more already gives 52% and 62% of the "
            "target's number, on a class 17% (five draws): without this floor the paper's number is mostly the seed of retraining.",
        ),
        battery="full",
        cost="arithmetic on predictions",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the mean on forget rows."""

        def between(one: Evidence, others: Sequence[Evidence]) -> FloatArray:
            return mean_over(one, others, "forget", euclidean)

        def rows() -> FloatArray:
            if not evidence.retrained:
                raise InputError("there is no retrained model to compare with")
            refuse_out_of_order(evidence, lambda one, others: float(between(one, others).mean()), better="lower")
            return between(evidence, evidence.retrained)

        groups = evidence.rows["forget"].groups if "forget" in evidence.rows else ()
        return {"forget": mean_score("activation distance to retrained", rows, groups, ideal="lower")}
