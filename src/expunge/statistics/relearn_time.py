"""How soon a model learned again what it had forgotten, from the curve of an attack that taught it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from expunge.facts.score import Score, unscored

Curve = Sequence[tuple[float, float]]
"""(steps, share of the target's accuracy that is back), by rising steps."""


def steps_back(curve: Curve, alpha: float) -> float | None:
    """Return the first number of steps with a share of 1 - alpha or more; None where none has it."""
    return next((steps for steps, share in curve if share >= 1 - alpha), None)


def anamnesis_index(unlearned: Curve, retrained: Sequence[Curve], *, alpha: float = 0.05) -> Score:
    """Return AIN = rt(unlearned) / mean rt(retrained): 1 as retrained, near 0 where the knowledge was only hidden.

    Above 1 it takes longer to learn than a model that never saw the rows, which is no success either.
    Unscored where a curve ends before the model is back, or the retrained models were never away.
    Source: Chundawat et al. 2023 (Zero-shot machine unlearning), as Tarun et al. 2023 (Deep regression unlearning) use it.
    """
    name, own = "anamnesis index", steps_back(unlearned, alpha)
    others = [steps_back(curve, alpha) for curve in retrained]
    known = [steps for steps in others if steps is not None]
    if own is None:
        return unscored(name, f"the unlearned model is not back after {unlearned[-1][0]:g} steps", ideal="as_control")
    if not others or len(known) < len(others):
        return unscored(
            name, f"{len(others) - len(known)} of {len(others)} retrained models are not back", ideal="as_control"
        )
    if not np.mean(known):
        return unscored(name, "the retrained models know the rows before the first step", ideal="as_control")
    return Score(name=name, value=own / float(np.mean(known)), ideal="as_control")
