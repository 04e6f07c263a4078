"""Which rows ask a form."""

from __future__ import annotations

from expunge.contract.evidence import Evidence
from expunge.engine.forms import forms_in, side_forms, successes
from expunge.facts.rows import Row, Rows


def rows(*forms: str) -> Rows:
    return Rows(tuple(Row(id=f"{i}", fields={"form": f, "value": "red", "answer": "red"}) for i, f in enumerate(forms)))


def test_forms_by_side() -> None:
    """Fails if unseen forms are looked for in the trained set, another side's sets are taken, or a row without a form is one.

    Success is of the chosen rows, in their order: said "red", "", "red", rows 0 and 1 -> 1, 0.
    """
    given = {"forget": rows("question", "", "question"), "forget/cloze": rows("cloze"), "holdout/tense": rows("tense")}
    evidence = Evidence("m", "target", "text", given, generations={"forget": ["red", "", "red"]})
    assert forms_in(given["forget"]) == {"question": [0, 2]}
    assert side_forms(evidence, "forget", trained=True) == {"question": ("forget", [0, 2])}
    assert side_forms(evidence, "forget", trained=False) == {"cloze": ("forget/cloze", [0])}
    assert side_forms(evidence, "holdout", trained=True) == {}
    assert successes(evidence, "forget", [0, 1]).tolist() == [1.0, 0.0]
