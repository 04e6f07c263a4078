"""Requests one after another, and the command that follows them: their rows, what is measured, the table and the figure."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benches import bench
from small_stream import TRAIN, blank, stream, two_requests

from expunge.contract.model import Model
from expunge.engine.fit import fit
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.methods.random_label import RandomLabel
from expunge.sources.omniglot import Omniglot
from expunge.testbeds.streams import (
    Left,
    Request,
    accuracy,
    by_method,
    by_training_again,
    follow,
    lacking,
    measure,
)

ROOT = Path(__file__).resolve().parents[2]
OMNIGLOT = ROOT.parent / "shared" / "data" / "omniglot"


def test_what_is_kept_shrinks_and_what_went_is_asked_again() -> None:
    """Fails if: an earlier request's rows are still retained or tested, or the first request's rows are not asked at the second."""
    first, second = stream()
    assert first.forget.ids == ("2-0", "2-1", "2-2")
    assert first.earlier == ()
    assert len(first.retain) == 9
    assert first.test.ids == ("test-0", "test-1", "test-3")
    assert second.forget.ids == ("0-0", "0-1", "0-2")
    assert [rows.ids for rows in second.earlier] == [first.forget.ids]
    assert {one["label"] for one in second.retain} == {1, 3}
    assert second.test.ids == ("test-1", "test-3")


def test_each_request_begins_where_the_last_ended() -> None:
    """Fails if: every request begins at the target, or accuracy is taken before the removal. Labels are read off the corner: each
    pass turns one class's logit down for good."""
    target = fit(blank(), Rows(tuple(TRAIN)), Recipe(epochs=60, lr=2e-2, batch_size=6), job=_job())
    started: list[float] = []

    def forget(model: Model, request: Request) -> tuple[Model, dict[str, Any]]:
        started.append(float(model.module.head.bias.detach().sum()))  # type: ignore[union-attr, operator]
        after = model.copy()
        with torch.no_grad():
            after.module.head.bias[int(request.name)] -= 1000.0  # type: ignore[union-attr, index]
        return after, {"name": request.name}

    assert accuracy(target, Rows(tuple(TRAIN))) == 1.0
    first, second = follow(target, stream(), forget)
    assert started[1] == pytest.approx(started[0] - 1000.0, abs=0.01)
    assert (first.forget, first.earlier, first.retain, first.test) == (0.0, (), 1.0, 1.0)
    assert (second.forget, second.earlier, second.retain, second.test) == (0.0, (0.0,), 1.0, 1.0)
    assert second.notes == {"name": "0"}


def _job() -> Any:
    from expunge.contract.job import Job

    return Job(seed=0)


def test_a_method_gets_few_rows_and_training_again_gets_all_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if: the yardstick sees forgotten rows or starts from the target, or a method sees more rows than it may."""
    _, second = stream()
    again, _ = by_training_again(Recipe(epochs=60, lr=2e-2, batch_size=6), 3)(blank(), second)
    plain = fit(blank(3), second.retain, Recipe(epochs=60, lr=2e-2, batch_size=6, seed=3), job=_job())
    for mine, theirs in zip(again.module.parameters(), plain.module.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    seen: list[int] = []
    real = RandomLabel.run

    def spy(self: RandomLabel, model: Model, splits: Any, job: Any) -> Model:
        seen.append(len(splits.retain))
        return real(self, model, splits, job)

    monkeypatch.setattr(RandomLabel, "run", spy)
    for few in (0, 2):
        by_method(RandomLabel(), few=few)(blank(), second)
    assert seen == [6, 4]


def test_missing_classes_stay_have_no_row_given_and_are_drawn_under_the_seed() -> None:
    """Fails if: a row of a missing class is still given, a class is missing at one request and given at another, one that is asked for
    later is drawn, missing rows are lost or are test rows, or every seed draws the same."""
    drawn = set()
    for seed in range(8):
        way = lacking(stream(), 1, seed)
        (label,) = {one["label"] for one in way[0].missing}
        drawn.add(label)
        for whole, one in zip(stream(), way, strict=True):
            assert {row["label"] for row in one.retain} == {row["label"] for row in whole.retain} - {label}
            assert sorted((*one.retain.ids, *one.missing.ids)) == sorted(whole.retain.ids)
            assert set(one.missing.ids) == {f"{label}-{i}" for i in range(3)}
            assert (one.forget, one.earlier, one.test) == (whole.forget, whole.earlier, whole.test)
    assert drawn == {1, 3}
    for count in (0, 2):
        with pytest.raises(InputError, match="cannot be missing"):
            lacking(stream(), count, 0)


def test_missing_classes_are_measured_apart_and_only_training_again_has_their_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails if: a missing class is measured among those given, or not at all, a method gets its rows, or the model trained again does not."""
    _, second = lacking(stream(), 1, 0)
    (label,) = {one["label"] for one in second.missing}
    target = fit(blank(), Rows(tuple(TRAIN)), Recipe(epochs=60, lr=2e-2, batch_size=6), job=_job())
    assert measure(target, stream()[1]).missing is None
    with torch.no_grad():
        target.module.head.bias[label] -= 1000.0  # type: ignore[union-attr, index]
    assert (measure(target, second).retain, measure(target, second).missing) == (1.0, 0.0)
    again, _ = by_training_again(Recipe(epochs=60, lr=2e-2, batch_size=6), 3)(blank(), second)
    assert measure(again, second).missing == 1.0
    seen: list[int] = []
    real = RandomLabel.run

    def spy(self: RandomLabel, model: Model, splits: Any, job: Any) -> Model:
        seen.extend(one["label"] for one in splits.retain)
        return real(self, model, splits, job)

    monkeypatch.setattr(RandomLabel, "run", spy)
    by_method(RandomLabel(), few=2)(blank(), second)
    assert seen == [4 - label] * 2


def test_requests_over_alphabets_are_what_the_source_gives_with_earlier() -> None:
    """Fails if: the command's stream and `forget` with `earlier` of the source part ways."""
    if not OMNIGLOT.is_dir():
        pytest.skip("Omniglot is not here")
    own = bench("stream").omniglot(OMNIGLOT, 3)
    assert [one.name for one in own.unasked] == ["alphabet-0", "alphabet-4"]
    third = own.requests[2]
    found = Omniglot(data=str(OMNIGLOT), forget="alphabet=3", earlier="1,2").run()
    assert set(third.forget.ids) == set(found["forget"].ids)
    assert set(third.retain.ids) == set(found["retain"].ids)
    assert set(third.test.ids) == set(found["test"].ids)
    assert {one for rows in third.earlier for one in rows.ids} == set(found["forget/earlier"].ids)


@pytest.fixture
def known() -> tuple[Any, Any, dict[str, list[dict[int, Left]]]]:
    """The command with what two models know after two requests, by hand."""
    module = bench("stream")
    first = Left(forget=0.0, earlier=(), retain=1.0, test=0.8, seconds=2.0, notes={})
    second = replace(first, forget=0.1, earlier=(0.2, 0.6), test=0.5, seconds=4.0)
    other = replace(second, forget=0.3, earlier=(0.0, 0.0))
    own = two_requests(module, Recipe())
    return module, own, {"target": [{0: first, 1: second}], "ascent": [{0: first, 1: second}, {0: first, 1: other}]}


def test_the_table_has_means_ranges_and_the_worst_that_came_back(known: Any) -> None:
    """Fails if: a first request has earlier rows, the worst is the least, or a target's seconds are shown."""
    module, own, found = known
    head, *rows = module.table(own, found)
    lines = {(line[0], line[1]): dict(zip(head, line, strict=True)) for line in rows}
    assert lines["2", "ascent"]["earlier rows"] == "-"
    assert lines["0", "target"]["seconds"] == "-"
    after = lines["0", "ascent"]
    assert after["its rows"] == "0.2 [0.1, 0.3]"
    assert after["earlier rows"] == "0.2 [0, 0.4]"
    assert after["earlier, worst"] == "0.3 [0, 0.6]"


def test_a_table_of_missing_classes_has_them_apart_and_every_second_request_the_last_too(known: Any) -> None:
    """Fails if: what is left so far leaves out this request, its worst is the least, given and missing are turned, or the last is left out."""
    module, own, found = known
    apart = {
        name: [{i: replace(left, missing=0.25) for i, left in lefts.items()} for lefts in seeds]
        for name, seeds in found.items()
    }
    head, *rows = module.table(own, apart)
    after = dict(zip(head, rows[-1], strict=True))
    assert (after["asked for so far"], after["so far, worst"]) == ("0.2 [0.1, 0.3]", "0.45 [0.3, 0.6]")
    assert (after["retain, given"], after["retain, missing"]) == ("1 [1, 1]", "0.25 [0.25, 0.25]")
    assert "retain, missing" not in module.table(own, found)[0]
    third = replace(own.requests[1], name="1")
    three = replace(own, requests=(*own.requests, third))
    longer = {name: [{**lefts, 2: lefts[1]} for lefts in seeds] for name, seeds in found.items()}
    assert [row[0] for row in module.table(three, longer, 2)[1:]] == ["0", "0", "1", "1"]


def test_a_table_takes_the_place_of_the_one_under_its_heading() -> None:
    """Fails if: another's table is lost or moved, the old one stays, or a new one is not put behind."""
    placed = bench("stream").placed
    one, two = "## One\n\n| a |\n", "## Two\n\n| b |\n"
    both = placed(placed("", one), two)
    assert both == "## One\n\n| a |\n\n## Two\n\n| b |\n"
    assert placed(f"\n\n{both}", "## One\n\n| c |\n") == both.replace("a", "c")


def test_the_figure_is_a_file_of_its_own_with_every_mean(known: Any) -> None:
    """Fails if: a mean is over requests, a panel is left out, or the file is no picture by itself."""
    import xml.etree.ElementTree as tree

    module, own, found = known
    drawn = tree.fromstring(module.figure(own, found))
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    lines = [one for one in drawn.iter("{http://www.w3.org/2000/svg}path") if "line" in one.get("class", "").split()]
    assert len(lines) == 6
    test_panel = lines[-1].get("d") or ""
    heights = [float(y) for _, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", test_panel)]
    assert (heights[0] - heights[1]) / (234 - 32) == pytest.approx(0.5 - 0.8, abs=0.01)


def test_a_method_goes_its_way_with_settings_and_without_missing_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if: the command drops a method's settings, or gives it the rows of missing classes."""
    module = bench("stream")
    own = two_requests(module, Recipe(epochs=1))
    seen: list[tuple[float, set[int]]] = []
    real = RandomLabel.run

    def spy(self: RandomLabel, model: Model, splits: Any, job: Any) -> Model:
        seen.append((self.descent.lr, {one["label"] for one in splits.retain}))
        return real(self, model, splits, job)

    monkeypatch.setattr(RandomLabel, "run", spy)
    given = argparse.Namespace(seeds=1, few=0, missing=1, every=1, out=tmp_path)
    found = module.run(own, {"random_label lr=0.25": {"lr": 0.25}}, given)
    (gone,) = {one["label"] for one in lacking(stream(), 1, 0)[0].missing}
    assert seen == [(0.25, {0, 1, 3} - {gone}), (0.25, {1, 3} - {gone})]
    assert all(left.missing is not None for seeds in found.values() for lefts in seeds for left in lefts.values())


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if: what is kept is made again, or another's numbers are read."""
    module = bench("stream")
    own = two_requests(module, Recipe(epochs=1))
    given = argparse.Namespace(seeds=1, few=0, missing=0, every=1, out=tmp_path)
    module.own_folder(own, given)
    first = module.run(own, {"ascent": {}}, given)
    assert capsys.readouterr().out.count("done") == 4
    kept = json.loads((tmp_path / "ascent-0.json").read_text())
    kept[0]["forget"] = 0.25
    (tmp_path / "ascent-0.json").write_text(json.dumps(kept))
    module.own_folder(own, given)
    second = module.run(own, {"ascent": {}}, given)
    assert capsys.readouterr().out == ""
    assert second["ascent"][0][0].forget == 0.25
    assert second["retrained"] == first["retrained"]
    with pytest.raises(SystemExit, match="holds another stream"):
        module.own_folder(own, argparse.Namespace(seeds=1, few=3, missing=0, every=1, out=tmp_path))


def test_two_models_a_seed_are_trained_again_and_both_are_rows_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if: the noise floor has no row, or two of the models trained again share a seed."""
    module, seeds = bench("stream"), []
    own = two_requests(module, Recipe(epochs=1))
    real = module.by_training_again

    def spy(recipe: Recipe, seed: int) -> Any:
        seeds.append(seed)
        return real(recipe, seed)

    monkeypatch.setattr(module, "by_training_again", spy)
    found = module.run(own, {}, argparse.Namespace(seeds=2, few=0, missing=0, every=1, out=tmp_path))
    assert len(set(seeds)) == len(seeds) == 4
    assert [row[1] for row in module.table(own, found)[1:]] == ["target", "retrained", "second retrained"] * 2


def test_models_are_trained_again_for_the_requests_that_are_shown(tmp_path: Path) -> None:
    """Fails if: one is trained again for a request that no table shows, or what it knows is put at another request."""
    module = bench("stream")
    own = two_requests(module, Recipe(epochs=1))
    own = replace(own, requests=(*own.requests, own.requests[1]))
    given = argparse.Namespace(seeds=1, few=0, missing=0, every=2, out=tmp_path)
    found = module.run(own, {"ascent": {}}, given)
    assert {name: sorted(seeds[0]) for name, seeds in found.items()} == {
        "target": [0, 1, 2],
        "retrained": [1, 2],
        "second retrained": [1, 2],
        "ascent": [0, 1, 2],
    }
    assert len(found["retrained"][0][1].earlier) == 1
    assert [row[0] for row in module.table(own, found, 2)[1:]] == ["0"] * 8
    assert module.figure(own, found).count('class="line') == 12
