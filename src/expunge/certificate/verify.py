"""Verify a certificate offline: every byte of it, the signature, the claim against the evidence, the model's files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from expunge.certificate import derive as deriving
from expunge.certificate.envelope import PAYLOAD_TYPE, Envelope, read_envelope
from expunge.certificate.keys import keyid
from expunge.certificate.predicate import (
    CERTIFICATE_NAME,
    ModelFiles,
    Predicate,
    Statement,
    file_digests,
    measured_child,
    measured_parent,
    read_statement,
    subjects,
)
from expunge.facts.digest import safetensors_digest, sha256
from expunge.facts.errors import ExpungeError, VerificationFailed

State = Literal["passed", "failed", "not checked"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at, and what was seen."""

    name: str
    state: State
    words: str


@dataclass(frozen=True, kw_only=True)
class Verification:
    """All checks in order. `statement` is there once the signature held."""

    checks: tuple[Check, ...]
    statement: Statement | None = None

    @property
    def ok(self) -> bool:
        """True where nothing failed and the checks ran to their end."""
        return self.statement is not None and all(check.state != "failed" for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.state == "failed")

    def text(self) -> str:
        """Return one line a check."""
        return "\n".join(f"{check.state:>11}  {check.name}: {check.words}" for check in self.checks)

    def require(self) -> Statement:
        """Return the statement, or raise with what failed."""
        if self.statement is None or not self.ok:
            raise VerificationFailed(
                "the certificate does not verify",
                causes=tuple(f"{check.name}: {check.words}" for check in self.failures),
            )
        return self.statement


def verify(
    envelope: bytes,
    *,
    key: Ed25519PublicKey | None = None,
    model_dir: Path | None = None,
    parent_dir: Path | None = None,
    allow_unknown_signer: bool = False,
    verdict: deriving.Verdict | None = None,
) -> Verification:
    """Check a certificate and, where given, the directories it speaks of; nothing is fetched and nothing is loaded.

    Without `key` the signature is checked against the key that the certificate itself names, which shows only that
    it is consistent: anyone can make such a certificate. That fails unless `allow_unknown_signer`.
    """
    checks: list[Check] = []
    try:
        opened = read_envelope(envelope)
        checks.append(_passed("envelope", "canonical, one signature"))
        if key is not None:
            checks += (seen := tuple(_signature(opened, key)))
            if any(check.state == "failed" for check in seen):
                return Verification(checks=tuple(checks))
        statement = read_statement(opened.payload)
        checks.append(_passed("payload", "canonical in-toto statement, no unknown field"))
        embedded = Ed25519PublicKey.from_public_bytes(bytes.fromhex(statement.predicate.issuer.public_key))
    except ExpungeError as cause:
        failed = Check(name="payload" if checks else "envelope", state="failed", words=cause.text())
        return Verification(checks=(*checks, failed))
    except ValueError as cause:
        failed = Check(name="signer", state="failed", words=f"the public key inside is not one: {cause}")
        return Verification(checks=(*checks, failed))
    if key is None:
        checks += (seen := tuple(_signature(opened, embedded)))
        if any(check.state == "failed" for check in seen):
            return Verification(checks=tuple(checks))
        words = f"signature consistent; signer NOT checked (key id {opened.keyid[:16]})"
        state: State = "not checked" if allow_unknown_signer else "failed"
        checks.append(Check(name="signer", state=state, words=words))
    elif keyid(embedded) != keyid(key):
        checks.append(Check(name="signer", state="failed", words="the certificate names another key than signed it"))
    else:
        checks.append(_passed("signer", f"the known key {keyid(key)[:16]}"))
    predicate = statement.predicate
    checks += _bound(statement)
    checks += _derived(predicate, verdict or deriving.derive)
    checks += _directory("model", predicate.child, model_dir, copy=sha256(envelope))
    checks += _directory("parent", predicate.parent, parent_dir)
    return Verification(checks=tuple(checks), statement=statement)


def _passed(name: str, words: str) -> Check:
    return Check(name=name, state="passed", words=words)


def _compare(name: str, differences: tuple[str, ...], words: str) -> Check:
    if differences:
        more = f" (and {len(differences) - 5} more)" if len(differences) > 5 else ""
        return Check(name=name, state="failed", words="; ".join(differences[:5]) + more)
    return _passed(name, words)


def _signature(envelope: Envelope, key: Ed25519PublicKey) -> Iterator[Check]:
    known = envelope.payload_type == PAYLOAD_TYPE
    yield _compare("payload type", () if known else (f"unknown type {envelope.payload_type!r}",), PAYLOAD_TYPE)
    same = envelope.keyid == keyid(key)
    differences = () if same else (f"it names key {envelope.keyid[:16]!r}, the key given is {keyid(key)[:16]!r}",)
    yield _compare("key id", differences, "the sha256 of the public key")
    valid = envelope.is_signed_by(key)
    yield _compare("signature", () if valid else ("it does not fit the payload under this key",), "Ed25519 over PAE")


def _bound(statement: Statement) -> Iterator[Check]:
    predicate, record = statement.predicate, statement.predicate.record
    listed = statement.subject == subjects(predicate.child) and bool(statement.subject)
    yield _compare("subjects", () if listed else ("not the files of the child model",), "the files of the child model")
    fits = predicate.record_digest == record.digest()
    yield _compare("record digest", () if fits else ("not the digest of the record inside",), record.digest()[:16])
    try:
        pairs = ((predicate.child, measured_child(record)), (predicate.parent, measured_parent(record)))
    except ExpungeError as cause:
        yield Check(name="models measured", state="failed", words=cause.text())
        return
    differences = tuple(
        f"measured {facts.name} {facts.content_digest[:12]}, the certificate is about {files.content_digest[:12]}"
        for files, facts in pairs
        if files.content_digest != facts.content_digest
    )
    yield _compare("models measured", differences, "the evidence is about these weights")


def _derived(predicate: Predicate, verdict: deriving.Verdict) -> Iterator[Check]:
    record = predicate.record
    try:
        tests, claim = verdict(record)
    except Exception as cause:
        words = f"the evidence cannot be judged again: {type(cause).__name__}: {cause}"
        yield Check(name="claim", state="failed", words=words)
        return
    differing = deriving.differences_in_tests(record.tests, tests)
    yield _compare("tests", differing, f"{len(tests)} tests derived again from the evidence")
    stated = (*deriving.differences_in_claim(predicate.claim, claim),)
    if record.claim != predicate.claim:
        stated = (*stated, "the record inside states another claim")
    if stated:
        stated = (*stated, f"issued by {predicate.issuer.software}")
    yield _compare("claim", stated, claim.headline)


def _directory(name: str, stated: ModelFiles, directory: Path | None, copy: str = "") -> Iterator[Check]:
    """Compare a directory with what is stated; `copy` is the sha256 of a certificate that may lie in it."""
    if directory is None:
        yield Check(name=f"{name} files", state="not checked", words="no directory was given")
        return
    try:
        if stated.files:
            found = file_digests(directory)
            if copy and found.get(CERTIFICATE_NAME) == copy:
                del found[CERTIFICATE_NAME]
            files = _compare(f"{name} files", _file_differences(stated.files, found), f"{len(found)} files, none else")
        else:
            files = Check(name=f"{name} files", state="not checked", words="the certificate lists none of them")
        yield files
        if files.state != "failed":
            same = safetensors_digest(directory) == stated.content_digest
            differences = () if same else ("names, dtypes, shapes or bytes of tensors differ",)
            yield _compare(f"{name} content", differences, f"content digest {stated.content_digest[:16]}")
    except Exception as cause:
        words = f"it cannot be read: {type(cause).__name__}: {cause}"
        yield Check(name=f"{name} files", state="failed", words=words)


def _file_differences(stated: dict[str, str], found: dict[str, str]) -> tuple[str, ...]:
    missing = tuple(f"missing {name}" for name in sorted(stated.keys() - found.keys()))
    extra = tuple(f"extra {name}" for name in sorted(found.keys() - stated.keys()))
    changed = tuple(f"changed {name}" for name in sorted(stated.keys() & found.keys()) if stated[name] != found[name])
    return (*missing, *extra, *changed)
