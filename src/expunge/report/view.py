"""All that a page shows, worked out before any template sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expunge.facts.record import Record
from expunge.report.battery import attack_bars, budget_curves, overview
from expunge.report.claims import Card, Meaning, cards, meanings
from expunge.report.drawings import Drawing, distributions, tradeoff
from expunge.report.drill import Drill, drill
from expunge.report.evidence import Evidence, evidence
from expunge.report.groups import subjects
from expunge.report.rerun import (
    CertificateCard,
    CostTable,
    ModelLine,
    Source,
    SplitLine,
    certificate_cards,
    cost_table,
    model_lines,
    overlap_lines,
    request_lines,
    same_or_each,
    sources,
    split_lines,
)
from expunge.report.results import Table, tables
from expunge.report.words import CAUTIONS, guarded_words, plural

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page's title and the content of each section, in order."""

    title: str
    lead: str
    notices: tuple[str, ...]
    legend: Pairs
    cards: tuple[Card, ...]
    meanings: tuple[Meaning, ...]
    cautions: tuple[str, ...]
    request: Pairs
    splits: tuple[SplitLine, ...]
    overlap: Pairs
    models: tuple[ModelLine, ...]
    tables: tuple[Table, ...]
    tradeoff: Drawing
    overview: Drawing | None
    bars: tuple[Drawing, ...]
    curves: tuple[Drawing, ...]
    distributions: tuple[Drawing, ...]
    not_drawn: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    thresholds: Pairs
    drill: Drill | None
    refusals: tuple[tuple[str, str], ...]
    cost: CostTable
    certificates: tuple[CertificateCard, ...]
    versions: Pairs
    sources: tuple[Source, ...]
    plans: tuple[str, ...]


def view(
    records: Sequence[Record],
    *,
    title: str,
    with_text: Mapping[str, str] | None = None,
    certificates: Mapping[str, str] | None = None,
) -> Page:
    """Return the content of the page of one run's records."""
    found = subjects(records)
    drawn, not_drawn = distributions(found, records)
    lines, plans = sources(found)
    methods = [one for one in found if not one.reference]
    rows = drill(found, records, with_text)
    return Page(
        title=guarded_words(title),
        lead=_lead(records, len(methods), sum(len(one.records) for one in methods)),
        notices=_notices(records, rows, with_text),
        legend=tuple((one.label, one.series) for one in methods),
        cards=cards(found),
        meanings=meanings(records),
        cautions=CAUTIONS,
        request=request_lines(records[0]),
        splits=split_lines(records[0].splits),
        overlap=overlap_lines(records[0]),
        models=model_lines(found),
        tables=tables(found, records),
        tradeoff=tradeoff(found, records),
        overview=overview(found, records),
        bars=attack_bars(found, records),
        curves=budget_curves(found, records),
        distributions=drawn,
        not_drawn=not_drawn,
        evidence=evidence(found),
        thresholds=same_or_each([record.thresholds.model_dump() for record in records]),
        drill=rows,
        refusals=_refusals(records),
        cost=cost_table(found),
        certificates=certificate_cards(found, certificates or {}),
        versions=same_or_each([record.versions for record in records]),
        sources=lines,
        plans=plans,
    )


def _lead(records: Sequence[Record], methods: int, removals: int) -> str:
    forget = next((one for one in records[0].splits if one.name == "forget"), None)
    rows = f"{plural(forget.n, 'row')} to forget" if forget is not None else "rows to forget that were not counted"
    times = f" in {plural(removals, 'removal')}" if removals != methods else ""
    retrained = max(sum(model.role == "retrained" for model in record.models) for record in records)
    against = f"{plural(retrained, 'model')} retrained without them" if retrained else "no retrained model"
    return f"One request with {rows}; {plural(methods, 'method')}{times}; judged against {against}."


def _notices(records: Sequence[Record], rows: Drill | None, with_text: Mapping[str, str] | None) -> tuple[str, ...]:
    targets = {model.content_digest for record in records for model in record.models if model.role == "target"}
    notices = []
    if len(targets) > 1:
        notices.append(f"The records start from {len(targets)} different target models: compare with care.")
    if len({record.control for record in records}) > 1:
        notices.append("The records do not share one kind of control: their claims rest on different comparisons.")
    if len({record.thresholds for record in records}) > 1:
        notices.append("The records do not share one set of margins.")
    if rows is not None and any(row.text is not None for row in rows.rows):
        notices.append("This page holds text of the rows to be forgotten. Keep it as you would keep those rows.")
    elif with_text is not None:
        notices.append("Text was given, but none of its ids is a row of this page: no text was joined.")
    return tuple(notices)


def _refusals(records: Sequence[Record]) -> tuple[tuple[str, str], ...]:
    """Return each refusal once, with the methods that met it."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        for refusal in record.refusals:
            found.setdefault(guarded_words(refusal), {})[guarded_words(record.method.name)] = None
    return tuple((refusal, ", ".join(names)) for refusal, names in found.items())
