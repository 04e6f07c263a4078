"""Attribution of outputs to training rows: datamodels by subset regression, TRAK, and influence, as changes of logits."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from expunge.contract.job import Job
from expunge.contract.model import Batch, Model
from expunge.contract.weights import weights_digest
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.fit import fit, starting
from expunge.engine.fit_many import fit_many, trains_together
from expunge.engine.gradients import trainable
from expunge.engine.influence import Solver, measured, removal
from expunge.engine.per_example import gradient_products
from expunge.engine.predict import over_rows
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows

Numbers = NDArray[np.float64]
PENALTIES = tuple(float(value) for value in 10.0 ** np.arange(-2, 4.5, 0.5))
HELD_OUT = 5
"""One model in so many is held out for the correlation."""
LEAST_MODELS = 10


@dataclass(frozen=True)
class Effects:
    """A linear map from what was trained on to outputs, in parts that are small where rows times outputs times rows is not.

    `alone` is what a row does to its own outputs, (rows, outputs), `own` the column of each row in what is attributed; the rest goes
    through `directions`, (models at most, attributed), and `weights`, (directions, rows, outputs).
    """

    alone: Numbers
    own: Sequence[int | None]
    weights: Numbers
    directions: Numbers

    def of(self, present: Numbers) -> Numbers:
        """Return the outputs of each line of `present`, (lines, attributed), without a constant: (lines, rows, outputs)."""
        found = np.tensordot(present @ self.directions.T, self.weights, 1)
        for row, column in enumerate(self.own):
            if column is not None:
                found[:, row] += np.outer(present[:, column], self.alone[row])
        return np.asarray(found, np.float64)


@dataclass(frozen=True)
class Datamodel:
    """A linear model of outputs in what was trained on: output = constant + effects of the rows that are in.

    `correlation` of predicted with found outputs over held-out models, mean over outputs.
    """

    effects: Effects
    correlation: float

    def without(self, columns: Sequence[int]) -> Numbers:
        """Return how outputs change when the given attributed rows leave, (rows predicted, outputs)."""
        gone = np.zeros((1, self.effects.directions.shape[1]))
        gone[0, list(columns)] = -1
        return np.asarray(self.effects.of(gone)[0])


def fit_datamodel(masks: NDArray[np.bool_], outputs: Numbers, *, own: Sequence[int | None]) -> Datamodel:
    """Regress outputs, (models, rows, outputs), on masks of what each model was trained on, (models, attributed).

    What a row does to its own output is far larger than what others do: it (column `own[i]` of row i) is fitted first by least squares
    alone, and ridge regression on all columns takes the rest. One penalty for all, by exact leaving one out. Holds a few arrays of the
    size of `outputs`.

    Source: Ilyas et al. 2022; Georgiev et al. 2024 (P115). Differs: they take the lasso, for tens of thousands of models.
    """
    if len(masks) < LEAST_MODELS or len(masks) != len(outputs):
        raise InputError(f"{len(masks)} subsets with {len(outputs)} outputs; a datamodel needs {LEAST_MODELS} of both")
    held = np.arange(len(masks)) % HELD_OUT == 0
    guess = _regress(masks[~held], outputs[~held], own).of(masks[held] - masks[~held].mean(0))
    return Datamodel(_regress(masks, outputs, own), _correlation(guess, outputs[held]))


def _regress(masks: NDArray[np.bool_], outputs: Numbers, own: Sequence[int | None]) -> Effects:
    x = masks - masks.mean(0)
    left = outputs - outputs.mean(0)
    alone = np.zeros(outputs.shape[1:])
    for row, column in enumerate(own):
        if column is not None and x[:, column].any():
            alone[row] = x[:, column] @ left[:, row] / (x[:, column] @ x[:, column])
            left[:, row] -= np.outer(x[:, column], alone[row])
    flat = left.reshape(len(x), -1)
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    gram = flat @ flat.T
    errors = []
    for penalty in PENALTIES:
        shrunk = s**2 / (s**2 + penalty)
        leverage = (u**2 * shrunk).sum(1) + 1 / len(x)
        missing = np.eye(len(x)) - (u * shrunk) @ u.T
        errors.append(float((((missing @ gram) * missing).sum(1) / (1 - leverage) ** 2).sum()))
    penalty = PENALTIES[int(np.argmin(errors))]
    turned = (u * (s / (s**2 + penalty))).T @ flat
    return Effects(alone, own, turned.reshape(-1, *alone.shape), vt)


def _correlation(guess: Numbers, found: Numbers) -> float:
    """Return the mean over outputs of the correlation over models; an output that never varies does not count."""
    one, two = (values.reshape(len(values), -1) - values.reshape(len(values), -1).mean(0) for values in (guess, found))
    scale = np.sqrt((one**2).sum(0) * (two**2).sum(0))
    varied = scale > 1e-12
    return float(((one * two).sum(0)[varied] / scale[varied]).mean()) if varied.any() else 0.0


def draw_masks(rows: int, models: int, share: float, seed: int) -> NDArray[np.bool_]:
    """Return which rows each model is trained on, (models, rows): each row by a coin of `share`."""
    return np.asarray(np.random.default_rng(seed).random((models, rows)) < share)


def centred(logits: Tensor) -> Tensor:
    """Return logits less their mean over classes, which no probability depends on."""
    return logits - logits.mean(-1, keepdim=True)


def subset_logits(
    model: Model, rows: Rows, *, models: int, share: float, recipe: Recipe, job: Job
) -> tuple[NDArray[np.bool_], Numbers]:
    """Train models on random subsets of `rows`; return which rows each saw, (models, rows), and centred logits, (models, rows, classes).

    They depend on no target, and not on the order of rows: `job.cache` keeps the logits, so that targets of one recipe and requests of
    the same rows share them.
    """
    given = sorted(range(len(rows)), key=lambda i: rows[i].id)
    back, rows = np.argsort(given), rows.take(given)
    masks = draw_masks(len(rows), models, share, job.seed)
    if not masks.any(1).all():
        raise InputError("a subset is empty", do="raise share, or give more rows")
    start = weights_digest(starting(model, job.seed, job).module)
    facts = (rows.digest(), recipe.model_dump_json(), start, str(models), str(share), str(job.seed))
    key, kept = job.kept("logits of models on subsets", *facts)
    job.notes["models_trained"] = 0 if kept else models
    job.notes["rows_trained_on"] = 0 if kept else int(masks.sum()) * recipe.epochs
    if kept:
        return masks[:, back], np.load(io.BytesIO(kept), allow_pickle=False)[:, back]
    seeds = [job.fresh_seed + i for i in range(models)]
    recipes = [recipe.model_copy(update={"seed": seed}) for seed in seeds]
    subsets = [rows.take(np.flatnonzero(mask).tolist()) for mask in masks]
    trained = [starting(model, seed, job) for seed in seeds]
    if trains_together(model) and recipe.precision == "float32":
        fit_many(trained, subsets, recipes, job=job.apart())
    else:
        for one, subset, own in zip(trained, subsets, recipes, strict=True):
            fit(one, subset, own, job=job.apart(), label="training on a subset")
    outputs = torch.stack([centred(over_rows(one, rows, one.logits)) for one in trained]).double().cpu().numpy()
    written = io.BytesIO()
    np.save(written, outputs)
    job.cache.put(key, written.getvalue())
    return masks[:, back], outputs[:, back]


class _Logits(nn.Module):
    """A model's logits as a function of its parameters."""

    def __init__(self, model: Model, batch: Batch) -> None:
        super().__init__()
        self.model, self.module, self.batch = model, model.module, batch

    def forward(self) -> Tensor:
        """Return (rows, classes)."""
        return self.model.logits(self.batch)


def along(model: Model, rows: Rows, step: Mapping[str, Tensor]) -> Tensor:
    """Return how the logits of rows change along a small step of the weights, to first order, (rows, classes)."""
    at = {f"module.{name}": dict(model.module.named_parameters())[name].detach() for name in step}
    way = {f"module.{name}": value for name, value in step.items()}

    def change(batch: Batch) -> Tensor:
        single = _Logits(model, batch)
        found: Tensor = torch.func.jvp(lambda values: torch.func.functional_call(single, values, ()), (at,), (way,))[1]
        return found.detach()

    return centred(over_rows(model, rows, change))


def margins(model: Model, batch: Batch) -> Tensor:
    """Return the log odds of each row's label, (size,): log p / (1 - p)."""
    logits = model.logits(batch)
    right = logits.gather(-1, batch.targets[:, None])
    others = logits.scatter(-1, batch.targets[:, None], -torch.inf)
    return right[:, 0] - others.logsumexp(-1)


def trak_step(
    model: Model, forget: Rows, retain: Rows, *, projections: int, damping: float, job: Job
) -> dict[str, Tensor]:
    """Return TRAK's step of the weights when the forget rows leave, by name.

    Rows' gradients of margins are projected on random directions, phi = P grad; the model is taken as a logistic regression on phi:
    step = -P^T (Phi^T Phi + damping)^-1 sum over forget of (1 - p) phi, damping a share of the mean eigenvalue.

    Source: Park et al. 2023. Differs: the target alone, where they average over models trained on subsets.
    """
    rows = Rows((*forget, *retain))
    named = trainable(model.module)
    scale = projections**-0.5
    directions = {
        name: scale * torch.randn((projections, *p.shape), generator=job.generator).to(p) for name, p in named.items()
    }
    phi = gradient_products(measured(model, lambda batch: margins(model, batch)), rows, directions, job=job).double()
    wrong = torch.sigmoid(-over_rows(model, forget, lambda batch: margins(model, batch))).double().cpu()
    gram = phi.T @ phi
    gram += damping * gram.diagonal().mean() * torch.eye(projections, dtype=gram.dtype)
    weights = -torch.linalg.solve(gram, phi[: len(forget)].T @ wrong)
    return {name: torch.tensordot(weights.to(value), value, 1) for name, value in directions.items()}


def influence_step(model: Model, forget: Rows, retain: Rows, *, job: Job) -> dict[str, Tensor]:
    """Return the step of the weights when the forget rows leave, by influence on EK-FAC's curvature of the retain rows."""
    return removal(model, forget, retain, job=job, solver=Solver(kind="ekfac"))


def match_logits(
    model: Model, wanted: Mapping[str, Tensor], forget: Rows, retain: Rows, *, descent: Descent, job: Job
) -> None:
    """Fine-tune in place so that rows' logits, less their mean, are the wanted ones (by row id): mean over rows of the squared distance."""

    def loss(step: Step) -> Tensor:
        aim = torch.stack([wanted[row.id] for row in (*step.forget, *step.retain)]).to(model.device)
        distances = (centred(model.logits(step.joint)) - centred(aim)).square().sum(-1)
        return distances.sum() / max(1, step.forget_count + step.retain_count)

    descend(model, job, descent, loss, forget=forget, retain=retain, label="matching")
