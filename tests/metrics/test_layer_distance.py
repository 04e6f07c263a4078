"""Distance of the weights."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from classifiers import SEEDS, Measured, a_class, by_hand, of_problem, over, read, share_right
from digits_gap import after

from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.engine.fit_many import fit_many
from expunge.facts.rows import Rows
from expunge.metrics.layer_distance import LayerDistance


def model(name: str, stem: float, head: float, **given: object) -> Evidence:
    weights = {
        "stem.weight": np.array([[stem, 0.0]], np.float32),
        "stem.bias": np.array([0.0], np.float32),
        "head.weight": np.array([head], np.float32),
    }
    return by_hand(name, {"forget": [0.5]}, weights=weights, **given)


def given(target: float = 10.0, untrained: float = 20.0) -> dict[str, object]:
    retrained = (model("retrained-0", 0.0, 0.0, role="retrained"), model("retrained-1", 3.0, 4.0, role="retrained"))
    return {
        "target": model("target", target, 0.0),
        "untrained": model("untrained", untrained, 0.0),
        "retrained": retrained,
    }


def test_by_hand_with_its_scale() -> None:
    """Fails if squares are given, layers mixed, the floor left out, or distances to the mean of the retrained weights taken.

    Unlearned (6, 4) lies sqrt 52 and 3 from (0, 0) and (3, 4); these lie 5 apart, the target (10, 0) 10 and sqrt 65 from them.
    """
    found = LayerDistance().run(model("unlearned", 6.0, 4.0, **given()))
    assert found["layers"].value == pytest.approx((np.sqrt(52) + 3) / 2)
    assert found["layers/stem"].value == pytest.approx((6 + 3) / 2)
    assert found["layers/head"].value == pytest.approx((4 + 0) / 2)
    assert found["layers/floor"].value == pytest.approx(5.0)
    assert found["layers/target"].value == pytest.approx((10 + np.sqrt(65)) / 2)
    assert found["layers/untrained"].value == pytest.approx((20 + np.sqrt(17**2 + 16)) / 2)
    assert (found["layers/stem/floor"].value, found["layers/head/floor"].value) == pytest.approx((3.0, 4.0))


def test_refused_where_target_or_random_weights_are_as_near() -> None:
    """Fails if the number stands where it ranks chance; the scale is given all the same."""
    near = LayerDistance().run(model("unlearned", 6.0, 4.0, **given(target=1.0)))
    assert "doing nothing reads 2.736, retrained models 5 to 5" in (near["layers"].unscored or "")
    random = LayerDistance().run(model("unlearned", 6.0, 4.0, **given(untrained=1.0)))
    assert random["layers/stem"].unscored == "random weights lie 2.736 from the retrained models, and these 5 apart"
    assert random["layers/floor"].value == 5.0


def test_on_digits_random_weights_lie_nearer_than_a_second_retrained_model() -> None:
    """Fails if weights of models from starts of their own are read as if they told a removal.

    Measured: target 18.7, floor 18.5, random weights 15.6.
    """
    found = LayerDistance().run(a_class().evidence["retrained-0"])
    assert found["layers"].unscored is not None
    assert (found["layers/untrained"].value or 99) < (found["layers/floor"].value or 0)
    assert found["layers/target"].value == pytest.approx(found["layers/floor"].value or 0, rel=0.15)
    assert "layers/blocks.0.linear/floor" in found


def test_other_architectures_and_no_weights() -> None:
    """Fails if layers are paired by order, or models without weights lie at 0."""
    asked = model("unlearned", 6.0, 4.0, **given())
    other = replace(asked, weights={"stem.weight": np.zeros(2, np.float32)})
    assert LayerDistance().run(other)["layers"].unscored == "the weights of target have other names or shapes"
    assert LayerDistance().run(replace(asked, weights={}))["layers"].unscored == "no weights were given"


def test_claim_has_no_number_where_each_training_had_a_start_of_its_own() -> None:
    """A class, five draws of rows and models. Bounds were set on seeds 0, 900 and 920.

    Measured, with 95% intervals over draws: the target lies .27 [.19, .34] further from ten retrained models than these from one another
    (18.4 to 18.5), random weights 2.92 [2.88, 2.96] nearer: refused on each draw, the target naming nine of ten forget rows and more, no
    retrained model one of ten. Fails if: a number stands on any draw, or weights do tell models of which one names every forget row and the others none.
    """
    draws = []
    for seed in SEEDS:
        evidence = a_class(seed).evidence
        found = LayerDistance().run(evidence["target"])
        print(found["layers"].unscored)
        assert found["layers"].unscored is not None
        assert share_right(evidence["target"], "forget") > 90
        assert max(share_right(evidence[f"retrained-{i}"], "forget") for i in range(10)) < 10
        draws.append({one: found[f"layers/{one}"].value or 0 for one in ("target", "untrained", "floor")})
    apart = over(draws, "target", "floor")
    assert -1 < apart.low < apart.high < 1
    assert over(draws, "untrained", "floor").high < -1


@cache
def one_start(seed: int) -> Measured:
    """The same rows, target and ten retrained models trained from the same random weights, which are the untrained model."""
    task = a_class(seed).problem
    rows, start = task.splits.rows, task.untrained.fresh(seed)
    models = [start.copy() for _ in range(11)]
    every = Rows((*rows["forget"], *rows["retain"]), "training")
    recipes = [task.recipe.model_copy(update={"seed": seed + i}) for i in range(11)]
    fit_many(models, [every, *[rows["retain"]] * 10], recipes, job=Job())
    return of_problem(replace(task, target=models[0], retrained=tuple(models[1:]), untrained=start))


BODY = ("layers/stem.linear", "layers/blocks.0.linear")
HEAD = "layers/head"
REMOVALS = ("cf_k", "finetune", "random_label", "bad_teacher")


def from_one_start(seed: int) -> dict[str, float]:
    """Distance of the target and its scale over all weights; and what removals add to the target's, by part, with forget rows right."""
    at = one_start(seed)
    nothing = LayerDistance().run(at.evidence["target"])
    found = {one: nothing[f"layers/{one}"].value or 0 for one in ("target", "untrained", "floor")}
    for name in REMOVALS:
        own = after(at, name, {}, seed=seed)
        found[f"{name} right"] = share_right(own, "forget")
        for part in ("layers", *BODY, HEAD):
            found[f"{name} {part}"] = read(LayerDistance(), own, part) - (nothing[f"{part}/target"].value or 0)
    return found


def test_claim_from_one_start_what_was_not_reached_stays_but_what_was_rewritten_does_not_come_nearer() -> None:
    """A class, seed 0.

    Target 5.27, retrained models 4.43 from one another, their start 9.30. `cf_k` moves the head alone: the body stays at the target's
    distance and the head goes .94 further off (98% forgotten). `finetune`, `random_label`, `bad_teacher` (92% and more forgotten) end
    6.02, .54 and .40 further off than doing nothing. Fails if: layers are mixed up, or distances are taken to the target.
    """
    found = from_one_start(0)
    print(found)
    assert found["floor"] + 0.3 < found["target"] < found["untrained"] - 2
    assert [found[f"cf_k {part}"] for part in BODY] == pytest.approx([0, 0], abs=1e-6)
    assert found[f"cf_k {HEAD}"] > 0.3
    assert min(found[f"{name} layers"] for name in REMOVALS) > 0.1
    assert max(found[f"{name} right"] for name in REMOVALS) < 25


@pytest.mark.slow
def test_claim_from_one_start_over_five_draws() -> None:
    """Rows and models of five draws, with 95% intervals over them; settings are the methods' own.

    Target 5.66 [5.37, 5.96], above the floor by 1.30 [1.15, 1.46]; the start lies 3.64 [3.41, 3.87] further than the target. `cf_k` adds 0
    to the body, .92 [.71, 1.12] to the head; it leaves 34% [2, 65] of the forget rows right, so that the bound of 25, which held on
    seeds 0 and 900, does not hold for it. Over all weights `finetune` adds 6.09 [5.55, 6.62] (0% right), `random_label` .48 [.42, .54]
    (0%), `bad_teacher` .34 [.31, .37] (20% [15, 25]); in the head alone 1.45 [1.20, 1.71], -.07 [-.10, -.04] and -.06 [-.09, -.04]: what
    the claim says holds there, by a twentieth, for two of four. Fails as above.
    """
    draws = [from_one_start(seed) for seed in SEEDS]
    for name in ("target", "floor", "untrained", *(f"{name} right" for name in REMOVALS)):
        over(draws, name)
    assert over(draws, "target", "floor").low > 0.3
    assert over(draws, "untrained", "target").low > 2
    for part in BODY:
        assert max(abs(one[f"cf_k {part}"]) for one in draws) < 1e-6
    assert over(draws, f"cf_k {HEAD}").low > 0.3
    for name in REMOVALS:
        assert over(draws, f"{name} layers").low > 0.1
    for name in REMOVALS[1:]:
        assert over(draws, f"{name} right").high < 25
        for part in BODY:
            assert over(draws, f"{name} {part}").low > 0
        over(draws, f"{name} {HEAD}")
