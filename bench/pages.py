"""Write a command's tables into a results page whose words are written by hand."""

from __future__ import annotations

import sys
from pathlib import Path


def write_tables(page: Path, script: str, tables: str) -> None:
    """Replace what stands below the page's mark of this script; a page without the mark is refused."""
    mark = f"<!-- below: written by python bench/{script} --page -->"
    above, found, _ = page.read_text().partition(mark)
    if not found:
        sys.exit(f"{page} has no line {mark}")
    page.write_text(f"{above}{mark}\n\n{tables}")
