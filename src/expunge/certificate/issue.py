"""Issue a certificate: bind a record to the model directories that it measured, and sign."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expunge.certificate import derive as deriving
from expunge.certificate.envelope import sign
from expunge.certificate.keys import raw_public
from expunge.certificate.leak import refuse_forget_text
from expunge.certificate.predicate import (
    NOT_COVERED,
    Issuer,
    ModelFiles,
    Predicate,
    Statement,
    measured_child,
    measured_parent,
    model_files,
    read_statement,
    subjects,
)
from expunge.facts.digest import read_json
from expunge.facts.errors import Contradicted, InputError
from expunge.facts.record import Record
from expunge.facts.rows import Row


def issue(
    record: Record,
    private_key: Ed25519PrivateKey,
    unlearned_dir: Path,
    *,
    forget: Iterable[Row],
    target_dir: Path | None = None,
    note: str = "",
    not_covered: tuple[str, ...] = (),
    ledger_head: str = "",
    issued: str | None = None,
    verdict: deriving.Verdict | None = None,
) -> bytes:
    """Return the signed certificate of a record as the bytes of a DSSE envelope.

    The claim is derived here from the evidence; a record that already states another one is refused. `forget` is
    needed so that nothing of it is repeated in what will be public. `issued` fixes the time (the same record, key and
    time give the same bytes).
    """
    record = Record.model_validate(read_json(record.to_json()))
    tests, claim = (verdict or deriving.derive)(record)
    if record.claim is not None and (stated := deriving.differences_in_claim(record.claim, claim)):
        raise Contradicted(
            "the record states a claim that its evidence does not give; nothing was signed",
            causes=stated,
            do="derive the claim from the record again: expunge verify",
        )
    record = record.model_copy(update={"tests": tests, "claim": claim})
    statement = Statement(
        subject=subjects(child := _child(record, unlearned_dir)),
        predicate=Predicate(
            claim=claim,
            parent=_parent(record, target_dir),
            child=child,
            record=record,
            record_digest=record.digest(),
            issuer=Issuer(
                public_key=raw_public(private_key.public_key()).hex(),
                software=f"expunge {version('expunge')}",
                note=note,
            ),
            issued=issued or datetime.now(UTC).isoformat(timespec="seconds"),
            ledger_head=ledger_head,
            not_covered=(*NOT_COVERED, *not_covered),
        ),
    )
    payload = statement.payload()
    read_statement(payload)
    written = statement.model_dump(mode="python")
    written["predicate"]["not_covered"] = not_covered
    refuse_forget_text(written, forget)
    return sign(payload, private_key).encode()


def _child(record: Record, directory: Path) -> ModelFiles:
    child = model_files(directory)
    measured = measured_child(record)
    if child.content_digest != measured.content_digest:
        raise InputError(
            f"{directory} is not the model {measured.name!r} that the record measured",
            causes=(f"content digest {child.content_digest[:12]}, the record has {measured.content_digest[:12]}",),
            do="give the directory that this run wrote",
        )
    return child


def _parent(record: Record, directory: Path | None) -> ModelFiles:
    measured = measured_parent(record)
    if directory is None:
        return ModelFiles(content_digest=measured.content_digest, files=measured.files)
    parent = model_files(directory)
    if parent.content_digest != measured.content_digest:
        raise InputError(
            f"{directory} is not the target model that the record measured",
            causes=(f"content digest {parent.content_digest[:12]}, the record has {measured.content_digest[:12]}",),
            do="give the directory that this run started from",
        )
    return parent
