"""Zero retrain forgetting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
from classifiers import SEEDS, Measured, a_class, by_hand, clean, hidden, noise, over
from digits_gap import after

from expunge.contract.evidence import Evidence
from expunge.contract.model import Model
from expunge.engine.distributions import log_probs
from expunge.metrics.zrf import Zrf
from expunge.statistics.class_distance import jensen_shannon


def model(name: str, p: float, **given: object):  # type: ignore[no-untyped-def]
    return by_hand(name, {"forget": [p] * 4}, **given)


def test_one_minus_bits_to_the_untrained_model() -> None:
    """Fails if nats are taken, the divergence itself is given, or the mean over classes in place of the sum.

    Untrained (.5, .5), unlearned (1, 0) nearly: JS = 1 - (.75 log2(4/3) + .25 log2 4 ... ) = .3113 bits.
    """
    p, q = np.array([0.9, 0.1]), np.array([0.5, 0.5])
    middle = (p + q) / 2
    wanted = 1 - (np.sum(p * np.log2(p / middle)) + np.sum(q * np.log2(q / middle))) / 2
    retrained = tuple(model(f"retrained-{i}", 0.6, role="retrained") for i in range(2))
    given = {"target": model("target", 0.99), "retrained": retrained, "untrained": model("untrained", 0.5)}
    found = Zrf().run(model("unlearned", 0.9, **given))["forget"]
    assert found.value == pytest.approx(wanted, abs=1e-6)
    assert found.per_example == pytest.approx((wanted,) * 4, abs=1e-6)
    assert found.ideal == "as_control"


def test_anchors_on_digits_and_1_is_not_the_aim() -> None:
    """Fails if an untrained model is not at 1, or retraining not between doing nothing and it: higher is not better.

    Measured: target .267, retrained .386 to .428, untrained 1.
    """
    found = {name: Zrf().run(one)["forget"].value for name, one in a_class().evidence.items()}
    retrained = [found[f"retrained-{i}"] for i in range(10)]
    assert found["untrained"] == pytest.approx(1.0)
    assert found["target"] + 0.05 < min(retrained)
    assert max(retrained) < 0.7


def test_without_an_untrained_model_there_is_no_number() -> None:
    """Fails if the model is compared with a re-initialised copy of itself, as a peer does, or with nothing."""
    found = Zrf().run(replace(a_class().evidence["target"], untrained=None))["forget"]
    assert found.unscored == "there is no untrained model"


def alike(one: Evidence, untrained: Evidence) -> float:
    """Likeness to an untrained model on forget rows, also where the metric refuses to give it."""
    return float(1 - jensen_shannon(log_probs(one, "forget"), log_probs(untrained, "forget")).mean())


def reads(problem: Callable[[int], Measured], seed: int, **others: Model) -> dict[str, float]:
    """Of one draw: target, other random weights, one taught by an untrained model; of ten retrained the mean, the lowest and highest.

    And how far the target and the taught one lie from that mean, and whether the metric gives a number.
    """
    at = problem(seed)
    untrained, target = at.evidence["untrained"], at.evidence["target"]
    again = [alike(at.evidence[f"retrained-{i}"], untrained) for i in range(10)]
    others["random"] = at.problem.untrained.fresh(seed + 15)
    found = {name: alike(at.of(one), untrained) for name, one in others.items()}
    found |= {"target": alike(target, untrained), "taught": alike(after(at, "bad_teacher", {}, seed=seed), untrained)}
    away = {f"{name} away": abs(found[name] - fmean(again)) for name in ("target", "taught")}
    scored = Zrf().run(target)["forget"]
    assert scored.value in (None, pytest.approx(found["target"]))
    return {
        **found,
        **away,
        "again": fmean(again),
        "least": min(again),
        "most": max(again),
        "scored": float(scored.is_scored),
    }


def test_claim_a_bad_teacher_and_retraining_raise_it_but_near_1_is_not_near_retraining() -> None:
    """A class, five draws of rows and models. Bounds were set on seeds 0, 900 and 920.

    Measured, with 95% intervals over draws: target .256 [.230, .283], ten retrained models .393 [.378, .408] (mean; above it by .137 [.099,
    .174]), one taught by an untrained model .912 [.889, .935], `hidden`, whose body is the target's, .833 [.822, .844], random weights of
    another draw .995 [.992, .997]. The taught one lies .519 [.497, .541] from the retrained models, doing nothing .137. Fails if: the untrained model is another than the evidence's, nearness is turned over, or high is read as good.
    """
    draws = [reads(a_class, seed, hidden=hidden(seed)) for seed in SEEDS]
    for name in ("target", "again", "taught", "hidden", "taught away", "target away"):
        over(draws, name)
    assert [one["scored"] for one in draws] == [1] * 5
    assert over(draws, "taught", "target").low > 0.4
    assert over(draws, "again", "target").low > 0.05
    assert over(draws, "least", "target").low > 0
    assert over(draws, "random").low > 0.95
    for nearer in ("taught", "hidden"):
        assert over(draws, nearer, "most").low > 0.2
    assert over(draws, "taught away", "target away").low > 0.1


@pytest.mark.slow
def test_claim_on_random_rows_retraining_hardly_raises_it_and_teaching_does() -> None:
    """A tenth of rows, clean or with a fifth of labels wrong, the same five draws.

    Measured, with 95% intervals over draws. Wrong labels: target .429 [.422, .436], retraining above it by .018 [-.003, .039], not told
    from nothing, where seeds 0, 900 and 920 had .024 to .036; one taught by an untrained model .676 [.669, .682], and further from the
    retrained models than doing nothing by .207 [.173, .240]; refused on one draw of five. Clean: target .258 [.249, .267], retraining above
    it by .012 [.007, .017], the taught one .585 [.565, .604] and further by .302 [.290, .315]; never refused. Fails as above.
    """
    for problem, sure, most in ((noise, False, 0.1), (clean, True, 0.03)):
        draws = [reads(problem, seed) for seed in SEEDS]
        print([one["scored"] for one in draws])
        for name in ("target", "taught", "again", "taught away", "target away"):
            over(draws, name)
        raised = over(draws, "again", "target")
        assert (raised.low > 0) == sure
        assert 0 < raised.high < most
        assert over(draws, "taught", "target").low > 0.15
        assert over(draws, "taught away", "target away").low > 0.1
