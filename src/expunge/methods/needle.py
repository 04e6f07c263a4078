"""Noise on the vectors that a concept hangs on."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.concept_vectors import Search, chosen
from expunge.engine.edit import write
from expunge.engine.value_vectors import Outputs, disturb


@dataclass(frozen=True, kw_only=True)
class Needle:
    """Find the value vectors of the forget rows' concept and put noise on them: the yardstick of what a removal from weights does.

    Gradient methods lower the answers and may leave the vectors that carry them; this one touches nothing else. A vector v becomes
    v + noise |v| / sqrt(d) z, with z standard Gaussian. No training; it serves concepts (a topic in many rows) and not single facts.

    Source: Hong et al. 2024. Differs: see `differs`.
    Reads forget and retain. Moves `vectors` columns of feed-forward output matrices. Cost: that of the locator concept_vectors.
    """

    about = About(
        needs=("forget", "retain", "sites"),
        modalities=("text",),
        claim="Noise on the vector of a concept takes its answers away, in jailbreaks too, and leaves unrelated ones.",
        paper="Intrinsic Evaluation of Unlearning Using Parametric Knowledge Traces",
        link="https://arxiv.org/abs/2406.11614",
        year=2024,
        paper_id="P005",
        scope=("full",),
        differs=(
            "Noise alone, as in the paper's validation and jailbreak experiments; its table's Needle ascends on the noised vector, "
            "which is `ascent` with the locator `concept_vectors`.",
            "The vectors are looked for here, and may be several; the paper has one a concept, picked beforehand.",
        ),
        cost="2 shortlist x trials passes over forget and retain_rows rows at most",
        inert_when={
            "contrast": "no token's frequency lies between the two",
            "top_k": "the same vectors stay on the shortlist",
            "retain_rows": "there are no more retain rows than either",
        },
        search={"vectors": ("choice", 1, 2, 4, 8, 16), "noise": ("log", 1.0, 10.0)},
    )

    search: Search = Search()
    """How the vectors are looked for, and the noise."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model with noise on the vectors found."""
        places = chosen(model, splits.forget, splits.retain, self.search, job)
        outputs, named = Outputs.of(model), dict(model.module.named_parameters())
        noised = disturb([outputs.at(place).clone() for place in places], self.search.noise, job.generator)
        for name in sorted({place.parameter for place in places}):
            parameter = named[name]
            value = parameter.detach().clone()
            for place, vector in zip(places, noised, strict=True):
                if place.parameter == name:
                    outputs.within(place, value).copy_(vector)
            write(job, name, parameter, value)
        return model
