"""Truth ratio: are wrong answers as likely as the right one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.readings import named_answers
from expunge.facts.score import Score
from expunge.statistics.clusters import FloatArray
from expunge.statistics.summary import ideal_for, mean_score
from expunge.statistics.tofu import closer_to_1_better, log_truth_ratio, prob_mean, true_better

AGGREGATORS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "closer_to_1_better": closer_to_1_better,
    "true_better": true_better,
    "prob_mean": prob_mean,
}


@dataclass(frozen=True, kw_only=True)
class TruthRatio:
    """Compare the probability of perturbed (wrong) answers with that of the paraphrased right one.

    p = exp(mean log p a token). `split`: TR = exp(mean_j log p_j) / p_paraphrased, a ratio of geometric means, as the standard framework
    computes it. `split/arithmetic`: TR = mean_j p_j / p_paraphrased, as the paper writes it. Forget and holdout rows are averaged as
    min(TR, 1/TR) (closer_to_1_better), others as max(0, 1 - TR) (true_better); prob_mean is 1 / (1 + TR).
    Perturbed answers must have the phrasing of the paraphrased one, or the ratio compares phrasings.

    Source: Maini et al. 2024. Reads the one pass. Cost: arithmetic on it.
    """

    about = About(
        needs=("scores",),
        modalities=("text",),
        claim="On forget rows it is lower for the target than for a model retrained without them.",
        paper="TOFU: A Task of Fictitious Unlearning for LLMs",
        link="https://arxiv.org/abs/2401.06121",
        year=2024,
        stochastic=False,
        differs=(
            "The paper's arithmetic form and the standard framework's geometric one stand side by side, by name.",
        ),
        cost="arithmetic on the one pass",
    )

    aggregator: str = "by_split"
    """by_split, or one of closer_to_1_better, true_better and prob_mean for every split."""

    def __post_init__(self) -> None:
        if self.aggregator not in ("by_split", *AGGREGATORS):
            raise ValueError(f"aggregator must be by_split or one of {', '.join(AGGREGATORS)}, not {self.aggregator!r}")

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return both forms a split whose rows carry perturbed answers; forget rows are always answered for."""
        found = {}
        for split, rows in evidence.rows.items():
            if split != "forget" and not any(row.get("perturbed_answers") for row in rows):
                continue
            for form, key in (("geometric", split), ("arithmetic", f"{split}/arithmetic")):
                name = f"truth ratio, {form}, {self._aggregator(split)}"
                compute = partial(self._values, evidence, split, form)
                found[key] = mean_score(name, compute, rows.groups, ideal=ideal_for(split))
        return found

    def _values(self, evidence: Evidence, split: str, form: str) -> FloatArray:
        return AGGREGATORS[self._aggregator(split)](log_truth_ratio(named_answers(evidence, split), form))

    def _aggregator(self, split: str) -> str:
        if self.aggregator != "by_split":
            return self.aggregator
        return "closer_to_1_better" if split in ("forget", "holdout") else "true_better"
