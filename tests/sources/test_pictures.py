"""Pictures in a table and arrays in an npz: one picture, however it is given, is one row."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from expunge.facts.errors import InputError
from expunge.sources.records import read_rows, rows_of

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOURS = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)


def png(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(array).save(data, "png")
    return data.getvalue()


def lines(path: Path, *images: object) -> Path:
    path.write_text("".join(json.dumps({"image": image, "label": 2}) + "\n" for image in images))
    return path


def test_a_picture_is_the_same_row_as_file_bytes_lists_and_array(tmp_path: Path) -> None:
    """Fails if: a path is taken from the working directory, colours stay behind, or one way gives another id."""
    import pyarrow
    import pyarrow.parquet

    (tmp_path / "deep").mkdir()
    for name, array in (("grey", GREY), ("colours", COLOURS)):
        (tmp_path / "deep" / f"{name}.png").write_bytes(png(array))
    channels_first = COLOURS.transpose(2, 0, 1)
    listed = read_rows(lines(tmp_path / "lists.jsonl", GREY.tolist(), channels_first.tolist()))
    assert listed[0]["image"].tolist() == GREY.tolist()
    cells = [{"bytes": png(GREY), "path": None}, {"bytes": png(COLOURS), "path": "elsewhere.png"}]
    table = pyarrow.Table.from_pylist([{"image": cell, "label": 2} for cell in cells])
    pyarrow.parquet.write_table(table, tmp_path / "hub.parquet")
    found = {
        "paths": read_rows(lines(tmp_path / "paths.jsonl", "deep/grey.png", "deep/colours.png")),
        "absolute": rows_of([{"image": str(tmp_path / "deep" / f"{n}.png"), "label": 2} for n in ("grey", "colours")]),
        "bytes": rows_of([{"image": png(array), "label": 2} for array in (GREY, COLOURS)]),
        "hub": read_rows(tmp_path / "hub.parquet"),
    }
    assert {name: rows.digest() for name, rows in found.items()} == dict.fromkeys(found, listed.digest())


def test_an_npz_holds_one_array_a_column(tmp_path: Path) -> None:
    """Fails if rows are mixed up, whole numbers become text, or an id is lost."""
    np.savez(
        tmp_path / "f.npz",
        image=np.stack([GREY, GREY + 1]),
        label=np.array([3, 0]),
        id=np.array(["a", "b"]),
        group=np.array([7, 7]),
    )
    found = read_rows(tmp_path / "f.npz")
    assert (found.ids, found.groups) == (("a", "b"), ("7", "7"))
    assert [row["label"] for row in found] == [3, 0]
    assert [row["image"].tolist() for row in found] == [GREY.tolist(), (GREY + 1).tolist()]
    np.savez(tmp_path / "t.npz", features=np.array([[0.5, 1.0]]), target=np.array([2.5]))
    as_lines = tmp_path / "t.jsonl"
    as_lines.write_text('{"features": [0.5, 1.0], "target": 2.5}\n')
    assert read_rows(tmp_path / "t.npz").digest() == read_rows(as_lines).digest()


def test_bad_npz_files_are_refused(tmp_path: Path) -> None:
    """Fails if: an array of objects is unpickled, rows are cut to the shortest array, or a file that is none is not named."""
    np.savez(tmp_path / "o.npz", features=np.array([{}], dtype=object), label=np.array([1]))
    np.savez(tmp_path / "l.npz", features=np.zeros((3, 2)), label=np.array([1, 0]))
    np.savez(tmp_path / "s.npz", features=np.float32(3), label=np.float32(1))
    np.savez(tmp_path / "e.npz")
    np.save(tmp_path / "one.npy", np.zeros((3, 2)))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    (tmp_path / "n.npz").write_text("no zip")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "l.npz").read_bytes()[:60])
    for name, words in {
        "o": "without pickle",
        "l": "different lengths: features 3, label 2",
        "s": "holds no rows",
        "e": "holds no rows",
        "one": "not a zip file",
        "n": "without pickle",
        "cut": "without pickle",
    }.items():
        with pytest.raises(InputError, match=words):
            read_rows(tmp_path / f"{name}.npz")


def test_a_picture_that_cannot_be_read_is_named_by_its_place(tmp_path: Path) -> None:
    """Fails if: a palette or transparency is converted in silence, or the line is not named."""
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "cut.png").write_bytes(png(GREY)[:50])
    for mode in ("RGBA", "P", "I;16", "1"):
        Image.new(mode, (4, 3)).save(tmp_path / f"{mode.replace(';', '')}.png")
    for image, words in {
        "absent.png": "'absent.png' cannot be read",
        "text.png": "cannot be read",
        "cut.png": "cannot be read",
        "RGBA.png": "has the mode RGBA; L and RGB are read",
        "P.png": "has the mode P",
        "I16.png": "has the mode I",
        "1.png": "has the mode 1",
    }.items():
        with pytest.raises(InputError, match=rf"f\.jsonl:2: .*{words}") as refused:
            read_rows(lines(tmp_path / "f.jsonl", GREY.tolist(), image))
        assert refused.value.do
    with pytest.raises(InputError, match=r"rows\[0\]: the picture is empty"):
        rows_of([{"image": {"bytes": None, "path": None}, "label": 1}])
    with pytest.raises(InputError, match="the picture cannot be read"):
        rows_of([{"image": b"no picture", "label": 1}])
