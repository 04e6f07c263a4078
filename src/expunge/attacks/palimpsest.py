"""Whether the order of training can still be read off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.asking import success_outcome
from expunge.engine.order import ordered
from expunge.engine.readings import own_scores
from expunge.facts.errors import InputError
from expunge.facts.record import Outcome
from expunge.facts.rows import Rows
from expunge.statistics.clusters import FloatArray
from expunge.statistics.training_order import concordance


@dataclass(frozen=True, kw_only=True)
class Palimpsest:
    """Compare the order in which the target saw the forget rows with how likely they are now.

    What was seen last is remembered best, and unlearning that only lowers likelihoods leaves the order among them. The order is the
    recipe's: it hangs on the seed, the epoch and row ids, so that it is known without a log. A row's success is the share of other forget
    rows that stand to it in likelihood as they did in training: one half where the order had no part in the model, 1 where it can be read
    off; their mean is (1 + Kendall's tau) / 2. `statistics.training_order.order_correlation` has Spearman's rho with its p-value, exact
    under the null by permutation. The curve has the orders of all epochs; holdout rows, which nobody saw, are put in order too.

    Source: Kuditipudi et al. 2025. Differs: see `differs`. Reads the one pass. Cost: arithmetic on it.
    """

    about = About(
        needs=("forget", "scores", "recipe"),
        modalities=("text", "vision", "tabular"),
        claim="A model trained on a shuffled order gives it away (p < 1e-3), an independently trained one gives uniform p-values.",
        paper="Blackbox Model Provenance via Palimpsestic Membership Inference",
        link="https://arxiv.org/abs/2510.19796",
        year=2025,
        paper_id="P185",
        stochastic=False,
        differs=(
            "Success a row is concordance, so that it can be tested against a control; the test of the paper is in statistics.",
            "No reference model is subtracted: the control is asked the same.",
            "Here rho is .43 after one epoch at a constant rate in batches of 4, but .01 under a rate that falls to zero, in batches of 32:"
            " an order that cannot be read is no evidence of removal.",
            "Of 80 rows a single order is not always seen at p < 1e-3: .023, .002, .0001, .17 and .023 over five draws.",
        ),
        battery="full",
        cost="arithmetic on the one pass",
    )

    epoch: int = 0
    """The last epoch that was begun, counted from 1; 0 takes the recipe's number, which holds where training did not end early."""

    def __post_init__(self) -> None:
        if self.epoch < 0:
            raise ValueError(f"epochs are counted from 1, not {self.epoch}")

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return, a row, the share of others that stand to it in likelihood as in the last epoch's order."""
        curves: dict[str, list[tuple[float, float]]] = {}
        recipe = probe.job.recipe

        def attempt(split: str) -> FloatArray:
            if recipe is None:
                raise InputError("the order of training is not known: there is no recipe")
            if recipe.stop_loss is not None and not self.epoch:
                raise InputError("training may have ended before its last epoch (stop_loss): give palimpsest its epoch")
            likely, last = own_scores(evidence, split).mean_log_prob(), self.epoch or recipe.epochs
            rows = evidence.rows[split]
            found = [concordance(seen_at(rows, recipe.seed, epoch), likely) for epoch in range(last)]
            curves[split] = [(float(1 + epoch), float(one.mean())) for epoch, one in enumerate(found)]
            return found[-1]

        return success_outcome(
            "palimpsest", evidence, attempt, with_items=True, budget="order", curve=lambda: curves["forget"]
        )


def seen_at(rows: Rows, seed: int, epoch: int) -> FloatArray:
    """Return each row's place in the order of an epoch, counted from 0; rows in between change no row's place before another."""
    places = np.empty(len(rows))
    places[ordered(rows, seed, epoch)] = np.arange(len(rows))
    return places
