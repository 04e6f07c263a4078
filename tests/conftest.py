"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from expunge.testbeds.problem import Problem


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


@pytest.fixture(scope="session")
def text_problem() -> Problem:
    """Return the 10-person text problem: target, two retrained models and an untrained one; shared, so change only copies."""
    from expunge.testbeds.text import text_problem as build

    return build()


@pytest.fixture(scope="session")
def vision_problem() -> Problem:
    """Return the digits problem of forgetting the threes, with three retrained models; shared, so change only copies."""
    from expunge.testbeds.vision import class_problem

    return class_problem()


@pytest.fixture(scope="session")
def tabular_problem() -> Problem:
    """Return the planted table's mislabelled rows to forget, with three retrained models; shared, so change only copies."""
    from expunge.testbeds.tabular import tabular_problem as build

    return build()


@pytest.fixture(scope="session")
def diffusion_problem() -> Problem:
    """Return the two-pattern drawing problem, with two retrained models; shared, so change only copies."""
    from expunge.testbeds.diffusion import sides_problem

    return sides_problem()
