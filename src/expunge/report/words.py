"""Say numbers, roles and claims in words that a person can read and that promise nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from expunge.facts.claim import RUNGS, Claim, Rung

_BARE: Final = re.compile(r"\bunlearned\b(?!\s+models?\b)", re.IGNORECASE)

ROLE_WORDS: Final[Mapping[str, str]] = {
    "target": "target",
    "unlearned": "unlearned model",
    "retrained": "retrained",
    "never_trained": "never trained on the forget rows",
    "base": "base (before the training on forget and retain rows)",
    "untrained": "untrained (random weights)",
    "guarded": "guard on",
}
CONTROL_WORDS: Final[Mapping[str, str]] = {
    "retrained": "models retrained without the forget rows",
    "never_trained": "a model of the same recipe, never trained on the forget rows",
    "item": "item control: the same model on matched holdout rows",
    "missing": "none",
}
OVERLAP_WORDS: Final[Mapping[str, str]] = {
    "n": "words in a row that count as shared",
    "near": "share of 3-word pieces that counts as a near-duplicate",
    "retain_rows": "retain rows looked at",
    "sharing_n_gram": "retain rows that share words in a row with a forget row",
    "near_duplicates": "retain rows that nearly repeat one",
    "equal_arrays": "retain rows with the very array of a forget row, under another label",
    "ids": "retain rows named in the record",
}
STEP_WORDS: Final[Mapping[str, str]] = {
    "presence": "the target knows the forget rows",
    "behavioural": "direct questions",
    "utility": "utility is kept",
    "resistant": "attacks",
    "indistinguishable": "same as retrained",
    "noise_floor": "retrained against each other",
    "guard_off": "with the guard off",
}
RUNG_MEANS: Final[Mapping[str, tuple[str, str]]] = {
    "not_shown": (
        "The evidence supports no claim.",
        "That the knowledge is certainly still there: the evidence may only be too weak or incomplete.",
    ),
    "suppressed": (
        "A guard keeps it from coming out; with the guard off the knowledge is there.",
        "Any change of the weights. Whoever holds the weights holds the knowledge.",
    ),
    "behavioural": (
        "Direct questions bring out no more than from the control, within the margin; utility is kept.",
        "That an attack finds nothing: relearning, quantisation or rephrasing may bring it back.",
    ),
    "resistant": (
        "Every attack of the battery gained less than the margin over the control; utility is kept.",
        "Safety from attacks outside this battery, with larger budgets, or below the margin.",
    ),
    "indistinguishable": (
        "On the declared metrics it lies within the margins of the retrained models, in both directions.",
        "Identity with a retrained model. It holds for these metrics, these margins and these retrained models.",
    ),
    "bounded": (
        "An accountant or a theorem bounds what the forget group can have left behind, by (epsilon, delta).",
        "Zero influence; and nothing at all where a listed assumption fails.",
    ),
    "exact": (
        "Training without the forget rows gives this model, shown by a check that can fail.",
        "That nothing else saw the forget rows: listed artefacts and repeats in the retain rows are not covered.",
    ),
    "not_found": (
        "The target never knew more than the control; its weights were left alone.",
        "A removal. Nothing was removed, because the battery found nothing to remove.",
    ),
}
CAUTIONS: Final[tuple[str, ...]] = (
    "A claim speaks of one model and of the attacks, metrics, budgets and margins listed here, and of nothing else.",
    "A passed test means that the difference is below its margin, at the level fixed before the run. It does not mean that there is none.",
    "Unscored is neither passed nor failed: it blocks the rung and is named.",
    "Other checkpoints, merged or quantised copies, optimiser state, caches, retrieval stores and backups are not covered.",
    "Whether the request was complete, lawful or came from the right person is not examined.",
    "This page carries no signature. A certificate does; check that one with the command: expunge certificate verify.",
)


def guarded_words(text: str) -> str:
    """Return text in which the word `unlearned` stands only as the name of a model's role."""
    return _BARE.sub(lambda found: f"{found.group()} model", text)


def number(value: float | int | None) -> str:
    """Return a number at three decimals, or in powers of ten where three decimals would hide it."""
    if value is None:
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite" if value > 0 else "−infinite"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 1000):
        text = f"{int(value):,}"
    elif value == 0 or 0.001 <= abs(value) < 10_000:
        text = f"{value:.3f}"
    else:
        text = f"{value:.2e}"
    return text.replace("-", "−")


def fixed(value: float | None) -> str:
    """Return a number at three decimals, for columns of differences whose margins have no more."""
    return "" if value is None else f"{round(value, 3) + 0.0:.3f}".replace("-", "−")


def quantity(name: str, value: float) -> str:
    """Return a cost with the unit that its name ends in, else as a plain number."""
    if name.endswith(("seconds", "_s", "(s)")):
        return f"{value:,.1f} s" if value < 600 else f"{value / 60:,.1f} min"
    if name.endswith("(MB)"):
        return f"{value:,.0f} MB"
    if name.endswith("bytes"):
        return f"{value / 2**20:,.1f} MiB"
    return number(value)


def spaced(name: str) -> str:
    """Return a snake_case name with spaces."""
    return guarded_words(name.replace("_", " "))


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def next_rung(claim: Claim) -> Rung | None:
    """Return the rung above the one reached, or None at the top and outside the ladder."""
    if claim.not_found or claim.rung == RUNGS[-1]:
        return None
    return "behavioural" if claim.rung in ("not_shown", "suppressed") else RUNGS[RUNGS.index(claim.rung) + 1]


def settings_words(settings: Mapping[str, Any]) -> str:
    """Return settings as `key=value` in order of key."""
    return ", ".join(f"{key}={settings[key]}" for key in sorted(settings))
