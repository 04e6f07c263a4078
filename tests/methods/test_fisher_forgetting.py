from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from digits_seeds import gaps, over_targets, untouched
from tiny_problems import Tiny
from torch import Tensor

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.fisher import diagonal_fisher, expected_fisher
from expunge.facts.rows import Rows
from expunge.methods import fisher_forgetting
from expunge.methods.fisher_forgetting import FisherForgetting
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model


def displaced(
    model: Model, splits: Splits, *, seed: int = 0, **settings: Any
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """How far each entry moved, and the standard normal draw it moved by."""
    after, _ = unlearn(FisherForgetting(**settings), model, splits, job=Job(seed=seed))
    before = dict(model.module.named_parameters())
    generator = torch.Generator().manual_seed(seed)
    drawn = {name: torch.randn(p.shape, generator=generator) for name, p in before.items()}
    return {name: (p - before[name]).detach() for name, p in after.module.named_parameters()}, drawn


def test_the_variance_by_hand(monkeypatch: pytest.MonkeyPatch, clouds: Tiny) -> None:
    """1 / F capped at 1e3 (1e2 in the head), averaged over inputs, times 10 in the head and in biases, all times alpha.

    F = 0 on one input and 1 on the others: a row of the stem (2 inputs) has (1e3 + 1) / 2, of the hidden layer (6 inputs)
    (1e3 + 5) / 6, of the head (1e2 + 5) / 6 * 10. The layers are as wide as there are classes: published code takes every layer of
    that many outputs for the head. Fails if: it does, a cap or the factor 10 is lost or given twice, or the mean is over outputs.
    """
    blank = tabular_model("mlp", features=Features(width=2), task=Classification(classes=6), width=6, seed=0)

    def given(model: Model, rows: Rows, *, job: Job) -> dict[str, Tensor]:
        found = {name: torch.ones_like(p) for name, p in model.module.named_parameters()}
        for value in found.values():
            value[..., 0] = 0.0
        return found

    monkeypatch.setattr(fisher_forgetting, "expected_fisher", given)
    moved, drawn = displaced(blank, clouds.splits, alpha=1e-2, reset_classes=False)
    wanted = {
        "stem.linear.weight": (1e3 + 1) / 2, "blocks.0.linear.weight": (1e3 + 5) / 6, "head.weight": 10 * (1e2 + 5) / 6
    }  # fmt: skip
    for name, variance in wanted.items():
        assert torch.allclose(moved[name], (1e-2 * variance) ** 0.5 * drawn[name], rtol=1e-3, atol=1e-4), name
    for name, first in {"stem.linear.bias": 1e4, "head.bias": 1e3}.items():
        factor = (1e-2 * torch.tensor([first, *[10.0] * 5])).sqrt()
        assert torch.allclose(moved[name], factor * drawn[name], rtol=1e-3, atol=1e-4), name


def test_alpha_reaches_the_noise(clouds: Tiny) -> None:
    """ERASURE reads alpha and never passes it: its noise is always that of 3e-6. Four times alpha is twice the noise.

    Fails if: the variance has an alpha of its own.
    """
    small, drawn = displaced(clouds.target, clouds.splits, alpha=1e-6, reset_classes=False)
    large, _ = displaced(clouds.target, clouds.splits, alpha=4e-6, reset_classes=False)
    for name, value in small.items():
        assert torch.allclose(large[name], 2 * value, rtol=1e-2, atol=1e-6), name
        assert bool((value.sign() == drawn[name].sign())[value.abs() > 1e-6].all()), name


def test_a_class_no_retain_row_bears_is_drawn_anew(clouds: Tiny) -> None:
    """The head's row of class 0 becomes N(0, 10 * 1e-4); where a retain row bears class 0 too, it keeps its mean.

    Fails if: the row keeps what it was, another row is drawn anew, or the class is taken for gone though it stays.
    """
    before = clouds.target.module.head.weight
    moved, drawn = displaced(clouds.target, clouds.splits, alpha=1e-12)
    assert torch.allclose(before[0] + moved["head.weight"][0], 1e-3**0.5 * drawn["head.weight"][0], atol=1e-5)
    assert float(moved["head.weight"][1:].abs().max()) < 1e-3
    shared = Splits.of(forget=clouds.forget[:20], retain=Rows((*clouds.forget[20:], *clouds.retain)))
    assert float(displaced(clouds.target, shared, alpha=1e-12)[0]["head.weight"].abs().max()) < 1e-3


def test_the_information_is_of_the_retain_rows_under_predicted_labels(
    monkeypatch: pytest.MonkeyPatch, clouds: Tiny
) -> None:
    """Fails if: forget rows count, or the labels of rows are read (the empirical Fisher, as a neighbouring method has it)."""
    asked: list[tuple[str, ...]] = []

    def spy(model: Model, rows: Rows, *, job: Job) -> dict[str, Tensor]:
        asked.append(tuple(row.id for row in rows))
        return expected_fisher(model, rows, job=job)

    monkeypatch.setattr(fisher_forgetting, "expected_fisher", spy)
    moved, drawn = displaced(clouds.target, clouds.splits, alpha=1e-6, reset_classes=False)
    assert asked == [tuple(row.id for row in clouds.retain)]
    found = (moved["stem.linear.bias"] / drawn["stem.linear.bias"]).square()
    own, other = (
        10 * 1e-6 * (1 / (fisher(clouds.target, clouds.retain, job=Job())["stem.linear.bias"] + 1e-8)).clamp(max=1e3)
        for fisher in (expected_fisher, diagonal_fisher)
    )
    assert torch.allclose(found, own, rtol=0.05)
    assert not torch.allclose(found, other, rtol=0.05)


def test_claim_a_class_of_digits_goes_by_the_heads_reset_not_by_the_noise() -> None:
    """With the reset, five targets: forget 0, retain 100, gap .24 [.16, .32], do nothing 33.5; at alpha 1e-9 .18 [.08, .28].

    Without it the noise forgets nothing that it does not wreck, and at no strength is it nearer to retraining than doing nothing: alpha
    1e-6 forget 100 at retain 99.8, 3e-5 22 [-33, 76] at 11 [7, 15]; difference of the gap to doing nothing .1 [-.3, .5] and 33 [12, 53].
    The claim that the noise takes away the forget rows alone does not hold here. Fails if: the reset is lost, or the noise is so shaped
    that it forgets a class at retain accuracy 99.
    """
    assert min(gaps(untouched())) > 30
    for alpha in (FisherForgetting().alpha, 1e-9):
        after = over_targets(FisherForgetting(alpha=alpha))
        assert mean_interval(gaps(after)).high <= 1.5
        for one in after:
            assert one.forget <= 3
            assert one.retain >= 99.5
    for alpha in (1e-6, 3e-5):
        alone = over_targets(FisherForgetting(alpha=alpha, reset_classes=False))
        assert mean_interval(np.subtract(gaps(alone), gaps(untouched()))).low > -1
        forget, retain = (mean_interval([getattr(one, name) for one in alone]) for name in ("forget", "retain"))
        assert (forget.low >= 90 and retain.low >= 98) if alpha == 1e-6 else (forget.low < 50 and retain.high <= 80)
