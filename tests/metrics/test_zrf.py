"""Zero retrain forgetting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from classifiers import a_class, by_hand

from expunge.metrics.zrf import Zrf


def model(name: str, p: float, **given: object):  # type: ignore[no-untyped-def]
    return by_hand(name, {"forget": [p] * 4}, **given)


def test_one_minus_bits_to_the_untrained_model() -> None:
    """Fails if nats are taken, the divergence itself is given, or the mean over classes in place of the sum.

    Untrained (.5, .5), unlearned (1, 0) nearly: JS = 1 - (.75 log2(4/3) + .25 log2 4 ... ) = .3113 bits.
    """
    p, q = np.array([0.9, 0.1]), np.array([0.5, 0.5])
    middle = (p + q) / 2
    wanted = 1 - (np.sum(p * np.log2(p / middle)) + np.sum(q * np.log2(q / middle))) / 2
    retrained = tuple(model(f"retrained-{i}", 0.6, role="retrained") for i in range(2))
    given = {"target": model("target", 0.99), "retrained": retrained, "untrained": model("untrained", 0.5)}
    found = Zrf().run(model("unlearned", 0.9, **given))["forget"]
    assert found.value == pytest.approx(wanted, abs=1e-6)
    assert found.per_example == pytest.approx((wanted,) * 4, abs=1e-6)
    assert found.ideal == "as_control"


def test_anchors_on_digits_and_1_is_not_the_aim() -> None:
    """Fails if an untrained model is not at 1, or retraining not between doing nothing and it: higher is not better.

    Measured: target .267, retrained .403 to .417, untrained 1.
    """
    found = {name: Zrf().run(one)["forget"].value for name, one in a_class().evidence.items()}
    retrained = [found[f"retrained-{i}"] for i in range(10)]
    assert found["untrained"] == pytest.approx(1.0)
    assert found["target"] + 0.05 < min(retrained)
    assert max(retrained) < 0.7


def test_without_an_untrained_model_there_is_no_number() -> None:
    """Fails if the model is compared with a re-initialised copy of itself, as a peer does, or with nothing."""
    found = Zrf().run(replace(a_class().evidence["target"], untrained=None))["forget"]
    assert found.unscored == "there is no untrained model"
