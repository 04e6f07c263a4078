"""IMP: prune by size and rewind, round after round, before there is anything to forget; then fine-tune what is left."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.fit import fit, starting
from expunge.engine.prune import check_sparsity, prunable, pruning_mask, zeros_held
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows


@dataclass(frozen=True, kw_only=True)
class IMP:
    """Train a target of few weights by iterative magnitude pruning, and forget by fine-tuning it on the retain rows.

    Fewer weights should hold less of single rows. The target: train `rewind_epochs` epochs and keep the weights; train on to the end; then
    `rounds` times: prune the `rate` smallest |theta| of the weights left (of all linear maps and convolutions together), put the others
    back to the kept weights, and train again with what was pruned at zero. Weights pruned: 1 - (1 - rate)^rounds.
    To forget: mean over scored positions of the retain rows of -log p, where weights that are zero stay zero.

    Source: Jia et al. 2023; rewinding as in Frankle et al. 2020. Reads retain. Moves what is not pruned. Cost: 1 + rounds trainings.
    """

    about = About(
        needs=("retain",),
        modalities=("text", "vision", "tabular"),
        claim="At equal settings fine-tuning ends nearer to retraining from a target that was pruned before than from a dense one.",
        paper="Model Sparsity Can Simplify Machine Unlearning",
        link="https://arxiv.org/abs/2304.04934",
        year=2023,
        paper_id="P029",
        scope=("full", "layers"),
        before_training=True,
        differs=(
            "Linear maps are pruned too; the public code prunes convolutions only.",
            "On digits the claim fails: a class stays longer (gap after lr 2e-3, mean of 5: dense 8, pruned by 67% 22, by 89% 23; CNNs 18, "
            "28), its rows look like members longer, and a backdoor whose rows are all known too (success at 5e-3 6%, pruned by 75% 38).",
            "From the kept weights it trains the epochs that are left, optimiser and schedule anew; the public code trains all of them.",
        ),
        cost="1 forward + 1 backward over retain rows a step; before, 1 + rounds trainings",
        inert_when={
            "lr": "it is a setting of the removal",
            "epochs": "it is a setting of the removal",
            "batch_size": "it is a setting of the removal",
            "weight_decay": "it is a setting of the removal",
            "warmup": "it is a setting of the removal",
            "schedule": "it is a setting of the removal",
            "clip": "it is a setting of the removal",
            "max_steps": "it is a setting of the removal",
        },
        search={"lr": ("log", 1e-3, 1e-1)},
    )

    rate: float = 0.2
    """Share of the weights left that a round prunes."""
    rounds: int = 5
    """Times that weights are pruned and the rest trained again."""
    rewind_epochs: int = 1
    """Epochs of training after which weights are kept to rewind to; 0 rewinds to the start."""
    descent: Descent = Descent(lr=1.6e-2, epochs=10)
    """Optimiser settings; epochs are passes over the retain rows."""

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.rewind_epochs < 0:
            raise ValueError("rounds must be at least 1 and rewind_epochs must not be negative")
        check_sparsity(self.rate)

    def sparsity(self, rounds: int) -> float:
        """Return the share of the weights that so many rounds prune."""
        return 1.0 - (1.0 - self.rate) ** rounds

    def prepare(self, model: Model, rows: Rows, recipe: Recipe, job: Job) -> Model:
        """Return the sparse model trained on `rows`."""
        if self.rewind_epochs >= recipe.epochs:
            raise InputError(f"imp rewinds to epoch {self.rewind_epochs}, and the recipe trains {recipe.epochs}",
                             do="set rewind_epochs below the recipe's epochs")  # fmt: skip
        kept = starting(model, recipe.seed, job)
        if self.rewind_epochs:
            early = {"epochs": self.rewind_epochs, "schedule": "constant", "stop_loss": None}
            fit(kept, rows, recipe.model_copy(update=early), job=job, label="training to rewind to")
        rest = recipe.model_copy(update={"epochs": recipe.epochs - self.rewind_epochs})
        trained = fit(kept.copy(), rows, rest, job=job, label="training dense")
        for number in range(1, self.rounds + 1):
            scores = {name: weight.detach().abs() for name, weight in prunable(trained.module).items()}
            mask = pruning_mask(trained.module, scores, self.sparsity(number))
            trained = kept.copy()
            mask.prune(trained.module)
            fit(trained, rows, rest, job=replace(job, mask=mask), label=f"training sparse {number} of {self.rounds}")
        return trained

    def check_target(self, model: Model) -> None:
        """Refuse a model of which less is zero than these settings prune."""
        weights = list(prunable(model.module).values())
        total, left = sum(weight.numel() for weight in weights), sum(int(weight.count_nonzero()) for weight in weights)
        if left > round((1.0 - self.sparsity(self.rounds)) * total):
            raise InputError(
                f"imp forgets from a sparse model, and {1 - left / total:.1%} of the weights of this one are zero, not "
                f"{self.sparsity(self.rounds):.1%}",
                causes=("imp did not prepare it", "it was prepared in fewer rounds or at a lower rate"),
                do="expunge run prepares the target of a plan with imp; or fine-tune under one_shot_pruning",
            )

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model fine-tuned with its zeros held."""
        held = replace(job, mask=zeros_held(model.module, job.mask))

        def loss(step: Step) -> Tensor:
            return step.position_mean(step.total_losses()[1], step.lengths()[1].sum())

        descend(model, held, self.descent, loss, retain=splits.retain, label="fine-tuning")
        return model
