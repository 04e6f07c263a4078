"""SISA: sharded, isolated, sliced, aggregated training."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.engine.ensembles import Ensemble, train_member
from expunge.facts.errors import ContractBroken, InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows


@dataclass(frozen=True, kw_only=True)
class SISA:
    """Train shards apart and slice by slice, so that forgetting trains only the touched shards, from the touched slice on.

    A row's shard and slice are a hash of (seed, row id): they do not move when other rows leave. Slice r of a shard is trained by
    running the recipe's epochs, cut into equal whole parts, on slices 0..r; the weights before each slice are kept. To forget, each touched
    shard goes back to the weights before its first touched slice and trains on with the rows that remain. A regression predicts the
    mean of its members' numbers, a diffusion model that of their noise, and the loss is that of this mean.

    Source: Bourtoule et al. 2021. Reads forget and retain. Moves the members of touched shards. Cost: the touched share of training; with
    `check` one more training of one touched shard from nothing.
    """

    about = About(
        needs=("forget", "retain", "recipe"),
        modalities=("text", "vision", "tabular", "diffusion"),
        claim="Bit-identical to sharded training that never saw the forget rows, at a fraction of its cost.",
        paper="Machine Unlearning",
        link="https://arxiv.org/abs/1912.03817",
        year=2021,
        scope=("full",),
        provenance="exact",
        before_training=True,
        stochastic=False,
        differs=(
            "Members are averaged in probability, number or noise; the paper also offers a vote. One whose shard has no row left has none.",
            "An adapter without logits must put other networks in place of its own (`around(module)`), or it is refused.",
            "Retain rows that were forgotten before, are new or changed, or are not all that stay, are refused; rows not in train nothing.",
        ),
        cost="1/shards of training for one forgotten row, times the share of slices after it",
        allowances={
            "split forget": "rows in neither forget nor retain are refused: touched shards are trained again on what stays",
            "split retain": "rows in neither forget nor retain are refused: touched shards are trained again on what stays",
        },
        inert_when={"check": "always: it verifies the weights and never changes them"},
    )

    shards: int = 4
    """Members of the ensemble; each sees 1/shards of the rows."""
    slices: int = 2
    """Pieces of a shard between which weights are kept."""
    check: bool = True
    """Train one touched shard from nothing and require bit-identical weights."""

    def prepare(self, model: Model, rows: Rows, recipe: Recipe, job: Job) -> Model:
        """Return the ensemble trained on `rows`."""
        ensemble = Ensemble.empty(model, shards=self.shards, slices=self.slices, seed=recipe.seed)
        ensemble.take_in(rows)
        for shard in range(self.shards):
            train_member(ensemble, shard, rows, recipe, job, from_slice=0)
        return ensemble

    def check_target(self, model: Model) -> None:
        """Refuse a model that sisa did not prepare."""
        if not isinstance(model, Ensemble) or model.copies:
            raise InputError(
                "sisa can only forget from a model that it prepared",
                do="expunge run prepares the target of a plan with sisa",
            )

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the ensemble with touched shards trained on without the forget rows; rows that are not in touch none."""
        assert isinstance(model, Ensemble)
        assert job.recipe is not None
        forget, retain = splits.forget, splits.retain
        held = model.held(forget)
        model.check_whole(held, retain)
        first = dict(sorted((model.place(row.id) for row in held), reverse=True))
        model.let_go(held)
        for shard, part in sorted(first.items()):
            train_member(model, shard, retain, job.recipe, job, from_slice=part)
        if len(model.silent) == model.shards:
            raise InputError(
                "no shard would have a row left to train on", do="remove the model: nothing of it is to stay"
            )
        job.notes |= {"touched_shards": len(first), "forgotten_rows": len(held)}
        if first and not self.check:
            return model
        job.notes["provenance"] = "exact"
        job.notes["provenance_checks"] = (
            *(self._trained_from_nothing(model, shard, retain, job) for shard in sorted(first)[:1]),
            f"{len(held)} of {len(forget)} forget rows were in; the rest were not",
            *(f"kept although it saw the forget rows: {artefact}" for artefact in job.recipe.artefacts),
        )
        return model

    @staticmethod
    def _trained_from_nothing(model: Ensemble, shard: int, retain: Rows, job: Job) -> str:
        assert job.recipe is not None
        scratch = Ensemble.empty(model, shards=model.shards, slices=model.slices, seed=model.seed)
        train_member(scratch, shard, retain, job.recipe, job, from_slice=0)
        if weights_digest(scratch.members[shard].module) != weights_digest(model.members[shard].module):
            raise ContractBroken(f"sisa: shard {shard} differs from training it from nothing without the forget rows")
        return f"shard {shard} of {model.shards} trained from nothing on the remaining rows: weights bit-identical"
