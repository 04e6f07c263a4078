"""Shadow models of a plan: what they are trained on, made once, and what attacks that compare with them find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from expunge.contract.registry import find
from expunge.contract.weights import weights_digest
from expunge.facts.digest import directory_digests
from expunge.facts.errors import InputError
from expunge.facts.record import Record
from expunge.facts.rows import Row, Rows
from expunge.pipeline import shadows
from expunge.pipeline.given import Given
from expunge.pipeline.loading import load_model
from expunge.pipeline.plan import check_plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.ready import check_plan_ready
from expunge.pipeline.river import DO_NOTHING, SECOND, River
from expunge.pipeline.shadows import Shadow
from expunge.pipeline.workshop import Workshop
from expunge.statistics.auc import auc
from expunge.store.store import Store

COUNT = 6
PLAN: dict[str, Any] = {
    "request": {"id": "noise", "source": "digits"},
    "model": {"architecture": "mlp", "settings": {"width": 64}},
    "recipe": {"epochs": 25, "lr": 1e-2, "batch_size": 32},
    "method": [{"name": "finetune", "settings": {"epochs": 1}}, {"name": "ascent", "settings": {"epochs": 1}}],
    "verify": {"attacks": ["lira", "u_lira", "rmia"], "metrics": ["probability"], "shadows": COUNT},
}


def noise() -> Given:
    """Points with labels drawn by a coin: what a model knows of one, it learned from that point."""
    draw = np.random.default_rng(0)
    sizes = {"forget": 50, "retain": 80, "holdout": 50, "test": 20}
    return Given(
        {
            split: Rows(
                tuple(
                    Row(
                        id=f"{split}-{i}",
                        fields={"features": draw.normal(size=12).tolist(), "label": int(draw.integers(2))},
                    )
                    for i in range(n)
                ),
                split,
            )
            for split, n in sizes.items()
        }
    )


class Opened:
    """A river over the noise in a store of its own."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.plan = check_plan({**PLAN, **changes})
        self.store = Store.open(folder)
        self.given = noise()
        self.store.open_request("noise", self.given.rows["forget"])
        self._held = self.store.run("r", "noise")
        self.run = self._held.__enter__()
        self.river = River(self.plan, self.store, self.run, self.given, progress=Bars(quiet=True))

    def close(self) -> None:
        self._held.__exit__(None, None, None)
        self.store.close()

    def digests(self) -> dict[str, dict[str, str]]:
        """Digests of every shadow piece's weights."""
        names = [name for name in self.run.finished() if name.startswith("shadow-")]
        return {name: directory_digests(self.run.directory(name)) for name in names}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Opened, list[Record], Counter[str]]]:
    """The whole river, and how often each model was scored on each split by the one pass."""
    torch.set_num_threads(1)
    counts: Counter[str] = Counter()
    from expunge.pipeline import measure

    real = measure.score

    def counting(model: Any, rows: Rows, *, job: Any) -> Any:
        counts[f"{weights_digest(model.module)}/{rows.digest()}"] += 1
        return real(model, rows, job=job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "score", counting)
        opened = Opened(tmp_path_factory.mktemp("whole") / "store")
        yield opened, opened.river.records(), counts
        opened.close()


@pytest.mark.parametrize("together", [True, False])
def test_what_each_kind_is_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: bool) -> None:
    """Fails if a shadow model lacks retain rows, sees a row it is said not to have seen, or shares a seed with another."""
    seen: list[tuple[set[str], int]] = []
    real, real_many = Workshop.trained_again, shadows.fit_many

    def watched_many(models: Any, rows: Any, recipes: Any, **given: Any) -> None:
        seen.extend((set(own.ids), recipe.seed) for own, recipe in zip(rows, recipes, strict=True))
        real_many(models, rows, recipes, **given)

    monkeypatch.setattr(shadows, "fit_many", watched_many)
    if not together:
        monkeypatch.setattr(shadows, "trains_together", lambda _: False)

    def watched(self: Workshop, like: Path, rows: Rows, seed: int) -> Any:
        seen.append((set(rows.ids), seed))
        return real(self, like, rows, seed)

    monkeypatch.setattr(Workshop, "trained_again", watched)
    opened = Opened(tmp_path / "store", recipe={"epochs": 1})
    found = opened.river.shadows()
    opened.close()
    retain, every = (
        set(opened.given.rows["retain"].ids),
        {row.id for split in ("forget", "holdout") for row in opened.given.rows[split]},
    )
    assert {kind: [set(one.members.ids) for one in made] for kind, made in found.items()} == {
        "halves": [ids - retain for ids, _ in seen[:COUNT]],
        "trained_then_unlearned": [every] * COUNT,
        "retrained": [set()] * COUNT,
    }
    assert all(retain <= ids for ids, _ in seen)
    assert [ids - retain for ids, _ in seen[COUNT:]] == [every] * COUNT + [set()] * COUNT
    assert [seed for _, seed in seen] == list(range(1000, 1000 + 3 * COUNT))
    for split in ("forget", "holdout"):
        counts = Counter(row.id for one in found["halves"] for row in one.members if row.id.startswith(split))
        assert counts == dict.fromkeys(opened.given.rows[split].ids, COUNT // 2)


class Killed(Exception):
    pass


def test_a_run_killed_between_models_of_a_loop_makes_the_same_ones(
    whole: tuple[Opened, list[Record], Counter[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if the models that a kill left are trained in a loop of their own, which may round differently, or are written again."""
    real, made = Workshop._make, []

    def stopping(self: Workshop, piece: str, *given: Any) -> None:
        if piece == "shadow-halves-3" and piece not in made:
            made.append(piece)
            raise Killed
        made.append(piece)
        real(self, piece, *given)

    monkeypatch.setattr(Workshop, "_make", stopping)
    opened = Opened(tmp_path / "store")
    with pytest.raises(Killed):
        opened.river.shadows(opened.plan.method[1])
    opened.close()
    opened = Opened(tmp_path / "store")
    opened.river.shadows(opened.plan.method[1])
    assert made.count("shadow-halves-2") == 1
    assert opened.digests() == {name: one for name, one in whole[0].digests().items() if "finetune" not in name}
    opened.close()


def test_a_killed_run_goes_on_and_makes_the_same_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One model after another. Fails if a finished one is trained again after a kill, or its weights hang on where the kill fell."""
    trained: list[int] = []
    monkeypatch.setattr(shadows, "trains_together", lambda _: False)
    through = Opened(tmp_path / "through")
    through.river.shadows(through.plan.method[1])
    wanted = through.digests()
    through.close()
    real = Workshop.trained_again

    def stopping(self: Workshop, like: Path, rows: Rows, seed: int) -> Any:
        if len(trained) in (5, 14):
            trained.append(-1)
            raise Killed
        trained.append(seed)
        return real(self, like, rows, seed)

    monkeypatch.setattr(Workshop, "trained_again", stopping)
    for _ in range(2):
        opened = Opened(tmp_path / "store")
        with pytest.raises(Killed):
            opened.river.shadows(opened.plan.method[1])
        opened.close()
    opened = Opened(tmp_path / "store")
    found = opened.river.shadows(opened.plan.method[1])
    seeds = [seed for seed in trained if seed >= 0]
    assert sorted(seeds) == list(range(1000, 1000 + 3 * COUNT))
    pieces = opened.digests()
    assert pieces == wanted
    assert len(pieces) == 4 * COUNT
    assert all(one.seconds > 0 for made in found.values() for one in made)
    opened.close()


def outcome_auc(record: Record, attack: str, model: str) -> float:
    found = next(one for one in record.outcomes if (one.attack, one.model) == (attack, model))
    assert found.unscored is None
    return float(auc(found.forget, found.holdout))


def test_lira_finds_members_of_the_target_above_its_control(
    whole: tuple[Opened, list[Record], Counter[str]],
) -> None:
    """Fails if the control is left out, or in and out models change places: the target's AUC would fall below one half.

    By hand from the pieces: phi of every shadow model, pooled Gaussians a row, for the target.
    """
    opened, records, _ = whole
    record = records[0]
    controls = [outcome_auc(record, "lira", f"retrained-{k}") for k in range(3)]
    assert outcome_auc(record, "lira", "target") > 0.8
    assert all(abs(value - 0.5) < 0.2 for value in controls)

    def phi(model: Any, rows: Rows) -> np.ndarray:
        with torch.no_grad():
            logits = model.module(torch.tensor([row["features"] for row in rows])).double()
        p = torch.softmax(logits, 1)[range(len(rows)), [row["label"] for row in rows]].numpy()
        return np.log(p / (1 - p))

    pairs: tuple[Shadow, ...] = opened.river.shadows()["halves"]
    rows = opened.given.rows["forget"]
    table = np.array([phi(one.open(), rows) for one in pairs])
    inside = np.array([[row in one.members.ids for row in rows.ids] for one in pairs])
    target = phi(load_model(opened.run.directory("target"), opened.river.placement), rows)
    expected = np.zeros(len(rows))
    for sign, chosen in ((1, inside), (-1, ~inside)):
        mean = np.where(chosen, table, 0).sum(0) / chosen.sum(0)
        squares = np.where(chosen, (table - mean) ** 2, 0).sum() / (chosen.sum(0) - 1).sum()
        expected += sign * -0.5 * (np.log(squares) + (target - mean) ** 2 / squares)
    found = next(one for one in record.outcomes if (one.attack, one.model) == ("lira", "target"))
    assert found.forget == pytest.approx(expected, rel=1e-3)


def test_rmia_compares_with_the_same_shadow_models(whole: tuple[Opened, list[Record], Counter[str]]) -> None:
    """Fails if the retrained models stay its reference models, or the shadow models that lira gathered are not handed to it.

    By hand from the pieces: the share of holdout rows whose p over the mean p of models in and out lies below the forget row's.
    """
    opened, records, _ = whole
    pairs: tuple[Shadow, ...] = opened.river.shadows()["halves"]
    target = load_model(opened.run.directory("target"), opened.river.placement)

    def ratio(rows: Rows) -> np.ndarray:
        features, labels = torch.tensor([row["features"] for row in rows]), [row["label"] for row in rows]

        def p(model: Any) -> np.ndarray:
            with torch.no_grad():
                return torch.softmax(model.module(features).double(), 1)[range(len(rows)), labels].numpy()

        return p(target) / np.mean([p(one.open()) for one in pairs], axis=0)  # every row is in half of the models

    population = ratio(opened.given.rows["holdout"])
    expected = [np.mean(x > population) for x in ratio(opened.given.rows["forget"])]
    found = next(one for one in records[0].outcomes if (one.attack, one.model) == ("rmia", "target"))
    assert found.forget == pytest.approx(expected, abs=0.021)  # a near tie may fall the other way in floats
    assert outcome_auc(records[0], "rmia", "target") > 0.8


def test_u_lira_sees_doing_nothing_and_no_second_retrained_model(
    whole: tuple[Opened, list[Record], Counter[str]],
) -> None:
    """Fails if the shadow models compared with are among the models attacked, or were not trained on the rows."""
    nothing, second = whole[1][:2]
    assert (nothing.request["label"], second.request["label"]) == (DO_NOTHING, SECOND)
    assert outcome_auc(nothing, "u_lira", "unlearned") > 0.8
    assert abs(outcome_auc(second, "u_lira", "unlearned") - 0.5) < 0.2
    test = next(one for one in nothing.tests if (one.name, one.step) == ("u_lira", "resistant"))
    assert test.success == pytest.approx(outcome_auc(nothing, "u_lira", "unlearned"))
    controls = [outcome_auc(nothing, "u_lira", f"retrained-{k}") for k in range(3)]
    assert test.control_success == pytest.approx(np.mean(controls))


def test_each_method_has_its_own_unlearned_shadow_models(
    whole: tuple[Opened, list[Record], Counter[str]],
) -> None:
    """Fails if one method's pairs serve another, if LiRA's numbers hang on the method, or an outcome is taken from the wrong cache."""
    _, records, _ = whole
    of = {str(one.request["label"]): one for one in records}
    rows = {
        (label, attack): next(o for o in of[label].outcomes if (o.attack, o.model) == (attack, "target")).forget
        for label in ("finetune-0", "ascent-0")
        for attack in ("lira", "u_lira")
    }
    assert rows["finetune-0", "lira"] == rows["ascent-0", "lira"]
    assert rows["finetune-0", "u_lira"] != rows["ascent-0", "u_lira"]


def test_nothing_is_scored_twice(whole: tuple[Opened, list[Record], Counter[str]]) -> None:
    """Fails if the second method scores the halves again."""
    counts = whole[2]
    assert len(counts) >= 2 * 5 * COUNT
    assert set(counts.values()) == {1}


def test_shadow_models_are_counted_and_are_no_models_of_the_record(
    whole: tuple[Opened, list[Record], Counter[str]],
) -> None:
    """Fails if shadow models become subjects or controls, or what they cost is not said."""
    for record in whole[1]:
        assert {model.role for model in record.models} == {"target", "retrained", "untrained", "unlearned"}
        assert record.cost["shadow models"] == 3 * COUNT
        assert record.cost["training shadow models (s)"] > 0
        assert record.plan["verify"]["shadows"] == COUNT


def test_a_method_that_acts_before_training(tmp_path: Path) -> None:
    """Fails if it is handed models that it did not prepare.

    SISA's unlearned shadow model equals, bit by bit, the ensemble that never saw forget and holdout rows.
    """
    settings = {"shards": 2, "check": False}
    opened = Opened(
        tmp_path / "store",
        recipe={"epochs": 2},
        method=[{"name": "sisa", "settings": settings}],
        verify={**PLAN["verify"], "shadows": 4},
    )
    found = opened.river.shadows(opened.plan.method[0])["trained_then_unlearned"]
    shop = opened.river.shop
    blank, seed = shop.open(opened.river.blank()), 1004
    never = find("method", "sisa").create(settings).prepare(
        blank.fresh(seed), opened.given.rows["retain"], shop.recipe(seed), shop.job(seed)
    )  # fmt: skip
    assert weights_digest(found[0].open().module) == weights_digest(never.module)
    opened.close()


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"verify": {**PLAN["verify"], "shadows": 1}}, "shadows must be 0, or even and at least 4, not 1"),
        ({"verify": {**PLAN["verify"], "shadows": 5}}, "shadows must be 0, or even and at least 4, not 5"),
        ({"verify": {"shadows": 4, "battery": "quick"}}, "no attack of this plan reads them"),
        ({"verify": {"shadows": 4, "attacks": ["loss"]}}, "no attack of this plan reads them"),
        ({"model": {"directory": "somewhere"}, "recipe": None}, r"give \[recipe\]"),
        ({"seeds": {"retrained": [101, 1003]}}, "seeds 1000 to 1017, and a model compared with them has one of those"),
        ({"seeds": {"target": 7, "shadows": 0}}, "set seeds.shadows"),
    ],
)
def test_what_cannot_be_trained_or_would_not_be_read_is_refused(changes: dict[str, Any], wanted: str) -> None:
    """Fails if a plan is found wanting only after hours of training, or a control is its own shadow model."""
    with pytest.raises(InputError, match=wanted):
        check_plan({**PLAN, **changes})


def test_holdout_rows_are_needed(tmp_path: Path) -> None:
    """Fails if half of no rows is taken for half: every member score would be of forget rows."""
    plan = check_plan(
        {**PLAN, "model": {"architecture": "cnn"}, "request": {"source": "digits", "settings": {"holdout": 0.0}}}
    )
    with pytest.raises(InputError, match="the source gives none"):
        check_plan_ready(plan, tmp_path)


def test_without_shadow_models_the_reason_names_the_key(tmp_path: Path) -> None:
    """Fails if nobody learns which key trains what the attack lacks."""
    verify = {**PLAN["verify"], "shadows": 0}
    opened = Opened(tmp_path / "store", recipe={"epochs": 1}, verify=verify, seeds={"retrained": [101]})
    (record,) = opened.river.anchors()
    opened.close()
    reasons = {
        one.attack: str(one.unscored) for one in record.outcomes if one.model == "target" and one.step == "resistant"
    }
    assert set(reasons) == {"lira", "u_lira", "rmia"}
    assert reasons.pop("rmia") == "None"
    assert all("verify.shadows = N" in reason for reason in reasons.values())
    assert "shadow models" not in record.cost
