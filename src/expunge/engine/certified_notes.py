"""What the record says of a certified removal: the bound, what was measured beside it, what it rests on, and what canaries saw."""

from __future__ import annotations

from collections.abc import Sequence

from expunge.contract.job import Job
from expunge.engine.certified import CertifiedModel
from expunge.maths.certified_head import CertifiedHead, Read, canary_epsilon

ASSUMPTIONS = (
    "the noise of a training is Gaussian with the stated sigma, and who looks knows neither it nor what it was drawn from: the state "
    "beside the network is not handed out",
    "requests to forget do not depend on the published weights, and of the heads that were trained under one secret as often one alone is "
    "published: they share their noise",
    "only the weights of the head are covered: not what a record says of them (bounds and measurements depend on the rows), no "
    "predictions or weights given out before, no settings chosen on the rows",
    "as in the paper, the shift of the noise is treated as fixed, though the residual bound, and so the moment of a new training, "
    "depends on data and noise",
)
OPEN_NOISE = "no noise_key was given when the model was prepared: whoever has the seed, which layers and records give away, has the noise"
ROUNDING = 1e-9
"""Share by which a measured gradient may pass its bound: both are float64 sums."""


def note_bound(
    job: Job,
    model: CertifiedModel,
    kept: Read,
    *,
    budget: float,
    delta: float,
    asked: int,
    gone: int,
    saw: Sequence[str],
) -> None:
    """Note (epsilon, delta) of all rows forgotten since the last training, after measuring the gradient that the bound is for.

    `saw` says what the frozen layers saw, then the artefacts that saw the forget rows. Frozen layers that were trained on the forget rows,
    a gradient above its bound, or noise that the seed alone decides leave no provenance.
    """
    head = model.head
    true = head.residuals(kept)
    holds = bool((true <= head.spent * (1 + ROUNDING)).all())
    measured = float((true**2).sum() ** 0.5)
    job.notes["epsilon"], job.notes["delta"] = head.epsilon(delta), delta
    job.notes["residual_bound"], job.notes["residual_measured"] = head.bound, measured
    job.notes["budget"], job.notes["trainings"] = budget, head.trainings
    job.notes["forgotten_rows"], job.notes["group_rows"], job.notes["rows_left"] = gone, head.forgotten, len(kept[0])
    if gone and not head.forgotten:
        job.notes["trained_again"] = (
            "the budget did not allow for these rows: the head was trained again on the kept rows with new noise"
        )
    job.notes["assumptions"] = ASSUMPTIONS
    job.notes["provenance"] = "bounded" if holds and model.keyed and model.backbone != "trained" else "none"
    job.notes["provenance_checks"] = (
        f"the gradient over the {len(kept[0])} kept rows was measured: its norm is {measured:.3g}, the bound {head.bound:.3g} is "
        + ("above it for every class" if holds else "NOT above it for every class"),
        f"the bound is {'within' if head.bound <= budget else 'NOT within'} the budget {budget:.3g}, for {head.forgotten} rows together",
        f"of {asked} rows {gone} were in; those that stay are the retain rows, by a hash of each one's numbers",
        "the noise was drawn from secret bytes beside the seed" if model.keyed else OPEN_NOISE,
        saw[0],
        *(f"kept although it saw the forget rows: {artefact}" for artefact in saw[1:]),
    )


def note_canaries(
    job: Job, before: CertifiedHead, kept: Read, gone: Read, *, budget: float, delta: float, trials: int
) -> None:
    """Note the lower bound on epsilon that canaries show, for a request that is the whole group: rows of earlier ones are not here."""
    if before.forgotten:
        job.notes["canaries"] = "not tried: rows of earlier requests are not here to be trained on"
        return
    if not len(gone[0]):
        job.notes["canaries"] = "not tried: no row of the request was in"
        return
    found = canary_epsilon(before, kept, gone, budget=budget, delta=delta, trials=trials, seed=job.seed)
    job.notes["canary_epsilon_low"], job.notes["canary_rows"] = found, len(gone[0])
