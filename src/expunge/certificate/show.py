"""Say in plain lines what a certificate states."""

from __future__ import annotations

from expunge.certificate.predicate import Statement
from expunge.facts.record import Test


def describe(statement: Statement) -> str:
    """Return the claim, what was missing for more, every test with its margin, and what is not covered.

    It shows what is written; whether that holds is for `verify`. A presence test asks whether the target differs from
    its control at all: `apart` there means that there was something to forget.
    """
    predicate = statement.predicate
    record, claim = predicate.record, predicate.claim
    lines = [
        f"claim       {claim.headline}",
        f"rung        {claim.rung}; provenance {claim.provenance}; control {claim.control}",
        f"method      {record.method.name}" + (f" + {record.method.locator}" if record.method.locator else ""),
        f"child       {predicate.child.content_digest} ({len(predicate.child.files)} files)",
        f"parent      {predicate.parent.content_digest} ({len(predicate.parent.files)} files)",
        f"issued      {predicate.issued} by key {predicate.issuer.public_key[:16]} ({predicate.issuer.software})",
        *(f"note        {note}" for note in (predicate.issuer.note,) if note),
        *(f"rows        {split.name}: {split.n}" for split in record.splits),
        *(f"missing     {reason}" for reason in claim.missing),
        *(f"refused     {refusal}" for refusal in record.refusals),
        *(f"test        {_line(test)}" for test in record.tests),
        *(f"not covered {item}" for item in predicate.not_covered),
    ]
    return "\n".join(lines)


def _line(test: Test) -> str:
    yes, no = ("alike", "apart") if test.step == "presence" else ("pass", "FAIL")
    head = f"{yes if test.passed else no} {test.step} {test.name}: {test.subject} against {test.against}"
    if test.unscored is not None:
        return f"{head}: unscored: {test.unscored}"
    numbers = (
        ("difference", test.estimate),
        ("low", test.low),
        ("high", test.high),
        ("margin", test.margin),
        ("smallest difference visible", test.smallest_visible),
    )
    return f"{head}, n {test.n}: " + ", ".join(f"{name} {value:.4g}" for name, value in numbers if value is not None)
