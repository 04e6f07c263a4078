"""Membership by entropy as papers on classifiers print it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.anchors import gap_of, refuse_out_of_order
from expunge.engine.told_apart import called_member, sure_is_member
from expunge.facts.errors import InputError
from expunge.facts.score import Score
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import mean_score


@dataclass(frozen=True, kw_only=True)
class EntropyMembership:
    """Measure the share of forget rows that a logistic regression on the model's own entropy calls members.

    Balanced classes; members are the retain rows, non-members the test rows. It points the other way than `mia_efficacy`, and like that
    its ideal is the retrained models' value: below it the outputs on forget rows are too unsure, which shows that they were removed.

    Source: Chundawat et al. 2023; Foster et al. 2024 (SSD) use the same. Reads predictions.
    """

    about = About(
        needs=("forget", "logits", "retain", "test", "predictions", "target", "retrained"),
        modalities=("vision", "tabular"),
        claim="It is high for the target, far lower for a model retrained without a class, lowest for one taught by an untrained model.",
        paper="Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks Using an Incompetent Teacher",
        link="https://arxiv.org/abs/2205.08096",
        year=2023,
        stochastic=False,
        differs=(
            "Without the argument `multi_class`, which scikit-learn no longer takes.",
            "Unscored where doing nothing lies no further from the retrained models than they lie from one another.",
            "What is sure is a member: on clean random rows of digits it calls .77 of them members in models that never saw them, .82 in "
            "the target (five draws; on a class .10 and .77).",
            "Unscored where a removal left retain rows less sure than test rows: the regression turns round and calls every unsure row a "
            "member (after a bad teacher 1 in place of 0 on one of six draws of a class).",
        ),
        battery="named",
        cost="a logistic regression on retain and test rows for each model compared",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the share on forget rows."""

        def calls() -> FloatArray:
            refuse_out_of_order(evidence, gap_of(lambda one: float(called_member(one).mean())), better="lower")
            if not sure_is_member(evidence):
                raise InputError(
                    "its regression turned round: retain rows are less sure than test rows, and unsure rows are called members"
                )
            return called_member(evidence)

        groups = evidence.rows["forget"].groups if "forget" in evidence.rows else ()
        return {"forget": mean_score("called members by entropy", calls, groups, ideal="as_control")}
