"""A store with one request, and rows whose words must never be found in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from expunge.facts.rows import Row, Rows
from expunge.store.store import Store

SECRET = "Quillon Vandermeer lives at Ottersgate nine"


@pytest.fixture
def rows() -> Rows:
    return Rows(tuple(Row(id=f"r{i}", fields={"prompt": f"{SECRET} {i}?", "answer": f"yes {i}"}) for i in range(3)))


@pytest.fixture
def store(tmp_path: Path, rows: Rows) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        opened.open_request("req", rows)
        yield opened
