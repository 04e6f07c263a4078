"""S3T: layers trained one after another on further slices, so that forgetting switches layers off."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.ensembles import Ensemble
from expunge.engine.fit import starting
from expunge.engine.stage_training import serve, switch_off, train_staged
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.statistics.slice_orders import Orders, cyclic_orders, matched_orders


@dataclass(frozen=True, kw_only=True)
class S3T:
    """Train low-rank changes of one group of layers after another, and forget by switching off those that read the rows.

    Rows belong to shards and slices, and members are averaged, as in SISA. Of each shard `copies` models are trained, each reading the
    slices in its own order: stage j changes the j-th group of layers from the top, with all before it still, on slices up to the j-th. To
    forget, the stage of the touched slice and all later ones are dropped for good; the model of a shard with most stages left serves.
    Nothing is trained. Orders are rotations; where `risk` names a field with each row's chance to be asked to go, rows of like risk share a
    slice and orders put slices that will last first (bipartite matching).

    The model is bit-identical to one never trained on the touched slices, fewer rows than retain. With no stage left it refuses.

    Source: Chowdhury et al. 2025. Reads forget. Moves what touched shards serve. Cost: none; before, `copies` trainings of every shard.
    """

    about = About(
        needs=("forget",),
        modalities=("text", "vision", "tabular", "diffusion"),
        claim="Served models are bit-identical to ones never trained on the slice; more deletions than SISA before it must train again.",
        paper="Towards Scalable Exact Machine Unlearning Using Parameter-Efficient Fine-Tuning",
        link="https://arxiv.org/abs/2406.16257",
        year=2025,
        paper_id="P009",
        scope=("full",),
        provenance="exact",
        before_training=True,
        stochastic=False,
        differs=(
            "The first stage trains the head whole, unless it shares its weight with the embedding.",
            "Whatever else is no linear map's weight (norms, biases, embeddings, a denoiser's stem, time and resizing) stays as it began.",
            "An adapter without logits must put other networks in place of its own (`around(module)`), or it is refused.",
            "Where there are more slices than layers, stages begin again from the top, on what is there.",
            "Orders under a risk are matched on the risk of slices as they are cut, never on how many rows they hold.",
        ),
        cost="no training and no forward pass",
        inert_when={"risk": "no row has such a field", "copies": "nothing was forgotten yet: all but one wait"},
    )

    shards: int = 2
    """Members of the ensemble; each sees 1/shards of the rows."""
    slices: int = 4
    """Pieces of a shard, each read by one stage first."""
    copies: int = 2
    """Models of each shard, each with its own order of slices; at most as many as slices."""
    rank: int = 8
    """Rank of the change of a layer's weights."""
    cumulative: bool = True
    """Let a stage read the slices of the stages before it too, which the same deletions switch off."""
    risk: str = ""
    """Field of a row with its chance to be asked to go, 0 to 1, which decides its slice; empty places rows by their id."""

    def __post_init__(self) -> None:
        self.orders()

    def orders(self) -> Orders:
        """Return each copy's order of slices; with a risk, slice s is taken to be of the risk in its middle."""
        if not self.risk:
            return cyclic_orders(self.slices, self.copies)
        return matched_orders([(part + 0.5) / self.slices for part in range(self.slices)], self.copies)

    def prepare(self, model: Model, rows: Rows, recipe: Recipe, job: Job) -> Model:
        """Return the ensemble trained on `rows`."""
        ensemble = Ensemble.staged(
            starting(model, recipe.seed, job), shards=self.shards, slices=self.slices, seed=recipe.seed, risk=self.risk
        )
        ensemble.from_base_model = job.base is not None
        ensemble.take_in(rows)
        for shard in range(self.shards):
            ensemble.copies[shard] = [
                train_staged(ensemble, shard, number, order, rows, recipe, job, self.rank, self.cumulative)
                for number, order in enumerate(self.orders())
            ]
            serve(ensemble, shard)
        return ensemble

    def check_target(self, model: Model) -> None:
        """Refuse a model that s3t did not prepare."""
        if not isinstance(model, Ensemble) or not model.copies:
            raise InputError(
                "s3t can only forget from a model that it prepared",
                do="expunge run prepares the target of a plan with s3t",
            )

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the ensemble with every stage that read a touched slice gone."""
        assert isinstance(model, Ensemble)
        rows = splits.forget
        held = model.held(rows)
        places, gone = switch_off(model, held)
        job.notes |= {"touched_slices": places, "stages_switched_off": gone, "silent_shards": len(model.silent)}
        saw = job.recipe.artefacts if job.recipe is not None else ()
        job.notes |= {"forgotten_rows": len(held), "provenance": "exact"}
        job.notes["provenance_checks"] = (
            f"every stage left has the hash taken before any of the {places} touched slices was read",
            f"{len(held)} of {len(rows)} forget rows were in; the rest were not",
            "the base model's weights, of which it was not checked that they never saw the forget rows"
            if model.from_base_model
            else "weights below the stages are newly drawn",
            *(f"kept although it saw the forget rows: {artefact}" for artefact in saw),
        )
        return model
