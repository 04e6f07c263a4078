"""TOFU's forget quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import named_answers
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.score import Score, unscored
from expunge.statistics.clusters import FloatArray
from expunge.statistics.ks import ks_two_sample
from expunge.statistics.tofu import log_truth_ratio


@dataclass(frozen=True, kw_only=True)
class TofuForgetQuality:
    """Test whether the truth ratios of the forget rows differ from those of a retrained model.

    The p-value of an exact two-sample Kolmogorov-Smirnov test, one a retrained model (`forget/<name>`), and their median
    (`forget`). A small p shows a difference; a large one shows nothing. Two retrained models of other seeds reach p of 0.3 to 0.7: read
    it beside theirs. Truth ratios are geometric, as in the standard framework; their logarithm orders them alike.

    Source: Maini et al. 2024. Differs: see `differs`. Reads the one pass of the model and of the retrained ones.
    """

    about = About(
        needs=("forget", "scores", "retrained"),
        modalities=("text",),
        claim="The target's p-value against a retrained model is far below that of a second retrained model.",
        paper="TOFU: A Task of Fictitious Unlearning for LLMs",
        link="https://arxiv.org/abs/2401.06121",
        year=2024,
        stochastic=False,
        differs=(
            "Against every retrained model and their median; the paper has one, and the standard framework one log.",
        ),
        cost="arithmetic on the one pass; the exact test takes milliseconds",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the p-values and their median."""
        name, n = "TOFU forget quality (KS p-value)", len(evidence.rows.get("forget", ()))
        if not evidence.retrained:
            return {"forget": unscored(name, "there is no retrained model to compare with", n=n, ideal="as_control")}
        found, values = {}, []
        try:
            own = _ratios(evidence)
            for other in evidence.retrained:
                p = ks_two_sample(own, _ratios(other))[1]
                values.append(p)
                found[f"forget/{other.name}"] = Score(
                    name=f"{name} against {other.name}", value=p, n=n, ideal="as_control"
                )
        except (InputError, UndeclaredRead) as error:
            return {"forget": unscored(name, error.what, n=n, ideal="as_control")}
        median = Score(name=f"{name}, median", value=float(np.median(values)), n=n, ideal="as_control")
        return {"forget": median, **found}


def _ratios(evidence: Evidence) -> FloatArray:
    return log_truth_ratio(named_answers(evidence, "forget"), "geometric")
