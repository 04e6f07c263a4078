from __future__ import annotations

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from digits_seeds import gaps, over_targets, untouched
from tiny_problems import Tiny

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.splits import Splits
from expunge.facts.rows import Row, Rows
from expunge.methods.lfssd import LFSSD
from expunge.methods.ssd import SSD
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model


def table(name: str, *points: list[float]) -> Rows:
    return Rows(tuple(Row(id=f"{name}{i}", fields={"features": x, "label": 0}) for i, x in enumerate(points)), name)


def test_one_layer_by_hand() -> None:
    """f = W h, W = [[2, .4], [.3, 1]], h = x: d ||f||^2 / dW = 2 f h^T.

    Forget h = (1, 1): f = (2.4, 1.3), [[4.8, 4.8], [2.6, 2.6]]. Retain h = (2, 0): f = (4, .6), [[16, 0], [2.4, 0]]. All [[10.4, 2.4],
    [2.5, 1.3]]: at alpha 1.5 the second column becomes theta * .5 * .5, at 1.03 the weight .3 is chosen too (2.6 > 1.03 * 2.5).
    Fails if gradients are squared (.3 would become .3 * .5 * 6.26/6.76), the norm is not, or a label enters.
    """
    model = tabular_model("mlp", features=Features(width=2), task=Classification(classes=2), width=2, depth=0, seed=0)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.zero_()
        model.module.stem.linear.weight.copy_(torch.eye(2))
        model.module.head.weight.copy_(torch.tensor([[2.0, 0.4], [0.3, 1.0]]))
    splits = Splits.of(forget=table("f", [1.0, 1.0]), retain=table("r", [2.0, 0.0]))
    changed, _ = unlearn(LFSSD(alpha=1.5, dampening=0.5), model, splits)
    assert changed.module.head.weight.tolist()[0] == pytest.approx([2.0, 0.4 * 0.5 * 0.5])
    assert changed.module.head.weight.tolist()[1] == pytest.approx([0.3, 1.0 * 0.5 * 0.5])
    one, _ = unlearn(LFSSD(alpha=1.03, dampening=0.5), model, splits)
    assert one.module.head.weight.tolist()[1] == pytest.approx([0.3 * 0.5 * 2.5 / 2.6, 0.25])


def test_labels_are_never_read(clouds: Tiny) -> None:
    """Fails if the loss enters: with other labels SSD gives other weights, and this must not."""
    wrong = Splits.of(
        **{
            name: Rows(tuple(Row(id=row.id, fields={**row.fields, "label": 5 - row["label"]}) for row in rows))
            for name, rows in clouds.splits.rows.items()
        }
    )
    weights = {}
    for method in (LFSSD(alpha=1.5), SSD(alpha=1.5)):
        for splits in (clouds.splits, wrong):
            model, _ = unlearn(method, clouds.target, splits, job=Job())
            weights.setdefault(type(method), []).append(model.module.head.weight.detach())
    assert torch.equal(*weights[LFSSD])
    assert not torch.equal(*weights[SSD])


def test_claim_forgets_a_class_without_labels() -> None:
    """Five targets, threshold chosen on another: forget 100 -> 0%, retain 98.7 to 100, gap to retrained .51 [.27, .75], do nothing 33.5.

    Fails if I_all is turned round with I_forget.
    """
    after = over_targets(LFSSD())
    assert min(gaps(untouched())) > 30
    assert mean_interval(gaps(after)).high <= 1.5
    assert all(one.forget == 0 and one.retain > 96 for one in after)


def test_claim_over_targets_against_ssd() -> None:
    """Five targets, both at alpha 3: gaps .20 to .72 without labels; SSD .41 to 5.1 and, where it leaves the class, 28.

    The paired difference -7.2 [-21.7, 7.3] does not show it nearer or further. Fails if LFSSD leaves the class in any.
    """
    own, other = (over_targets(kind(alpha=3.0)) for kind in (LFSSD, SSD))
    nearer = mean_interval(np.subtract(gaps(own), gaps(other)))
    assert all(one.forget == 0 for one in own)
    assert nearer.low < 0 < nearer.high


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_on_a_small_cnn_against_ssd() -> None:
    """Five small CNNs: forget 1 to 8%, retain 100, gap 1.8 [.6, 3.0] at its own alpha; do nothing 33.5.

    SSD, both at its defaults (alpha 3, single rows): not told apart, .6 [-.5, 1.7]; SSD at settings searched on other CNNs is nearer by 1.7
    [.4, 2.9]. Fails if the labels' place is not taken by the outputs.
    """
    own, other, chosen = (
        np.array(gaps(over_targets(method, "cnn"), "cnn"))
        for method in (LFSSD(), SSD(), SSD(alpha=20.0, dampening=0.5, batch_size=64))
    )
    beside, searched = mean_interval(own - other), mean_interval(own - chosen)
    print(mean_interval(own), beside, searched)
    assert mean_interval(own).high < 5
    assert beside.low < 0 < beside.high
    assert searched.low > 0
