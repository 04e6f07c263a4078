"""Teach it again and count the steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.asking import success_outcome, successes
from expunge.engine.order import ordered
from expunge.engine.teach import teach
from expunge.facts.errors import InputError
from expunge.facts.record import Outcome
from expunge.facts.rows import Rows
from expunge.statistics.clusters import FloatArray


@dataclass(frozen=True, kw_only=True)
class RelearnTime:
    """Fine-tune a copy on forget and retain rows, and see after each step how many forget rows it knows again.

    What was hidden is back in fewer steps than what must be learned for the first time. Retain rows are in the lesson because forget
    rows of one class alone teach any model to say that class always. A row's success is the share of the checks (before the first
    step and after each) at which it is known: more, the sooner it is back. The curve has the share of the target's accuracy that
    is back by steps; of the curves of this model and of the retrained ones statistics.relearn_time makes the steps until it is
    back within alpha, and the anamnesis index AIN = rt(unlearned) / rt(retrained).

    Source: Chundawat et al. 2023. Differs: see `differs`. Works on copies. Cost: one short training.
    """

    about = About(
        needs=("forget", "retain", "model", "target"),
        modalities=("vision", "tabular"),
        claim="A model that hides a class is back in fewer steps than a retrained one (index 1); one that forgot nothing in none.",
        paper="Zero-Shot Machine Unlearning",
        link="https://arxiv.org/abs/2201.05629",
        year=2023,
        differs=(
            "Retain rows by `retain_share`, not the whole training set, and the accuracy read after each step, not each epoch.",
            "A copy is taught: a peer's relearn time trains the model that later metrics then measure.",
            "On digits the index of a head relabelled on a class is .63, of retrained models .82 to 1.19, of random weights .53: a wrecked "
            "model is back soon as well, and a low index alone is no proof of hiding.",
        ),
        battery="full",
        cost="1 training of `steps` steps, and a pass over the forget rows after each",
    )

    steps: int = 40
    """Optimiser steps."""
    lr: float = 2e-3
    """Learning rate (AdamW, constant); with it retrained models of the digits are back within `steps`."""
    batch_size: int = 32
    """Rows a step."""
    retain_share: float = 3.0
    """Retain rows in the lesson for each row that is taught again."""
    item_control: bool = True
    """Attack the holdout rows of the same model too: the control where no other model is one, at twice the cost."""

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size) < 1 or self.lr <= 0 or self.retain_share < 0:
            raise ValueError("steps, batch_size and lr must be positive and retain_share not negative")

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return, a row, the share of checks at which it is known."""
        curves: dict[str, list[tuple[float, float]]] = {}

        def attempt(split: str) -> FloatArray:
            if probe.target is None:
                raise InputError("there is no target whose accuracy it could come back to")
            rows, retain = evidence.rows[split], probe.splits.retain
            beside = retain.take(ordered(retain, probe.job.seed, 0)[: round(self.retain_share * len(rows))])
            aim = float(successes(probe, probe.target(), rows, 1.0).mean())
            if not aim:
                raise InputError(f"the target knows none of the {split} rows")
            copy = probe.model()
            checks = [successes(probe, copy, rows, 1.0)]
            teach(
                copy,
                Rows((*rows, *beside), "lesson"),
                job=probe.job,
                steps=self.steps,
                lr=self.lr,
                batch_size=self.batch_size,
                after=lambda _: checks.append(successes(probe, copy, rows, 1.0)),
            )
            known = np.stack(checks)
            curves[split] = [(float(i), min(1.0, float(one.mean()) / aim)) for i, one in enumerate(known)]
            return np.asarray(known.mean(0), np.float64)

        return success_outcome(
            "relearn_time",
            evidence,
            attempt,
            with_items=self.item_control,
            budget=f"up to {self.steps} steps",
            curve=lambda: curves["forget"],
        )
