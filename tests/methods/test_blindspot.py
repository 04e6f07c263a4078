"""Blindspot on a regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numbers_problem import Read, after, planted, read
from tiny_problems import Tiny

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.mask import Mask
from expunge.contract.registry import build
from expunge.engine.fit import fit
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.methods import blindspot
from expunge.methods.ascent import Ascent
from expunge.methods.blindspot import Blindspot
from expunge.methods.finetune import Finetune
from expunge.methods.random_label import RandomLabel
from expunge.modalities.array_tasks import Regression
from expunge.modalities.tabular import Features, tabular_model


def test_a_mask_does_not_hold_the_blind_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the model that never saw the forget rows may move only what the removal may: the rest of it stays as it was drawn."""
    seen: list[Job] = []
    tiny = numbers()
    entries = {name: name.startswith("head") for name, _ in tiny.target.module.named_parameters()}
    mask = Mask({name: torch.full_like(p, entries[name], dtype=torch.bool) for name, p in tiny.target.module.named_parameters()})  # fmt: skip
    monkeypatch.setattr(
        blindspot, "fit", lambda *given, job, **rest: (seen.append(job), fit(*given, job=job, **rest))[1]
    )
    unlearn(Blindspot(proxy_epochs=1), tiny.target, tiny.splits, job=Job(mask=mask))
    assert seen[0].mask is None


def numbers(seed: int = 0) -> Tiny:
    """Twenty rows of one number each, and a model of one hidden block that was trained on them."""
    from expunge.contract.splits import Splits

    draw = np.random.default_rng(seed)
    x = draw.normal(size=(20, 3)).astype("f")
    rows = [Row(id=str(i), fields={"features": x[i], "label": float(50 + 10 * draw.normal())}) for i in range(20)]
    recipe = Recipe(epochs=2, batch_size=8)
    blank = tabular_model("mlp", features=Features(width=3), task=Regression(mean=50, std=10), width=8, depth=1)
    target = fit(blank, Rows(tuple(rows)), recipe, job=Job())
    return Tiny(Splits.of(forget=Rows(tuple(rows[:6])), retain=Rows(tuple(rows[6:]))), target, recipe)


def test_the_loss_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: the frozen or an untrained model takes the blind one's place, maps are not scaled, the head is a map too,
    outputs are compared on the scale of the rows, or retain rows follow the blind model."""
    tiny = numbers()
    settings: dict[str, Any] = {
        "proxy_epochs": 3,
        "proxy_lr": 0.02,
        "forget_weight": 2.0,
        "map_weight": 7.0,
        "retain_weight": 3.0,
    }
    seen = tiny.spied(build(Blindspot, settings, where="test"), monkeypatch, seed=4)
    recipe = Recipe(epochs=3, lr=0.02, batch_size=Blindspot().descent.batch_size, seed=Job(seed=4).fresh_seed)
    blind = fit(tiny.target.fresh(Job(seed=4).fresh_seed), tiny.retain, recipe, job=Job(seed=4))

    def run(module: Any, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = module.blocks[0](module.stem(torch.tensor(np.stack([row["features"] for row in rows]))))
        squares = hidden.square()
        return squares / squares.norm(dim=1, keepdim=True).clamp_min(1e-12), module.head(hidden)[:, 0]

    with torch.no_grad():
        (map_one, out_one), (map_blind, out_blind) = (run(m.module, seen.step.forget) for m in (seen.moved, blind))
        push = 2.0 * (out_one - out_blind).abs() + 7.0 * (map_one - map_blind).square().mean(1)
        labels = torch.tensor([(row["label"] - 50) / 10 for row in seen.step.retain])
        keep = (run(seen.moved.module, seen.step.retain)[1] - labels).square().mean() / 2
    assert seen.loss == pytest.approx(float(push.mean() + 3.0 * keep), rel=1e-4)


def test_the_blind_model_never_sees_a_forget_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if it is trained on all rows, or starts from the target's weights."""
    tiny, seen = numbers(), []
    real = blindspot.fit

    def spy(model: Any, rows: Rows, recipe: Recipe, **given: Any) -> Any:
        seen.append((rows.ids, recipe.epochs, [p.detach().clone() for p in model.module.parameters()]))
        return real(model, rows, recipe, **given)

    monkeypatch.setattr(blindspot, "fit", spy)
    _, facts = unlearn(build(Blindspot, {"epochs": 1}, where="test"), tiny.target, tiny.splits, job=Job(seed=9))
    ((ids, epochs, start),) = seen
    assert ids == tiny.retain.ids
    assert epochs == Blindspot().proxy_epochs
    fresh = list(tiny.target.fresh(Job(seed=9).fresh_seed).module.parameters())
    assert all(torch.equal(one, other) for one, other in zip(start, fresh, strict=True))
    assert "fit_loss" not in facts.notes


def test_claim_nearer_to_retraining_than_finetuning_and_ascent() -> None:
    """P014, on three seeds of a planted regression learned by heart (settings were set on seed 900).

    Measured: forget error within 0.11 of retraining's on each seed (do nothing 2.4 to 3.3 below it, fine-tuning 1.2 to 1.7, fine-tuning
    for as many steps 0.8 to 1.2), member AUC within 0.03 (do nothing 0.36 to 0.45 above). The distance of predictions on forget rows
    (W1) is 0.52 in the mean of the seeds, retrained among one another 0.57, do nothing 1.03, ascent 3.9; against fine-tuning (0.68 and 0.66) three
    seeds decide nothing (ten below). Retain error rises from 0.13 to 0.24, below the retrained models' 0.33. Fails if: the outputs
    follow an untrained model, or forget rows keep their targets.
    """
    found: dict[str, list[Read]] = {}
    for seed in (1, 2, 3):
        problem = planted(seed)
        models = {
            "nothing": problem.target,
            "blindspot": after(problem, Blindspot, seed=seed),
            "finetune": after(problem, Finetune, seed=seed),
            "longer": after(problem, Finetune, {"epochs": 34}, seed=seed),
            "ascent": after(problem, Ascent, seed=seed),
            **{f"retrained-{i}": one for i, one in enumerate(problem.retrained)},
        }
        for name, model in models.items():
            found.setdefault(name, []).append(read(problem, model))

    def of(name: str, what: str) -> np.ndarray:
        return np.array([getattr(one, what) for one in found[name]])

    def retrained(what: str) -> np.ndarray:
        return (of("retrained-0", what) + of("retrained-1", what)) / 2

    def away(name: str, what: str) -> np.ndarray:
        return np.abs(of(name, what) - retrained(what))

    assert (away("nothing", "forget") > 1.5).all()
    assert (away("blindspot", "forget") < 0.6).all()
    for other in ("nothing", "finetune", "longer"):
        assert (away("blindspot", "forget") < away(other, "forget")).all(), other
        assert away("blindspot", "auc").mean() < away(other, "auc").mean(), other
    assert (away("nothing", "auc") > 0.25).all()
    assert (away("blindspot", "auc") < 0.1).all()
    for other in ("nothing", "ascent"):
        assert (of("blindspot", "distance") < of(other, "distance")).all(), other
    assert (of("blindspot", "retain") < retrained("retain") + 0.15).all()
    assert (of("blindspot", "test") < retrained("test") + 0.5).all()


@pytest.mark.slow
def test_claim_of_a_nearer_distribution_than_fine_tunings_is_not_shown_on_ten_seeds() -> None:
    """P014, paired over seeds 1 to 10: W1 of another method's forget predictions to the retrained models' less Blindspot's, its mean and 95% t-interval.

    Measured: do nothing .44 (.28 to .59). Fine-tuning .100 (-.0004 to .201), nearer than Blindspot on 4 of 10 seeds; fine-tuning for as many steps .078 (-.010 to .165), on 5
    of 10. The claim asks for an interval above 0, fixed before the run: it is not shown against fine-tuning, and the sign test (9 of 10) is far from it. Fails if: the outputs follow an
    untrained model, or Blindspot is worse in the mean; or if it wins 9 of 10 seeds: then `differs` is wrong.
    """
    found = []
    for seed in range(1, 11):
        problem = planted(seed)
        models = {
            "nothing": problem.target,
            "blindspot": after(problem, Blindspot, seed=seed),
            "finetune": after(problem, Finetune, seed=seed),
            "longer": after(problem, Finetune, {"epochs": 34}, seed=seed),
        }
        found.append({name: read(problem, model).distance for name, model in models.items()})
    nearer = {other: np.array([one[other] - one["blindspot"] for one in found]) for other in found[0]}
    half = {other: 2.262 * each.std(ddof=1) / 10**0.5 for other, each in nearer.items()}
    print({other: (float(each.mean()), float(half[other])) for other, each in nearer.items()})
    assert nearer["nothing"].mean() - half["nothing"] > 0
    for other in ("finetune", "longer"):
        assert nearer[other].mean() > 0
        assert nearer[other].mean() - half[other] < 0.03
        assert 4 <= (nearer[other] > 0).sum() < 9


def test_gaussian_targets_miss_the_distribution_that_retraining_has() -> None:
    """The Gaussian amnesiac (random_label, drawn once) forgets, but what it says of forget rows lies further from retraining's.

    Measured on seeds 1 to 3: W1 1.41, 1.41, 0.69 against blindspot's 0.63, 0.47, 0.38; retain error 1.0 against 0.24.
    Fails if: targets are drawn of another spread (W1 falls), or forget rows keep theirs.
    """
    distances, kept = [], []
    for seed in (2, 3):
        problem = planted(seed)
        one, other = (
            after(problem, unit, given, seed=seed)
            for unit, given in ((RandomLabel, {"redraw": False}), (Blindspot, {}))
        )
        amnesiac, blind, nothing = (read(problem, model) for model in (one, other, problem.target))
        assert amnesiac.forget > nothing.forget + 1.5
        distances.append(amnesiac.distance - blind.distance)
        kept.append(amnesiac.retain - blind.retain)
    assert np.mean(distances) > 0.2
    assert min(kept) > 0.2
