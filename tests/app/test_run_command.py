"""`expunge run` from one file: methods that act before training, classifiers, certificates, pages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tiny_directory import PLAN, Command, Done, Tiny, write_plan

DIGITS = """
[request]
id = "digits"
source = "digits"
settings = { forget = "class=3" }

[model]
architecture = "cnn"

[recipe]
epochs = 1
lr = 3e-3
batch_size = 128

[[method]]
name = "sisa"
settings = { shards = 2, slices = 2 }

[[method]]
name = "random_label"
title = "SalUn"
locator = "saliency"
settings = { epochs = 1 }

[verify]
attacks = ["direct_question", "loss"]
retain_rows = 50

[seeds]
retrained = [101, 102]
"""


def ran(command: Command, plan: Path, *options: object) -> list[dict[str, Any]]:
    done = command("run", plan, "--store", plan.parent / "store", "--json", "--quiet", *options)
    assert done.code == 0, done.err
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


def test_a_classifier_is_unlearned_with_sisa_and_salun(command: Command, tmp_path: Path) -> None:
    """Fails if a target that a method prepared cannot be saved and read back, or SISA's check for exactness does not run.

    SISA names its provenance and starts from its own target, not from the plain one.
    """
    (tmp_path / "plan.toml").write_text(DIGITS)
    records = ran(command, tmp_path / "plan.toml", "--certificates", tmp_path / "certificates")
    assert [record["request"]["label"] for record in records] == ["do_nothing", "second_retrained", "sisa-0", "SalUn-0"]
    sisa, salun = records[2], records[3]
    assert sisa["method"]["provenance"] == "exact"
    assert "bit-identical" in sisa["method"]["provenance_checks"][0]
    digests = {record["request"]["label"]: record["models"][0]["content_digest"] for record in records}
    assert digests["sisa-0"] != digests["do_nothing"] == digests["SalUn-0"]
    assert salun["method"]["locator"] == "saliency"
    assert salun["method"]["moved_entries"] > 0
    forget = {
        m["model"]: m["score"]["value"]
        for m in sisa["measurements"]
        if (m["metric"], m["split"]) == ("accuracy", "forget")
    }
    assert forget["unlearned"] == 0
    assert forget["target"] > 0.3
    key = tmp_path / "store" / "keys" / "issuer.pub"
    for name, piece in (("digits-sisa-0", "unlearned-sisa-0"), ("digits-SalUn-0", "unlearned-SalUn-0")):
        (run,) = (tmp_path / "store" / "runs").iterdir()
        done = command(
            "certificate",
            "verify",
            tmp_path / "certificates" / f"{name}.json",
            "--key",
            key,
            "--model",
            run / "pieces" / piece,
        )
        assert done.code == 0, done.out


def test_an_ensemble_is_read_back_whole(tmp_path: Path) -> None:
    """Fails if a member, or the weights kept before a slice, is lost or reordered: a later request goes back to them."""
    import torch
    from meta_problems import clouds, prepared_by

    from expunge.methods.sisa import SISA
    from expunge.pipeline.loading import check_directory, load_model, modality_of

    made = prepared_by(SISA(shards=3, slices=12), clouds()).target
    made.save(tmp_path / "ensemble")
    assert modality_of(tmp_path / "ensemble") == check_directory(tmp_path / "ensemble") == "tabular"
    read: Any = load_model(tmp_path / "ensemble")
    assert (read.shards, read.slices, read.seed) == (3, 12, made.seed)
    assert [len(states) for states in read.checkpoints] == [12, 12, 12]
    for ours, theirs in zip(made.checkpoints, read.checkpoints, strict=True):
        for before, after in zip(ours, theirs, strict=True):
            assert before.keys() == after.keys()
            assert all(torch.equal(before[name], after[name]) for name in before)
    batch = made.pack(clouds().splits.rows["forget"])
    assert torch.equal(made.total_loss(batch), read.total_loss(read.pack(clouds().splits.rows["forget"])))


def test_a_given_target_is_not_trained(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if a directory in the plan is copied, trained on or left out: its files are those the record names."""
    from expunge.facts.digest import directory_digests

    places = f'directory = "{tiny.target}"\nretrained = ["{tiny.never}"]\n'
    head, tail = PLAN.split("[model]")
    write_plan(tmp_path, f"{head}[model]\n{places}\n[[method]]{tail.split('[[method]]', 1)[1]}")
    for name in ("forget", "retain", "holdout"):
        (tmp_path / f"{name}.jsonl").write_bytes(tiny.file(name).read_bytes())
    records = ran(command, tmp_path / "plan.toml")
    assert [record["request"]["label"] for record in records] == [
        "do_nothing",
        "ascent@layers=0-0",
        "npo+magnitude-0",
        "npo+magnitude-1",
        "refusal-0",
    ]
    for record in records:
        models = {model["name"]: model["files"] for model in record["models"]}
        assert models["target"] == directory_digests(tiny.target)
        assert models["retrained-0"] == directory_digests(tiny.never)


def test_two_settings_of_one_method_stay_apart(command: Command, tmp_path: Path) -> None:
    """Fails if the second entry of a method is answered with the first one's piece: titles tell them apart."""
    one = '[[method]]\nname = "ascent"\ntitle = "{}"\n[method.settings]\nepochs = 1\nlr = {}\n'
    head, tail = PLAN.split("[[method]]", 1)
    plan = write_plan(
        tmp_path, head + one.format("weak", 1e-5) + one.format("strong", 1e-2) + "[verify]" + tail.split("[verify]")[1]
    )
    records = ran(command, plan)
    found = {record["request"]["label"]: record for record in records}
    assert {"weak-0", "strong-0"} < set(found)
    assert found["weak-0"]["method"]["settings"]["lr"] == 1e-5
    assert found["strong-0"]["method"]["settings"]["lr"] == 1e-2
    digests = {name: record["method"]["digest_after"] for name, record in found.items()}
    assert digests["weak-0"] != digests["strong-0"]


def test_a_run_leaves_a_page_and_evidence(command: Command, finished: tuple[Path, Done]) -> None:
    """Fails if the page repeats a forget row, needs the network, or cannot be made again from the store alone."""
    folder, _ = finished
    text = (folder / "page.html").read_text()
    rows = [json.loads(line) for line in (folder / "forget.jsonl").read_text().splitlines()]
    for row in rows:
        assert row["answer"] not in text
        assert row["question"] not in text
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=\"https?:", text)
    for out, more in (("again", ()), ("text", ("--with-text", folder / "forget.jsonl"))):
        done = command("report", "x", "--store", folder / "store", "--out", folder / f"{out}.html", *more)
        assert done.code == 0, done.err
    kept = [
        path for path in (folder / "store").rglob("*") if path.is_file() and not {"cache", "pieces"} & set(path.parts)
    ]
    assert len(kept) > 10
    for path in kept:
        data = path.read_bytes()
        assert not [row["id"] for row in rows if row["answer"].encode() in data or row["question"].encode() in data], (
            path
        )


def test_no_forget_text_in_the_pieces_of_a_run(finished: tuple[Path, Done]) -> None:
    """Fails if a piece (a model's tokenizer, a record, facts) holds a forget row: pieces are kept, the cache is not.

    The tokenizer is trained on retain rows: not one forget name is a token of its own.
    """
    folder, _ = finished
    rows = [json.loads(line) for line in (folder / "forget.jsonl").read_text().splitlines()]
    names = [row["question"].split()[-1].rstrip("?").encode() for row in rows]
    pieces = [path for path in (folder / "store" / "runs").rglob("*") if path.is_file()]
    assert len(pieces) > 30
    for path in pieces:
        data = path.read_bytes()
        assert not [name for name in names if name in data], path


def test_an_ensemble_of_language_models_is_unscored_where_it_cannot_answer(command: Command, tmp_path: Path) -> None:
    """Fails if a model that does not generate crashes the battery, or is scored by its positions as if they were labels."""
    head, tail = PLAN.split("[[method]]", 1)
    sisa = '[[method]]\nname = "sisa"\nsettings = { shards = 2, slices = 1 }\n'
    attacks = '[verify]\nattacks = ["direct_question", "quantisation", "paraphrase", "loss"]\n'
    plan = write_plan(tmp_path, head + sisa + attacks + tail[tail.index("max_new_tokens") :])
    record = ran(command, plan)[-1]
    found = {(one["attack"], one["model"]): one for one in record["outcomes"] if one["step"] != "utility"}
    for attack in ("direct_question", "quantisation", "paraphrase"):
        assert found[attack, "unlearned"]["unscored"]
        assert found[attack, "unlearned"]["forget"] == []
        assert found[attack, "retrained-0"]["unscored"]  # a control of a prepared model is prepared, too
    assert len(found["loss", "unlearned"]["forget"]) == 6
    assert record["claim"]["rung"] == "not_shown"
