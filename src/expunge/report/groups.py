"""Sort records into the rows of a page: each method with its seeds, then the reference records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from expunge.facts.digest import canonical_json
from expunge.facts.errors import InputError
from expunge.facts.record import MethodFacts, Record, Test
from expunge.report.words import guarded_words, settings_words
from expunge.verdict.roles import subject_of, target_of

REFERENCES: Final[Mapping[str, str]] = {
    "do_nothing": "do nothing",
    "retrained": "retrained",
    "second_retrained": "second retrained (noise floor)",
}
"""Names of the method in a reference record, where the target or a retrained model stands in the unlearned role."""
_SERIES = 16
_OF_A_SEED = {"seed", "digest_before", "digest_after", "moved_entries", "reads", "notes", "provenance_checks"}
"""What a seed leads to; two records that agree in the method's other facts are two seeds of one method."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One method with its settings, and a record for each seed. `series` is its colour and mark on every figure."""

    label: str
    series: str
    records: tuple[Record, ...]
    reference: bool = False

    @property
    def method(self) -> MethodFacts:
        """The method's facts, those of the first seed."""
        return self.records[0].method

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds, in the order of the records."""
        return tuple(record.method.seed for record in self.records)

    def tests(self, step: str, name: str) -> list[tuple[int, Test]]:
        """Return (seed, test) of the judged model for one step and name."""
        return [
            (record.method.seed, test)
            for record in self.records
            for test in record.tests
            if (test.step, test.name) == (step, name)
        ]


def requests(records: Sequence[Record]) -> tuple[tuple[Record, ...], ...]:
    """Return the records of each forget request: numbers of two requests never stand in one table.

    A request is what its record says of it, without its salted commitments and the record's own label, and the number
    of forget rows.
    """
    if not records:
        raise InputError("there is no record to make a page of", do="run a method first: expunge run plan.toml")
    found: dict[bytes, list[Record]] = {}
    for record in records:
        found.setdefault(_request_key(record), []).append(record)
    return tuple(tuple(group) for group in found.values())


def subjects(records: Sequence[Record]) -> tuple[Subject, ...]:
    """Return the methods of one request, then the reference records, each with its seeds."""
    found: dict[bytes, list[Record]] = {}
    for record in sorted(records, key=lambda one: one.method.name in REFERENCES):
        key = canonical_json(record.method.model_dump(mode="python", exclude=_OF_A_SEED))
        found.setdefault(key, []).append(record)
    groups = [tuple(sorted(group, key=lambda one: one.method.seed)) for group in found.values()]
    labels = _labels([group[0].method for group in groups])
    return tuple(
        Subject(
            label=label,
            series=_series(group[0].method, index),
            records=group,
            reference=group[0].method.name in REFERENCES,
        )
        for index, (label, group) in enumerate(zip(labels, groups, strict=True))
    )


def judged(record: Record) -> str | None:
    """Return the model that a record's numbers are shown for: the guarded one, else the unlearned, else the target."""
    return subject_of(record) or target_of(record)


def models_of(records: Sequence[Record], role: str) -> tuple[str, ...]:
    """Return the names of all models of a role, in order of first appearance."""
    return tuple(dict.fromkeys(model.name for record in records for model in record.models if model.role == role))


def _request_key(record: Record) -> bytes:
    request = {key: value for key, value in record.request.items() if key != "label" and "commitment" not in key}
    return canonical_json([request, next((split.n for split in record.splits if split.name == "forget"), None)])


def _series(method: MethodFacts, index: int) -> str:
    if method.name not in REFERENCES:
        return f"s{index % _SERIES}"
    return "target" if method.name == "do_nothing" else "control"


def _labels(methods: Sequence[MethodFacts]) -> list[str]:
    """Return short names, lengthened by the settings in which two methods of one name differ."""
    short = [_label(method) for method in methods]
    labels: list[str] = []
    for method, label in zip(methods, short, strict=True):
        alike = [_settings(other) for other, name in zip(methods, short, strict=True) if name == label]
        keys = {key for settings in alike for key in settings}
        differing = {
            key: _settings(method).get(key, "default")
            for key in keys
            if len({repr(settings.get(key)) for settings in alike}) > 1
        }
        long = guarded_words(f"{label} ({settings_words(differing)})") if differing else label
        labels.append(f"{long} #{labels.count(long) + 1}" if long in labels else long)
    return labels


def _label(method: MethodFacts) -> str:
    if method.name in REFERENCES:
        return REFERENCES[method.name]
    locator = f"+{method.locator}" if method.locator else ""
    scope = f"@{method.scope}" if method.scope != "full" else ""
    guard = f" behind {method.guard}" if method.guard and method.guard != method.name else ""
    return guarded_words(f"{method.name}{locator}{scope}{guard}")


def _settings(method: MethodFacts) -> dict[str, object]:
    return {**method.settings, **{f"locator.{key}": value for key, value in method.locator_settings.items()}}
