"""Distance of the weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from classifiers import a_class, by_hand

from expunge.contract.evidence import Evidence
from expunge.metrics.layer_distance import LayerDistance


def model(name: str, stem: float, head: float, **given: object) -> Evidence:
    weights = {
        "stem.weight": np.array([[stem, 0.0]], np.float32),
        "stem.bias": np.array([0.0], np.float32),
        "head.weight": np.array([head], np.float32),
    }
    return by_hand(name, {"forget": [0.5]}, weights=weights, **given)


def given(target: float = 10.0, untrained: float = 20.0) -> dict[str, object]:
    retrained = (model("retrained-0", 0.0, 0.0, role="retrained"), model("retrained-1", 3.0, 4.0, role="retrained"))
    return {
        "target": model("target", target, 0.0),
        "untrained": model("untrained", untrained, 0.0),
        "retrained": retrained,
    }


def test_by_hand_with_its_scale() -> None:
    """Fails if squares are given, layers mixed, the floor left out, or distances to the mean of the retrained weights taken.

    Unlearned (6, 4) lies sqrt 52 and 3 from (0, 0) and (3, 4); these lie 5 apart, the target (10, 0) 10 and sqrt 65 from them.
    """
    found = LayerDistance().run(model("unlearned", 6.0, 4.0, **given()))
    assert found["layers"].value == pytest.approx((np.sqrt(52) + 3) / 2)
    assert found["layers/stem"].value == pytest.approx((6 + 3) / 2)
    assert found["layers/head"].value == pytest.approx((4 + 0) / 2)
    assert found["layers/floor"].value == pytest.approx(5.0)
    assert found["layers/target"].value == pytest.approx((10 + np.sqrt(65)) / 2)
    assert found["layers/untrained"].value == pytest.approx((20 + np.sqrt(17**2 + 16)) / 2)
    assert (found["layers/stem/floor"].value, found["layers/head/floor"].value) == pytest.approx((3.0, 4.0))


def test_refused_where_target_or_random_weights_are_as_near() -> None:
    """Fails if the number stands where it ranks chance; the scale is given all the same."""
    near = LayerDistance().run(model("unlearned", 6.0, 4.0, **given(target=1.0)))
    assert "doing nothing reads 2.736, retrained models 5 to 5" in (near["layers"].unscored or "")
    random = LayerDistance().run(model("unlearned", 6.0, 4.0, **given(untrained=1.0)))
    assert random["layers/stem"].unscored == "random weights lie 2.736 from the retrained models, and these 5 apart"
    assert random["layers/floor"].value == 5.0


def test_on_digits_random_weights_lie_nearer_than_a_second_retrained_model() -> None:
    """Fails if weights of models from starts of their own are read as if they told a removal.

    Measured: target 18.7, floor 18.4, random weights 15.6.
    """
    found = LayerDistance().run(a_class().evidence["retrained-0"])
    assert found["layers"].unscored is not None
    assert (found["layers/untrained"].value or 99) < (found["layers/floor"].value or 0)
    assert found["layers/target"].value == pytest.approx(found["layers/floor"].value or 0, rel=0.15)
    assert "layers/blocks.0.linear/floor" in found


def test_other_architectures_and_no_weights() -> None:
    """Fails if layers are paired by order, or models without weights lie at 0."""
    asked = model("unlearned", 6.0, 4.0, **given())
    other = replace(asked, weights={"stem.weight": np.zeros(2, np.float32)})
    assert LayerDistance().run(other)["layers"].unscored == "the weights of target have other names or shapes"
    assert LayerDistance().run(replace(asked, weights={}))["layers"].unscored == "no weights were given"
