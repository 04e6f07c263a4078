"""Concept poisoning: give the forget rows the label of the class that shares most of their concepts, and train on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.concept_bottleneck import fit_bottleneck, ranked, shared
from expunge.engine.concepts import concepts_of
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.penultimate import body_features, labels_of
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows

LABELS = ("targeted", "random")
TOP = 3
"""Concepts of a class that are noted."""


@dataclass(frozen=True, kw_only=True)
class ConceptPoisoning:
    """Find the class that shares most concepts with what is to go, teach the forget rows that label, and keep the retain rows.

    A class is known by its concepts; moved to the class that has the same ones, its rows need little else to change. A post-hoc concept
    bottleneck of the target (concept directions on last-block features, a sparse head) says what each class is read from, by integrated
    gradients of p(class). Loss: mean over forget rows of -log p(poisoned label) + retain_weight * mean over retain rows of -log p.

    Source: Chang et al. 2024. Differs: see `differs`. Reads forget and retain. Moves every parameter in scope. Cost: below.
    """

    about = About(
        needs=("forget", "retain", "logits", "features"),
        modalities=("vision", "tabular"),
        claim="Forget accuracy falls to near zero at retain accuracy near retraining's, and the class's top concepts lose attribution.",
        paper="Class Machine Unlearning for Complex Data via Concepts Inference and Data Poisoning",
        link="https://arxiv.org/abs/2405.15662",
        year=2024,
        paper_id="P001",
        differs=(
            "Concepts come from a row's field `concepts`, else from k-means of features; the paper takes them from a concept bank.",
            "Sharing is the overlap of two classes' shares of positive attribution.",
            "The language-model variant (poisoned answers about a concept) is not here.",
            "That blind random labels hurt the classes that share concepts more does not hold: test accuracy of the five digits nearest to "
            "the threes and of the four farthest is 97.2 and 93.0 (targeted), 98.4 and 98.0 (random), 83.1 and 82.9 (no retain rows), over "
            "five MLPs. On five small CNNs 98.5 and 97.3, 98.0 and 97.6, 88.3 and 91.4: the paper's order, within the noise.",
        ),
        cost="1 forward over all rows, a ridge and a sparse regression once; 1 forward + 1 backward over forget and retain rows a step",
        inert_when={
            "concepts": "rows that carry concepts, or the same partner class",
            "sparsity": "the same partner class",
        },
        search={"lr": ("log", 2e-4, 1e-2), "retain_weight": ("log", 0.5, 10.0)},
    )

    labels: str = "targeted"
    """targeted (the class that shares most concepts) or random (one wrong label a row, drawn once)."""
    concepts: int = 16
    """Clusters that stand in for concepts where rows carry none."""
    sparsity: float = 1e-3
    """Weight of the head's L1 norm."""
    retain_weight: float = 5.0
    """Weight of the retain rows."""
    descent: Descent = Descent(lr=3e-3, epochs=5)
    """Optimiser settings."""

    def __post_init__(self) -> None:
        if self.labels not in LABELS:
            raise ValueError(f"labels must be {' or '.join(LABELS)}, not {self.labels!r}")

    def partners(self, model: Model, forget: Rows, retain: Rows, job: Job) -> dict[int, int]:
        """Return, for each label of the forget rows, the retained class that shares most concepts with it.

        Where retain rows bear classes that no forget row does, it is one of these.
        """
        rows = Rows((*forget, *retain), "rows")
        features, labels = body_features(model, rows, job=job), labels_of(rows)
        concepts = concepts_of(rows, features, count=min(self.concepts, len(rows)), seed=job.seed)
        found = fit_bottleneck(features, labels, concepts, sparsity=self.sparsity)
        mass = {label: found.mass(features, labels, label) for label in found.classes}
        asked, kept = {int(one) for one in labels_of(forget)}, {int(one) for one in labels_of(retain)}
        partners = {}
        for label in sorted(asked):
            others = sorted((kept - asked) or (kept - {label}))
            if not others:
                raise InputError(
                    f"no retain row bears another label than {label}", do="give retain rows of other classes"
                )
            partners[label] = max(others, key=lambda other: shared(mass[label], mass[other]))
        job.notes["concept_partners"] = {str(label): other for label, other in partners.items()}
        job.notes["top_concepts"] = {str(label): ranked(mass[label])[:TOP] for label in sorted(asked)}
        return partners

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model trained on with poisoned labels."""
        forget, retain = splits.forget, splits.retain
        if self.labels == "targeted":
            partners = self.partners(model, forget, retain, job)
            poisoned = torch.from_numpy(np.array([partners[int(row["label"])] for row in forget]))
        else:
            poisoned = model.relabel(model.pack(forget), job.generator).targets

        def loss(step: Step) -> Tensor:
            wanted = poisoned[step.forget_index].to(step.joint.targets.device)
            targets = torch.cat([wanted, step.joint.targets[len(step.forget) :]])
            push, keep = step.split(model.total_loss(replace(step.joint, targets=targets)))
            return step.forget_mean(push) + self.retain_weight * step.retain_mean(keep)

        descend(model, job, self.descent, loss, forget=forget, retain=retain)
        return model
