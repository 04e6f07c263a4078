"""Membership efficacy as papers on classifiers print it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.anchors import gap_of, refuse_out_of_order
from expunge.engine.told_apart import called_non_member
from expunge.facts.score import Score
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import mean_score


@dataclass(frozen=True, kw_only=True)
class MiaEfficacy:
    """Measure the share of forget rows that an attack fitted on the model's own confidence calls non-members.

    SVC(C=3, rbf, gamma=auto) on p(label); members are as many retain rows as there are test rows, non-members the test rows. Its
    ideal is the retrained models' value, not the highest: 100% on a class that went is what retraining gives, no triumph, and on random
    rows of easy data retraining gives a few percent.

    Source: Jia et al. 2023 (whose code SalUn's tables use too). Differs: see `differs`. Reads predictions.
    """

    about = About(
        needs=("forget", "logits", "retain", "test", "predictions", "target", "retrained"),
        modalities=("vision", "tabular"),
        claim="It is 100% for models retrained without a class, a few percent for those without random rows, about 0 for the target.",
        paper="Model Sparsity Can Simplify Machine Unlearning",
        link="https://arxiv.org/abs/2304.04934",
        year=2023,
        paper_id="P029",
        stochastic=False,
        differs=(
            "One of the five features of its code: the confidence, which the papers print; another, the modified entropy, is wrong there.",
            "The retain rows are drawn by a hash of their ids, and no side has more rows than the other.",
            "Unscored where doing nothing lies no further from the retrained models than they lie from one another.",
        ),
        battery="named",
        cost="an SVC on as many retain rows as test rows for each model compared",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the share on forget rows."""

        def calls() -> FloatArray:
            refuse_out_of_order(evidence, gap_of(lambda one: float(called_non_member(one).mean())), better="lower")
            return called_non_member(evidence)

        groups = evidence.rows["forget"].groups if "forget" in evidence.rows else ()
        return {"forget": mean_score("membership efficacy", calls, groups, ideal="as_control")}
