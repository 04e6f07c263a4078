"""The ruler of the drawing problems: the share of drawn images that a judge calls by the prompt."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine.fit import fit
from expunge.facts.rows import Rows
from expunge.testbeds.diffusion import (
    NAMES,
    SIDES,
    agreement,
    digits_judge,
    digits_problem,
    sides_judge,
)
from expunge.testbeds.problem import Problem


def mean_loss(model: Model, rows: Rows) -> float:
    """The loss an entry, each row under the same noise in every model."""
    batch = model.pack(rows)
    with torch.no_grad():
        return float(model.total_loss(batch, model.noise(batch, torch.Generator().manual_seed(0))).mean()) / 16


def zeroed(model: Model) -> Model:
    twin = model.copy()
    for parameter in twin.module.parameters():
        nn.init.zeros_(parameter)
    return twin


def test_the_judge_and_the_share_by_hand() -> None:
    """Fails if the judge swaps sides, or the shares are read in another order than the prompts were asked."""
    image = torch.zeros(2, 1, 2, 2)
    image[0, 0, :, 0] = 1.0
    image[1, 0, :, 1] = 1.0
    assert sides_judge(image) == ["left", "right"]

    class Drawer:
        def sample(self, asked: list[str], **_: object) -> Tensor:
            assert asked == ["left"] * 4 + ["right"] * 4
            return image[[0, 0, 0, 1, 1, 0, 0, 0]]

    assert agreement(Drawer(), sides_judge, SIDES, each=4) == {"left": 0.75, "right": 0.25}  # type: ignore[arg-type]


def test_the_target_draws_both_and_a_retrained_model_only_what_it_saw(diffusion_problem: Problem) -> None:
    """Fails if prompts do not reach the image, or forget rows leak into retain."""
    rows = diffusion_problem.splits.rows
    assert {row["prompt"] for row in (*rows["forget"], *rows["holdout"])} == {"right"}
    assert {row["prompt"] for row in (*rows["retain"], *rows["test"])} == {"left"}
    target = agreement(diffusion_problem.target, sides_judge, SIDES, each=100)
    assert min(target.values()) >= 0.95
    for retrained in diffusion_problem.retrained:
        drawn = agreement(retrained, sides_judge, SIDES, each=100)
        assert drawn["left"] >= 0.95
        assert drawn["right"] <= 0.2


def test_untouched_closes_nothing_retrained_all_and_zeroed_is_wrecked(diffusion_problem: Problem) -> None:
    """Fails if the loss is no measure of knowing: by it a retrained model knows the forget rows as little as the untrained."""
    forget, test = (diffusion_problem.splits.rows[name] for name in ("forget", "test"))
    target = mean_loss(diffusion_problem.target, forget)
    retrained = fmean(mean_loss(one, forget) for one in diffusion_problem.retrained)
    assert target < 0.3
    assert retrained > 0.9
    assert (target - mean_loss(diffusion_problem.target.copy(), forget)) / (target - retrained) == 0
    for one in diffusion_problem.retrained:
        assert 0.8 < (target - mean_loss(one, forget)) / (target - retrained) < 1.2
        assert mean_loss(one, test) < 0.3
    wrecked = zeroed(diffusion_problem.target)
    batch = wrecked.pack(test)
    noise = wrecked.noise(batch, torch.Generator().manual_seed(0))
    assert mean_loss(wrecked, test) == pytest.approx(float(noise[:, 2:].square().mean()), rel=1e-5)
    assert mean_loss(wrecked, test) > 0.9


def test_finetuning_on_retain_does_not_reach_the_retrained_models(diffusion_problem: Problem) -> None:
    """The weak baseline at the training rate and length: by loss it closes a part of the gap (measured 0.46).

    By drawings alone it closes 0.84 here: with one thing left to draw, "right" drifts to it.
    """
    forget = diffusion_problem.splits.rows["forget"]
    model = diffusion_problem.target.copy()
    fit(model, diffusion_problem.splits.rows["retain"], diffusion_problem.recipe, job=Job(seed=50))
    target = mean_loss(diffusion_problem.target, forget)
    retrained = fmean(mean_loss(one, forget) for one in diffusion_problem.retrained)
    assert 0.2 < (target - mean_loss(model, forget)) / (target - retrained) < 0.8


@pytest.mark.slow
def test_digits_are_drawn_by_name_and_the_forgotten_one_is_not() -> None:
    """Fails if sampling clips x_0 as diffusers' default does: at guidance 4 the three comes out in 0.575, as if half forgotten."""
    problem, judge = digits_problem(), digits_judge()
    others = [name for name in NAMES if name != "three"]
    target = agreement(problem.target, judge, NAMES, each=40)
    assert fmean(target.values()) >= 0.95
    assert target["three"] >= 0.95
    assert agreement(problem.target, judge, ["three"], each=40, guidance=4.0)["three"] >= 0.95
    retrained = agreement(problem.retrained[0], judge, NAMES, each=40)
    assert retrained["three"] == 0
    assert fmean(retrained[name] for name in others) >= 0.95
    assert fmean(agreement(zeroed(problem.target), judge, NAMES).values()) < 0.3
    assert fmean(agreement(problem.untrained, judge, NAMES).values()) < 0.3
    test = problem.splits.rows["test"]
    images = torch.from_numpy(np.stack([row["image"] for row in test]))[:, None]
    assert fmean(said == row["prompt"] for said, row in zip(judge(images), test, strict=True)) >= 0.95
