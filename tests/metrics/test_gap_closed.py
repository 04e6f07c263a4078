"""Gap closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from classifiers import SEEDS, noise_scored, over, read

from expunge.facts.rows import Row
from expunge.metrics.gap_closed import GapClosed

ROWS = [Row(id=str(i), fields={"answer": "x"}) for i in range(20)]


@pytest.fixture
def model(scores: Callable[..., Any], evidence: Callable[..., Any]) -> Callable[..., Any]:
    def make(probability: float, spread: float = 0.0, **given: Any) -> Any:
        values = np.clip(probability + spread * np.random.default_rng(3).normal(size=len(ROWS)), 1e-6, 1)
        logs = {(row.id, "answer"): [float(np.log(p)), 0.0] for row, p in zip(ROWS, values**2, strict=True)}
        return evidence({"forget": ROWS}, scores={"forget": scores(logs)}, **given)

    return make


def test_anchors(model: Callable[..., Any]) -> None:
    """Fails if doing nothing does not close 0, a retrained model not 1, over-forgetting not more than 1, or the ratio is turned over.

    (.9 - p) / (.9 - mean(.1, .3)): p = .9, .2, .55 and .06 close 0, 1, .5 and 1.2.
    """
    given = {"target": model(0.9), "retrained": (model(0.1), model(0.3))}
    closed = [GapClosed().run(model(p, **given))["forget"].value for p in (0.9, 0.2, 0.55, 0.06)]
    assert closed == pytest.approx([0.0, 1.0, 0.5, 1.2])


def test_interval_holds_the_ratio(model: Callable[..., Any]) -> None:
    """Fails if numerator and denominator are drawn apart: the interval of a constant ratio is then not a point."""
    found = GapClosed().run(model(0.5, 0.1, target=model(0.9), retrained=(model(0.1, 0.2),)))["forget"]
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    exact = GapClosed().run(model(0.2, 0.1, target=model(0.9), retrained=(model(0.2, 0.1),)))["forget"]
    assert (exact.low, exact.high) == pytest.approx((1.0, 1.0))


def test_no_gap_no_number(model: Callable[..., Any]) -> None:
    """Fails if a gap of nothing is divided by, or a missing target or retrained model gives 0."""
    same = GapClosed().run(model(0.5, target=model(0.4), retrained=(model(0.4),)))["forget"]
    assert same.unscored is not None
    assert "no gap to close" in same.unscored
    for given in ({"target": model(0.9)}, {"retrained": (model(0.1),)}):
        reason = GapClosed().run(model(0.5, **given))["forget"].unscored
        assert reason == "the gap needs the target and at least one retrained model"


def test_other_measures(scores: Callable[..., Any], evidence: Callable[..., Any]) -> None:
    """Fails if the setting is ignored: here memorisation is half closed and strength wholly."""

    def ranked(ranks: list[int], **given: Any) -> Any:
        keys = [(row.id, "answer") for row in ROWS]
        passed = scores({key: [-1.0] * 5 for key in keys}, dict.fromkeys(keys, ranks))
        return evidence({"forget": ROWS}, scores={"forget": passed}, **given)

    given = {"target": ranked([0, 0, 0, 0, 0]), "retrained": (ranked([1, 1, 1, 1, 0]),)}
    half = ranked([0, 0, 1, 1, 0], **given)
    assert GapClosed(of="exact_memorisation").run(half)["forget"].value == pytest.approx(0.5)
    assert GapClosed(of="extraction_strength").run(half)["forget"].value == pytest.approx(1.0)
    with pytest.raises(ValueError, match="of must be"):
        GapClosed(of="rouge")


@pytest.mark.slow
def test_claim_over_five_draws_of_wrong_labels() -> None:
    """Doing nothing closes 0 on each; each of ten retrained models beside the others 1.000 on the mean, the nearest .92 [.89, .95] and the
    furthest 1.09 [1.05, 1.14].

    Fails if target and retrained models change places.
    """
    draws = []
    for seed in SEEDS:
        found = noise_scored(seed).evidence
        closed = [read(GapClosed(), one, "forget") for one in found.values() if one.role == "retrained"]
        draws.append(
            {"nothing": read(GapClosed(), found["target"], "forget"), "least": min(closed), "most": max(closed)}
        )
    assert all(one["nothing"] == 0 for one in draws)
    assert 0.8 < over(draws, "least").low < 1 < over(draws, "most").high < 1.25
