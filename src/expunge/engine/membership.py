"""From one number a row to the outcome of a membership attack."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from expunge.contract.evidence import Evidence
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.record import Outcome
from expunge.statistics.clusters import FloatArray

SPLITS = ("forget", "holdout")


def halves_of(evidence: Evidence, split: str) -> tuple[tuple[Evidence, ...], NDArray[np.bool_]]:
    """Return the shadow models trained on halves of the forget and holdout rows, and which saw which row of a split, (models, rows).

    No shadow models where the run trained none; raises where one does not say on which rows it was trained.
    """
    shadows = evidence.shadows.get("halves", ())
    if any("members" not in shadow.rows for shadow in shadows):
        raise InputError("a shadow model does not say on which rows it was trained (its rows `members`)")
    trained = [set(shadow.rows["members"].ids) for shadow in shadows]
    return shadows, np.array([[row in known for row in evidence.rows[split].ids] for known in trained], np.bool_)


def member_outcome(attack: str, evidence: Evidence, scores_of: Callable[[str], FloatArray]) -> Outcome:
    """Return the member scores of the forget and the holdout rows; unscored with the reason where one cannot be had.

    Without holdout rows there is nothing to tell members from, and an area under the curve of 0.5 would be an invention.
    """
    try:
        found = {split: _checked(evidence, split, scores_of) for split in SPLITS}
    except (InputError, UndeclaredRead) as error:
        return Outcome(attack=attack, model=evidence.name, kind="member", unscored=error.what)
    forget, holdout = (tuple(found[split].tolist()) for split in SPLITS)
    return Outcome(attack=attack, model=evidence.name, kind="member", forget=forget, holdout=holdout)


def _checked(evidence: Evidence, split: str, scores_of: Callable[[str], FloatArray]) -> FloatArray:
    rows = evidence.rows.get(split, ())
    if not len(rows):
        raise InputError(f"there are no {split} rows")
    values = np.asarray(scores_of(split), np.float64)
    if values.shape != (len(rows),):
        raise InputError(f"{values.shape} member scores for {len(rows)} {split} rows")
    broken = int((~np.isfinite(values)).sum())
    if broken:
        raise InputError(f"{broken} of {len(values)} {split} rows have no finite member score")
    return values
