"""ConceptRewrite: the head by hand, and digits on which a patch came with the threes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
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

SEEDS = (10, 20, 30, 40, 50)
"""Of draws that claims are reported on: bounds were set on 0, 1 and 2."""
LEAST = {"gap": 6.0, "gained": 4.0, "closed": 0.6, "ahead": 0.0, "test": -3.0, "spared": 0.25}
"""Bounds of the paper's sentence, see `sentence`."""


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


def on_average(models: Sequence[Model], given: ShortcutDigits) -> dict[str, float]:
    """The means over models of what is measured."""
    every = [measured(one, given) for one in models]
    return {name: float(np.mean([one[name] for one in every])) for name in every[0]}


def after(given: ShortcutDigits, splits: Splits | None = None, **settings: Any) -> tuple[Model, dict[str, Any]]:
    job = Job()
    return unlearn(ConceptRewrite(**settings), given.target, splits or given.splits, job=job)[0], job.notes


@cache
def compared(seed: int) -> dict[str, dict[str, float]]:
    """What is measured of doing nothing and of the rule, and on average of ten shortcut-free and ten retrained models."""
    given = problem(seed)
    return {
        "nothing": measured(given.target, given),
        "rule": measured(after(given)[0], given),
        "free": on_average(given.free, given),
        "retrained": on_average(given.retrained, given),
    }


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


def sentence(seed: int) -> dict[str, float]:
    """Of flipped accuracy: gap of doing nothing to shortcut-free models, gain, gap left, share closed, points ahead of retrained models;
    points of test accuracy, and the share of the patch's saliency that is gone.
    """
    at = compared(seed)
    print(seed, at)
    nothing, rule, free = at["nothing"], at["rule"], at["free"]
    gap, gained = free["flipped"] - nothing["flipped"], rule["flipped"] - nothing["flipped"]
    return {
        "gap": gap,
        "gained": gained,
        "left": gap - gained,
        "closed": gained / gap,
        "ahead": rule["flipped"] - at["retrained"]["flipped"],
        "test": rule["test"] - nothing["test"],
        "spared": 1 - rule["saliency"] / nothing["saliency"],
    }


def intervals(every: Sequence[dict[str, float]]) -> dict[str, Any]:
    """The 95% interval of the mean over draws of each number."""
    found = {name: mean_interval([one[name] for one in every]) for name in every[0]}
    print(*found.items(), sep="\n")
    return found


def test_claim_not_the_patch() -> None:
    """The paper's sentence on one draw: flipped accuracy 65.7, by the rule 91.1; ten shortcut-free models 96.6, ten retrained ones 89.6.

    Test accuracy 98.0 and 97.4; the patch's saliency 26.2 and 10.5 (shortcut-free 9.6). Five draws below.

    Fails if: the concept vector is projected out in place of the pattern, or the pattern holds the label.
    """
    found = sentence(0)
    print(found)
    assert {name: found[name] >= least for name, least in LEAST.items()} == dict.fromkeys(LEAST, True)


@pytest.mark.slow
def test_claim_not_the_patch_on_five_draws() -> None:
    """Means and 95% intervals: flipped 74.6 [70.6, 78.7], by the rule 92.2 [90.4, 94.0]; ten shortcut-free models a draw 97.2 [96.7, 97.6],
    ten retrained without the patched rows 86.6 [84.7, 88.4]. Paired with these, the rule closes .78 [.70, .86] of the gap of 22.5 [18.1,
    27.0], leaves 4.9 [2.9, 7.0] of it, and is 5.7 [3.7, 7.7] ahead of retraining: "near", and below.

    Test accuracy moves by -.5 [-.8, -.2] (98.4 to 97.9); .53 [.46, .61] of the patch's saliency is gone (22.8 to 10.6; shortcut-free 10.4
    [8.9, 11.9]). Fails as above, or if nothing of the gap is left.
    """
    found = intervals([sentence(seed) for seed in SEEDS])
    intervals(
        [{f"{who} {what}": x for who, own in compared(seed).items() for what, x in own.items()} for seed in SEEDS]
    )
    assert {name: found[name].low >= least for name, least in LEAST.items()} == dict.fromkeys(LEAST, True)
    assert found["left"].low > 0


@pytest.mark.slow
def test_claim_of_the_label_without_its_patch_does_not_hold() -> None:
    """Forbidding the patch does not teach what else a three is: accuracy on threes without it is 78.0 [67.0, 89.1] and moves by -3.4
    [-5.9, -.8]; ten shortcut-free models a draw are 22.2 [11.1, 33.4] above.

    Fitting the head under the rule (refit .1) adds 11.9 [2.2, 21.5]: more than nothing, but the 4 that were asked for are not sure. Flipped
    accuracy is then 91.2 [88.9, 93.6], 16.6 [11.8, 21.4] above doing nothing.

    Fails if: fitting the head changes nothing, or reads the concept again.
    """
    every = []
    for seed in SEEDS:
        given, at = problem(seed), compared(seed)
        rule, fitted = at["rule"], measured(after(given, refit=0.1)[0], given)
        every.append(
            {
                "nothing": at["nothing"]["bare"],
                "rule": rule["bare"],
                "fitted": fitted["bare"],
                "free": at["free"]["bare"],
                "moved": rule["bare"] - at["nothing"]["bare"],
                "short": at["free"]["bare"] - rule["bare"],
                "by fitting": fitted["bare"] - rule["bare"],
                "flipped, fitted": fitted["flipped"],
                "flipped gained": fitted["flipped"] - at["nothing"]["flipped"],
            }
        )
        print(every[-1])
    found = intervals(every)
    assert -8 <= found["moved"].low <= found["moved"].high <= 0
    assert found["short"].low >= 10
    assert 0 < found["by fitting"].low <= 4 <= found["by fitting"].high
    assert found["flipped gained"].low >= 7


@pytest.mark.slow
def test_claim_of_discovery_and_of_few_exemplars() -> None:
    """Nobody says what shows the patch (forget rows without it): it is flagged on each draw, and flipped accuracy gains 18.0 [13.9, 22.2].

    Ten exemplars (eleven on one draw), the other patched rows unmarked among the retain rows: as given 1.9 [-1.0, 4.7], with rows alike
    17.8 [13.7, 21.9].

    Fails if: discovery reads who is forget, or rows alike are not looked for.
    """
    every = []
    for seed in SEEDS:
        given = problem(seed)
        nothing = accuracy(given.target, given.rows["test_flipped"])
        rows = Shortcut(seed=seed, known=0.1).run()
        few = Splits.of(**{name: rows[name] for name in SPLITS})
        assert {row.id for row in everything(rows)} == {row.id for row in everything(given.rows)}
        bare = tuple(of(rows["retain"], patched=False))
        none = Splits.of(
            forget=Rows(bare[:10]), retain=Rows((*bare[10:], *of(rows["retain"], patched=True), *rows["forget"]))
        )
        every.append({})
        for concept, splits in (("exemplars", few), ("alike", few), ("discovered", none)):
            model, notes = after(given, splits, concept=concept)
            every[-1][concept] = accuracy(model, rows["test_flipped"])
            every[-1][f"{concept} gained"] = accuracy(model, rows["test_flipped"]) - nothing
        print(nothing, len(few.forget), every[-1], notes)
        assert notes["concept_label"] == 3
        assert notes["concept_flagged"]
        assert len(notes["concept_exemplars"]) == 5
        assert set(notes["concept_inputs"]) & {54, 55, 62, 63}
    found = intervals(every)
    assert found["discovered gained"].low >= 8
    assert found["alike gained"].low >= 8
    assert -5 <= found["exemplars gained"].low <= found["exemplars gained"].high <= 5


@pytest.mark.slow
def test_claim_of_the_concept_vector_alone_does_not_hold() -> None:
    """Projecting the concept vector out of the head's input, as concept spaces are used, gives flipped 76.3 [73.2, 79.5], a gain of 1.7
    [.7, 2.7]: it tells the patch, and is not what the patch adds. Fails if: what is projected out is the pattern.
    """
    every = []
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
        every.append({"flipped": accuracy(copy, flipped)})
        every[-1]["gained"] = every[-1]["flipped"] - accuracy(given.target, flipped)
        print(every[-1])
    assert intervals(every)["gained"].high <= 4


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
