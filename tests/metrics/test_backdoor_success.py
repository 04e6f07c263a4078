"""Backdoor success."""

from __future__ import annotations

import numpy as np
import pytest
from anchored import BACKDOOR_SEEDS, RETRAINED, backdoor_of

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


def test_claim_near_1_for_a_backdoored_model_and_near_0_without_manipulated_rows() -> None:
    """Digits with a patch on 60 of 1,257 rows, three seeds, on triggered test rows of other classes. Fails if clean rows or the true label are read.

    Measured: target .967 to .994, models trained without any manipulated row 0 to .002, one retrained without a tenth of them .981 to .996. An untrained model has 0 to .008
    here and .55 on a seed of the search (101): it answers one class or two, and is no anchor.
    """
    for found in map(backdoor_of, BACKDOOR_SEEDS):
        for split in ("test_triggered", "forget"):
            success = {name: BackdoorSuccess().run(one)[split].value for name, one in found.items()}
            assert min(success["target"] or 0, success["tenth"] or 0) > 0.9
            assert max(success[name] or 0 for name in RETRAINED) < 0.05
        assert "test" not in BackdoorSuccess().run(found["target"])
