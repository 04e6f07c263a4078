from __future__ import annotations

import math

import pytest
import torch
from tiny_problems import Tiny, known, mean_over_positions, nll, plain

from expunge.contract.registry import build
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.methods.dpo import DPO, dpo_loss


def test_formula_by_hand() -> None:
    """Frozen nll 3 (win) and 1 (lose), now 2 and 4: ratios +1 and -3, so -log sigmoid(.5 * 4) = log(1 + e^-2) = .1269.

    Fails if: 2/beta multiplies it (the standard framework), the ratios are added, or win and lose change places.
    """
    value = dpo_loss(*(torch.tensor([x]) for x in (2.0, 4.0, 3.0, 1.0)), beta=0.5)
    assert value.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-5)


def test_loss_against_frozen_answers_and_refusals(people: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums over an answer's tokens, on packed rows that share a prompt, equal one plain forward an answer.

    Fails if: frozen numbers are taken after the model moved, rows and their frozen numbers are mixed up, refusal
    and answer change places, or means replace sums.
    """
    seen = people.spied(DPO(beta=0.05, refusals=("I don't know.",), forget_weight=2.0, retain_weight=3.0), monkeypatch)
    lose = list(seen.step.forget)
    win = [row.replace(answer="I don't know.") for row in lose]

    def totals(model: object, rows: list) -> torch.Tensor:
        return torch.stack([nll(row).sum() for row in plain(model, rows)])

    ratio_win = totals(people.target, win) - totals(seen.moved, win)
    ratio_lose = totals(people.target, lose) - totals(seen.moved, lose)
    push = float(-torch.sigmoid(0.05 * (ratio_win - ratio_lose)).log().mean())
    keep = mean_over_positions([nll(row) for row in plain(seen.moved, seen.step.retain)])
    assert seen.loss == pytest.approx(2.0 * push + 3.0 * keep, rel=1e-4)


def test_every_refusal_is_given_out_and_the_draw_follows_the_seed(
    people: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if: one refusal serves all rows, or the draw ignores the run's seed."""
    given: list[list[str]] = []
    from expunge.methods import dpo

    def note(model: object, rows: object, refusals: list[str]) -> list:
        given.append(refusals)
        return real(model, rows, refusals)

    real = dpo.choices
    monkeypatch.setattr(dpo, "choices", note)
    monkeypatch.setattr(dpo, "descend", lambda *_, **__: None)
    for seed in (0, 0, 1):
        people.run(DPO(), seed=seed)
    assert given[0] == given[1] != given[2]
    assert set(given[0]) | set(given[2]) == set(DPO().refusals)


def test_no_refusals_is_refused(people: Tiny) -> None:
    """Fails if: an empty list reaches the random draw."""
    with pytest.raises(InputError, match="refusal"):
        people.run(DPO(refusals=()))


def test_forgets_keeps_and_prefers_refusals(people: Tiny) -> None:
    """Fails if: answers win over refusals, or the retain term is lost."""
    people.removes(DPO, {"batch_size": 4}, forget=0.4, retain=0.7)
    refused = [row.replace(answer="I don't know.") for row in people.forget]
    model, _ = people.run(build(DPO, {"batch_size": 4, "refusals": ("I don't know.",)}, where="test"))
    before, after = (known(one, Rows(tuple(refused)))[1] for one in (people.target, model))
    assert after < 0.5 * before
