"""Jensen-Shannon divergence to retrained."""

from __future__ import annotations

import numpy as np
import pytest
from classifiers import a_class, by_hand, clean

from expunge.metrics.js_divergence import JsDivergence


def bits(p: float, q: float) -> float:
    m, one, two = (p + q) / 2, np.array([p, 1 - p]), np.array([q, 1 - q])
    middle = np.array([m, 1 - m])
    return float((np.sum(one * np.log2(one / middle)) + np.sum(two * np.log2(two / middle))) / 2)


def test_mean_over_the_retrained_models_by_hand() -> None:
    """Fails if the retrained predictions are averaged first, or one of them is left out."""
    rows = {"forget": [0.9, 0.7], "test": [0.8]}
    retrained = tuple(
        by_hand(f"retrained-{i}", {"forget": [p, p], "test": [0.8]}, role="retrained") for i, p in enumerate((0.2, 0.4))
    )
    target = by_hand("target", {"forget": [0.99, 0.99], "test": [0.8]})
    found = JsDivergence().run(by_hand("unlearned", rows, target=target, retrained=retrained))
    wanted = [(bits(p, 0.2) + bits(p, 0.4)) / 2 for p in (0.9, 0.7)]
    assert found["forget"].per_example == pytest.approx(wanted, abs=1e-6)
    assert found["test"].value == pytest.approx(0.0, abs=1e-6)


def test_anchors_on_digits() -> None:
    """Fails if the target is not the furthest on a class, or retain rows are refused because doing nothing is good there.

    Measured on forget rows: target .958, untrained .589, retrained .042 to .055; on retain rows target .0024, retrained .0014.
    """
    found = {name: JsDivergence().run(one) for name, one in a_class().evidence.items()}
    floor = max(found[f"retrained-{i}"]["forget"].value or 9 for i in range(10))
    assert floor < 0.2
    assert (found["target"]["forget"].value or 0) > 0.8
    assert (found["untrained"]["forget"].value or 0) > 0.4
    for split in ("retain", "test", "holdout"):
        assert all(one[split].is_scored for one in found.values())
    assert (found["target"]["retain"].value or 0) < 0.05 < 0.5 < (found["untrained"]["retain"].value or 0)


def test_forget_rows_that_show_nothing_are_refused_alone() -> None:
    """Fails if the order of anchors is not asked on forget rows; the other splits keep their numbers."""
    rows = {"forget": [0.9], "test": [0.8]}
    retrained = tuple(
        by_hand(f"retrained-{i}", {"forget": [p], "test": [0.7]}, role="retrained") for i, p in enumerate((0.2, 0.9))
    )
    found = JsDivergence().run(by_hand("unlearned", rows, target=by_hand("target", rows), retrained=retrained))
    assert "out of order" in (found["forget"].unscored or "")
    assert found["test"].value == pytest.approx(bits(0.8, 0.7), abs=1e-6)
    assert (
        JsDivergence().run(by_hand("unlearned", rows))["test"].unscored == "there is no retrained model to compare with"
    )
    assert clean().evidence["target"].retrained
