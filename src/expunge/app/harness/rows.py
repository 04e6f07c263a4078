"""The user's own rows as a task of lm-evaluation-harness: read, asked, and what came back in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp
from pathlib import Path
from typing import Any

from expunge.app.harness.metrics import gibberish_rate, refusal_rate, rouge_l_recall, value_recall
from expunge.facts.errors import InputError
from expunge.modalities.text_tokens import Template
from expunge.sources.records import read_rows
from expunge.statistics.declining import declines


def read(rows: str = "", prompt: str = "", answer: str = "", **_: Any) -> Mapping[str, Any]:
    """Return a file's rows (JSONL, CSV, Parquet, npz) as a data set of one split, `test`; what --metadata gives comes in here.

    `prompt` and `answer` name columns where they are not found by themselves. Questions are put as Expunge puts them to a model
    without a chat template.
    """
    from datasets import Dataset

    if not rows:
        raise InputError("the tasks of Expunge read your own rows", do="lm-eval run --metadata rows=FILE")
    found = read_rows(
        Path(rows), {field: name for field, name in (("prompt", prompt), ("answer", answer)) if name}, "rows"
    )
    if not len(found):
        raise InputError(f"{rows} holds no rows")
    items = [
        {
            "asked": f"{Template().before}{row['prompt']}{Template().between}".rstrip(" ") if row.get("prompt") else "",
            "answer": str(row["answer"]),
            "value": str(row.get("value") or ""),
            "candidates": [
                str(row["answer"]),
                *dict.fromkeys(str(text) for text in row.get("perturbed_answers") or ()),
            ],
        }
        for row in found
    ]
    return {"test": Dataset.from_list(items)}


def said(row: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Return what one greedy answer is worth, as Expunge's metrics of the same names have it.

    Rows whose own answer declines count for no refusal rate, rows without a value for no recall of it: lm-eval averages each over
    the rows that have it.
    """
    answer, texts = [row["answer"]], [results[0].strip()]
    found = {"gibberish_rate": gibberish_rate(answer, texts), "rouge_l_recall": rouge_l_recall(answer, texts)}
    if not declines(row["answer"]):
        found["refusal_rate"] = refusal_rate(answer, texts)
    if row["value"]:
        found["value_recall"] = value_recall([row["value"]], texts)
    return found


def mass(row: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """Return the probability of the row's own answer, of its wrong ones together, and the share of the own one among all.

    lm-eval sums log p over an answer's tokens without the end of the sequence and does not say how many there are, so that these
    are probabilities of whole answers that may go on, and no means a token.
    """
    true, *wrong = (exp(total) for total, _ in results)
    if not wrong:
        return {"mass_true": true}
    return {"mass_true": true, "mass_wrong": sum(wrong), "true_share": true / (true + sum(wrong))}
