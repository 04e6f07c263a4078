"""Find what a model's answers hang on that need not belong to the class: few inputs that come with one label.

For every row the attribution of its own label, gradient x input of that logit against the mean logit, says which inputs the answer hangs
on; k-means of these maps (each of length 1) puts rows together that are answered for the same reason (Lapuschkin et al. 2019 cluster
maps spectrally, Yan et al. 2023 build on that). A cluster's concept are the inputs that hold a share `mass` of its mean positive
attribution, and the values they have in the cluster. A row shows it whose values there lie nearer to the cluster's mean than to the
other rows'. Score: the correlation (phi) over all rows between showing it and bearing the cluster's label. A few inputs of a class
proper show up in other classes, too; an artefact does where the label is, and nearly nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine.concepts import BoolArray, clustered
from expunge.engine.inputs import input_of, moved_to
from expunge.engine.order import cut
from expunge.engine.penultimate import labels_of
from expunge.engine.predict import ROWS
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.statistics.clusters import FloatArray

FLAG = 0.85
"""Score from which a candidate is called a confounder.

Set on digits of seeds 900 and 901: .87 and .89 for a planted patch, at most .83 for whatever else. On seeds 0 to 4 two of fifty
models trained without the shortcut reach it, at most .862.
"""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A concept that a label's answers hang on; `cluster` is -1 where its rows were given and not found."""

    cluster: int
    label: int
    size: int
    """Rows of the cluster."""
    purity: float
    """Share of these that bear the label."""
    inputs: tuple[int, ...]
    """Places of the flattened input that hold the concept, from the most attributed on."""
    shown: BoolArray
    """Whether each row shows it."""
    score: float
    exemplars: tuple[str, ...]
    """Ids of the cluster's rows that show it, from the most attributed on."""

    @property
    def flagged(self) -> bool:
        """True where the concept nearly names the label by itself."""
        return self.score >= FLAG


def attributions(model: Model, rows: Rows, labels: Sequence[int], *, job: Job) -> FloatArray:
    """Return gradient x input of the logit of each row's entry in `labels` against the mean logit, (rows, inputs)."""
    parts = []
    for indices in cut(list(range(len(rows))), ROWS):
        batch = model.pack(rows.take(indices))
        x = input_of(batch).detach().clone().requires_grad_(True)
        asked = torch.tensor([labels[i] for i in indices], device=x.device)
        with torch.enable_grad(), job.autocast():
            logits = model.logits(moved_to(batch, x))
            total = (logits.gather(-1, asked[:, None])[:, 0] - logits.mean(-1)).sum()
        gradient = torch.autograd.grad(total, x)[0]
        parts.append((gradient * x).detach().flatten(1).double().cpu().numpy())
    return np.asarray(np.concatenate(parts))


def inputs_of(model: Model, rows: Rows) -> FloatArray:
    """Return what the model reads of each row, (rows, inputs)."""
    return np.asarray(input_of(model.pack(rows)).detach().flatten(1).double().cpu().numpy())


def candidate(
    maps: FloatArray, x: FloatArray, rows: Rows, members: BoolArray, *, mass: float, cluster: int = -1
) -> Candidate | None:
    """Return the concept of the rows in `members`, or None where nothing speaks for their label or no row is left without it."""
    labels = labels_of(rows)
    values, counts = np.unique(labels[members], return_counts=True)
    label = int(values[counts.argmax()])
    mean = np.clip(maps[members].mean(0), 0, None)
    if not mean.any() or members.all():
        return None
    order = np.argsort(-mean, kind="stable")
    inputs = order[: int(np.searchsorted(np.cumsum(mean[order]), mass * mean.sum())) + 1]
    seen = x[:, inputs]
    with_it, without = (np.square(seen - seen[some].mean(0)).sum(1) for some in (members, ~members))
    shown = with_it < without
    if shown.all() or not shown.any():
        return None
    own = labels == label
    score = float(np.corrcoef(shown, own)[0, 1]) if not own.all() else 0.0
    strength = maps[:, inputs].sum(1)
    ids = [rows[int(i)].id for i in np.argsort(-strength, kind="stable") if members[i] and shown[i]]
    return Candidate(
        cluster=cluster, label=label, size=int(members.sum()), purity=float(counts.max() / counts.sum()),
        inputs=tuple(int(i) for i in inputs), shown=shown, score=score, exemplars=tuple(ids),
    )  # fmt: skip


def own_maps(model: Model, rows: Rows, *, job: Job) -> FloatArray:
    """Return each row's attribution map of its own label."""
    return attributions(model, rows, labels_of(rows).tolist(), job=job)


def confounders(model: Model, rows: Rows, *, clusters: int, mass: float, job: Job) -> list[Candidate]:
    """Return a candidate a cluster of the rows' attribution maps, the highest score first; nobody says which rows show what."""
    maps, x = own_maps(model, rows, job=job), inputs_of(model, rows)
    lengths = np.linalg.norm(maps, axis=1, keepdims=True)
    places = clustered(maps / np.maximum(lengths, np.finfo(np.float64).tiny), count=min(clusters, len(rows)), seed=0).T
    found = [
        candidate(maps, x, rows, members, mass=mass, cluster=i) for i, members in enumerate(places) if members.any()
    ]
    kept = [one for one in found if one is not None]
    if not kept:
        raise InputError(
            "no group of rows is answered for a reason that other rows lack", do="give exemplars of the concept"
        )
    return sorted(kept, key=lambda one: -one.score)
