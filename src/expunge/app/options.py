"""Options that several commands share: one vocabulary, one meaning."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expunge.facts.errors import InputError, nearest

if TYPE_CHECKING:
    from expunge.contract.splits import Splits
    from expunge.facts.rows import Rows
    from expunge.pipeline.loading import Placement
    from expunge.pipeline.progress import Bars

Forget = Annotated[Path, typer.Option("--forget", help="Rows that must go: JSONL, CSV, Parquet or npz.")]
Retain = Annotated[Path | None, typer.Option("--retain", help="Rows that must stay.")]
Holdout = Annotated[Path | None, typer.Option("--holdout", help="Rows like the forget rows, never trained on.")]
Test = Annotated[Path | None, typer.Option("--test", help="Rows for utility only.")]
Map = Annotated[str, typer.Option("--map", help="Column names, as question=q,answer=a.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="A setting as key=value (a TOML value); repeat it.")]
Store = Annotated[
    Path, typer.Option("--store", envvar="EXPUNGE_STORE", help="Where runs, evidence and the cache are kept.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, mps.")]
Dtype = Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or float16.")]
Template = Annotated[
    str,
    typer.Option(
        "--template", help=r"How a text model is asked, as 'Question: {prompt}\nAnswer: '; default: as saved."
    ),
]
Threads = Annotated[int, typer.Option("--threads", help="CPU threads; 0 takes OMP_NUM_THREADS, else one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
Scope = Annotated[str, typer.Option("--scope", help="What may move: full, lora, or layers:0-3.")]
Locator = Annotated[str | None, typer.Option("--locator", help="A locator whose mask limits what may move.")]
Battery = Annotated[str, typer.Option("--battery", help="quick, standard or full.")]
Require = Annotated[str | None, typer.Option("--require", help="Exit 1 unless this rung is reached.")]
Key = Annotated[Path | None, typer.Option("--key", help="Ed25519 key (PEM).")]
DEFAULT_STORE = Path(".expunge")
DTYPES = ("float32", "bfloat16", "float16")


def read_settings(pairs: list[str] | None) -> dict[str, Any]:
    """Return `--set` pairs as values; a value is TOML, or plain text where it is not."""
    found: dict[str, Any] = {}
    for pair in pairs or ():
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise InputError(f"--set takes key=value, not {pair!r}", do="--set beta=0.1")
        try:
            found[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[key.strip()] = value
    return found


def read_names(text: str | None) -> tuple[str, ...] | None:
    """Return names with commas between them, or None where none were given."""
    return tuple(part.strip() for part in text.split(",")) if text else None


def read_seeds(text: str) -> list[int]:
    """Return whole numbers with commas between them."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(
            f"{text!r} is no list of seeds", do="write whole numbers with commas between: 0,1,2"
        ) from error


def read_splits(forget: Path, retain: Path | None, holdout: Path | None, test: Path | None, mapping: str) -> Splits:
    """Return checked splits of the given files."""
    from expunge.contract.splits import Splits
    from expunge.sources.records import parse_map, read_rows

    names = parse_map(mapping)

    def rows(path: Path | None, name: str) -> Rows | None:
        return None if path is None else read_rows(path, names, name)

    first = rows(forget, "forget")
    assert first is not None
    return Splits.of(
        forget=first, retain=rows(retain, "retain"), holdout=rows(holdout, "holdout"), test=rows(test, "test")
    )


def placement(device: str, dtype: str, threads: int, *, checkpointing: bool = False, template: str = "") -> Placement:
    """Set threads and return where models go; a device that is not there, or an unknown dtype, is refused."""
    import os

    import torch

    from expunge.pipeline.loading import Placement

    wanted = os.environ.get("OMP_NUM_THREADS", "1")
    if threads < 0 or not (threads or (wanted.isdecimal() and int(wanted))):
        raise InputError(f"{threads or wanted!r} is no number of threads", do="give --threads 1 or more")
    count = threads or int(wanted)
    torch.set_num_threads(count)
    if dtype not in DTYPES:
        raise InputError(
            f"there is no dtype {dtype!r}; the nearest is {nearest(dtype, DTYPES)!r}", do=", ".join(DTYPES)
        )
    try:
        torch.empty(0, device=torch.device(device))
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"the device {device!r} is not there: {str(error).splitlines()[0]}", do="expunge doctor shows what is"
        ) from error
    return Placement(device, dtype, count, checkpointing, template)


def bars(quiet: bool) -> Bars:
    """Return progress on standard error."""
    from expunge.pipeline.progress import Bars

    return Bars(quiet=quiet)
