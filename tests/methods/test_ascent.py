from __future__ import annotations

import pytest
from tiny_problems import Tiny, mean_over_rows, nll, plain

from expunge.contract.registry import build
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
