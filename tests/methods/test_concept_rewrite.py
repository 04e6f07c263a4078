"""ConceptRewrite: the head by hand, and digits on which a patch came with the threes."""

from __future__ import annotations

from functools import cache
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from tiny_problems import Tiny

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.splits import SPLITS, Splits
from expunge.engine.concept_bottleneck import directions_of
from expunge.engine.concept_rule import Concept, head_inputs
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.methods.concept_rewrite import ConceptRewrite
from expunge.sources.shortcut import Shortcut
from expunge.testbeds.shortcut import ShortcutDigits, accuracy, everything, patch_saliency, shortcut_digits

SEEDS = (0, 1, 2)


@cache
def problem(seed: int) -> ShortcutDigits:
    torch.set_num_threads(1)
    return shortcut_digits(seed)


def of(rows: Rows, *, patched: bool) -> Rows:
    return Rows(tuple(row for row in rows if ("patched" in row.fields) is patched))


def measured(model: Model, given: ShortcutDigits) -> dict[str, float]:
    """Accuracy on test and flipped rows, on threes without the patch, and the patch's share of what speaks for 3, in percent."""
    flipped = given.rows["test_flipped"]
    return {
        "test": accuracy(model, given.rows["test"]),
        "flipped": accuracy(model, flipped),
        "bare": accuracy(model, of(flipped, patched=False)),
        "saliency": patch_saliency(model, of(flipped, patched=True), label=3),
    }


def after(given: ShortcutDigits, splits: Splits | None = None, **settings: Any) -> tuple[Model, dict[str, Any]]:
    job = Job()
    return unlearn(ConceptRewrite(**settings), given.target, splits or given.splits, job=job)[0], job.notes


def test_the_head_by_hand(clouds: Tiny) -> None:
    """Cloud 0 and half of cloud 1 show it; least squares and ridge by numpy. Fails if: body weights move, the bias stays, or labels are left out."""
    ones = [row for row in clouds.retain if row["label"] == 1][:15]
    gone = {row.id for row in ones}
    forget = Rows((*clouds.forget, *ones))
    splits = Splits.of(forget=forget, retain=Rows(tuple(row for row in clouds.retain if row.id not in gone)))
    model, facts = unlearn(ConceptRewrite(), clouds.target, splits)
    rows = Rows((*splits.rows["forget"], *splits.rows["retain"]))
    labels = np.array([row["label"] for row in rows])
    shown = np.arange(len(rows)) < len(forget)
    f = clouds.target.features(clouds.target.pack(rows), clouds.target.sites().blocks[-1]).detach().double().numpy()
    pattern = np.linalg.pinv(np.column_stack([np.eye(6)[labels], shown])) @ (f - f.mean(0))
    inner = f - np.stack([f[labels == k].mean(0) for k in range(6)])[labels]
    ridge = 1e-2 * len(f) * inner.var(0).mean() * np.eye(f.shape[1])
    vector = np.linalg.solve(inner.T @ inner + ridge, inner.T @ (shown - shown.mean()))
    project = np.outer(pattern[-1], vector) / (vector @ pattern[-1])
    before, now = dict(clouds.target.module.named_parameters()), dict(model.module.named_parameters())
    weight = before["head.weight"].detach().double().numpy()
    assert now["head.weight"].detach().numpy() == pytest.approx(weight - weight @ project, abs=1e-4)
    bias = before["head.bias"].detach().double().numpy() + weight @ project @ f[~shown].mean(0)
    assert now["head.bias"].detach().numpy() == pytest.approx(bias, abs=1e-3)
    assert [name for name in now if not torch.equal(now[name], before[name])] == ["head.weight", "head.bias"]
    assert facts.notes["concept_rows"] == len(forget)


def test_claim_not_the_patch() -> None:
    """The paper's sentence. Measured, seeds 0, 1, 2: flipped 91.1, 94.6, 92.0 (do nothing 65.7, 85.7, 84.4; shortcut-free 96.1, 96.7, 97.4;
    retrained without the patched rows 89.8, 91.3, 87.0); test 97.4, 97.2, 95.9 (98.0, 98.0, 96.9); saliency of the patch 10.5, 9.6,
    13.7 (26.2, 20.2, 22.1; shortcut-free 9.8). It holds in this: three quarters of the gap to the shortcut-free model close.

    Fails if: the concept vector is projected out in place of the pattern, or the pattern holds the label.
    """
    closed, ahead = [], []
    for seed in SEEDS:
        given = problem(seed)
        nothing, free = measured(given.target, given), measured(given.free, given)
        now = measured(after(given)[0], given)
        assert free["flipped"] - nothing["flipped"] > 6
        assert now["flipped"] >= nothing["flipped"] + 4
        assert now["test"] >= nothing["test"] - 3
        assert now["saliency"] <= 0.75 * nothing["saliency"]
        closed.append((now["flipped"] - nothing["flipped"]) / (free["flipped"] - nothing["flipped"]))
        ahead.append(now["flipped"] - accuracy(given.retrained, given.rows["test_flipped"]))
    assert fmean(closed) >= 0.6
    assert fmean(ahead) >= 0


def test_claim_of_the_label_without_its_patch_does_not_hold() -> None:
    """Forbidding the patch does not teach what else a three is: accuracy on threes without it stays at 82.0, 81.7, 52.7 (do nothing 82.0,
    85.0, 54.5; shortcut-free 95.1, 100, 96.4). Fitting the head under the rule (refit .1) gives 88.5, 95.0, 72.7, flipped 89.8, 94.3, 92.6.

    Fails if: fitting the head changes nothing, or reads the concept again.
    """
    found = {
        name: [measured(after(problem(seed), **settings)[0], problem(seed)) for seed in SEEDS]
        for name, settings in {"rule": {}, "fitted": {"refit": 0.1}}.items()
    }
    bare = {name: fmean(one["bare"] for one in several) for name, several in found.items()}
    nothing = [measured(problem(seed).target, problem(seed)) for seed in SEEDS]
    free = fmean(measured(problem(seed).free, problem(seed))["bare"] for seed in SEEDS)
    assert abs(bare["rule"] - fmean(one["bare"] for one in nothing)) <= 8
    assert bare["rule"] <= free - 10
    assert bare["fitted"] >= bare["rule"] + 4
    assert fmean(one["flipped"] for one in found["fitted"]) >= fmean(one["flipped"] for one in nothing) + 7


def test_claim_of_discovery_and_of_few_exemplars() -> None:
    """Flipped accuracy, seeds 0, 1, 2: nobody says what shows the patch (forget rows without it) 90.2, 94.6, 92.0; ten exemplars, the other patched rows unmarked
    among the retain rows: as given 65.9, 86.3, 83.9 (as doing nothing), with rows alike 92.2, 95.4, 92.0.

    Fails if: discovery reads who is forget, or rows alike are not looked for.
    """
    few: dict[str, list[float]] = {"exemplars": [], "alike": [], "discovered": []}
    nothing = [accuracy(problem(seed).target, problem(seed).rows["test_flipped"]) for seed in SEEDS]
    for seed in SEEDS:
        given = problem(seed)
        rows = Shortcut(seed=seed, known=0.1).run()
        splits = Splits.of(**{name: rows[name] for name in SPLITS})
        assert {row.id for row in everything(rows)} == {row.id for row in everything(given.rows)}
        for concept, several in few.items():
            bare = Splits.of(
                forget=Rows(tuple(of(rows["retain"], patched=False))[:10]),
                retain=Rows(
                    (*tuple(of(rows["retain"], patched=False))[10:], *of(rows["retain"], patched=True), *rows["forget"])
                ),
            )
            model, notes = after(given, bare if concept == "discovered" else splits, concept=concept)
            several.append(accuracy(model, rows["test_flipped"]))
            if concept == "discovered":
                assert notes["concept_label"] == 3
                assert notes["concept_flagged"]
                assert len(notes["concept_exemplars"]) == 5
                assert set(notes["concept_inputs"]) & {54, 55, 62, 63}
    assert fmean(few["discovered"]) >= fmean(nothing) + 8
    assert fmean(few["alike"]) >= fmean(nothing) + 8
    assert abs(fmean(few["exemplars"]) - fmean(nothing)) <= 5


def test_claim_of_the_concept_vector_alone_does_not_hold() -> None:
    """Projecting the concept vector out of the head's input, as concept spaces are used, gives flipped 68.7, 87.0, 85.0 (do nothing 65.7, 85.7,
    84.4): it tells the patch, and is not what the patch adds. Fails if: that is no longer so.
    """
    gains = []
    for seed in SEEDS:
        given = problem(seed)
        rows = everything(given.rows)
        features = head_inputs(given.target, rows, job=Job())
        shown = np.array(["patched" in row.fields for row in rows])
        vector = directions_of(features, shown[:, None])[0]
        one = Concept(pattern=vector, vector=vector, absent=features[~shown].mean(0))
        copy = given.target.copy()
        head = copy.module.get_submodule("head")
        weight, bias = one.forbidden(*(p.detach().double().numpy() for p in (head.weight, head.bias)))  # type: ignore[union-attr]
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weight))  # type: ignore[operator, union-attr]
            head.bias.copy_(torch.from_numpy(bias))  # type: ignore[operator, union-attr]
        flipped = given.rows["test_flipped"]
        gains.append(accuracy(copy, flipped) - accuracy(given.target, flipped))
    assert fmean(gains) <= 4


def test_settings_that_make_no_sense() -> None:
    """Fails if: a concept of no kind, one cluster, or exemplars whose answers hang on nothing pass."""
    for settings in ({"concept": "patch"}, {"clusters": 1}, {"mass": 1.0}, {"refit": -1.0}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            ConceptRewrite(**settings)  # type: ignore[arg-type]
    given = problem(0)
    blank = Rows(tuple(row.replace(image=np.full((8, 8), 0.3, np.float32)) for row in given.rows["forget"][:1]))
    splits = Splits.of(forget=blank, retain=given.rows["retain"])
    with pytest.raises(InputError):
        unlearn(ConceptRewrite(concept="alike"), given.target, splits)
