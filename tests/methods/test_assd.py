from __future__ import annotations

import math

import numpy as np
import pytest
from classifiers import mean_interval
from digits_seeds import gaps, over_targets, untouched
from tiny_problems import Tiny

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.engine.dampen import Importances
from expunge.engine.fisher import diagonal_fisher
from expunge.methods.assd import ASSD, percentile
from expunge.methods.ssd import SSD


def test_percentile_by_hand() -> None:
    """100 - ln(1 + 100/20) = 98.208; all rows: 100 - ln 101. Fails if the logarithm has another base, or the share is no percentage."""
    assert percentile(5, 100) == pytest.approx(100 - math.log(6))
    assert percentile(7, 7) == pytest.approx(95.38488)


def test_it_is_ssd_at_the_threshold_of_the_percentile(clouds: Tiny) -> None:
    """Fails if the percentile is of another ratio, of one layer, or lambda is not 1."""
    model, facts = clouds.run(ASSD())
    found = Importances.of(
        clouds.target,
        clouds.splits,
        lambda rows: diagonal_fisher(clouds.target, rows, job=Job()),
        kind="fisher-1",
        job=Job(),
    )
    ratios = np.concatenate(
        [(found.forget[name] / found.everywhere[name]).flatten().detach().numpy() for name in found.forget]
    ).astype(float)
    ratios = ratios[np.isfinite(ratios)]
    alpha = float(np.quantile(ratios, 1 - math.log(1 + 100 * 30 / 180) / 100))
    assert facts.notes["alpha"] == pytest.approx(alpha, rel=1e-5)
    assert facts.notes["selected_entries"] == (ratios > facts.notes["alpha"]).sum()
    twin, _ = unlearn(SSD(alpha=facts.notes["alpha"], dampening=1.0), clouds.target, clouds.splits)
    for name, parameter in model.module.named_parameters():
        assert np.array_equal(parameter.detach(), twin.module.get_parameter(name).detach()), name


def test_claim_does_not_hold_for_a_class_of_digits() -> None:
    """The 2% of weights that the rule takes sit where I_forget / I_all is highest, and dampening them leaves 80 to 100% of the class on
    each of five targets: gap to retrained 31.8 [28.3, 35.3], further than SSD at alpha 3 by 24.1 [10.9, 37.4].

    Fails if the rule forgets here after all: then `differs` must be written anew.
    """
    after = over_targets(ASSD())
    further = mean_interval(np.subtract(gaps(after), gaps(over_targets(SSD()))))
    assert further.low > 0
    assert min(one.forget for one in after) > 50
    assert min(one.retain for one in after) > 98


def test_claim_batches_of_64_forget_on_four_targets_of_five() -> None:
    """Gradients of batches of 64, as the public code has them: forget 0, 0, 8, 14 and 99%, retain 99.8 and more.

    Gap to retrained 8.3 [-9.2, 25.7]: to doing nothing -25.3 [-42.8, -7.7], to per-example gradients -23.6 [-40.3, -6.8].
    Fails if `batch_size` is not read.
    """
    single, batched = (over_targets(ASSD(batch_size=size)) for size in (1, 64))
    nearer = mean_interval(np.subtract(gaps(batched), gaps(single)))
    assert nearer.high < 0
    forgotten = mean_interval(np.subtract(gaps(batched), gaps(untouched())))
    assert forgotten.high < 0
    assert sum(one.forget > 50 for one in batched) <= 2
    assert all(one.retain > 97 for one in batched)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_on_a_small_cnn_comes_as_near_as_a_searched_alpha_with_batches() -> None:
    """Five small CNNs: with batches of 64 forget 0 to 3%, retain 100, gap .53 [-.03, 1.1]; SSD at an alpha searched on other CNNs .15.

    Paired .4 [-.2, 1.0]: the claim holds here. With single rows 1 to 34% of the class stay, gap 4.4 [-.8, 9.5]. Do nothing 33.5. Fails if
    the share that the rule takes is another.
    """
    searched, batched, single = (
        over_targets(method, "cnn")
        for method in (SSD(alpha=20.0, dampening=0.5, batch_size=64), ASSD(batch_size=64), ASSD())
    )
    gap = [np.array(gaps(each, "cnn")) for each in (searched, batched, single)]
    beside = mean_interval(gap[1] - gap[0])
    print([mean_interval(each) for each in gap], beside)
    assert mean_interval(gap[1]).high < 1.5
    assert beside.low < 0 < beside.high < 1.5
    assert max(one.forget for one in batched) < 10 < max(one.forget for one in single)
    assert min(one.retain for one in (*batched, *single)) > 99
