"""The request without its text, the models, the cost, the certificate's words, and a plan that reads back equal."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import report_records as make
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expunge.certificate.envelope import sign
from expunge.certificate.predicate import Issuer, ModelFiles, Predicate, Statement
from expunge.certificate.predicate import subjects as files_of
from expunge.facts.errors import InputError, VerificationFailed
from expunge.facts.record import Outcome, Record
from expunge.report.groups import subjects
from expunge.report.plan import plan_text
from expunge.report.rerun import certificate_cards, cost_table, model_lines, request_lines, sources, split_lines
from expunge.report.view import view

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def certificate(record: Record) -> str:
    """Return a signed certificate of a record, made without model directories."""
    assert record.claim is not None
    child = ModelFiles(content_digest="c" * 64, files={"model.safetensors": "d" * 64})
    statement = Statement(
        subject=files_of(child),
        predicate=Predicate(
            claim=record.claim,
            parent=ModelFiles(content_digest="p" * 64),
            child=child,
            record=record,
            record_digest=record.digest(),
            issuer=Issuer(public_key="ab" * 32, software="expunge 0.1.0"),
            issued="2026-02-03T10:11:12+00:00",
        ),
    )
    return sign(statement.payload(), KEY).encode().decode()


def test_request_prints_counts_and_commitments_never_other_text() -> None:
    """Fails if a key that could hold what is to be forgotten is printed; its name is, so that nothing hides."""
    record = make.record("npo")
    full = {
        **record.request,
        "reason": "Ann Lee asked",
        "queries": ["who is Ann Lee"],
        "rows": 80,
        "commitments": {"forget": "ff00"},
    }
    lines = dict(request_lines(record.model_copy(update={"request": full})))
    assert lines["rows"] == "80"
    assert lines["kind"] == "data"
    assert "label" not in lines
    assert lines["commitments"] == "{'forget': 'ff00'}"
    assert lines["not shown here"] == "queries, reason"
    assert "Ann Lee" not in str(lines)


def test_splits_and_models_are_each_listed_once(run_records: list[Record]) -> None:
    """Shared models once, then one a removal, with its digest. Fails if twelve records list the target twelve times."""
    lines = model_lines(subjects(run_records))
    assert [line.role for line in lines].count("target") == 1
    assert [line.name for line in lines if line.role == "retrained"] == ["retrained-0", "retrained-1", "retrained-2"]
    made = {line.name: line.digest for line in lines if line.role == "unlearned model"}
    for record in run_records[:3]:
        digest = next(model.content_digest for model in record.models if model.role == "unlearned")
        assert made[f"npo, seed {record.method.seed}"] == digest
    assert len(made) == 14
    forget, retain, _ = split_lines(run_records[0].splits)
    assert (forget.n, forget.groups, retain.groups) == (80, "20", "")


def test_cost_is_each_records_own_and_attacks_sum_over_models() -> None:
    """1.5 s on each of 5 models is 7.5 s. Fails if seconds of one model stand for all, or a missing cost shows as 0."""
    record = make.record("npo")
    unasked = Outcome(attack="a", model="target", kind="success")
    bare = make.record("ascent").model_copy(update={"cost": {"method (s)": 700.0}, "outcomes": (unasked,)})
    table = cost_table(subjects([record, bare]))
    cells = dict(zip(table.columns, table.rows[0].cells, strict=True))
    assert cells["attack relearning"] == ("7.5 s", 7.5)
    assert cells["peak memory"] == ("1,412 MB", 1412.0)
    other = dict(zip(table.columns, table.rows[1].cells, strict=True))
    assert other["method"] == ("11.7 min", 700.0)
    assert other["scores"] == ("", None)


def test_certificate_is_shown_for_its_own_record_only() -> None:
    """Fails if a certificate of another record can stand beside these numbers, or a broken one is passed over."""
    record, other = make.record("npo"), make.record("npo", seed=1)
    found = subjects([record])
    (card,) = certificate_cards(found, {record.digest(): certificate(record)})
    lines = dict(card.lines)
    assert record.claim is not None
    assert card.claim == record.claim.headline
    assert lines["child model"] == f"{'c' * 64} (1 files)"
    assert lines["record"] == record.digest()
    assert card.not_covered
    with pytest.raises(InputError, match="is about record"):
        certificate_cards(found, {record.digest(): certificate(other)})
    with pytest.raises(InputError, match="not on this page"):
        view([record], title="t", certificates={other.digest(): certificate(other)})
    with pytest.raises(VerificationFailed):
        certificate_cards(found, {record.digest(): "{}"})


def test_every_record_names_its_digest_and_its_plan(run_records: list[Record]) -> None:
    """Fails if one plan is printed once a record, or a record without a plan points at another's."""
    bare = make.record("npo", seed=9).model_copy(update={"plan": {}})
    lines, plans = sources(subjects([*run_records, bare]))
    assert {line.digest for line in lines} == {record.digest() for record in [*run_records, bare]}
    assert len(plans) == 1
    assert {line.plan for line in lines if line.seed != 9} == {1}
    assert [line.plan for line in lines if line.seed == 9] == [0]


def without_none(value: Any) -> Any:
    """Return a plan without the keys that TOML cannot say."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return [without_none(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "plan",
    [
        make.PLAN,
        {"a b": 'quo"te\\ and\nline\ttab \x01 \x7f é 🜁', "x": [1, 2.5, True, "s"], "empty": {}, "none": []},
        {"method": [{"name": "npo", "nested": {"k": [{"a": 1}, {"a": 2}]}}, {"name": "b"}], "inf": float("inf")},
        {"mixed": [[1, 2], [3]], "inline": [1, {"a": 1}]},
    ],
)
def test_a_plan_reads_back_equal(plan: dict[str, Any]) -> None:
    """Through tomllib. Fails if a string is not escaped, or a value after a table lands inside it."""
    assert tomllib.loads(plan_text(plan)) == without_none(plan)


def test_a_key_without_value_is_said() -> None:
    """Fails if a None disappears without a trace: the reader would not know it was set."""
    assert "# stop_loss has no value" in plan_text(make.PLAN)
