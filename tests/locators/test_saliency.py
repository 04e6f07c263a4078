from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
from classifiers import mean_interval, read
from digits_gap import RETRAINED, SEEDS, digits_gap, removed
from locator_models import linear, table, text

from expunge.contract.apply import locate
from expunge.contract.splits import Splits
from expunge.engine.select import Portion
from expunge.locators.saliency import Saliency
from expunge.metrics.average_gap import AverageGap
from expunge.statistics.bounds import Bounds


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


SALIENT = "random_label+saliency"
OTHERS = ("random_label", "ascent", "finetune", "l1_sparse")
OWN = (0, 1)
"""Method seeds of each problem seed."""


def mean_gap(case: str, seed: int, label: str) -> float:
    """Average gap to ten retrained models, over the method seeds."""
    return fmean(read(AverageGap(), removed(case, seed, label, own)) for own in OWN)


def anchors(case: str, seed: int) -> tuple[float, list[float]]:
    """Average gap of doing nothing, and of each retrained model to the other nine."""
    found = digits_gap(case, seed).evidence
    return read(AverageGap(), found["target"]), [read(AverageGap(), found[f"retrained-{i}"]) for i in range(RETRAINED)]


def test_claim_on_wrong_labels_salient_relabelling_beats_ascent_and_not_fine_tuning() -> None:
    """Average gap on seed 0: salient 5.8, all weights 6.7, ascent 10.9, fine-tuning 4.0; do nothing 17.4, ten retrained models .5 to 1.7.

    Fails if the least salient entries may move (13.0 at an earlier setting), or none (17.4). It does not fail if the mask is lost (all entries move): that
    difference is within the noise of five problems, below; that a mask holds is in test_masked_training.
    """
    nothing, again = anchors("random", 0)
    gaps = {name: mean_gap("random", 0, name) for name in (SALIENT, "random_label", "ascent", "finetune")}
    print(gaps, "do nothing", nothing, "retrained", again)
    assert max(again) < gaps["finetune"] < gaps[SALIENT] < gaps["ascent"] < nothing


def over_five(case: str) -> dict[str, Bounds]:
    """See the average gaps over five problems; return how much further than each other method salient relabelling lies."""
    gaps = {name: np.array([mean_gap(case, seed, name) for seed in SEEDS]) for name in (SALIENT, *OTHERS)}
    nothing, again = zip(*(anchors(case, seed) for seed in SEEDS), strict=True)
    kept = {**gaps, "do nothing": nothing, "retrained": np.mean(again, axis=1), "furthest": np.max(again, axis=1)}
    further = {name: mean_interval(gaps[SALIENT] - kept[name]) for name in (*OTHERS, "furthest")}
    print(case, kept, {name: mean_interval(each) for name, each in kept.items()}, "further than", further)
    return further


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_of_the_smallest_gap_does_not_hold_over_five_problems() -> None:
    """The claim of SalUn's tables (nearer to retraining than random labels, ascent, fine-tuning and l1 sparsity) holds against ascent alone.

    A random tenth, a fifth of its labels wrong; five draws of rows and models, ten retrained models each, two method seeds; settings as
    docs/results/digits.md found them on two other draws, of each alone. Average gap: salient 6.4, all
    weights 7.6, ascent 13.0, fine-tuning 4.3, l1 7.1; do nothing 18.9, retrained 1.1. Paired difference with 95% interval: to ascent
    -6.6 [-9.9, -3.2], to fine-tuning +2.2 [.6, 3.8]: worse; to all weights -1.1 [-4.9, 2.6] and to l1 -.6 [-2.2, 1.0]: not told apart;
    to the retrained model furthest from the others +4.6 [2.6, 6.7].
    Fails as above.
    """
    further = over_five("random")
    assert further["furthest"].low > 0
    assert further["ascent"].high < 0
    assert further["finetune"].low > 0
    for name in ("random_label", "l1_sparse"):
        assert further[name].low < 0 < further[name].high, name


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_on_a_class_salient_relabelling_is_not_told_from_relabelling() -> None:
    """The threes, on five problems: nearer than ascent, further than fine-tuning and l1 sparsity; all means within .6 but ascent's.

    Average gap: salient .55 [.37, .72], all weights .44, ascent 3.1, fine-tuning .08, l1 .07; do nothing 50.1, retrained .06. Paired
    difference with 95% interval: to ascent -2.5 [-4.2, -.8], to fine-tuning +.47 [.30, .64], to l1 +.48 [.29, .67], to all weights +.11
    [-.11, .32], to the retrained model furthest from the others +.41 [.26, .56].
    Fails if no entry may move (50.1). It does not fail if the least salient ones may (.64 [.38, .90]): here the choice does not show.
    """
    further = over_five("class")
    assert further["furthest"].low > 0
    assert further["ascent"].high < 0
    for name in ("finetune", "l1_sparse"):
        assert further[name].low > 0, name
    assert -0.3 < further["random_label"].low < 0 < further["random_label"].high


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_on_small_cnns() -> None:
    """Five draws on the small CNN, ten retrained models each, two method seeds; settings as docs/results/digits.md found them for it.

    Wrong labels, average gap: salient 10.3 [7.6, 13.1], all weights 7.1, ascent 15.1, fine-tuning 6.3, l1 11.6; do nothing 18.6, retrained
    1.8. Paired: to ascent -4.7 [-7.0, -2.5], to l1 -1.3 [-2.5, -.02], to all weights +3.2 [1.3, 5.2], to fine-tuning +4.1 [2.3, 5.9]: two of
    the four claims hold. The threes: .13 [.07, .20], all weights .32, ascent 2.3, fine-tuning .08, l1 .08; retrained .09. Paired: to all
    weights -.19 [-.31, -.06], here the mask helps; to ascent -2.1 [-6.1, 1.9], to fine-tuning +.05 [-.02, .12], to l1 +.05 [-.04, .15], and to
    the retrained model furthest from the others -.05 [-.19, .10]: not told apart.
    Fails if no entry may move (50.1 on the threes), or all of them.
    """
    rows, of_class = over_five("random_cnn"), over_five("class_cnn")
    assert max(rows["ascent"].high, rows["l1_sparse"].high) < 0
    assert min(rows[name].low for name in ("random_label", "finetune", "furthest")) > 0
    assert of_class["random_label"].high < 0
    for name in ("ascent", "finetune", "l1_sparse", "furthest"):
        assert of_class[name].low < 0 < of_class[name].high, name
