"""EBYD: expose a backdoor, search for its trigger, and teach the model to see past it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.inputs import input_of
from expunge.engine.triggers import Trigger, exposed, invert, seen_past, smallest
from expunge.facts.rows import Rows


@dataclass(frozen=True, kw_only=True)
class EBYD:
    """Find which class a backdoor answers with and by what trigger, and train on with rows that bear the trigger and their own labels.

    Nobody tells it the trigger, its class or a poisoned row. Which class: of the smallest triggers that send rows to each class (mask m,
    pattern p) the smallest (`inversion`), or the answer that a copy is left with once ascent on clean rows has brought its accuracy down to
    `collapse` (`exposure`, the paper's). Retain rows whose label of that class hangs on the trigger's places get the label that the model
    gives without them. Loss: mean -log p(label | retain) + trigger_weight * mean -log p(label | retain with the trigger).

    Source: Li et al. 2024 (exposure), Wang et al. 2019 (inversion, unlearning the trigger). Differs: see `differs`. Reads retain.
    """

    about = About(
        needs=("retain", "logits", "gradients"),
        modalities=("vision", "tabular"),
        claim="Brings attack success to near 0 at little clean accuracy, without knowing the trigger.",
        paper="Expose Before You Defend: Unifying and Enhancing Backdoor Defenses via Exposed Models",
        link="https://arxiv.org/abs/2410.19427",
        year=2024,
        paper_id="P028",
        differs=(
            "The class is found by inverting a trigger for every class: in a small MLP the paper's exposure (`exposure`) leaves a class "
            "that need not be the backdoor's (8, 8, 0, 5, 2 on five seeds). Clean accuracy falls to 15 to 26%, attack success from 97 to "
            "100 to 0, 46, 100, 37 and 0%: it need not stay. Removal by it lost 2.7 points of clean accuracy (.2 to 7), by inversion .6. "
            "On small CNNs alike: 8, 2, 0, 4, 3 by exposure, 0 on each by inversion (corrected 96.8%, clean accuracy lost .2).",
            "The rows to search on are drawn from the retain rows, among which unknown poison may be; the paper's are clean.",
            "Retain rows that bear the trigger are found by it and relabelled: otherwise training on them teaches the backdoor again.",
            "Removal unlearns the trigger that was found; no pruning.",
        ),
        cost="inversion_steps forwards and backwards over classes x clean_rows rows; 1 forward + 1 backward over retain rows twice a step",
        inert_when={
            "collapse": "detect is inversion",
            "exposure_lr": "detect is inversion",
            "exposure_steps": "detect is inversion",
            "inversion_steps": "the smallest trigger was found at an earlier step",
        },
        search={"lr": ("log", 2e-4, 1e-2), "trigger_weight": ("log", 0.1, 3.0), "wanted": ("linear", 0.9, 0.99)},
    )

    detect: str = "inversion"
    """How the backdoor's class is found: inversion or exposure."""
    clean_rows: int = 100
    """Retain rows drawn to search on."""
    collapse: float = 0.2
    """Accuracy on these rows at which exposure ends."""
    exposure_lr: float = 1e-3
    """Learning rate of exposure."""
    exposure_steps: int = 60
    """Most steps of exposure."""
    inversion_steps: int = 300
    """Steps of the search for triggers."""
    inversion_lr: float = 0.1
    """Learning rate of that search."""
    wanted: float = 0.95
    """Share of the rows that a trigger must send to its class."""
    trigger_weight: float = 1.0
    """Weight of the rows with the trigger."""
    descent: Descent = Descent(lr=2e-3, epochs=3, batch_size=64)
    """Optimiser settings; epochs are passes over the retain rows."""

    def __post_init__(self) -> None:
        if self.detect not in ("inversion", "exposure"):
            raise ValueError(f"detect must be inversion or exposure, not {self.detect!r}")

    def found(self, model: Model, rows: Rows, job: Job) -> tuple[int, Trigger]:
        """Return the class that a backdoor answers with and its trigger; notes how far the class stands out."""
        batch = model.pack(rows)
        with torch.no_grad():
            labels = list(range(model.logits(batch).shape[1]))
        if self.detect == "exposure":
            copy = exposed(model, rows, accuracy=self.collapse, lr=self.exposure_lr, steps=self.exposure_steps, job=job)
            with torch.no_grad():
                share, most = torch.bincount(copy.logits(batch).argmax(-1)).div(len(rows)).max(0)
            job.notes["stands_out"], labels = float(share), [int(most)]
        steps, lr = self.inversion_steps, self.inversion_lr
        triggers = invert(model, batch, labels, steps=steps, lr=lr, wanted=self.wanted, job=job)
        if self.detect == "inversion":
            top, job.notes["stands_out"] = smallest({one: each.size for one, each in triggers.items()})
            labels = [top]
        return labels[0], triggers[labels[0]]

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model trained past the trigger."""
        retain = splits.retain
        drawn = retain.take(torch.randperm(len(retain), generator=job.generator)[: self.clean_rows].tolist())
        label, trigger = self.found(model, drawn, job)
        rows, changed = seen_past(model, retain, trigger, label, input_of(model.pack(drawn)).median(0).values)
        job.notes |= {"backdoor_class": label, "trigger_size": trigger.size, "relabelled_rows": changed}

        def loss(step: Step) -> Tensor:
            shown = step.retain_mean(model.total_loss(trigger.on(step.retain_batch)))
            return step.retain_mean(model.total_loss(step.retain_batch)) + self.trigger_weight * shown

        descend(model, job, self.descent, loss, retain=rows, label="unlearning the trigger")
        return model
