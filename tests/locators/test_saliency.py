from __future__ import annotations

from locator_models import linear, table, text

from expunge.contract.apply import locate
from expunge.contract.splits import Splits
from expunge.engine.select import Portion
from expunge.locators.saliency import Saliency


def test_by_hand() -> None:
    """p = 1/2: rows (1, .1) of class 0 and (1, -.1) of class 1 give [[-.5, -.05], [.5, .05]] and [[.5, -.05], [-.5, .05]].

    Their sum is [[0, -.1], [0, .1]]: only the second column is salient. Fails if sizes are taken before rows are summed.
    """
    splits = Splits.of(forget=table("f", ((1.0, 0.1), 0), ((1.0, -0.1), 1)))
    mask = locate(Saliency(), linear([[0.0, 0.0], [0.0, 0.0]]), splits)
    assert mask.entries["weight"].tolist() == [[False, True], [False, True]]


def test_the_ratio_is_what_may_move() -> None:
    """x = (1, 3, 2): gradients .5, 1.5, 1 in both rows. Fails if the ratio is what must stay (sparsity), or the least salient move."""
    splits, model = Splits.of(forget=table("f", ((1.0, 3.0, 2.0), 0))), linear([[0.0] * 3] * 2)
    third = locate(Saliency(portion=Portion(ratio=1 / 3)), model, splits)
    assert third.entries["weight"].tolist() == [[False, True, False]] * 2


def test_zero_gradients_do_not_open_the_mask() -> None:
    """Two of three columns have no gradient, so the median is 0. Fails if `at least the median` lets all six entries move."""
    splits = Splits.of(forget=table("f", ((0.0, 1.0, 0.0), 0)))
    mask = locate(Saliency(), linear([[0.0] * 3] * 2), splits)
    assert mask.entries["weight"][:, 1].tolist() == [True, True]
    assert int(mask.entries["weight"].sum()) == 3


def test_a_language_models_half() -> None:
    """Fails if retain is read, gradients are left behind, or the share is not that of all entries together."""
    model, splits = text()
    mask = locate(Saliency(), model, splits)
    assert abs(mask.density() - 0.5) < 1e-4
    shares = [float(entry.float().mean()) for entry in mask.entries.values()]
    assert max(shares) - min(shares) > 0.2
    assert all(p.grad is None for p in model.module.parameters())
    assert set(mask.entries) == {name for name, _ in model.module.named_parameters()}
