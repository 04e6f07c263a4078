"""Ask a model about rows and say, row by row, whether it still knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from expunge.contract.evidence import Evidence
from expunge.contract.model import Model
from expunge.contract.units import Probe
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.record import Outcome
from expunge.facts.rows import Rows
from expunge.statistics.answers import said_successes, told
from expunge.statistics.clusters import FloatArray

THRESHOLD = 0.8
"""ROUGE-L recall from which an answer without a `value` counts as come out.

Of 300 forget questions of the published TOFU models 97.7% reach it in the model trained on them, 3.7% in the retrained one.
"""


def successes(probe: Probe, model: Model, rows: Rows, threshold: float) -> FloatArray:
    """Return 1 a row whose knowledge comes out of `model`, else 0: by what it says, its first choice, or the number it predicts."""
    if model.capabilities.generate:
        return said_successes(rows, probe.generate(model, rows), threshold)
    if (model.capabilities.logits or model.capabilities.numbers) and model.modality != "text":
        return told(probe.score(model, rows), rows)
    raise InputError(f"a {model.modality} model of this kind neither answers in words nor chooses a label or a number")


def success_outcome(
    attack: str,
    evidence: Evidence,
    attempt: Callable[[str], FloatArray],
    *,
    with_items: bool,
    budget: str = "",
    curve: Callable[[], Sequence[tuple[float, float]]] = tuple,
) -> Outcome:
    """Return the success of an attack on the forget rows, row by row; unscored with the reason where there is none.

    `attempt(split)` returns one number in [0, 1] a row of a split. `with_items` attacks the holdout rows of the same model too: the control
    where no other model is one. `curve` is asked once the forget rows were attacked.
    """
    try:
        forget = _on(evidence, "forget", attempt)
        points = tuple(curve())
        items = _on(evidence, "holdout", attempt) if with_items and len(evidence.rows.get("holdout", ())) else ()
    except (InputError, UndeclaredRead) as error:
        return Outcome(attack=attack, model=evidence.name, kind="success", unscored=error.what, budget=budget)
    return Outcome(
        attack=attack,
        model=evidence.name,
        kind="success",
        forget=forget,
        item_control=items,
        budget=budget,
        curve=points,
    )


def _on(evidence: Evidence, split: str, attempt: Callable[[str], FloatArray]) -> tuple[float, ...]:
    if not len(evidence.rows.get(split, ())):
        raise InputError(f"there are no {split} rows")
    return tuple(attempt(split).tolist())
