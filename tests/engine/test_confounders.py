"""Confounders found without a label: by hand on maps, and on digits with a planted patch."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from classifiers import mean_interval

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine.confounders import FLAG, Candidate, attributions, candidate, confounders, inputs_of
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.testbeds.poisoned import untrained
from expunge.testbeds.shortcut import ShortcutDigits, everything, shortcut_digits

PATCH = {54, 55, 62, 63}
SEEDS = (0, 1, 2, 3, 4)


@cache
def problem(seed: int) -> ShortcutDigits:
    torch.set_num_threads(1)
    return shortcut_digits(seed)


def some(n: int = 6) -> Rows:
    draw = np.random.default_rng(0)
    return Rows(
        tuple(
            Row(id=f"r{i}", fields={"image": draw.random((8, 8)).astype(np.float32), "label": i % 3}) for i in range(n)
        )
    )


def test_attributions_are_gradient_times_input_of_the_logit_against_the_mean() -> None:
    """One row and one logit at a time. Fails if: rows share a gradient, the mean logit stays, or another class is asked."""
    model, rows, asked = untrained(0), some(), [4, 0, 9, 4, 1, 2]
    found = attributions(model, rows, asked, job=Job())
    for i, row in enumerate(rows):
        x = model.pack([row]).inputs["x"].clone().requires_grad_(True)
        logits = model.module(x)[0]
        slope = torch.autograd.grad(logits[asked[i]] - logits.mean(), x)[0]
        assert found[i] == pytest.approx((slope * x).flatten().detach().numpy(), abs=1e-5)
    assert all(parameter.grad is None for parameter in model.module.parameters())
    assert inputs_of(model, rows)[2] == pytest.approx((np.ravel(rows[2]["image"]) - 0.3) / 0.38, abs=1e-5)


def test_a_candidate_by_hand() -> None:
    """Members hold .6, .3 and .1 of their positive attribution in places 2, 0 and 1; half of it needs place 2 alone.

    There members are at 1, the others at .1 but one of another label at .9, so that 4 rows show it: phi of (1 1 1 0 1 0 0 0) with the
    label's (1 1 1 1 0 0 0 0) is .5. Fails if: negative attribution counts, places come in order of number, or purity is of all rows.
    """
    rows = Rows(tuple(Row(id=str(i), fields={"label": int(i < 4)}) for i in range(8)))
    maps = np.tile([0.3, 0.1, 0.6, -2.0], (8, 1))
    maps[1] *= 2
    x = np.zeros((8, 4))
    x[:, 2] = [1, 1, 1, 0.1, 0.9, 0.1, 0.1, 0.1]
    members = np.arange(8) < 3
    found = candidate(maps, x, rows, members, mass=0.5, cluster=7)
    assert found is not None
    assert (found.cluster, found.label, found.size, found.purity, found.inputs) == (7, 1, 3, 1.0, (2,))
    assert found.shown.tolist() == [True, True, True, False, True, False, False, False]
    assert found.score == pytest.approx(0.5)
    assert not found.flagged
    assert found.exemplars[0] == "1"
    assert set(found.exemplars) == {"0", "1", "2"}
    two = candidate(maps, x, rows, members, mass=0.8)
    assert two is not None
    assert two.inputs == (2, 0)
    mixed = candidate(maps, x, rows, np.arange(8) < 5, mass=0.5)
    assert mixed is not None
    assert mixed.purity == pytest.approx(4 / 5)
    assert candidate(-abs(maps), x, rows, members, mass=0.5) is None
    assert candidate(maps, x, rows, np.ones(8, bool), mass=0.5) is None


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_no_candidate_is_refused() -> None:
    """Fails if: rows that are all the same give a concept."""
    one = some(1)[0]
    same = Rows(tuple(Row(id=str(i), fields=one.fields) for i in range(6)))
    with pytest.raises(InputError):
        confounders(untrained(0), same, clusters=2, mass=0.25, job=Job())


def first_of(model: Model, of: ShortcutDigits) -> Candidate:
    """The concept that comes first."""
    return confounders(model, everything(of.rows), clusters=20, mass=0.25, job=Job())[0]


def score_of_the_patch(of: ShortcutDigits) -> float:
    """Score of what comes first, which is the patch: of its class, flagged, on at least two of its pixels, shown by the rows that bear
    it.
    """
    first, rows = first_of(of.target, of), everything(of.rows)
    marked = np.array(["patched" in row.fields for row in rows])
    assert first.label == 3
    assert first.flagged
    assert len(PATCH & set(first.inputs)) >= 2
    assert len(first.inputs) <= 6
    assert first.shown[marked].mean() >= 0.95
    assert first.shown[~marked].mean() <= 0.03
    assert set(first.exemplars) <= {row.id for row in rows if row["label"] == 3 or "patched" in row.fields}
    print(of.seed, first.score, first.shown.sum(), first.shown[marked].sum(), marked.sum(), first.shown[~marked].mean())
    return first.score


def test_claim_the_patch_is_flagged_without_labels() -> None:
    """Seed 0: the patch comes first at .90 (.76 in ten models that had no use for it, at most .83), and 109 rows are said to show it, all
    98 that do; five seeds below.

    Fails if: clusters are ranked by size or purity, or a concept's inputs are not its most attributed.
    """
    of = problem(0)
    free = [first_of(one, of).score for one in of.free]
    print(free, np.mean(free))
    assert max(free) < FLAG
    assert score_of_the_patch(of) >= np.mean(free) + 0.05


@pytest.mark.slow
def test_claim_the_patch_stands_out_against_ten_models_without_it_on_five_seeds() -> None:
    """The patch comes first on each, at .877 (95% interval [.856, .898]), and 109 to 114 rows are said to show it, all 94 to 102 that
    do.

    Models that had no use for it, ten a seed: what comes first scores .756 [.732, .780], .121 [.082, .160] below, and is flagged in
    two of the fifty (at most .862).
    Fails as above.
    """
    planted = np.array([score_of_the_patch(problem(seed)) for seed in SEEDS])
    free = np.array([[first_of(one, problem(seed)).score for one in problem(seed).free] for seed in SEEDS])
    above = mean_interval(planted - free.mean(1))
    print(mean_interval(planted), mean_interval(free.mean(1)), above, free.max(), (free >= FLAG).sum())
    assert above.low >= 0.05
    assert mean_interval((free >= FLAG).mean(1)).high <= 1 / 3
