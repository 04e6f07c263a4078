"""A measured number, or the reason why there is none."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

Ideal = Literal["higher", "lower", "as_control", "none"]


class Score(BaseModel):
    """One number with its interval, or `unscored` with a reason: never a default in place of a value.

    `ideal` says which way is good for the *unlearned* model; `as_control` means nearer to the control's own value.
    `per_example` holds one number a row, in the order of the split's row ids, where the score is a mean over rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: float | None = None
    unscored: str | None = None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    n: int = 0
    ideal: Ideal = "none"
    per_example: tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _value_or_reason(self) -> Score:
        if (self.value is None) == (self.unscored is None):
            raise ValueError(f"{self.name}: a score is either a value or unscored with a reason")
        if self.value is not None and math.isnan(self.value):
            raise ValueError(f"{self.name}: NaN is not a score; give `unscored` with the reason")
        return self

    @property
    def is_scored(self) -> bool:
        """True where there is a value."""
        return self.value is not None


def unscored(name: str, reason: str, *, n: int = 0, ideal: Ideal = "none") -> Score:
    """Return a score that says why there is no value."""
    return Score(name=name, unscored=reason, n=n, ideal=ideal)
