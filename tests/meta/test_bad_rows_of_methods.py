"""Rows that a model cannot read, through every method that serves images or tables."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
from meta_problems import CLASSES, prepared_by
from small_requests import METHODS, OWN, again, points, request, target
from test_contract_of_methods import method_for

from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a label past the classes": ({"label": CLASSES}, f"the label {CLASSES} is outside 0..{CLASSES - 1}"),
    "a negative label": ({"label": -1}, "the label -1 is outside"),
    "true": ({"label": True}, "the label True is no whole number"),
    "NaN": ({"features": [math.nan] * 8}, "not finite"),
    "infinity": ({"features": [math.inf] * 8}, "not finite"),
    "another width": ({"features": [0.0] * 7}, r"has features \(7,\), the model reads \(8,\)"),
}


def read_by(name: str, split: str, kind: str) -> bool:
    """Return whether a method reads it: laf reads no label, and of forget rows the ensembles read nothing but the id."""
    if name == "laf" and kind in ("a label past the classes", "a negative label", "true"):
        return False
    return split in METHODS[name].about.needs and not (name in ("sisa", "s3t") and split == "forget")


@pytest.mark.parametrize(
    ("name", "split", "kind"),
    [
        (name, split, kind)
        for name in METHODS
        for split in ("forget", "retain")
        for kind in BAD
        if read_by(name, split, kind)
    ],
)
def test_a_bad_row_is_named(name: str, split: str, kind: str) -> None:
    """Fails if a method reads a row past the adapter, or a label outside the classes trains the wrong output; the target stays as it was.

    The bad row is the last of its split. Methods that prepare the target prepare it on the good rows. The command refuses a bad row for
    every method, also for one that would not read it.
    """
    change, words = BAD[kind]
    rows = {"forget": points(32)[:4], "retain": points(32)[4:]}
    start = _start(name)
    rows[split][-1] = rows[split][-1].replace(**change)
    bad = rows[split][-1].id
    splits = Splits({key: Rows(tuple(value), key) for key, value in rows.items()})
    before = weights_digest(start.module)
    method = method_for(METHODS[name], **OWN.get(name, {}))
    with pytest.raises(InputError, match=f"row '{bad}'.*{words}") as refused:
        again(method, start, splits)
    assert refused.value.do
    assert weights_digest(start.module) == before


@cache
def _start(name: str) -> Any:
    """Return the target that a method starts from."""
    method = METHODS[name].create(OWN.get(name))
    if not method.about.before_training:
        return target()
    return prepared_by(method, request(points(32)[:4], points(32)[4:])).target
