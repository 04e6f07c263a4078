"""Holm by hand."""

from __future__ import annotations

from expunge.statistics.multiple import holm


def test_holm_by_hand() -> None:
    """Fails if the factor is m for all (Bonferroni), the maximum does not run, or the order given is lost."""
    found = holm([0.01, 0.04, 0.03, 0.005])
    assert found.round(12).tolist() == [0.03, 0.06, 0.06, 0.02]
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
