from __future__ import annotations

import pytest
import torch
from tiny_problems import Tiny, mean_over_positions, nll, plain

from expunge.contract.model import Batch
from expunge.methods.random_label import RandomLabel


@pytest.mark.parametrize("problem", ["people", "clouds"])
def test_forget_targets_are_others_and_retain_targets_their_own(
    problem: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if: retain rows are relabelled too, forget rows keep their label, or both are averaged together."""
    tiny: Tiny = request.getfixturevalue(problem)
    drawn: list[Batch] = []
    real = type(tiny.target).relabel

    def note(self: object, batch: Batch, generator: torch.Generator) -> Batch:
        drawn.append(real(self, batch, generator))
        return drawn[-1]

    monkeypatch.setattr(type(tiny.target), "relabel", note)
    seen = tiny.spied(RandomLabel(forget_weight=2.0, retain_weight=3.0), monkeypatch)
    rows = plain(seen.moved, seen.step.forget)
    others = drawn[0].targets.split(drawn[0].lengths().tolist())
    counted = [len(targets) - (problem == "people") for _, targets in rows]  # the end of a text is not relabelled
    assert all(bool((o[:n] != t[:n]).all()) for o, (_, t), n in zip(others, rows, counted, strict=False))
    push = mean_over_positions([nll((logits, o)) for (logits, _), o in zip(rows, others, strict=False)])
    keep = mean_over_positions([nll(row) for row in plain(seen.moved, seen.step.retain)])
    assert seen.loss == pytest.approx(2.0 * push + 3.0 * keep, rel=1e-4)


def test_a_forgotten_class_is_never_its_own_relabelling(clouds: Tiny) -> None:
    """SalUn's code may draw the true label. Fails if: it can come up in 3,000 draws, or a class never does."""
    batch = clouds.target.pack([*clouds.forget] * 100)
    drawn = clouds.target.relabel(batch, torch.Generator().manual_seed(0)).targets
    assert sorted(drawn.unique().tolist()) == [1, 2, 3, 4, 5]


def test_forgets_and_keeps(people: Tiny, clouds: Tiny) -> None:
    """Fails if: retain rows are relabelled too, or forget rows keep their label."""
    people.removes(RandomLabel, {"batch_size": 2}, forget=0.5, retain=0.8)
    clouds.removes(RandomLabel, {"batch_size": 4}, forget=0.1, retain=0.9)
