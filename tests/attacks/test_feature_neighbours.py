"""Whom a row's features lie near."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from classifiers import a_class, hidden

from expunge.attacks.feature_neighbours import FeatureNeighbours
from expunge.facts.rows import Rows


def test_votes_by_plain_distances() -> None:
    """Fails if the head's outputs are compared in place of the last block's, features are not standardised, or a holdout row votes on itself."""
    measured = a_class()
    rows, model = measured.problem.splits.rows, measured.models["retrained-0"]
    found = measured.attack(FeatureNeighbours(neighbours=3), model, "retrained-0")
    voters = Rows((*rows["retain"], *rows["holdout"]))
    body = {name: model.features(model.pack(one), "blocks.0").detach().numpy() for name, one in
            {"voters": voters, "forget": rows["forget"], "holdout": rows["holdout"]}.items()}  # fmt: skip
    labels, scale = np.array([row["label"] for row in voters]), np.maximum(body["voters"].std(0), 1e-6)
    for split, got in (("forget", found.forget), ("holdout", found.item_control)):
        apart = np.linalg.norm((body[split] / scale)[:, None] - (body["voters"] / scale)[None], axis=2)
        if split == "holdout":
            apart[np.arange(len(apart)), len(rows["retain"]) + np.arange(len(apart))] = np.inf
        votes = (labels[np.argsort(apart, axis=1)[:, :3]] == 3).mean(1)
        assert np.mean(np.abs(votes - np.array(got)) < 1e-6) > 0.97


def test_claim_the_body_still_knows_what_the_head_forgot() -> None:
    """Fails if hidden and target differ, or a retrained model's features vote as much: raw pixels tell threes, so its own vote is high.

    Measured: target .935, hidden .935, retrained .74 to .76, untrained .59.
    """
    measured = a_class()
    unit = FeatureNeighbours(item_control=False)
    found = {name: np.mean(measured.attack(unit, model, name).forget) for name, model in measured.models.items()}
    own = np.mean(measured.attack(unit, hidden()).forget)
    control = max(found[f"retrained-{i}"] for i in range(3))
    assert own == pytest.approx(found["target"])
    assert own > control + 0.07
    assert 0.5 < control < 0.9


def test_a_label_nobody_has_is_no_zero() -> None:
    """Fails if rows whose class has no voter count as safe: without holdout threes none could vote for 3."""
    measured = a_class()
    asked = measured.evidence["target"]
    bare = replace(asked, rows={name: rows for name, rows in asked.rows.items() if name != "holdout"})
    probe = measured.probe(measured.problem.target)
    assert (
        FeatureNeighbours().run(bare, probe).unscored == "1 of the labels asked for stand on no retain or holdout row"
    )
    many = FeatureNeighbours(neighbours=5000).run(asked, probe).unscored or ""
    assert "are fewer than 5000 neighbours" in many
