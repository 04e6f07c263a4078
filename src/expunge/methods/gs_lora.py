"""GS-LoRA and GS-LoRA++: low-rank changes under a group lasso, a bounded push off the forget rows, class prototypes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.block_lora import block_lora, class_means, few_of_each, group_lasso, merge, short_of
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.parallel import world
from expunge.facts.errors import InputError
from expunge.maths.divergences import kl_divergence
from expunge.maths.losses import position_nll


@dataclass(frozen=True, kw_only=True)
class GSLoRA:
    """Push the forget rows off with low-rank changes of the feed-forward parts, few retain rows beside, then merge the changes.

    A bounded loss stops pushing once the rows are worse than guessed, a group lasso switches whole blocks off so that what they hold
    stays, and each row is held to (or pushed from) the mean logits of its class before, z_y, which few rows estimate well:

    L = CE(retain) + beta ReLU(BND - CE(forget)) + alpha sum over blocks of |LoRA of the block|
        + push ReLU(BND - KL(z_y || forget)) + pull KL(z_y || retain), with BND = ln K + margin.

    With push = pull = 0 it is GS-LoRA. Source: Zhao et al. 2025; 2024 without prototypes. Differs: see `differs`. Reads forget and
    retain. Moves weights of feed-forward linear maps (of an MLP's blocks). Cost: below.
    """

    about = About(
        needs=("forget", "retain", "logits", "sites", "gradients"),
        modalities=("vision", "tabular"),
        claim="Four classes asked for in turn fall to chance and stay there, few retain rows a class suffice, some blocks do not move.",
        paper="Practical Continual Forgetting for Pre-trained Vision Models",
        link="https://arxiv.org/abs/2501.09705",
        year=2025,
        paper_id="P095",
        scope=("full",),
        differs=(
            "BND is ln K + margin nats of plain cross-entropy; the paper's 110 is for its margin-based loss, its prototype bound another.",
            "Each row has its bound; the published one, of the mean (each_row=False), left .44 of 22 Omniglot classes known, these 0.",
            "A block's change within 1e-3 of its weights is dropped and counted in the notes (`zeroed_blocks`); the paper draws norms.",
            "Published code for streams has the lasso's blocks written out, 6 or 12: here every block that there is.",
            "No average of weights over epochs, and no other alpha before alpha_epoch than none.",
            "Retain classes without rows wear off: after four requests .87 of 2 digits is left, .22 of 12 characters (GS-LoRA: .88, .29).",
            "An epoch is a pass over forget rows: of 125 of 14 rows (30 steps each) 8 to 10 stayed known; at 300 none, more back.",
            "Of an MLP, which has no feed-forward parts, the linear map of each block.",
        ),
        cost="1 forward + 1 backward a step over forget rows and as many retain rows; 1 forward over both before",
        search={"lr": ("log", 1e-3, 3e-2), "beta": ("log", 0.03, 1.0), "alpha": ("log", 1e-4, 1e-1)},
    )

    rank: int = 8
    """Rank of the change of each linear map."""
    each_row: bool = True
    """Stop pushing each forget row at its own bound; False stops at the mean of the step's rows, as published."""
    few_shot: int = 0
    """Retain rows of each class that are used; 0 for all."""
    margin: float = 3.0
    """Nats above ln K, a guess, at which forget rows are pushed no further."""
    beta: float = 0.15
    """Weight of the bounded loss of the forget rows."""
    alpha: float = 0.01
    """Weight of the group lasso."""
    alpha_epoch: int = 6
    """Passes over the forget rows before the group lasso is on."""
    push: float = 0.05
    """Weight of the bounded distance of forget rows from their class prototype."""
    pull: float = 1.0
    """Weight of the distance of retain rows from their class prototype."""
    descent: Descent = Descent(lr=1e-2, epochs=30)
    """Optimiser settings."""

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model with the changes merged into its weights."""
        if job.mask is not None:
            raise InputError(
                "a mask names entries of the weights, and a low-rank change moves whole ones", do="use none"
            )
        forget, retain = splits.forget, few_of_each(splits.retain, self.few_shot, job.seed)
        with torch.no_grad():
            classes = model.logits(model.pack(forget[:1])).shape[-1]
        bound = math.log(classes) + self.margin
        prototypes = class_means(model, (forget, retain), classes)

        def short(step: Step, values: Tensor) -> Tensor:
            rows = step.forget_mean((bound - values).relu())
            return rows if self.each_row else short_of(bound, step.forget_mean(values))

        with block_lora(model, self.rank, job.seed) as groups:

            def loss(step: Step) -> Tensor:
                logits, targets = model.logits(step.joint), step.joint.targets
                nll_forget, nll_retain = step.split(position_nll(logits, targets))
                from_prototype = step.split(kl_divergence(prototypes[targets], logits))
                found = step.retain_mean(nll_retain) + self.beta * short(step, nll_forget)
                found = (
                    found + self.push * short(step, from_prototype[0]) + self.pull * step.retain_mean(from_prototype[1])
                )
                lasso = self.alpha * group_lasso(groups) / world()[1] if step.epoch >= self.alpha_epoch else 0.0
                return found + lasso

            descend(model, job, self.descent, loss, forget=forget, retain=retain)
        sizes = merge(model, job, groups)
        job.notes |= {"zeroed_blocks": sum(not size for size in sizes.values()), "blocks": len(sizes)}
        job.notes |= {"block_change": list(sizes.values()), "retain_rows": len(retain)}
        return model
