"""Members trained on shards of the rows, behind the one adapter: what SISA and its kin forget from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from expunge.contract.job import Job
from expunge.contract.model import Batch, Capabilities, Model, Question, Sites
from expunge.engine.fit import fit, starting
from expunge.engine.positions import segment_sum
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows


@dataclass
class Ensemble:
    """Shard members whose probabilities are averaged. `checkpoints[shard][slice]` are a member's weights before that slice.

    A row belongs to shard and slice by a hash of (seed, row id), so that a row's place never depends on other rows.
    """

    members: list[Model]
    shards: int
    slices: int
    seed: int
    checkpoints: list[list[dict[str, Tensor]]]
    module: nn.Module = field(init=False)
    modality: str = field(init=False)
    capabilities: Capabilities = field(init=False)

    def __post_init__(self) -> None:
        first = self.members[0]
        if not first.capabilities.logits:
            raise InputError(f"an ensemble averages probabilities, which a {first.modality} model of this kind has not")
        self.module = nn.ModuleList([member.module for member in self.members])
        self.modality = first.modality
        self.capabilities = replace(first.capabilities, features=False, generate=False)

    @classmethod
    def empty(cls, model: Model, *, shards: int, slices: int, seed: int) -> Ensemble:
        """Return untrained members, each with weights drawn under a seed of its own."""
        members = [_kind(model).fresh(_seed(seed, shard)) for shard in range(shards)]
        return cls(members, shards, slices, seed, [[] for _ in range(shards)])

    def place(self, row_id: str) -> tuple[int, int]:
        """Return the (shard, slice) of a row."""
        value = int.from_bytes(hashlib.blake2b(f"{self.seed}/{row_id}".encode(), digest_size=8).digest(), "big")
        return value % self.shards, value // self.shards % self.slices

    @property
    def device(self) -> torch.device:
        """Where the first member is."""
        return self.members[0].device

    def pack(self, rows: Sequence[Row]) -> Batch:
        """Return rows packed as every member reads them."""
        return self.members[0].pack(rows)

    def pack_apart(self, rows: Sequence[Row]) -> Batch:
        """Return rows packed one example a batch row."""
        return self.members[0].pack_apart(rows)

    def questions(self, rows: Sequence[Row]) -> list[Question]:
        """Return prompts with their answers."""
        return self.members[0].questions(rows)

    def pack_questions(self, questions: Sequence[Question]) -> Batch:
        """Return questions packed as every member reads them."""
        return self.members[0].pack_questions(questions)

    def question_cost(self, question: Question) -> int:
        """Return the positions of a question, in all members together."""
        return self.members[0].question_cost(question) * self.shards

    def logits(self, batch: Batch) -> Tensor:
        """Return log of the mean of the members' probabilities, (positions, classes)."""
        logs = torch.stack([torch.log_softmax(member.logits(batch).float(), dim=-1) for member in self.members])
        return torch.logsumexp(logs, dim=0) - torch.log(torch.tensor(float(self.shards)))

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        """Return the negative log of the mean probability, summed over an example's positions, (size,)."""
        losses = nn.functional.nll_loss(self.logits(batch), batch.targets, reduction="none")
        return segment_sum(losses, batch.owner, batch.size)

    def features(self, batch: Batch, at: str) -> Tensor:
        """Refuse: members have no common features."""
        raise InputError("an ensemble has no common features", do="ask a member")

    def relabel(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the batch with other targets."""
        return self.members[0].relabel(batch, generator)

    def noise(self, batch: Batch, generator: torch.Generator) -> Tensor | None:
        """Return the noise the members' loss takes."""
        return self.members[0].noise(batch, generator)

    def sites(self) -> Sites:
        """Return no sites: members have their own."""
        return Sites()

    def copy(self) -> Self:
        """Return an independent copy, checkpoints included."""
        kept = [[{n: t.clone() for n, t in state.items()} for state in states] for states in self.checkpoints]
        return replace(self, members=[member.copy() for member in self.members], checkpoints=kept)

    def fresh(self, seed: int) -> Self:
        """Return untrained members under another seed."""
        return replace(Ensemble.empty(self, shards=self.shards, slices=self.slices, seed=seed))  # type: ignore[return-value]

    def save(self, directory: Path) -> None:
        """Write each member's directory, the kept checkpoints and `expunge.json`."""
        from safetensors.torch import save_file

        for shard, member in enumerate(self.members):
            member.save(directory / f"member-{shard}")
            for part, state in enumerate(self.checkpoints[shard]):
                path = directory / f"member-{shard}" / f"before-slice-{part}.checkpoint"
                save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, path)
        facts: dict[str, Any] = {"kind": "ensemble", "shards": self.shards, "slices": self.slices, "seed": self.seed}
        (directory / "expunge.json").write_text(json.dumps(facts, indent=1))


def _kind(model: Model) -> Model:
    return model.members[0] if isinstance(model, Ensemble) else model


def _seed(seed: int, shard: int) -> int:
    """Return the seed of a member's own weights."""
    return seed + 1000 * shard


def train_member(ensemble: Ensemble, shard: int, rows: Rows, recipe: Recipe, job: Job, *, from_slice: int) -> None:
    """Train a shard from the weights before `from_slice`, on the rows of `rows` that belong to it, keeping new checkpoints."""
    member, kept = ensemble.members[shard], ensemble.checkpoints[shard][: from_slice + 1]
    if from_slice:
        member.module.load_state_dict(kept[from_slice])
    else:
        first = starting(_kind(ensemble), _seed(ensemble.seed, shard), job)
        member.module.load_state_dict(first.module.state_dict())
    kept = kept[:from_slice]
    places = [ensemble.place(row.id) for row in rows]
    epochs = max(1, recipe.epochs // ensemble.slices)
    for part in range(from_slice, ensemble.slices):
        kept.append({name: tensor.detach().clone() for name, tensor in member.module.state_dict().items()})
        chosen = [i for i, (s, p) in enumerate(places) if s == shard and p <= part]
        if chosen:
            piece = recipe.model_copy(update={"epochs": epochs, "seed": recipe.seed + 1000 * shard + part})
            fit(member, rows.take(chosen), piece, job=job, label=f"shard {shard} slice {part}")
    ensemble.checkpoints[shard] = kept
