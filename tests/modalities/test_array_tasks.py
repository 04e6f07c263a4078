"""Losses by hand, labels that are refused, and new labels that are never the old one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from expunge.facts.errors import InputError
from expunge.modalities.array_tasks import Classification, Regression


def test_the_classification_loss_is_minus_log_p_in_nats() -> None:
    """Fails if bits are returned, or the mean over examples."""
    logits = torch.tensor([[0.0, math.log(3.0)], [math.log(7.0), 0.0]])
    losses = Classification(classes=2).losses(logits, torch.tensor([0, 0]))
    assert losses.tolist() == pytest.approx([math.log(4.0), math.log(8.0 / 7.0)])


def test_the_regression_loss_is_half_the_squared_standardised_error() -> None:
    """Fails if the half is lost, or std divides twice: target (5 - 1) / 2 = 2, error 0.5, loss 0.125."""
    task = Regression(mean=1.0, std=2.0)
    targets = task.targets([5.0, 1], ["a", "b"])
    assert targets.tolist() == [2.0, 0.0]
    assert task.losses(torch.tensor([[2.5], [-1.0]]), targets).tolist() == [0.125, 0.5]


def test_a_redrawn_label_is_another_class_and_every_other_class_is_as_likely() -> None:
    """SalUn's random labels may redraw the true one. Fails if the shift starts at 0 or ends short of the last class."""
    targets = torch.arange(4).repeat_interleave(3000)
    drawn = Classification(classes=4).redraw(targets, torch.Generator().manual_seed(0))
    counts = torch.zeros(4, 4).index_put_((targets, drawn), torch.ones(len(drawn)), accumulate=True)
    assert counts.diagonal().tolist() == [0, 0, 0, 0]
    others = counts[~torch.eye(4, dtype=torch.bool)]
    assert others.min() > 1000 - 4 * math.sqrt(3000 * (1 / 3) * (2 / 3))


def test_a_redrawn_target_has_the_training_mean_and_std() -> None:
    """Fails if the draw is shifted or scaled: standardised targets are standard normal."""
    drawn = Regression(mean=7.0, std=3.0).redraw(torch.full((4000,), 9.0), torch.Generator().manual_seed(0))
    assert float(drawn.mean()) == pytest.approx(0.0, abs=4 / math.sqrt(4000))
    assert float(drawn.std()) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (10, "outside 0..9"),
        (-1, "outside 0..9"),
        (2.0, "no whole number"),
        ("3", "no whole"),
        (np.float32(1), "no whole"),
    ],
)
def test_a_label_that_is_no_class_is_refused_by_its_row(label: object, message: str) -> None:
    """Fails if -1 is ignored as cross_entropy's ignore_index is, or 2.7 is cut to 2."""
    with pytest.raises(InputError, match=f"row 'b'.*{message}"):
        Classification(classes=10).targets([np.int64(9), label], ["a", "b"])


@pytest.mark.parametrize("label", [float("nan"), float("inf"), "many", None])
def test_a_target_that_is_no_number_is_refused_by_its_row(label: object) -> None:
    """Fails if NaN becomes a target: every weight would be NaN after one step."""
    with pytest.raises(InputError, match="row 'a'"):
        Regression().targets([label], ["a"])


def test_settings_that_mean_nothing_are_refused() -> None:
    """Fails if std 0 or one class is accepted."""
    with pytest.raises(InputError, match="std 0"):
        Regression(std=0.0)
    with pytest.raises(InputError, match="1 classes"):
        Classification(classes=1)
