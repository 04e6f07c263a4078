"""Jensen-Shannon divergence to retrained."""

from __future__ import annotations

import numpy as np
import pytest
from classifiers import SEEDS, a_class, by_hand, clean, hidden, noise, over, read
from divergence_reads import reads

from expunge.metrics.js_divergence import JsDivergence


def bits(p: float, q: float) -> float:
    m, one, two = (p + q) / 2, np.array([p, 1 - p]), np.array([q, 1 - q])
    middle = np.array([m, 1 - m])
    return float((np.sum(one * np.log2(one / middle)) + np.sum(two * np.log2(two / middle))) / 2)


def test_mean_over_the_retrained_models_by_hand() -> None:
    """Fails if the retrained predictions are averaged first, or one of them is left out."""
    rows = {"forget": [0.9, 0.7], "test": [0.8]}
    retrained = tuple(
        by_hand(f"retrained-{i}", {"forget": [p, p], "test": [0.8]}, role="retrained") for i, p in enumerate((0.2, 0.4))
    )
    target = by_hand("target", {"forget": [0.99, 0.99], "test": [0.8]})
    found = JsDivergence().run(by_hand("unlearned", rows, target=target, retrained=retrained))
    wanted = [(bits(p, 0.2) + bits(p, 0.4)) / 2 for p in (0.9, 0.7)]
    assert found["forget"].per_example == pytest.approx(wanted, abs=1e-6)
    assert found["test"].value == pytest.approx(0.0, abs=1e-6)


def test_anchors_on_digits() -> None:
    """Fails if the target is not the furthest on a class, or retain rows are refused because doing nothing is good there.

    Measured on forget rows: target .959, untrained .591, retrained .040 to .064; on retain rows target .0023, retrained .0013 to .0017.
    """
    found = {name: JsDivergence().run(one) for name, one in a_class().evidence.items()}
    floor = max(found[f"retrained-{i}"]["forget"].value or 9 for i in range(10))
    assert floor < 0.2
    assert (found["target"]["forget"].value or 0) > 0.8
    assert (found["untrained"]["forget"].value or 0) > 0.4
    for split in ("retain", "test", "holdout"):
        assert all(one[split].is_scored for one in found.values())
    assert (found["target"]["retain"].value or 0) < 0.05 < 0.5 < (found["untrained"]["retain"].value or 0)


def test_forget_rows_that_show_nothing_are_refused_alone() -> None:
    """Fails if the order of anchors is not asked on forget rows; the other splits keep their numbers."""
    rows = {"forget": [0.9], "test": [0.8]}
    retrained = tuple(
        by_hand(f"retrained-{i}", {"forget": [p], "test": [0.7]}, role="retrained") for i, p in enumerate((0.2, 0.9))
    )
    found = JsDivergence().run(by_hand("unlearned", rows, target=by_hand("target", rows), retrained=retrained))
    assert "out of order" in (found["forget"].unscored or "")
    assert found["test"].value == pytest.approx(bits(0.8, 0.7), abs=1e-6)
    assert (
        JsDivergence().run(by_hand("unlearned", rows))["test"].unscored == "there is no retrained model to compare with"
    )
    assert clean().evidence["target"].retrained


def test_claim_on_a_class_the_target_is_the_furthest_and_a_second_retrained_model_at_the_floor() -> None:
    """Five draws of rows and models. Bounds were set on seeds 0, 900 and 920.

    Measured, with 95% intervals over draws: target .960 [.952, .969], above an untrained model by .354 [.332, .375]; each of ten retrained
    models against the others .062 [.053, .071] (mean). One taught by an untrained model .506 [.486, .526], and `hidden`, whose head alone
    was changed, .498 [.484, .512]: not told apart (-.008 [-.026, .010]), both far from the furthest retrained model (.42 and .41), since
    both spread their answers. Fails if: divergences are taken to the target.
    """
    draws = [
        {**reads(JsDivergence(), a_class, s), "hidden": read(JsDivergence(), a_class(s).of(hidden(s)), "forget")}
        for s in SEEDS
    ]
    assert over(draws, "target").low > 0.8
    assert over(draws, "again").high < 0.1
    assert max(one["furthest"] for one in draws) < 0.2
    assert over(draws, "target", "untrained").low > 0.1
    for name in ("taught", "hidden"):
        over(draws, name)
        assert over(draws, "target", name).low > 0.2
        assert over(draws, name, "furthest").low > 0.2
    alike = over(draws, "hidden", "taught")
    assert -0.2 < alike.low < alike.high < 0.2


@pytest.mark.slow
def test_claim_on_random_rows_the_target_is_no_longer_the_furthest() -> None:
    """A tenth of rows, clean or with a fifth of labels wrong, the same five draws.

    Wrong labels: target .102 [.087, .117], above retraining once more (.037) by .065 [.052, .078]; one taught by an untrained model lies
    above the target by .022 [.013, .031], an untrained model by .452 [.427, .476]. Clean: target .016 [.008, .025], above retraining (.006)
    by .011 [.004, .018]; the taught one above the target by .112 [.102, .122], the untrained by .714 [.695, .732]. The metric answers on
    all ten draws. Fails as above.
    """
    for problem, least in ((noise, 0.02), (clean, 0.0)):
        draws = [reads(JsDivergence(), problem, seed) for seed in SEEDS]
        for name in ("target", "again", "taught"):
            over(draws, name)
        assert over(draws, "target", "again").low > least
        assert over(draws, "taught", "target").low > 0
        assert over(draws, "untrained", "target").low > 0.3
