from __future__ import annotations

import protocols
import pytest
from tiny_problems import Tiny, mean_over_positions, nll, plain

from expunge.methods.random_answer import RandomAnswer


def test_forget_answers_are_those_of_other_rows_and_retain_answers_their_own(
    people: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if: retain rows get other answers too, forget rows keep theirs, or both are averaged together.

    The draw is undone by trying: the packed forget rows carry answers of forget rows, not all their own.
    """
    packed = []
    real = type(people.target).pack

    def note(self: object, rows: list) -> object:  # type: ignore[type-arg]
        packed.append(list(rows))
        return real(self, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(type(people.target), "pack", note)
    seen = people.spied(RandomAnswer(forget_weight=2.0, retain_weight=3.0), monkeypatch)
    n = len(seen.step.forget)
    joint = next(rows for rows in packed if len(rows) == n + len(seen.step.retain))
    wrong, kept = joint[:n], joint[n:]
    assert [row["prompt"] for row in wrong] == [row["prompt"] for row in seen.step.forget]
    assert {row["answer"] for row in wrong} <= {row["answer"] for row in people.forget}
    assert [row["answer"] for row in wrong] != [row["answer"] for row in seen.step.forget]
    assert [row["answer"] for row in kept] == [row["answer"] for row in seen.step.retain]
    push = mean_over_positions([nll(row) for row in plain(seen.moved, wrong)])
    keep = mean_over_positions([nll(row) for row in plain(seen.moved, kept)])
    assert seen.loss == pytest.approx(2.0 * push + 3.0 * keep, rel=1e-4)


def test_forgets_and_keeps(people: Tiny) -> None:
    """Measured: .1 to .2 of the forget rows left, all retain rows. Fails if: retain rows get other answers too, or forget rows keep theirs."""
    people.removes(RandomAnswer, {"batch_size": 2, "epochs": 40}, forget=0.5, retain=0.8, seeds=(0, 1, 2))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_a_skill_falls_to_chance_on_examples_given_and_unseen() -> None:
    """Three draws of examples, two skills. Given and unseen examples of `first` come to .17 and .18 (chance
    .15), of `copy` to 0 (.003). Other skills keep all of theirs.

    Fails if retain rows get other answers too, or forget rows keep theirs.
    """
    for skill in ("first", "copy"):
        found, read = protocols.skills(skill), "skill_accuracy:forget"
        for part in ("", "/unseen"):
            assert found.over("random_answer", f"{read}{part}", than=f"{read}/chance").estimate < 0.1
        assert found.over("random_answer", "skill_accuracy:test").low > 0.95
