"""MUSE's privacy leakage from evidence: which rows, which share of tokens, which retrained models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import protocols
import pytest

from expunge.facts.rows import Row
from expunge.metrics.muse_privleak import MusePrivleak

FORGET, HOLDOUT = ([f"{side}{i}" for i in range(12)] for side in "fh")


def rows(ids: list[str], kind: str = "") -> list[Row]:
    return [Row(id=i, fields={"answer": "x", **({"kind": kind} if kind else {})}) for i in ids]


def mean_of_least(tokens: list[float], share: float) -> float:
    return float(np.mean(sorted(tokens)[: max(1, int(share * len(tokens)))]))


def plain_auc(one: list[float], two: list[float]) -> float:
    return float(np.mean([(x > y) + 0.5 * (x == y) for x in one for y in two]))


@pytest.fixture
def model(scores: Callable[..., Any], evidence: Callable[..., Any]) -> Callable[..., Any]:
    """A model whose forget tokens are `shift` nats more likely than those of a holdout row; five tokens a row."""

    def make(seed: int, shift: float, extra: dict[str, list[Row]] | None = None, **given: Any) -> Any:
        draw = np.random.default_rng(seed)
        by_split = {"forget": rows(FORGET, "passage"), "holdout": rows(HOLDOUT, "passage")}
        by_split = {split: [*found, *(extra or {}).get(split, ())] for split, found in by_split.items()}
        logs: dict[str, dict[tuple[str, str], list[float]]] = {}
        for split, found in by_split.items():
            up = shift if split == "forget" else 0.0
            logs[split] = {(row.id, "answer"): (draw.normal(-8 + up, 1.0, size=5)).tolist() for row in found}
        one = evidence(by_split, scores={split: scores(log) for split, log in logs.items()}, **given)
        made[id(one)] = logs
        return one

    made: dict[int, Any] = {}
    make.logs = lambda one: made[id(one)]  # type: ignore[attr-defined]
    return make


def expected(own: Any, others: list[Any], share: float) -> tuple[float, float]:
    """PrivLeak and AUC in plain loops over the passages."""

    def area(logs: Any) -> float:
        forget, holdout = (
            [mean_of_least(log, share) for (row, _), log in logs[split].items() if row in ids]
            for split, ids in (("forget", FORGET), ("holdout", HOLDOUT))
        )
        return plain_auc(forget, holdout)

    control = float(np.mean([area(one) for one in others]))
    return 100 * (control - area(own)) / (1 - control), area(own)


def test_against_plain_loops(model: Callable[..., Any]) -> None:
    """Fails if k is not 40%, the first retrained model stands for all, the sign is turned or questions count among passages."""
    questions = {"forget": rows(["q1", "q2", "q3"], "question"), "holdout": rows(["q4"], "question")}
    others = [model(seed, 0.1, questions) for seed in (2, 3)]
    own = model(1, 0.5, questions, retrained=tuple(others))
    logs = [model.logs(one) for one in (own, *others)]  # type: ignore[attr-defined]
    leak, area = expected(logs[0], logs[1:], 0.4)
    found = MusePrivleak().run(own)
    assert found["forget"].value == pytest.approx(leak, abs=1e-9)
    assert found["forget/auc"].value == pytest.approx(area, abs=1e-12)
    assert found["forget"].n == 12
    assert found["forget"].low < leak < found["forget"].high
    other = MusePrivleak(k=0.8).run(own)["forget"].value
    assert other == pytest.approx(expected(logs[0], logs[1:], 0.8)[0], abs=1e-9)
    assert other != pytest.approx(leak)


def test_untouched_is_near_minus_100_and_over_forgotten_positive(model: Callable[..., Any]) -> None:
    """Fails if the signs of MUSE's table are turned: -100 where members stand out, positive where they look less trained on."""
    others = tuple(model(seed, 0.0) for seed in (2, 3, 4))
    found = {shift: MusePrivleak().run(model(1, shift, retrained=others))["forget"].value for shift in (6.0, 0.0, -6.0)}
    assert found[6.0] == pytest.approx(-100.0)
    assert abs(found[0.0]) < 60
    assert found[-6.0] > 60


def test_no_number_without_retrained_models_or_where_they_tell_the_rows_apart(model: Callable[..., Any]) -> None:
    """Peers: 0.5 for a missing retrained model, and 5215 where its AUC is near 1.  Fails if either gives a number."""
    assert (
        MusePrivleak().run(model(1, 0.5))["forget"].unscored
        == "PrivLeak compares with retrained models and there is none"
    )
    found = MusePrivleak().run(model(1, 0.5, retrained=(model(2, 9.0),)))
    assert "the retrained AUC is 1.000" in str(found["forget"].unscored)
    assert "forget/auc" not in found


def test_rows_of_other_data_and_of_one_side(
    model: Callable[..., Any], evidence: Callable[..., Any], scores: Callable[..., Any]
) -> None:
    """Fails if rows without a kind are left out, or forget passages are held against holdout questions."""
    logs = {
        "forget": {("a", "answer"): [-1.0], ("b", "answer"): [-3.0]},
        "holdout": {("c", "answer"): [-2.0], ("d", "answer"): [-4.0]},
    }
    passed = {split: scores(log) for split, log in logs.items()}
    plain = {split: [Row(id=row, fields={"answer": "x"}) for row, _ in log] for split, log in logs.items()}
    control = evidence(
        plain,
        scores={"forget": passed["forget"], "holdout": scores({("c", "answer"): [-1.0], ("d", "answer"): [-2.0]})},
    )
    found = MusePrivleak().run(evidence(plain, scores=passed, retrained=(control,)))
    assert found["forget/auc"].value == 0.75
    assert found["forget"].value == pytest.approx(100 * (0.375 - 0.75) / 0.625)
    mixed = {"forget": [row.replace(kind="passage") for row in plain["forget"]], "holdout": plain["holdout"]}
    apart = MusePrivleak().run(evidence(mixed, scores=passed, retrained=(control,)))
    assert apart["forget"].unscored == "there are no holdout rows to compare"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_no_method_is_near_zero() -> None:
    """Three draws of books: -100 for the target and after ascent, gradient difference and NPO alike, .5 [-1.7, 2.7] of retrained models.

    Fails if signs are turned, or retrained models among themselves are far from 0.
    """
    found, read = protocols.muse(), "muse_privleak:forget"
    assert found.over("target", read).high < -80
    assert abs(found.over("retrained", read).estimate) < 40
    for method in ("ascent", "grad_diff", "npo"):
        assert min(abs(one.read(method, read)) for one in found.each) > 10
