"""A contradiction of provenance must exceed what retrained models differ among themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from expunge.verdict.reach import reach

Make = Callable[..., Any]
EXACT = {"provenance": "exact", "provenance_checks": ("slice hash",)}


def test_a_retrained_model_among_retrained_models_is_no_contradiction(planted: Make, never: Any) -> None:
    """.52 against ten models between .27 and .5 (mean .39), beyond the row-level margin; one more of them goes to .59 one time in sixty.

    Fails if row-level bounds alone contradict (the false alarm), if the excess is not named, or if the rung is given for free.
    """
    claim = reach(planted().answering(0.52, planted.WIDE, method=EXACT))
    assert (claim.provenance, claim.contradicted, claim.rung) == ("exact", False, "not_shown")
    assert "direct questions exceeds its control, within the noise between control models" in claim.qualifiers
    assert claim.headline.startswith("exact (")


def test_the_same_excess_over_models_that_agree_is_one(planted: Make, never: Any) -> None:
    """Fails if the noise of the models is not measured."""
    claim = reach(planted().answering(0.52, planted.NARROW, method=EXACT))
    assert (claim.contradicted, claim.rung) == (True, "not_shown")
    assert claim.missing[0].startswith("exact is contradicted: direct questions: success 0.520")


def test_what_still_knows_is_contradicted_beside_noisy_models(planted: Make, never: Any) -> None:
    """Fails if noise excuses everything."""
    assert reach(planted().answering(0.98, planted.WIDE, method=EXACT)).contradicted


def test_many_attacks_are_corrected_for(planted: Make, never: Any) -> None:
    """Three tests are looked at: a share lies above one more model's bound at .05, below that at .05 / 3.

    Fails if a contradiction is found once in twenty for each of many attacks.
    """
    from expunge.statistics.equivalence import highest_of_another

    shares = [round(one * 400) / 400 for one in planted.WIDE]
    alone, among = highest_of_another(shares), highest_of_another(shares, alpha=0.05 / 3)
    between = (alone + among) / 2
    assert alone < round(between * 400) / 400 < among
    assert not reach(planted().answering(between, planted.WIDE, method=EXACT)).contradicted


def test_one_control_shows_no_noise(planted: Make, never: Any) -> None:
    """Fails if a single retrained model is taken for one without spread that any excess contradicts, or that none does."""
    assert reach(planted().answering(0.52, (0.38,), method=EXACT)).contradicted
    assert not reach(planted().answering(0.45, (0.38,), method=EXACT)).contradicted


def test_without_provenance_nothing_is_added(planted: Make, never: Any) -> None:
    """Fails if the excess of a method that claims nothing is excused beside its claim."""
    record = planted().answering(0.52, planted.WIDE, method=EXACT)
    plain = record.model_copy(
        update={"method": record.method.model_copy(update={"provenance": "none", "provenance_checks": ()})}
    )
    claim = reach(plain)
    assert (claim.rung, claim.contradicted) == ("not_shown", False)
    assert not any("within the noise" in one for one in claim.qualifiers)


def test_member_attacks_are_measured_by_their_auc(planted: Make, never: Any) -> None:
    """An AUC far above models that agree contradicts. Fails if member scores are averaged in place of ranked."""
    record = planted().record({**never, "loss": 3.0}, controls=5, method=EXACT)
    claim = reach(record)
    assert claim.contradicted
    assert any("loss" in one for one in claim.missing)
