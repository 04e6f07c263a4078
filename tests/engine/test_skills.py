"""Answered rows, skills and the commonest answer, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from expunge.contract.evidence import Evidence
from expunge.engine.skills import answered, by_skill, commonest
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows


def rows(*answers: str) -> Rows:
    return Rows(
        tuple(Row(id=f"{i}", fields={"answer": a, "skill": "copy" if i % 2 else "last"}) for i, a in enumerate(answers))
    )


def test_answered_exactly() -> None:
    """Of a, b, c said a, ab and nothing: the first. Fails if the chosen rows are read in another order, or a part of what was said counts."""
    given = Evidence(
        name="m",
        role="target",
        modality="text",
        rows={"test": rows("a", "b", "c")},
        generations={"test": [" a\n", "ab", ""]},
    )
    assert answered(given, "test", [2, 0, 1]).tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(InputError, match="nothing was generated"):
        answered(Evidence(name="m", role="target", modality="text", rows={"test": rows("a")}), "test", [0])


def test_skills_and_the_commonest_answer() -> None:
    """Fails if rows of two skills are pooled, or of two answers equally frequent the later by name is taken."""
    given = rows("b", "a", "a", "b", "c")
    assert by_skill(given) == {"last": [0, 2, 4], "copy": [1, 3]}
    np.testing.assert_array_equal(commonest(given, [0, 1, 2, 3, 4]), [0, 1, 1, 0, 0])
    assert commonest(given, []).tolist() == []
