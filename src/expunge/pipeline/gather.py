"""Gather what metrics and attacks read of every model of a verification, each linked to those it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from expunge.contract.evidence import Evidence
from expunge.contract.model import Model
from expunge.facts.rows import Rows
from expunge.pipeline.battery import Battery
from expunge.pipeline.measure import Measurer, Wanted, union
from expunge.pipeline.progress import Bars
from expunge.pipeline.shadows import Shadow, shadow_evidence
from expunge.pipeline.subjects import Subject


def gather(
    subjects: Sequence[Subject],
    opened: Mapping[str, Model],
    rows: Mapping[str, Rows],
    battery: Battery,
    measurer: Measurer,
    max_new_tokens: int,
    shadows: Mapping[str, Sequence[Shadow]],
    progress: Bars,
) -> dict[str, Evidence]:
    """Return each subject's evidence by name; shadow models are measured only where an attack reads them."""
    needs = union(unit.about.reads for _, unit in (*battery.metrics, *battery.attacks))
    wanted = Wanted(needs, rows, max_new_tokens, frozenset(rows))
    found = {}
    for subject in subjects:
        progress.stage = f"measuring {subject.name}"
        one = measurer.evidence(opened[subject.name], wanted, name=subject.name, role=subject.role)
        if subject.guarded is not None:
            one = _behind_guard(one, subject)
        found[subject.name] = one
    retrained = [one for one in found.values() if one.role == "retrained"]
    target = next((one for one in found.values() if one.role == "target"), None)
    untrained = next((one for one in found.values() if one.role == "untrained"), None)
    beside = shadow_evidence(shadows, rows, measurer, progress) if "shadows" in needs else {}
    linked = {}
    for name, one in found.items():
        others = tuple(other for other in retrained if other.name != name)
        reference = others[0] if others else None
        linked[name] = replace(
            one, retrained=others, target=target, untrained=untrained, reference=reference, shadows=beside
        )
    return linked


def _behind_guard(one: Evidence, subject: Subject) -> Evidence:
    """Replace generations by what the guard says; a guarded system shows no likelihoods."""
    assert subject.guarded is not None
    generations = {
        split: [
            said if said is not None else own
            for said, own in zip(subject.guarded.screen(one.rows[split]), answers, strict=True)
        ]
        for split, answers in one.generations.items()
    }
    return replace(one, generations=generations, scores={}, gradient_norms={}, predictions={}, weights={})
