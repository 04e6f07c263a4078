"""Whom a row's features lie near."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.contract.units import Probe
from expunge.engine.asking import success_outcome
from expunge.engine.penultimate import body_features, labels_of, read_with
from expunge.facts.errors import InputError
from expunge.facts.record import Outcome
from expunge.statistics.clusters import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class FeatureNeighbours:
    """Let the nearest rows in the space of the last block's features vote on a row's label.

    A method that moved only what the head says leaves the class's rows together in feature space, and anyone with a few labelled rows
    reads it from there. Voters are retain and holdout rows; a holdout row does not vote on itself. A row's success is the
    share of its nearest (Euclidean, features standardised) that have its label. Raw inputs alone give a vote: what a
    retrained model's features add to it is the control, and only what lies above it is a leak.

    Source: Papernot and McDaniel 2018 (votes of neighbours in feature space), turned on unlearned models here. Cost: one pass.
    """

    about = About(
        needs=("forget", "logits", "retain", "holdout", "model", "features"),
        modalities=("vision", "tabular"),
        claim="The neighbours of a class that only the head forgot vote for it as they do in the target, above a retrained model's.",
        paper="Deep k-Nearest Neighbors: Towards Confident, Interpretable and Robust Deep Learning",
        link="https://arxiv.org/abs/1803.04765",
        year=2018,
        stochastic=False,
        differs=("One layer, and the share of votes in place of a conformal p-value.",),
        battery="full",
        cost="a pass over forget, holdout and retain rows, and a search for neighbours",
    )

    neighbours: int = 5
    """Rows that vote."""
    retain_rows: int = 2000
    """Retain rows among the voters, at most."""
    item_control: bool = True
    """Attack the holdout rows of the same model too: the control where no other model is one."""

    def __post_init__(self) -> None:
        if self.neighbours < 1 or self.retain_rows < 1:
            raise ValueError("neighbours and retain_rows must be at least 1")

    def run(self, evidence: Evidence, probe: Probe) -> Outcome:
        """Return, a row, the share of its neighbours with its label."""

        def attempt(split: str) -> FloatArray:
            rows, voters = evidence.rows[split], read_with(evidence, probe, split, self.retain_rows)
            own = 1 if split == "holdout" else 0
            if len(voters) < self.neighbours + own:
                raise InputError(f"{len(voters)} retain and holdout rows are fewer than {self.neighbours} neighbours")
            model = probe.model()
            theirs, asked = (body_features(model, each, job=probe.job) for each in (voters, rows))
            scale = np.maximum(theirs.std(0), 1e-6)
            nearest = _nearest(asked / scale, theirs / scale, self.neighbours + own)
            if own:
                places = {row.id: i for i, row in enumerate(voters)}
                nearest = _without(nearest, np.array([places[row.id] for row in rows]))
            votes = labels_of(voters)[nearest] == labels_of(rows)[:, None]
            return np.asarray(votes.mean(1), np.float64)

        return success_outcome("feature_neighbours", evidence, attempt, with_items=self.item_control)


def _nearest(asked: FloatArray, theirs: FloatArray, count: int) -> IntArray:
    from sklearn.neighbors import NearestNeighbors

    return np.asarray(
        NearestNeighbors(n_neighbors=count).fit(theirs).kneighbors(asked, return_distance=False), np.int64
    )


def _without(nearest: IntArray, own: IntArray) -> IntArray:
    """Drop each row's own place, or its last neighbour where equal rows crowd it out."""
    is_own = nearest == own[:, None]
    is_own[~is_own.any(1), -1] = True
    return np.asarray(nearest[~is_own].reshape(len(nearest), -1), np.int64)
