from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from digits_class import Accuracies, retrained
from digits_seeds import REPORTED
from tiny_problems import Tiny, mean_over_rows, nll, plain
from told_members import Membership, mean_membership, membership
from torch import Tensor

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.engine.descend import Descent
from expunge.engine.fit_many import fit_many
from expunge.engine.vae import fit_vae
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.methods import laf
from expunge.methods.finetune import Finetune
from expunge.methods.laf import LAF
from expunge.modalities.vision import Images, vision_model
from expunge.sources.digits import Digits
from expunge.testbeds.problem import Problem


def scrambled(rows: Rows) -> Rows:
    draw = np.random.default_rng(7)
    return Rows(tuple(row.replace(label=int(draw.integers(6))) for row in rows))


def test_no_label_is_read(clouds: Tiny) -> None:
    """Fails if: the targets of a batch, or what a label decides of a row's order, reach the weights; or the repair reads none."""
    other = Splits.of(forget=scrambled(clouds.forget), retain=scrambled(clouds.retain))
    short: dict[str, Any] = {"vae_steps": 20, "descent": Descent(lr=2e-3, epochs=2)}
    for method, same in ((LAF(**short), True), (LAF(**short, repair_rows=20), False)):
        one, two = (unlearn(method, clouds.target, splits, job=Job(seed=0))[0] for splits in (clouds.splits, other))
        assert (weights_digest(one.module) == weights_digest(two.module)) is same


def test_both_losses_by_plain_computation(clouds: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: an autoencoder is of the other rows, a sign, weight or temperature is lost, or the frozen copy is the model itself."""
    seen: list[tuple[str, float]] = []
    learnt: list[Any] = []
    moved: list[Any] = []

    def spy(model: Any, job: Job, descent: Descent, losses: Iterable[Callable[[], Tensor]], **given: Any) -> None:
        with torch.no_grad():
            for parameter in model.module.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=job.generator))
            seen.extend((loss.func.__name__, float(loss())) for loss in losses)  # type: ignore[attr-defined]
        assert given["total"] == len(seen)
        moved.append(model.copy())

    def keep(values: Tensor, **settings: Any) -> Any:
        learnt.append((values, fit_vae(values, **settings)))
        return learnt[-1][1]

    monkeypatch.setattr(laf, "descend_on", spy)
    monkeypatch.setattr(laf, "fit_vae", keep)
    few = Splits.of(forget=clouds.forget, retain=clouds.retain[:30])
    method = LAF(align_weight=3.0, temperature=2.0, vae_steps=50, descent=Descent(epochs=1, batch_size=30))
    unlearn(method, clouds.target, few, job=Job(seed=0))
    (forget_before, forget_vae), (retain_before, retain_vae) = learnt

    def body(model: Any, rows: Rows) -> Tensor:
        x = torch.tensor([row["features"] for row in rows], dtype=torch.float32)
        found: Tensor = model.module.blocks[0](model.module.stem(x)).detach()
        return found

    torch.testing.assert_close(forget_before, body(clouds.target, clouds.forget))
    torch.testing.assert_close(retain_before, body(clouds.target, clouds.retain[:30]))
    far, near = body(moved[0], clouds.forget), body(moved[0], clouds.retain[:30])

    def bounded(vae: Any, values: Tensor) -> float:
        scaled = (values - vae.shift) / vae.scale
        m = ((vae.decoder(vae.encoder(scaled)[:, :8]) - scaled) ** 2).sum(1)
        return float(torch.exp(m / (m + 1)).mean())

    def away(now: Tensor, before: Tensor) -> Tensor:
        cosines: Tensor = (now * before).sum(1) / now.norm(dim=1) / before.norm(dim=1)
        return 1 - cosines

    assert [name for name, _ in seen] == ["extract", "align"]
    assert seen[0][1] == pytest.approx(bounded(retain_vae, near) - bounded(forget_vae, far), rel=1e-4)
    turned = float(away(near, retain_before).mean() - torch.exp(away(far, forget_before) / 2.0).sum().log())
    assert seen[1][1] == pytest.approx(3.0 * turned, rel=1e-4)


def test_the_head_moves_in_the_repair_alone_and_alone_there(clouds: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: the head moves without labels, the repair moves the body, or it sees more rows than it may."""
    named = dict(clouds.target.module.named_parameters())
    model, _ = clouds.run(LAF(vae_steps=50))
    kept = {name for name, p in model.module.named_parameters() if torch.equal(p, named[name])}
    assert kept == {"head.weight", "head.bias"}
    before = model.copy()
    LAF(repair_rows=12, repair_epochs=40, repair_lr=1e-2).repair(before, clouds.retain[:12], Job())
    same = {
        name
        for name, p in before.module.named_parameters()
        if torch.equal(p, dict(model.module.named_parameters())[name])
    }
    assert same == set(named) - kept
    assert all(p.requires_grad for p in before.module.parameters())
    losses = [mean_over_rows([nll(row) for row in plain(one, clouds.retain[:12])]) for one in (model, before)]
    assert losses[1] < losses[0]
    rows: list[int] = []
    monkeypatch.setattr(laf, "descend", lambda *_, **given: rows.append(len(given["retain"])))
    LAF(repair_rows=7).repair(model.copy(), clouds.retain, Job())
    assert rows == [7]


IMAGES = Images(shape=(1, 8, 8), mean=(0.3,), std=(0.38,))


SHAPES: dict[str, dict[str, int]] = {"mlp": {"width": 128, "depth": 1}, "cnn": {}}


@cache
def problem(kind: str, seed: int, network: str = "mlp") -> Problem:
    """Digits, MLP 64-128-128-10 or the small CNN: a class to go, a random tenth, or a tenth whose labels are all wrong (and the holdout's likewise). Ten
    retrained models."""
    torch.set_num_threads(1)
    found = Digits(
        seed=seed, **({"forget": "class=3"} if kind == "class" else {"forget": "random=0.1", "holdout": 1.0})
    ).run()
    if kind == "noise":
        draw = np.random.default_rng(seed)
        for name in ("forget", "holdout"):
            wrong = (row.replace(label=int((row["label"] + draw.integers(1, 10)) % 10)) for row in found[name])
            found[name] = Rows(tuple(wrong))
    splits = Splits.of(**{name: found[name] for name in ("forget", "retain", "holdout", "test")})
    blank = vision_model(network, images=IMAGES, classes=10, seed=seed, **SHAPES[network])
    recipe = Recipe(epochs=30 if kind == "noise" else 10, lr=6e-3, batch_size=64, seed=seed)
    models = [blank.fresh(seed + i) for i in range(11)]
    every = Rows((*splits.rows["forget"], *splits.rows["retain"]))
    recipes = [recipe.model_copy(update={"seed": seed + i}) for i in range(11)]
    fit_many(models, [every, *[splits.rows["retain"]] * 10], recipes, job=Job())
    return Problem(
        name=kind, splits=splits, target=models[0], retrained=tuple(models[1:]), untrained=blank, recipe=recipe
    )


def runs(
    kind: str, seed: int, network: str = "mlp", **methods: Any
) -> dict[str, tuple[float, float, Membership, Membership]]:
    """Of do nothing, a retrained model, and methods: mean gap to retrained over forget, retain and test accuracy, forget accuracy, what
    membership attacks find, and how far that is from the retrained models' mean."""
    given = problem(kind, seed, network)
    truth, attacked = retrained(given), mean_membership(given.retrained, given.splits)
    models = {"nothing": given.target, "floor": given.retrained[0]}
    models |= {name: unlearn(one, given.target, given.splits, job=Job(seed=seed))[0] for name, one in methods.items()}
    found = {}
    for name, model in models.items():
        one, seen = Accuracies.of(model, given), membership(model, given.splits)
        found[name] = (one.gap(truth), one.forget, seen, seen.gap(attacked))
    return found


def test_claim_a_class_of_digits_goes_without_labels() -> None:
    """Seed 0: forget accuracy 100 to 3 (retrained 0), gap 33.5 to 2.0; .7 with the head repaired on 200 labels. Called non-members: 99
    and 100% of the forget rows (retrained 100, do nothing 0).

    Fails if: forget rows' representations are drawn to h_forget, or turned towards the target's.
    """
    found = runs("class", 0, laf=LAF(), repaired=LAF(repair_rows=200))
    assert found["nothing"][0] > 30
    assert found["laf"][1] < 35
    assert found["laf"][0] < 13
    assert found["repaired"][0] < 5
    assert found["nothing"][2].efficacy < 15
    assert max(found[name][3].efficacy for name in ("laf", "repaired")) < 15


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_claim_by_kind_of_removal() -> None:
    """Gap to retrained in points, five draws; settings of seed 900. Fine-tuning reads every retain label, LAF none, LAF+R 200.

    Class: nothing 33.5, LAF 3.2 [-1.2, 7.5] (.9 to 2.0 and, on one draw, 9.4), LAF+R 1.2 [-.6, 3.0], fine-tuning .26 [.21, .32], floor
    .14. Beside fine-tuning LAF 2.9 [-1.5, 7.3] and LAF+R .9 [-.9, 2.8]: within ten and five points of it. Random: nothing 1.1 [.6, 1.6],
    LAF .8 [.2, 1.3], LAF+R 1.0, fine-tuning .9, floor .26 [.18, .33]. LAF beside nothing -.3 [-.6, -.02], beside fine-tuning -.1 [-.4,
    .1]. Wrong labels: nothing 24.6 [22.9, 26.4], LAF 13.9 [9.3, 18.6], LAF+R 11.6 [8.4, 14.7], fine-tuning .5 [.2, .8], floor .1: the
    claim does not hold.

    Membership, distance to the retrained models. Class: an SVC on confidence calls 92 to 100% of the forget rows non-members after LAF,
    96 to 100 after LAF+R, 100 after retraining, 0 to 2 before; 1.9 [-2.6, 6.3] and .8 [-1.5, 3.1]. The AUC of the loss (3.3 [.6, 5.9]
    after LAF, 5.7 before) tells nothing there. Random: 2.6 [.04, 5.2] after LAF (nothing 4.6 [3.4, 5.7]), AUC 1.0 [.3, 1.6] (nothing
    1.3). Wrong labels: AUC .98 to 1 before, .95 to .98 after LAF and .96 to .98 after LAF+R, .50 to .56 retrained, .68 to .75 fine-tuned;
    45 [41, 49] away after LAF, fine-tuning 19 [16, 23]: nothing is gone. Fails if: forget rows stay where they are represented, or the
    repair does nothing.
    """
    methods = {"laf": LAF(), "repaired": LAF(repair_rows=200), "finetune": Finetune()}
    found = {kind: [runs(kind, seed, **methods) for seed in REPORTED] for kind in ("class", "random", "noise")}
    gap = {kind: {name: np.array([run[name][0] for run in of]) for name in of[0]} for kind, of in found.items()}
    of_class, random, noise = gap["class"], gap["random"], gap["noise"]
    assert mean_interval(of_class["laf"] - of_class["finetune"]).high < 10
    assert mean_interval(of_class["repaired"] - of_class["finetune"]).high < 5
    assert mean_interval(of_class["laf"] - of_class["nothing"]).high < -20
    assert mean_interval(random["laf"] - random["nothing"]).high < 0
    beside = mean_interval(random["laf"] - random["finetune"])
    assert -1 < beside.low < beside.high < 1
    assert mean_interval(noise["repaired"] - noise["laf"]).high < 0
    assert mean_interval(noise["laf"] - noise["nothing"]).high < -5
    assert mean_interval(noise["repaired"] - noise["finetune"]).low > 5
    away = {kind: {name: np.array([run[name][3] for run in of]) for name in of[0]} for kind, of in found.items()}
    for name in ("laf", "repaired"):
        assert mean_interval(away["class"][name][:, 0]).high < 10
        assert max(mean_interval(values).high for values in away["random"][name].T) < 10
        assert mean_interval(away["noise"][name][:, 1] - away["noise"]["finetune"][:, 1]).low > 10
    assert max(run["nothing"][2].efficacy for run in found["class"]) < 15
    for run in found["noise"]:
        assert min(run[name][2].area for name in ("nothing", "laf", "repaired")) > 90
        assert run["floor"][2].area < 60
        assert run["finetune"][2].area < 85


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_claim_by_kind_of_removal_on_a_small_cnn() -> None:
    """As above on five small CNNs, with the same settings; gap to retrained in points.

    Class: nothing 33.4, LAF .20 [-.01, .41], LAF+R .14 [-.01, .29], fine-tuning .61 [-.4, 1.6], floor .10: the claim holds, and the SVC
    calls all forget rows non-members after each, as after retraining. Random: nothing .62 [.22, 1.02], LAF .55 [.16, .93], LAF+R .59,
    fine-tuning .35, floor .20; LAF beside nothing -.07 [-.17, .02]: not shown nearer, and the AUC of the loss is 2.9 [1.9, 3.9] away, not
    nearer than before (1.9 [.7, 3.0]). Wrong labels: nothing 35.0, LAF 34.9 [33.9, 35.9], LAF+R 34.3 [33.2, 35.4], fine-tuning .3; AUC 49
    away (fine-tuning 14): nothing is gone. Fails if: forget rows stay where they are represented.
    """
    methods = {"laf": LAF(), "repaired": LAF(repair_rows=200), "finetune": Finetune()}
    found = {kind: [runs(kind, seed, "cnn", **methods) for seed in REPORTED] for kind in ("class", "random", "noise")}
    gap = {kind: {name: np.array([run[name][0] for run in of]) for name in of[0]} for kind, of in found.items()}
    away = {kind: {name: np.array([run[name][3] for run in of]) for name in of[0]} for kind, of in found.items()}
    for kind, of in gap.items():
        print(
            kind, {name: (mean_interval(values), mean_interval(values - of["nothing"])) for name, values in of.items()}
        )
        print(kind, {name: [mean_interval(column) for column in values.T] for name, values in away[kind].items()})
    assert mean_interval(gap["class"]["nothing"]).low > 30
    for name in ("laf", "repaired"):
        assert mean_interval(gap["class"][name]).high < 1.5
        assert mean_interval(away["class"][name][:, 0]).high < 5
        assert mean_interval(gap["noise"][name] - gap["noise"]["finetune"]).low > 20
        assert mean_interval(away["noise"][name][:, 1] - away["noise"]["finetune"][:, 1]).low > 10
    beside = mean_interval(gap["random"]["laf"] - gap["random"]["nothing"])
    assert beside.low < 0 < beside.high


def test_a_bound_on_steps_leaves_some_for_the_repair(clouds: Tiny) -> None:
    """Fails if: moving takes every step of the bound, so that the repair's rate is a setting of nothing."""
    digests = set()
    for rate in (1e-3, 1e-2):
        bounded = Descent(lr=2e-3, epochs=10, batch_size=32, max_steps=8)
        model, facts = clouds.run(LAF(vae_steps=5, repair_rows=12, repair_lr=rate, descent=bounded))
        assert facts.notes["optimiser_steps"] == 8
        digests.add(weights_digest(model.module))
    assert len(digests) == 2
