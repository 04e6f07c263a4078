"""Skills: what the functions return, and that nothing asked beside the forget rows was trained."""

from __future__ import annotations

from collections import Counter

import protocols
import pytest

from expunge.contract.splits import Splits
from expunge.sources._skills_world import SKILLS
from expunge.sources.skills import Skills

SMALL = {"trained": 40, "unseen": 10, "held": 6, "tested": 4}


def test_the_functions() -> None:
    """Of hacd and bhca, by hand. Fails if a function is another, the last letter is not followed by the first, or a list lacks an answer."""
    found = {skill.name: (skill.solve("hacd"), skill.solve("bhca")) for skill in SKILLS}
    assert found == {
        "copy": ("hacd", "bhca"), "shift": ("abde", "cadb"), "first": ("h", "b"),
        "last": ("d", "a"), "after": ("e", "b"), "early": ("no", "yes"),
    }  # fmt: skip
    for skill in SKILLS:
        assert not skill.answers or set(found[skill.name]) <= set(skill.answers)


def test_only_forget_and_retain_are_trained() -> None:
    """Six skills: 40 to forget, 5 x 40 to retain, 10 of each asked, 6 held, 5 x 4 tested.

    Fails if an example stands in two sets, or one of the forgotten skill in retain, test or the set of another skill.
    """
    found = Skills(skill="last", **SMALL).run()  # type: ignore[arg-type]
    others = [skill.name for skill in SKILLS if skill.name != "last"]
    sizes = {name: len(rows) for name, rows in found.items()}
    assert sizes == {
        "forget": 40, "retain": 200, "holdout": 6, "test": 20, "forget/unseen": 10, **{f"skill/{name}": 10 for name in others},
    }  # fmt: skip
    prompts = Counter(row["prompt"] for rows in found.values() for row in rows)
    assert set(prompts.values()) == {1}
    for name, rows in found.items():
        of = {row["skill"] for row in rows}
        assert of == (
            {"last"} if name in ("forget", "holdout", "forget/unseen") else {name[6:]} if "/" in name else set(others)
        )
    for row in found["forget"]:
        assert row["prompt"].removeprefix("last ")[-1] == row["answer"] == row["value"]
    Splits.of(**{name: found[name] for name in ("forget", "retain", "holdout", "test")})


def test_the_target_is_the_same_whichever_skill_goes() -> None:
    """Fails if examples depend on the skill to forget: every skill would train a target of its own."""
    one, other, drawn = (
        Skills(skill=name, seed=seed, **SMALL).run()  # type: ignore[arg-type]
        for name, seed in (("last", 0), ("copy", 0), ("last", 1))
    )
    trained = [
        {row.id: row.content() for name in ("forget", "retain") for row in found[name]} for found in (one, other, drawn)
    ]
    assert trained[0] == trained[1]
    assert len(trained[0]) == 240
    assert trained[0] != trained[2]
    assert {row.content() for row in one["forget/unseen"]} == {row.content() for row in other["skill/last"]}


def test_what_is_refused() -> None:
    """Fails if a misspelt skill, a world of one skill or an empty set goes through."""
    for bad, text in (
        ({"skill": "lsat"}, "unknown skills lsat"),
        ({"skill": "last", "skills": ("last",)}, "at least one other"),
        ({"skill": "last", "skills": ("copy", "first")}, "at least one other"),
        ({"unseen": 0}, "at least 1"),
    ):
        with pytest.raises(ValueError, match=text):
            Skills(**bad)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_unseen_examples_are_answered_by_the_target_and_without_the_rows_not_always_none() -> None:
    """Three draws of examples, two skills of three. The target answers all unseen examples. Without a skill's rows a model answers none of
    `copy`, but .40, .87 and .37 of `first`: it takes the unknown word for the skill nearest to it. In the six skills of the defaults it has 0.

    Fails if examples asked are trained, or the skill stands in the retain rows.
    """
    for skill in ("first", "copy"):
        assert protocols.skills(skill).over("target", "skill_accuracy:forget/unseen").low > 0.9
    assert protocols.skills("copy").over("retrained", "skill_accuracy:forget/unseen").high < 0.05
    assert protocols.skills("first").over("retrained", "skill_accuracy:forget/unseen").estimate > 0.2
