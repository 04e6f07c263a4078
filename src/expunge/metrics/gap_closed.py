"""Share of the gap between target and retrained model that a removal closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import own_scores
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.score import Score, unscored
from expunge.statistics.clusters import FloatArray, numbers
from expunge.statistics.memorisation import exact_memorisation, extraction_strength
from expunge.statistics.position_scores import PositionScores
from expunge.statistics.summary import percentiles, resampled_means

MEASURES: Mapping[str, Callable[[PositionScores], FloatArray]] = {
    "probability": lambda scores: np.exp(scores.mean_log_prob()),
    "exact_memorisation": exact_memorisation,
    "extraction_strength": extraction_strength,
}


@dataclass(frozen=True, kw_only=True)
class GapClosed:
    """Measure (target - unlearned) / (target - retrained) on the forget rows.

    0 is untouched, 1 as retrained, above 1 over-forgotten: more is not better. The retrained value is the mean of the retrained models.
    Where the target does not lie above them there is no gap to close, and no number.

    Source: after the tug-of-war score of Zhao et al. 2024, which multiplies absolute gaps. Reads the one pass of four kinds of model.
    """

    about = About(
        needs=("forget", "scores", "target", "retrained"),
        modalities=("text", "vision", "tabular"),
        claim="Doing nothing closes 0 and a second retrained model closes 1, within the noise of training.",
        paper="What Makes Unlearning Hard and What to Do About It",
        link="https://arxiv.org/abs/2406.01257",
        year=2024,
        stochastic=False,
        differs=("One signed ratio on forget rows in place of a product of absolute gaps over three splits.",),
        cost="arithmetic on the one pass",
    )

    of: str = "probability"
    """What the gap is measured in: probability, exact_memorisation or extraction_strength (the last two for text)."""

    def __post_init__(self) -> None:
        if self.of not in MEASURES:
            raise ValueError(f"of must be one of {', '.join(MEASURES)}, not {self.of!r}")

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the share closed on the forget rows."""
        name, n = f"gap closed in {self.of}", len(evidence.rows.get("forget", ()))
        try:
            closed, gap = self._differences(evidence)
        except (InputError, UndeclaredRead) as error:
            return {"forget": unscored(name, error.what, n=n, ideal="as_control")}
        draws = resampled_means(np.stack([closed, gap]), evidence.rows["forget"].groups)
        if percentiles(draws[:, 1])[0] <= 0:
            reason = f"the target lies {gap.mean():.3g} above the retrained models, which is no gap to close"
            return {"forget": unscored(name, reason, n=n, ideal="as_control")}
        low, high = percentiles(draws[:, 0] / draws[:, 1])
        value = float(closed.mean() / gap.mean())
        return {"forget": Score(name=name, value=value, low=low, high=high, n=n, ideal="as_control")}

    def _differences(self, evidence: Evidence) -> tuple[FloatArray, FloatArray]:
        """Return target - unlearned and target - mean retrained, row by row."""
        if evidence.target is None or not evidence.retrained:
            raise InputError("the gap needs the target and at least one retrained model")
        if not len(evidence.rows.get("forget", ())):
            raise InputError("there are no forget rows")
        one, target, *others = (
            numbers(MEASURES[self.of](own_scores(each, "forget")), f"what {each.name} gives the forget rows")
            for each in (evidence, evidence.target, *evidence.retrained)
        )
        return target - one, target - np.mean(others, axis=0)
