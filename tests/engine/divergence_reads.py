"""What a metric of distance from retrained models reads of every anchor, and of a model that was taught badly."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from typing import Any

from classifiers import Measured, read
from digits_gap import after


def reads(unit: Any, problem: Callable[[int], Measured], seed: int) -> dict[str, float]:
    """Of one draw: target, untrained, one taught by an untrained model; of ten retrained models the mean and the furthest."""
    at = problem(seed)
    again = [read(unit, at.evidence[f"retrained-{i}"], "forget") for i in range(10)]
    found = {name: read(unit, at.evidence[name], "forget") for name in ("target", "untrained")}
    found["taught"] = read(unit, after(at, "bad_teacher", {}, seed=seed), "forget")
    return {**found, "again": fmean(again), "furthest": max(again)}
