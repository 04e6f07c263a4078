"""What a certificate says: an in-toto Statement whose predicate holds the claim and the evidence it follows from."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from expunge.certificate.envelope import read_envelope
from expunge.facts.claim import Claim
from expunge.facts.digest import canonical_json, directory_digests, read_json, safetensors_digest
from expunge.facts.errors import InputError, VerificationFailed
from expunge.facts.record import ModelFacts, Record
from expunge.verdict.roles import subject_of, target_of

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://expunge.dev/attestation/removal/v1"
CERTIFICATE_NAME = "certificate.json"
"""A copy of the certificate under this name may lie inside the model directory it speaks of."""

NOT_COVERED = (
    "other checkpoints, optimiser state, merged, distilled or quantised copies of the parent model",
    "caches, logs, retrieval stores, indexes and backups that hold the data itself",
    "attacks outside the battery listed here, and attackers stronger than its budgets",
    "whether the forget request was complete, lawful or came from the right person",
    "the issuer's honesty: a certificate is a signed statement by its issuer about what the issuer measured",
    "when it was made: the time is the issuer's own clock",
)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelFiles(_Strict):
    """A model directory: sha256 of every file by its path, and the content digest over its tensors.

    `files` is empty for a parent whose directory was not at hand when the certificate was issued.
    """

    content_digest: str
    files: dict[str, str] = Field(default_factory=dict)


class Issuer(_Strict):
    """Who signed: the key (hexadecimal, raw Ed25519), the software, and a free note."""

    public_key: str
    software: str
    note: str = ""


class Predicate(_Strict):
    """The claim, the models it is about, and the whole record it is derived from."""

    claim: Claim
    parent: ModelFiles
    child: ModelFiles
    record: Record
    record_digest: str
    issuer: Issuer
    issued: str
    ledger_head: str = ""
    """Hash of the newest evidence row of the issuer's store when it signed: later rewriting of the store shows."""
    not_covered: tuple[str, ...] = NOT_COVERED


class Digest(_Strict):
    """An in-toto digest set with the one algorithm used here."""

    sha256: str


class Subject(_Strict):
    """One file of the child model."""

    name: str
    digest: Digest


class Statement(_Strict):
    """The in-toto Statement v1, the payload that is signed."""

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(default=STATEMENT_TYPE, alias="_type")
    subject: tuple[Subject, ...]
    predicateType: Literal["https://expunge.dev/attestation/removal/v1"] = PREDICATE_TYPE
    predicate: Predicate

    def payload(self) -> bytes:
        """Return the canonical bytes that are signed."""
        return canonical_json(self.model_dump(mode="python", by_alias=True))


def subjects(child: ModelFiles) -> tuple[Subject, ...]:
    """Return one in-toto subject for each file of the child model."""
    return tuple(Subject(name=name, digest=Digest(sha256=sha)) for name, sha in sorted(child.files.items()))


def read_statement(payload: bytes) -> Statement:
    """Return the statement in a payload; anything but its one canonical spelling is refused."""
    try:
        statement = Statement.model_validate(read_json(payload))
    except ValidationError as cause:
        first = cause.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise VerificationFailed(f"the payload is not an Expunge statement: {where}: {first['msg']}") from cause
    except (ValueError, TypeError, RecursionError) as cause:
        raise VerificationFailed(f"the payload is not JSON: {cause}") from cause
    if statement.payload() != payload:
        raise VerificationFailed("the payload is not in its canonical spelling")
    return statement


def read_certificate(data: bytes) -> Statement:
    """Return what a certificate says, WITHOUT checking its signature: for showing, never for trusting."""
    return read_statement(read_envelope(data).payload)


def model_files(directory: Path) -> ModelFiles:
    """Return the digests of a model directory, leaving out its own certificate."""
    files = file_digests(directory)
    files.pop(CERTIFICATE_NAME, None)
    return ModelFiles(content_digest=safetensors_digest(directory), files=files)


def file_digests(directory: Path) -> dict[str, str]:
    """Return the sha256 of every file of a directory; links, pipes and devices are refused."""
    if not directory.is_dir():
        raise InputError(f"{directory} is not a directory", do="give the directory that holds the model's safetensors")
    odd = [path for path in directory.rglob("*") if not (path.is_file() or path.is_dir() or path.is_symlink())]
    if odd:
        raise InputError(f"{odd[0]} is neither a file nor a directory", do="a model directory must hold plain files")
    return directory_digests(directory)


def measured_child(record: Record) -> ModelFacts:
    """Return the facts of the model that the claim is about: the unlearned or guarded one, else the untouched target."""
    return _facts(record, subject_of(record) or target_of(record), "model that was judged")


def measured_parent(record: Record) -> ModelFacts:
    """Return the facts of the target model."""
    return _facts(record, target_of(record), "target model")


def _facts(record: Record, name: str | None, what: str) -> ModelFacts:
    found = [model for model in record.models if model.name == name]
    if len(found) != 1:
        raise InputError(f"the record holds {len(found)} entries for the {what}; a certificate needs exactly one")
    return found[0]
