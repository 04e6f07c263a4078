"""Which metrics and attacks a verification runs: found by what units declare and by what the run has to offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from expunge.contract.about import BATTERIES, NAMED
from expunge.contract.registry import Listing, find, settings_of, units
from expunge.facts.errors import InputError, nearest
from expunge.facts.rows import Row, Rows

UTILITY: Mapping[str, tuple[str, ...]] = {
    "text": ("probability", "rouge"),
    "vision": ("accuracy",),
    "tabular": ("accuracy",),
    "diffusion": (),
    "numbers": ("closeness",),
}
"""Per-row metrics in [0, 1] that must not fall on retain and test rows, by modality; of models that predict numbers by that."""
INDISTINGUISHABLE: Mapping[str, tuple[str, ...]] = {
    "text": ("probability", "rouge"),
    "vision": ("probability", "accuracy"),
    "tabular": ("probability", "accuracy"),
    "diffusion": (),
    "numbers": ("probability", "closeness"),
}
"""Per-row metrics that must agree with the retrained models on every split."""
OFFERED = frozenset(
    {
        "scores",
        "generations",
        "gradients",
        "model",
        "values",
        "target",
        "features",
        "sites",
        "generate",
        "attacks",
        "predictions",
        "weights",
    }
)
"""What every verification can offer; the rest depends on the splits and models given."""
ANSWERS = ("logits", "numbers")
"""What a model may answer by, classes or a number: a verification offers what its models do."""


@dataclass(frozen=True)
class Battery:
    """Units to run, and those left out with the reason."""

    metrics: tuple[tuple[str, Any], ...]
    attacks: tuple[tuple[str, Any], ...]
    left_out: tuple[str, ...] = field(default=())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the attacks that must all pass for `resistant`."""
        return tuple(name for name, unit in self.attacks if unit.about.step == "resistant")


def check_battery(level: str, attacks: Sequence[str] | None = None, metrics: Sequence[str] | None = None) -> None:
    """Refuse a battery, attack or metric that is not there, naming the nearest."""
    if level not in BATTERIES:
        raise InputError(
            f"there is no battery {level!r}; the nearest is {nearest(level, BATTERIES)!r}",
            do=f"use one of: {', '.join(BATTERIES)}",
        )
    for kind, names in (("attack", attacks), ("metric", metrics)):
        for name in names or ():
            find(kind, name)


def choose(
    modality: str,
    offered: frozenset[str],
    *,
    level: str = "standard",
    attacks: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    controlled: bool = False,
    forget: Rows | None = None,
) -> Battery:
    """Return the battery of a level for a modality; `offered` names the splits, models and shadows that there are.

    Metrics are run at every level but those that declare `full`, and those run by name only.

    Units asked for by name are kept even where something they need is missing: they come out unscored with the reason,
    and block the rung. Those that a level would bring are left out then, and named, as are those for whose `row_fields` the rows to
    `forget` bring nothing and the plan has no settings. Where a retrained or never-trained model is the control (`controlled`), attacks
    leave the holdout rows alone unless a setting says otherwise: no verdict reads them then.
    """
    check_battery(level, attacks, metrics)
    settings, left_out = settings or {}, []
    chosen_attacks = []
    for listing in [find("attack", name) for name in attacks] if attacks is not None else units("attack").values():
        if attacks is None:
            if listing.about.battery not in BATTERIES[: BATTERIES.index(level) + 1]:
                continue
            if modality not in listing.about.modalities:
                continue
            reason = _missing(listing, offered) or ("" if listing.name in settings else _bare(listing, forget))
            if reason:
                left_out.append(f"attack {listing.name} left out of the battery: {reason}")
                continue
        spared = {"item_control": False} if controlled and "item_control" in settings_of(listing.create()) else {}
        chosen_attacks.append((listing.name, listing.create({**spared, **settings.get(listing.name, {})})))
    chosen_metrics = []
    for listing in [find("metric", name) for name in metrics] if metrics is not None else units("metric").values():
        held = listing.about.battery == "full" != level or listing.about.battery == NAMED
        beyond = held or modality not in listing.about.modalities
        if metrics is None and (beyond or _missing(listing, offered) or _bare(listing, forget)):
            continue
        chosen_metrics.append((listing.name, listing.create(settings.get(listing.name))))
    return Battery(tuple(chosen_metrics), tuple(chosen_attacks), tuple(left_out))


def _bare(listing: Listing, forget: Rows | None) -> str:
    absent = [name for name in listing.about.row_fields if any(not _brings(row, name) for row in forget or ())]
    return f"not every forget row has {' and '.join(absent)}" if absent else ""


def _brings(row: Row, name: str) -> bool:
    return row.group is not None if name == "group" else bool(row.get(name))


def _missing(listing: Listing, offered: frozenset[str]) -> str:
    lacking = [need for need in listing.about.needs if need not in OFFERED | offered]
    how = " (a plan's verify.shadows = N trains them)" if "shadows" in lacking else ""
    return f"it needs {', '.join(lacking)}{how}" if lacking else ""
