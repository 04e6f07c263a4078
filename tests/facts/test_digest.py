"""One byte string for one meaning: canonical JSON, and a digest of weights that packaging does not change."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from expunge.facts.digest import canonical_json, directory_digests, file_sha256, read_json, safetensors_digest, sha256
from expunge.facts.errors import InputError

TENSORS = {
    "b.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
    "a.weight": torch.tensor([5.0, float("nan")]),
    "c": torch.tensor(7, dtype=torch.int64),
}


def test_canonical_json_by_hand() -> None:
    """Fails if keys keep their order, spaces are written, text is not ASCII, or a float is rounded."""
    value = {"b": [1, 2.5, True, None], "a": "é", "c": (0.1 + 0.2,)}
    assert canonical_json(value) == b'{"a":"\\u00e9","b":[1,2.5,true,null],"c":[0.30000000000000004]}'


def test_what_is_not_finite_stays_what_it_is() -> None:
    """Fails if NaN becomes null, 0 or the bare word NaN, which is no JSON."""
    data = canonical_json({"x": [math.nan, math.inf, -math.inf, 1.0]})
    assert data == b'{"x":[{"$float":"nan"},{"$float":"inf"},{"$float":"-inf"},1.0]}'
    json.loads(data, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    back = read_json(data)["x"]
    assert math.isnan(back[0])
    assert back[1:] == [math.inf, -math.inf, 1.0]


def test_numpy_values_are_plain_ones() -> None:
    """Fails if a NumPy number is written by its repr, or in another width than it has."""
    given = {"f": np.float64(0.1), "i": np.int64(3), "b": np.bool_(True), "a": np.array([1.5, np.nan])}
    assert canonical_json(given) == b'{"a":[1.5,{"$float":"nan"}],"b":true,"f":0.1,"i":3}'


def test_a_set_has_one_order() -> None:
    """Fails if a set is written in the order of its hashes, which changes from process to process."""
    assert canonical_json({"gamma", "alpha", "beta"}) == b'["alpha","beta","gamma"]'


def test_what_has_no_one_meaning_is_refused() -> None:
    """Fails if an object is written by its address, or one of the keys 1 and "1" is lost without a word."""
    with pytest.raises(TypeError, match="no canonical JSON for object"):
        canonical_json(object())
    with pytest.raises(TypeError, match="read alike"):
        canonical_json({1: "a", "1": "b"})


def test_sha256_known_answer(tmp_path: Path) -> None:
    """FIPS 180-2: sha256("abc"). Fails if a file is hashed as anything but its bytes."""
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256(b"abc") == file_sha256(tmp_path / "f") == known


def test_directory_digests_refuse_links(tmp_path: Path) -> None:
    """Fails if a link is followed: what it points to can change while the directory does not."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "f").write_bytes(b"abc")
    assert directory_digests(tmp_path) == {"sub/f": sha256(b"abc")}
    (tmp_path / "link").symlink_to(tmp_path / "sub" / "f")
    with pytest.raises(InputError, match="is a link"):
        directory_digests(tmp_path)


def _by_hand(tensors: dict[str, tuple[str, list[int], bytes]]) -> str:
    pieces = []
    for name, (dtype, shape, data) in sorted(tensors.items()):
        head = json.dumps([name, dtype, shape], separators=(",", ":")).encode()
        pieces.append(hashlib.sha256(head + b"\0" + data).digest())
    return hashlib.sha256(b"".join(pieces)).hexdigest()


def test_safetensors_digest_by_hand(tmp_path: Path) -> None:
    """Fails if name, dtype, shape or bytes of any tensor do not enter, or the order of storage does."""
    save_file(TENSORS, tmp_path / "model.safetensors")
    wanted = {
        "b.weight": ("F32", [2, 2], np.array([1, 2, 3, 4], "<f4").tobytes()),
        "a.weight": ("F32", [2], TENSORS["a.weight"].numpy().tobytes()),
        "c": ("I64", [], np.array(7, "<i8").tobytes()),
    }
    assert safetensors_digest(tmp_path) == _by_hand(wanted)


def test_safetensors_digest_is_that_of_the_tensors_not_of_the_files(tmp_path: Path) -> None:
    """One file, two shards, another order, a metadata entry: one digest. Fails if packaging enters it."""
    whole, shards = tmp_path / "whole", tmp_path / "shards"
    whole.mkdir()
    shards.mkdir()
    save_file(TENSORS, whole / "model.safetensors", metadata={"format": "pt", "note": "padding"})
    save_file({"c": TENSORS["c"], "b.weight": TENSORS["b.weight"]}, shards / "model-00001-of-00002.safetensors")
    save_file({"a.weight": TENSORS["a.weight"]}, shards / "model-00002-of-00002.safetensors")
    assert safetensors_digest(whole) == safetensors_digest(shards)
    changed = {**TENSORS, "b.weight": TENSORS["b.weight"].view(4)}
    save_file(changed, whole / "model.safetensors")
    assert safetensors_digest(whole) != safetensors_digest(shards)


def test_members_of_an_ensemble_keep_their_place(tmp_path: Path) -> None:
    """Fails if members in subdirectories may change places: their tensors have one name each."""
    first, second = {"w": torch.zeros(2)}, {"w": torch.ones(2)}
    for name, members in (("one", (first, second)), ("two", (second, first))):
        for i, member in enumerate(members):
            (tmp_path / name / f"member-{i}").mkdir(parents=True)
            save_file(member, tmp_path / name / f"member-{i}" / "model.safetensors")
    assert safetensors_digest(tmp_path / "one") != safetensors_digest(tmp_path / "two")


def test_safetensors_digest_refuses_what_is_ambiguous_or_missing(tmp_path: Path) -> None:
    """Fails if a tensor in two files is taken from either, or a directory of pickles has a digest."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(InputError, match="no safetensors weights"):
        safetensors_digest(tmp_path / "empty")
    for name in ("a", "b"):
        save_file({"w": torch.zeros(1)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(InputError, match="stands in two files"):
        safetensors_digest(tmp_path)
