from __future__ import annotations

import pytest
from digits_class import removed
from digits_random import REPORTED, digits_random
from tiny_problems import Tiny, mean_over_positions, nll, plain

from expunge.contract.registry import build
from expunge.engine.descend import Descent
from expunge.methods.finetune import Finetune


def test_loss_is_the_mean_over_retain_positions(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: prompt or padding positions count, rows are averaged before positions, or forget rows are trained on."""
    seen = people.spied(Finetune(), monkeypatch)
    assert len(seen.step.forget) == 0
    want = mean_over_positions([nll(row) for row in plain(seen.moved, seen.step.retain)])
    assert seen.loss == pytest.approx(want, rel=1e-5)


def test_reads_retain_only(people: Tiny) -> None:
    """Fails if: the forget rows are read."""
    assert set(people.run(Finetune())[1].reads) == {"retain"}


def test_fades_only_at_high_learning_rates(people: Tiny, clouds: Tiny) -> None:
    """The baseline's claim. Fails if: the forget rows are read, or the learning rate is not used."""
    for tiny, settings in ((people, {"lr": 8e-3, "batch_size": 4}), (clouds, {"lr": 2e-2})):
        low = tiny.after(build(Finetune, {"lr": 5e-4}, where="test"))
        high = tiny.after(build(Finetune, settings, where="test"))
        assert low.forget >= 0.9
        assert high.forget <= 0.7
        assert high.forget_loss > 10 * low.forget_loss
        assert high.retain >= 0.75


def _looks_good_where_labels_are_wrong(seed: int) -> None:
    """What fine-tuning takes from the forget rows, with a fifth of the labels wrong and with all of them right."""
    problem, again = digits_random(seed, 0.2)
    after = removed(Finetune(), problem, seed=seed)
    clean, clean_again = digits_random(seed, 0.0)
    clean_after = removed(Finetune(), clean, seed=seed)
    before, clean_before = removed(Finetune(descent=Descent(lr=0.0)), problem, seed=seed).forget, 100.0
    print(seed, "wrong labels", before, after, again, "right labels", clean_after, clean_again)
    assert before - again.forget > 12
    assert (before - after.forget) / (before - again.forget) > 0.6
    assert clean_before - clean_again.forget < 8
    assert clean_before - clean_after.forget < 8


def test_claim_fine_tuning_looks_good_on_wrong_labels_and_random_rows_show_nothing() -> None:
    """Seed 0: wrong labels make 92% of the forget rows known, fine-tuning leaves 77%, retraining 75%; of clean rows all three
    read 98 to 100%, so that a table of accuracies shows nothing of what was done or not.

    Fails if wrong labels are not learnt, or fine-tuning reads forget rows.
    """
    _looks_good_where_labels_are_wrong(0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", REPORTED[1:])
def test_claim_fine_tuning_looks_good_on_wrong_labels_on_the_other_seeds(seed: int) -> None:
    """93 -> 76% and 93 -> 74% where retraining has 73 and 69%; clean rows 100 and 97%, retrained 100 and 95%. Fails as above."""
    _looks_good_where_labels_are_wrong(seed)
