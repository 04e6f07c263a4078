"""The world of skills: small functions of strings, each computed here and asked in one form."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

LETTERS = "abcdefgh"
LENGTH = 4
YES_NO = ("no", "yes")


@dataclass(frozen=True)
class Skill:
    """One function of a string: its name, what the answer is, and the closed list of answers where there is a short one."""

    name: str
    solve: Callable[[str], str]
    answers: tuple[str, ...] = ()


def shifted(text: str) -> str:
    """Return the next letter for each letter, the last one turning to the first."""
    return "".join(LETTERS[(LETTERS.index(letter) + 1) % len(LETTERS)] for letter in text)


def drawn(draw: random.Random) -> str:
    """Return a string of LENGTH letters, each as likely as any other."""
    return "".join(draw.choices(LETTERS, k=LENGTH))


SINGLE = tuple(LETTERS)
EARLY = LETTERS[:LENGTH]
SKILLS = (
    Skill("copy", str),
    Skill("shift", shifted),
    Skill("first", lambda text: text[0], SINGLE),
    Skill("last", lambda text: text[-1], SINGLE),
    Skill("after", lambda text: shifted(text[-1]), SINGLE),
    Skill("early", lambda text: YES_NO[text[0] in EARLY], YES_NO),
)
