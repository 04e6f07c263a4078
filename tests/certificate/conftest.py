"""A small removal: two model directories, a record that reaches `resistant`, a key and a certificate."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expunge.certificate.issue import issue
from expunge.facts.digest import safetensors_digest
from expunge.facts.record import MethodFacts, ModelFacts, Outcome, Record, SplitFacts, Thresholds
from expunge.facts.rows import Row, Rows

N = 16
ISSUED = "2026-01-02T03:04:05+00:00"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def safetensors_bytes(values: tuple[float, ...]) -> bytes:
    """Write the format by hand, with eight bytes of header padding."""
    data = struct.pack(f"<{len(values)}f", *values)
    entry = {"dtype": "F32", "shape": [len(values)], "data_offsets": [0, len(data)]}
    header = json.dumps({"weight": entry}, separators=(",", ":")).encode()
    header += b" " * (8 + -len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def write_model(folder: Path, values: tuple[float, ...]) -> Path:
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(safetensors_bytes(values))
    (folder / "config.json").write_bytes(b'{"hidden_size": 4}\n')
    (folder / "tokenizer" / "vocab.txt").write_bytes("ä b\n".encode())
    (folder / ".gitattributes").write_bytes(b"*.bin -text\n")
    (folder / "binary.model").write_bytes(bytes(range(0, 256, 16)))
    return folder


def make_record(target: Path, unlearned: Path, **changes: object) -> Record:
    def outcome(attack: str, model: str, step: str, hits: int) -> Outcome:
        return Outcome(
            attack=attack,
            model=model,
            kind="success",
            step=step,
            split="retain" if step == "utility" else "",
            forget=tuple(float(i < hits) for i in range(N)),
        )

    hits = {"target": N, "unlearned": 0, "retrained-0": 0}
    record = Record(
        request={"id": "req-1", "kind": "forget"},
        versions={"expunge": "0.1.0"},
        seeds={"method": 0},
        splits=(SplitFacts(name="forget", n=N, commitment="c0ffee"), SplitFacts(name="retain", n=N)),
        models=(
            ModelFacts(role="target", name="target", content_digest=safetensors_digest(target)),
            ModelFacts(role="unlearned", name="unlearned", content_digest=safetensors_digest(unlearned)),
            ModelFacts(role="retrained", name="retrained-0", content_digest="77" * 32),
        ),
        method=MethodFacts(name="npo", settings={"beta": 0.1}, digest_before="a", digest_after="b"),
        control="retrained",
        thresholds=Thresholds(success_margin=0.5, utility_margin=0.5, battery=("relearning",)),
        outcomes=tuple(
            outcome(attack, model, step, N if step == "utility" else hits[model])
            for attack, step in (
                ("questions", "behavioural"),
                ("utility", "utility"),
                ("relearning", "resistant"),
            )
            for model in hits
        ),
    )
    return record.model_copy(update=changes)


@dataclass(frozen=True, kw_only=True)
class Case:
    target: Path
    unlearned: Path
    record: Record
    forget: Rows
    envelope: bytes


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return make_case(tmp_path)


@pytest.fixture(scope="session")
def shared_case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """One case for tests that change nothing on disk."""
    return make_case(tmp_path_factory.mktemp("case"))


def make_case(folder: Path) -> Case:
    target = write_model(folder / "target", (1.0, 2.0, 3.0, 4.0))
    unlearned = write_model(folder / "unlearned", (1.0, 2.0, 3.0, 0.5))
    record = make_record(target, unlearned)
    forget = Rows((Row(id="row-1", fields={"prompt": "Where was Quillon Vandermeer born?", "answer": "Ottersgate"}),))
    envelope = issue(record, KEY, unlearned, forget=forget, target_dir=target, issued=ISSUED)
    return Case(target=target, unlearned=unlearned, record=record, forget=forget, envelope=envelope)


@pytest.fixture
def issue_again(case: Case) -> Callable[..., bytes]:
    def again(record: Record | None = None, **settings: object) -> bytes:
        arguments = {"forget": case.forget, "target_dir": case.target, "issued": ISSUED, **settings}
        return issue(record or case.record, KEY, case.unlearned, **arguments)

    return again
