"""Rows: identity, content, order."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows


def row(key: str, **fields: object) -> Row:
    return Row(id=key, fields=fields)


def test_content_by_hand() -> None:
    """sha256 over key NUL repr SOH in order of key. Fails if the fields' order or the id enters."""
    by_hand = hashlib.sha256(b"answer\0'b'\1prompt\0'a'\1").digest()
    assert row("x", prompt="a", answer="b").content() == by_hand
    assert row("y", answer="b", prompt="a").content() == by_hand


def test_a_value_cannot_pass_for_another_field() -> None:
    """Fails if keys and values are joined without a mark between them."""
    assert row("x", ab="c").content() != row("x", a="bc").content()
    assert row("x", a="b", c="d").content() != row("x", a="bcd").content()


def test_content_of_arrays_and_tensors() -> None:
    """The repr of a long tensor hides its middle. Fails if an array stands in by its repr, or its shape or dtype is left out."""
    long = np.zeros(5000, np.float32)
    other = long.copy()
    other[2500] = 1.0
    tensors = torch.from_numpy(long), torch.from_numpy(other)
    assert row("x", image=long).content() != row("x", image=other).content()
    assert row("x", image=tensors[0]).content() != row("x", image=tensors[1]).content()
    assert row("x", image=tensors[1]).content() == row("x", image=other).content()
    assert row("x", image=long).content() != row("x", image=long.reshape(50, 100)).content()
    assert row("x", image=np.zeros(4, np.int32)).content() != row("x", image=np.zeros(4, np.float32)).content()


def test_content_of_an_array_by_hand() -> None:
    """Key NUL dtype shape bytes SOH; a NumPy number is an array, a plain one its repr. Fails if either is written in another way."""
    image = np.arange(6, dtype=np.float32).reshape(2, 3)
    by_hand = hashlib.sha256(b"image\0float32(2, 3)" + image.tobytes() + b"\1label\x007\1").digest()
    assert row("x", image=image, label=7).content() == by_hand
    number = hashlib.sha256(b"label\0float64()" + np.float64(7.5).tobytes() + b"\1").digest()
    assert row("x", label=np.float64(7.5)).content() == number
    assert row("x", label=7.5).content() == hashlib.sha256(b"label\x007.5\1").digest()


def test_replace_keeps_id_and_group_and_the_original() -> None:
    """Fails if replace changes the row in place or drops its group."""
    first = Row(id="x", fields={"a": 1, "b": 2}, group="g")
    second = first.replace(b=3)
    assert (second.id, second.group, dict(second.fields)) == ("x", "g", {"a": 1, "b": 3})
    assert first["b"] == 2
    assert first.get("c", 7) == 7


def test_an_id_twice_is_refused() -> None:
    """Fails if two rows may share an id: shards, orders and scores are kept by it."""
    with pytest.raises(InputError, match="'x' appears twice"):
        Rows((row("x", a=1), row("x", a=2)))


def test_rows_as_a_sequence() -> None:
    """Fails if a slice is no Rows, take forgets the order asked for, or a row without a group shares one."""
    rows = Rows((row("a"), Row(id="b", fields={}, group="g"), row("c")), "mine")
    assert rows[1].id == "b"
    assert (rows[1:].ids, rows[1:].name) == (("b", "c"), "mine")
    assert rows.take([2, 0]).ids == ("c", "a")
    assert rows.groups == ("a", "g", "c")
    assert len(rows) == 3


def test_digest_by_hand_and_its_order() -> None:
    """Fails if ids, contents or their order do not enter the digest, or the name does."""
    first, second = row("a", x=1), row("b", x=2)
    by_hand = hashlib.sha256(b"a\0" + first.content() + b"b\0" + second.content()).hexdigest()
    assert Rows((first, second)).digest() == by_hand
    assert Rows((first, second), "other").digest() == by_hand
    assert Rows((second, first)).digest() != by_hand
    assert Rows((first, row("c", x=2))).digest() != by_hand
    assert Rows((first, second)).digest([first.content(), second.content()]) == by_hand
    assert Rows((first, second)).digest([first.content(), first.content()]) != by_hand
