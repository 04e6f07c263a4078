"""Errors written for a person, and the exit code each one means."""

from __future__ import annotations

import pytest

from expunge.facts import errors
from expunge.facts.errors import InputError, nearest
from expunge.facts.recipe import Recipe


def test_text_says_what_why_and_what_to_type() -> None:
    """Fails if causes or the remedy are left out of what the command prints."""
    error = InputError("it broke", causes=("the moon",), do="wait")
    assert str(error) == error.text() == "it broke\n  likely cause: the moon\n  try: wait"
    assert InputError("it broke").text() == "it broke"


@pytest.mark.parametrize(
    ("name", "code"),
    [("InputError", 2), ("UndeclaredRead", 2), ("Locked", 2), ("ContractBroken", 3), ("Contradicted", 3),
     ("VerificationFailed", 1)],
)  # fmt: skip
def test_exit_codes(name: str, code: int) -> None:
    """DESIGN section 8. Fails if contradicted evidence exits as bad input does, or a failed verification as success."""
    assert getattr(errors, name)("x").exit_code == code


def test_nearest_is_near_in_spelling() -> None:
    """Fails if the first key is offered instead of the nearest, or an empty list breaks it."""
    assert nearest("bta", ("alpha", "beta", "lr")) == "beta"
    assert nearest("zzz", ("alpha",)) == "alpha"
    assert nearest("x", ()) == ""


def test_a_recipe_refuses_what_cannot_train() -> None:
    """Fails if a recipe takes no epochs, a rate of zero or a misspelt key."""
    for given in ({"epochs": 0}, {"lr": 0.0}, {"batch_size": 0}, {"warmup": 1.0}, {"epoch": 3}):
        with pytest.raises(ValueError, match="Recipe"):
            Recipe(**given)  # type: ignore[arg-type]
