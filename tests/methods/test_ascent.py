from __future__ import annotations

import pytest
from tiny_problems import Tiny, mean_over_rows, nll, plain

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
