"""What a classifier's body says of rows before its head decides, and the labelled rows an attacker reads it with."""

from __future__ import annotations

import numpy as np

from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.units import Probe
from expunge.engine.order import ordered
from expunge.engine.predict import over_rows
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.statistics.clusters import FloatArray, IntArray


def body_features(model: Model, rows: Rows, *, job: Job) -> FloatArray:
    """Return the output of the last block for each row, flattened, (rows, width); a model without blocks is refused."""
    blocks = model.sites().blocks
    if not blocks:
        raise InputError("this architecture names no block to read features from")
    with job.autocast():
        found = over_rows(model, rows, lambda batch: model.features(batch, blocks[-1]).flatten(1).float().cpu())
    broken = int((~found.isfinite().all(1)).sum())
    if broken:
        raise InputError(f"{broken} of {len(rows)} rows have features that are not finite")
    return np.asarray(found.numpy(), np.float64)


def labels_of(rows: Rows) -> IntArray:
    """Return the label of each row."""
    return np.array([int(row["label"]) for row in rows], np.int64)


def read_with(evidence: Evidence, probe: Probe, split: str, most: int) -> Rows:
    """Return at most `most` retain rows and the holdout rows; refuses rows of a split with a label that none of them has."""
    retain = probe.splits.retain
    kept = retain.take(sorted(ordered(retain, 0, 0)[:most]))
    found = Rows((*kept, *evidence.rows.get("holdout", ())), "labelled")
    missing = sorted(set(labels_of(evidence.rows[split])) - set(labels_of(found)))
    if missing:
        raise InputError(f"{len(missing)} of the labels asked for stand on no retain or holdout row")
    return found
