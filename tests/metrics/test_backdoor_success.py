"""Backdoor success."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
from anchored import BACKDOOR_SEEDS, RETRAINED, backdoor_of
from classifiers import mean_interval

from expunge.contract.evidence import Evidence
from expunge.facts.rows import Row, Rows
from expunge.metrics.backdoor_success import BackdoorSuccess


def evidence(answers: list[int], attackers: list[int | None]) -> Evidence:
    """A model that answers so of three classes, on rows of which some bear the attacker's label."""
    rows = Rows(
        tuple(
            Row(id=f"r{i}", fields={"label": 2} | ({} if wanted is None else {"attacker_label": wanted}))
            for i, wanted in enumerate(attackers)
        )
    )
    logs = np.log(np.full((len(answers), 3), 0.1, np.float32))
    logs[np.arange(len(answers)), answers] = np.log(0.8)
    return Evidence("m", "unlearned", "vision", {"test_triggered": rows}, predictions={"test_triggered": logs})


def test_share_answered_as_the_attacker_wants() -> None:
    """Three of five. Fails if the true label is counted, or wrong answers that the attacker does not want."""
    found = BackdoorSuccess().run(evidence([0, 0, 1, 2, 1], [0, 0, 1, 0, 0]))["test_triggered"]
    assert found.value == pytest.approx(3 / 5)
    assert found.per_example == (1, 1, 1, 0, 0)
    assert found.ideal == "lower"


def test_only_where_every_row_says_what_is_wanted() -> None:
    """Clean rows have no success. Fails if a split with rows that no attacker wants anything of gets a number."""
    assert BackdoorSuccess().run(evidence([0, 0], [0, None])) == {}


def test_without_predictions_there_is_no_number() -> None:
    """Fails if a missing prediction counts as a failed attack."""
    full = evidence([0, 0], [0, 0])
    bare = Evidence("m", "unlearned", "vision", full.rows)
    found = BackdoorSuccess().run(bare)["test_triggered"]
    assert found.value is None
    assert found.unscored is not None


def succeeds(seed: int) -> dict[str, float]:
    """Success on triggered test rows by model, that of the retrained ones in the mean; and see the bounds of each draw."""
    found = backdoor_of(seed)
    scores = {name: BackdoorSuccess().run(one) for name, one in found.items()}
    assert all("test" not in one for one in scores.values())
    for split in ("test_triggered", "forget"):
        success = {name: one[split].value or 0.0 for name, one in scores.items()}
        assert min(success["target"], success["tenth"]) > 0.9
        assert max(success[name] for name in RETRAINED) < 0.05
    success = {name: one["test_triggered"].value or 0.0 for name, one in scores.items()}
    return {**success, "again": fmean(success[name] for name in RETRAINED)}


def test_claim_near_1_for_a_backdoored_model_and_near_0_without_manipulated_rows() -> None:
    """Digits with a patch on 60 of 1,257 rows, one draw, on triggered test rows of other classes.

    Fails if clean rows or the true label are read. Measured: target .994, ten models trained without any manipulated row 0 to .002, one
    retrained without a tenth of them .996.
    """
    success = succeeds(BACKDOOR_SEEDS[0])
    assert success["target"] - success["again"] > 0.9


@pytest.mark.slow
def test_claim_over_five_draws() -> None:
    """Rows and models of five draws. Fails as above.

    Measured, with 95% intervals over draws: target .963 to .994, above the ten retrained models by .984 [.969, .999]; one retrained
    without a tenth of the manipulated rows above them by .984 [.966, 1.00]; retrained .0003 [-.0002, .0008], none above .0021. An
    untrained model has 0 to .34 here and .55 on a seed of the search (101): it answers one class or two, and is no anchor.
    """
    draws = [succeeds(seed) for seed in BACKDOOR_SEEDS]
    for name in ("target", "tenth"):
        above = mean_interval([success[name] - success["again"] for success in draws])
        print(name, above)
        assert above.low > 0.9
    again = mean_interval([success["again"] for success in draws])
    print(again)
    assert again.high < 0.05
