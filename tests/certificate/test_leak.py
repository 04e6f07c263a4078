"""What a certificate may not repeat, and what names a row."""

from __future__ import annotations

import pytest

from expunge.certificate.leak import refuse_forget_text
from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.sources.people import People


def row(**fields: object) -> Row:
    return Row(id="person-3/birth_city/0", fields={"prompt": "Where was Zoto Zebowo born?", **fields})


def test_the_ids_of_the_demos_rows_may_be_told() -> None:
    """Fails if the name of a fact, which its rows' ids are made of, is taken for a text: the demo could then not sign."""
    forget = People(people=8, forget_people=4, relations=2).run()["forget"]
    refuse_forget_text({"splits": [{"name": "forget", "ids": list(forget.ids)}]}, forget)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"answer": "In Selwyn."}, "row in selwyn"),
        ({"fact": "Zoto Zebowo was born in Selwyn"}, "Zoto Zebowo was born in Selwyn"),
        ({"note": "person-3/birth_city"}, "person-3/birth_city/0"),
    ],
)
def test_texts_are_refused_wherever_they_stand(fields: dict[str, str], said: str) -> None:
    """Fails if a fact that is a text is let through, or any other field because the id has the same words; the message must not repeat it."""
    with pytest.raises(InputError, match="would repeat forget row") as refused:
        refuse_forget_text({"splits": [{"ids": [said]}]}, [row(**fields)])
    assert "Selwyn" not in str(refused.value)
