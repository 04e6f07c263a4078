from __future__ import annotations

import math

import pytest
import torch
from digits_seeds import gentlest, more_kept
from tiny_problems import Tiny, mean_over_positions, nll, plain

from expunge.methods.simnpo import SimNPO, simnpo_loss


def test_formula_by_hand() -> None:
    """beta 2, gamma 1, mean nll log 3: -(2/2) log sigmoid(2 log 3 - 1) = log(1 + e/9) = .2643; at nll 0: log(1 + e).

    Fails if: 1/beta stands for 2/beta, or the margin's sign changes.
    """
    value = simnpo_loss(torch.tensor([math.log(3), 0.0]), beta=2.0, gamma=1.0)
    assert value.tolist() == pytest.approx([math.log(1 + math.e / 9), math.log(1 + math.e)])


def test_half_beta_doubles_the_scale() -> None:
    """At nll 0 and gamma 0 the loss is (2/beta) log 2. Fails if: the factor is 1/beta (it would be half)."""
    assert simnpo_loss(torch.zeros(1), beta=0.5, gamma=0.0).item() == pytest.approx(4 * math.log(2))


def test_loss_uses_the_mean_over_a_rows_positions(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: the sum over a row's positions enters the sigmoid (NPO), or the retain term averages rows first."""
    seen = people.spied(SimNPO(beta=2.0, gamma=0.5, forget_weight=2.0, retain_weight=3.0), monkeypatch)
    means = [float(nll(row).mean()) for row in plain(seen.moved, seen.step.forget)]
    push = sum(-math.log(1 / (1 + math.exp(-(2.0 * m - 0.5)))) for m in means) / len(means)
    keep = mean_over_positions([nll(row) for row in plain(seen.moved, seen.step.retain)])
    assert seen.loss == pytest.approx(2.0 * push + 3.0 * keep, rel=1e-5)


def test_forgets_and_keeps(people: Tiny, clouds: Tiny) -> None:
    """Fails if: a term's sign is turned over, or one of the splits is not read."""
    people.removes(SimNPO, {"batch_size": 4}, forget=0.4, retain=0.8)
    clouds.removes(SimNPO, {"batch_size": 4}, forget=0.1, retain=0.9)


@pytest.mark.slow
def test_claim_it_forgets_as_npo_does_at_a_higher_utility() -> None:
    """Five targets, retain rows kept at equal forgetting (each at the lowest of rates at which under 5% of the class is left), less NPO's.

    At both methods' own retain weights (1.5 and 5): 99.7 and 99.3, .4 [.0, .9]; both at 5: .6 [.1, 1.0].

    Fails if the push does not die out without a frozen model.
    """
    own = more_kept(gentlest("simnpo"), gentlest("npo"))
    assert own.estimate > 0
    assert own.low > -0.5
    assert more_kept(gentlest("simnpo", retain_weight=5.0), gentlest("npo")).low > 0
