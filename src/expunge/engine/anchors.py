"""Refuse a number that is read against retrained models where doing nothing looks as good as they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from expunge.contract.evidence import Evidence
from expunge.facts.errors import InputError

Reading = Callable[[Evidence, Sequence[Evidence]], float]
"""One model's number, read against retrained models that are not itself."""


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """What a metric reads of the target, and of each retrained model against the others."""

    target: float
    retrained: tuple[float, ...]

    @property
    def floor(self) -> float:
        """What retraining once more gives: the mean over the retrained models, each read against the others."""
        return float(np.mean(self.retrained))


def peers(evidence: Evidence) -> tuple[Evidence, ...]:
    """Return every retrained model of the verification by name, also the one whose evidence this is."""
    own = (evidence,) if evidence.role == "retrained" else ()
    return tuple(sorted((*own, *evidence.retrained), key=lambda one: one.name))


def anchors(evidence: Evidence, reading: Reading) -> Anchors:
    """Return the anchors of a reading; they are the same whichever model of the verification asks for them."""
    if evidence.target is None:
        raise InputError("what doing nothing gives is unknown: there is no target")
    retrained = peers(evidence)
    if len(retrained) < 2:
        raise InputError(f"the noise between retrained models is unknown: there are {len(retrained)} of them")
    return Anchors(
        target=reading(evidence.target, retrained),
        retrained=tuple(reading(one, [o for o in retrained if o is not one]) for one in retrained),
    )


def refuse_out_of_order(evidence: Evidence, reading: Reading, *, better: Literal["higher", "lower"]) -> None:
    """Raise where the target does not read worse than every retrained model read against the others.

    A metric that cannot tell a model which did nothing from retraining once more says nothing about a removal in this setting.
    """
    found = anchors(evidence, reading)
    sign = 1.0 if better == "higher" else -1.0
    if sign * found.target >= min(sign * value for value in found.retrained):
        raise InputError(
            f"its anchors are out of order here: doing nothing reads {found.target:.4g}, retrained models "
            f"{min(found.retrained):.4g} to {max(found.retrained):.4g}, and {better} is better"
        )


def gap_of(value: Callable[[Evidence], float]) -> Reading:
    """Return the reading |value - mean value of the others|, each model's value computed once."""
    known: dict[int, float] = {}

    def of(one: Evidence) -> float:
        if id(one) not in known:
            known[id(one)] = value(one)
        return known[id(one)]

    return lambda one, others: abs(of(one) - float(np.mean([of(other) for other in others])))
