from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
from classifiers import mean_interval, read
from digits_gap import SEEDS, digits_gap, removed
from locator_models import linear, table, text

from expunge.contract.apply import locate
from expunge.contract.splits import Splits
from expunge.engine.select import Portion
from expunge.locators.saliency import Saliency
from expunge.metrics.average_gap import AverageGap


def test_by_hand() -> None:
    """p = 1/2: rows (1, .1) of class 0 and (1, -.1) of class 1 give [[-.5, -.05], [.5, .05]] and [[.5, -.05], [-.5, .05]].

    Their sum is [[0, -.1], [0, .1]]: only the second column is salient. Fails if sizes are taken before rows are summed.
    """
    splits = Splits.of(forget=table("f", ((1.0, 0.1), 0), ((1.0, -0.1), 1)))
    mask = locate(Saliency(), linear([[0.0, 0.0], [0.0, 0.0]]), splits)
    assert mask.entries["weight"].tolist() == [[False, True], [False, True]]


def test_the_ratio_is_what_may_move() -> None:
    """x = (1, 3, 2): gradients .5, 1.5, 1 in both rows. Fails if the ratio is what must stay (sparsity), or the least salient move."""
    splits, model = Splits.of(forget=table("f", ((1.0, 3.0, 2.0), 0))), linear([[0.0] * 3] * 2)
    third = locate(Saliency(portion=Portion(ratio=1 / 3)), model, splits)
    assert third.entries["weight"].tolist() == [[False, True, False]] * 2


def test_zero_gradients_do_not_open_the_mask() -> None:
    """Two of three columns have no gradient, so the median is 0. Fails if `at least the median` lets all six entries move."""
    splits = Splits.of(forget=table("f", ((0.0, 1.0, 0.0), 0)))
    mask = locate(Saliency(), linear([[0.0] * 3] * 2), splits)
    assert mask.entries["weight"][:, 1].tolist() == [True, True]
    assert int(mask.entries["weight"].sum()) == 3


def test_a_language_models_half() -> None:
    """Fails if retain is read, gradients are left behind, or the share is not that of all entries together."""
    model, splits = text()
    mask = locate(Saliency(), model, splits)
    assert abs(mask.density() - 0.5) < 1e-4
    shares = [float(entry.float().mean()) for entry in mask.entries.values()]
    assert max(shares) - min(shares) > 0.2
    assert all(p.grad is None for p in model.module.parameters())
    assert set(mask.entries) == {name for name, _ in model.module.named_parameters()}


OTHERS = ("random_label", "ascent", "finetune", "l1_sparse")
OWN = (0, 1)
"""Method seeds of each problem seed."""


def mean_gap(case: str, seed: int, label: str) -> float:
    """Average gap to three retrained models, over the method seeds."""
    return fmean(read(AverageGap(), removed(case, seed, label, own)) for own in OWN)


def test_claim_on_wrong_labels_salient_relabelling_beats_ascent_and_not_fine_tuning() -> None:
    """Average gap on seed 0: salient 4.4, all weights 5.9, ascent 10.5, fine-tuning 2.7; do nothing 17.0, retrained .3 to 1.1.

    Fails if the least salient entries may move (12.8), or none (17.0). It does not fail if the mask is lost (all entries move): that
    difference is within the noise of five problems, below; that a mask holds is in test_masked_training.
    """
    anchors = digits_gap("random", 0).evidence
    salient = mean_gap("random", 0, "random_label+saliency")
    assert max(read(AverageGap(), anchors[f"retrained-{i}"]) for i in range(3)) < mean_gap("random", 0, "finetune")
    assert mean_gap("random", 0, "finetune") < salient
    assert salient < mean_gap("random", 0, "ascent") < read(AverageGap(), anchors["target"])


@pytest.mark.slow
def test_claim_of_the_smallest_gap_does_not_hold_over_five_problems() -> None:
    """The claim of SalUn's tables (nearer to retraining than random labels, ascent, fine-tuning and l1 sparsity) holds against ascent alone.

    A random tenth, a fifth of its labels wrong; five draws of rows and models, three retrained models each, two method seeds; settings as
    docs/results/digits.md found them on two other draws. Average gap: salient 6.6, all weights 7.5, ascent 13.0, fine-tuning 4.0,
    l1 7.2; do nothing 18.8, retrained 1.2. Paired difference with 95% interval: to ascent -6.5 [-9.8, -3.1], to fine-tuning +2.6
    [.7, 4.5]: worse; to all weights -1.0 [-3.1, 1.2] and to l1 -.7 [-3.1, 1.8]: not told apart.
    Fails as above.
    """
    salient = [mean_gap("random", seed, "random_label+saliency") for seed in SEEDS]
    found = {
        name: mean_interval(np.subtract(salient, [mean_gap("random", seed, name) for seed in SEEDS])) for name in OTHERS
    }
    print(found)
    assert found["ascent"].high < 0
    assert found["finetune"].low > 0
    for name in ("random_label", "l1_sparse"):
        assert found[name].low < 0 < found[name].high, name


@pytest.mark.slow
def test_claim_on_a_class_salient_relabelling_is_no_nearer_than_relabelling() -> None:
    """The threes, on three problems: nearer than ascent, further than fine-tuning and l1 sparsity, on each; all within 1.1 but ascent.

    Fails as above.
    """
    for seed in SEEDS[:3]:
        gaps = {name: mean_gap("class", seed, name) for name in (*OTHERS, "random_label+saliency")}
        print(seed, gaps)
        salient = gaps.pop("random_label+saliency")
        assert gaps["finetune"] < salient < gaps["ascent"]
        assert gaps["l1_sparse"] < salient
        assert salient > gaps["random_label"] - 0.3
