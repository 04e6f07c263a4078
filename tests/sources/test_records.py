"""Records: formats, mapping, ids, and every bad input by its message."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from expunge.contract.splits import Splits
from expunge.facts.errors import InputError
from expunge.sources._columns import parse_map
from expunge.sources.records import Records, read_rows

ITEMS = [
    {"question": "Who wrote it?", "answer": "Ana.", "id": "a1", "group": "ana", "value": "Ana", "other": 7},
    {
        "question": "Where?",
        "answer": "In Lund.",
        "id": "a2",
        "group": "ana",
        "value": "Lund",
        "paraphrased_answer": "Lund it is.",
        "perturbed_answer": ["Rome it is.", "Oslo it is."],
        "paraphrased_question": "At what place?",
    },
]


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def lines(items: list[dict[str, object]]) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


def test_fields_of_a_row_by_hand(tmp_path: Path) -> None:
    """Fails if a column is dropped or put under another field, or if an unmapped column (other) slips in."""
    rows = read_rows(write(tmp_path / "f.jsonl", lines(ITEMS)), {}, "forget")
    assert rows.name == "forget"
    assert rows.ids == ("a1", "a2")
    assert rows.groups == ("ana", "ana")
    assert dict(rows[0].fields) == {"prompt": "Who wrote it?", "answer": "Ana.", "value": "Ana"}
    assert dict(rows[1].fields) == {
        "prompt": "Where?",
        "answer": "In Lund.",
        "value": "Lund",
        "paraphrased_answer": "Lund it is.",
        "perturbed_answers": ("Rome it is.", "Oslo it is."),
        "paraphrased_prompts": ("At what place?",),
    }


def test_formats_agree(tmp_path: Path) -> None:
    """Fails if one format reads a cell as another value: all give the same digest over ids and contents."""
    import pyarrow
    import pyarrow.parquet

    text = lines(ITEMS)
    cells = [
        ["question", "answer", "id", "group", "value", "paraphrased_answer", "perturbed_answer", "paraphrased_question"]
    ]
    cells += [[v if isinstance(v := item.get(key, ""), str) else json.dumps(v) for key in cells[0]] for item in ITEMS]
    quoted = "\r\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ITEMS[::-1]).take([1, 0]), tmp_path / "f.parquet")
    paths = [
        write(tmp_path / "f.jsonl", text),
        write(tmp_path / "bom.jsonl", "\ufeff" + text),
        write(tmp_path / "blank.jsonl", "\n" + text.replace("\n", "\r\n\n")),
        write(tmp_path / "f.json", json.dumps(ITEMS)),
        write(tmp_path / "f.jsonl.gz", gzip.compress(text.encode())),
        write(tmp_path / "f.csv", quoted),
        tmp_path / "f.parquet",
    ]
    assert {path.name: read_rows(path).digest() for path in paths} == dict.fromkeys(
        [path.name for path in paths], read_rows(paths[0]).digest()
    )


def test_names_are_mapped(tmp_path: Path) -> None:
    """Fails if a mapped column does not win over one that has the field's own name."""
    path = write(tmp_path / "f.jsonl", lines([{"q": "Q1", "a": "A1", "question": "no", "answer": "no"}]))
    row = read_rows(path, parse_map("question=q, answer=a"))[0]
    assert (row["prompt"], row["answer"]) == ("Q1", "A1")
    text = read_rows(
        write(tmp_path / "t.jsonl", lines([{"body": "All of it.", "answer": "no"}])), parse_map("text=body")
    )
    assert (text[0]["prompt"], text[0]["answer"]) == ("", "All of it.")
    swapped = write(tmp_path / "s.jsonl", lines([{"answer": "Q?", "completion": "A."}]))
    assert read_rows(swapped, parse_map("question=answer"))[0].fields == {"prompt": "Q?", "answer": "A."}
    pair = read_rows(write(tmp_path / "p.jsonl", lines([{"prompt": "Once", "completion": "upon"}])))[0]
    assert (pair["prompt"], pair["answer"]) == ("Once", "upon")


def test_claim_ids_are_made_of_content(tmp_path: Path) -> None:
    """Fails if an id keys on position or on optional columns; duplicates get ordinals, in any order of the file."""
    plain = [{"question": f"Q{i}", "answer": "A"} for i in range(3)] + [{"question": "Q0", "answer": "A"}]
    first = read_rows(write(tmp_path / "a.jsonl", lines(plain)))
    more = [{**item, "value": "A"} for item in reversed(plain)]
    second = read_rows(write(tmp_path / "b.jsonl", lines(more)))
    assert first.ids[3] == f"{first.ids[0]}-2"
    assert len(set(first.ids)) == 4
    by_prompt = {row["prompt"]: row.id for row in first[:3]}
    assert [row.id for row in second if row["prompt"] != "Q0"] == [by_prompt["Q2"], by_prompt["Q1"]]
    assert sorted(second.ids) == sorted(first.ids)
    # the separator: (ab, c) and (a, bc) are different rows
    other = read_rows(
        write(tmp_path / "c.jsonl", lines([{"question": "ab", "answer": "c"}, {"question": "a", "answer": "bc"}]))
    )
    assert other.ids[0] != other.ids[1].removesuffix("-2")


def test_a_row_in_forget_and_retain_is_refused(tmp_path: Path) -> None:
    """Fails if the id of a row depends on the file or on its optional columns: the overlap would go unseen."""
    forget = write(tmp_path / "f.jsonl", lines([{"question": "Q", "answer": "A", "perturbed_answers": ["B"]}]))
    retain = write(tmp_path / "r.csv", "question,answer\nQ1,A1\nQ,A\n")
    splits = Records(forget=str(forget), retain=str(retain)).run()
    assert {name: len(rows) for name, rows in splits.items()} == {"forget": 1, "retain": 2}
    with pytest.raises(InputError, match=r"of retain is also row .* of forget"):
        Splits.of(**splits)


BAD = {
    "broken line": ("f.jsonl", '{"question": "Q", "answer": "A"}\n{"question": "Q", \n', r"f\.jsonl:2: broken JSON"),
    "broken list": ("f.json", '[{"question": "Q"},\n {"question"}]', r"f\.json:2: broken JSON"),
    "no object": ("f.jsonl", '{"question": "Q", "answer": "A"}\n\n["Q", "A"]\n', r"f\.jsonl:3: .*is a list"),
    "empty": ("f.jsonl", "", "holds no rows"),
    "blank": ("f.jsonl", "\n \n", "holds no rows"),
    "only a header": ("f.csv", "question,answer\n", "holds no rows"),
    "not UTF-8": ("f.jsonl", b'{"question": "Q", "answer": "A"}\n{"question": "\xe9"}\n', r"f\.jsonl:2: byte 0xe9 is not UTF-8"),
    "cut gzip": ("f.jsonl.gz", gzip.compress(b'{"a": 1}' * 99)[:-9], "not a whole gzip file"),
    "no gzip": ("f.jsonl.gz", b"{}", "not a whole gzip file"),
    "too many cells": ("f.csv", "question,answer\nQ,A\nQ,A,B\n", r"f\.csv:3: 3 cells under 2 columns"),
    "cell over lines": ("f.csv", 'question,answer\n"Q\nQ",A\nQ\n', r"f\.csv:4: 1 cells under 2 columns"),
    "open quote": ("f.csv", 'question,answer\n"Q,A\n', r"f\.csv:2: broken CSV"),
    "column twice": ("f.csv", "question,answer,answer\nQ,A,A\n", r"f\.csv:1: the column 'answer' stands in the header twice"),
    "no Parquet": ("f.parquet", b"PAR1 no", "not a readable Parquet file"),
    "suffix": ("f.txt", "Q A", r"f\.txt ends in \.txt"),
    "answer missing": ("f.jsonl", '{"question": "Q", "answr": "A"}\n', "no column for answer; it has: question, answr"),
    "question missing": ("f.jsonl", '{"answer": "A", "quetsion": "Q"}\n', "no column for question"),
    "nothing known": ("f.jsonl", '{"x": "Q", "y": "A"}\n', "no column for question and answer; it has: x, y"),
    "null": ("f.jsonl", '{"question": "Q", "answer": "A"}\n{"question": "Q", "answer": null}\n', r"f\.jsonl:2: 'answer' is empty"),
    "absent": ("f.jsonl", '{"question": "Q", "answer": "A"}\n{"question": "Q"}\n', r"f\.jsonl:2: 'answer' is empty"),
    "blank text": ("f.jsonl", '{"question": " ", "answer": "A"}\n', r"f\.jsonl:1: 'question' is empty"),
    "a list": ("f.jsonl", '{"question": "Q", "answer": ["A"]}\n', r"f\.jsonl:1: 'answer' is a list"),
    "true": ("f.jsonl", '{"question": "Q", "answer": true}\n', r"f\.jsonl:1: 'answer' is a bool"),
    "NaN": ("f.jsonl", '{"question": "Q", "answer": NaN}\n', r"f\.jsonl:1: 'answer' is empty"),
    "surrogate": ("f.jsonl", '{"question": "Q", "answer": "\\ud83d"}\n', r"f\.jsonl:1: 'answer' holds half of a surrogate"),
    "inner": ("f.jsonl", '{"question": "Q", "answer": "A", "perturbed_answers": ["B", 3, null]}\n', r"f\.jsonl:1: 'perturbed_ans"),
    "no list": ("f.csv", 'question,answer,perturbed_answers\nQ,A,"[""B"""\n', r"f\.csv:2: .*is not a JSON list"),
    "id twice": ("f.jsonl", '{"id": 1, "question": "Q", "answer": "A"}\n' * 2, "the row id '1' appears twice"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), BAD.values(), ids=BAD.keys())
def test_bad_files_name_the_place(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    """Fails if a bad record is skipped, defaulted or reported without its file and line; every error exits with 2."""
    with pytest.raises(InputError, match=message) as caught:
        read_rows(write(tmp_path / name, text), {}, "forget")
    assert caught.value.exit_code == 2
    assert name in str(caught.value) or "row id" in str(caught.value)


def test_bad_paths_and_maps(tmp_path: Path) -> None:
    """Fails if an unknown name or column is ignored instead of naming the nearest and what is there."""
    path = write(tmp_path / "f.jsonl", lines([{"quest": "Q", "reply": "A"}]))
    with pytest.raises(InputError, match="no column 'qest' for prompt; the nearest is 'quest'") as caught:
        read_rows(path, parse_map("question=qest,answer=reply"))
    assert "quest, reply" in str(caught.value)
    with pytest.raises(InputError, match="no column for answer; it has: quest, reply"):
        read_rows(path, parse_map("question=quest"))
    with pytest.raises(InputError, match="no field 'questoin'; the nearest is 'question'"):
        parse_map("questoin=q")
    with pytest.raises(InputError, match="'answer' maps nothing"):
        parse_map("answer")
    with pytest.raises(InputError, match="not both"):
        parse_map("text=t,question=q")
    with pytest.raises(InputError, match=r"gone\.jsonl cannot be read: No such file"):
        read_rows(tmp_path / "gone.jsonl")
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_rows(tmp_path / "d.csv")
    with pytest.raises(InputError, match="no forget file"):
        Records(retain=str(path)).run()
