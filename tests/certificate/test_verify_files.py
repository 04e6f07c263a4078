"""Verification against directories: any changed byte of any file fails."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expunge.certificate.envelope import sign
from expunge.certificate.predicate import CERTIFICATE_NAME
from expunge.certificate.verify import Verification, verify
from expunge.facts.digest import canonical_json, read_json
from expunge.facts.record import Record

if TYPE_CHECKING:
    from conftest import Case


KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()


def failed(verification: Verification) -> dict[str, str]:
    return {check.name: check.words for check in verification.failures}


def statement_of(envelope: bytes) -> Any:
    return read_json(base64.b64decode(json.loads(envelope)["payload"]))


def signed(statement: Any, key: Ed25519PrivateKey = KEY) -> bytes:
    return sign(canonical_json(statement), key).encode()


def flips(folder: Path) -> Iterator[tuple[Path, int, bytes]]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        good = path.read_bytes()
        for position in range(len(good)):
            yield path, position, good


def test_every_flipped_byte_of_every_model_file_fails(case: Case) -> None:
    """Fails if one kind of file, the safetensors header, its padding or a tensor's bytes is not covered."""
    judged: list[int] = []

    def verdict(record: Record) -> tuple[Any, Any]:
        judged.append(1)
        return record.tests, record.claim

    kinds: dict[str, int] = {}
    for path, position, good in flips(case.unlearned):
        changed = bytearray(good)
        changed[position] ^= 1 << position % 8
        path.write_bytes(bytes(changed))
        found = failed(verify(case.envelope, key=PUBLIC, model_dir=case.unlearned, verdict=verdict))
        path.write_bytes(good)
        name = path.relative_to(case.unlearned).as_posix()
        assert found == {"model files": f"changed {name}"}
        kinds[name] = kinds.get(name, 0) + 1
    sizes = {"model.safetensors": 8 + 72 + 16, "binary.model": 16}
    sizes |= {"config.json": 19, "tokenizer/vocab.txt": 5, ".gitattributes": 12}
    assert kinds == sizes
    assert len(judged) == sum(sizes.values())
    assert verify(case.envelope, key=PUBLIC, model_dir=case.unlearned).ok


def test_header_padding_that_changes_no_meaning_fails(case: Case) -> None:
    """Fails if the model is bound by its content digest alone: a tab for a space leaves that unchanged."""
    path = case.unlearned / "model.safetensors"
    good = path.read_bytes()
    end = 8 + int.from_bytes(good[:8], "little")
    assert good[end - 8 : end] == b" " * 8
    path.write_bytes(good[: end - 1] + b"\t" + good[end:])
    assert failed(verify(case.envelope, key=PUBLIC, model_dir=case.unlearned)) == {
        "model files": "changed model.safetensors"
    }


def test_missing_extra_and_linked_files_fail(case: Case, tmp_path: Path) -> None:
    """Fails if only the files listed are looked at, or a link stands in for a file."""

    def words() -> str:
        found = failed(verify(case.envelope, key=PUBLIC, model_dir=case.unlearned))
        assert list(found) == ["model files"]
        return found["model files"]

    extra = case.unlearned / "tokenizer" / "added.json"
    extra.write_bytes(b"")
    assert words() == "extra tokenizer/added.json"
    extra.unlink()
    config = case.unlearned / "config.json"
    good = config.read_bytes()
    config.unlink()
    assert words() == "missing config.json"
    (tmp_path / "elsewhere").write_bytes(good)
    config.symlink_to(tmp_path / "elsewhere")
    assert "is a link" in words()
    config.unlink()
    os.mkfifo(config)
    assert "neither a file nor a directory" in words()
    config.unlink()
    config.write_bytes(good)
    assert verify(case.envelope, key=PUBLIC, model_dir=case.unlearned).ok
    gone = verify(case.envelope, key=PUBLIC, model_dir=tmp_path / "nowhere")
    assert "is not a directory" in failed(gone)["model files"]


def test_the_certificate_itself_may_lie_in_the_directory_and_nothing_else_under_its_name(case: Case) -> None:
    """Fails if a file of that name is let through without being this very certificate."""
    place = case.unlearned / CERTIFICATE_NAME
    place.write_bytes(case.envelope)
    assert verify(case.envelope, key=PUBLIC, model_dir=case.unlearned).ok
    place.write_bytes(case.envelope + b"\n")
    found = failed(verify(case.envelope, key=PUBLIC, model_dir=case.unlearned))
    assert found == {"model files": "extra certificate.json"}


def test_another_model_or_parent_fails(case: Case) -> None:
    """Fails if the parent is not compared with what the certificate says of it."""
    swapped = verify(case.envelope, key=PUBLIC, model_dir=case.target, parent_dir=case.unlearned)
    assert failed(swapped) == {
        "model files": "changed model.safetensors",
        "parent files": "changed model.safetensors",
    }


def test_a_parent_without_listed_files_is_checked_by_its_content(case: Case) -> None:
    """Fails if an empty list of files lets any parent pass."""
    statement = statement_of(case.envelope)
    statement["predicate"]["parent"]["files"] = {}
    envelope = signed(statement)
    right = verify(envelope, key=PUBLIC, parent_dir=case.target)
    assert right.ok
    assert [check.state for check in right.checks if check.name == "parent files"] == ["not checked"]
    assert list(failed(verify(envelope, key=PUBLIC, parent_dir=case.unlearned))) == ["parent content"]
