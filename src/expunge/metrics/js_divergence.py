"""Jensen-Shannon divergence to the retrained models' predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.anchors import refuse_out_of_order
from expunge.engine.distributions import mean_over
from expunge.facts.errors import InputError
from expunge.facts.score import Score
from expunge.statistics.class_distance import jensen_shannon
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import mean_score


@dataclass(frozen=True, kw_only=True)
class JsDivergence:
    """Measure how far the predicted distributions lie from the retrained models': mean Jensen-Shannon divergence, bits.

    Accuracy asks for the first choice only; a removal that leaves the right answer second, or spreads all answers evenly, shows here.
    A row's number is the mean over the retrained models. They differ from one another too: what a retrained model reads
    against the others is the floor.

    Source: Chundawat et al. 2023 (forget rows, one retrained model). Reads predictions of the model, of the target and of retrained models.
    """

    about = About(
        needs=("logits", "predictions", "target", "retrained"),
        modalities=("vision", "tabular"),
        claim="On forget rows it is largest for the target and at its floor for a second retrained model.",
        paper="Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks Using an Incompetent Teacher",
        link="https://arxiv.org/abs/2205.08096",
        year=2023,
        stochastic=False,
        differs=(
            "Bits, summed over classes, the mean over several retrained models; on every split.",
            "On forget rows unscored where the target reads no worse than a retrained model; elsewhere the target is no bad anchor.",
            "The claim holds on a forgotten class. On a random tenth of digits the target is not the largest: .10 bits with wrong labels, "
            ".02 with clean ones, a model taught by an untrained one .12 and .13 (five draws; retraining once more .04 and .01).",
            "It cannot tell where the change was made: on a class one whose head alone was changed reads .50, one taught whole .51.",
        ),
        battery="full",
        cost="arithmetic on predictions",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the mean of each split."""
        return {split: self._score(evidence, split) for split in evidence.rows}

    def _score(self, evidence: Evidence, split: str) -> Score:
        def between(one: Evidence, others: Sequence[Evidence]) -> FloatArray:
            return mean_over(one, others, split, jensen_shannon)

        def rows() -> FloatArray:
            if not evidence.retrained:
                raise InputError("there is no retrained model to compare with")
            if split == "forget":
                refuse_out_of_order(evidence, lambda one, others: float(between(one, others).mean()), better="lower")
            return between(evidence, evidence.retrained)

        groups = evidence.rows[split].groups
        return mean_score("Jensen-Shannon divergence to retrained", rows, groups, ideal="lower")
