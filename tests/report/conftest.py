"""Records and pages that the tests of this folder share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import report_records as make

from expunge.facts.record import Record
from expunge.report.page import render


@pytest.fixture(scope="session")
def run_records() -> list[Record]:
    """Return four methods by three seeds, do nothing and a second retrained model."""
    return make.run()


@pytest.fixture(scope="session")
def odd_records() -> list[Record]:
    """Return one record of each awkward kind over one request."""
    why = f"the attack needs a reason that goes on for longer than any figure has room for {make.HOSTILE}"
    return [
        make.record("a_method_name_" + "of_great_length_" * 6, unscored_attacks={"relearning": why}),
        make.record("refuse", guard="refusal", leaks={}),
        make.record("never_knew", found=False),
        make.record(
            "hostile", settings={make.HOSTILE: make.HOSTILE}, locator=make.HOSTILE, notes={"unlearned": make.HOSTILE}
        ),
        make.record("exact_one", leaks={}, utility=0.62, provenance="exact", provenance_checks=("same hash",)),
        make.record("npo", without=("paraphrase", "relearning")),
        make.record("w" * 120),
    ]


@pytest.fixture(scope="session")
def run_page(run_records: list[Record]) -> str:
    """Return the page of the whole run."""
    return render(run_records, title="Forty people, eighty facts")


@pytest.fixture(scope="session")
def odd_page(odd_records: list[Record]) -> str:
    """Return the page of the awkward records."""
    return render(odd_records, title=f"Odd {make.HOSTILE}")
