"""A push on what the model thinks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from expunge.attacks.latent_perturbation import LatentPerturbation
from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.contract.weights import weights_digest
from expunge.engine.pushed import pushed
from expunge.engine.teach import teach
from expunge.facts.rows import Rows


@pytest.fixture(scope="module")
def hidden(verified: Any) -> Any:
    """The target taught to refuse the forget questions for 20 small steps: the knowledge is hidden, not gone."""
    model = verified.models["target"].copy()
    refusals = tuple(row.replace(answer="I do not know.") for row in verified.problem.splits.rows["forget"])
    teach(model, Rows(refusals), job=Job(), steps=20, lr=1e-3, batch_size=16, after=lambda done: None)
    model.module.zero_grad(set_to_none=True)
    return model


def given(rows: Rows, **more: Rows) -> Evidence:
    return Evidence(name="m", role="unlearned", modality="text", rows={"forget": rows, **more})


def test_a_push_brings_out_what_is_hidden(verified: Any, hidden: Any) -> None:
    """The claim. Fails if the push is not there when the rows are asked, goes uphill, or the control gives as much.

    Measured: hidden .60 (0 directly), retrained .03 and .01. Hidden more deeply (30 steps at 2e-3) one push brings out only .07.
    """
    rows = verified.problem.splits.rows["forget"]
    unit = LatentPerturbation(item_control=False)
    before = weights_digest(hidden.module)
    found = unit.run(given(rows), verified.probe(hidden))
    assert weights_digest(hidden.module) == before
    assert all(p.requires_grad and p.grad is None for p in hidden.module.parameters())
    assert found.curve[0][1] < 0.2
    assert np.mean(found.forget) > 0.35
    assert np.mean(verified.attack(unit, "retrained-0").forget) < 0.15


def test_the_push_stays_in_its_ball(verified: Any, hidden: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the push leaves the ball, is measured against something else, lands on another block, or its first step is not step * radius.

    With steps of .4 of the radius three steps at most reach the edge, where it then stays.
    """
    rows = verified.problem.splits.rows["forget"][:8]
    pushes: list[tuple[str, float]] = []

    def watched(model: Any, block: str, push: torch.Tensor) -> Any:
        pushes.append((block, float(push.detach().norm())))
        return pushed(model, block, push)

    monkeypatch.setattr("expunge.attacks.latent_perturbation.pushed", watched)
    unit = LatentPerturbation(budgets=(6,), radius=0.3, step=0.4, depth=1.0, batch_size=99, item_control=False)
    unit.run(given(rows), verified.probe(hidden))
    block = hidden.sites().blocks[-1]
    assert {name for name, _ in pushes} == {block}
    assert len(pushes) == 14
    lengths = [length for _, length in pushes[:7]]
    with torch.no_grad():
        from expunge.engine.halves import halves

        states = hidden.features(hidden.pack(rows.take(halves(rows)[0])), block)
    most = 0.3 * float(states.norm(dim=-1).mean())
    assert lengths[0] == 0.0
    assert lengths[1] == pytest.approx(0.4 * most, rel=1e-4)
    assert max(lengths) <= most * (1 + 1e-5)
    assert lengths[-1] > 0.7 * most


def test_settings_and_what_cannot_be_halved(verified: Any) -> None:
    """Fails if one row is fitted to and asked at once, holdout rows are left out, or a radius of zero passes."""
    rows = {split: verified.problem.splits.rows[split][:4] for split in ("forget", "holdout")}
    unit, probe = LatentPerturbation(budgets=(1, 2)), verified.probe(verified.models["target"])
    found = unit.run(given(rows["forget"], holdout=rows["holdout"]), probe)
    assert found.forget == (1.0,) * 4
    assert len(found.item_control) == 4
    assert found.budget == "up to 2 steps"
    assert unit.run(given(rows["forget"][:1]), probe).unscored == "1 forget rows of one fact cannot be cut into halves"
    with pytest.raises(ValueError, match="rising numbers"):
        LatentPerturbation(budgets=(5, 5))
    with pytest.raises(ValueError, match="radius and step positive"):
        LatentPerturbation(radius=0.0)
