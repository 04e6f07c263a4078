"""ConceptRewrite: find what a decision wrongly hangs on, or be shown it, and write the rule 'not this' into the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.concept_rule import concept_in, head_inputs, refitted
from expunge.engine.concepts import BoolArray
from expunge.engine.confounders import Candidate, candidate, confounders, inputs_of, own_maps
from expunge.engine.edit import write
from expunge.engine.penultimate import labels_of
from expunge.engine.solved_head import head_of
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows

CONCEPTS = ("exemplars", "alike", "discovered")
EXEMPLARS = 5
"""Row ids of a found concept that are noted."""


@dataclass(frozen=True, kw_only=True)
class ConceptRewrite:
    """Make a classifier's decision independent of a concept that its rows show, such as an artefact which came with one label.

    The forget rows are exemplars: they show the concept, and their labels are right. A layer on the head's input splits features into
    a score on the concept and the rest; the rule puts the score of rows without the concept for every row, and is folded into the head's
    weights: W' = W - (W pattern) vector^T. With `discovered` nobody says which rows show it: attribution maps of all rows are
    clustered, and the few inputs that best go with one label are taken (engine.confounders). A rung judges the forget rows, which keep
    their labels: whether the decision still hangs on the concept is for rows that show it under other labels to say.

    Source: Yan et al. 2023. Differs: see `differs`. Reads forget and retain. Moves the head. Cost: below.
    """

    about = About(
        needs=("forget", "retain", "logits", "features", "gradients"),
        modalities=("vision", "tabular"),
        claim="'Not the patch' brings accuracy on patch-flipped rows near the shortcut-free model's; accuracy as trained stays.",
        paper="Towards Trustable Skin Cancer Diagnosis via Rewriting Model's Decision",
        link="https://arxiv.org/abs/2303.00885",
        year=2023,
        paper_id="P106",
        scope=("full", "layers"),
        stochastic=False,
        differs=(
            "One concept and a residual in place of a bank of named concepts and a logic layer over these alone; the one rule is 'not'.",
            "What is removed is what the concept adds to features among rows of one label, read by the concept vector: the vector "
            "alone, projected out, changes little (digits, five draws: flipped accuracy 76.3, do nothing 74.6, this 92.2).",
            "The claim holds in part: shortcut-free models have 97.2, 4.9 [2.9, 7.0] more (.78 of the gap closes), and accuracy on the "
            "label's rows that lack the artefact moves by -3.4 [-5.9, -.8] (78.0; shortcut-free 96.9).",
            "Discovery ranks clusters by itself (phi of showing and label); in the paper a person looks at them.",
            "The rule is written into the head's weights and no concept layer stays; body weights do not move.",
        ),
        cost="1 forward over all rows and a ridge; alike and discovered: 1 backward over all rows, k-means",
        inert_when={
            "clusters": "concept is exemplars or alike, or the same cluster comes first",
            "mass": "concept is exemplars, or the same inputs are taken",
        },
        search={"refit": ("choice", 0.0, 0.01, 0.1, 1.0)},
    )

    concept: str = "exemplars"
    """exemplars (the forget rows, all that show it), alike (few do: rows like them in what answers hang on, too) or discovered (none)."""
    clusters: int = 20
    """Clusters of attribution maps, where the concept is discovered."""
    mass: float = 0.25
    """Share of a cluster's positive attribution that a concept's inputs hold."""
    refit: float = 0.0
    """Weight that holds the head in place while it is fitted on all rows under the rule; 0 does not fit it."""

    def __post_init__(self) -> None:
        if self.concept not in CONCEPTS:
            raise ValueError(f"concept must be one of {', '.join(CONCEPTS)}, not {self.concept!r}")
        if self.clusters < 2 or not 0 < self.mass < 1 or self.refit < 0:
            raise ValueError("clusters is at least 2, mass between 0 and 1, refit at least 0")

    def found(self, model: Model, rows: Rows, exemplars: BoolArray, job: Job) -> Candidate:
        """Return the concept that the exemplars' answers hang on or, unmarked, the one that best goes with a label."""
        if self.concept == "discovered":
            return confounders(model, rows, clusters=self.clusters, mass=self.mass, job=job)[0]
        like = candidate(own_maps(model, rows, job=job), inputs_of(model, rows), rows, exemplars, mass=self.mass)
        if like is None:
            raise InputError(
                "the exemplars' answers hang on nothing that other rows lack", do="use --set concept=exemplars"
            )
        return like

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model whose head does not read the concept."""
        forget, retain = splits.forget, splits.retain
        rows = Rows((*forget, *retain), "rows")
        shown: BoolArray = np.arange(len(rows)) < len(forget)
        if self.concept != "exemplars":
            one = self.found(model, rows, shown, job)
            shown = one.shown
            job.notes |= {"concept_cluster": one.cluster, "concept_label": one.label, "concept_score": one.score,
                          "concept_flagged": one.flagged, "concept_inputs": list(one.inputs),
                          "concept_exemplars": list(one.exemplars[:EXEMPLARS])}  # fmt: skip
        job.notes["concept_rows"] = int(shown.sum())
        features, labels, head = head_inputs(model, rows, job=job), labels_of(rows), head_of(model)
        concept = concept_in(features, labels, shown)
        offset = head.bias
        if not isinstance(offset, nn.Parameter):
            raise InputError("the head has no bias, which the score of rows without the concept goes into")
        weight, bias = (one.detach().double().cpu().numpy() for one in (head.weight, offset))
        if self.refit:
            weight, bias = refitted(concept.without(features), labels, weight, bias, stay=self.refit)
        weight, bias = concept.forbidden(weight, bias)
        name = model.sites().head[0]
        write(job, f"{name}.weight", head.get_parameter("weight"), torch.from_numpy(weight).to(head.weight))
        write(job, f"{name}.bias", offset, torch.from_numpy(bias).to(offset))
        return model
