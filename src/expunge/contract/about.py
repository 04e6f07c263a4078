"""What a unit declares about itself: facts that can be read without running or importing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NEEDS = frozenset(
    {
        "forget",
        "retain",
        "holdout",
        "test",
        "frozen",
        "recipe",
        "logits",
        "features",
        "sites",
        "generate",
        "gradients",
        "shadows",
        "retrained",
        "scores",
        "generations",
        "attacks",
        "target",
        "model",
        "values",
        "predictions",
        "untrained",
        "weights",
        "numbers",
    }
)
"""The closed list of what a unit may ask for.

Splits: forget retain holdout test. From the adapter: logits (classes), numbers (a number is predicted, in place of classes),
features sites generate gradients. From the pipeline: frozen
(a copy of target), recipe, shadows, retrained (their evidence), target (its evidence), scores (of the one pass),
generations, attacks (other attacks' scores), model (the weights, to copy and train), values (rows with a `value`),
predictions (every class's probability, of models that answer once a row), weights (arrays by name), untrained (its evidence).
"""
TAKEN = frozenset({"shadows"})
"""What an attack may take where a run has it and do without else: of `NEEDS`, what the pipeline gathers only where it is read."""
MODALITIES = ("text", "vision", "tabular", "diffusion", "gan", "vlm")
BATTERIES = ("quick", "standard", "full")
NAMED = "named"
"""In no battery: run where it is asked for by name."""
KINDS = ("source", "locator", "method", "guard", "metric", "attack", "benchmark")


def is_range(given: tuple[Any, ...]) -> bool:
    """True for what a search can draw from: two ends in order (above zero for a logarithm), or choices."""
    kind, *rest = given or ("",)
    if kind == "choice":
        return bool(rest)
    return kind in ("log", "linear", "int") and len(rest) == 2 and rest[0] < rest[1] and (kind != "log" or rest[0] > 0)


@dataclass(frozen=True, kw_only=True)
class About:
    """Facts of one unit. Every argument is a literal, so that a listing reads them from the source without importing.

    `claim` is the falsifiable sentence of the paper, and `differs` where this implementation departs from it.
    `inert_when` names, for a knob, the settings of other knobs under which it changes nothing. `allowances` are
    measured exceptions to the contract, each with its reason; a stale one fails the checks. `step` is the test of the
    ladder that reads an attack, `battery` the smallest battery (quick, standard, full) that holds it, `named` for none;
    `row_fields` what every forget row must bring (`group` among them) for a battery to hold it at all. `search` gives ranges
    of settings that `expunge tune` searches: ("log", low, high), ("linear", low, high), ("int", low, high) or ("choice", a, b...).
    `staged` says that passes of several kinds follow one another: a search keeps their number, and a bound on steps cuts each alike.
    Without `stochastic` the method draws nothing of its own: another seed is another result only where a model's loss draws (diffusion).
    `takes` names what an attack reads where a run has it, and does without else: it holds no battery back.
    """

    needs: tuple[str, ...]
    modalities: tuple[str, ...]
    claim: str
    paper: str
    link: str
    year: int
    paper_id: str = ""
    scope: tuple[str, ...] = ("full", "lora", "layers")
    stochastic: bool = True
    provenance: str = "none"
    before_training: bool = False
    differs: tuple[str, ...] = ()
    cost: str = ""
    step: str = "resistant"
    battery: str = "standard"
    row_fields: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    inert_when: Mapping[str, str] = field(default_factory=dict)
    allowances: Mapping[str, str] = field(default_factory=dict)
    search: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    staged: bool = False

    def __post_init__(self) -> None:
        unknown = [need for need in self.needs if need not in NEEDS]
        if unknown:
            raise ValueError(f"unknown needs {unknown}; the closed list is {sorted(NEEDS)}")
        beyond = [need for need in self.takes if need not in TAKEN]
        if beyond:
            raise ValueError(f"a unit cannot take {beyond}; known are {sorted(TAKEN)}")
        if self.battery not in (*BATTERIES, NAMED):
            raise ValueError(f"unknown battery {self.battery!r}; known are {[*BATTERIES, NAMED]}")
        wrong = [name for name in self.modalities if name not in MODALITIES]
        if wrong:
            raise ValueError(f"unknown modalities {wrong}; known are {list(MODALITIES)}")
        for name, given in self.search.items():
            if not is_range(given):
                raise ValueError(f"the search of {name!r} is no range: {given}")

    @property
    def reads(self) -> tuple[str, ...]:
        """What it needs, and what it takes where there is any."""
        return (*self.needs, *self.takes)
