"""The claims: how a model was made (provenance) and what the evidence shows (rung)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Provenance = Literal["exact", "bounded", "none"]
Rung = Literal["not_shown", "suppressed", "behavioural", "resistant", "indistinguishable"]
RUNGS: tuple[Rung, ...] = ("not_shown", "suppressed", "behavioural", "resistant", "indistinguishable")
Control = Literal["retrained", "never_trained", "item", "missing"]


class Claim(BaseModel):
    """What the evidence supports, and what was missing for more.

    `not_found` stands outside the ladder: target and control are equivalent on the battery, weights untouched; then
    `rung` is `not_shown`. `qualifiers` are printed with the claim, never dropped ("item control", "conditional on 3
    retrained models").
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provenance: Provenance
    rung: Rung
    not_found: bool = False
    control: Control
    qualifiers: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    contradicted: bool = False

    @property
    def headline(self) -> str:
        """Return the one phrase a page may lead with."""
        if self.contradicted:
            return "not_shown (provenance contradicted by the battery)"
        base = "not_found" if self.not_found else self.provenance if self.provenance != "none" else self.rung
        return f"{base} ({'; '.join(self.qualifiers)})" if self.qualifiers else base


def at_least(rung: Rung, required: Rung) -> bool:
    """True where `rung` stands at or above `required` on the ladder."""
    return RUNGS.index(rung) >= RUNGS.index(required)
