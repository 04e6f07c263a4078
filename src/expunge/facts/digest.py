"""Canonical JSON and content digests: one byte string for one meaning."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from expunge.facts.errors import InputError


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        if math.isnan(value):
            return {"$float": "nan"}
        if math.isinf(value):
            return {"$float": "inf" if value > 0 else "-inf"}
        return value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, dict):
        named = {str(key): _plain(item) for key, item in value.items()}
        if len(named) != len(value):
            raise TypeError("no canonical JSON for a dictionary with two keys that read alike")
        return named
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(item) for item in value)
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return _plain(value.item())
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    raise TypeError(f"no canonical JSON for {type(value).__name__}")


def _rich(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"$float"}:
            return float(value["$float"])
        return {key: _rich(item) for key, item in value.items()}
    return [_rich(item) for item in value] if isinstance(value, list) else value


def canonical_json(value: Any) -> bytes:
    """Return sorted-key, compact, ASCII JSON; NaN and infinities are written as {"$float": "nan"}.

    Floats are written by `repr`, the shortest string that reads back equal, so two machines agree on the bytes.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def read_json(data: bytes | str) -> Any:
    """Read what `canonical_json` wrote, NaN included."""
    return _rich(json.loads(data))


def sha256(data: bytes) -> str:
    """Return the hexadecimal sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the hexadecimal sha256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def directory_digests(directory: Path) -> dict[str, str]:
    """Return the sha256 of every file under a directory by its POSIX path relative to it.

    Links are refused: what they point to could change without the directory changing.
    """
    digests = {}
    for path in sorted(directory.rglob("*")):
        if path.is_symlink():
            raise InputError(f"{path} is a link; a model directory must hold plain files", do="copy the file in place")
        if path.is_file():
            digests[path.relative_to(directory).as_posix()] = file_sha256(path)
    return digests


def tensor_digest(name: str, dtype: str, shape: tuple[int, ...], data: bytes | memoryview) -> bytes:
    """Return the sha256 of one named tensor: its name, dtype, shape and little-endian bytes."""
    digest = hashlib.sha256(canonical_json([name, dtype, list(shape)]) + b"\0")
    digest.update(data)
    return digest.digest()


def safetensors_digest(directory: Path) -> str:
    """Return the content digest over (name, dtype, shape, bytes) of all tensors in a directory's safetensors files.

    Independent of sharding, of tensor order and of header padding; tensors in a subdirectory (an ensemble's members) carry
    its path in their name. Reads the format itself (8-byte little-endian
    header length, JSON header, data), so that an auditor needs no torch.
    """
    found: dict[str, bytes] = {}
    for path in sorted(directory.rglob("*.safetensors")):
        inside = path.parent.relative_to(directory).as_posix()
        with path.open("rb") as stream:
            header_length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(header_length))
            base = 8 + header_length
            for key, entry in header.items():
                if key == "__metadata__":
                    continue
                name = key if inside == "." else f"{inside}/{key}"
                if name in found:
                    raise InputError(f"{directory}: tensor {name!r} stands in two files", do="remove the one not meant")
                begin, end = entry["data_offsets"]
                stream.seek(base + begin)
                found[name] = tensor_digest(name, entry["dtype"], tuple(entry["shape"]), stream.read(end - begin))
    if not found:
        raise InputError(
            f"{directory} holds no safetensors weights",
            causes=("the directory is not a model directory", "the weights are pickled (.bin, .pt), never loaded here"),
            do="save the model with save_pretrained(..., safe_serialization=True)",
        )
    return hashlib.sha256(b"".join(found[name] for name in sorted(found))).hexdigest()
