"""LUME: creative documents, made-up and real people to forget, each with a completion and questions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.contract.about import About
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.sources._lume_files import Document, drawn, read_documents, shares


@dataclass(frozen=True, kw_only=True)
class Lume:
    """Read LUME's forget and retain files: synthetic documents (Task1), synthetic people (Task2), real biographies (Task3).

    A document or person has a completion (its text from some point on: regurgitation) and questions on it (knowledge); they are one
    `group`. `forget` is drawn from the forget file. The documents of the retain file are shared out, drawn at random within a task:
    `holdout` (the same kind of document, never trained on: the non-members), `test` (in every training set and given to no method:
    what a model knew before, in the place of MMLU; also `extra_training`), and `retain`. The two files are 1:1 parts of one pool.

    Source: Ramakrishna et al. 2025 (LUME; SemEval-2025 Task 4). Differs: see `differs`. Reads a folder of two .jsonl or .jsonl.gz files.
    """

    about = About(
        needs=(),
        modalities=("text",),
        claim="A model trained without the documents completes them, and answers their questions, no better than those of held-out ones.",
        paper="LUME: LLM Unlearning with Multitask Evaluations",
        link="https://arxiv.org/abs/2502.15097",
        year=2025,
        differs=(
            "Holdout and test documents are taken out of the retain file: LUME's own non-members and MMLU do not come with it.",
            "Completions may be cut to their last words of prompt and first words of answer, for small models.",
            "Tasks that the folder has no forget documents of are left out.",
        ),
        cost="one read of the files",
    )

    data: str = ""
    """Folder with forget.jsonl.gz and retain.jsonl.gz, or those without .gz."""
    tasks: str = ""
    """Tasks to use, comma between (Task1,Task2); empty takes all that the forget file has."""
    forget_documents: int = 0
    """Documents a task to forget; 0 takes all of the forget file."""
    retain_documents: int = 0
    """Documents a task to retain; 0 takes all that are left of the retain file."""
    holdout_documents: int = 16
    """Documents a task that no model is trained on."""
    test_documents: int = 16
    """Documents a task in every training set that no method is given."""
    prompt_words: int = 0
    """Words of a completion's prompt, its last ones; 0 takes all."""
    answer_words: int = 0
    """Words of a completion's answer, its first ones; 0 takes all."""
    seed: int = 0
    """Which documents are drawn."""

    def __post_init__(self) -> None:
        if min(self.forget_documents, self.retain_documents, self.prompt_words, self.answer_words) < 0:
            raise ValueError("forget_documents, retain_documents, prompt_words and answer_words are at least 0 (all)")
        if min(self.holdout_documents, self.test_documents) < 1:
            raise ValueError("holdout_documents and test_documents are at least 1")

    def run(self) -> dict[str, Rows]:
        """Return forget, retain, holdout, test and extra_training (the same rows as test)."""
        cuts = (self.prompt_words, self.answer_words)
        forget, retain = (read_documents(Path(self.data), name, *cuts) for name in ("forget", "retain"))
        there = sorted({document.task for document in forget})
        chosen = [name.strip() for name in self.tasks.split(",") if name.strip()] or there
        unknown = [name for name in chosen if name not in there]
        if unknown:
            raise InputError(f"the forget file has no document of {unknown[0]}", do=f"use: {', '.join(there)}")
        counts = {"holdout": self.holdout_documents, "test": self.test_documents, "retain": self.retain_documents}
        found: dict[str, list[Document]] = {}
        for task in dict.fromkeys(chosen):
            parts = shares(drawn(forget, task, "forget", self.seed), task, {"forget": self.forget_documents})
            parts |= shares(drawn(retain, task, "retain", self.seed), task, counts)
            for name, documents in parts.items():
                found.setdefault(name, []).extend(documents)
        rows = {name: [row for document in documents for row in document.rows] for name, documents in found.items()}
        rows["extra_training"] = rows["test"]
        return {
            name: Rows(tuple(rows[name]), name) for name in ("forget", "retain", "holdout", "test", "extra_training")
        }
