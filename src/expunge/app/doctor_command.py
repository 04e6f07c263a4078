"""`expunge doctor`: what is installed, what would break, and whether the store can be written."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from expunge.app.options import DEFAULT_STORE, Store
from expunge.facts.errors import InputError

WANTED = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "accelerate",
    "scikit-learn",
    "rapidfuzz",
    "diffusers",
    "pyarrow",
)
BREAKS = ("torchvision", "torchaudio")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(store: Store = DEFAULT_STORE) -> None:
    """Look at packages, threads, devices and the store; exit 2 where something would break a run."""
    bad = 0
    for fine, words in checks(store):
        bad += not fine
        typer.echo(f"{'ok  ' if fine else 'BAD '} {words}")
    if bad:
        raise InputError(f"{bad} of these would break a run", do="mend the lines marked BAD")


def checks(store: Path) -> Iterator[tuple[bool, str]]:
    """Yield (fine, words) for each thing looked at."""
    yield sys.version_info >= (3, 11), f"python {sys.version.split()[0]}"
    for name in WANTED:
        try:
            yield True, f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            yield True, f"{name} is not installed: pip install 'expunge[models]' (or [diffusion], [parquet])"
    for name in BREAKS:
        if importlib.util.find_spec(name) is not None:
            yield (
                False,
                f"{name} is installed; where its build does not match torch's, importing transformers fails: pip uninstall {name}",
            )
    threads = os.environ.get("OMP_NUM_THREADS")
    policy = os.environ.get("OMP_WAIT_POLICY", "")
    yield (
        True,
        f"OMP_NUM_THREADS={threads or 'unset (expunge takes 1)'}, OMP_WAIT_POLICY={policy or 'unset'}, {os.cpu_count()} cores",
    )
    if importlib.util.find_spec("torch") is not None:
        import torch

        cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield (
            True,
            f"devices: cpu{', ' + ', '.join(cuda) if cuda else ''}{', mps' if torch.backends.mps.is_available() else ''}",
        )
    yield _writable(store)


def _writable(store: Path) -> tuple[bool, str]:
    folder = next(path for path in (store.absolute(), *store.absolute().parents) if path.exists())
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return True, f"store {store} can be written"
    return False, f"store {store} cannot be written; set EXPUNGE_STORE or give --store"
