"""Read a model of the transformers library from a local directory: safetensors only, never code or pickle."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from expunge.facts.errors import InputError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
LOCAL: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}


@contextmanager
def reading(directory: Path, what: str) -> Iterator[None]:
    """Say which part of a directory could not be read, whatever the library raises inside the block."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        raise InputError(
            f"{directory}: its {what} cannot be read: {error}",
            causes=("a file is missing or cut off",),
            do="copy the directory again",
        ) from error


def check_safetensors(directory: Path, pattern: str) -> None:
    """Refuse a directory in which nothing has the name of safetensors weights; pickled ones are named, never opened."""
    if any(directory.glob(pattern)):
        return
    pickled = sorted(path.name for kind in PICKLED for path in directory.rglob(kind))
    raise InputError(
        f"{directory} has no safetensors weights" + (f", only pickled ones ({pickled[0]})" if pickled else ""),
        causes=("pickled weights run code when loaded and are never read here",)
        if pickled
        else ("not a model directory",),
        do="save it with save_pretrained(DIR, safe_serialization=True)",
    )


def check_finite(directory: Path, module: Any) -> None:
    """Refuse weights that are not finite."""
    broken = [name for name, p in module.named_parameters() if not bool(torch.isfinite(p).all())]
    if broken:
        raise InputError(
            f"{directory} holds weights that are not finite, the first in {broken[0]}", do="use an intact checkpoint"
        )


def read_pretrained(kind: Any, directory: Path, dtype: str, **more: Any) -> Any:
    """Return the model that a class of the library (`AutoModelFor...`) reads from a directory.

    A tensor that the file lacks is an error: the library would draw it at random. Weights that are not finite are refused.
    """
    if dtype not in DTYPES:
        raise InputError(f"there is no dtype {dtype!r} here", do=f"use one of: {', '.join(DTYPES)}")
    check_safetensors(directory, "*.safetensors")
    with warnings.catch_warnings(), reading(directory, "config or weights"):
        warnings.simplefilter("ignore", FutureWarning)
        module, info = kind.from_pretrained(
            directory, dtype=DTYPES[dtype], use_safetensors=True, output_loading_info=True, **LOCAL, **more
        )
    lacking = sorted(info["missing_keys"])
    if lacking:
        raise InputError(
            f"{directory} lacks {len(lacking)} tensors of its architecture, the first {lacking[0]}",
            causes=("a shard is missing", "it is a model of another kind"),
            do="copy the directory again",
        )
    check_finite(directory, module)
    return module
