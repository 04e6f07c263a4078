"""Membership by entropy."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

import pytest
from classifiers import SEEDS, Measured, a_class, by_hand, clean, hidden, noise, over
from digits_gap import after

from expunge.contract.evidence import Evidence
from expunge.engine.distributions import log_probs
from expunge.engine.told_apart import called_member
from expunge.metrics.entropy_membership import EntropyMembership
from expunge.statistics.class_membership import entropy


def model(name: str, sure: int, **given: object):  # type: ignore[no-untyped-def]
    forget = [0.99] * sure + [0.5] * (10 - sure)
    return by_hand(name, {"forget": forget, "retain": [0.99] * 20, "test": [0.5] * 20}, **given)


def test_share_called_members() -> None:
    """Fails if the share of non-members is given (`mia_efficacy` points that way), or the labels are read: entropy has none."""
    retrained = tuple(model(f"retrained-{i}", 1, role="retrained") for i in range(2))
    found = EntropyMembership().run(model("unlearned", 4, target=model("target", 10), retrained=retrained))["forget"]
    assert found.value == pytest.approx(0.4)
    assert found.per_example == (1.0,) * 4 + (0.0,) * 6


def test_anchors_on_digits() -> None:
    """Fails if the target is not called a member, or a model without the class is.

    Measured, class: target .74, retrained .04 to .12, untrained unscored: its retain rows are no surer than test rows. With label noise
    the target lies .03 from the retrained models and these up to .05 apart: refused there.
    """
    found = {name: EntropyMembership().run(one)["forget"].value for name, one in a_class().evidence.items()}
    retrained = [found[f"retrained-{i}"] for i in range(10)]
    assert found["target"] > 0.5 > 0.3 > max(retrained)
    untrained = found["untrained"]
    assert untrained is None or untrained <= min(retrained)
    noisy = EntropyMembership().run(noise().evidence["target"])["forget"]
    assert noisy.unscored is None or "out of order" in noisy.unscored


def share(one: Evidence) -> float:
    """Share of forget rows called members, also where the metric refuses to give it."""
    return float(called_member(one).mean())


def reads(problem: Callable[[int], Measured], seed: int) -> dict[str, float]:
    """Of one draw: target, untrained, one taught by an untrained model; of ten retrained models the mean, the lowest and the highest."""
    at = problem(seed)
    again = [share(at.evidence[f"retrained-{i}"]) for i in range(10)]
    found = {name: share(at.evidence[name]) for name in ("target", "untrained")}
    found["taught"] = share(after(at, "bad_teacher", {}, seed=seed))
    scored = EntropyMembership().run(at.evidence["target"])["forget"]
    assert scored.value in (None, pytest.approx(found["target"]))
    return {**found, "scored": float(scored.is_scored), "again": fmean(again), "least": min(again), "most": max(again)}


def test_claim_on_a_class_high_for_the_target_and_low_for_retrained_models() -> None:
    """Five draws of rows and models. Bounds were set on seeds 0, 900 and 920.

    Measured, with 95% intervals over draws: target .769 [.728, .811], the mean of ten retrained models .103 [.080, .126], which is
    .666 [.619, .713] less; the metric answers on each draw. Fails if: the share of non-members is given, or members and non-members change places in the fit.
    """
    draws = [reads(a_class, seed) for seed in SEEDS]
    assert over(draws, "target").low > 0.5
    assert max(one["most"] for one in draws) < 0.3
    over(draws, "again")
    assert over(draws, "target", "again").low > 0.4
    assert [one["scored"] for one in draws] == [1] * 5


def test_claim_of_the_lowest_for_one_badly_taught_turns_round_where_retain_rows_are_left_less_sure_than_test_rows() -> (
    None
):
    """A class, seed 0 and the same five draws, where the claim's third part does not hold.

    Of forget rows with an entropy of 1.8 to 2.1 nats, retain and test rows having .2 to .4, all or none are called members: after a bad
    teacher none on five of six draws and all on one, in `hidden` none on four and all on two. All, wherever retain rows have the higher
    mean (by .001 to .024 nats): the surer a row, the less a member then, and the metric refuses. Fails if: whom the regression calls members does not follow which of retain
    and test rows are the surer, or a number is given where it turned round.
    """
    made = by_hand("m", {"forget": [0.5] * 10, "retain": [0.9] * 20, "test": [0.99] * 20})
    assert share(made) == 1
    shares = []
    for seed in (0, *SEEDS):
        at = a_class(seed)
        for own in (after(at, "bad_teacher", {}, seed=seed), at.of(hidden(seed))):
            unsure = {split: float(entropy(log_probs(own, split)).mean()) for split in ("forget", "retain", "test")}
            print(seed, share(own), unsure)
            assert unsure["forget"] > 2 * max(unsure["retain"], unsure["test"])
            turned = unsure["retain"] > unsure["test"]
            assert share(own) == (1 if turned else 0)
            scored = EntropyMembership().run(own)["forget"]
            assert ("turned round" in scored.unscored) if turned else (scored.value == 0), scored
            shares.append(share(own))
    assert set(shares) == {0, 1}


@pytest.mark.slow
def test_claim_on_random_rows_retrained_models_are_called_members_too() -> None:
    """A tenth of rows, clean or with a fifth of labels wrong, the same five draws.

    With 95% intervals over draws, clean: retrained models .766 [.718, .813] (means of ten), the target .817 [.773, .860], only .051 [.025,
    .077] more; refused on one draw. Wrong labels: .565 [.507, .622] and .614 [.554, .674], .049 [-.001, .099] more; refused on three. One
    taught by an untrained model lies below the lowest retrained model by .276 [.145, .408] and .228 [.140, .315]. Fails as above, or if
    hardly a row is called a member in models that never saw it.
    """
    for problem, least in ((noise, 0.4), (clean, 0.6)):
        draws = [reads(problem, seed) for seed in SEEDS]
        over(draws, "target")
        assert over(draws, "again").low > least
        assert over(draws, "target", "again").high < 0.2
        assert over(draws, "taught", "least").high < 0
        print([one["scored"] for one in draws])
