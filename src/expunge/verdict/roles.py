"""What a record holds, found by role and step: who is judged, who controls, and which rows belong together."""

from __future__ import annotations

from expunge.facts.claim import Control
from expunge.facts.errors import InputError
from expunge.facts.record import Outcome, Record, Role, Step

Key = tuple[str, str, str]
"""An outcome by attack, budget and split: what must agree between a model and its control."""


def names_of(record: Record, role: Role) -> tuple[str, ...]:
    """Return the names of the models of a role, in order."""
    return tuple(model.name for model in record.models if model.role == role)


def is_guarded(record: Record) -> bool:
    """True where a guard answers for the model."""
    return record.method.guard is not None or bool(names_of(record, "guarded"))


def subject_of(record: Record) -> str | None:
    """Return the model that the claim is about; None where nothing was removed (the target never knew)."""
    found = names_of(record, "guarded" if is_guarded(record) else "unlearned")
    if len(found) > 1:
        raise InputError(
            f"the record judges {len(found)} models: {', '.join(found)}",
            do="write one record a removal, seeds included",
        )
    return found[0] if found else None


def target_of(record: Record) -> str | None:
    """Return the model before the removal, where the record has it."""
    return next(iter(names_of(record, "target")), None)


def control_of(record: Record) -> Control:
    """Return the strongest control that the record holds, whatever its own field says.

    Retrained models; else models never trained on the forget rows; else matched holdout rows of the same model.
    """
    if names_of(record, "retrained"):
        return "retrained"
    if names_of(record, "never_trained"):
        return "never_trained"
    judged = {subject_of(record), target_of(record)}
    has_item = any(
        outcome.item_control or (outcome.kind == "member" and outcome.holdout)
        for outcome in record.outcomes
        if outcome.model in judged and outcome.step != "utility"
    )
    return "item" if has_item else "missing"


def controls_of(record: Record) -> tuple[str, ...]:
    """Return the names of the control models; none for the item control."""
    return names_of(record, "retrained") or names_of(record, "never_trained")


def outcomes_of(record: Record, model: str | None, step: Step) -> dict[Key, Outcome]:
    """Return a model's outcomes of a step by key, in the record's order."""
    found: dict[Key, Outcome] = {}
    for outcome in record.outcomes:
        if outcome.model == model and outcome.step == step:
            key = key_of(outcome)
            if key in found:
                raise InputError(f"{model} has two outcomes of {name_of(outcome)} for the step {step}")
            found[key] = outcome
    return found


def key_of(outcome: Outcome) -> Key:
    """Return what identifies an outcome among those of one model and step."""
    return outcome.attack, outcome.budget, outcome.split


def name_of(outcome: Outcome) -> str:
    """Return an outcome's name as tests and pages print it: attack@budget[split]."""
    budget = f"@{outcome.budget}" if outcome.budget else ""
    return f"{outcome.attack}{budget}{f'[{outcome.split}]' if outcome.split else ''}"


def groups_of(record: Record, split: str, rows: int) -> tuple[int, ...]:
    """Return the group of each row of a split; empty where none were given or the rows are not that split's."""
    found = next((facts.groups for facts in record.splits if facts.name == split), ())
    return found if len(found) == rows else ()


def group_count(record: Record) -> int:
    """Return how many groups the forget rows fall into; 0 where rows stand alone."""
    groups = next((facts.groups for facts in record.splits if facts.name == "forget"), ())
    return 0 if len(set(groups)) == len(groups) else len(set(groups))
