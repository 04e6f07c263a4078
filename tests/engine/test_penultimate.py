"""What a classifier's body says of rows."""

from __future__ import annotations

import pytest
import torch
from classifiers import a_class

from expunge.contract.job import Job
from expunge.engine.penultimate import body_features, read_with
from expunge.facts.errors import InputError


def test_the_head_of_these_features_is_the_model() -> None:
    """Fails if another layer than the one before the head is read, or batches are put together in another order."""
    measured = a_class()
    model, rows = measured.problem.target, measured.problem.splits.rows["retain"]
    found = body_features(model, rows, job=Job())
    head = model.module.get_submodule("head")
    with torch.no_grad():
        logits = head(torch.tensor(found, dtype=torch.float32)).numpy()
        wanted = model.logits(model.pack(rows)).numpy()
    assert len(rows) > 512
    assert logits == pytest.approx(wanted, abs=1e-4)


def test_rows_an_attacker_reads_with() -> None:
    """Fails if a forget row is among them, more retain rows than allowed, or a label nobody has is passed over."""
    measured = a_class()
    evidence, rows = measured.evidence["target"], measured.problem.splits.rows
    found = read_with(evidence, measured.probe(measured.problem.target), "forget", 100)
    assert len(found) == 100 + len(rows["holdout"])
    assert not set(found.ids) & set(rows["forget"].ids)
    with pytest.raises(InputError, match="7 of the labels asked for stand on no retain or holdout row"):
        read_with(evidence, measured.probe(measured.problem.target), "retain", 2)
