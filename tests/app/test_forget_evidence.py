"""What a removal leaves behind: a certificate that fails on any change, a ledger, and nothing of the forget rows."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest
from tiny_directory import Command, Tiny, forget_with, texts_of, write_jsonl


def test_the_certificate_verifies_and_the_ledger_holds(command: Command, tiny: Tiny, whole: Path) -> None:
    """Fails if the certificate is about other files, or the record is not chained before it."""
    out, store = whole / "out", whole / "store"
    given = ("--key", store / "keys" / "issuer.pub", "--model", out / "model", "--target", tiny.target)
    done = command("certificate", "verify", out / "certificate.json", *given)
    assert done.code == 0, done.out + done.err
    assert "failed" not in done.out
    assert "not checked" not in done.out
    assert command("certificate", "show", out / "certificate.json").code == 0
    rows = command("ledger", "verify", "--store", store)
    assert rows.code == 0
    assert rows.out.startswith("3 evidence rows hold")
    listed = json.loads(command("ledger", "list", "--store", store, "--json").out)
    assert [line["n"] for line in listed] == [8]
    shown = command("ledger", "show", listed[0]["id"], "--store", store, "--json").out.splitlines()
    assert [json.loads(line)["kind"] for line in shown] == ["request", "record", "certificate"]


@pytest.mark.parametrize(
    "what", ["weights", "config", "extra", "payload", "signature", "no key", "other key", "target"]
)
def test_tampering_fails(command: Command, tiny: Tiny, whole: Path, tmp_path: Path, what: str) -> None:
    """Fails if one of the files or bytes is not looked at. Exit 1, and what failed is named."""
    out = tmp_path / "out"
    shutil.copytree(whole / "out", out)
    shutil.copytree(tiny.target, tmp_path / "target")
    path = {"weights": out / "model" / "model.safetensors", "config": out / "model" / "config.json",
            "target": tmp_path / "target" / "model.safetensors"}.get(what, out / "certificate.json")  # fmt: skip
    data = bytearray(path.read_bytes())
    key = whole / "store" / "keys" / "issuer.pub"
    if what in ("weights", "target"):
        data[-3] ^= 1
    elif what == "config":
        data[-1:] = b" \n"
    elif what == "extra":
        (out / "model" / "added.txt").write_text("x")
    elif what in ("payload", "signature"):
        place = data.index(b'"payload":' if what == "payload" else b'"sig":') + 40
        data[place] = ord("A") if data[place] != ord("A") else ord("B")
    elif what == "other key":
        assert command("certificate", "keygen", tmp_path / "k.pem", tmp_path / "k.pub").code == 0
        key = tmp_path / "k.pub"
    path.write_bytes(bytes(data))
    given = () if what == "no key" else ("--key", key)
    done = command(
        "certificate",
        "verify",
        out / "certificate.json",
        *given,
        "--model",
        out / "model",
        "--target",
        tmp_path / "target",
    )
    assert done.code == 1, done.out
    assert "failed" in done.out


def test_no_forget_text_lives_on(tiny: Tiny, whole: Path) -> None:
    """Fails if a row, or a name from one, stands in the store, the record or the certificate; weights and cache apart.

    The certificate's payload is looked into, too. The scan is shown to see: the cache holds what the target generated.
    """
    texts = [text.encode() for text in texts_of(tiny)]
    seen, cached = 0, 0
    for path in sorted(path for path in whole.rglob("*") if path.is_file()):
        place = path.relative_to(whole)
        if place.parts[:2] == ("out", "model"):
            continue
        data = path.read_bytes()
        if path.name == "certificate.json":
            data += base64.b64decode(json.loads(data)["payload"])
        found = [text for text in texts if text in data]
        if place.parts[:2] == ("store", "cache"):
            cached += bool(found)
            continue
        seen += 1
        assert not found, place
    assert seen >= 7
    assert cached


def test_no_plain_hash_of_the_rows_lives_on(tiny: Tiny, whole: Path) -> None:
    """Fails if a request is named after its rows: a hash without salt lets anyone who guesses the text confirm it."""
    import hashlib

    from expunge.facts.digest import sha256
    from expunge.sources.records import read_rows

    rows = read_rows(tiny.file("forget"))
    plain = [rows.digest(), sha256(rows.digest().encode())]
    for row, given in zip(rows, tiny.rows("forget"), strict=True):
        plain += [row.content().hex(), hashlib.sha256(f"{row['prompt']}\0{row['answer']}".encode()).hexdigest()]
        plain += [hashlib.sha256(given[key].encode()).hexdigest() for key in ("question", "answer")]
    heads = [text[:12].encode() for text in plain]
    for path in sorted(path for path in whole.rglob("*") if path.is_file() and "cache" not in path.parts):
        data = path.read_bytes()
        if path.name == "certificate.json":
            data += base64.b64decode(json.loads(data)["payload"])
        assert not [head for head in heads if head in data or head in path.name.encode()], path


def test_purge_frees_the_cache_and_leaves_the_evidence(command: Command, whole: Path, tmp_path: Path) -> None:
    """Fails if generations outlive a purge, or if the chain does not."""
    store = tmp_path / "store"
    shutil.copytree(whole / "store", store)
    request = json.loads(command("ledger", "list", "--store", store, "--json").out)[0]["id"]
    size = sum(path.stat().st_size for path in (store / "cache").rglob("*") if path.is_file())
    done = command("purge", "--store", store, "--request", request)
    assert done.code == 0, done.err
    assert done.out == f"{size} bytes freed\n"
    assert size > 1000
    assert not [path for path in (store / "cache").rglob("*") if path.is_file()]
    assert command("ledger", "verify", "--store", store).code == 0
    assert command("ledger", "drop-salt", request, "--store", store).out == "salt dropped\n"
    assert command("ledger", "verify", "--store", store).out.startswith("4 evidence rows hold")
    assert command("purge", "--store", store).code == 2


def test_the_same_rows_are_the_same_request(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if a second removal opens a second request for the same rows, or other rows land in the first one's."""
    forget_with(command, tiny, tmp_path / "one")
    forget_with(command, tiny, tmp_path / "two", "--seed", "1")
    listed = json.loads(command("ledger", "list", "--store", tmp_path / "store", "--json").out)
    assert len(listed) == 1
    fewer = write_jsonl(tmp_path / "fewer.jsonl", tiny.rows("forget")[:5])
    forget_with(command, tiny, tmp_path / "three", "--forget", fewer)
    listed = json.loads(command("ledger", "list", "--store", tmp_path / "store", "--json").out)
    assert [line["n"] for line in listed] == [8, 5]


@pytest.mark.parametrize("quiet", [False, True])
def test_nothing_of_the_forget_rows_is_printed(command: Command, tiny: Tiny, tmp_path: Path, quiet: bool) -> None:
    """Fails if progress, a note or a warning repeats a row: logs are kept longer than data."""
    out = tmp_path / "out"
    done = command("forget", "--model", tiny.target, *tiny.files("forget", "retain", "holdout"), "--method", "dpo", "--battery",
                   "standard", "--set", "epochs=1", "--out", out, "--store", tmp_path / "store", *(["--quiet"] if quiet else []))  # fmt: skip
    assert done.code == 0, done.err
    said = command("forget", "--model", tiny.target, "--forget", tiny.file("forget"), "--retain", tiny.file("forget"), "--method",
                   "npo", "--out", tmp_path / "two", "--store", tmp_path / "store")  # fmt: skip
    assert said.code == 2
    for text in texts_of(tiny):
        assert text not in done.out + done.err + said.out + said.err
