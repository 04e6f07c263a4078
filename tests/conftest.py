"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data: $EXPUNGE_DATA, or `shared/data` beside or above the checkout; else skip."""
    named = os.environ.get("EXPUNGE_DATA")
    checkout = Path(__file__).resolve().parents[1]
    places = [Path(named)] if named else [folder / "shared" / "data" for folder in (checkout, *checkout.parents[:2])]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        pytest.skip(f"no real data: {' and '.join(map(str, places))} do not exist; set EXPUNGE_DATA to the folder")
    return found
