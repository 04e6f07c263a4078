"""The worst-case protocol: a plan with a search, two tables of a small run, and the paper's claim on the protocol's own targets.

The search is worked by hand in tests/engine/test_worst_case.py, with the claim at 600 and at 1,438 digits against several random sets.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
from classifiers import mean_interval

from expunge.app.command import main
from expunge.benchmarks.worst_case import WorstCaseBenchmark
from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.contract.registry import find
from expunge.contract.splits import Splits
from expunge.engine.fit_many import fit_many
from expunge.engine.worst_case import Search, worst_case
from expunge.facts.digest import read_json
from expunge.facts.errors import InputError
from expunge.facts.record import Record
from expunge.facts.rows import Rows
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark
from expunge.pipeline.loading import load_model
from expunge.pipeline.plan import Plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.ready import source_rows
from expunge.pipeline.searched import searched_plan
from expunge.store import chain
from expunge.store.store import Store

METHODS = ("finetune", "l1_sparse", "scrub", "random_label")


def planned(unit: WorstCaseBenchmark, data: Path | None = None) -> Plan:
    protocol = unit.run(data)
    check_benchmark(protocol)
    return benchmark_plan("worst_case", protocol, protocol.methods, seeds=(0,), retrained=(101, 102))


def test_settings_reach_the_plan_and_the_search(tmp_path: Path) -> None:
    """Fails if the share, the noise, the seed, a setting of the search or the training does not arrive, or MNIST is not read where it is given."""
    unit = find("benchmark", "worst_case").create(
        {"share": 0.2, "label_noise": 0.1, "seed": 7, "lower": "random_label", "rounds": 5, "width": 32, "epochs": 3}
    )
    plan = planned(unit)
    assert plan.request.source == "digits"
    assert plan.request.settings == {"forget": "random=0.2", "holdout": 1.0, "label_noise": 0.1, "seed": 7}
    assert (plan.model.architecture, plan.model.settings) == ("mlp", {"width": 32, "depth": 1})
    assert plan.recipe is not None
    assert (plan.recipe.epochs, plan.recipe.stop_loss) == (3, 0.02)
    assert Search(**unit.run(None).search) == Search(lower="random_label", rounds=5)
    assert {"accuracy:forget", "accuracy:retain", "loss:auc"} <= set(unit.run(None).columns)
    (tmp_path / "mnist.npz").write_bytes(b"")
    given = planned(WorstCaseBenchmark(train_rows=500), tmp_path).request
    assert (given.source, given.settings["data"], given.settings["train_rows"]) == (
        "mnist", str(tmp_path / "mnist.npz"), 500
    )  # fmt: skip
    with pytest.raises(InputError, match="there is no file"):
        WorstCaseBenchmark().run(tmp_path / "none.npz")


@pytest.mark.parametrize("share", [0.0, -0.1, 0.5, 1.0, float("nan")])
def test_shares_that_leave_nothing_are_refused(share: float) -> None:
    """Fails if no row, or as many as leave none to retain beside the holdout rows, can be asked for."""
    with pytest.raises(InputError, match="share must lie between 0 and 0.5"):
        find("benchmark", "worst_case").create({"share": share})
    with pytest.raises(InputError, match="lower must be finetune or random_label"):
        find("benchmark", "worst_case").create({"lower": "ascent"})


def test_a_small_run_has_a_table_for_each_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The searched rows are those that the engine finds on the target that both tables show.

    Fails if the searched run has another target, other holdout or test rows or the random rows; if the search's settings or the count are
    lost on the way; if the record does not say how its rows were chosen; if a method ran on rows that were not committed to before; or if
    the tables are exchanged.
    """
    sets = ("share=0.05", "width=32", "epochs=12", "rounds=3", "passes=4", "lr=0.003", "seed=3")
    words = ["--methods", "finetune", "--seeds", "0", "--retrained-seeds", "101", "--quiet", "--out", str(tmp_path / "out"),
             *(word for one in sets for word in ("--set", one))]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["expunge", "bench", "worst_case", *words])
    with contextlib.suppress(SystemExit):
        main()
    texts = {kind: (tmp_path / "out" / f"table{kind}.md").read_text() for kind in ("", "-random")}
    with Store.open(tmp_path / "out" / "store") as store:
        rows = chain.rows(store.connection)
        records = {}
        for row in rows:
            if row.kind == "record":
                one = Record.model_validate(read_json(store.objects.get(row.object)))
                records[str(row.request), str(one.request["label"])] = one
        kinds = [(row.request, row.kind) for row in rows]
        folders = {str(row.request): store.folder / "runs" / str(row.run) / "pieces" for row in rows if row.run}
    drawn = "bench-worst_case"
    (name,) = {request for request, _ in records} - {drawn}
    found, random = records[name, "finetune-0"], records[drawn, "finetune-0"]

    plan = Plan.model_validate(random.plan)
    given = source_rows(plan, Path())
    every = Rows(tuple(sorted((*given["forget"], *given["retain"]), key=lambda row: row.id)))
    target = load_model(folders[drawn] / "target")
    wanted = worst_case(target, every, 72, Search(rounds=3, passes=4, lr=0.003), job=Job(seed=0))
    mine = {split.name: split.ids for split in found.splits}
    assert sorted(mine["forget"]) == sorted(every.take(wanted.rows).ids)
    theirs = {split.name: split.ids for split in random.splits}
    assert mine["forget"] != theirs["forget"]
    assert (mine["holdout"], mine["test"]) == (theirs["holdout"], theirs["test"])
    assert found.models[0].content_digest == random.models[0].content_digest
    assert found.models[1].content_digest != random.models[1].content_digest

    how = found.plan["request"]["searched"]
    assert how["target"] == found.models[0].content_digest
    assert (how["among"], how["settings"]["lower"], how["settings"]["rounds"]) == (len(every), "finetune", 3)
    assert found.request["searched_on"] == "this target"
    assert "searched" not in random.plan["request"]
    assert "searched_on" not in random.request
    own = [kind for request, kind in kinds if request == name]
    assert own[:2] == ["request", "run"]
    assert own.count("record") == len(own) - 2

    assert (
        f"Forget rows: 72 of {len(every)} training rows, chosen on this target (lower=finetune, rounds=3" in texts[""]
    )
    assert texts[""].startswith("# worst_case share=0.05 ")
    assert texts["-random"].startswith("# worst_case-random share=0.05 ")
    assert "chosen on" not in texts["-random"]
    for kind, record in (("", found), ("-random", random)):
        head, _, *body = [
            [cell.strip() for cell in line[1:-1].split("|")] for line in texts[kind].splitlines() if line[:1] == "|"
        ]
        shown = {row[0]: dict(zip(head, row, strict=True)) for row in body}
        assert list(shown) == ["target", "retrained-0", "untrained", "do_nothing", "finetune"]
        measured = {(one.metric, one.model, one.split): one.score.value for one in record.measurements}
        value = measured["accuracy", "unlearned", "forget"]
        assert value is not None
        assert float(shown["finetune"]["accuracy forget"]) == pytest.approx(value, abs=6e-4)
        assert (tmp_path / "out" / f"report{kind}.html").is_file()


@torch.no_grad()
def wrong(model: Model, rows: Rows) -> float:
    batch = model.pack(rows)
    return 100 * float((model.logits(batch).argmax(-1) != batch.targets).float().mean())


def answered_wrong(unit: WorstCaseBenchmark, folder: Path) -> dict[tuple[str, str], float]:
    """Return percent of forget rows answered wrong by (kind of set, model); every method but relabelling keeps 93% of its retain rows."""
    torch.set_num_threads(1)
    protocol, plan = unit.run(None), planned(unit)
    with Store.open(folder) as store:
        second = searched_plan(plan, protocol.search, store, run_id="r", progress=Bars(quiet=True))
    target, found = load_model(folder / "runs" / "r" / "pieces" / "target"), {}
    for kind, one in (("searched", second), ("random", plan)):
        rows = source_rows(one, Path())
        for name in METHODS:
            splits = Splits.of(forget=rows["forget"], retain=rows["retain"])
            after, _ = unlearn(find("method", name).create(), target, splits, job=Job(seed=0))
            found[kind, name] = wrong(after, rows["forget"])
            assert wrong(after, rows["retain"]) < (14 if name == "random_label" else 7), name
        assert plan.recipe is not None
        models = [target.fresh(seed) for seed in range(101, 111)]
        recipes = [plan.recipe.model_copy(update={"seed": seed}) for seed in range(101, 111)]
        fit_many(models, [rows["retain"]] * len(models), recipes, job=Job())
        found[kind, "retrained"] = fmean(wrong(model, rows["forget"]) for model in models)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("lower", ["finetune", "random_label"])
def test_claim_a_searched_set_is_forgotten_less_and_random_sets_flatter_by_that_measure_alone(
    lower: str, tmp_path: Path
) -> None:
    """Digits, a fifth of the labels wrong, 144 of 1,294 rows, five targets, ten retrained models a set; percent of forget rows answered wrong.

    Random less searched on fine-tuning, with 95% intervals over targets: fine-tuning 19.3 (15.2 to 23.4), l1_sparse 18.9 (15.8 to 22.0),
    retrained 27.7 (23.5 to 31.8); scrub 5.7 (-3.6 to 15.0) and relabelling 3.5 (-4.9 to 11.8): no transfer is shown to these. Searched on
    relabelling: 18.6, 18.1, 26.3, scrub 9.4 (3.9 to 15.0), relabelling 13.2 (10.5 to 15.9). The distance of fine-tuning to models retrained
    without the same rows is smaller on searched sets, by 8.4 (3.9 to 12.8) and 7.7 points (5.6 to 9.8): by that measure random sets flatter
    nobody. Fails if the search chooses rows that fall first, or the plan asks for other rows than it chose.
    """
    found = [
        answered_wrong(WorstCaseBenchmark(seed=seed, search=Search(lower=lower)), tmp_path / str(seed))
        for seed in range(5)
    ]

    def of(kind: str, name: str) -> np.ndarray:
        return np.array([one[kind, name] for one in found])

    easier = {name: mean_interval(of("random", name) - of("searched", name)) for name in (*METHODS, "retrained")}
    away = {kind: np.abs(of(kind, "finetune") - of(kind, "retrained")) for kind in ("searched", "random")}
    nearer = mean_interval(away["random"] - away["searched"])
    print(lower, {key: round(fmean(of(*key)), 1) for key in found[0]}, easier, nearer)
    for name in ("finetune", "l1_sparse"):
        assert of("searched", name).max() <= 4
        assert of("random", name).min() >= 8
        assert easier[name].low > 5
    for name in ("scrub", "random_label"):
        # the set found on fine-tuning is not shown to be harder for methods that look at the forget rows
        assert easier[name].low > 3 if lower == "random_label" else easier[name].low < 0
    assert nearer.low > 3
