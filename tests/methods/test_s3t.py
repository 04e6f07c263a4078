"""S3T: bit-identical to models that never read the touched slices, no training, more deletions than SISA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from tiny_problems import KINDS, Tiny, drawings, known, losses, numbers

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.engine import stage_training
from expunge.engine.ensembles import Ensemble
from expunge.engine.fit import fit
from expunge.engine.predict import predict
from expunge.engine.staged import merged
from expunge.facts.errors import ContractBroken, InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.methods.s3t import S3T
from expunge.methods.sisa import SISA
from expunge.modalities.vision import vision_model
from expunge.pipeline.loading import load_model
from expunge.sources.digits import Digits
from expunge.statistics.slice_orders import expected_deletions
from expunge.testbeds.diffusion import SIDES, agreement, sides_judge
from expunge.testbeds.vision import IMAGES

RECIPE = Recipe(epochs=4, lr=1e-2, batch_size=16, seed=7)
METHOD = S3T(shards=2, slices=3, copies=2, rank=8)


def prepared(tiny: Tiny, rows: Rows, method: S3T = METHOD, recipe: Recipe = RECIPE) -> Ensemble:
    model = method.prepare(tiny.target, rows, recipe, Job(recipe=recipe))
    assert isinstance(model, Ensemble)
    return model


def forget(model: Ensemble, gone: Rows, method: S3T = METHOD) -> tuple[Any, Any]:
    return unlearn(method, model, Splits.of(forget=gone), job=Job(recipe=RECIPE))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def everything(clouds: Tiny) -> Rows:
    return Rows((*clouds.forget, *clouds.retain))


@pytest.fixture(scope="module")
def trained(clouds: Tiny, everything: Rows) -> Ensemble:
    return prepared(clouds, everything)


def rows_at(model: Ensemble, rows: Rows, shard: int, *parts: int) -> Rows:
    return Rows(tuple(row for row in rows if model.place(row.id) in {(shard, part) for part in parts}))


def test_orders_are_rotations_and_the_first_model_serves(trained: Ensemble) -> None:
    """Fails if: two models of a shard read slices in one order, or the served weights are another model's."""
    for shard in range(2):
        assert [one.order for one in trained.copies[shard]] == [(0, 1, 2), (1, 2, 0)]
        best = merged(trained.base, trained.copies[shard][0].stages)
        assert all(torch.equal(best[name], value) for name, value in trained.members[shard].module.state_dict().items())


@pytest.mark.parametrize(("part", "serves", "stages"), [(0, 1, 2), (1, 0, 1), (2, 0, 2)])
def test_claim_the_served_model_never_saw_the_slice(
    clouds: Tiny,
    everything: Rows,
    trained: Ensemble,
    part: int,
    serves: int,
    stages: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slice 0 goes: order 1, 2, 0 serves with two stages. Slice 1: order 0, 1, 2 with one. Slice 2: with two.

    The hash of the member is that of one trained from nothing on rows of which none is of that slice; no training, the other shard as it was.
    Fails if: a stage that read the slice stays on, or the model with fewer stages serves.
    """
    never = prepared(clouds, Rows(tuple(row for row in everything if trained.place(row.id) != (0, part))))
    monkeypatch.setattr(stage_training, "fit", lambda *_, **__: pytest.fail("it trained"))
    row = rows_at(trained, everything, 0, part)[:1]
    model, facts = forget(trained, row)
    assert [len(one.stages) for one in model.copies[0]] == [part, (part - 1) % 3]
    assert stages == max(part, (part - 1) % 3)
    scratch = clouds.target.copy()
    scratch.module.load_state_dict(merged(never.base, never.copies[0][serves].stages[:stages]))
    assert weights_digest(model.members[0].module) == weights_digest(scratch.module)
    assert weights_digest(model.members[1].module) == weights_digest(trained.members[1].module)
    assert facts.provenance == "exact"
    assert facts.notes["touched_slices"] == 1
    assert not model.held(row)


def test_no_later_request_brings_a_stage_back(everything: Rows, trained: Ensemble) -> None:
    """Slice 2 then slice 1 of a shard: what the first switched off stays off, and its tensors are gone. Fails if: serving looks at the prepared stages."""
    once, _ = forget(trained, rows_at(trained, everything, 0, 2)[:1])
    twice, _ = forget(once, rows_at(trained, everything, 0, 1)[:1])
    both, _ = forget(trained, Rows((*rows_at(trained, everything, 0, 2)[:1], *rows_at(trained, everything, 0, 1)[:1])))
    assert [len(one.stages) for one in twice.copies[0]] == [1, 0]
    assert weights_digest(twice.module) == weights_digest(both.module)
    assert [len(one.stages) for one in trained.copies[0]] == [3, 3]


def test_a_request_twice_and_one_for_rows_never_seen_change_nothing(clouds: Tiny, everything: Rows) -> None:
    """Fails if: a row that is not in switches off the slice that its id falls in."""
    model = prepared(clouds, everything[:-5])
    once, _ = forget(model, everything[:1])
    for gone in (everything[:1], everything[-5:]):
        again, facts = forget(once, gone)
        assert weights_digest(again.module) == weights_digest(once.module)
        assert (facts.notes["stages_switched_off"], facts.notes["touched_slices"]) == (0, 0)


def test_rows_under_other_ids_are_not_called_gone(clouds: Tiny, everything: Rows) -> None:
    """Fails if: stages that read the rows stay on, and the model is called exact, because ids changed or moved to other rows."""
    model = prepared(clouds, everything[:-5])
    renamed = Rows(tuple(Row(id=f"new-{row.id}", fields=row.fields) for row in everything[:2]))
    with pytest.raises(InputError, match="the same contents are, under others"):
        forget(model, renamed)
    moved = Rows((Row(id=everything[0].id, fields=everything[1].fields),))
    with pytest.raises(InputError, match="is not what was learnt under this id"):
        forget(model, moved)


def test_a_shard_without_stages_has_no_vote_and_the_last_one_is_refused(everything: Rows, trained: Ensemble) -> None:
    """A shard whose every first slice went is silent; when all are, it must be trained again. Fails if: the bare base votes, or is served alone."""
    model, facts = forget(trained, rows_at(trained, everything, 0, 0, 1))
    assert model.silent == {0}
    assert facts.notes["silent_shards"] == 1
    batch = model.pack(everything)
    torch.testing.assert_close(model.logits(batch), model.members[1].logits(batch).log_softmax(-1))
    with pytest.raises(InputError, match="trained again"):
        forget(model, rows_at(trained, everything, 1, 0, 1))
    with pytest.raises(InputError, match="trained again"):
        forget(trained, everything)


def test_the_check_can_fail(everything: Rows, trained: Ensemble) -> None:
    """One entry of a stage that stays is changed. Fails if: what is left is compared with itself."""
    broken = trained.copy()
    next(iter(broken.copies[0][0].stages[0].values())).view(-1)[0] += 0.5
    with pytest.raises(ContractBroken, match="not what was trained"):
        forget(broken, rows_at(broken, everything, 0, 2)[:1])


def test_a_saved_ensemble_forgets_as_the_one_in_memory(everything: Rows, trained: Ensemble, tmp_path: Path) -> None:
    """Fails if: stages, orders, the base or the list of rows are lost, or a switched-off stage is left in the directory."""
    gone = rows_at(trained, everything, 0, 0)[:1]
    trained.save(tmp_path / "before")
    read = load_model(tmp_path / "before")
    assert isinstance(read, Ensemble)
    assert (read.rows, read.risk, read.from_base_model) == (trained.rows, "", False)
    ours, theirs = forget(trained, gone)[0], forget(read, gone)[0]
    assert weights_digest(ours.module) == weights_digest(theirs.module)
    theirs.save(tmp_path / "after")
    assert len(list((tmp_path / "before").rglob("copy-*"))) == 12
    assert len(list((tmp_path / "after").rglob("copy-*"))) == 6 + 0 + 2
    silent, _ = forget(trained, rows_at(trained, everything, 0, 0, 1))
    silent.save(tmp_path / "silent")
    again = load_model(tmp_path / "silent")
    batch = silent.pack(everything)
    assert torch.equal(silent.logits(batch), again.logits(batch))


def test_forgets_a_class_and_keeps_the_rest(clouds: Tiny, everything: Rows) -> None:
    """Rows of class 0 carry a risk of 1 and share the last slices: their stages go, the rest stays. Fails if: slices are not placed
    by risk, or a row that comes back with another risk switches off a slice that never held it."""
    method = S3T(shards=2, slices=3, copies=2, rank=16, risk="risk")
    rows = Rows(tuple(row.replace(risk=1.0 if row["label"] == 0 else (i % 2) / 2) for i, row in enumerate(everything)))
    model = prepared(clouds, rows, method, RECIPE.model_copy(update={"epochs": 20}))
    gone = Rows(tuple(row for row in rows if row["label"] == 0))
    assert {model.place_of(row)[1] for row in gone} == {2}
    with pytest.raises(InputError, match="is not what was learnt under this id"):
        forget(model, Rows(tuple(row.replace(risk=0.0) for row in gone)), method)
    after, facts = forget(model, gone, method)
    assert known(after, gone)[0] == 0.0
    assert known(after, clouds.retain)[0] >= 0.9
    assert facts.notes["touched_slices"] == 2


def test_a_model_it_did_not_prepare_is_refused(clouds: Tiny, everything: Rows) -> None:
    """Fails if: a plain model or SISA's is taken for one with stages, or SISA takes this one."""
    with pytest.raises(InputError, match="prepared"):
        clouds.run(METHOD)
    with pytest.raises(ValueError, match="rotations"):
        S3T(slices=2, copies=3)
    other = SISA(shards=2, slices=1).prepare(clouds.target, everything, RECIPE, Job(recipe=RECIPE))
    assert isinstance(other, Ensemble)
    with pytest.raises(InputError, match="prepared"):
        forget(other, everything[:1])
    with pytest.raises(InputError, match="prepared"):
        unlearn(
            SISA(),
            prepared(clouds, everything),
            Splits.of(forget=everything[:1], retain=everything[1:]),
            job=Job(recipe=RECIPE),
        )


@pytest.mark.parametrize("kind", KINDS)
def test_any_adapter_serves_what_never_saw_the_slice(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A regression, a diffusion model and one with dropout. Slice 2 of shard 0 goes: what serves is bit for bit what is served where no row of it
    was ever in, the request twice changes nothing, and all is read back. Fails if: a stage's noise or dropout hangs on the stages before it.
    """
    blank, rows = KINDS[kind](0)
    method = S3T(shards=2, slices=3, copies=1, rank=4)
    target: Any = method.prepare(blank, rows, RECIPE, Job(recipe=RECIPE))
    gone = rows_at(target, rows, 0, 2)[:1]
    kept = Rows(tuple(row for row in rows if target.place(row.id) != (0, 2)))
    never = method.prepare(blank, kept, RECIPE, Job(recipe=RECIPE))
    monkeypatch.setattr(stage_training, "fit", lambda *_, **__: pytest.fail("it trained"))
    target.save(tmp_path / "target")
    read: Any = load_model(tmp_path / "target")
    model, facts = forget(read, gone, method)
    assert weights_digest(model.module) == weights_digest(never.module) != weights_digest(target.module)
    assert torch.equal(losses(model, rows), losses(never, rows))
    assert (facts.provenance, facts.notes["stages_switched_off"]) == ("exact", 1)
    model.save(tmp_path / "after")
    again: Any = load_model(tmp_path / "after")
    twice, facts = forget(again, gone, method)
    assert weights_digest(twice.module) == weights_digest(model.module)
    assert facts.notes["stages_switched_off"] == 0
    with pytest.raises(InputError, match="must be trained again"):
        forget(again, Rows((*rows_at(target, rows, 0, 0)[:1], *rows_at(target, rows, 1, 0)[:1])), method)


def test_numbers_known_by_heart_are_forgotten() -> None:
    """As SISA's test of this name; the ten rows share slice 1 by their risk. Said too much, before and after: 3.43 and -.06; 2.74 and .11; 2.65
    and -.03 (seeds 0, 1, 2; after half as many epochs seed 1 says 1.71 too much before, by heart to fewer).

    Fails if: the stages that read them stay on.
    """
    method, recipe = S3T(shards=2, slices=2, copies=1, risk="risk"), Recipe(epochs=60, lr=1e-2, batch_size=16)
    for seed in (0, 1, 2):
        blank, plain = numbers(seed)
        rows = Rows(tuple(row.replace(risk=0.9 if i < 10 else 0.1) for i, row in enumerate(plain)))
        one = recipe.model_copy(update={"seed": seed})
        target: Any = method.prepare(blank, rows, one, Job(recipe=one))
        model, _ = unlearn(method, target, Splits.of(forget=rows[:10]), job=Job(recipe=one))
        true = np.array([row["label"] for row in rows[:10]]) - 6
        before, after = (predict(each, rows[:10], job=Job())[:, 0] - true for each in (target, model))
        assert before.mean() > 2
        assert abs(after.mean()) < 1


@pytest.mark.slow
def test_a_drawing_is_forgotten() -> None:
    """As SISA's test of this name, by the risk of the rows: .84 .76, .94 .08; .86 .76, .94 .50; .82 .76, .96 .08 (seeds 0, 1, 2).

    Stages train no stem, time or words, and a name never learned draws what it may: half on the right under seed 1, by weights that never
    saw a right one. Fails if: the stages that read what went stay on.
    """
    method, recipe = S3T(shards=2, slices=2, copies=2, risk="risk"), Recipe(epochs=100, lr=1e-2, batch_size=80)
    for seed in (0, 1, 2):
        blank, plain = drawings(seed)
        rows = Rows(tuple(row.replace(risk=0.9 if i < 24 else 0.1) for i, row in enumerate(plain)))
        one = recipe.model_copy(update={"seed": seed})
        target: Any = method.prepare(blank, rows, one, Job(recipe=one))
        model: Any = unlearn(method, target, Splits.of(forget=rows[:24]), job=Job(recipe=one))[0]
        before, after = (agreement(each, sides_judge, SIDES, each=50) for each in (target, model))
        assert after["right"] <= before["right"] - 0.25
        assert after["left"] >= 0.75


def deletions(model: Ensemble, rows: Rows, order: list[int], method: S3T) -> int:
    """How many single-row requests it served before it had to be trained again."""
    for count, i in enumerate(order):
        try:
            model, _ = unlearn(method, model, Splits.of(forget=rows.take([i])), job=Job(), consume=True)  # type: ignore[assignment]
        except InputError:
            return count + 1
    return len(order)


def sisa_deletions(model: Ensemble, rows: Rows, order: list[int]) -> int:
    """The same for SISA that never trains again and falls back to the weights before a slice: every shard's first slice touched."""
    left = {(shard, 0) for shard in range(model.shards)}
    for count, i in enumerate(order):
        left.discard(model.place(rows[i].id))
        if not left:
            return count + 1
    return len(order)


@pytest.mark.slow
def test_claim_more_deletions_than_sisa_at_similar_accuracy() -> None:
    """Digits, an MLP of four layers trained on 300 rows that stay (base), 3 shards of 4 slices, seeds 1 to 5; settings set on 900 and
    901.

    Test accuracy of base, SISA, S3T: .872 .939 .942; .844 .922 .944; .838 .922 .944; .836 .936 .933; .841 .928 .914 (a stage of S3T
    takes as many epochs as all slices of SISA): S3T less SISA .006, 95% interval [-.014, .026], and less base .089 [.068, .110].
    Deletions of single rows until it must be trained again, SISA (falling back to the weights before a slice, never training) and S3T
    with 4 orders: 9 and 30; 12 and 30; 23 and 29; 10 and 99; 15 and 45: more on each, 3.2 times as many [1.3, 7.9]; as a difference, 33
    [-8, 73], it is not shown by draws this uneven. Expected by formula, 22 and 37. What S3T serves was never trained on the rows, bit
    by bit (above): there is no distance to retrained models. Fails if: further orders begin with the same slice.
    """
    torch.set_num_threads(1)
    method, recipe = S3T(shards=3, slices=4, copies=4), Recipe(epochs=10, lr=1e-2, batch_size=32)
    found = []
    for seed in (1, 2, 3, 4, 5):
        rows = Digits(forget="sample=100", holdout=0.0, seed=seed).run()
        every = Rows((*rows["forget"], *rows["retain"]))
        kept, training = every[:300], every[300:]
        blank = vision_model("mlp", images=IMAGES, classes=10, seed=seed, width=64, depth=3)
        base = fit(blank, kept, Recipe(epochs=10, lr=6e-3, batch_size=64, seed=seed), job=Job())
        one = recipe.model_copy(update={"seed": seed})
        job = Job(recipe=one, base=base.copy)
        sisa: Any = SISA(shards=3, slices=4).prepare(blank, training, one, job)
        s3t: Any = method.prepare(blank, training, one, job)
        accuracies = [known(model, rows["test"])[0] for model in (base, sisa, s3t)]
        order = np.random.default_rng(seed).permutation(len(training)).tolist()
        counts = [sisa_deletions(sisa, training, order), deletions(s3t, training, order, method)]
        found.append((accuracies, counts))
    assert expected_deletions(3, 4, 1) == pytest.approx(22.0)
    assert expected_deletions(3, 4, 4) == pytest.approx(37.24, abs=0.01)
    accuracy, count = (np.array(each) for each in zip(*found, strict=True))
    apart, learnt = (mean_interval(accuracy[:, 2] - accuracy[:, i]) for i in (1, 0))
    more, times = mean_interval(count[:, 1] - count[:, 0]), mean_interval(np.log(count[:, 1] / count[:, 0]))
    print(accuracy, count, apart, learnt, more, times)
    assert apart.low > -0.05
    assert apart.high < 0.05
    assert learnt.low > 0.02
    assert (count[:, 1] > count[:, 0]).all()
    assert times.low > 0
    assert more.low < 0
