"""NoMUS: accuracy and membership in one number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.anchors import refuse_out_of_order
from expunge.engine.distributions import right
from expunge.engine.told_apart import loss_accuracy
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.score import Score, unscored


def normalised(accuracy: float, membership: float, weight: float) -> float:
    """Return weight * accuracy + (1 - weight) * (1 - 2 |membership - 1/2|)."""
    return weight * accuracy + (1 - weight) * (1 - 2 * abs(membership - 0.5))


@dataclass(frozen=True, kw_only=True)
class Nomus:
    """Weigh test accuracy against the failure of a membership attack.

    lambda * test accuracy + (1 - lambda) * (1 - 2 |MIA - 1/2|); MIA is how often a logistic regression on the loss tells forget rows
    from as many that were never trained on. WARNING: it rewards accuracy for its own sake and can rank a method, and doing nothing, above
    a retrained model, which pays for its missing rows with accuracy: it does in three of five published tables (Smiling: doing nothing
    .9387, retrained .8077). So it is refused wherever it does that here, and is in no battery.

    Source: Choi and Na 2023 (MUFAC). Differs: see `differs`. Reads predictions.
    """

    about = About(
        needs=("forget", "logits", "test", "predictions", "target", "retrained"),
        modalities=("vision", "tabular"),
        claim="Fine-tuning leaves the membership part at the target's, and a model without the forget rows has the highest sum.",
        paper="Towards Machine Unlearning Benchmarks: Forgetting the Personal Identities in Facial Recognition Systems",
        link="https://arxiv.org/abs/2311.02240",
        year=2023,
        paper_id="P140",
        stochastic=False,
        differs=(
            "Unscored where the target scores no lower than every retrained model; three of the paper's tables would be.",
            "The claim does not hold: mild fine-tuning alone leaves the membership part (at twice training's rate it falls), and scrub "
            "has .78 to .91 where retrained models have .82 to .91. Above doing nothing a retrained model lies where the outsiders are "
            "held-out rows of the forgotten persons (planted: by .13, .08 to .19 over five draws), not where they are others' as in the "
            "paper (-.06, -.20 to .09).",
        ),
        battery="named",
        cost="10 logistic regressions for each model compared",
    )

    weight: float = 0.5
    """Lambda, the weight of accuracy."""
    outside: str = "holdout"
    """Split whose rows stand for those never trained on: holdout or test."""

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1 or self.outside not in ("holdout", "test"):
            raise ValueError("weight must lie in [0, 1] and outside be holdout or test")

    def value(self, one: Evidence) -> float:
        """Return the number of one model, in whatever order the anchors are."""
        return normalised(float(np.mean(right(one, "test"))), loss_accuracy(one, self.outside), self.weight)

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the weighed sum, or why it cannot be read here."""
        n = len(evidence.rows.get("forget", ()))
        try:
            refuse_out_of_order(evidence, lambda one, _: self.value(one), better="higher")
            value = self.value(evidence)
        except (InputError, UndeclaredRead) as error:
            return {"all": unscored("NoMUS", error.what, n=n, ideal="higher")}
        return {"all": Score(name="NoMUS", value=value, n=n, ideal="higher")}
