"""DMM: predict what retraining would answer by data attribution, and fine-tune to match."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.datamodels import (
    along,
    centred,
    fit_datamodel,
    influence_step,
    match_logits,
    subset_logits,
    trak_step,
)
from expunge.engine.descend import Descent
from expunge.engine.predict import over_rows
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows

ATTRIBUTORS = ("datamodel", "trak", "ekfac")


@dataclass(frozen=True, kw_only=True)
class DMM:
    """Predict the logits of the model retrained without the forget rows, then fine-tune the target to answer so.

    f'(x) = f(x) - sum over forget rows i of beta_i(x), for every class; then least mean |f_theta(x) - f'(x)|^2 over forget and retain rows.
    beta by `attributor`: a linear regression of the logits of models trained on subsets of all rows; TRAK; or EK-FAC influence.

    Source: Georgiev et al. 2024. Differs: see `differs`. Reads forget and retain. Moves every parameter in scope. Cost: below; the models
    of a datamodel are trained here by the recipe, which is many times retraining: they pay where requests share them (job.cache).
    """

    about = About(
        needs=("forget", "retain", "recipe", "logits", "gradients"),
        modalities=("vision", "tabular"),
        claim="Margins nearer to retrained ones (95th percentile KLoM) than by ascent, SCRUB or fine-tuning at equal steps.",
        paper="Attribute-to-Delete: Machine Unlearning via Datamodel Matching",
        link="https://arxiv.org/abs/2410.23232",
        year=2024,
        paper_id="P115",
        scope=("full", "layers"),
        differs=(
            "Ridge after least squares on a row's own mask; the paper takes the lasso over tens of thousands of models.",
            "Logits less their mean over classes, in attribution and in matching: no probability depends on the mean.",
            "As many retain rows as forget rows a step, drawn in turn.",
            "TRAK and EK-FAC by one step of the target's weights to first order. On a table EK-FAC's is too long, TRAK's nearly 0.",
            "On a table (16 of 160 rows) nearest to retrained margins on 5 of 5 seeds; by KLoM not shown nearer than fine-tuning or SCRUB.",
        ),
        cost="models * share trainings on the rows (datamodel), or 1 gradient pass a row (trak), or 3 (ekfac); then 1 forward + 1 "
        "backward over forget and as many retain rows an epoch",
        inert_when={
            "models": "attributor is not 'datamodel'",
            "share": "attributor is not 'datamodel'",
            "projections": "attributor is not 'trak'",
            "damping": "attributor is not 'trak'",
        },
        search={"lr": ("log", 2e-4, 1e-2)},
    )

    attributor: str = "datamodel"
    """What predicts: datamodel, trak or ekfac."""
    models: int = 200
    """Models trained for a datamodel."""
    share: float = 0.5
    """Share of all rows that each of them is trained on."""
    projections: int = 128
    """Random directions that TRAK projects gradients on."""
    damping: float = 0.1
    """TRAK's ridge, a share of the mean eigenvalue."""
    descent: Descent = Descent(lr=5e-3, epochs=100)
    """Optimiser settings of the matching; epochs are passes over the forget rows."""

    def __post_init__(self) -> None:
        if self.attributor not in ATTRIBUTORS:
            raise ValueError(f"attributor must be one of {', '.join(ATTRIBUTORS)}, not {self.attributor!r}")
        if not 0 < self.share < 1 or self.models < 1 or self.projections < 1 or self.damping < 0:
            raise ValueError(
                "share must lie between 0 and 1, models and projections be at least 1, damping not be negative"
            )

    def change(self, model: Model, forget: Rows, retain: Rows, job: Job) -> Tensor:
        """Return how the centred logits of forget, then retain rows are to change when the forget rows leave, (rows, classes)."""
        rows = Rows((*forget, *retain))
        if self.attributor == "ekfac":
            return along(model, rows, influence_step(model, forget, retain, job=job))
        if self.attributor == "trak":
            step = trak_step(model, forget, retain, projections=self.projections, damping=self.damping, job=job)
            return along(model, rows, step)
        if job.recipe is None:
            raise InputError("dmm trains models by the recipe of the target", do="give [recipe] in the plan")
        masks, outputs = subset_logits(model, rows, models=self.models, share=self.share, recipe=job.recipe, job=job)
        found = fit_datamodel(masks, outputs, own=range(len(rows)))
        job.notes["heldout_correlation"] = found.correlation
        return torch.tensor(found.without(range(len(forget))))

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model that answers as predicted."""
        forget, retain = splits.forget, splits.retain
        rows = Rows((*forget, *retain))
        change = self.change(model, forget, retain, job)
        logits = centred(over_rows(model, rows, model.logits))
        wanted = dict(zip(rows.ids, logits + change.to(logits), strict=True))
        match_logits(model, wanted, forget, retain, descent=self.descent, job=job)
        return model
