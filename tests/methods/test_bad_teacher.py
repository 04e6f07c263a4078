from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_problems import Tiny, mean_over_positions, plain

from expunge.contract.job import Job
from expunge.methods.bad_teacher import BadTeacher


def divergence(teacher: Any, moved: Any, rows: Any) -> float:
    found = []
    for (taught, _), (logits, _) in zip(plain(teacher, rows), plain(moved, rows), strict=True):
        q, p = torch.softmax(taught / 2, -1), torch.softmax(logits / 2, -1)
        found.append(4 * (q * (q / p).log()).sum(-1))
    return mean_over_positions(found)


@pytest.mark.parametrize("problem", ["people", "clouds"])
def test_each_teacher_has_its_rows(
    problem: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if: teachers change places, the good one moves with the model, KL is averaged over classes or reversed."""
    tiny: Tiny = request.getfixturevalue(problem)
    seen = tiny.spied(BadTeacher(temperature=2.0, forget_weight=2.0, retain_weight=3.0), monkeypatch, seed=5)
    push = divergence(tiny.target.fresh(Job(seed=5).fresh_seed), seen.moved, seen.step.forget)
    keep = divergence(tiny.target, seen.moved, seen.step.retain)
    assert seen.loss == pytest.approx(2.0 * push + 3.0 * keep, rel=1e-4)


def test_bad_teacher_follows_the_runs_seed(clouds: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: the untrained teacher is a copy of the target: with no retain term the loss at the target would be 0."""
    seen = clouds.spied(BadTeacher(retain_weight=0.0), monkeypatch)
    assert seen.loss > 0.1


def test_forgets_and_keeps(people: Tiny, clouds: Tiny) -> None:
    """Fails if: the teachers change places."""
    people.removes(BadTeacher, {"batch_size": 2}, forget=0.7, retain=0.85)
    clouds.removes(BadTeacher, {"batch_size": 4}, forget=0.4, retain=0.9)
