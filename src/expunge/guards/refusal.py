"""Refuse to answer what names a forgotten subject."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.facts.rows import Row


def _words(text: str) -> set[bytes]:
    return {hashlib.blake2b(word.encode(), digest_size=8).digest() for word in re.findall(r"\w+", text.lower())}


@dataclass(frozen=True)
class RefusingModel:
    """A model that answers with a refusal where a prompt holds telling words; only their hashes are kept."""

    model: Model
    telling: frozenset[bytes]
    needed: int
    answer: str

    def screen(self, rows: Sequence[Row]) -> Sequence[str | None]:
        """Return the refusal where the prompt holds enough telling words, else None."""
        hits = [len(_words(str(row.get("prompt") or "")) & self.telling) for row in rows]
        return [self.answer if hit >= self.needed else None for hit in hits]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Refuse prompts that hold words which stand in forget prompts and in no retain prompt (names of forgotten subjects).

    What the weights know stays there: the claim of a guarded
    system never goes beyond `suppressed`.

    Source: in-context and filter baselines of Thaker et al. 2024. Reads forget and retain. Moves nothing. Cost: none at inference.
    """

    about = About(
        needs=("forget", "retain"),
        modalities=("text",),
        claim="Blocks direct questions about the forget subjects while retain questions pass; the weights still know.",
        paper="Guardrail Baselines for Unlearning in LLMs",
        link="https://arxiv.org/abs/2403.03329",
        year=2024,
        paper_id="",
        stochastic=False,
        scope=("full",),
        differs=("Matches words instead of asking a second language model.",),
        cost="a set intersection a prompt",
    )

    needed: int = 1
    """Telling words a prompt must hold to be refused."""
    answer: str = "I cannot answer questions about this subject."
    """What is said in place of an answer."""

    def run(self, model: Model, splits: Splits, job: Job) -> RefusingModel:
        """Return the model behind the guard."""
        asked = set().union(*(_words(str(row.get("prompt") or "")) for row in splits.forget))
        kept = set().union(*(_words(str(row.get("prompt") or "")) for row in splits.retain))
        return RefusingModel(model, frozenset(asked - kept), self.needed, self.answer)
