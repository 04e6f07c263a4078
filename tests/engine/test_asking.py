"""Asking a model, and the outcome of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from expunge.contract.evidence import Evidence
from expunge.contract.model import Capabilities
from expunge.engine.asking import success_outcome, successes
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows

ROWS = Rows((Row(id="a", fields={"answer": "x", "value": "red"}), Row(id="b", fields={"answer": "y", "value": "blue"})))


def evidence(**rows: Rows) -> Evidence:
    return Evidence(name="m", role="unlearned", modality="text", rows=rows)


def test_a_model_that_generates_is_judged_by_its_words() -> None:
    """Fails if the one pass is run for a model that can answer, or a model that can do neither passes for safe."""
    probe: Any = SimpleNamespace(generate=lambda model, rows: ["red", "green"], score=None)
    speaker: Any = SimpleNamespace(capabilities=Capabilities(generate=True), modality="text")
    assert successes(probe, speaker, ROWS, 0.8).tolist() == [1.0, 0.0]
    silent: Any = SimpleNamespace(capabilities=Capabilities(generate=False, logits=False), modality="diffusion")
    with pytest.raises(InputError, match="neither answers in words nor chooses a label"):
        successes(probe, silent, ROWS, 0.8)


def test_forget_holdout_curve_and_reasons() -> None:
    """Fails if holdout rows are attacked unasked, the curve is read before the attack, or a refusal gives numbers."""
    log: list[str] = []

    def attempt(split: str) -> np.ndarray:
        log.append(split)
        return np.array([1.0, 0.0])

    def curve() -> list[tuple[float, float]]:
        log.append("curve")
        return [(1.0, 0.5)]

    both = evidence(forget=ROWS, holdout=ROWS)
    found = success_outcome("x", both, attempt, with_items=True, budget="b", curve=curve)
    assert (found.forget, found.item_control, found.curve, found.budget) == ((1, 0), (1, 0), ((1.0, 0.5),), "b")
    assert log == ["forget", "curve", "holdout"]
    assert success_outcome("x", both, attempt, with_items=False).item_control == ()
    assert success_outcome("x", evidence(holdout=ROWS), attempt, with_items=True).unscored == "there are no forget rows"

    def refuse(split: str) -> np.ndarray:
        raise InputError("no wording")

    refused = success_outcome("x", both, refuse, with_items=True, budget="b")
    assert (refused.unscored, refused.forget, refused.budget) == ("no wording", (), "b")
