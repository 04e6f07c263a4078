"""The claim each method reached, what was missing for the next rung, and what a claim does not mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from expunge.facts.claim import RUNGS, Claim, at_least
from expunge.facts.record import Record
from expunge.report.groups import Subject
from expunge.report.words import CONTROL_WORDS, RUNG_MEANS, guarded_words, next_rung, plural, spaced


@dataclass(frozen=True, kw_only=True)
class Step:
    """One rung of the drawn ladder and whether it was reached."""

    name: str
    reached: bool


@dataclass(frozen=True, kw_only=True)
class Reached:
    """One claim with the seeds that reached it."""

    headline: str
    qualifiers: tuple[str, ...]
    rung: str
    provenance: str
    control: str
    seeds: tuple[int, ...]
    tone: str
    next_rung: str
    missing: tuple[str, ...]
    ladder: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True)
class Card:
    """A method and what it reached: one claim, or several where its seeds differ, the lowest first."""

    label: str
    series: str
    reference: bool
    settings: tuple[tuple[str, str], ...]
    seeds: tuple[int, ...]
    reached: tuple[Reached, ...]


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What a headline says and what it does not."""

    name: str
    says: str
    not_says: str


def cards(found: Sequence[Subject]) -> tuple[Card, ...]:
    """Return a card a method."""
    return tuple(
        Card(
            label=one.label,
            series=one.series,
            reference=one.reference,
            settings=_settings(one),
            seeds=one.seeds,
            reached=_reached(one.records),
        )
        for one in found
    )


def meanings(records: Sequence[Record]) -> tuple[Meaning, ...]:
    """Return the meaning of every headline on the page, and of every rung of the ladder."""
    claims = [record.claim for record in records if record.claim is not None]
    names = [*RUNGS, *(claim.provenance for claim in claims), *("not_found" for claim in claims if claim.not_found)]
    kept = [name for name in dict.fromkeys(names) if name in RUNG_MEANS]
    return tuple(Meaning(name=name, says=RUNG_MEANS[name][0], not_says=RUNG_MEANS[name][1]) for name in kept)


def _reached(records: Sequence[Record]) -> tuple[Reached, ...]:
    """Return each distinct claim with its seeds; claims that differ only in the numbers they miss by are one."""
    seeds: dict[tuple[str, str], list[tuple[int, Claim]]] = {}
    for record in records:
        if record.claim is not None:
            seeds.setdefault((record.claim.headline, record.claim.rung), []).append((record.method.seed, record.claim))
    made = [_one([seed for seed, _ in group], [claim for _, claim in group]) for group in seeds.values()]
    made.sort(key=lambda one: RUNGS.index(next(rung for rung in RUNGS if rung == one.rung)))
    without = tuple(record.method.seed for record in records if record.claim is None)
    nothing = Reached(
        headline="no claim was derived",
        qualifiers=(),
        rung="",
        provenance="",
        control="",
        seeds=without,
        tone="none",
        next_rung="",
        missing=("the record holds no verdict: run expunge verify",),
        ladder=(),
    )
    return (*((nothing,) if without else ()), *made)


def _one(seeds: Sequence[int], claims: Sequence[Claim]) -> Reached:
    claim = claims[0]
    above = next_rung(claim)
    return Reached(
        headline=guarded_words(claim.model_copy(update={"qualifiers": ()}).headline),
        qualifiers=tuple(guarded_words(words) for words in claim.qualifiers),
        rung=claim.rung,
        provenance=claim.provenance,
        control=CONTROL_WORDS[claim.control],
        seeds=tuple(seeds),
        tone="bad" if claim.contradicted else "not_found" if claim.not_found else claim.rung,
        next_rung=spaced(above) if above is not None else "",
        missing=_missing(seeds, claims, above or ""),
        ladder=() if claim.not_found else _ladder(claim),
    )


def _missing(seeds: Sequence[int], claims: Sequence[Claim], above: str) -> tuple[str, ...]:
    """Return what was missing, once a test: the first seed's words, and which seeds say it of the same test.

    The verdict writes `rung: test: what was found`; a leading name of the next rung is left out, the page says it above.
    """
    found: dict[str, tuple[str, list[int]]] = {}
    for seed, claim in zip(seeds, claims, strict=True):
        for words in claim.missing:
            short = guarded_words(words.removeprefix(f"{above}: "))
            test = short.split(": ", 1)[0]
            found.setdefault(test, (short, []))[1].append(seed)
    return tuple(
        words if len(seeds) == 1 else f"{words} ({_seeds(of)}{'; numbers of the first' if len(of) > 1 else ''})"
        for words, of in found.values()
    )


def _ladder(claim: Claim) -> tuple[Step, ...]:
    """Return the rungs above not_shown; the guard's own rung stands only where a guard reached it."""
    names = RUNGS[1:] if claim.rung == "suppressed" else RUNGS[2:]
    return tuple(Step(name=name, reached=at_least(claim.rung, name)) for name in names)


def _seeds(seeds: Sequence[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(str(seed) for seed in seeds)}"


def _settings(subject: Subject) -> tuple[tuple[str, str], ...]:
    record, method = subject.records[0], subject.method
    rows = [
        *((("shown for", f"seed {method.seed}"),) if len(subject.records) > 1 else ()),
        ("judged against", CONTROL_WORDS[record.control]),
        ("provenance stated", method.provenance),
        *((key, str(value)) for key, value in sorted(method.settings.items())),
        ("scope", method.scope),
        *((("locator", method.locator),) if method.locator else ()),
        *((f"locator {key}", str(value)) for key, value in sorted(method.locator_settings.items())),
        *((("guard", method.guard),) if method.guard else ()),
        *(("provenance check", check) for check in method.provenance_checks),
        *(("assumption", assumption) for assumption in method.assumptions),
        ("moved", plural(method.moved_entries, "entry", "entries")),
        *((f"reads {split}", plural(count, "row")) for split, count in sorted(method.reads.items())),
        *((f"note {key}", str(value)) for key, value in sorted(method.notes.items())),
    ]
    return tuple((guarded_words(key), guarded_words(value)) for key, value in rows)
