"""Certified removal: noise in the training of a linear head, and Newton steps that it hides up to a budget."""

from __future__ import annotations

from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import Splits
from expunge.engine.certified import CertifiedModel, secret_of
from expunge.engine.certified_notes import note_bound, note_canaries
from expunge.engine.fit import fit, starting
from expunge.engine.solved_head import SAW
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.statistics.gaussian_shift import shift_of_epsilon


@dataclass(frozen=True, kw_only=True)
class CertifiedRemoval:
    """Train the last layer as noisy logistic regression on frozen layers, and forget rows by Newton steps that the noise hides.

    Each class against the rest minimises sum_i log(1 + e^(-y_i w'x_i)) + n strength / 2 |w|^2 + b'w, b ~ N(0, sigma^2 I) of its own (two
    classes are one problem). A request moves each w by H^-1 D; a bound on the gradient which that leaves over the kept rows is computed.
    Bounds add up over requests, and over classes in quadrature, as all noises are one Gaussian: the head cannot be told from one
    trained without the whole group, within (epsilon, delta). Above sigma times the shift that these allow it is trained anew.

    Source: Guo et al. 2020, corollary 1, algorithm 2. Reads forget and retain. Moves the head. Cost: a pass of all rows, and solves of all
    classes together.
    """

    about = About(
        needs=("forget", "retain", "logits"),
        modalities=("vision", "tabular"),
        claim="The residual bound is above the true gradient over the kept rows, and one Newton step stands for training again.",
        paper="Certified Data Removal from Machine Learning Models",
        link="https://arxiv.org/abs/1911.03030",
        year=2020,
        scope=("full",),
        provenance="bounded",
        before_training=True,
        stochastic=False,
        inert_when={
            "epsilon": "while training: it sets the budget of requests",
            "delta": "while training: it sets the budget of requests",
            "canary_trials": "always: canaries measure, and move nothing",
            "noise_key": "empty: it names a file",
        },
        allowances={
            "split forget": "rows in neither forget nor retain are refused: the Hessian is over all that stay",
            "split retain": "rows in neither forget nor retain are refused: the Hessian is over all that stay",
        },
        differs=(
            "gamma is the exact 1 / (6 sqrt 3) (paper: 1/4), the path integral gives 1/2, and fourth powers make |x| <= 1 unnecessary.",
            "One budget for all classes and requests, in quadrature over classes; epsilon is also held to the exact Gaussian curve.",
            "What the optimiser and the solve leave counts towards the bound. Classes are solved together by conjugate gradients under the "
            "Cholesky factor of their mean Hessian (paper: each by its own). The bias is one more weight, with its penalty.",
            "Above the budget the head is trained again on the kept rows with new noise. No row is kept: retain rows are read again.",
        ),
        cost="one forward pass of all rows, and tens of solves of all classes together: the head's width cubed, and squared a class",
    )

    strength: float = 1e-2
    """Weight of half the squared norm of each class's weights, a row."""
    sigma: float = 3.0
    """Standard deviation of the noise; more of it buys a larger budget and costs accuracy."""
    epsilon: float = 1.0
    """Largest epsilon that the whole group may spend before the head is trained again."""
    delta: float = 1e-4
    """Probability that the bound may fail."""
    train_backbone: bool = False
    """Train the layers below on every row first: more accurate, no longer certified."""
    canary_trials: int = 0
    """Trainings with the rows, then removed, and as many without, from which a lower bound on epsilon is seen: 0 or at least 40."""
    noise_key: str = ""
    """File of secret bytes that the noise is drawn from, beside the seed; without it the seed alone decides, and nothing is bounded."""

    def __post_init__(self) -> None:
        if not (self.strength > 0 and self.sigma > 0):
            raise ValueError(f"strength {self.strength} and sigma {self.sigma} must be above 0")
        if 0 != self.canary_trials < 40:
            raise ValueError(f"canary_trials is {self.canary_trials}: give 0, or at least 40 (half are counted)")
        shift_of_epsilon(self.epsilon, self.delta)

    def prepare(self, model: Model, rows: Rows, recipe: Recipe, job: Job) -> Model:
        """Return the network whose head is trained with noise on `rows`."""
        inner, backbone = starting(model, recipe.seed, job), "random" if job.base is None else "base"
        if self.train_backbone:
            inner, backbone = fit(inner, rows, recipe, job=job), "trained"
        secret, keyed = secret_of(recipe.seed, self.noise_key), bool(self.noise_key)
        noise = {"strength": self.strength, "sigma": self.sigma, "secret": secret, "keyed": keyed}
        return CertifiedModel.trained(inner, rows, backbone=backbone, **noise)  # type: ignore[arg-type]

    def check_target(self, model: Model) -> None:
        """Refuse a model that was not prepared, or was with another noise or penalty."""
        if not isinstance(model, CertifiedModel):
            raise InputError(
                "certified_removal can only forget from a model that it prepared", do="expunge run prepares it"
            )
        had = {"strength": model.head.strength, "sigma": model.head.sigma}
        if had != {"strength": self.strength, "sigma": self.sigma}:
            raise InputError(f"the model was prepared with {had}", do="give these settings")

    def run(self, model: Model, splits: Splits, job: Job) -> Model:
        """Return the model with the forget rows out of its head."""
        assert isinstance(model, CertifiedModel)
        rows, budget = splits.forget, self.sigma * shift_of_epsilon(self.epsilon, self.delta)
        kept, gone = model.read(rows, splits.retain)
        before = model.head
        model.forget(rows, kept, gone, budget=budget)
        saw = (SAW[model.backbone], *(job.recipe.artefacts if job.recipe is not None else ()))
        note_bound(job, model, kept, budget=budget, delta=self.delta, asked=len(rows), gone=len(gone[0]), saw=saw)
        if self.canary_trials:
            note_canaries(job, before, kept, gone, budget=budget, delta=self.delta, trials=self.canary_trials)
        return model
