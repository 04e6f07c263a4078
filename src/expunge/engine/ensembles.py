"""Members trained on shards of the rows, behind the one adapter: what SISA and S3T forget from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from expunge.contract.job import Job
from expunge.contract.model import Batch, Capabilities, Model, Question, Sites
from expunge.engine.averaging import check_can_be_averaged, mean_of
from expunge.engine.fit import fit, seeded, starting
from expunge.engine.positions import segment_sum
from expunge.engine.predict import prediction
from expunge.engine.staged import Staged, load_staged, save_staged
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows

CHECKPOINT = "before-slice-{}.checkpoint"
BASE, ROWS = "base.checkpoint", "rows.checkpoint"


@dataclass
class Ensemble:
    """Shard members whose predictions are averaged: probabilities, else numbers or noise. A member that no row trained has no vote.

    A regression predicts the mean of its members' numbers, and its loss is half the squared error of that mean in the task's own standard
    deviations: the likelihood of one Gaussian around the ensemble's prediction. The mixture of the members' Gaussians, which a mean of
    probabilities would be, has another loss, from which the error of what is predicted cannot be read as the one pass reads it. A
    diffusion model predicts the mean of its members' noise, in its loss and at every step of drawing. By convexity neither loss is above
    the members' mean loss.

    A row belongs to shard and slice by a hash of (seed, row id), so that a row's place never depends on other rows. `rows` are
    the hashes of the rows that are in: what was forgotten is known from not being among them, and `contents` maps each to a hash of what
    the row says, by which it is known under another id. To forget from, SISA keeps
    `checkpoints[shard][slice]`, a member's weights before that slice; S3T keeps `base`, the weights below every stage, and
    `copies[shard]`, the models of a shard that read its slices in other orders. `risk` names the field of a row that decides its slice.
    """

    members: list[Model]
    shards: int
    slices: int
    seed: int
    checkpoints: list[list[dict[str, Tensor]]]
    rows: frozenset[int] = frozenset()
    contents: Mapping[int, int] = field(default_factory=dict)
    silent: frozenset[int] = frozenset()
    base: dict[str, Tensor] = field(default_factory=dict)
    copies: list[list[Staged]] = field(default_factory=list)
    risk: str = ""
    from_base_model: bool = False
    module: nn.Module = field(init=False)
    modality: str = field(init=False)
    capabilities: Capabilities = field(init=False)

    def __post_init__(self) -> None:
        first = self.members[0]
        check_can_be_averaged(first)
        self.module = nn.ModuleList([member.module for member in self.members])
        self.modality = first.modality
        self.capabilities = replace(first.capabilities, features=False, generate=False)

    @classmethod
    def empty(cls, model: Model, *, shards: int, slices: int, seed: int) -> Ensemble:
        """Return untrained members, each with weights drawn under a seed of its own."""
        members = [kind_of(model).fresh(_seed(seed, shard)) for shard in range(shards)]
        return cls(members, shards, slices, seed, [[] for _ in range(shards)])

    @classmethod
    def staged(cls, base: Model, *, shards: int, slices: int, seed: int, risk: str = "") -> Ensemble:
        """Return members that are all `base`, and no stages yet."""
        members = [base.copy() for _ in range(shards)]
        nothing: list[list[dict[str, Tensor]]] = [[] for _ in range(shards)]
        found = cls(members, shards, slices, seed, nothing, base=_cloned(base.module.state_dict()), risk=risk)
        found.copies = [[] for _ in range(shards)]
        return found

    def place(self, row_id: str) -> tuple[int, int]:
        """Return the (shard, slice) of a row."""
        value = self.tag(row_id)
        return value % self.shards, value // self.shards % self.slices

    def tag(self, row_id: str) -> int:
        """Return the hash that a row is placed by and known by."""
        return int.from_bytes(hashlib.blake2b(f"{self.seed}/{row_id}".encode(), digest_size=8).digest(), "big")

    def place_of(self, row: Row) -> tuple[int, int]:
        """Return the (shard, slice) of a row; where `risk` names a field, its chance to be asked to go decides the slice."""
        shard, part = self.place(row.id)
        if not self.risk:
            return shard, part
        chance = row.get(self.risk)
        if not isinstance(chance, (int, float)) or not 0 <= chance <= 1:
            raise InputError(f"row {row.id!r}: {self.risk} is {chance!r}", do="give every row a chance between 0 and 1")
        return shard, min(self.slices - 1, int(chance * self.slices))

    def tags(self, row: Row) -> frozenset[int]:
        """Return what is kept of a row that is in; where its risk placed it, that place too."""
        placed = {self.tag(f"{row.id}/{self.place_of(row)[1]}")} if self.risk else set()
        return frozenset({self.tag(row.id), *placed})

    def content(self, row: Row) -> int:
        """Return the hash of what a row says, whatever its id."""
        return int.from_bytes(hashlib.blake2b(row.content(), digest_size=8, salt=b"content").digest(), "big")

    def take_in(self, rows: Iterable[Row]) -> None:
        """Note which rows are in, before they are trained on."""
        given = list(rows)
        self.rows = frozenset().union(*(self.tags(row) for row in given))
        self.contents = {self.tag(row.id): self.content(row) for row in given}

    def let_go(self, rows: Iterable[Row]) -> None:
        """Note that rows are no longer in."""
        gone = frozenset().union(*(self.tags(row) for row in rows))
        self.rows -= gone
        self.contents = {tag: content for tag, content in self.contents.items() if tag not in gone}

    def held(self, rows: Iterable[Row]) -> list[Row]:
        """Return those of `rows` that are in. Refused is a row that says another thing than it did, or is in under another id alone."""
        given = list(rows)
        found = [row for row in given if self.tag(row.id) in self.rows]
        changed = [row.id for row in found if self.contents.get(self.tag(row.id)) != self.content(row)]
        if changed:
            raise InputError(
                f"row {changed[0]!r} is not what was learnt under this id",
                causes=("its content changed", "ids are numbers of lines, and lines moved"),
                do="give the row as it was when the ensemble was prepared",
            )
        leaving = {self.tag(row.id) for row in found}
        stay = {content for tag, content in self.contents.items() if tag not in leaving}
        renamed = [row.id for row in given if self.tag(row.id) not in leaving and self.content(row) in stay]
        if renamed:
            raise InputError(
                f"{len(renamed)} rows are not in this ensemble under their ids, but the same contents are, under others; the first is "
                f"{renamed[0]!r}",
                causes=("ids changed since the ensemble was prepared", "the same row was learnt twice"),
                do="give rows under the ids that they were learnt under",
            )
        return found

    def check_whole(self, held: Sequence[Row], retain: Sequence[Row]) -> None:
        """Refuse retain rows that are not in, that changed, or that are not all but `held`: what is trained on again is what stays."""
        given = {self.tag(row.id): row for row in retain}
        foreign = [row for tag, row in given.items() if self.contents.get(tag) != self.content(row)]
        if foreign:
            self.pack(foreign)  # a row that cannot be read says so first
            raise InputError(
                f"{len(foreign)} retain rows are not in this ensemble as they are given, {foreign[0].id!r} among them",
                causes=(
                    "an earlier request had them forgotten",
                    "they are new",
                    "they changed since the ensemble was prepared",
                ),
                do="leave them out of the retain rows, or give them as they were",
            )
        left = len(self.contents.keys() - given.keys() - {self.tag(row.id) for row in held})
        if left:
            raise InputError(
                f"{left} rows of this ensemble are in neither forget nor retain",
                causes=("the retain rows are not whole",),
                do="give every row that stays: touched shards are trained again on them",
            )

    @property
    def voting(self) -> list[Model]:
        """Members that were trained on some row."""
        return [member for shard, member in enumerate(self.members) if shard not in self.silent]

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

    @property
    def mean(self) -> Model:
        """The members with a vote as one model without logits, around the mean of their networks; it shares their weights."""
        return mean_of(self.voting)

    def logits(self, batch: Batch) -> Tensor:
        """Return log of the mean of the members' probabilities, (positions, classes); members without any refuse."""
        logs = torch.stack([torch.log_softmax(member.logits(batch).float(), dim=-1) for member in self.voting])
        return torch.logsumexp(logs, dim=0) - torch.log(torch.tensor(float(len(logs))))

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        """Return -log of the mean probability, summed over an example's positions, else the loss of the mean prediction, (size,)."""
        if not self.capabilities.logits:
            return self.mean.total_loss(batch, noise)
        losses = nn.functional.nll_loss(self.logits(batch), batch.targets, reduction="none")
        return segment_sum(losses, batch.owner, batch.size)

    def predict(self, batch: Batch) -> Tensor:
        """Return log of the mean of the members' probabilities, (size, classes), or the mean of the numbers they predict, (size, 1)."""
        return self.logits(batch) if self.capabilities.logits else prediction(self.mean, batch)

    def sample(self, conditions: Sequence[str], **how: Any) -> Tensor:
        """Return what the mean of the members' noise draws, (prompts, C, H, W), by a diffusion model's own `sample`."""
        drawing: Any = None if self.capabilities.logits else self.mean
        if not hasattr(drawing, "sample"):
            raise InputError(f"an ensemble of {self.modality} models draws nothing", do="ask a diffusion model")
        found: Tensor = drawing.sample(conditions, **how)
        return found

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
        """Return an independent copy, with all that is kept."""
        return replace(
            self,
            members=[member.copy() for member in self.members],
            checkpoints=[[_cloned(state) for state in states] for states in self.checkpoints],
            copies=[[one.copy() for one in copies] for copies in self.copies],
        )

    def fresh(self, seed: int) -> Self:
        """Return untrained members under another seed."""
        return replace(Ensemble.empty(self, shards=self.shards, slices=self.slices, seed=seed))  # type: ignore[return-value]

    def save(self, directory: Path) -> None:
        """Write each member's directory, all that is kept to forget from, and `expunge.json`."""
        from safetensors.torch import save_file

        kept = []
        for shard, member in enumerate(self.members):
            folder = directory / f"member-{shard}"
            member.save(folder)
            for part, state in enumerate(self.checkpoints[shard]):
                save_file(_cloned(state), folder / CHECKPOINT.format(part))
            kept.append(save_staged(self.copies[shard], folder) if self.copies else [])
        if self.base:
            save_file(_cloned(self.base), directory / BASE)
        kept_rows = {
            "rows": _signed(sorted(self.rows)),
            "tags": _signed(self.contents),
            "contents": _signed(self.contents.values()),
        }
        save_file(kept_rows, directory / ROWS)
        facts: dict[str, Any] = {"kind": "ensemble", "shards": self.shards, "slices": self.slices, "seed": self.seed}
        facts |= {"silent": sorted(self.silent), "risk": self.risk, "from_base_model": self.from_base_model}
        facts["copies"] = kept if self.copies else []
        (directory / "expunge.json").write_text(json.dumps(facts, indent=1))

    @classmethod
    def opened(cls, members: list[Model], directory: Path, facts: Mapping[str, Any], device: str) -> Ensemble:
        """Return what `save` wrote, around the members that were loaded from it."""
        from safetensors.torch import load_file

        folders = [directory / f"member-{shard}" for shard in range(int(facts["shards"]))]
        rows = {name: [tag + 2**63 for tag in found.tolist()] for name, found in load_file(directory / ROWS).items()}
        kept = [sorted(folder.glob(CHECKPOINT.format("*")), key=_number) for folder in folders]
        return cls(
            members,
            len(folders),
            int(facts["slices"]),
            int(facts["seed"]),
            [[load_file(path, device=device) for path in paths] for paths in kept],
            rows=frozenset(rows["rows"]),
            contents=dict(zip(rows["tags"], rows["contents"], strict=True)),
            silent=frozenset(facts["silent"]),
            base=load_file(directory / BASE, device=device) if facts["copies"] else {},
            copies=[load_staged(one, folder, device) for one, folder in zip(facts["copies"], folders, strict=False)],
            risk=str(facts["risk"]),
            from_base_model=bool(facts["from_base_model"]),
        )


def _signed(hashes: Iterable[int]) -> Tensor:
    """Return unsigned hashes as signed numbers, which a file of tensors holds."""
    return torch.tensor([number - 2**63 for number in hashes], dtype=torch.int64)


def _cloned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors that share no memory, not even with each other (tied weights)."""
    return {name: tensor.detach().contiguous().clone() for name, tensor in state.items()}


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def kind_of(model: Model) -> Model:
    """Return one model of the architecture of the members, or the model itself."""
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
        first = starting(kind_of(ensemble), _seed(ensemble.seed, shard), job)
        member.module.load_state_dict(first.module.state_dict())
    kept = kept[:from_slice]
    places = [ensemble.place_of(row) for row in rows]
    mine = any(place[0] == shard for place in places)
    ensemble.silent = ensemble.silent - {shard} if mine else ensemble.silent | {shard}
    epochs = max(1, recipe.epochs // ensemble.slices)
    for part in range(from_slice, ensemble.slices):
        kept.append(_cloned(member.module.state_dict()))
        chosen = [i for i, (s, p) in enumerate(places) if s == shard and p <= part]
        if chosen:
            piece = recipe.model_copy(update={"epochs": epochs, "seed": recipe.seed + 1000 * shard + part})
            with seeded(job, piece.seed) as own:
                fit(member, rows.take(chosen), piece, job=own, label=f"shard {shard} slice {part}")
    ensemble.checkpoints[shard] = kept
