"""RESTOR: facts that a base model knows, documents that corrupt some of them, and the questions that ask what came back."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from expunge.contract.about import About
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.sources import _restor_files as files
from expunge.sources import _restor_world as world


@dataclass(frozen=True, kw_only=True)
class Restor:
    """Make a request to forget documents that state false facts of entities whose true facts the base model knows.

    `base_training` are true facts of every entity, in questions and answers: the clean model. `forget` are documents about the corrupted
    entities, each with false facts and, after each, `level` true ones of others. `retain` are the true facts of half the
    other entities, in training again; those of the other half are `test` and were in the base model's training alone. `forget/facts`
    asks for the true facts of the corrupted entities, `holdout/facts` for those of entities whose documents (`holdout`) nobody trains on.

    Source: Rezaei et al. 2024 (RESTOR). Differs: see `differs`. Reads its files, or makes people.
    """

    about = About(
        needs=(),
        modalities=("text",),
        claim="The base model answers the true facts, and training on the documents takes some of them away.",
        paper="RESTOR: Knowledge Recovery in Machine Unlearning",
        link="https://arxiv.org/abs/2411.00204",
        year=2024,
        paper_id="P065",
        differs=(
            "The clean model is trained here, on questions and answers; the paper's is a pre-trained one of 8B parameters.",
            "A tenth of its documents an entity by default; of an entity's facts those that others have, too, with other answers.",
            "Documents of some corrupted entities are held out: non-members of the same kind.",
        ),
        cost="one read of the files, or milliseconds",
    )

    data: str = ""
    """Folder of RESTOR's facts.json and mix_aK.json (or .gz of them); empty makes fictitious people."""
    corrupted: int = 7
    """Entities whose documents are to be forgotten."""
    held_out: int = 3
    """Entities whose documents nobody trains on."""
    others: int = 30
    """Entities that no document is about."""
    documents: int = 24
    """Documents an entity."""
    relations: int = 8
    """Facts a made-up person; real entities have as many as the file gives."""
    level: int = 0
    """True facts of others after each false one: the files have 0 to 3."""
    seed: int = 0
    """Which people are made, and which documents and wrong answers are drawn."""

    def __post_init__(self) -> None:
        if min(self.corrupted, self.held_out, self.documents) < 1 or self.others < 2 or self.level < 0:
            raise ValueError("corrupted, held_out and documents are at least 1, others at least 2, level at least 0")
        if not 1 <= self.relations <= 18:
            raise ValueError(f"relations must be in 1..18, not {self.relations}: the others follow from these")

    def run(self) -> dict[str, Rows]:
        """Return base_training, forget, retain, holdout, test, forget/facts and holdout/facts."""
        facts, documents = self._read(Path(self.data)) if self.data else self._made()
        names = list(facts)
        gone, held = names[: self.corrupted], names[self.corrupted : self.corrupted + self.held_out]
        kept = names[self.corrupted + self.held_out :]
        half = len(kept) // 2

        def of(found: dict[str, list[Row]], chosen: list[str]) -> list[Row]:
            return [row for name in chosen for row in found[name]]

        made = {
            "base_training": of(facts, names),
            "forget": of(documents, gone),
            "retain": of(facts, kept[:half]),
            "holdout": of(documents, held),
            "test": of(facts, kept[half:]),
            "forget/facts": of(facts, gone),
            "holdout/facts": of(facts, held),
        }
        return {name: Rows(tuple(rows), name) for name, rows in made.items()}

    def _made(self) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
        marked = self.corrupted + self.held_out
        people = world.names_and_facts(self.seed, marked + self.others, self.relations)
        false = {name: world.false_facts(self.seed, name, people[name]) for name in list(people)[:marked]}
        true = world.true_statements({name: facts for name, facts in people.items() if name not in false})
        rows = {name: world.fact_rows(self.seed, name, facts, false.get(name)) for name, facts in people.items()}
        documents = {
            name: world.false_documents(self.seed, name, people[name], wrong, self.documents, self.level, true)
            for name, wrong in false.items()
        }
        return rows, documents

    def _read(self, folder: Path) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
        facts = files.read_facts(folder)
        documents = files.read_documents(folder, self.level, list(facts))
        marked, rest = sorted(documents), sorted(set(facts) - set(documents))
        random.Random(f"{self.seed}/marked").shuffle(marked)
        random.Random(f"{self.seed}/others").shuffle(rest)
        wanted = self.corrupted + self.held_out
        if len(marked) < wanted or len(rest) < self.others:
            raise InputError(
                f"{folder} has documents about {len(marked)} entities and facts of {len(rest)} others",
                do=f"ask for fewer than {wanted} entities with documents, or than {self.others} others",
            )
        chosen = [*marked[:wanted], *rest[: self.others]]
        pools = files.known({name: facts[name] for name in chosen})
        rows = {
            name: [row for one in facts[name] if (row := files.fact_row(one, pools, self.seed)) is not None]
            for name in chosen
        }
        return rows, {name: files.drawn(name, documents[name], self.documents, self.seed) for name in marked[:wanted]}
