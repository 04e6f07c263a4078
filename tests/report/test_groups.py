"""Which records are seeds of one method, and which may share a page."""

from __future__ import annotations

import pytest
import report_records as make

from expunge.facts.errors import InputError
from expunge.facts.record import Record
from expunge.report.anchors import anchors
from expunge.report.groups import requests, subjects


def test_seeds_of_one_method_are_one_row_and_references_stand_last(run_records: list[Record]) -> None:
    """12 removals are 4 methods of seeds 0, 1, 2. Fails if the seed enters the key or references are counted as methods."""
    found = subjects(list(reversed(run_records)))
    assert [(one.label, one.seeds, one.reference) for one in found] == [
        ("retrain", (0, 1, 2), False),
        ("random_label+saliency", (0, 1, 2), False),
        ("ascent", (0, 1, 2), False),
        ("npo", (0, 1, 2), False),
        ("second retrained (noise floor)", (0,), True),
        ("do nothing", (0,), True),
    ]
    assert [one.series for one in found] == ["s0", "s1", "s2", "s3", "control", "target"]


def test_methods_of_one_name_are_told_apart_by_the_settings_that_differ() -> None:
    """Fails if two settings share a label, or a setting in which they agree is printed."""
    records = [make.record("npo", settings={"beta": beta, "lr": 0.001}) for beta in (0.1, 0.5)]
    assert [one.label for one in subjects(records)] == ["npo (beta=0.1)", "npo (beta=0.5)"]


def test_records_that_differ_outside_settings_and_labels_are_numbered() -> None:
    """Fails if a second method with the same label takes the first one's name."""
    records = [make.record("npo", assumptions=assumptions) for assumptions in ((), ("convex",))]
    assert [one.label for one in subjects(records)] == ["npo", "npo #2"]


def test_records_of_two_requests_are_kept_apart() -> None:
    """Fails if numbers of two forget sets may stand in one table; salts and labels alone do not make two requests."""
    one, two = make.record("npo"), make.record("ascent")
    salted = two.model_copy(update={"request": {**two.request, "commitment": "another salt"}})
    assert requests([one, salted]) == ((one, salted),)
    other, longer = make.record("ascent", request="digits"), make.record("ascent", n=60)
    assert requests([one, other, longer, two]) == ((one, two), (other,), (longer,))
    with pytest.raises(InputError, match="no record"):
        requests([])


def test_anchors_come_from_roles(run_records: list[Record]) -> None:
    """Each anchor's number is its own model's. Fails if the second retrained row repeats the first, or do nothing the unlearned model."""
    key = ("probability", "forget")
    values = {one.key: [score.value for score in one.scores[key]] for one in anchors(run_records)}
    measured = {m.model: m.score.value for m in run_records[0].measurements if (m.metric, m.split) == key}
    assert values == {
        "target": [measured["target"]],
        "retrained": [measured["retrained-0"]],
        "second": [measured["retrained-1"]],
        "everyone": [measured["retrained-0"], measured["retrained-1"], measured["retrained-2"]],
        "untrained": [measured["untrained"]],
    }
    assert values["retrained"] != values["second"]


def test_reference_records_stand_in_where_no_model_has_the_role() -> None:
    """Fails if a page without retrained models in its records loses the retrained row that a reference record gives."""
    alone = make.record("npo", retrained=0, item=True)
    reference = make.record("second_retrained", retrained=0, item=True, leaks={})
    keys = [one.key for one in anchors([alone, reference])]
    assert keys == ["target", "second", "untrained"]
