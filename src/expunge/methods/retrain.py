"""Train again without the forget set: the ground truth."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.fit import fit, starting
from expunge.facts.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Retrain:
    """Train the same architecture on the retain rows by the target's recipe, from newly drawn weights or the base model of the plan.

    The forget rows are never read: the ledger of reads raises if they are. The run's seed replaces the recipe's, so that several
    retrained models show how much training itself varies.

    Source: the definition of exact unlearning, Cao and Yang 2015.
    Reads retain. Moves every parameter. Cost: one training run.
    """

    about = About(
        needs=("retain", "recipe"),
        modalities=("text", "vision", "tabular", "diffusion"),
        claim="The result is what training without the forget rows produces; two seeds differ only by training noise.",
        paper="Towards Making Systems Forget with Machine Unlearning",
        link="https://doi.org/10.1109/SP.2015.35",
        year=2015,
        scope=("full",),
        provenance="exact",
        cost="1 training run on the retain rows",
    )

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return a model trained on the retain rows alone."""
        if job.recipe is None:
            raise InputError("retrain needs the recipe the target was trained by", do="give [recipe] in the plan")
        recipe = job.recipe.model_copy(update={"seed": job.seed})
        fresh = fit(starting(model, job.seed, job), splits.retain, recipe, job=job, label="retraining")
        job.notes["provenance"] = "exact"
        job.notes["provenance_checks"] = (
            f"weights newly drawn under seed {job.seed}"
            if job.base is None
            else "weights of the base model, of which it was not checked that it never saw the forget rows",
            "forget rows were not in the splits this unit could read",
            *(f"kept although it saw the forget rows: {artefact}" for artefact in recipe.artefacts),
        )
        return fresh
