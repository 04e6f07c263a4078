"""`expunge tune` on a plan of one small layer: equal budgets, other rows and other seeds, kept and resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_directory import Command, people, write_jsonl

from expunge.contract.job import Cache, Job, Progress, Remembering
from expunge.contract.splits import Splits
from expunge.engine.prune import prunable
from expunge.facts.digest import canonical_json
from expunge.facts.rows import Row, Rows
from expunge.methods.imp import IMP
from expunge.pipeline import tune as module
from expunge.pipeline.plan import MethodPlan, read_plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.ready import check_plan_ready
from expunge.pipeline.search import Budget, Search
from expunge.pipeline.tune import Tuner, search_table, tune
from expunge.pipeline.validation import Bar, Validation
from expunge.store.ledger import show
from expunge.store.store import Store

PLAN = """
[request]
id = "tiny"
[request.settings]
forget = "forget.jsonl"
retain = "retain.jsonl"
holdout = "holdout.jsonl"
[model]
architecture = "llama"
[model.settings]
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 1
num_attention_heads = 2
max_position_embeddings = 128
vocabulary = 300
[recipe]
epochs = 12
lr = 2e-2
batch_size = 8
[[method]]
name = "grad_diff"
[[method]]
name = "finetune"
[[method]]
name = "ssd"
[verify]
retain_rows = 4
"""
BUDGET = Budget(trials=3, steps=5, batch_size=4, seed=40)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    rows = people(34, 0)
    write_jsonl(folder / "forget.jsonl", rows[:6])
    write_jsonl(folder / "retain.jsonl", rows[6:28])
    write_jsonl(folder / "holdout.jsonl", rows[28:])
    (folder / "plan.toml").write_text(PLAN)
    return folder


@pytest.fixture(scope="module")
def searched(work: Path) -> tuple[dict[str, Any], set[str]]:
    """A whole search, and the ids of all rows that a model was trained or measured on.

    Its target is trained on all retain rows of the plan, its retrained model on these without the validation rows to forget.
    """
    from expunge.modalities.text import TextModel
    from expunge.pipeline import validation

    read: set[str] = set()
    trained: list[tuple[str, ...]] = []
    real, train = TextModel.pack_questions, validation.fit

    def note(self: TextModel, questions: Any) -> Any:
        read.update(question.row_id for question in questions)
        return real(self, questions)

    def fit(model: Any, rows: Any, *given: Any, **more: Any) -> Any:
        trained.append(rows.ids)
        return train(model, rows, *given, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TextModel, "pack_questions", note)
        patch.setattr(validation, "fit", fit)
        found = tune(read_plan(work / "plan.toml"), work / "store", budget=BUDGET, base=work)
    assert [len(rows) for rows in trained] == [22, 16]
    assert set(trained[1]) < set(trained[0]) == read
    return found, read


def test_every_method_has_the_same_trials_and_steps(searched: tuple[dict[str, Any], set[str]]) -> None:
    """5 steps are no whole number of passes of either gradient method; ssd takes none.

    Fails if a method that passes over more rows takes more steps, or a method gets another number of trials.
    """
    methods = searched[0]["methods"]
    assert {label: len(one["trials"]) for label, one in methods.items()} == {"grad_diff": 3, "finetune": 3, "ssd": 3}
    steps = {label: {trial["steps"] for trial in one["trials"]} for label, one in methods.items()}
    assert steps == {"grad_diff": {5}, "finetune": {5}, "ssd": {0}}
    bounds = {label: one["use"].get("max_steps") for label, one in methods.items()}
    assert bounds == {"grad_diff": 5, "finetune": 5, "ssd": None}


def test_the_reported_rows_stay_unseen(work: Path, searched: tuple[dict[str, Any], set[str]]) -> None:
    """Fails if a model of the search is trained or measured on a forget or holdout row of the plan."""
    found, read = searched
    ids = {
        name: {json.loads(line)["id"] for line in (work / f"{name}.jsonl").open()}
        for name in ("forget", "retain", "holdout")
    }
    assert read == ids["retain"]
    assert (found["rows"]["forget"], found["rows"]["retain"]) == (6, 16)
    assert not {*found["seeds"]["models"], *found["seeds"]["methods"]} & {0, 101, 102, 103}


def test_what_is_told_is_the_objective_and_the_best_is_lowest(searched: tuple[dict[str, Any], set[str]]) -> None:
    """Fails if the best is the last, or doing nothing is at no distance."""
    for one in searched[0]["methods"].values():
        values = [trial["objective"] for trial in one["trials"]]
        assert values == pytest.approx([trial["distance"] + trial["utility_loss"] for trial in one["trials"]])
        assert values[one["best"]] == min(values)
    assert 0.0 < searched[0]["do_nothing"] < 2.0


def test_the_objective_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seeds, (.3, .2) and (.1, .0), penalty 2: .2 + 2 * .1 = .4. Fails if the penalty or a seed is left out."""
    rows = Rows(tuple(Row(id=f"r{i}", fields={"features": [i], "label": 0}) for i in range(4)))
    given = Validation(Splits.of(forget=rows[:2], retain=rows[2:]), rows[2:], Rows(()), 0, 2)
    budget = Budget(steps=5, penalty=2.0, seeds=2, seed=40)
    measured = iter([(0.3, 0.2), (0.1, 0.0)])
    seeds: list[int] = []

    class Near:
        def distances(self, *_: object) -> tuple[float, float]:
            return next(measured)

    class Loads:
        target = Path()

        def open(self, path: Path) -> None:
            return None

        def job(self, seed: int, cache: Cache, progress: Progress) -> Job:
            return Job(seed=seed, cache=cache, progress=progress)

    def unlearn(unit: Any, target: Any, splits: Any, *, job: Any, **_: object) -> tuple[None, None]:
        seeds.append(job.seed)
        assert (unit.descent.max_steps, unit.descent.lr) == (5, 0.25)
        job.notes["optimiser_steps"] = 5
        return None, None

    monkeypatch.setattr(module, "unlearn", unlearn)
    search = Search(MethodPlan(name="npo"), budget, given)
    tuner = Tuner(budget, given, lambda _: (Loads(), Near()), None, Remembering(), Bars(quiet=True))  # type: ignore[arg-type]
    assert tuner._try(search, {"lr": 0.25}) == pytest.approx(
        {"objective": 0.4, "distance": 0.2, "utility_loss": 0.1, "steps": 5}
    )
    assert seeds == [140, 141]


def test_finished_trials_are_not_made_again(
    work: Path, searched: tuple[dict[str, Any], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same search again gives the same, byte for byte, from what was kept; its evidence is one row.

    Fails if a trial or a model is made anew, or the search is chained twice.
    """

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a finished trial was made again")

    monkeypatch.setattr(module, "unlearn", never)
    monkeypatch.setattr("expunge.pipeline.validation.fit", never)
    again = tune(read_plan(work / "plan.toml"), work / "store", budget=BUDGET, base=work)
    assert canonical_json(again) == canonical_json(searched[0])
    with Store.open(work / "store") as opened:
        kept = [(row.kind, data) for row, data in show(opened, again["run"])]
    assert [kind for kind, _ in kept] == ["run", "search"]
    assert kept[1][1] == canonical_json(again)


def test_another_version_searches_anew(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if trials that another version made (or failed to make) stand in a search of this one."""
    tried: list[Any] = []
    real = module.unlearn
    monkeypatch.setattr(module, "unlearn", lambda unit, *rest, **more: tried.append(unit) or real(unit, *rest, **more))
    found = {}
    for version in ("expunge 1", "expunge 2", "expunge 1"):
        monkeypatch.setattr(module, "MADE_BY", version)
        found[version] = tune(read_plan(work / "plan.toml"), tmp_path, names=["ssd"], budget=BUDGET, base=work)
    assert len(tried) == 2 * BUDGET.trials
    assert {version: one["made_by"] for version, one in found.items()} == {name: name for name in found}


def test_a_method_that_refuses_the_rows_does_not_end_the_search(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its trials say why. Fails if one method's refusal takes the search from the others, or its reason is lost."""
    from expunge.facts.errors import InputError
    from expunge.methods.grad_diff import GradDiff

    def refuse(*_: object) -> None:
        raise InputError("these rows have no class")

    monkeypatch.setattr(GradDiff, "run", refuse)
    budget = Budget(trials=2, steps=3, batch_size=4, seed=40)
    found = tune(read_plan(work / "plan.toml"), work / "refused", names=["grad_diff", "ssd"], budget=budget, base=work)
    assert [one["failed"] for one in found["methods"]["grad_diff"]["trials"]] == ["these rows have no class"] * 2
    assert found["methods"]["grad_diff"]["use"] is None
    assert search_table(found)[1][-1] == "none: these rows have no class"
    assert found["methods"]["ssd"]["use"]
    assert not any("failed" in one for one in found["methods"]["ssd"]["trials"])


TRAINS_AGAIN = """
[request]
id = "digits"
source = "digits"
[request.settings]
forget = "class=3"
[model]
architecture = "mlp"
[model.settings]
width = 8
depth = 0
[recipe]
epochs = 1
lr = 1e-2
batch_size = 64
[[method]]
name = "dmm"
[method.settings]
models = 10
"""


def test_a_method_that_trains_again_is_given_the_recipe_and_trains_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two trials of one seed share what the first trained. Fails if a trial has no recipe (every one of dmm failed so, and the settings it
    had were returned as the best), or no cache."""
    from expunge.engine import datamodels

    trained, real = [], datamodels.fit_many
    monkeypatch.setattr(
        datamodels, "fit_many", lambda models, *rest, **more: trained.append(len(models)) or real(models, *rest, **more)
    )
    (tmp_path / "plan.toml").write_text(TRAINS_AGAIN)
    budget = Budget(trials=2, steps=2, batch_size=32, seed=40)
    found = tune(read_plan(tmp_path / "plan.toml"), tmp_path / "store", budget=budget, base=tmp_path)
    assert [trial.get("failed") for trial in found["methods"]["dmm"]["trials"]] == [None, None]
    assert found["methods"]["dmm"]["use"]["models"] == 10
    assert trained == [10]


def test_a_method_that_prepares_its_target_is_searched_on_one_that_it_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sparse models of imp's making, one target and one retrained, whatever the trials; no forget row of the plan is read.

    Fails if: imp is given the dense target (which it refuses: all trials would fail), its bar is a dense retrained model's, models are
    prepared again for each trial, or a method that cannot prepare its models ends the search of the others.
    """
    prepared: list[set[str]] = []
    real = IMP.prepare

    def spy(self: IMP, model: Any, rows: Rows, recipe: Any, job: Any) -> Any:
        prepared.append(set(rows.ids))
        return real(self, model, rows, recipe, job)

    bars: list[float] = []
    of = Bar.of

    def read(models: Any, rows: Any, job: Any) -> Bar:
        weights = prunable(models.open(models.retrained[0]).module).values()
        bars.append(sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights))
        return of(models, rows, job)

    monkeypatch.setattr(IMP, "prepare", spy)
    monkeypatch.setattr(Bar, "of", read)
    text = TRAINS_AGAIN.replace('"dmm"', '"imp"').replace("epochs = 1", "epochs = 2").partition("[method.settings]")[0]
    (tmp_path / "plan.toml").write_text(text + '[method.settings]\nrounds = 2\n[[method]]\nname = "finetune"\n')
    budget = Budget(trials=2, steps=2, batch_size=32, seed=40)
    plan = read_plan(tmp_path / "plan.toml")
    found = tune(plan, tmp_path / "store", budget=budget, base=tmp_path)
    assert [trial.get("failed") for trial in found["methods"]["imp"]["trials"]] == [None, None]
    assert len({trial["settings"]["lr"] for trial in found["methods"]["imp"]["trials"]}) == 2
    assert len(prepared) == 2
    assert prepared[1] < prepared[0]
    asked = check_plan_ready(plan, tmp_path).rows["forget"].ids
    assert not prepared[0] & set(asked)
    assert bars == [0.0, pytest.approx(1 - 0.8**2, abs=0.01)]
    (tmp_path / "plan.toml").write_text(text + '[method.settings]\nrewind_epochs = 99\n[[method]]\nname = "finetune"\n')
    found = tune(read_plan(tmp_path / "plan.toml"), tmp_path / "store", budget=budget, base=tmp_path)
    assert found["methods"]["imp"]["use"] is None
    assert "imp rewinds to epoch 99" in found["methods"]["imp"]["trials"][0]["failed"]
    assert "failed" not in found["methods"]["finetune"]["trials"][0]


def test_weights_that_break_cost_a_trial_and_no_more(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate of 1e30 ends in NaN. Fails if one broken trial ends the search, or counts as the best."""
    from expunge.contract.registry import find
    from expunge.pipeline import search

    real = search.ranges
    wild = {"lr": ("choice", 1e30, 1e-3)}
    monkeypatch.setattr(
        search, "ranges", lambda listing, settings: wild if listing.name == "grad_diff" else real(listing, settings)
    )
    assert find("method", "grad_diff").about.search
    budget = Budget(trials=6, steps=3, batch_size=4, seed=40)
    found = tune(read_plan(work / "plan.toml"), work / "wild", names=["grad_diff"], budget=budget, base=work)
    trials = found["methods"]["grad_diff"]["trials"]
    broken = [trial for trial in trials if trial["settings"]["lr"] == 1e30]
    assert broken
    assert all(trial["objective"] == 2.0 and "failed" in trial for trial in broken)
    assert "failed" not in trials[found["methods"]["grad_diff"]["best"]]
    assert search_table(found)[1][7] == str(len(broken))


def test_the_command_writes_the_search_and_a_table(command: Command, work: Path, tmp_path: Path) -> None:
    """Fails if what is written is not what was found, or the table does not say what it stood on."""
    given = ("--methods", "ssd", "--trials", "2", "--steps", "5", "--batch-size", "4", "--seed", "40", "--quiet")
    done = command("tune", work / "plan.toml", *given, "--store", work / "store", "--out", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "out" / "search.json").read_bytes()) == json.loads(done.out)
    table = (tmp_path / "out" / "table.md").read_text()
    assert "no model was trained or measured on its forget, holdout and test rows" in table
    best = json.loads(done.out)["methods"]["ssd"]
    assert f"| ssd | 2 | 0 | {best['trials'][0]['objective']:.3f} |" in table


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--seed", "101"), "those that the plan reports under"),
        (("--methods", "grad_dif"), "the nearest is 'grad_diff'"),
        (("--trials", "0"), "at least 1"),
    ],
)
def test_refusals_write_nothing(
    command: Command, work: Path, tmp_path: Path, given: tuple[str, ...], said: str
) -> None:
    """Fails if a store is made before the plan's own seeds, a misspelt method or an empty budget are refused."""
    done = command("tune", work / "plan.toml", *given, "--store", tmp_path / "store", "--out", tmp_path / "out")
    assert (done.code, said in done.err) == (2, True), done.err
    assert list(tmp_path.iterdir()) == []
