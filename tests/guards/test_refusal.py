"""The refusal guard: what it blocks, what it lets through, and that the weights stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from expunge.contract.apply import guard
from expunge.contract.model import Capabilities
from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.facts.rows import Row, Rows
from expunge.guards.refusal import Refusal, RefusingModel


@dataclass
class Speaker:
    """As much of a language model as a guard looks at."""

    module: nn.Module
    modality: str = "text"
    capabilities: Capabilities = Capabilities(generate=True)


def row(row_id: str, prompt: str) -> Row:
    return Row(id=row_id, fields={"prompt": prompt, "answer": f"answer {row_id}"})


SPLITS = Splits.of(
    forget=Rows((row("f0", "Where was Bolana Terrik born?"), row("f1", "What does Bolana Terrik collect?"))),
    retain=Rows((row("r0", "Where was Sumi Okado born?"), row("r1", "What does Sumi Okado collect?"))),
)


def guarded(**settings: Any) -> RefusingModel:
    found = guard(Refusal(**settings), Speaker(nn.Linear(2, 2)), SPLITS)  # type: ignore[arg-type]
    assert isinstance(found, RefusingModel)
    return found


def test_blocks_forget_subjects_and_lets_the_rest_through() -> None:
    """Fails if words that retain prompts share count as telling, or if case and punctuation hide a name."""
    asked = [
        row("a", "Where was Bolana Terrik born?"),
        row("b", "TERRIK, please: any hobby?"),
        row("c", "Where was Sumi Okado born?"),
        row("d", "What does somebody collect?"),
    ]
    said = guarded(answer="No.").screen(asked)
    assert list(said) == ["No.", "No.", None, None]


def test_needs_as_many_telling_words_as_asked() -> None:
    """Fails if `needed` is not read: one of two names would then be refused too."""
    model = guarded(needed=2, answer="No.")
    assert list(model.screen([row("a", "Is Terrik tall?"), row("b", "Is Bolana Terrik tall?")])) == [None, "No."]


def test_keeps_hashes_only_and_leaves_the_weights() -> None:
    """Fails if forget text is kept in the guard, or the weights inside differ from those given."""
    module = nn.Linear(3, 3)
    before = weights_digest(module)
    found = guard(Refusal(), Speaker(module), SPLITS)  # type: ignore[arg-type]
    assert weights_digest(found.model.module) == before
    assert isinstance(found, RefusingModel)
    assert len(found.telling) == 2
    assert not any(b"bolana" in word or b"terrik" in word for word in found.telling)
    assert torch.is_grad_enabled()
