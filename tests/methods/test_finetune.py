from __future__ import annotations

import pytest
from tiny_problems import Tiny, mean_over_positions, nll, plain

from expunge.methods.finetune import Finetune


def test_loss_is_the_mean_over_retain_positions(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: prompt or padding positions count, rows are averaged before positions, or forget rows are trained on."""
    seen = people.spied(Finetune(), monkeypatch)
    assert len(seen.step.forget) == 0
    want = mean_over_positions([nll(row) for row in plain(seen.moved, seen.step.retain)])
    assert seen.loss == pytest.approx(want, rel=1e-5)


def test_reads_retain_only(people: Tiny) -> None:
    """Fails if: the forget rows are read."""
    assert set(people.run(Finetune())[1].reads) == {"retain"}
