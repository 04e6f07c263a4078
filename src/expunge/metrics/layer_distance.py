"""Distance of the weights, layer by layer, to the retrained models'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.anchors import Reading, anchors, peers, refuse_out_of_order
from expunge.facts.errors import InputError
from expunge.facts.score import Score, unscored

NAME = "weight distance to retrained"


@dataclass(frozen=True, kw_only=True)
class LayerDistance:
    """Measure the L2 distance of each layer's weights to the retrained models', beside what doing nothing and retraining give.

    Two trainings from different random weights end far apart though they behave alike, so that a bare distance says nothing:
    `layers/NAME/target` is the target's distance, `layers/NAME/untrained` that of random weights, `layers/NAME/floor` that of
    retrained models from one another. The model's own is refused where, over all weights, target or random weights lie no further
    away than retrained models lie apart: on digits random weights lie nearer. Where all were trained from one start (a
    pre-trained base) the floor is low.

    Source: Tarun et al. 2023 (layer-wise distance). Differs: see `differs`. Reads the weights of the model, the target, the retrained.
    """

    about = About(
        needs=("weights", "target", "retrained", "untrained"),
        modalities=("vision", "tabular"),
        claim="Layers that a removal did not reach stay at the target's distance, those it rewrote move towards the retrained models'.",
        paper="Fast Yet Effective Machine Unlearning",
        link="https://arxiv.org/abs/2111.08947",
        year=2023,
        stochastic=False,
        differs=(
            "Half of the claim holds (a class of digits, ten models from one start, five draws): layers not reached stay at the target's "
            "distance, but rewritten ones move away. Target 5.7, floor 4.4; fine-tuning adds 6.1, random labels .5, a bad teacher .3.",
            "With the target's distance and the retrained models' own as scale; without them the number ranks chance.",
            "Each trained from a start of its own, the target lies .3 further from retrained models than these from one another (18.5) "
            "and random weights 2.9 nearer, though only the target names the forget rows: refused on five draws of five.",
        ),
        battery="full",
        cost="arithmetic on the weights",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return `layers` (all weights) and `layers/NAME`, each with `/target`, `/untrained` and `/floor`."""
        try:
            parts = {"layers": list(evidence.weights), **_layers(evidence)}
            scales = {part: _scale(evidence, names) for part, names in parts.items()}
        except InputError as error:
            return {"layers": unscored(NAME, error.what, ideal="lower")}
        refusal, found = _refusal(evidence, parts["layers"], scales["layers"]), {}
        for part, names in parts.items():
            size = sum(evidence.weights[name].size for name in names)
            own = _distance(names)(evidence, evidence.retrained)
            scored = Score(name=NAME, value=own, n=size, ideal="lower")
            found[part] = unscored(NAME, refusal, n=size, ideal="lower") if refusal else scored
            for whose, value in scales[part].items():
                found[f"{part}/{whose}"] = Score(name=f"{NAME}, {whose}", value=value, n=size)
        return found


def _scale(evidence: Evidence, names: Sequence[str]) -> dict[str, float]:
    """Return what doing nothing, random weights and retraining once more read."""
    if evidence.untrained is None:
        raise InputError("there is no untrained model")
    found, reading = anchors(evidence, _distance(names)), _distance(names)
    return {"target": found.target, "untrained": reading(evidence.untrained, peers(evidence)), "floor": found.floor}


def _refusal(evidence: Evidence, names: Sequence[str], scale: Mapping[str, float]) -> str:
    try:
        refuse_out_of_order(evidence, _distance(names), better="lower")
    except InputError as error:
        return error.what
    if scale["untrained"] <= scale["floor"]:
        return f"random weights lie {scale['untrained']:.4g} from the retrained models, and these {scale['floor']:.4g} apart"
    return ""


def _layers(evidence: Evidence) -> dict[str, list[str]]:
    """Return parameter names by the module that holds them; refuses models without weights or of other shapes."""
    if not evidence.weights:
        raise InputError("no weights were given")
    shapes = {name: array.shape for name, array in evidence.weights.items()}
    for one in (evidence.target, evidence.untrained, *evidence.retrained):
        if one is not None and {name: array.shape for name, array in one.weights.items()} != shapes:
            raise InputError(f"the weights of {one.name} have other names or shapes")
    found: dict[str, list[str]] = {}
    for name in shapes:
        found.setdefault(f"layers/{name.rpartition('.')[0] or name}", []).append(name)
    return found


def _distance(names: Sequence[str]) -> Reading:
    def between(one: Evidence, other: Evidence) -> float:
        squares = (np.square(one.weights[n].astype(np.float64) - other.weights[n]).sum() for n in names)
        return float(np.sqrt(sum(squares)))

    return lambda one, others: float(np.mean([between(one, other) for other in others]))
