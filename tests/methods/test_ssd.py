from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from digits_class import Accuracies
from digits_seeds import REPORTED, digits_of, gaps, over_targets, untouched
from told_members import mean_membership, membership
from torch import Tensor, nn

from expunge.contract.apply import unlearn
from expunge.contract.job import Job, Remembering
from expunge.contract.mask import Mask
from expunge.contract.model import Batch, Capabilities, Question, Sites
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent
from expunge.facts.rows import Row, Rows
from expunge.methods.ascent import Ascent
from expunge.methods.ssd import SSD


class TwoWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            self.theta.weight.copy_(torch.tensor([[4.0, 6.0]]))


@dataclass
class TwoParameters:
    """loss(row) = theta . x: the gradient of a row is x itself, so that the Fisher diagonal is the mean of x squared."""

    module: TwoWeights = field(default_factory=TwoWeights)
    modality: str = "tabular"
    capabilities: Capabilities = field(default_factory=Capabilities)
    device: torch.device = torch.device("cpu")

    def pack(self, rows: Any) -> Batch:
        x = torch.tensor([row["features"] for row in rows])
        return Batch({"x": x}, torch.zeros(len(x)), torch.arange(len(x)), len(x), positions=len(x))

    pack_apart = pack

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        return self.module.theta(batch.inputs["x"])[:, 0]

    def noise(self, batch: Batch, generator: torch.Generator) -> None:
        return None

    def sites(self) -> Sites:
        return Sites()

    def question_cost(self, question: Any) -> int:
        return 1

    def questions(self, rows: Any) -> list[Any]:
        return [Question(row.id, row["features"], {"label": 0}) for row in rows]

    def copy(self) -> TwoParameters:
        twin = TwoParameters()
        twin.module.load_state_dict(self.module.state_dict())
        return twin


def split(name: str, values: list[list[float]]) -> Rows:
    return Rows(tuple(Row(id=f"{name}{i}", fields={"features": x}) for i, x in enumerate(values)), name)


FORGET = split("f", [[3.0, 1.0], [1.0, -1.0]])
RETAIN = split("r", [[1.0, 1.0], [0.0, 2.0]])


def dampened(method: SSD, **options: Any) -> list[float]:
    model, _ = unlearn(method, TwoParameters(), Splits.of(forget=FORGET, retain=RETAIN), **options)  # type: ignore[arg-type]
    return model.module.theta.weight[0].tolist()


def test_two_parameters_by_hand() -> None:
    """I_forget = ((9 + 1)/2, 1) = (5, 1), I_retain = (.5, 2.5), I_all = (2.75, 1.75).

    Only the first weight has I_f > alpha I_all (5 > 1.5 * 2.75), and becomes 4 * 2.75/5 = 2.2. Fails if: gradients are
    averaged before squaring (2.125), I_all is I_retain (4 * .5/5), or the ratio is turned over.
    """
    assert dampened(SSD(alpha=1.5, dampening=1.0)) == pytest.approx([2.2, 6.0])


def test_batch_gradients_are_another_number() -> None:
    """batch_size 2 squares the mean gradient: I_f = (4, 0), I_r = (.25, 2.25), I_all = (2.125, 1.125); 4 * 2.125/4.

    The reference code does this. Fails if: batch_size changes nothing.
    """
    assert dampened(SSD(alpha=1.5, dampening=1.0, batch_size=2)) == pytest.approx([2.125, 6.0])


def test_dampening_never_makes_a_weight_larger() -> None:
    """lambda 3: min(3 * 2.75/5, 1) = 1. lambda .5: 4 * .5 * .55 = 1.1. Fails if: the minimum with 1 is left out."""
    assert dampened(SSD(alpha=1.5, dampening=3.0)) == pytest.approx([4.0, 6.0])
    assert dampened(SSD(alpha=1.5, dampening=0.5)) == pytest.approx([1.1, 6.0])


def test_selection_is_above_alpha_times_all() -> None:
    """5/2.75 = 1.818 and 1/1.75 = .571. Fails if: the comparison is turned over, or alpha multiplies the wrong side."""
    assert dampened(SSD(alpha=1.85, dampening=1.0)) == pytest.approx([4.0, 6.0])
    assert dampened(SSD(alpha=0.5, dampening=1.0)) == pytest.approx([2.2, 6.0])
    assert dampened(SSD(alpha=0.5, dampening=0.1)) == pytest.approx([4 * 0.055, 6 * 0.175])


def test_mask_holds_entries() -> None:
    """Fails if: a masked entry is dampened."""
    mask = Mask({"theta.weight": torch.tensor([[False, True]])})
    assert dampened(SSD(alpha=0.5, dampening=0.1), job=Job(mask=mask)) == pytest.approx([4.0, 6 * 0.175])


BATCHED = SSD(alpha=20.0, dampening=0.25, batch_size=64)
"""The threshold, of ten from 5 to 40, with the least mean gap on the targets of seeds 900 to 903: .175, where 16 has .25 and 25 .18."""


def test_claim_forgets_a_class_without_a_training_step() -> None:
    """One target: forget 100 -> 0%, retain within points, no optimiser step, and half of the weights or more untouched. A membership
    attack calls all forget rows non-members, as in the retrained models (do nothing: none).

    Fails if the method trains, or what it selects is not what the forget rows lean on.
    """
    problem, retrained = digits_of(0)
    model, facts = unlearn(BATCHED, problem.target, problem.splits)
    after = Accuracies.of(model, problem)
    assert "optimiser_steps" not in facts.notes
    assert after.forget < 5
    assert after.retain > 95
    assert after.gap(retrained) < 3
    assert facts.moved_entries < 0.5 * sum(p.numel() for p in model.module.parameters())
    before, now = (membership(one, problem.splits).efficacy for one in (problem.target, model))
    assert before < 10
    assert now > mean_membership(problem.retrained, problem.splits).efficacy - 5 > 90


def test_claim_the_threshold_has_a_cliff() -> None:
    """Five targets, single rows: alpha 2 leaves less than alpha 14 of the class (difference -87 points [-124, -49]: 0 on four targets and
    67, against 100) and of the retain rows (-5.6 [-10.5, -.7]). Fails if a higher alpha selects more."""
    low, high = (over_targets(SSD(alpha=alpha)) for alpha in (2.0, 14.0))
    for name in ("forget", "retain"):
        lower = mean_interval([getattr(one, name) - getattr(other, name) for one, other in zip(low, high, strict=True)])
        assert lower.high < 0
    assert min(one.forget for one in high) > 90
    assert min(one.retain for one in high) > 99


def test_rows_whose_gradients_it_takes() -> None:
    """Forget rows and all rows: 1485 against the 12950 of retraining over 10 epochs, 11%; a recipe of over 115 epochs makes that less
    than 1%. Later forget rows alone, 0.7%: what all rows give is kept, as the paper stores it. Fails if a row is passed twice."""
    problem, _ = digits_of(0)
    seen: list[int] = []

    class Counting(type(problem.target)):  # type: ignore[misc]
        def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
            seen.append(batch.size)
            return super().total_loss(batch, noise)  # type: ignore[no-any-return]

    twin = problem.target.copy()
    twin.__class__ = Counting
    cache = Remembering()
    unlearn(SSD(batch_size=64), twin, problem.splits, job=Job(cache=cache))
    forget, retain = (len(problem.splits.rows[name]) for name in ("forget", "retain"))
    assert sum(seen) == forget + forget + retain
    assert 0.1 < sum(seen) / (problem.recipe.epochs * retain) < 0.12
    seen.clear()
    unlearn(SSD(alpha=9.0, batch_size=64), twin, problem.splits, job=Job(cache=cache))
    assert sum(seen) == forget < 0.01 * problem.recipe.epochs * retain


def test_claim_over_targets_against_ascent() -> None:
    """Nearer to retraining than doing nothing; not shown to be nearer than ascent that is stopped after one epoch. Five targets, gap to
    retrained 33.5 untouched.

    Single rows at alpha 3 leave the class in one target: gap 7.7 [-6.7, 22.1], to doing nothing -26 [-40, -11]. Batches of 64 at the
    alpha that four others chose leave it in another: 6.8 [-11.2, 24.8], -27 [-45, -9]. At alpha 8, first reported on 0, 10 and 20, it
    goes in all: 2.4 [-.8, 5.6], retain accuracy 90.7 to 99.9. Ascent of one epoch: 1.4 [.9, 2.0], forget 0 to 5. To it: 6.3 [-8.3, 20.9],
    5.4 [-12.7, 23.5] and .9 [-2.6, 4.5]; retain accuracy at alpha 8 -2.9 [-8.5, 2.6]: the paper's claim over ascent does not hold here.
    Three epochs of ascent wreck the model: to them -17 [-22, -12].

    Membership efficacy at alpha 8 is 0, 100, 0, 100, 100 (retrained 100 on each, do nothing 0 or 1): on the two targets that lost 8% or
    more of the retain rows these are as unsure as the forget rows, so that the attack calls the forget rows members. Fails if what is
    dampened is not what the forget rows lean on.
    """
    methods: dict[str, Any] = {"single": SSD(), "chosen": BATCHED, "lower": replace(BATCHED, alpha=8.0)}
    methods |= {f"ascent {epochs}": Ascent(descent=Descent(lr=2e-3, epochs=epochs)) for epochs in (1, 3)}
    after = {name: over_targets(method) for name, method in methods.items()}
    gap = {name: np.array(gaps(several)) for name, several in after.items()}
    for name in ("single", "chosen", "lower"):
        nearer = mean_interval(gap[name] - gaps(untouched()))
        assert nearer.high < 0
        beside = mean_interval(gap[name] - gap["ascent 1"])
        assert beside.low < 0 < beside.high
    wrecked = mean_interval(gap["lower"] - gap["ascent 3"])
    assert wrecked.high < 0
    kept = mean_interval(
        [one.retain - other.retain for one, other in zip(after["lower"], after["ascent 1"], strict=True)]
    )
    assert kept.low < 0 < kept.high
    assert all(one.forget == 0 for one in after["lower"])
    assert max(one.forget for one in after["ascent 1"]) < 10
    # one of five each where this was measured: dampening changes sides with the processor
    assert max(sum(one.forget > 50 for one in after[name]) for name in ("single", "chosen")) <= 2
    members = []
    for seed in REPORTED:
        problem, _ = digits_of(seed)
        members.append(
            membership(unlearn(methods["lower"], problem.target, problem.splits)[0], problem.splits).efficacy
        )
    assert [member > 90 for member in members] == [one.retain > 95 for one in after["lower"]]


ON_CNN = SSD(alpha=20.0, dampening=0.5, batch_size=64)
"""Of 51 settings (alpha 1 to 50, dampening .1, .5 and 1, batches of 1 and 64) the least mean gap on small CNNs of seeds 900, 920, 940: .07."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_on_a_small_cnn_it_forgets_like_retraining_and_keeps_more_than_ascent() -> None:
    """Five small CNNs: forget 0, 0, 0, 1, 0, retain 99.9 to 100, gap to ten retrained models .15 [-.07, .36], do nothing 33.5.

    An SVC on confidence calls all forget rows non-members on each, as in the retrained models; the AUC of the loss is 1.4 [.3, 2.4] points
    from theirs. Ascent by the epoch that was best on the tuning seeds leaves up to 32% of the class: its gap is more by 7.2 [2.8, 11.6].
    At equal forgetting (two epochs: 0 on each) it keeps 90.9 to 99.2 of the retain rows, less than SSD on five of five, by 3.0 [-1.3, 7.4]:
    the paper's order, on each target, and the interval of its size holds 0. Fails if what is dampened is not what the forget rows lean on.
    """
    own, first, second = (
        over_targets(method, "cnn")
        for method in (ON_CNN, *(Ascent(descent=Descent(lr=2e-3, epochs=epochs)) for epochs in (1, 2)))
    )
    gap = {name: np.array(gaps(each, "cnn")) for name, each in (("ssd", own), ("first", first), ("second", second))}
    kept = np.array([one.retain - other.retain for one, other in zip(own, second, strict=True)])
    print(gap, kept, mean_interval(gap["ssd"]), mean_interval(gap["ssd"] - gap["first"]), mean_interval(kept))
    assert mean_interval(gaps(untouched("cnn"), "cnn")).low > 30
    assert mean_interval(gap["ssd"]).high < 1.5
    assert max(one.forget for one in own) < 5
    assert min(one.retain for one in own) > 99
    assert mean_interval(gap["ssd"] - gap["first"]).high < 0
    assert max(one.forget for one in second) < 5
    assert kept.min() > 0
    for seed in REPORTED:
        problem, _ = digits_of(seed, "cnn")
        model, _ = unlearn(ON_CNN, problem.target, problem.splits)
        away = membership(model, problem.splits).gap(mean_membership(problem.retrained, problem.splits))
        assert membership(problem.target, problem.splits).efficacy < 10
        assert away.efficacy < 5
        assert away.area < 5


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_on_a_small_cnn_threshold_and_dampening_have_cliffs() -> None:
    """Means over five small CNNs, batches of 64; forget and retain accuracy by alpha, at dampening 1 and at .1.

    Alpha 1: 7 and 80, 5 and 33. 2: 4 and 80, 11 and 52. 5: .4 and 95, .4 and 90. 10: .4 and 99.2, .2 and 99.0. 20: .4 and 100, 0 and 100.
    50: 29 and 100, 28 and 100. 100: 96 and 100, 96 and 100. So the threshold has a cliff on each side: below 10 the retain rows go (at 1
    by 20 [4, 37] and 67 [49, 85] points from 20), above 20 the class stays (at 100 more by 96 [85, 106]). The dampening has one below the
    threshold alone: at alpha 1 a tenth of it costs 47 [25, 69] points of retain accuracy, at 20 nothing (0 to .1 on each). Fails if a
    higher alpha selects more, or the dampening is not read.
    """
    after = {
        (alpha, dampening): over_targets(SSD(alpha=alpha, dampening=dampening, batch_size=64), "cnn")
        for alpha in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
        for dampening in (1.0, 0.1)
    }
    forget, retain = (
        {at: np.array([getattr(one, name) for one in each]) for at, each in after.items()}
        for name in ("forget", "retain")
    )
    for at in after:
        print(at, mean_interval(forget[at]), mean_interval(retain[at]))
    for dampening in (1.0, 0.1):
        lost = mean_interval(retain[20.0, dampening] - retain[1.0, dampening])
        left = mean_interval(forget[100.0, dampening] - forget[20.0, dampening])
        print(dampening, lost, left)
        assert lost.low > 0
        assert left.low > 50
        assert forget[20.0, dampening].max() < 5
        assert min(retain[alpha, dampening].min() for alpha in (20.0, 50.0, 100.0)) > 99
    harder = mean_interval(retain[1.0, 1.0] - retain[1.0, 0.1])
    print(harder)
    assert harder.low > 10
    assert np.abs(retain[20.0, 1.0] - retain[20.0, 0.1]).max() < 1
