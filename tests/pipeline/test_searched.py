"""A plan's second request: which rows a search on its target chooses, what stays as it was, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_directory import Command, files_under

from expunge.benchmarks.worst_case import WorstCaseBenchmark
from expunge.contract.registry import find
from expunge.facts.digest import safetensors_digest
from expunge.facts.errors import InputError
from expunge.pipeline import searched as module
from expunge.pipeline.benchmark import benchmark_plan
from expunge.pipeline.loading import load_model
from expunge.pipeline.plan import Plan, check_plan, read_plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.ready import source_rows
from expunge.pipeline.run import run_plan
from expunge.pipeline.searched import check_searchable, searched_plan
from expunge.report.plan import plan_text
from expunge.store.store import Store

SEARCH = {"lower": "finetune", "rounds": 2, "passes": 2, "lr": 3e-3}


def small(holdout: float = 1.0, seed: int = 0) -> Plan:
    """Digits, a small network of a few passes, and as little verification as a plan can ask for."""
    protocol = WorstCaseBenchmark(share=0.05, width=16, epochs=4, seed=seed).run(None)
    settings = {**protocol.settings, "source": {**protocol.settings["source"], "holdout": holdout}}
    protocol = replace(protocol, settings=settings, attacks=("direct_question",), metrics=("accuracy",), columns=())
    return benchmark_plan("b", protocol, ["ascent"], seeds=[0], retrained=[101])


def chosen(plan: Plan, folder: Path, search: dict[str, Any] | None = None) -> Plan:
    torch.set_num_threads(1)
    with Store.open(folder) as store:
        return searched_plan(plan, search or SEARCH, store, run_id="r", progress=Bars(quiet=True))


def ids(plan: Plan, name: str = "forget") -> tuple[str, ...]:
    return source_rows(plan, Path())[name].ids


def target(folder: Path) -> Path:
    return folder / "runs" / "r" / "pieces" / "target"


def test_without_a_lower_step_the_rows_of_least_loss_are_chosen(tmp_path: Path) -> None:
    """By hand: of a model that does not move, w - step (loss + 2 gamma w) is largest where the cross-entropy is smallest.

    Fails if the upper level climbs, a retained row is named by another's place, the count is another, or another model is searched.
    """
    plan = small()
    found = chosen(plan, tmp_path / "s", {**SEARCH, "rounds": 1, "lr": 0.0})
    rows = source_rows(plan, Path())
    every = (*rows["forget"], *rows["retain"])
    model = load_model(target(tmp_path / "s"))
    batch = model.pack(every)
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model.logits(batch), batch.targets, reduction="none")
    least = [every[i].id for i in loss.argsort()[:72].tolist()]
    assert len(rows["forget"]) == 72
    assert sorted(ids(found)) == sorted(least)


def test_only_the_forget_rows_change(tmp_path: Path) -> None:
    """Fails if holdout rows are drawn again (the target would be another), if a holdout or test row can be chosen, or the plan's
    methods, seeds or margins are lost, also where it is written out as text."""
    plan = small()
    found = chosen(plan, tmp_path / "s")
    assert len(ids(found)) == len(ids(plan)) == 72
    assert set(ids(found)) != set(ids(plan))
    for name in ("holdout", "test"):
        assert ids(found, name) == ids(plan, name)
    assert {*ids(found), *ids(found, "retain")} == {*ids(plan), *ids(plan, "retain")}
    plain, other = plan.plain(), found.plain()
    assert {**plain, "request": None} == {**other, "request": None}
    assert other["request"]["id"].startswith("bench-b-searched-")
    assert other["request"]["searched"]["target"] == safetensors_digest(target(tmp_path / "s"))
    assert other["request"]["searched"]["among"] == len(ids(plan)) + len(ids(plan, "retain"))
    assert other["request"]["searched"]["settings"]["passes"] == 2
    (tmp_path / "plan.toml").write_text(plan_text(other))
    assert read_plan(tmp_path / "plan.toml") == found
    without = chosen(small(holdout=0.0), tmp_path / "none")
    assert "holdout" not in source_rows(without, Path())
    assert len(ids(without)) == 72


def test_seeds_and_settings_decide_and_nothing_else(tmp_path: Path) -> None:
    """Fails if the search draws from a generator of its own, or its settings do not reach it."""
    one, same = (chosen(small(), tmp_path / name) for name in ("one", "same"))
    assert one.plain() == same.plain()
    assert ids(chosen(small(), tmp_path / "other", {**SEARCH, "lower": "random_label", "lr": 1e-2})) != ids(one)
    assert set(ids(chosen(small(seed=1), tmp_path / "seed"))) != set(ids(one))


def test_a_search_is_a_piece_of_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a run that was stopped after the search does it again, or one stopped before its mark cannot go on."""
    real = module.canonical_json

    def stopping(value: Any) -> bytes:
        if isinstance(value, dict) and "losses" in value:
            raise KeyboardInterrupt
        return real(value)

    monkeypatch.setattr(module, "canonical_json", stopping)
    with pytest.raises(KeyboardInterrupt):
        chosen(small(), tmp_path / "s")
    monkeypatch.undo()
    found = chosen(small(), tmp_path / "s")
    monkeypatch.setattr(module, "worst_case", None)
    assert chosen(small(), tmp_path / "s") == found


def test_two_searches_over_one_store_are_two_requests(tmp_path: Path) -> None:
    """Fails if the second search is handed the rows of the first, or the store refuses its request as one of other rows."""
    other = {**SEARCH, "lower": "random_label", "lr": 1e-2}
    one, two, again = (chosen(small(), tmp_path / "s", search) for search in (SEARCH, other, SEARCH))
    assert one == again
    assert set(ids(one)) != set(ids(two))
    assert one.request.searched is not None
    assert two.request.searched is not None
    assert (one.request.searched.settings["lower"], two.request.searched.settings["lower"]) == (
        "finetune",
        "random_label",
    )
    with Store.open(tmp_path / "s") as store:
        for plan in (one, two):
            store.open_request(plan.request.id, source_rows(plan, Path())["forget"])


def test_a_record_says_whether_its_target_was_searched(tmp_path: Path) -> None:
    """Fails if the plan's word is taken for it: the same ids with another model's digest are a transferred set."""
    found = chosen(small(), tmp_path / "s")
    assert found.request.searched is not None
    other = found.request.searched.model_copy(update={"target": "0" * 64})
    moved = found.model_copy(update={"request": found.request.model_copy(update={"id": "moved", "searched": other})})
    with Store.open(tmp_path / "s") as store:
        said = {
            plan.request.id: {
                one.request["searched_on"] for one in run_plan(plan, store, run_id=plan.request.id, progress=Bars(quiet=True))
            }
            for plan in (found, moved)
        }  # fmt: skip
    assert said == {found.request.id: {"this target"}, "moved": {"another model"}}


def test_what_cannot_be_searched_is_refused(tmp_path: Path, command: Command) -> None:
    """Fails if hours of training come first: a target for each seed, a source that cannot be asked by ids, a set that was searched."""
    each = {**small().plain(), "seeds": {"target": "method"}}
    with pytest.raises(InputError, match="each seed of a method starts from a target of its own"):
        check_searchable(check_plan(each))
    done = command("bench", "worst_case", "--also", "klom", "--out", tmp_path / "out")
    assert done.code == 2
    assert "a forget set is searched on one target" in done.err
    assert files_under(tmp_path) == []
    plain = small().plain()
    people = {**plain, "request": {"source": "people"}, "model": {"architecture": "llama"}}
    with pytest.raises(InputError, match="the source people has no setting 'forget'"):
        check_searchable(check_plan(people))
    twice = {**plain, "request": {**plain["request"], "searched": {"target": "0", "among": 9}}}
    with pytest.raises(InputError, match="were searched already"):
        check_searchable(check_plan(twice))
    assert {"forget", "holdout_ids"} <= {knob.name for knob in find("source", "mnist").knobs}
