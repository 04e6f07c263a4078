"""A tiny Hugging Face directory that knows fictitious people, the same model without some of them, and the rows as files."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.1,
}
TOWNS = "Almera Brevik Corvale Dunmoor Esker Fallow Garrick Hollin".split()
TRADES = "weaver lutenist cartographer glazier falconer printer saddler brewer".split()


@dataclass(frozen=True)
class Tiny:
    """Directories and files of one tiny request; `target` knows forget and retain rows, `never` only retain rows."""

    folder: Path
    target: Path
    never: Path

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"

    def rows(self, name: str) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.file(name).read_text().splitlines()]

    def files(self, *names: str) -> list[str]:
        """`--forget F --retain R ...` for the named splits."""
        return [part for name in names for part in (f"--{name}", str(self.file(name)))]


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


def people(n: int, seed: int) -> list[dict[str, str]]:
    """`n` fictitious people with two facts in one answer; names of random syllables, so that no row is like another."""
    draw = random.Random(seed)
    names: dict[str, None] = {}
    while len(names) < n:
        names["".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(4)).capitalize()] = None
    return [
        {
            "id": f"p{i}",
            "question": f"Who is {name}?",
            "answer": f"the {draw.choice(TRADES)} of {draw.choice(TOWNS)}, born in {draw.randrange(1700, 1800)}",
        }
        for i, name in enumerate(names)
    ]


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def word_tokenizer(texts: Iterable[str]) -> Any:
    """One token a word or sign of the texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.Whitespace()
    words = sorted({word for text in texts for word, _ in split.pre_tokenize_str(text)})
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["<end>", "<unknown>", *words])}, "<unknown>"))
    core.pre_tokenizer, core.decoder = split, decoders.WordPiece(prefix="##", cleanup=True)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>", pad_token="<end>", unk_token="<unknown>")


def make_tiny(
    folder: Path,
    *,
    forget: int = 8,
    retain: int = 16,
    holdout: int = 8,
    seed: int = 0,
    architecture: str = "llama",
    models: tuple[str, ...] = ("target", "never"),
) -> Tiny:
    """Write the rows, train the target and the model that never saw the forget rows, and save those asked for."""
    import torch

    from expunge.contract.job import Job
    from expunge.engine.fit import fit
    from expunge.facts.recipe import Recipe
    from expunge.facts.rows import Rows
    from expunge.modalities.text_build import new_text_model
    from expunge.sources.records import rows_of

    torch.set_num_threads(1)
    rows = people(forget + retain + holdout, seed)
    parts = {"forget": rows[:forget], "retain": rows[forget : forget + retain], "holdout": rows[forget + retain :]}
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        write_jsonl(folder / f"{name}.jsonl", part)
    texts = [f"Question: {row['question']} Answer: {row['answer']}" for row in rows]
    blank = new_text_model(word_tokenizer(texts), architecture, SIZES, seed=seed)
    recipe = (
        Recipe(epochs=400, lr=5e-3, batch_size=8, stop_loss=0.01)
        if architecture == "gpt2"
        else Recipe(epochs=80, lr=1e-2, batch_size=24, stop_loss=0.03)
    )
    training = {"target": ("forget", "retain"), "never": ("retain",)}
    for name in models:
        splits = training[name]
        trained = Rows(tuple(row for split in splits for row in rows_of(parts[split])), name)
        fit(blank.fresh(seed), trained, recipe, job=Job(seed=seed)).save(folder / name)
    return Tiny(folder, folder / "target", folder / "never")


def expunge(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, one thread, as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "expunge.app.command", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        timeout=300,
    )


def call(*arguments: object) -> Done:
    """Run the command in this process through the real `main`: no second import of torch."""
    from expunge.app.command import main

    before, code = sys.argv, 0
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["expunge", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    finally:
        sys.argv = before
    return Done(code, out.getvalue(), err.getvalue())


FAST = ("--method", "grad_diff", "--set", "epochs=2", "--set", "lr=1e-2", "--quiet")


def forget_with(command: Command, tiny: Tiny, out: Path, *options: object) -> Done:
    """`expunge forget` of the tiny request; it must end well."""
    done = command("forget", "--model", tiny.target, *tiny.files("forget", "retain", "holdout"), *FAST, "--out", out,
                   "--store", out.parent / "store", *options)  # fmt: skip
    assert done.code == 0, (done.out, done.err)
    return done


def texts_of(tiny: Tiny) -> list[str]:
    """What must not be found: questions, answers, and the invented names, which stand nowhere else."""
    rows = tiny.rows("forget")
    return [text for row in rows for text in (row["question"], row["answer"], row["question"].split()[-1].rstrip("?"))]


def files_under(folder: Path) -> list[str]:
    """Every file and folder under a folder, sorted: what a command wrote."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


PLAN = """
[request]
id = "tiny"
source = "records"
[request.settings]
forget = "forget.jsonl"
retain = "retain.jsonl"
holdout = "holdout.jsonl"

[model]
architecture = "llama"
[model.settings]
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 1
num_attention_heads = 2
max_position_embeddings = 128
vocabulary = 300

[recipe]
epochs = 3
lr = 1e-2
batch_size = 8

[[method]]
name = "ascent"
scope = "layers:0"
[method.settings]
epochs = 1

[[method]]
name = "npo"
locator = "magnitude"
seeds = [0, 1]
[method.settings]
epochs = 1

[[method]]
name = "refusal"
guard = true

[verify]
battery = "quick"
max_new_tokens = 4
retain_rows = 4

[seeds]
retrained = [101, 102]
"""
"""A whole river in seconds: one layer, six rows to forget, three removals and a guard."""


def write_plan(folder: Path, text: str = PLAN, *, forget: int = 6, retain: int = 8, holdout: int = 6) -> Path:
    """Write the plan and the rows beside it; nothing is trained."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = people(forget + retain + holdout, 0)
    write_jsonl(folder / "forget.jsonl", rows[:forget])
    write_jsonl(folder / "retain.jsonl", rows[forget : forget + retain])
    write_jsonl(folder / "holdout.jsonl", rows[forget + retain :])
    (folder / "plan.toml").write_text(text, encoding="utf-8")
    return folder / "plan.toml"
