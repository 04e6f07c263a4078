"""Settings of every method of bench/stream.py, by one search on requests that no table reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import fmean
from typing import Any

from corrective import drawn, kept
from expunge.app.options import read_settings
from expunge.contract.model import Model
from expunge.contract.registry import find
from expunge.facts.errors import ContractBroken, InputError
from expunge.testbeds.streams import Left, Request, by_method, follow, mean_so_far
from trials import until_idle

SEED = 900
"""Seed of the search's target and of the methods in it; results are reported under others."""


@dataclass(frozen=True)
class Validation:
    """Requests that no table reports, a target, and what a model trained again knows after each; methods get `few` retain rows a class."""

    target: Model
    requests: Sequence[Request]
    again: Sequence[Left]
    few: int


def gap(left: Left, again: Left) -> float:
    """Return the mean absolute gap in accuracy to a model trained again, over the requests so far, retain and test rows."""
    pairs = ((mean_so_far(left), mean_so_far(again)), (left.retain, again.retain), (left.test, again.test))
    return fmean(abs(one - other) for one, other in pairs)


def search(name: str, on: Validation) -> dict[str, Any]:
    """Return the settings with the smallest gap (the mean over requests; of equals the earlier), and every trial.

    Settings given with the name stay as they are. Weights that are not finite make a trial that cannot win;
    InputError where no trial can.
    """
    method, *given = name.split()
    fixed, unit = read_settings(given), find("method", method)

    def trial(number: int) -> dict[str, Any]:
        settings = {**(drawn(method, number) if number else {}), **fixed}
        try:
            lefts = follow(on.target, on.requests, by_method(unit.create(settings), seed=SEED, few=on.few))
        except ContractBroken as broken:
            return {"settings": settings, "gap": None, "failed": str(broken)}
        found = fmean(gap(left, again) for left, again in zip(lefts, on.again, strict=True))
        return {"settings": settings, "gap": found}

    trials = until_idle(trial, lambda one: math.inf if one["gap"] is None else one["gap"])
    scored = [one for one in trials if one["gap"] is not None]
    if not scored:
        raise InputError(f"no trial of {name} left a model to measure; the last: {trials[-1]['failed']}")
    best = min(scored, key=lambda one: one["gap"])
    return {"settings": best["settings"], "gap": best["gap"], "trials": trials}


def in_words(name: str, searched: Mapping[str, Any]) -> str:
    """Return what was chosen for a method, and its gap beside that of the defaults."""
    fixed, first = read_settings(name.split()[1:]), searched["trials"][0]["gap"]
    own = {knob: value for knob, value in searched["settings"].items() if knob not in fixed}
    settings = ", ".join(f"{knob}={value}" for knob, value in own.items()) or "defaults"
    default = "failed" if first is None else f"{first:.3f}"
    return f"{name}: {settings} ({len(searched['trials'])} trials; gap {searched['gap']:.3f}, defaults {default})"


def searched(methods: Sequence[str], folder: Path, validation: Callable[[], Validation]) -> dict[str, dict[str, Any]]:
    """Return what was chosen for each method, and every trial, kept in the folder; what is searched on is made once, if at all."""
    on, found = cache(validation), {}
    for name in methods:
        found[name] = kept(folder / f"{name}.json", partial(_search, name, on))
        print(in_words(name, found[name]), flush=True)
    return found


def _search(name: str, on: Callable[[], Validation]) -> dict[str, Any]:
    return search(name, on())
