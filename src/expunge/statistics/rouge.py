"""ROUGE-L of two texts: the longest common subsequence of their stemmed words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from expunge.facts.errors import InputError
from expunge.statistics.porter import stem

WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, kw_only=True)
class Rouge:
    """Recall (share of the reference's words found in order), precision and their harmonic mean."""

    recall: float
    precision: float
    f1: float


@lru_cache(maxsize=2**14)
def words(text: str) -> tuple[str, ...]:
    """Return the lower-case words of a text, those over three letters stemmed."""
    return tuple(stem(word) if len(word) > 3 else word for word in WORD.findall(text.lower()))


def rouge_l(reference: str, said: str) -> Rouge:
    """Return ROUGE-L of what was said against a reference; a reference without words has none and is an error.

    With LCS the length of the longest common subsequence: recall = LCS / words of the reference, precision = LCS / words said.
    Source: Lin 2004. Equal to rouge-score's rougeL with use_stemmer=True.
    """
    from rapidfuzz.distance import LCSseq

    wanted, found = words(reference), words(said)
    if not wanted:
        raise InputError(f"the reference {reference[:40]!r} has no word to find")
    common = LCSseq.similarity(wanted, found)
    recall, precision = common / len(wanted), common / len(found) if found else 0.0
    return Rouge(recall=recall, precision=precision, f1=2 * common / (len(wanted) + len(found)))
