"""Files of arrays and labels: columns, cells, ids, and every bad input by its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expunge.facts.errors import InputError
from expunge.sources.records import parse_map, read_rows, rows_of


def write(path: Path, items: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def test_fields_of_a_row_by_hand(tmp_path: Path) -> None:
    """Fails if whole numbers of an image are not bytes, a class becomes a fraction, or other columns enter the row."""
    table = read_rows(write(tmp_path / "t.jsonl", [{"id": 7, "features": [1, 2.5], "label": 3, "group": "g", "x": 1}]))
    assert table.ids == ("7",)
    assert table.groups == ("g",)
    assert set(table[0].fields) == {"features", "label"}
    assert table[0]["features"].dtype == np.float32
    assert table[0]["features"].tolist() == [1.0, 2.5]
    assert (table[0]["label"], type(table[0]["label"])) == (3, int)
    image = rows_of([{"image": [[0, 255], [7, 8]], "label": 0}, {"image": np.full((2, 2), 0.5), "label": np.int64(1)}])
    assert image[0]["image"].dtype == np.uint8
    assert image[0]["image"].tolist() == [[0, 255], [7, 8]]
    assert image[1]["image"].dtype == np.float32
    assert [type(row["label"]) for row in image] == [int, int]


def test_formats_and_maps_agree(tmp_path: Path) -> None:
    """Fails if a CSV's cells are read as other values, a map is ignored, or an id depends on the order of the file."""
    items = [{"features": [0.5, 1.0], "label": 1}, {"features": [2.0, 3.0], "label": 2.5}]
    lines = read_rows(write(tmp_path / "a.jsonl", items))
    (tmp_path / "a.csv").write_text('features,target\n"[0.5, 1.0]",1\n"[2.0, 3.0]",2.5\n')
    mapped = [{"x": item["features"], "y": item["label"], "question": "?", "answer": "!"} for item in items]
    others = read_rows(write(tmp_path / "m.jsonl", mapped), parse_map("features=x,label=y"))
    assert lines.digest() == read_rows(tmp_path / "a.csv").digest() == others.digest()
    assert read_rows(write(tmp_path / "b.jsonl", items[::-1])).ids == lines.ids[::-1]
    assert read_rows(write(tmp_path / "c.jsonl", [items[0]] * 2)).ids == (lines.ids[0], f"{lines.ids[0]}-2")
    assert "answer" in read_rows(write(tmp_path / "d.jsonl", mapped))[0].fields


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "NaN": ({"features": [1.0, float("nan")]}, "'features' holds values that are not finite"),
    "infinity": ({"features": [1.0, float("inf")]}, "not finite"),
    "beyond float32": ({"features": [1.0, 1e300]}, "not finite"),
    "missing value": ({"features": [1.0, None]}, "no array of numbers"),
    "missing": ({"features": None}, "no array of numbers"),
    "text": ({"features": [1.0, "2"]}, "no array of numbers"),
    "bools": ({"features": [True, False]}, "no array of numbers"),
    "no list": ({"features": "1;2"}, "no array of numbers"),
    "ragged": ({"features": [[1.0], [1.0, 2.0]]}, "no array of numbers"),
    "one number": ({"features": 1.0}, "has 0 axes"),
    "table in a table": ({"features": [[1.0, 2.0]]}, "has 2 axes"),
    "label true": ({"label": True}, "'label' is True, which is no number"),
    "label text": ({"label": "dog"}, "'label' is 'dog', which is no number"),
    "label null": ({"label": None}, "'label' is None, which is no number"),
    "label NaN": ({"label": float("nan")}, "'label' is nan"),
    "label inf": ({"label": float("-inf")}, "'label' is -inf"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_cell_is_named_by_its_place(tmp_path: Path, kind: str) -> None:
    """Fails if a missing value becomes 0, text is parsed out of lists, or the line is not named."""
    change, words = BAD[kind]
    good = {"features": [1.0, 2.0], "label": 1}
    path = write(tmp_path / "f.jsonl", [good, {**good, **change}])
    with pytest.raises(InputError, match=rf"f\.jsonl:2: .*{words}") as refused:
        read_rows(path)
    assert refused.value.do


def test_whole_numbers_outside_a_byte_are_no_image() -> None:
    """Fails if 256 wraps to 0."""
    for value in (256, -1):
        with pytest.raises(InputError, match="outside 0..255"):
            rows_of([{"image": [[0, value]], "label": 0}])


def test_columns_that_cannot_be_chosen_are_named(tmp_path: Path) -> None:
    """Fails if an array without a label is read, one of two arrays is picked in silence, or a map mixes texts and arrays."""
    with pytest.raises(InputError, match=r"no column for label; it has: features, lable") as refused:
        read_rows(write(tmp_path / "a.jsonl", [{"features": [1.0], "lable": 1}]))
    assert refused.value.do == "--map label=lable"
    both = write(tmp_path / "b.jsonl", [{"features": [1.0], "image": [[1]], "label": 1}])
    with pytest.raises(InputError, match="has features and an image"):
        read_rows(both)
    assert "image" in read_rows(both, parse_map("image=image"))[0].fields
    with pytest.raises(InputError, match="no column 'lab' for label; the nearest is 'label'"):
        read_rows(both, parse_map("features=features,label=lab"))
    with pytest.raises(InputError, match="not both"):
        parse_map("features=x,answer=y")
