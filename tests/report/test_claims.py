"""The page repeats the claim of the record, with everything that qualifies it."""

from __future__ import annotations

import re

import pytest
import report_records as make

from expunge.facts.claim import RUNGS, Claim
from expunge.facts.record import Record
from expunge.report.claims import cards, meanings
from expunge.report.evidence import evidence
from expunge.report.groups import subjects
from expunge.report.words import RUNG_MEANS, fixed, guarded_words, next_rung, number, quantity


def claimed(**claim: object) -> Record:
    """Return a record with a stated claim."""
    return make.record("npo").model_copy(
        update={"claim": Claim(**{"provenance": "none", "rung": "behavioural", "control": "retrained", **claim})}
    )


def test_headline_qualifiers_and_missing_are_the_claims(run_records: list[Record]) -> None:
    """Fails if a qualifier or a missing test is dropped, or the headline is not the claim's own."""
    for card, subject in zip(cards(subjects(run_records)), subjects(run_records), strict=True):
        claims = [record.claim for record in subject.records]
        said = {(one.headline, seed) for one in card.reached for seed in one.seeds}
        assert said == {
            (claim.headline.partition(" (")[0], seed)
            for claim, seed in zip(claims, subject.seeds, strict=True)
            if claim
        }
        missing = " ".join(words for one in card.reached for words in one.missing)
        for claim in claims:
            assert claim is not None
            assert all(words in [q for one in card.reached for q in one.qualifiers] for words in claim.qualifiers)
            assert all(words.split(": ")[1] in missing for words in claim.missing)


def test_seeds_that_differ_are_shown_apart_the_lowest_first() -> None:
    """Fails if the best seed speaks for the method."""
    records = [
        claimed(rung=rung).model_copy(update={"method": make.record("npo").method.model_copy(update={"seed": seed})})
        for seed, rung in enumerate(["resistant", "not_shown", "resistant"])
    ]
    (card,) = cards(subjects(records))
    assert [(one.headline, one.seeds) for one in card.reached] == [("not_shown", (1,)), ("resistant", (0, 2))]


def test_missing_of_several_seeds_is_said_once_with_its_seeds() -> None:
    """Fails if seed 1's reason is lost because seed 0 named another test."""
    records = [
        claimed(missing=("resistant: relearning: success 0.6", *more)).model_copy(
            update={"method": make.record("npo").method.model_copy(update={"seed": seed})}
        )
        for seed, more in enumerate([(), ("resistant: paraphrase: success 0.3",)])
    ]
    (reached,) = cards(subjects(records))[0].reached
    assert reached.missing == (
        "relearning: success 0.6 (seeds 0, 1; numbers of the first)",
        "paraphrase: success 0.3 (seed 1)",
    )
    assert reached.next_rung == "resistant"


@pytest.mark.parametrize(
    ("claim", "headline", "ladder"),
    [
        ({"rung": "resistant"}, "resistant", "110"),
        ({"rung": "suppressed"}, "suppressed", "1000"),
        ({"rung": "not_shown"}, "not_shown", "000"),
        ({"rung": "indistinguishable", "provenance": "exact"}, "exact", "111"),
        ({"rung": "not_shown", "not_found": True}, "not_found", ""),
        (
            {"rung": "not_shown", "provenance": "exact", "contradicted": True},
            "not_shown (provenance contradicted by the battery)",
            "000",
        ),
    ],
)
def test_ladder_shows_the_rung_reached(claim: dict[str, object], headline: str, ladder: str) -> None:
    """Fails if a guard's rung looks like a step on the way of methods that change weights, or not_found has rungs."""
    (reached,) = cards(subjects([claimed(**claim)]))[0].reached
    assert reached.headline == headline
    assert "".join(str(int(step.reached)) for step in reached.ladder) == ladder


def test_a_record_without_a_claim_says_so() -> None:
    """Fails if a missing verdict is shown as not_shown, which is a verdict."""
    (reached,) = cards(subjects([make.record("npo").model_copy(update={"claim": None})]))[0].reached
    assert reached.headline == "no claim was derived"


def test_every_headline_has_its_meaning_and_what_it_does_not_mean(odd_records: list[Record]) -> None:
    """Fails if a claim on the page is left unexplained."""
    names = {one.name for one in meanings(odd_records)}
    heads = {record.claim.headline.partition(" (")[0] for record in odd_records if record.claim}
    assert heads | set(RUNGS) <= names <= set(RUNG_MEANS)
    assert all(one.says and one.not_says for one in meanings(odd_records))


@pytest.mark.parametrize(
    ("rung", "above"),
    [
        ("not_shown", "behavioural"),
        ("suppressed", "behavioural"),
        ("behavioural", "resistant"),
        ("indistinguishable", None),
    ],
)
def test_next_rung(rung: str, above: str | None) -> None:
    """Fails if a method is told to strive for a guard's rung."""
    assert next_rung(Claim(provenance="none", rung=rung, control="retrained")) == above  # type: ignore[arg-type]


def test_tests_are_shown_each_once_with_their_own_numbers(run_records: list[Record]) -> None:
    """Fails if a test is dropped, or presence and noise floor are counted as a method's failures."""
    tables = evidence(subjects(run_records))
    npo = [
        test
        for record in run_records
        if record.method.name == "npo"
        for test in record.tests
        if test.step not in ("presence", "noise_floor")
    ]
    assert sorted(map(repr, npo)) == sorted(repr(line.test) for line in tables[0].lines)
    assert tables[0].passed == sum(test.passed for test in npo)
    assert tables[0].failed == sum(not test.passed and test.unscored is None for test in npo)
    ruler = {test for record in run_records[:12] for test in record.tests if test.step in ("presence", "noise_floor")}
    assert {line.test for line in tables[-1].lines} == ruler
    assert len(tables[-1].lines) == len(ruler)


def test_unscored_tests_carry_their_reason() -> None:
    """Fails if an unscored test shows as not passed, or without its reason."""
    record = make.record("npo", unscored_attacks={"relearning": "needs the unlearned weights"})
    (line,) = [line for line in evidence(subjects([record]))[0].lines if line.name == "relearning"]
    assert (line.result, line.picture) == ("unscored", None)
    assert line.why == "needs the unlearned model weights"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("it is unlearned", "it is unlearned model"),
        ("the unlearned model", "the unlearned model"),
        ("Unlearned models", "Unlearned models"),
        ("unlearned_at", "unlearned_at"),
        ("relearning", "relearning"),
    ],
)
def test_the_bare_word_is_only_a_role(text: str, said: str) -> None:
    """Fails if the word can stand alone, or a role name is doubled."""
    assert guarded_words(text) == said
    assert guarded_words(said) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.5, "0.500"),
        (0, "0"),
        (0.0, "0.000"),
        (1.834e-21, "1.83e−21"),
        (-0.25, "−0.250"),
        (2031616.0, "2,031,616"),
        (12345, "12,345"),
        (float("nan"), "not a number"),
        (float("inf"), "infinite"),
        (None, ""),
    ],
)
def test_number(value: float | None, said: str) -> None:
    """A p-value of 1.834e-21 must not print as 0.000. Fails if three decimals hide a number."""
    assert number(value) == said


def test_fixed_has_no_negative_zero_and_quantity_its_unit() -> None:
    """Fails if −0.0001 prints as −0.000, or seconds, megabytes and bytes lose their units."""
    assert [fixed(value) for value in (-0.0001, -0.0306, None)] == ["0.000", "−0.031", ""]
    assert [quantity(name, 90.0) for name in ("scores (s)", "seconds", "peak memory (MB)", "rows")] == [
        "90.0 s",
        "90.0 s",
        "90 MB",
        "90.000",
    ]
    assert quantity("verification (s)", 1800.0) == "30.0 min"
    assert quantity("peak_bytes", 3 * 2.0**20) == "3.0 MiB"


def test_words_of_the_page_itself_make_no_bare_claim(run_page: str, odd_page: str) -> None:
    """The whole source but the plans, which are quoted as they were. Fails if any heading, title or label says it alone."""
    for page in (run_page, odd_page):
        text = re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)
        assert len(re.findall(r"\bunlearned models?\b", text)) > 2
        assert re.findall(r"\bunlearned\b(?!\s+models?\b).{30}", text, flags=re.IGNORECASE) == []
