"""RWKU's files: a folder a person, or one file a kind for all of them; JSON lists, JSON lines or Parquet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.sources._table import read_table, read_text
from expunge.statistics.rwku import ABILITIES, FILL, QUESTION

Item = dict[str, Any]
NAMES: Mapping[str, tuple[str, ...]] = {
    **{
        name: (name,)
        for name in ("forget_level1", "forget_level2", "forget_level3", "neighbor_level1", "neighbor_level2")
    },
    "forget_mia": ("forget_mia", "mia_forget"),
    "retain_mia": ("retain_mia", "mia_retain"),
    "passage": ("passage", "train_original_passage"),
    "positive": ("positive",),
    "general": ("utility_general", "retain_mmlu"),
    "reasoning": ("utility_reason", "retain_bbh"),
    "truthfulness": ("utility_truthfulness", "truthful"),
    "factuality": ("utility_factuality", "triviaqa"),
    "fluency": ("utility_fluency", "fluency"),
}
"""Names of each kind of file: as the data set's parts are called, and as its own script writes them."""
ENDINGS = (".json", ".jsonl", ".parquet")
KINDS = {
    "prefix": "prefix_injection",
    "affirmative": "affirmative_suffix",
    "role": "role_playing",
    "choice": "multiple_choice",
    "reverse": "reverse_query",
    "synonym": "synonym_manipulation",
    "hint": "background_hint",
    "context": "in_context_learning",
    "lingual": "cross_lingual",
}
"""A word of a `type` by which a kind of probe is known, however the rest of it is spelt."""
BLANK = "Fill in the blank: {}"
LETTERS = "ABCDEFGHIJ"


def read_folder(folder: Path) -> dict[str, list[Item]]:
    """Return the records of each kind of file, each with its `subject`; a record that stands in several files counts once.

    Records of an ability count once whosever folder they stand in: they are about nobody.
    """
    roots = [place for place in (folder, folder / "Target", folder / "RWKU" / "Target") if place.is_dir()]
    places = [*roots, *(place for root in roots for place in sorted(filter(Path.is_dir, root.iterdir()), key=_number))]
    found: dict[str, list[Item]] = {kind: [] for kind in NAMES}
    for kind, names in NAMES.items():
        seen, passed = set(), ("where", "subject") if kind in ABILITIES else ("where",)
        for place in places:
            for path in (path for name in names for path in _files(place, name)):
                for where, item in [] if path.suffix != ".parquet" and _is_empty(path) else read_table(path):
                    named = {"subject": _subject(place), **item, "where": where}
                    content = repr(sorted((key, str(value)) for key, value in named.items() if key not in passed))
                    if content not in seen:
                        seen.add(content)
                        found[kind].append(named)
    if not found["forget_level2"]:
        raise InputError(
            f"{folder} holds no forget_level2 records",
            causes=("it is not a folder in RWKU's format",),
            do="give the folder with forget_level1.json ..., or the one with a folder a person",
        )
    return found


def _files(place: Path, name: str) -> Iterator[Path]:
    yield from (path for ending in ENDINGS if (path := place / f"{name}{ending}").is_file())
    yield from sorted(path for path in place.glob(f"{name}/*") if path.suffix in ENDINGS)


def _is_empty(path: Path) -> bool:
    return read_text(path).strip() in ("", "[]")


def _number(place: Path) -> tuple[int, str]:
    found = re.match(r"\d+", place.name)
    return (int(found.group()) if found else 0, place.name)


def _subject(place: Path) -> str:
    return re.sub(r"^\d+_", "", place.name).replace("_", " ")


def _get(item: Item, key: str) -> Any:
    if item.get(key) in (None, "", []):
        known = ", ".join(name for name in item if name not in ("where", "subject"))
        raise InputError(f"{item['where']}: a record needs {key!r}, this has: {known}")
    return item[key]


def probe_rows(items: Sequence[Item], level: int, name: str) -> list[Row]:
    """Return probes of one level as rows: a query and an answer, and of level 3 the kind that its `type` says."""
    rows = []
    for i, item in enumerate(items):
        query = str(_get(item, "query"))
        fields = {
            "prompt": BLANK.format(query) if level == 1 else query,
            "answer": str(_get(item, "answer")),
            "level": level,
            "probe": {1: FILL, 2: QUESTION}.get(level) or kind_of(str(_get(item, "type"))),
        }
        rows.append(Row(id=f"{name}_level{level}-{i:05d}", fields=fields, group=str(item["subject"])))
    return rows


def kind_of(written: str) -> str:
    """Return the kind of probe that a `type` names; one that is not RWKU's keeps its own name."""
    lower = written.strip().lower()
    return next((kind for word, kind in KINDS.items() if word in lower), re.sub(r"\W+", "_", lower).strip("_"))


def text_rows(items: Sequence[Item], name: str, words: int, most: int) -> list[Row]:
    """Return texts as rows of up to `words` words, `most` a text: a third of the words is the prompt, the rest the answer."""
    rows = []
    for i, item in enumerate(items):
        every = str(_get(item, "text")).split()
        pieces = [every[start : start + words] for start in range(0, len(every), words)][:most]
        for j, piece in enumerate(pieces):
            cut = len(piece) // 3
            fields = {"prompt": " ".join(piece[:cut]), "answer": " ".join(piece[cut:]), "probe": "text"}
            rows.append(Row(id=f"{name}-{i:05d}-{j}", fields=fields, group=str(item["subject"])))
    return rows


def ability_rows(found: Mapping[str, Sequence[Item]], most: int) -> dict[str, list[Row]]:
    """Return `test`, up to `most` rows an ability, and `fluency`; a record of fluency without an output gives an empty answer."""
    made = {"general": _general, "reasoning": _reasoning, "truthfulness": _truthfulness, "factuality": _factuality}
    test = [
        Row(id=f"{ability}-{i:05d}", fields={"ability": ability, **fields(item)})
        for ability, fields in made.items()
        for i, item in enumerate(found[ability][:most])
    ]
    fluency = [
        Row(
            id=f"fluency-{i:05d}",
            fields={
                "ability": "fluency",
                "prompt": str(_get(item, "instruction")),
                "answer": str(item.get("output") or ""),
            },
        )
        for i, item in enumerate(found["fluency"][:most])
    ]
    return {"test": test, "fluency": fluency}


def _lettered(item: Item, options: Sequence[Any]) -> str:
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return "\n".join([str(_get(item, "question")), *lines])


def _general(item: Item) -> Item:
    options = list(_get(item, "choices"))
    right = int(item["answer"])
    shown = [
        f"{_lettered({**one, 'where': item['where']}, one['choices'])}\nAnswer: {LETTERS[int(one['answer'])]}"
        for one in item.get("examples") or ()
    ]
    wrong = tuple(letter for i, letter in enumerate(LETTERS[: len(options)]) if i != right)
    prompt = "\n\n".join([*shown, _lettered(item, options)])
    return {"prompt": prompt, "answer": LETTERS[right], "perturbed_answers": wrong}


def _reasoning(item: Item) -> Item:
    answers = _texts(_get(item, "answer"))
    asked = f"{_get(item, 'question')}\nEnd with: the answer is"
    prompt = "\n\n".join(part for part in (str(item.get("cot") or "").strip(), asked) if part)
    return {"prompt": prompt, "answer": answers[0], "answers": answers}


def _truthfulness(item: Item) -> Item:
    choices = _get(item, "mc1_targets")
    marked = list(zip(choices["choices"], choices["labels"], strict=True))
    right = [str(text) for text, label in marked if label == 1]
    if len(right) != 1 or len(marked) < 2:
        raise InputError(f"{item['where']}: mc1_targets must mark one choice of several, this marks {len(right)}")
    wrong = tuple(str(text) for text, label in marked if label != 1)
    return {"prompt": str(_get(item, "question")), "answer": right[0], "perturbed_answers": wrong}


def _factuality(item: Item) -> Item:
    answers = _texts(_get(item, "answers"))
    return {"prompt": str(_get(item, "question")), "answer": answers[0], "answers": answers}


def _texts(value: Any) -> tuple[str, ...]:
    """Return one text or several as several: a text is not a list of letters."""
    return (value,) if isinstance(value, str) else tuple(str(one) for one in value)
