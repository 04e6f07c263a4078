"""Tug-of-war."""

from __future__ import annotations

import pytest
from classifiers import a_class, by_hand, clean

from expunge.metrics.tow import Tow

RIGHT, WRONG = 0.9, 0.1


def split(right: int, of: int = 10) -> list[float]:
    return [RIGHT] * right + [WRONG] * (of - right)


def model(name: str, forget: int, retain: int, test: int, **given: object):  # type: ignore[no-untyped-def]
    return by_hand(name, {"forget": split(forget), "retain": split(retain), "test": split(test)}, **given)


def test_product_of_three_by_hand() -> None:
    """Fails if a factor is left out, gaps are added, or taken to one retrained model in place of their mean.

    Forget .5 against (.2 + .4) / 2, retain .8 against 1, test .9 against (.8 + .6) / 2: .8 * .8 * .8.
    """
    retrained = (model("retrained-0", 2, 10, 8, role="retrained"), model("retrained-1", 4, 10, 6, role="retrained"))
    target = model("target", 10, 10, 9, role="target")
    found = Tow().run(model("unlearned", 5, 8, 9, target=target, retrained=retrained))["all"]
    assert found.value == pytest.approx(0.512)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.512 < found.high
    assert found.n == 30


def test_an_equal_model_scores_1_and_its_interval_has_1() -> None:
    """Fails if over-forgetting scores better than retraining: below and above by as much are one value."""
    retrained = (model("retrained-0", 3, 10, 7, role="retrained"), model("retrained-1", 3, 10, 7, role="retrained"))
    given = {"target": model("target", 10, 10, 7, role="target"), "retrained": retrained}
    same, less, more = (Tow().run(model("unlearned", forget, 10, 7, **given))["all"] for forget in (3, 1, 5))
    assert (same.value, same.high) == (1.0, 1.0)
    assert less.value == more.value == pytest.approx(0.8)


def test_anchors_on_digits() -> None:
    """Fails if doing nothing is not at 0 where a class must go, or a retrained or an untrained model is not where it belongs.

    Measured: target .000, retrained .992 to .998, untrained .014. On random rows with clean labels the target scores .978.
    """
    found = {name: Tow().run(one)["all"].value for name, one in a_class().evidence.items()}
    assert found["target"] < 0.02
    assert found["untrained"] < 0.1
    assert min(found[f"retrained-{i}"] for i in range(10)) > 0.95
    flattered = Tow().run(clean().evidence["target"])["all"]
    assert flattered.unscored is not None or (flattered.value or 0) > 0.9


def test_refused_without_a_floor_or_a_gap() -> None:
    """Fails if a number stands where doing nothing scores as well as retraining, or a split is missing."""
    retrained = tuple(model(f"retrained-{i}", n, 10, 8, role="retrained") for i, n in enumerate((9, 10)))
    given = {"target": model("target", 10, 10, 8, role="target"), "retrained": retrained}
    refused = Tow().run(model("unlearned", 0, 10, 8, **given))["all"]
    assert refused.unscored == (
        "its anchors are out of order here: doing nothing reads 0.95, retrained models 0.9 to 0.9, and higher is better"
    )
    alone = Tow().run(model("unlearned", 0, 10, 8, target=given["target"], retrained=retrained[:1]))["all"]
    assert alone.unscored == "the noise between retrained models is unknown: there are 1 of them"
