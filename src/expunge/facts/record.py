"""The record of one removal: everything a verdict is derived from, and nothing of what is to be forgotten."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from expunge.facts.claim import Claim, Control, Provenance
from expunge.facts.digest import canonical_json, sha256
from expunge.facts.score import Score

Role = Literal["target", "unlearned", "retrained", "never_trained", "base", "untrained", "guarded"]
OutcomeKind = Literal["success", "member"]
Step = Literal["behavioural", "utility", "resistant", "indistinguishable", "noise_floor", "guard_off", "presence"]


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelFacts(_Fact):
    """A model by its role and its digests; `name` tells several of one role apart (retrained-0, retrained-1)."""

    role: Role
    name: str
    content_digest: str
    files: dict[str, str] = Field(default_factory=dict)
    parameters: int = 0


class SplitFacts(_Fact):
    """A split by count, groups and HMAC commitments: never its text. `groups[i]` is the group ordinal of row i.

    `ids[i]` is the id of row i, as pages name it; empty where an id would say what the row says.
    """

    name: str
    n: int
    groups: tuple[int, ...] = ()
    ids: tuple[str, ...] = ()
    commitment: str = ""


class MethodFacts(_Fact):
    """How the unlearned model was made."""

    name: str
    settings: dict[str, Any] = Field(default_factory=dict)
    scope: str = "full"
    locator: str | None = None
    locator_settings: dict[str, Any] = Field(default_factory=dict)
    guard: str | None = None
    seed: int = 0
    provenance: Provenance = "none"
    provenance_checks: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    digest_before: str = ""
    digest_after: str = ""
    moved_entries: int = 0
    reads: dict[str, int] = Field(default_factory=dict)
    notes: dict[str, Any] = Field(default_factory=dict)


class Measurement(_Fact):
    """A metric's score of one model on one split."""

    metric: str
    model: str
    split: str
    score: Score


class Outcome(_Fact):
    """What one attack (or the direct questions) got from one model, row by row.

    kind `success`: `forget[i]` in [0, 1], 1 where the row's knowledge came out. kind `member`: a member score a row, higher = more
    likely a member, for the forget rows and for the holdout rows; the attack's success is the AUC between them.
    `item_control[j]` is the success on matched holdout rows of the same model, where the attack was asked for it. `step`
    tells which test of the ladder reads it. An `unscored` outcome carries the reason and no numbers.
    Step `utility` (kind `success`): `forget` holds the per-row utility in [0, 1] of the rows of `split` (retain or test),
    higher is better; elsewhere `split` stays empty and `forget` follows the forget rows.
    `budget` names a point on a budget curve (steps, bits), `curve` keeps the whole curve for the page.
    """

    attack: str
    model: str
    kind: OutcomeKind
    step: Step = "resistant"
    split: str = ""
    forget: tuple[float, ...] = ()
    holdout: tuple[float, ...] = ()
    item_control: tuple[float, ...] = ()
    unscored: str | None = None
    budget: str = ""
    curve: tuple[tuple[float, float], ...] = ()
    cost: dict[str, float] = Field(default_factory=dict)


class Thresholds(_Fact):
    """Margins and levels, fixed before the run and written into the certificate.

    `success_margin` and `auc_margin` of None take the default for the sample: .15 and .20 at 80 independent rows, shrinking
    with sqrt(80 / n) above, never growing below. n counts grouped rows as `clusters.effective_rows` does.
    """

    success_margin: float | None = None
    auc_margin: float | None = None
    utility_margin: float = 0.05
    indistinguishable_margin: float = 0.05
    presence_margin: float = 0.15
    alpha: float = 0.05
    min_retrained: int = 3
    min_groups: int = 10
    epsilon_cap: float = 8.0
    battery: tuple[str, ...] = ()
    """Names of the attacks that must all be scored and pass for `resistant`."""
    indistinguishable_metrics: tuple[str, ...] = ()
    """Per-example metrics that two one-sided tests compare with the retrained models."""
    indistinguishable_margins: dict[str, float] = Field(default_factory=dict)
    """Margins of single metrics (`rouge`) or of their parts (`probability/normalised`) in place of `indistinguishable_margin`."""


class Test(_Fact):
    """One statistical test and what it decides; `low`/`high` bound `estimate` at the one-sided level alpha each.

    `smallest_visible` is the smallest true difference this sample would have found with power 0.8: a test of direct
    questions or of an attack that cannot see its own margin (`smallest_visible` > `margin`) does not pass, it is named.
    """

    name: str
    step: Step
    subject: str
    against: str
    kind: Literal["non_inferiority", "equivalence", "superiority"]
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    n: int = 0
    groups: int = 0
    success: float | None = None
    control_success: float | None = None
    smallest_visible: float | None = None
    passed: bool = False
    unscored: str | None = None


class Record(_Fact):
    """One removal, whole. `canonical()` drops what differs between two runs of one plan (cost, times, salts)."""

    schema_version: Literal["expunge/record/v1"] = "expunge/record/v1"
    request: dict[str, Any]
    plan: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    seeds: dict[str, int] = Field(default_factory=dict)
    splits: tuple[SplitFacts, ...] = ()
    models: tuple[ModelFacts, ...] = ()
    method: MethodFacts
    control: Control = "missing"
    thresholds: Thresholds = Field(default_factory=Thresholds)
    measurements: tuple[Measurement, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    tests: tuple[Test, ...] = ()
    claim: Claim | None = None
    overlap: dict[str, Any] = Field(default_factory=dict)
    refusals: tuple[str, ...] = ()
    cost: dict[str, float] = Field(default_factory=dict)
    created: str = ""

    def canonical(self) -> bytes:
        """Return canonical JSON without cost, times and salted commitments: equal for two runs of one plan."""
        plain = self.model_dump(mode="python")
        for key in ("cost", "created"):
            plain.pop(key)
        plain["request"] = {key: item for key, item in plain["request"].items() if "commitment" not in key}
        for split in plain["splits"]:
            split.pop("commitment")
        for outcome in plain["outcomes"]:
            outcome.pop("cost")
        return canonical_json(plain)

    def digest(self) -> str:
        """Return the sha256 of `canonical()`."""
        return sha256(self.canonical())

    def to_json(self) -> bytes:
        """Return the whole record as canonical JSON, cost and times included."""
        return canonical_json(self.model_dump(mode="python"))
