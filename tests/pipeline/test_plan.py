"""A plan read from TOML: what is checked before anything runs, and what its hash depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_directory import PLAN, write_plan

from expunge.facts.errors import InputError
from expunge.pipeline.plan import MethodPlan, check_plan, read_plan
from expunge.pipeline.ready import source_rows

SMALL: dict[str, Any] = {
    "request": {"source": "people"},
    "model": {"architecture": "llama"},
    "recipe": {"epochs": 1},
    "method": [{"name": "ascent"}],
}


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ({"name": "npo"}, "npo"),
        ({"name": "random_label", "locator": "saliency"}, "random_label+saliency"),
        ({"name": "npo", "scope": "layers:0-3,7"}, "npo@layers=0-3+7"),
        ({"name": "npo", "locator": "random", "scope": "lora"}, "npo+random@lora"),
        ({"name": "npo", "scope": "lora", "title": "mine"}, "mine"),
    ],
)
def test_labels_name_method_locator_and_scope(given: dict[str, Any], label: str) -> None:
    """Fails if a label holds a colon or comma (it names files), or two compositions share one."""
    from expunge.store.names import safe_name

    assert MethodPlan(**given).label == label
    assert safe_name(label, "piece") == label


def test_the_hash_is_over_the_resolved_plan(tmp_path: Path) -> None:
    """Fails if a default left out hashes otherwise than one written out, or a margin changed does not change the hash."""
    plain = check_plan(SMALL)
    written = check_plan(
        {**SMALL, "verify": {"battery": "standard", "retain_rows": 400}, "seeds": {"retrained": [101, 102, 103]}}
    )
    assert plain.digest() == written.digest()
    moved = check_plan({**SMALL, "thresholds": {"success_margin": 0.16}})
    assert moved.digest() != plain.digest()
    reordered = {key: SMALL[key] for key in reversed(SMALL)}
    assert check_plan(reordered).digest() == plain.digest()


def test_where_no_search_chose_the_rows_the_plan_says_nothing_of_one() -> None:
    """Fails if plans without a search hash otherwise than before there was any, or what a search did is lost when written out."""
    assert "searched" not in check_plan(SMALL).plain()["request"]
    request = {"source": "people", "searched": {"target": "ab", "among": 9, "settings": {"rounds": 3}}}
    plan = check_plan({**SMALL, "request": request})
    assert check_plan(plan.plain()) == plan
    assert plan.plain()["request"]["searched"] == {**request["searched"], "seed": 0}  # type: ignore[dict-item]
    assert plan.digest() != check_plan(SMALL).digest()
    with pytest.raises(InputError, match="no key 'request.searched.targt'; the nearest is 'target'"):
        check_plan({**SMALL, "request": {"source": "people", "searched": {"targt": "ab", "among": 9}}})


def test_a_plan_survives_being_written_out(tmp_path: Path) -> None:
    """Fails if `plain()` drops or changes a key: a record's plan can be run again."""
    plan = read_plan(write_plan(tmp_path))
    assert check_plan(plan.plain()) == plan
    assert plan.plain()["recipe"]["lr"] == 1e-2
    assert plan.plain()["method"][1]["seeds"] == [0, 1]
    assert PLAN.count("[[method]]") == len(plan.method)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"method": []}, "there is no [[method]]"),
        ({"recipe": None}, r"needs \[recipe\]"),
        ({"model": {}}, "either directory or architecture"),
        ({"model": {"directory": "x"}, "recipe": None, "method": [{"name": "retrain"}]}, r"retrain needs \[recipe\]"),
        ({"method": [{"name": "npo", "seeds": [1, 1]}]}, "two runs are called 'npo-1'"),
        ({"method": [{"name": "npo", "title": "a b"}]}, "'a b' cannot name a method's run"),
        ({"method": [{"name": "npo", "locator": "magnitude", "locator_settings": {"densty": 1}}]}, "no setting 'densty'"),
        ({"thresholds": {"alpah": 0.1}}, "no key 'thresholds.alpah'; the nearest is 'alpha'"),
        ({"thresholds": {"indistinguishable_margins": {"rogue/part": 0.1}}}, "the nearest is 'rouge'"),
    ],
)  # fmt: skip
def test_what_a_plan_may_not_say(change: dict[str, Any], wanted: str) -> None:
    """Fails if one of these is found out only in the middle of a run."""
    with pytest.raises(InputError, match=wanted.replace("[[", r"\[\[").replace("]]", r"\]\]")) as error:
        check_plan({**SMALL, **change}, where="p.toml")
    assert error.value.what.startswith("p.toml: ")


def test_a_long_setting_is_no_file(tmp_path: Path) -> None:
    """150 ids in one setting, and one that names a file. Fails if a text too long for a file's name is asked of the file system."""
    (tmp_path / "rows.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    ids = "ids=" + ",".join(f"digits-{i}" for i in range(150))
    model = {"architecture": "cnn"}
    given = {"request": {"source": "digits", "settings": {"forget": ids}}, "model": model, "recipe": {}}
    with pytest.raises(
        InputError, match="no training row has the id 'digits-2'"
    ):  # the source's own: that row is a test row
        source_rows(check_plan({**given, "method": [{"name": "finetune"}]}), tmp_path)
    beside = {"request": {"source": "records", "settings": {"forget": "rows.jsonl"}}, "model": model, "recipe": {}}
    assert len(source_rows(check_plan({**beside, "method": [{"name": "finetune"}]}), tmp_path)["forget"]) == 1
