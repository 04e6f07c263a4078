"""The request, the models, what it cost, what a certificate states, and all that a rerun needs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expunge.certificate.predicate import Statement, read_certificate
from expunge.facts.digest import canonical_json
from expunge.facts.errors import InputError
from expunge.facts.record import ModelFacts, Record, SplitFacts
from expunge.report.groups import Subject
from expunge.report.plan import plan_text
from expunge.report.words import CONTROL_WORDS, OVERLAP_WORDS, ROLE_WORDS, guarded_words, number, quantity, spaced

_UNIT = re.compile(r" \((s|MB)\)$|_seconds$|_bytes$")
"""What a cost's name says of its unit; the cells say it, too."""
_SHOWN = ("id", "kind", "source", "name", "modality")
"""Keys of a request that are printed as they are; of others only numbers, commitments and digests."""


@dataclass(frozen=True, kw_only=True)
class ModelLine:
    """A model by role, name and digest."""

    role: str
    name: str
    digest: str
    parameters: str


@dataclass(frozen=True, kw_only=True)
class SplitLine:
    """A split by its numbers."""

    name: str
    n: int
    groups: str
    commitment: str


@dataclass(frozen=True, kw_only=True)
class CostRow:
    """What one record cost: a number with its unit, and the bare number, a column."""

    label: str
    series: str
    seed: int
    cells: tuple[tuple[str, float | None], ...]


@dataclass(frozen=True, kw_only=True)
class CostTable:
    """What each record cost, by what was done."""

    columns: tuple[str, ...]
    rows: tuple[CostRow, ...]


@dataclass(frozen=True, kw_only=True)
class CertificateCard:
    """What a certificate states; its signature is not checked by a page."""

    label: str
    seed: int
    claim: str
    lines: tuple[tuple[str, str], ...]
    not_covered: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Source:
    """One record with what is needed to make it again."""

    label: str
    seed: int
    digest: str
    created: str
    seeds: str
    plan: int


def request_lines(record: Record) -> tuple[tuple[str, str], ...]:
    """Return the request's kind, counts, commitments and digests; keys that could hold text are named, not printed."""
    lines, held = [], []
    for key, value in sorted((key, value) for key, value in record.request.items() if key != "label"):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number or key in _SHOWN or any(word in key for word in ("commitment", "digest", "hash")):
            lines.append((spaced(key), number(value) if is_number else guarded_words(str(value))))
        else:
            held.append(key)
    if held:
        lines.append(("not shown here", ", ".join(spaced(key) for key in held)))
    return (*lines, ("control", CONTROL_WORDS[record.control]))


def overlap_lines(record: Record) -> tuple[tuple[str, str], ...]:
    """Return how much of the retain rows repeats forget rows."""
    return tuple(
        (OVERLAP_WORDS.get(key, spaced(key)), str(len(value)) if isinstance(value, (list, tuple)) else str(value))
        for key, value in record.overlap.items()
    )


def model_lines(found: Sequence[Subject]) -> tuple[ModelLine, ...]:
    """Return the models all records share, each once, then what each removal made."""
    facts: dict[tuple[str, str, str], ModelFacts] = {}
    for one in found:
        for record in one.records:
            for model in record.models:
                own = (
                    f"{one.label}, seed {record.method.seed}" if model.role in ("unlearned", "guarded") else model.name
                )
                facts.setdefault((model.role, own, model.content_digest), model)
    lines = [
        ModelLine(
            role=ROLE_WORDS[role],
            name=guarded_words(name),
            digest=digest,
            parameters=f"{model.parameters:,}" if model.parameters else "",
        )
        for (role, name, digest), model in facts.items()
    ]
    made = {ROLE_WORDS["unlearned"], ROLE_WORDS["guarded"]}
    return tuple(sorted(lines, key=lambda line: line.role in made))


def split_lines(splits: Sequence[SplitFacts]) -> tuple[SplitLine, ...]:
    """Return the splits by counts, groups and commitments."""
    return tuple(
        SplitLine(
            name=spaced(one.name),
            n=one.n,
            groups=f"{len(set(one.groups)):,}" if one.groups and len(set(one.groups)) < one.n else "",
            commitment=one.commitment,
        )
        for one in splits
    )


def cost_table(found: Sequence[Subject]) -> CostTable:
    """Return what each record cost, in the units its names end in; attacks by their own seconds."""
    rows = [(one, record, {**record.cost, **_attack_costs(record)}) for one in found for record in one.records]
    columns = tuple(dict.fromkeys(key for _, _, costs in rows for key in costs))
    return CostTable(
        columns=tuple(guarded_words(_UNIT.sub("", name)) for name in columns),
        rows=tuple(
            CostRow(
                label=one.label,
                series=one.series,
                seed=record.method.seed,
                cells=tuple((quantity(key, costs[key]), costs[key]) if key in costs else ("", None) for key in columns),
            )
            for one, record, costs in rows
        ),
    )


def _attack_costs(record: Record) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for one in record.outcomes:
        for key, value in one.cost.items():
            if key in ("s", "seconds"):
                name = f"attack {one.attack} (s)"
                seconds[name] = seconds.get(name, 0.0) + value
    return seconds


def certificate_cards(found: Sequence[Subject], certificates: Mapping[str, str]) -> tuple[CertificateCard, ...]:
    """Return what the certificates say of these records; one that speaks of another record is refused."""
    known = {record.digest(): (one.label, record) for one in found for record in one.records}
    made = []
    for digest, text in certificates.items():
        if digest not in known:
            continue
        statement = read_certificate(text.encode())
        if statement.predicate.record_digest != digest:
            raise InputError(
                f"the certificate given for record {digest[:12]} is about record {statement.predicate.record_digest[:12]}",
                do="give each certificate under the digest of its own record",
            )
        label, record = known[digest]
        made.append(_card(label, record, statement))
    return tuple(made)


def _card(label: str, record: Record, statement: Statement) -> CertificateCard:
    predicate = statement.predicate
    lines = [
        ("rung", predicate.claim.rung),
        ("provenance", predicate.claim.provenance),
        ("issued", predicate.issued),
        ("key (Ed25519)", predicate.issuer.public_key),
        ("software", predicate.issuer.software),
        ("note", predicate.issuer.note),
        ("child model", f"{predicate.child.content_digest} ({len(predicate.child.files)} files)"),
        ("parent model", f"{predicate.parent.content_digest} ({len(predicate.parent.files)} files)"),
        ("record", predicate.record_digest),
        ("ledger head", predicate.ledger_head),
    ]
    return CertificateCard(
        label=label,
        seed=record.method.seed,
        claim=guarded_words(predicate.claim.headline),
        lines=tuple((key, guarded_words(value)) for key, value in lines if value),
        not_covered=tuple(guarded_words(words) for words in predicate.not_covered),
    )


def sources(found: Sequence[Subject]) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """Return every record with the number of its plan (0 where it holds none), and the distinct plans as text."""
    plans: dict[bytes, str] = {}
    lines = []
    for one in found:
        for record in one.records:
            key = canonical_json(record.plan)
            if record.plan:
                plans.setdefault(key, plan_text(record.plan))
            place = list(plans).index(key) + 1 if record.plan else 0
            digest, seed = record.digest(), record.method.seed
            seeds = ", ".join(f"{key} {value}" for key, value in record.seeds.items())
            lines.append(
                Source(label=one.label, seed=seed, digest=digest, created=record.created, seeds=seeds, plan=place)
            )
    return tuple(lines), tuple(plans.values())


def same_or_each(values: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Return keys with their values over several records; where the records differ, every value."""
    keys = dict.fromkeys(key for value in values for key in value)
    said = {key: dict.fromkeys(str(value[key]) for value in values if key in value) for key in keys}
    return tuple((guarded_words(key), guarded_words(", ".join(found))) for key, found in said.items())
