"""Zero retrain forgetting: how much like an untrained model it answers on forget rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.anchors import gap_of, refuse_out_of_order
from expunge.engine.distributions import log_probs
from expunge.facts.errors import InputError
from expunge.facts.score import Score
from expunge.statistics.class_distance import jensen_shannon
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import mean_score


@dataclass(frozen=True, kw_only=True)
class Zrf:
    """Measure 1 - the mean Jensen-Shannon divergence (bits) to an untrained model's predictions on forget rows.

    1 is a model that answers as random weights do. More is not better: a model retrained without the rows has learned something else
    and is not random on them, so its value is the aim, and one above it can be told from a model that never saw the rows.

    Source: Chundawat et al. 2023. Differs: see `differs`. Reads predictions of the model, of an untrained one and of retrained ones.
    """

    about = About(
        needs=("forget", "logits", "predictions", "untrained", "target", "retrained"),
        modalities=("vision", "tabular"),
        claim="Teaching by an untrained model raises it above doing nothing; on rows that retraining forgets so does retraining.",
        paper="Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks Using an Incompetent Teacher",
        link="https://arxiv.org/abs/2205.08096",
        year=2023,
        stochastic=False,
        differs=(
            "In bits and summed over classes, so that it spans 0 to 1; two public codes average over classes, or take cosines of logits.",
            "The aim is the retrained models' value, not the highest.",
            "Unscored where doing nothing lies no further from the retrained models than they lie from one another.",
            "Measured on a class of digits, five draws: target .26, retrained .39, random weights 1, a badly taught model .91, one whose "
            "head alone was changed .83. High is not forgotten: doing nothing lies nearer to retraining (.14) than bad teaching (.52).",
            "On random rows teaching raises it by .25 and more, retraining by .01 with clean labels; with wrong ones (.02) that is not "
            "told from nothing, and it is unscored on one draw of five.",
        ),
        battery="full",
        cost="arithmetic on predictions",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the mean on forget rows."""
        untrained = evidence if evidence.role == "untrained" else evidence.untrained

        def alike(one: Evidence) -> FloatArray:
            if untrained is None:
                raise InputError("there is no untrained model")
            return 1 - jensen_shannon(log_probs(one, "forget"), log_probs(untrained, "forget"))

        def rows() -> FloatArray:
            refuse_out_of_order(evidence, gap_of(lambda one: float(alike(one).mean())), better="lower")
            return alike(evidence)

        groups = evidence.rows["forget"].groups if "forget" in evidence.rows else ()
        return {"forget": mean_score("zero retrain forgetting", rows, groups, ideal="as_control")}
