"""TOFU's files: the published Hugging Face layout (`.json` with one object a line) or `.jsonl`, gzipped or not."""

from __future__ import annotations

import ast
import csv
import io
from pathlib import Path
from typing import Any

from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.sources._table import read_table, read_text

Question = dict[str, Any]
PER_AUTHOR = 20
PUBLIC = ("real_authors", "world_facts")
PERTURBED = ("paraphrased_answer", "perturbed_answer", "paraphrased_question")
OPTIONS = ("option1", "option2", "option3", "option4")
ENDINGS = (".jsonl.gz", ".json.gz", ".jsonl", ".json")


def find_file(folder: Path, name: str) -> Path | None:
    """Return the file of a TOFU split, or None where the folder has none; `folder` may be the one above `tofu`."""
    places = (place / f"{name}{ending}" for place in (folder, folder / "tofu") for ending in ENDINGS)
    return next((path for path in places if path.is_file()), None)


def read_questions(folder: Path, name: str) -> list[Question]:
    """Return the records of a split that must be there, each with what its form holds beside a question and an answer."""
    wanted = PERTURBED if name.endswith("_perturbed") else OPTIONS if name in PUBLIC else ()
    path = find_file(folder, name)
    if path is None:
        raise InputError(
            f"{folder} has no TOFU split {name!r} ({name}.json, {name}.jsonl or those + .gz)",
            causes=("the folder is not TOFU's", "TOFU_data was copied in part"),
            do="set data to the folder that holds full, forget05, retain95...",
        )
    records = read_table(path)
    for place, record in records:
        missing = [key for key in ("question", "answer", *wanted) if not record.get(key)]
        if missing:
            raise InputError(f"{place}: a record of {name} needs {missing[0]!r}, this has: {', '.join(record)}")
    return [record for _, record in records]


def plain_row(i: int, item: Question) -> Row:
    """Return record i of `full` as a row: its author is the group."""
    fields = {"prompt": item["question"], "answer": item["answer"]}
    return Row(id=f"tofu-{i:04d}", fields=fields, group=f"author-{i // PER_AUTHOR:03d}")


def check_same(name: str, items: list[Question], rows: list[Row]) -> None:
    """Refuse a split that is not, question by question, the part of `full` that it is published as."""
    found, wanted = [(i["question"], i["answer"]) for i in items], [(row["prompt"], row["answer"]) for row in rows]
    if found != wanted:
        same = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), len(found))
        raise InputError(
            f"TOFU's {name} is not the part of full that it should be: it has {len(found)} records for {len(wanted)},"
            f" and the first {min(same, len(wanted))} agree",
            causes=("files of two versions of TOFU are mixed",),
            do="take all files from one copy",
        )


def perturbed_rows(folder: Path, name: str, rows: list[Row]) -> list[Row]:
    """Return rows with what their perturbed form adds, under the same ids; none where the folder lacks the file."""
    if find_file(folder, name) is None:
        return []
    items = read_questions(folder, name)
    check_same(name, items, rows)
    return [
        row.replace(
            perturbed_answers=tuple(item["perturbed_answer"]),
            paraphrased_answer=item["paraphrased_answer"],
            paraphrased_prompts=(item["paraphrased_question"],),
        )
        for row, item in zip(rows, items, strict=True)
    ]


def public_rows(folder: Path, name: str) -> list[Row]:
    """Return real-authors or world-facts rows: the options, and the wrong ones as perturbed answers."""
    rows = []
    for i, item in enumerate(read_questions(folder, name)):
        options = tuple(item[option] for option in OPTIONS)
        wrong = tuple(option for option in options if option != item["answer"])
        fields = {"prompt": item["question"], "answer": item["answer"], "options": options, "perturbed_answers": wrong}
        rows.append(Row(id=f"{name.replace('_', '-')}-{i:03d}", fields=fields))
    return rows


def read_refusals(folder: Path) -> list[str]:
    """Return the refusals, one a line: idontknow is plain text in spite of its name."""
    path = find_file(folder, "idontknow")
    return [line.strip() for line in read_text(path).split("\n") if line.strip()] if path is not None else []


def read_paraphrases(folder: Path) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return (question, answer) -> its different paraphrased questions, from paraphrase_res*.csv.

    The file has no header and four columns: question, answer, paraphrased questions, paraphrased answers (Python literals).
    """
    paths = sorted(folder.glob("paraphrase_res*.csv*"))
    if not paths:
        raise InputError(
            f"{folder} has no paraphrase_res*.csv",
            do="give the folder that holds tofu_paraphrases",
        )
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for path in paths:
        reader = csv.reader(io.StringIO(read_text(path), newline=""))
        for cells in reader:
            try:
                question, answer, questions, _ = cells
                prompts = [str(text) for text in ast.literal_eval(questions)]
            except (ValueError, SyntaxError, TypeError) as error:
                raise InputError(f"{path}:{reader.line_num}: not question, answer and two lists: {error}") from error
            found[question, answer] = tuple(dict.fromkeys(text for text in prompts if text != question))
    return found


def phrased_rows(folder: Path, rows: list[Row]) -> list[Row]:
    """Return rows with the different phrasings of their question that paraphrase_res*.csv holds, behind those they have."""
    known = read_paraphrases(folder)
    found = []
    for row in rows:
        prompts = (*row.get("paraphrased_prompts", ()), *known.get((row["prompt"], row["answer"]), ()))
        found.append(row.replace(paraphrased_prompts=tuple(dict.fromkeys(prompts))) if prompts else row)
    return found
