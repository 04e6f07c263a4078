"""Write a command's tables into a results page whose words are written by hand."""

from __future__ import annotations

import sys
from pathlib import Path


def _mark(script: str) -> str:
    return f"<!-- below: written by python bench/{script} --page -->"


def read_tables(page: Path, script: str) -> str:
    """Return what stands below the page's mark of this script; a page without the mark is refused."""
    _, found, tables = page.read_text().partition(_mark(script))
    if not found:
        sys.exit(f"{page} has no line {_mark(script)}")
    return tables


def write_tables(page: Path, script: str, tables: str) -> None:
    """Replace what stands below the page's mark of this script; a page without the mark is refused."""
    before = page.read_text().removesuffix(read_tables(page, script))
    page.write_text(f"{before}\n\n{tables}")
