from __future__ import annotations

import pytest
from tiny_problems import Tiny, mean_over_positions, nll, plain

from expunge.contract.registry import build
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


def test_fades_only_at_high_learning_rates(people: Tiny, clouds: Tiny) -> None:
    """The baseline's claim. Fails if: the forget rows are read, or the learning rate is not used."""
    for tiny, settings in ((people, {"lr": 8e-3, "batch_size": 4}), (clouds, {"lr": 2e-2})):
        low = tiny.after(build(Finetune, {"lr": 5e-4}, where="test"))
        high = tiny.after(build(Finetune, settings, where="test"))
        assert low.forget >= 0.9
        assert high.forget <= 0.7
        assert high.forget_loss > 10 * low.forget_loss
        assert high.retain >= 0.75
