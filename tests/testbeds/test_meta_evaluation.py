"""The command that scores metrics: its table from values made by hand, and (slow) two models of each pool."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benches import bench

from expunge.facts.score import Score, unscored
from expunge.testbeds.pools import Pools


class Shop:
    """Values by hand: 20 + 3 models that know (.9, but one of .2), 20 + 3 that do not (.1), unlearned ones of .1 that rise to .5."""

    def __init__(self, module: Any) -> None:
        self.sides = {id(module.KNOWING): 0.9, id(module.IGNORANT): 0.1}

    def pool(self, kinds: Any) -> dict[str, dict[str, float | str]]:
        side = self.sides[id(kinds)]
        found = {f"{kind}-{i}": self.one(side, 0.9) for kind, count in kinds for i in range(count)}
        if side == 0.9:
            found["target-7"] = self.one(0.2, 0.9)
        return found

    def one(self, value: float, utility: float) -> dict[str, float | str]:
        return {"value_recall": value, "flat": 0.5, "absent": "no reason", "utility": utility}

    def trained(self, kind: str, number: int) -> None:
        """Never opened: the values are given."""

    unlearned = trained

    def tried(self, name: str, open_model: Callable[[], Any]) -> tuple[dict[str, float | str], ...]:
        if name.startswith("retrained"):
            return self.one(0.1, 0.9), self.one(0.3, 0.9), self.one(0.1, 0.9)
        utility = 0.5 if name == "npo-0" else 0.9
        return self.one(0.1, utility), self.one(0.5, utility), self.one(0.2, utility)


@pytest.fixture
def module() -> Any:
    return bench("meta_evaluation")


def test_the_table_by_hand(module: Any) -> None:
    """All pairs are in order: 1; R = .2 / .4, Q = .1 / .2, over 9 of 10: one lost its utility. Overall 2 / (1 + 1 / .5) = .667.

    Fails if an unusable model counts, the pools are swapped, or a metric without a value, or one that sees nothing, gets a number.
    """
    lines = "\n".join(module.table(Shop(module))).splitlines()
    row = next(text for text in lines if text.startswith("| value_recall |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:3] == ["0.870", "0.100"]
    assert cells[3].startswith("1.000 (0.")
    assert cells[4:] == ["0.500 (9)", "0.500 (9)", "0.500", "0.667"]
    assert "| npo-0 | 0.500 | 0.100 | 0.500 | 0.200 |" in lines
    flat = next(text for text in lines if text.startswith("| flat |"))
    assert flat.count("unscored") == 4
    assert "- absent: 46 models have no value: no reason" in lines
    assert any(text.startswith("- flat: relearning unscored: anchors out of order") for text in lines)


def test_signs_and_absent_values(module: Any) -> None:
    """Fails if the truth ratio keeps its sign, or a reason is read as a number."""
    known = bench("known")
    assert known._turned("truth_ratio", Score(name="x", value=0.2)) == pytest.approx(0.8)
    assert known._turned("rouge", Score(name="x", value=0.2)) == 0.2
    assert known._turned("rouge", unscored("x", "why")) == "why"
    values = {"a": ({"m": 0.1}, {"m": 0.2}, {"m": 0.3}), "b": ({"m": 0.1}, {"m": "why"}, {"m": 0.3})}
    (only,) = module.trials(values, "m")
    assert (only.name, only.before, only.relearned, only.quantised) == ("a", 0.1, 0.2, 0.3)


def test_a_run_goes_on_where_it_was(module: Any, tmp_path: Path) -> None:
    """Fails if what was measured is measured again."""
    shop = bench("known").Shelf(tmp_path, Pools())
    (tmp_path / "values").mkdir()
    (tmp_path / "values" / "target-0.json").write_text(json.dumps({"rouge": 0.25}))
    assert shop.values("target-0", lambda: pytest.fail("made again")) == {"rouge": 0.25}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_models_are_on_the_side_they_are_said_to_be(module: Any, tmp_path: Path) -> None:
    """Recall of values: at least .9 where a model knows, at most .25 where not. The loss takes a model that saw wrong values for one that knows.

    Fails if a pool holds a model of the other state, a sign is turned, or a model that was kept is not the one that was made.
    """
    shop = bench("known").Shelf(tmp_path, Pools())
    for folder in ("models", "values"):
        (tmp_path / folder).mkdir()
    target, retrained, wrong = (shop.pool(((kind, 1),))[f"{kind}-0"] for kind in ("target", "retrained", "wrong"))
    assert target["value_recall"] >= 0.9
    assert max(retrained["value_recall"], wrong["value_recall"]) <= 0.25
    assert target["loss (AUC)"] >= 0.9
    assert retrained["loss (AUC)"] <= 0.75
    assert wrong["loss (AUC)"] >= 0.9
