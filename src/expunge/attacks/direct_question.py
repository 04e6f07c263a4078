"""Direct questions."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.asking import success_outcome, successes
from expunge.engine.readings import said
from expunge.facts.errors import InputError
from expunge.facts.record import Outcome
from expunge.statistics.answers import said_successes, told
from expunge.statistics.clusters import FloatArray


@dataclass(frozen=True, kw_only=True)
class DirectQuestion:
    """Ask what was to be forgotten, in the words it was taught in.

    A row comes out where the greedy answer holds its `value`; without a value, where ROUGE-L recall of its answer reaches the
    threshold. A classifier's row comes out where its label is the first choice, a regressor's where the prediction lies within 0.1 standard
    deviations of the targets of its own. Holdout rows of the same model are asked too.

    Source: Maini et al. 2024. Reads generations (a classifier: the one pass).
    """

    about = About(
        needs=("forget", "generations"),
        modalities=("text", "vision", "tabular"),
        claim="It succeeds on nearly every forget row of the target, and seldom on a retrained model.",
        paper="TOFU: A Task of Fictitious Unlearning for LLMs",
        link="https://arxiv.org/abs/2401.06121",
        year=2024,
        stochastic=False,
        differs=(
            "Success is yes or no a row, by the value or at a fixed threshold, so that it can be tested against a control.",
        ),
        step="behavioural",
        battery="quick",
        cost="one greedy generation a row, made once for all units",
    )

    threshold: float = 0.8
    """ROUGE-L recall from which an answer without a value counts as come out."""

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return 1 a row that comes out, on forget and on holdout rows."""

        def ask(split: str) -> FloatArray:
            rows = evidence.rows[split]
            if split in evidence.generations:
                return said_successes(rows, said(evidence, split), self.threshold)
            if evidence.modality != "text" and split in evidence.scores:
                return told(evidence.of(split), rows)
            if evidence.role == "guarded":
                raise InputError("what the guard answers for this model is not known")
            return successes(probe, probe.model(), rows, self.threshold)

        return success_outcome("direct_question", evidence, ask, with_items=True)
