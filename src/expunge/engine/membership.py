"""From one number a row to the outcome of a membership attack."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from expunge.contract.evidence import Evidence
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.record import Outcome
from expunge.statistics.clusters import FloatArray

SPLITS = ("forget", "holdout")


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
