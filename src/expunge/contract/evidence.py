"""What the pipeline measured of one model, once, for every metric and attack to read. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import UndeclaredRead
from expunge.facts.rows import Rows
from expunge.statistics.position_scores import PositionScores


@dataclass(frozen=True)
class Evidence:
    """One model's scores, generations and features on the splits, and those of the models it is compared with.

    `scores[split]` holds the one pass over every answer of every row of the split; `generations[split]` one string a
    row; `gradient_norms[split]` one number a row; `features[split]` (rows, width); `predictions[split]` (rows, classes) log-probabilities
    or (rows, 1) numbers; `weights` the parameters by name. `untrained` is the evidence of random weights. `retrained` holds one Evidence a
    retrained model, `target` that of the target model, `reference` that of a model that saw neither (for reference scores).
    `shadows` holds shadow models by kind: `halves` (trained on half of forget and holdout rows), `trained_then_unlearned` (on all of
    them, then unlearned by the method under test) and `retrained` (on none of them); the rows each was trained on, beside the
    retain rows, are its rows `members`.
    """

    name: str
    role: str
    modality: str
    rows: Mapping[str, Rows]
    scores: Mapping[str, PositionScores] = field(default_factory=dict)
    generations: Mapping[str, Sequence[str]] = field(default_factory=dict)
    gradient_norms: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    predictions: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    weights: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    retrained: tuple[Evidence, ...] = ()
    target: Evidence | None = None
    untrained: Evidence | None = None
    reference: Evidence | None = None
    shadows: Mapping[str, tuple[Evidence, ...]] = field(default_factory=dict)

    def of(self, split: str) -> PositionScores:
        """Return the one pass over a split; raises where the unit did not declare `scores` or the split."""
        if split not in self.scores:
            raise UndeclaredRead(f"no scores of {split!r} were computed", do="declare 'scores' and the split in needs")
        return self.scores[split]
