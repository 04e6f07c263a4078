"""A world of skills, one of which is to be forgotten: what was trained, and what was not, of every one."""

from __future__ import annotations

import random
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.facts.rows import Row, Rows
from expunge.sources._skills_world import SKILLS, Skill, drawn


@dataclass(frozen=True, kw_only=True)
class Skills:
    """Make examples of small string functions (copy, the next letters, the last letter...), and forget one of the functions.

    An input is four letters of eight, so that a model which answers examples that it was not trained on has learnt the function. A skill's
    examples are drawn once and dealt out in order: trained, `unseen`, `held`, `tested`; example i is the same whichever skill is to go,
    and so is the target. `forget` holds the trained examples of `skill`, `retain` those of all others. Nobody is trained on the rest:
    `forget/unseen` (did the skill go, or its examples?), `skill/NAME` of each other skill (what went with it), `test` of all others.

    `holdout` has further examples of `skill`, also in no training. To be a member says little here: a model that has the function
    answers members and non-members alike, and one that lost it may have lost either; what membership attacks find is memory of examples.

    Source: after Zhang, Choshen and Andreas 2024 (tasks and splits) and Yuan et al. 2025 (string functions). Differs: see `differs`.
    """

    about = About(
        needs=(),
        modalities=("text",),
        claim="A small model trained from nothing answers examples of each skill that it was not trained on; without a skill's rows, none.",
        paper="Unforgettable Generalization in Language Models",
        link="https://arxiv.org/abs/2409.02228",
        year=2024,
        paper_id="P125",
        differs=(
            "String functions stand in place of language tasks: every answer is computed, and every skill is learnt here.",
        ),
        cost="milliseconds",
    )

    skill: str = "first"
    """Skill to forget."""
    skills: tuple[str, ...] = ()
    """Skills of the world; none for all."""
    trained: int = 400
    """Examples a skill that models are trained on."""
    unseen: int = 100
    """Examples a skill to measure what carries over; in no training."""
    held: int = 100
    """Further examples of `skill` in no training: the non-members."""
    tested: int = 25
    """Examples of every other skill for utility; in no training."""
    seed: int = 0
    """Another seed draws other examples."""

    def __post_init__(self) -> None:
        known = [skill.name for skill in SKILLS]
        wrong = [name for name in (self.skill, *self.skills) if name not in known]
        if wrong:
            raise ValueError(f"unknown skills {', '.join(wrong)}; known are {', '.join(known)}")
        if len(self.names) < 2 or self.skill not in self.names:
            raise ValueError("skills must hold the skill to forget and at least one other")
        if min(self.trained, self.unseen, self.held, self.tested) < 1:
            raise ValueError("trained, unseen, held and tested must be at least 1")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the skills of the world, in its own order."""
        return tuple(skill.name for skill in SKILLS if not self.skills or skill.name in self.skills)

    def run(self) -> dict[str, Rows]:
        """Return forget, retain, holdout, test, forget/unseen and a set for every other skill."""
        found: dict[str, list[Row]] = {name: [] for name in ("forget", "retain", "holdout", "test", "forget/unseen")}
        for skill in (skill for skill in SKILLS if skill.name in self.names):
            rows = self._examples(skill)
            ends = (self.trained, self.trained + self.unseen, self.trained + self.unseen + self.held)
            trained, unseen, held, tested = (
                rows[: ends[0]],
                rows[ends[0] : ends[1]],
                rows[ends[1] : ends[2]],
                rows[ends[2] :],
            )
            if skill.name == self.skill:
                found["forget"], found["forget/unseen"], found["holdout"] = trained, unseen, held
            else:
                found["retain"] += trained
                found[f"skill/{skill.name}"] = unseen
                found["test"] += tested
        return {name: Rows(tuple(rows), name) for name, rows in found.items()}

    def _examples(self, skill: Skill) -> list[Row]:
        draw, inputs = random.Random(f"{self.seed}/{skill.name}"), dict[str, None]()
        while len(inputs) < self.trained + self.unseen + self.held + self.tested:
            inputs[drawn(draw)] = None
        rows = []
        for i, text in enumerate(inputs):
            answer = skill.solve(text)
            fields = {
                "prompt": f"{skill.name} {text}",
                "answer": answer,
                "value": answer,
                "skill": skill.name,
                "kind": skill.name,
                "answers": skill.answers,
            }
            rows.append(Row(id=f"{skill.name}-{i}", fields=fields))
        return rows
