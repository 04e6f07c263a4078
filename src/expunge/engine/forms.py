"""Read what a model said form by form: rows that carry a `form`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from expunge.contract.evidence import Evidence
from expunge.engine.readings import said
from expunge.facts.rows import Row
from expunge.statistics.clusters import FloatArray
from expunge.statistics.forms import form_success


def forms_in(rows: Sequence[Row]) -> dict[str, list[int]]:
    """Return the row indices of each form, in the order in which forms first stand there; rows without a form are left out."""
    found: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        if row.get("form"):
            found.setdefault(str(row["form"]), []).append(i)
    return found


def successes(evidence: Evidence, split: str, chosen: Sequence[int]) -> FloatArray:
    """Return `form_success` of the chosen rows of a split."""
    texts, rows = said(evidence, split), evidence.rows[split]
    return np.array([form_success(rows[i], texts[i]) for i in chosen], np.float64)


def side_forms(evidence: Evidence, side: str, *, trained: bool) -> dict[str, tuple[str, list[int]]]:
    """Return by form the split and rows that ask it of `side` (forget or holdout): of the split itself, else of `side/FORM`."""
    splits = [side] if trained else [name for name in evidence.rows if name.startswith(f"{side}/")]
    return {
        form: (split, chosen)
        for split in splits
        if split in evidence.rows
        for form, chosen in forms_in(evidence.rows[split]).items()
    }
