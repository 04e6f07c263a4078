"""Tug-of-war."""

from __future__ import annotations

from statistics import fmean

import pytest
from classifiers import SEEDS, Measured, a_class, by_hand, clean, hidden, noise, over, read
from digits_gap import SEEDS as HEART_SEEDS
from digits_gap import after, digits_gap

from expunge.metrics.tow import Tow

RIGHT, WRONG = 0.9, 0.1


def split(right: int, of: int = 10) -> list[float]:
    return [RIGHT] * right + [WRONG] * (of - right)


def model(name: str, forget: int, retain: int, test: int, **given: object):  # type: ignore[no-untyped-def]
    return by_hand(name, {"forget": split(forget), "retain": split(retain), "test": split(test)}, **given)


def test_product_of_three_by_hand() -> None:
    """Fails if a factor is left out, gaps are added, or taken to one retrained model in place of their mean.

    Forget .5 against (.2 + .4) / 2, retain .8 against 1, test .9 against (.8 + .6) / 2: .8 * .8 * .8.
    """
    retrained = (model("retrained-0", 2, 10, 8, role="retrained"), model("retrained-1", 4, 10, 6, role="retrained"))
    target = model("target", 10, 10, 9, role="target")
    found = Tow().run(model("unlearned", 5, 8, 9, target=target, retrained=retrained))["all"]
    assert found.value == pytest.approx(0.512)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.512 < found.high
    assert found.n == 30


def test_an_equal_model_scores_1_and_its_interval_has_1() -> None:
    """Fails if over-forgetting scores better than retraining: below and above by as much are one value."""
    retrained = (model("retrained-0", 3, 10, 7, role="retrained"), model("retrained-1", 3, 10, 7, role="retrained"))
    given = {"target": model("target", 10, 10, 7, role="target"), "retrained": retrained}
    same, less, more = (Tow().run(model("unlearned", forget, 10, 7, **given))["all"] for forget in (3, 1, 5))
    assert (same.value, same.high) == (1.0, 1.0)
    assert less.value == more.value == pytest.approx(0.8)


def test_anchors_on_digits() -> None:
    """Fails if doing nothing is not at 0 where a class must go, or a retrained or an untrained model is not where it belongs.

    Measured: target .000, retrained .993 to .999, untrained .014. On random rows with clean labels its .98 is refused.
    """
    found = {name: Tow().run(one)["all"].value for name, one in a_class().evidence.items()}
    assert found["target"] < 0.02
    assert found["untrained"] < 0.1
    assert min(found[f"retrained-{i}"] for i in range(10)) > 0.95
    flattered = Tow().run(clean().evidence["target"])["all"]
    assert flattered.unscored is not None or (flattered.value or 0) > 0.9


def test_refused_without_a_floor_or_a_gap() -> None:
    """Fails if a number stands where doing nothing scores as well as retraining, or a split is missing."""
    retrained = tuple(model(f"retrained-{i}", n, 10, 8, role="retrained") for i, n in enumerate((9, 10)))
    given = {"target": model("target", 10, 10, 8, role="target"), "retrained": retrained}
    refused = Tow().run(model("unlearned", 0, 10, 8, **given))["all"]
    assert refused.unscored == (
        "its anchors are out of order here: doing nothing reads 0.95, retrained models 0.9 to 0.9, and higher is better"
    )
    alone = Tow().run(model("unlearned", 0, 10, 8, target=given["target"], retrained=retrained[:1]))["all"]
    assert alone.unscored == "the noise between retrained models is unknown: there are 1 of them"


def reads(at: Measured, seed: int) -> dict[str, float]:
    """Of one draw: target, untrained, one taught by an untrained model; of ten retrained models the mean and the lowest."""
    again = [read(Tow(), at.evidence[f"retrained-{i}"]) for i in range(10)]
    found = {name: read(Tow(), at.evidence[name]) for name in ("target", "untrained")}
    found["taught"] = read(Tow(), after(at, "bad_teacher", {}, seed=seed))
    return {**found, "again": fmean(again), "least": min(again)}


def test_claim_on_a_class_retraining_is_near_1_and_doing_nothing_at_0_but_a_head_that_hides_is_near_1_too() -> None:
    """Five draws of rows and models. Bounds were set on seeds 0, 900 and 920.

    Measured, with 95% intervals over draws: ten retrained models .996 [.995, .997], target .000, untrained .014 [.007, .021]; `hidden`,
    whose head alone was changed, .969 [.963, .975], one taught by an untrained model .790 [.736, .845]: the one that hides is ahead by
    .178 [.122, .234]. Fails if: a factor is left out, retraining is not near 1, or `hidden`, whose body is the target's, is told from a removal.
    """
    draws = [{**reads(a_class(s), s), "hidden": read(Tow(), a_class(s).of(hidden(s)))} for s in SEEDS]
    assert min(one["least"] for one in draws) > 0.95
    over(draws, "again")
    assert over(draws, "target").high < 0.05
    assert over(draws, "untrained").high < 0.1
    assert over(draws, "hidden").low > 0.85
    over(draws, "taught")
    over(draws, "hidden", "taught")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_doing_nothing_is_far_below_only_where_the_target_alone_learnt_the_rows_by_heart() -> None:
    """A tenth of rows, five draws each: a fifth of labels wrong and learnt by heart, the same hardly learnt, and clean labels.

    Measured, with 95% intervals over draws: by heart (100 epochs, bounds set on seeds 900 and 901) target .684 [.638, .730], below ten
    retrained models (.979 [.975, .984]) by .296 [.252, .339]; one taught by an untrained model .776 [.714, .837]. Hardly learnt (30 epochs
    of a narrower model): target .849 [.807, .892], below retraining (.977) by .128 [.083, .172] only. Clean: .95 to .97 on three draws and
    refused on two. Fails as above, or if a number stands where doing nothing scores as well as retraining.
    """
    known = [reads(digits_gap("random", seed), seed) for seed in HEART_SEEDS]
    assert over(known, "again").low > 0.95
    assert over(known, "target").high < 0.8
    assert over(known, "again", "target").low > 0.15
    over(known, "taught")
    assert over(known, "taught", "target").low > 0
    hardly = [reads(noise(seed), seed) for seed in SEEDS]
    over(hardly, "target")
    over(hardly, "again")
    below = over(hardly, "again", "target")
    assert 0.03 < below.low < below.high < 0.2
    answers = [Tow().run(clean(seed).evidence["target"])["all"].value for seed in SEEDS]
    print(answers)
    assert all(one is None or one > 0.9 for one in answers)
