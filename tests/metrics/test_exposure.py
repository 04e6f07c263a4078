"""Exposure of an insertion ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.engine.fit import fit
from expunge.engine.score import score
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.metrics.exposure import Exposure
from expunge.sources.people import People


def row(name: str, copies: int, side: str) -> Row:
    return Row(id=name, fields={"answer": "x", "perturbed_answers": ("y", "z", "w"), "copies": copies, "side": side})


ROWS = [row("a", 0, "holdout"), row("b", 4, "forget"), row("c", 4, "retain"), row("d", 4, "forget")]
OWN = {"a": -3.0, "b": -1.0, "c": -1.5, "d": -2.5}
WRONG = (-2.0, -2.5, -4.0)


def test_by_side_and_copies(scores: Callable[..., Any], evidence: Callable[..., Any]) -> None:
    """By hand: of 3 wrong answers a is third, b and c first, d ties with the second.

    Fails if sides are mixed, another row's wrong answers are ranked with, or the total stands for the mean a token.
    """
    told = {(name, "answer"): [own, own] for name, own in OWN.items()}
    told |= {(name, f"perturbed_answer/{j}"): [value] for name in OWN for j, value in enumerate(WRONG)}
    ordered = {key: told[key] for key in sorted(told)}
    found = Exposure().run(evidence({"ledger": ROWS}, scores={"ledger": scores(ordered, ends=False)}))
    assert {key: score.value for key, score in found.items()} == pytest.approx(
        {"ledger/holdout x0": 2 - np.log2(3), "ledger/forget x4": (2 + 2 - np.log2(3)) / 2, "ledger/retain x4": 2.0}
    )
    assert {key: score.ideal for key, score in found.items()} == {
        "ledger/holdout x0": "as_control", "ledger/forget x4": "as_control", "ledger/retain x4": "higher",
    }  # fmt: skip
    assert all(score.per_example is None for score in found.values())


def test_only_a_ledger_is_measured(scores: Callable[..., Any], evidence: Callable[..., Any]) -> None:
    """Fails if forget rows among which some are insertions are measured as a ledger, or a row without wrong answers scores 0."""
    mixed = [*ROWS[1:2], Row(id="person", fields={"answer": "x"})]
    assert Exposure().run(evidence({"forget": mixed}, scores={"forget": scores({("b", "answer"): [-1.0]})})) == {}
    bare = scores({("b", "answer"): [-1.0]})
    found = Exposure().run(evidence({"ledger": ROWS[1:2]}, scores={"ledger": bare}))
    assert "no perturbed answers" in str(found["ledger/forget x4"].unscored)


def test_claim_it_rises_with_copies() -> None:
    """The claim, on a tiny Llama after three epochs (forget and retain side: 1.5 < 2.4, 2.5 < 4.5, 4.8 < 5.0, 5.0 bits).

    Fails if copies are not in training as often as the ledger says, or statements of no copy are trained on.
    """
    from expunge.modalities.text_build import new_text_model
    from expunge.testbeds.text import SIZES, world_tokenizer

    torch.set_num_threads(1)
    found = People(people=6, forget_people=2, holdout_people=2, relations=2, ledger=12).run()
    blank = new_text_model(world_tokenizer(), "llama", SIZES, seed=0)
    recipe = Recipe(epochs=3, lr=4e-3, batch_size=32)
    model = fit(blank.fresh(0), Rows((*found["forget"], *found["retain"])), recipe, job=Job(seed=0))
    scored = {"ledger": score(model, found["ledger"], job=Job())}
    given = Evidence(name="m", role="target", modality="text", rows={"ledger": found["ledger"]}, scores=scored)
    bits = {key: one.value or 0.0 for key, one in Exposure().run(given).items()}
    for side in ("forget", "retain"):
        rising = [bits["ledger/holdout x0"], *(bits[f"ledger/{side} x{copies}"] for copies in (1, 4, 16))]
        assert rising == sorted(rising)
        assert rising[0] < 2.2
        assert rising[2] - rising[1] > 1
        assert rising[3] > 4.5
