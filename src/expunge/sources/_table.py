"""Read JSON lines, CSV, Parquet and npz as records, each with the place it stands at, for errors that name it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from expunge.facts.errors import InputError

Record = tuple[str, dict[str, Any]]
SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".npz")


def read_table(path: Path) -> list[Record]:
    """Return (place, record) of every record, place being `file:line`; the suffix says the format, `.gz` may follow it."""
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if kind not in SUFFIXES:
        raise InputError(
            f"{path} ends in {path.suffix or 'nothing'}", do=f"name it {', '.join(SUFFIXES)} or those + .gz"
        )
    if kind in (".parquet", ".npz"):
        found = list(_parquet(path) if kind == ".parquet" else _npz(path))
    else:
        text = read_text(path)
        found = list(_csv(path, text) if kind == ".csv" else _json(path, text))
    if not found:
        raise InputError(f"{path} holds no rows", causes=("the file is empty, or is only a header",))
    return found


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, gzipped or not; a byte that is not UTF-8 is an error with its line."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", do="check the path") from error
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} is not a whole gzip file: {error}", do="copy or download it again") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: byte {data[error.start]:#04x} is not UTF-8",
            causes=("the file was saved in another encoding (Windows-1252, UTF-16)",),
            do=f"iconv -f WINDOWS-1252 -t UTF-8 {path.name}",
        ) from error


def _json(path: Path, text: str) -> Iterator[Record]:
    """JSON lines; a file that is one JSON list is read as well."""
    if text.lstrip().startswith("["):
        try:
            items = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{error.lineno}: broken JSON: {error.msg} (column {error.colno})") from error
        places = [(f"{path}: item {i}", item) for i, item in enumerate(items)]
    else:
        places = list(_json_lines(path, text))
    for place, item in places:
        if not isinstance(item, dict):
            raise InputError(f"{place}: a JSON object is needed, this is a {type(item).__name__}")
        yield place, item


def _json_lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield f"{path}:{number}", json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(
                    f"{path}:{number}: broken JSON: {error.msg} (column {error.colno})",
                    causes=("a line was cut off, or one record spreads over several lines",),
                    do="write one JSON object a line",
                ) from error


def _csv(path: Path, text: str) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise InputError(f"{path}:1: the column {twice[0]!r} stands in the header twice", do="rename one of them")
        for cells in reader:
            if not cells:
                continue
            place = f"{path}:{reader.line_num}"
            if len(cells) != len(header):
                raise InputError(
                    f"{place}: {len(cells)} cells under {len(header)} columns", causes=("a comma outside quotes",)
                )
            yield place, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: broken CSV: {error}") from error


def _parquet(path: Path) -> Iterator[Record]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise InputError(f"{path} needs pyarrow", do='pip install "expunge[parquet]"') from error
    try:
        items = ParquetFile(path).read().to_pylist()
    except (OSError, ArrowException) as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from error
    for number, item in enumerate(items):
        yield f"{path}: row {number}", item


def _npz(path: Path) -> Iterator[Record]:
    """One array a column, one entry a row; arrays of objects are not unpickled."""
    try:
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as found:
            columns = {name: found[name] for name in found.files}
    except (OSError, ValueError, RuntimeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read as npz without pickle: {error}", do="np.savez(path, image=..., label=...)"
        ) from error
    lengths = {name: len(column) if column.ndim else 0 for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        words = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"{path}: its arrays have different lengths: {words}", do="give each one entry a row")
    for number in range(next(iter(lengths.values()), 0)):
        entries = {name: column[number] for name, column in columns.items()}
        yield f"{path}: row {number}", {k: v.item() if v.ndim == 0 else v for k, v in entries.items()}
