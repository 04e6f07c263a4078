"""Iterative magnitude pruning before training: masks and rewinding by hand, zeros that stay, and what forgetting gains from it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from digits_class import Accuracies, retrained
from digits_seeds import REPORTED, digits_of
from poisoned_class import SEEDS, backdoor_gap, measured, poisoned
from tiny_problems import Tiny
from told_members import mean_membership, membership
from torch import Tensor, nn

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Batch, Capabilities, Model
from expunge.contract.weights import snapshot
from expunge.engine.descend import Descent
from expunge.engine.loop import Masked
from expunge.engine.prune import prunable
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.methods.finetune import Finetune
from expunge.methods.imp import IMP
from expunge.testbeds.poisoned import recipe_of, untrained
from expunge.testbeds.problem import Problem
from expunge.testbeds.vision import CLASS_RECIPE, class_problem

START, WANTED = (8.0, 0.0, -4.0, 1.0), (0.0, 4.0, -4.0, 0.5)


@dataclass
class FourWeights:
    """loss(row i) = (theta_i - y_i)^2 / 2: with all four rows in a batch and lr 2 an epoch halves each distance."""

    module: nn.Linear = field(default_factory=lambda: nn.Linear(4, 1, bias=False))
    modality: str = "tabular"
    capabilities: Capabilities = Capabilities(logits=False)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def pack(self, rows: Any) -> Batch:
        place = torch.tensor([row["place"] for row in rows])
        return Batch({"place": place}, torch.tensor(WANTED)[place], torch.arange(len(place)), len(place))

    pack_apart = pack

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        return (self.module.weight[0, batch.inputs["place"]] - batch.targets).square() / 2

    def noise(self, batch: Batch, generator: torch.Generator) -> None:
        return None

    def fresh(self, seed: int) -> FourWeights:
        return four(START)

    def copy(self) -> FourWeights:
        return copy.deepcopy(self)


def four(weights: tuple[float, ...]) -> FourWeights:
    model = FourWeights()
    with torch.no_grad():
        model.module.weight.copy_(torch.tensor([weights]))
    return model


ROWS = Rows(tuple(Row(id=f"r{i}", fields={"place": i}) for i in range(4)))
PLAIN = Recipe(
    epochs=3, lr=2.0, batch_size=4, warmup=0.0, schedule="constant", optimiser="sgd", momentum=0.0, clip=None
)


def prepared(method: IMP, **job: Any) -> list[float]:
    made: Any = method.prepare(four((0.0,) * 4), ROWS, PLAIN, Job(**job))  # type: ignore[arg-type]
    found: list[float] = made.module.weight[0].tolist()
    return found


def test_prune_and_rewind_by_hand() -> None:
    """Kept after an epoch: (4, 2, -4, .75); trained to the end: (1, 3.5, -4, .5625); of these the two smallest go, 0 and 3.

    From (0, 2, -4, 0) two epochs: 4 - 2/4 = 3.5. A second round takes half of what is left: 3.5 goes. Fails if: the kept or the first
    weights are ranked (1 and 3 go), signs count, the start is rewound to (3 in place of 3.5), nothing is (3.875), or a round takes half of all.
    """
    assert prepared(IMP(rate=0.5, rounds=1, rewind_epochs=1)) == pytest.approx([0, 3.5, -4, 0])
    assert prepared(IMP(rate=0.5, rounds=2, rewind_epochs=1)) == pytest.approx([0, 0, -4, 0])


def test_rewinding_to_the_start_and_to_a_base_model() -> None:
    """From (8, 0, -4, 1) three epochs: 4 - 4/8 = 3.5; from a base of (0, 0, -4, 9): (0, 3.5, -4, 1.5625), of which 0 and 3 go too.

    A base of (0, 12, -4, 0) comes to 4 + 8/8 = 5. Fails if: the base model is not what training starts from.
    """
    assert prepared(IMP(rate=0.5, rounds=1, rewind_epochs=0)) == pytest.approx([0, 3.5, -4, 0])
    base = {"base": lambda: four((0.0, 12.0, -4.0, 0.0))}
    assert prepared(IMP(rate=0.5, rounds=1, rewind_epochs=0), **base) == pytest.approx([0, 5, -4, 0])


def zeros(model: Model) -> dict[str, Tensor]:
    return {name: weight.detach() == 0 for name, weight in prunable(model.module).items()}


@pytest.fixture(scope="module")
def sparse(clouds: Tiny) -> Model:
    """The clouds' target, half of it pruned, prepared under momentum and weight decay."""
    recipe = clouds.recipe.model_copy(update={"optimiser": "sgd", "lr": 0.05, "weight_decay": 0.05})
    rows = Rows((*clouds.forget, *clouds.retain))
    return IMP(rate=0.3, rounds=2).prepare(clouds.target.fresh(0), rows, recipe, Job())  # type: ignore[attr-defined]


def test_no_pruned_weight_comes_back_under_momentum_and_weight_decay(
    clouds: Tiny, sparse: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peers' defect: masked weights moved by momentum. Of n weights n - round(.49 n) are zero after training, and the same after removal.

    Here no optimiser outlives a pruning, and zeros without gradient stay. Fails if: training or removal is not given the mask, or biases are held.
    """
    gone, total = zeros(sparse), sum(weight.numel() for weight in prunable(sparse.module).values())
    assert sum(int(entry.sum()) for entry in gone.values()) == total - round(0.49 * total)
    monkeypatch.setattr(Masked, "weights", lambda self: None)
    method = IMP(rate=0.3, rounds=2, descent=Descent(lr=1e-2, epochs=3, weight_decay=0.5))
    model, facts = unlearn(method, sparse, clouds.splits)
    assert all(torch.equal(entry, gone[name]) for name, entry in zeros(model).items())
    entries = sum(parameter.numel() for parameter in model.module.parameters())
    assert 0.9 * (entries - total + 0.49 * total) < facts.moved_entries <= entries - total + round(0.49 * total)


def test_a_locators_mask_holds_as_well(clouds: Tiny, sparse: Model) -> None:
    """Fails if: the zeros take the place of the mask, so that what it holds moves."""
    before = snapshot(sparse.module)
    entries = {name: torch.ones_like(value, dtype=torch.bool) for name, value in before.items() if value.ndim > 1}
    first = next(iter(entries))
    entries[first][0] = False
    model, _ = unlearn(IMP(rate=0.3, rounds=2), sparse, clouds.splits, job=Job(mask=Mask(entries)))
    after, gone = snapshot(model.module), zeros(sparse)
    for name, value in after.items():
        free = entries[name] & ~gone[name] if name in entries else torch.zeros_like(value, dtype=torch.bool)
        assert torch.equal(value[~free], before[name][~free]), name
        assert name not in entries or bool((value[free] != before[name][free]).float().mean() > 0.5)


def test_removal_is_fine_tuning(clouds: Tiny, sparse: Model) -> None:
    """Without zeros it is bit for bit what fine-tuning does at the same settings. Fails if: the loss or its rows are others'."""
    settings, method = Descent(lr=5e-3, epochs=2), IMP(rate=1e-4, rounds=1, descent=Descent(lr=5e-3, epochs=2))
    one, _ = clouds.run(method)
    other, _ = clouds.run(Finetune(descent=settings))
    assert all(torch.equal(value, snapshot(other.module)[name]) for name, value in snapshot(one.module).items())
    pruned, _ = unlearn(IMP(rate=0.3, rounds=2, descent=settings), sparse, clouds.splits)
    assert clouds.knows(pruned).forget < clouds.knows(sparse).forget


def test_targets_that_are_not_sparse_enough_are_refused(clouds: Tiny, sparse: Model) -> None:
    """Fails if: a dense target is fine-tuned under this name, or one of fewer rounds is taken."""
    with pytest.raises(InputError, match=r"0.0% of the weights of this one are zero, not 67.2%") as refused:
        clouds.run(IMP())
    assert "expunge run prepares" in str(refused.value.do)
    IMP(rate=0.3, rounds=2).check_target(sparse)
    with pytest.raises(InputError, match=r"51.\d% of the weights of this one are zero, not 65.7%"):
        unlearn(IMP(rate=0.3, rounds=3), sparse, clouds.splits)


def test_bad_settings_are_refused() -> None:
    """Fails if: all epochs are trained before weights are kept, or a share is taken as percent."""
    with pytest.raises(InputError, match="rewinds to epoch 3, and the recipe trains 3"):
        prepared(IMP(rewind_epochs=3))
    with pytest.raises(ValueError, match="rounds must be at least 1"):
        IMP(rounds=0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        IMP(rate=20.0)


def small(seed: int) -> tuple[Problem, Accuracies]:
    """Forget the threes: an MLP 64-64-64-10 trained under a seed, and the mean accuracies of ten retrained models."""
    torch.set_num_threads(1)
    recipe = CLASS_RECIPE.model_copy(update={"seed": seed})
    problem = class_problem("mlp", recipe, retrained=10, width=64, depth=1)
    return problem, retrained(problem)


def pruned_before(unit: IMP, problem: Problem) -> Model:
    """What IMP prepares of the forget and retain rows, under the target's seed."""
    rows = Rows((*problem.splits.rows["forget"], *problem.splits.rows["retain"]))
    blank: Model = problem.target.fresh(problem.recipe.seed)
    return unit.prepare(blank, rows, problem.recipe, Job(seed=problem.recipe.seed))


def gaps_after(method: Any, target: Model, problem: Problem, again: Accuracies) -> tuple[float, float]:
    """Gap of accuracies to retrained, and that of the share that a membership attack calls non-members, in points."""
    model, _ = unlearn(method, target, problem.splits, job=Job(seed=0))
    wanted = mean_membership(problem.retrained, problem.splits).efficacy
    return Accuracies.of(model, problem).gap(again), abs(membership(model, problem.splits).efficacy - wanted)


def test_claim_a_target_pruned_before_forgets_less_at_equal_settings() -> None:
    """P029 the other way round, at lr 2e-3 (training: 6e-3): gap to ten retrained models 5.8 from the dense target, 21.0 from 75% pruned.

    A membership attack calls 98 and 54% of the forget rows non-members (retrained 100). Both targets know the class, at equal utility.
    With the default lr, set on seed 900, the pruned one ends at a gap of .4. Fails if: pruning in `prepare` has no effect, or costs
    utility, or the sparse target forgets more: then `differs` is wrong.
    """
    problem, again = small(0)
    quick = IMP(rate=0.5, rounds=2)
    sparse = pruned_before(quick, problem)
    before = Accuracies.of(sparse, problem)
    assert before.forget > 95
    assert before.gap(Accuracies.of(problem.target, problem)) < 1.5
    low = Descent(lr=2e-3, epochs=10)
    dense, dense_members = gaps_after(Finetune(descent=low), problem.target, problem, again)
    gap, members = gaps_after(replace(quick, descent=low), sparse, problem, again)
    assert gap > dense + 4
    assert members > dense_members + 5
    usual, _ = gaps_after(quick, sparse, problem, again)
    print(dense, dense_members, gap, members, usual)
    assert usual < 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_over_targets_and_rounds() -> None:
    """Five targets, gap to ten retrained models with 95% intervals.

    At lr 2e-3: dense 8.3 [3.9, 12.8], pruned by 67% 22.0 [19.5, 24.4], by 89% 23.0 [19.7, 26.4]; paired difference to dense 13.6 [10.8,
    16.5] and 14.7 [8.9, 20.4]. At the default 1.6e-2 .4, .5 and 12.3: by 67% not told apart (.1 [-.3, .5]), by 89% 11.9 [4.2, 19.6]
    further. The share called non-members at 2e-3 is 7 [-2, 16] points from the retrained models' from dense, 48 [41, 56] from 67%; paired
    41 [33, 49]. Fails if: it is one target's luck.
    """
    found = []
    for seed in REPORTED:
        problem, again = small(seed)
        starts = [(Finetune(), problem.target)]
        starts += [(IMP(rounds=n), pruned_before(IMP(rounds=n), problem)) for n in (5, 10)]
        found.append(
            [
                gaps_after(replace(method, descent=Descent(lr=lr, epochs=10)), start, problem, again)
                for lr in (2e-3, 1.6e-2)
                for method, start in starts
            ]
        )
    gaps, members = np.moveaxis(np.array(found), -1, 0)
    low, high = gaps[:, :3], gaps[:, 3:]
    print(*(mean_interval(each) for one in (gaps, members) for each in one.T))
    slow, usual = ([mean_interval(one[:, pruned] - one[:, 0]) for pruned in (1, 2)] for one in (low, high))
    told = mean_interval(members[:, 1] - members[:, 0])
    print("paired", slow, usual, told)
    assert min(one.low for one in slow) > 4
    assert max(mean_interval(high[:, i]).high for i in (0, 1)) < 4
    assert usual[0].low < 0 < usual[0].high
    assert usual[1].low > 4
    assert told.low > 5


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_over_five_small_cnns_a_pruned_one_forgets_less() -> None:
    """At lr 2e-3 (training: 6e-3), gap to ten retrained models: dense 17.9 [12.1, 23.6], 75% pruned before 28.2 [25.1, 31.4].

    Paired 10.4 [3.9, 16.8], and by the share called non-members 37 [13, 61]: the other way round here too. With the default lr the pruned
    one ends at .44 [-.36, 1.2]. Fails if: pruning in `prepare` has no effect, or the sparse target forgets more.
    """
    quick, found = IMP(rate=0.5, rounds=2), []
    for seed in REPORTED:
        problem, again = digits_of(seed, "cnn")
        sparse = pruned_before(quick, problem)
        low = Descent(lr=2e-3, epochs=10)
        found.append(
            [
                gaps_after(method, start, problem, again)
                for method, start in (
                    (Finetune(descent=low), problem.target),
                    (replace(quick, descent=low), sparse),
                    (quick, sparse),
                )
            ]
        )
    gaps, members = np.moveaxis(np.array(found), -1, 0)
    further, told = (mean_interval(one[:, 1] - one[:, 0]) for one in (gaps, members))
    print(*(mean_interval(column) for one in (gaps, members) for column in one.T), further, told)
    assert further.low > 0
    assert told.low > 0
    assert mean_interval(gaps[:, 2]).high < 2


@pytest.mark.slow
def test_claim_of_a_backdoors_lower_success_is_the_other_way_round() -> None:
    """P029: patched digits, five draws, all 60 manipulated rows known. Targets pruned by 75% before answer the patch like dense ones.

    Distance of success to ten retrained models' (0 to .04) after fine-tuning dense and pruned, with 95% intervals: at lr 1e-3 82.1 [76.3,
    87.9] and 91.3 [82.0, 100.6], paired 9.2 [4.2, 14.1]; at 5e-3 6.2 [3.1, 9.3] and 38.3 [27.6, 49.0], 32.1 [23.6, 40.5]. Fails if:
    pruning in `prepare` has no effect, or the sparse target unlearns the backdoor more: then `differs` is wrong.
    """
    quick, away = IMP(rate=0.5, rounds=2), []
    for seed in SEEDS:
        of = poisoned(seed)
        splits = of.splits(1.0)
        rows = Rows((*splits.rows["forget"], *splits.rows["retain"]))
        target = quick.prepare(untrained(seed), rows, recipe_of(seed), Job(seed=seed))
        assert measured(target, of)["success"] > 90
        descents = [Descent(lr=lr, epochs=10) for lr in (1e-3, 5e-3)]
        cases = [(Finetune(descent=one), of.target) for one in descents]
        cases += [(replace(quick, descent=one), target) for one in descents]
        models = [unlearn(method, start, splits, job=Job(seed=seed))[0] for method, start in cases]
        away.append([backdoor_gap(model, seed) for model in models])
    dense, pruned = np.hsplit(np.array(away), 2)
    found = [mean_interval(column) for one in (dense, pruned, pruned - dense) for column in one.T]
    print(*found)
    assert found[4].low > 0
    assert found[5].low > 10
