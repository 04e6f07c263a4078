"""Bad plans through `expunge run`: exit code 2, a message that names the file and the place, nothing written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_directory import PLAN, Command, Tiny, expunge, files_under, write_jsonl, write_plan

Refused = Callable[[str], str]


@pytest.fixture
def refused(command: Command, tmp_path: Path) -> Refused:
    """Run a plan; check exit 2 and that nothing but the plan and its rows is there; return the message."""

    def run(text: str) -> str:
        plan = tmp_path / "plan.toml"
        if not plan.exists():
            write_plan(tmp_path)
        plan.write_text(text)
        before = files_under(tmp_path)
        done = command("run", plan, "--store", tmp_path / "store", "--out", tmp_path / "page.html")
        assert done.code == 2, (done.out, done.err)
        assert files_under(tmp_path) == before
        return done.err

    return run


def test_broken_toml_names_file_and_line(refused: Refused, tmp_path: Path) -> None:
    """Fails if the parser's place is dropped."""
    line = PLAN.splitlines().index('source = "records"') + 1
    message = refused(PLAN.replace('source = "records"', 'source = "records'))
    assert f"{tmp_path / 'plan.toml'} is not valid TOML" in message
    assert f"at line {line}" in message


def test_a_missing_plan_is_named(command: Command, tmp_path: Path) -> None:
    """Fails if the missing file ends in a traceback."""
    done = command("run", tmp_path / "none.toml", "--store", tmp_path / "store")
    assert done.code == 2
    assert f"the plan {tmp_path / 'none.toml'} cannot be read" in done.err
    assert files_under(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("[verify]", "[verfy]", ("no key 'verfy'", "nearest is 'verify'")),
        ("[seeds]", "[sedes]", ("no key 'sedes'", "nearest is 'seeds'")),
        ("epochs = 3", "epoch = 3", ("no key 'recipe.epoch'", "nearest is 'epochs'")),
        ("seeds = [0, 1]", "seed = [0, 1]", ("no key 'method.1.seed'", "nearest is 'seeds'")),
        ("epochs = 3", 'epochs = "three"', ("recipe.epochs", "valid integer")),
        ("epochs = 3", "epochs = 0", ("recipe.epochs", "greater than or equal to 1")),
        ('battery = "quick"', 'battery = "quik"', ("verify.battery", "'quick', 'standard' or 'full'", "not 'quik'")),
        ('name = "npo"', 'name = "npoo"', ("no method named 'npoo'", "nearest is 'npo'")),
        ('name = "refusal"', 'name = "refusals"', ("no guard named 'refusals'", "nearest is 'refusal'")),
        ('locator = "magnitude"', 'locator = "magnitud"', ("no locator named 'magnitud'", "nearest is 'magnitude'")),
        ('source = "records"', 'source = "record"', ("no source named 'record'", "nearest is 'records'")),
        ('holdout = "holdout.jsonl"', 'hold = "holdout.jsonl"', ("no setting 'hold'", "nearest is 'holdout'")),
        ("[method.settings]\nepochs = 1\n\n[[method]]\nname = \"npo\"", "[method.settings]\nepoch = 1\n\n[[method]]\nname = \"npo\"",
         ("no setting 'epoch'", "nearest is 'epochs'")),
        ("max_new_tokens = 4", 'max_new_tokens = 4\nattacks = ["min_kk"]', ("no attack named 'min_kk'", "nearest is 'min_k'")),
        ("max_new_tokens = 4", 'max_new_tokens = 4\nmetrics = ["rogue"]', ("no metric named 'rogue'", "nearest is 'rouge'")),
        ("[seeds]", "[verify.settings.min_k]\nsahre = 0.1\n[seeds]", ("attack min_k has no setting 'sahre'",)),
        ('architecture = "llama"', 'architecture = "lama"', ("no architecture 'lama'", "nearest is 'llama'")),
        ('architecture = "llama"', 'architecture = "llama"\ndirectory = "x"', ("model", "either directory or architecture")),
        ('architecture = "llama"', 'directory = "nowhere"', ("there is no model directory", "nowhere")),
        ('architecture = "llama"', 'architecture = "cnn"', ("the source records gives text rows", "vision model")),
        ('scope = "layers:0"', 'scope = "layer:0"', ("'layer:0'", "nearest is 'layers'")),
        ('scope = "layers:0"', 'scope = "layers:a-b"', ("names no layers",)),
        ('id = "tiny"', 'id = "a/b"', ("'a/b' cannot name a request",)),
        ('forget = "forget.jsonl"', 'forget = "none.jsonl"', ("none.jsonl cannot be read",)),
        ('forget = "forget.jsonl"\n', "", ("no forget file was given",)),
        ('retain = "retain.jsonl"\n', "", ("no retain rows to train a model on",)),
        ('retain = "retain.jsonl"', 'retain = "forget.jsonl"', ("of retain is also row", "of forget")),
        ("vocabulary = 300", 'vocabulary = 300\npublic_text = ["book.txt"]', ("there is no public text", "book.txt")),
        ("[[method]]\nname = \"npo\"", "[[method]]\nname = \"ascent\"\nscope = \"layers:0\"\n[[method]]\nname = \"npo\"",
         ("two runs are called 'ascent@layers=0-0'", "title")),
        ("[recipe]\nepochs = 3\nlr = 1e-2\nbatch_size = 8", "", ("needs [recipe]",)),
    ],
)  # fmt: skip
def test_a_bad_plan_names_the_place(
    refused: Refused, tmp_path: Path, old: str, new: str, wanted: tuple[str, ...]
) -> None:
    """Fails if a misspelt key is ignored, a unit is looked up only when its turn comes, or its nearest is not named."""
    assert PLAN.count(old) >= 1
    message = refused(PLAN.replace(old, new, 1))
    for part in wanted:
        assert part in message


def test_a_misspelt_table_is_named_before_what_is_missing(refused: Refused) -> None:
    """Fails if [[methods]] is reported as a missing method only."""
    assert "no key 'methods'; the nearest is 'method'" in refused(PLAN.replace("[method", "[methods"))


def test_broken_rows_name_file_and_line(refused: Refused, tmp_path: Path) -> None:
    """Fails if the plan's rows are read only once the target is trained."""
    write_plan(tmp_path)
    (tmp_path / "retain.jsonl").write_text((tmp_path / "retain.jsonl").read_text() + '{"question": \n')
    assert f"{tmp_path / 'retain.jsonl'}:9: broken JSON" in refused(PLAN)


def test_retrained_directories_are_looked_at_before_the_run(refused: Refused, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if the second retrained model's pickled weights are found out after the first was measured."""
    write_plan(tmp_path)
    shutil.copytree(tiny.never, tmp_path / "pickled", ignore=shutil.ignore_patterns("*.safetensors"))
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"no")
    places = f'directory = "{tiny.target}"\nretrained = ["{tiny.never}", "pickled"]\n'
    head, tail = PLAN.split("[model]")
    text = f"{head}[model]\n{places}\n[[method]]{tail.split('[[method]]', 1)[1]}"
    assert "only pickled ones (pytorch_model.bin)" in refused(text)


def test_a_second_process_on_the_same_run_is_locked_out(command: Command, tmp_path: Path) -> None:
    """Fails if the lock is not taken before work starts, or if its message does not name the process that holds it.

    One process holds the run (as one does that trains); the real command is the second.
    """
    import os

    from expunge.facts.digest import canonical_json
    from expunge.pipeline.plan import read_plan
    from expunge.sources.records import read_rows
    from expunge.store.store import Store

    plan = read_plan(write_plan(tmp_path))
    with Store.open(tmp_path / "store") as store:
        store.open_request("tiny", read_rows(tmp_path / "forget.jsonl"))
        with store.run("one", "tiny", plan=canonical_json(plan.plain())):
            before = files_under(tmp_path)
            second = expunge("run", tmp_path / "plan.toml", "--store", tmp_path / "store", "--name", "one")
            assert second.returncode == 2, second.stderr
            assert f"is in use by process {os.getpid()}" in second.stderr
            assert f"kill {os.getpid()}" in second.stderr
            assert files_under(tmp_path) == before


def test_another_plan_under_the_same_run_is_refused(command: Command, tmp_path: Path) -> None:
    """Fails if pieces of one plan are taken for those of another: thresholds are fixed before the run."""
    from expunge.facts.digest import canonical_json
    from expunge.pipeline.plan import read_plan
    from expunge.sources.records import read_rows
    from expunge.store.store import Store

    plan = read_plan(write_plan(tmp_path))
    with Store.open(tmp_path / "store") as store:
        store.open_request("tiny", read_rows(tmp_path / "forget.jsonl"))
        with store.run("one", "tiny", plan=canonical_json(plan.plain())):
            pass
    (tmp_path / "plan.toml").write_text(PLAN + "[thresholds]\nsuccess_margin = 0.4\n")
    done = command("run", tmp_path / "plan.toml", "--store", tmp_path / "store", "--name", "one")
    assert done.code == 2
    assert "was started with another plan" in done.err


def test_rows_that_changed_under_a_request_are_refused(command: Command, tmp_path: Path) -> None:
    """Fails if a request's id stands for other rows than those it was opened with."""
    from expunge.sources.records import read_rows
    from expunge.store.store import Store

    plan = write_plan(tmp_path)
    with Store.open(tmp_path / "store") as store:
        store.open_request("tiny", read_rows(tmp_path / "forget.jsonl"))
    rows = (tmp_path / "forget.jsonl").read_text().splitlines()
    (tmp_path / "forget.jsonl").write_text("\n".join(rows[:-1]) + "\n")
    done = command("run", plan, "--store", tmp_path / "store")
    assert done.code == 2
    assert "the request 'tiny' names other rows" in done.err


def test_relative_files_of_a_plan_lie_beside_it(tmp_path: Path) -> None:
    """Fails if a plan's files are looked for in the working directory: a plan and its rows must travel together."""
    from expunge.pipeline.plan import read_plan
    from expunge.pipeline.ready import check_plan_ready

    plan = write_plan(tmp_path / "deep")
    given = check_plan_ready(read_plan(plan), plan.parent)
    assert {name: len(rows) for name, rows in given.rows.items()} == {"forget": 6, "retain": 8, "holdout": 6}
    write_jsonl(tmp_path / "deep" / "holdout.jsonl", [{"id": "x", "question": "a", "answer": "b"}])
    assert len(check_plan_ready(read_plan(plan), plan.parent).rows["holdout"]) == 1
