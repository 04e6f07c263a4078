"""ACU: an analytic head on frozen layers, from whose sums rows are subtracted."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.analytic import AnalyticModel
from expunge.engine.fit import fit, starting
from expunge.engine.solved_head import SAW
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows


@dataclass(frozen=True, kw_only=True)
class ACU:
    """Solve the last layer by ridge regression on frozen layers, and forget rows by subtracting them from its sums.

    With x what the head is given and y a one-hot target of height `scale`, the head is W = (X^T X + ridge I)^-1 X^T Y. To forget
    X_f, Y_f: X^T X - X_f^T X_f and X^T Y - X_f^T Y_f, then solve again. No row is kept and no retain row is read. Inputs are rounded
    to a grid on which float64 sums are exact: sums and head are bit-identical to those that never held the rows, after any requests.

    What is exact is the head and its sums. The frozen layers are the plan's base model, or newly drawn weights where it has none; with
    `train_backbone` they have seen the forget rows, and the model as a whole is then not exact (provenance none).
    A state kept from before a request gives away, by difference, what the request removed: destroy it.

    Source: Tang et al. 2025. Reads forget. Moves the head. Cost: one forward pass of the forget rows and one solve, whatever is retained.
    """

    about = About(
        needs=("forget",),
        modalities=("vision", "tabular"),
        claim="After 100 learn and forget requests the head equals the ridge solution from scratch; ill-conditioned ones are refused.",
        paper="ACU: Analytic Continual Unlearning for Efficient and Exact Forgetting with Privacy Preservation",
        link="https://arxiv.org/abs/2505.12239",
        year=2025,
        paper_id="P114",
        scope=("full",),
        provenance="exact",
        before_training=True,
        stochastic=False,
        differs=(
            "The paper updates W and (X^T X + ridge I)^-1 in place; at ridge 1e-3 in float32, or 1e-6 in float64 with fewer rows than "
            "features, that goes wrong by more than the weights themselves without a word. Here sums are solved again, or refused.",
            "Inputs of the head are rounded to multiples of 2^-14, which makes the sums exact.",
            "Targets have the height `scale`, so that a softmax over them tells classes apart; the paper's are 0 and 1.",
            "A hash a row is kept while the row is in: a request twice, or for a row that was never in, changes nothing.",
        ),
        cost="one forward pass of the forget rows, and a solve of the head's width cubed",
    )

    ridge: float = 1.0
    """Weight of the squared norm of the head; the smaller, the less well-conditioned."""
    scale: float = 10.0
    """Height of the one-hot targets; a regression has its own."""
    train_backbone: bool = False
    """Train the layers below on every row first: more accurate, no longer exact."""

    def prepare(self, model: Model, rows: Rows, recipe: Recipe, job: Job) -> Model:
        """Return the network whose head is solved over `rows`."""
        inner = starting(model, recipe.seed, job)
        backbone = "random" if job.base is None else "base"
        if self.train_backbone:
            inner, backbone = fit(inner, rows, recipe, job=job), "trained"
        analytic = AnalyticModel.empty(inner, ridge=self.ridge, scale=self.scale, backbone=backbone)
        analytic.learn(rows)
        return analytic

    def check_target(self, model: Model) -> None:
        """Refuse a model that acu did not prepare."""
        if not isinstance(model, AnalyticModel):
            raise InputError(
                "acu can only forget from a model that it prepared",
                do="expunge run prepares the target of a plan with acu",
            )

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model with the forget rows out of its sums and its head."""
        assert isinstance(model, AnalyticModel)
        rows = splits.forget
        gone = model.forget(rows)
        state, saw = model.state, (SAW[model.backbone], *(job.recipe.artefacts if job.recipe is not None else ()))
        job.notes["forgotten_rows"], job.notes["rows_left"] = gone, state.rows
        job.notes["head_relative_error"] = state.relative_error()
        job.notes["provenance"] = "none" if model.backbone == "trained" or state.roundings else "exact"
        job.notes["provenance_checks"] = (
            f"of {len(rows)} rows {gone} were in, and their numbers are those that were added; the rest were not in",
            f"sums are exact and hold {state.rows} rows; the head was solved from them (relative error {state.relative_error():.0e})",
            saw[0],
            *(f"kept although it saw the forget rows: {artefact}" for artefact in saw[1:]),
        )
        return model
