"""The value vectors of a concept."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.concept_vectors import Search, chosen
from expunge.engine.value_vectors import columns


@dataclass(frozen=True, kw_only=True)
class ConceptVectors:
    """Let the value vectors move that the concept of the forget rows hangs on: with gradient ascent this is the paper's Needle.

    Value vectors are the columns of the feed-forward output matrices. Tried with noise are those whose likeliest tokens are most often
    the concept's, and those that write most on forget beyond retain rows; taken are those where the mean log p of forget rows falls
    most beyond that of retain rows.

    Source: Hong et al. 2024. Differs: see `differs`.
    Reads forget and retain. Moves nothing. Cost: about 2 shortlist x trials passes over forget and some retain rows.
    """

    about = About(
        needs=("forget", "retain", "sites"),
        modalities=("text",),
        claim="Noise on the vector of a concept takes its answers away and leaves unrelated ones; gradient methods leave it as it is.",
        paper="Intrinsic Evaluation of Unlearning Using Parametric Knowledge Traces",
        link="https://arxiv.org/abs/2406.11614",
        year=2024,
        paper_id="P005",
        differs=(
            "The paper's vectors are picked by a language model and people from their likeliest tokens; here by the share of tokens that "
            "are far more frequent in forget than in retain answers, and by what noise does.",
            "Vectors that write more on forget rows are tried too: in small models those that matter speak no words of the concept.",
            "Noise is a multiple of the vector's length; the paper's has standard deviation 0.1 an entry.",
        ),
        cost="2 shortlist x trials passes over forget and retain_rows rows at most",
    )

    search: Search = Search()
    """How they are looked for."""

    def run(self, model: Model, splits: Splits, job: Job) -> Mask:
        """Return the mask of the vectors found."""
        return columns(model, chosen(model, splits.forget, splits.retain, self.search, job))
