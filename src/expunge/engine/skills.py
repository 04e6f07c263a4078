"""Whether a row of a skill was answered."""

from __future__ import annotations

from collections import Counter

import numpy as np

from expunge.contract.evidence import Evidence
from expunge.engine.readings import said
from expunge.facts.rows import Rows
from expunge.statistics.clusters import FloatArray


def answered(evidence: Evidence, split: str, chosen: list[int]) -> FloatArray:
    """Return 1 a chosen row whose answer was given exactly, but for outer spaces, else 0."""
    rows, texts = evidence.rows[split], said(evidence, split)
    return np.array([texts[i].strip() == str(rows[i]["answer"]).strip() for i in chosen], np.float64)


def by_skill(rows: Rows) -> dict[str, list[int]]:
    """Return the places of the rows of each skill; rows without a skill are left out."""
    found: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        if row.get("skill"):
            found.setdefault(str(row["skill"]), []).append(i)
    return found


def commonest(rows: Rows, chosen: list[int]) -> FloatArray:
    """Return 1 a chosen row whose answer is the most frequent of them (of several the first by name), else 0."""
    answers = [str(rows[i]["answer"]) for i in chosen]
    counts = Counter(answers)
    best = min(counts, key=lambda answer: (-counts[answer], answer)) if counts else ""
    return np.array([answer == best for answer in answers], np.float64)
