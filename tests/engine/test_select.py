from __future__ import annotations

import pytest
import torch

from expunge.engine.select import Portion, highest


def test_exactly_so_many_are_chosen_also_where_scores_tie() -> None:
    """Scores 2 1 1 1 0: three of them are 2 and the first two ones. Fails if every entry at the edge is chosen, or none."""
    scores = torch.tensor([[1.0, 2.0, 1.0], [1.0, 0.0, 0.5]])
    assert highest(scores, 3).tolist() == [[True, True, True], [False, False, False]]
    assert highest(scores, 0).tolist() == [[False] * 3] * 2
    assert highest(scores, 6).tolist() == [[True] * 3] * 2
    assert highest(torch.zeros(4), 2).tolist() == [True, True, False, False]


def test_together_or_by_parameter() -> None:
    """Fails if per_tensor does nothing, or names and shapes are mixed up in the joint ranking."""
    scores = {"a": torch.tensor([[5.0, 4.0], [3.0, 2.0]]), "b": torch.tensor([1.0, 6.0])}
    together = Portion(ratio=0.5).mask(scores).entries
    assert together["a"].tolist() == [[True, True], [False, False]]
    assert together["b"].tolist() == [False, True]
    apart = Portion(ratio=0.25, per_tensor=True).mask(scores).entries
    assert apart["a"].tolist() == [[True, False], [False, False]]
    assert apart["b"].tolist() == [False, False]


@pytest.mark.parametrize("ratio", [-0.1, 1.5, float("nan")])
def test_a_share_is_between_0_and_1(ratio: float) -> None:
    """Fails if a percentage (50 for 0.5) is taken for a share."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        Portion(ratio=ratio)
