from __future__ import annotations

import pytest
from classifiers import SEEDS, noise, over, share_right
from tiny_problems import Tiny, mean_over_rows, nll, plain

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.registry import build
from expunge.engine.descend import Descent
from expunge.methods.ascent import Ascent


@pytest.mark.parametrize("problem", ["people", "clouds"])
def test_loss_is_minus_the_mean_over_rows(
    problem: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows have 3 or 4 scored positions. Fails if: the sign is lost, or long rows weigh more (mean over positions)."""
    tiny: Tiny = request.getfixturevalue(problem)
    seen = tiny.spied(Ascent(), monkeypatch)
    want = -mean_over_rows([nll(row) for row in plain(seen.moved, seen.step.forget)])
    assert seen.loss == pytest.approx(want, rel=1e-5)


def test_reads_forget_only(people: Tiny) -> None:
    """Fails if: retain rows are read."""
    assert set(people.run(Ascent())[1].reads) == {"forget"}


def test_a_few_passes_forget_and_going_on_collapses(people: Tiny, clouds: Tiny) -> None:
    """Fails if: the method descends; or something holds the retain rows (it then is another method)."""
    short = people.after(build(Ascent, {"lr": 5e-4, "batch_size": 4}, where="test"))
    assert short.forget <= 0.7
    assert short.forget_loss > 3 * short.retain_loss
    assert short.retain >= 0.7
    long = people.after(build(Ascent, {"lr": 5e-4, "batch_size": 4, "epochs": 20}, where="test"))
    assert long.retain <= 0.2
    clouds.removes(Ascent, {"lr": 5e-3, "batch_size": 4}, forget=0.1, retain=0.9)


@pytest.mark.slow
def test_claim_going_on_collapses_what_is_to_be_kept_over_five_draws() -> None:
    """A tenth of rows, a fifth of them mislabelled: after 1, 3 and 10 epochs 62, 27 and 12% of the forget rows are right and 68 [63, 73], 31
    [22, 41] and 13 [8, 19]% of the retain rows (of the target 88% of the forget rows, of retrained models 75).

    So on rows like those that stay there is no pass at which the one goes and the other does not; on a class one epoch does it
    (tests/methods/test_ssd.py). Fails if the sign is turned, or epochs are not counted.
    """
    draws = []
    for seed in SEEDS:
        at, found = noise(seed), {}
        for epochs in (1, 3, 10):
            method = Ascent(descent=Descent(lr=2e-3, epochs=epochs))
            one = at.of(unlearn(method, at.problem.target, at.problem.splits, job=Job(seed=seed))[0])
            found |= {f"{split} {epochs}": share_right(one, split) for split in ("forget", "retain")}
        draws.append(found)
    assert over(draws, "forget 1", less="forget 3").low > 0
    assert over(draws, "retain 1", less="retain 3").low > 0
    assert over(draws, "retain 10").high < 30
