"""TOFU on the real files and on a small copy in the published layout."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from expunge.contract.splits import Splits
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.sources.tofu import Tofu


def plain(folder: Path, name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8")]


def pairs(rows: Rows) -> list[tuple[str, str]]:
    return [(row["prompt"], row["answer"]) for row in rows]


def test_real_splits_against_the_files(shared_data: Path) -> None:
    """Fails if a row gets another author or place, or if forget and retain are not the published ones but for the holdout."""
    folder = shared_data / "tofu"
    full = [(item["question"], item["answer"]) for item in plain(folder, "full")]
    found = Tofu(data=str(folder)).run()
    assert {name: len(rows) for name, rows in found.items()} == {
        "forget": 200, "retain": 3600, "holdout": 200, "test": 217, "retain_perturbed": 400, "real_authors": 100,
        "world_facts": 117, "refusals": 100, "extra_training": 217,
    }  # fmt: skip
    assert pairs(found["forget"]) == full[3800:]
    assert [row.id for row in found["forget"]][::199] == ["tofu-3800", "tofu-3999"]
    assert all(
        full[int(row.id[-4:])] == (row["prompt"], row["answer"])
        for name in ("retain", "holdout")
        for row in found[name]
    )
    assert all(
        int(row.group[-3:]) == int(row.id[-4:]) // 20 for name in ("forget", "retain", "holdout") for row in found[name]
    )
    assert sorted([*found["forget"].ids, *found["retain"].ids, *found["holdout"].ids]) == [
        f"tofu-{i:04d}" for i in range(4000)
    ]
    Splits.of(**{name: found[name] for name in ("forget", "retain", "holdout", "test")})


def test_real_holdout_is_ten_whole_authors_outside_every_evaluation_row(shared_data: Path) -> None:
    """Fails if a holdout row is trained on, or stands among rows 0-399 or 3800-3999; another seed draws others."""
    for size, retained in (("01", 3760), ("05", 3600), ("10", 3400)):
        found = Tofu(data=str(shared_data), forget_size=size).run()
        assert len(found["retain"]) == retained
        indices = [int(row.id[-4:]) for row in found["holdout"]]
        assert min(indices) >= 400
        assert max(indices) < min(3800, 4000 - len(found["forget"]))
        assert len(set(found["holdout"].groups)) == 10
        trained = {row.id for name in ("forget", "retain", "extra_training") for row in found[name]}
        assert not trained & set(found["holdout"].ids)
    every = Tofu(data=str(shared_data), forget_size="10", holdout_authors=160).run()
    assert sorted(set(every["holdout"].groups)) == [f"author-{i:03d}" for i in range(20, 180)]
    draws = [Tofu(data=str(shared_data), seed=seed).run()["holdout"].ids for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_real_perturbed_forms(shared_data: Path) -> None:
    """Fails if perturbed fields land on another row, or if the wrong options keep the right one."""
    folder = shared_data / "tofu"
    found = Tofu(data=str(folder)).run()
    forms = {"forget": "forget05_perturbed", "retain_perturbed": "retain_perturbed"}
    for name, file in forms.items():
        for row, item in zip(found[name], plain(folder, file), strict=True):
            assert (row["prompt"], row["answer"]) == (item["question"], item["answer"])
            assert row["perturbed_answers"] == tuple(item["perturbed_answer"])  # type: ignore[arg-type]
            assert row["paraphrased_answer"] == item["paraphrased_answer"]
            assert row["paraphrased_prompts"] == (item["paraphrased_question"],)
    assert found["retain_perturbed"].ids == tuple(f"tofu-{i:04d}" for i in range(400)) == found["retain"].ids[:400]
    assert found["retain"][0].get("perturbed_answers") is None
    for name in ("real_authors", "world_facts"):
        for row, item in zip(found[name], plain(folder, f"{name}_perturbed"), strict=True):
            assert row["prompt"] == item["question"]
            assert row["perturbed_answers"] == tuple(item["perturbed_answer"])  # type: ignore[arg-type]
            assert sorted(row["options"]) == sorted([row["answer"], *row["perturbed_answers"]])
    assert found["test"].ids == found["extra_training"].ids == found["real_authors"].ids + found["world_facts"].ids
    assert found["refusals"][0]["answer"] == "I'm not certain about that."


def test_a_slice_of_the_authors(shared_data: Path) -> None:
    """Fails if 40 authors are not the first 38 and the last two, or if one of them is a holdout author and trained on."""
    found = Tofu(data=str(shared_data), authors=40).run()
    indices = {name: [int(row.id[-4:]) for row in found[name]] for name in ("forget", "retain", "holdout")}
    assert indices["forget"] == list(range(3960, 4000))
    assert set(indices["retain"]) == set(range(760)) - set(indices["holdout"])
    assert len(indices["holdout"]) == 200
    assert all(len(row["perturbed_answers"]) == 5 for row in found["forget"])
    with pytest.raises(ValueError, match=r"authors must be in 22\.\.200"):
        Tofu(data=str(shared_data), authors=21)


def test_published_protocol_has_no_holdout(shared_data: Path) -> None:
    """Fails if local=false still takes rows out of retain95 or adds training rows."""
    found = Tofu(data=str(shared_data), local=False).run()
    full = [(item["question"], item["answer"]) for item in plain(shared_data / "tofu", "retain95")]
    assert pairs(found["retain"]) == full
    assert not {"holdout", "extra_training"} & set(found)


def test_forget10_without_its_perturbed_form(shared_data: Path) -> None:
    """Fails if forget10 takes half of its perturbed answers from forget05: a truth ratio over half of the rows."""
    found = Tofu(data=str(shared_data), forget_size="10").run()
    assert len(found["forget"]) == 400
    assert all(row.get("perturbed_answers") is None for row in found["forget"])


def test_paraphrases_join_their_own_question(shared_data: Path) -> None:
    """Fails if paraphrases are matched by order, keep repeats, or keep the question itself as its own paraphrase."""
    folder = str(shared_data / "tofu_paraphrases")
    found = Tofu(data=str(shared_data), paraphrases=folder).run()["forget"]
    given = plain(shared_data / "tofu", "forget05_perturbed")
    counts = [len(row["paraphrased_prompts"]) for row in found]
    assert all(
        row["paraphrased_prompts"][0] == item["paraphrased_question"] for row, item in zip(found, given, strict=True)
    )
    assert all(row["prompt"] not in row["paraphrased_prompts"] for row in found)
    assert all(len(set(row["paraphrased_prompts"])) == count for row, count in zip(found, counts, strict=True))
    assert 10 < sum(counts) / len(counts) <= 26
    assert "geology writer who was born in Karachi" in found[0]["paraphrased_prompts"][1]
    larger = Tofu(data=str(shared_data), forget_size="10", paraphrases=folder).run()["forget"]
    assert [row.get("paraphrased_prompts") is None for row in larger] == [True] * 200 + [False] * 200


def copy(folder: Path, change: Callable[[dict[str, list[dict[str, object]]]], None] = lambda files: None) -> Path:
    """A made-up TOFU of 4,000 rows in the published layout (uncompressed .json of lines)."""
    full: list[dict[str, object]] = [{"question": f"Q{i}?", "answer": f"A{i}."} for i in range(4000)]
    extra = {"paraphrased_answer": "P.", "perturbed_answer": ["W1.", "W2."], "paraphrased_question": "R?"}
    option = {f"option{i}": text for i, text in enumerate("wxyz", start=1)}
    files = {
        "full": full,
        "forget05": full[3800:],
        "forget05_perturbed": [{**item, **extra} for item in full[3800:]],
        "retain_perturbed": [{**item, **extra} for item in full[:400]],
        "real_authors": [{"question": "Who?", "answer": "y", **option}],
        "world_facts": [{"question": "Where?", "answer": "w", **option}],
    }
    change(files)
    for name, items in files.items():
        (folder / f"{name}.json").write_text("".join(json.dumps(item) + "\n" for item in items))
    return folder


def test_published_layout_is_read(tmp_path: Path) -> None:
    """Fails if uncompressed .json files, or a folder without refusals, are not taken."""
    found = Tofu(data=str(copy(tmp_path))).run()
    assert "refusals" not in found
    assert (found["forget"][7]["answer"], found["forget"][7]["perturbed_answers"]) == ("A3807.", ("W1.", "W2."))
    assert found["real_authors"][0]["perturbed_answers"] == ("w", "x", "z")
    (tmp_path / "idontknow.jsonl").write_text("No idea.\n\n I cannot say. \n")
    assert [row["answer"] for row in Tofu(data=str(tmp_path)).run()["refusals"]] == ["No idea.", "I cannot say."]


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    """Fails if mixed versions, missing files or fields are read as if nothing were wrong."""
    with pytest.raises(InputError, match="has no TOFU split 'full'"):
        Tofu(data=str(tmp_path)).run()

    def refused(message: str, change: Callable[[dict[str, list[dict[str, object]]]], None]) -> None:
        with pytest.raises(InputError, match=message):
            Tofu(data=str(copy(tmp_path, change))).run()

    refused("TOFU's forget05 is not the part of full .* the first 0 agree", lambda files: files["forget05"].reverse())
    refused(
        "it has 200 records for 200, and the first 7 agree",
        lambda files: files["full"].__setitem__(3807, files["full"][0]),
    )
    refused(
        "forget05_perturbed is not the part of full .* 199 records for 200",
        lambda files: files["forget05_perturbed"].pop(),
    )
    refused("needs 'option3'", lambda files: files["world_facts"][0].pop("option3") and None)
    refused("needs 'perturbed_answer'", lambda files: files["retain_perturbed"][3].pop("perturbed_answer") and None)
    copy(tmp_path)
    with pytest.raises(InputError, match="171 holdout authors were asked for, and 170 can be held out"):
        Tofu(data=str(tmp_path), holdout_authors=171).run()
    with pytest.raises(InputError, match=r"no paraphrase_res\*\.csv"):
        Tofu(data=str(tmp_path), paraphrases=str(tmp_path)).run()
    (tmp_path / "paraphrase_res.csv").write_text("Q3800?,A3800.,\"['R1', 'Q3800?', 'R1', 'R2']\",[]\n")
    assert Tofu(data=str(tmp_path), paraphrases=str(tmp_path)).run()["forget"][0]["paraphrased_prompts"] == (
        "R?",
        "R1",
        "R2",
    )
    with (tmp_path / "paraphrase_res.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["Q3800?", "A3800.", "['R1', 'Q3800?', 'R1']", "[]"], ["Q", "A", "[", "[]"]])
    with pytest.raises(InputError, match=r"paraphrase_res\.csv:2: not question, answer and two lists"):
        Tofu(data=str(tmp_path), paraphrases=str(tmp_path)).run()
    with pytest.raises(ValueError, match="forget_size must be one of 01, 05, 10"):
        Tofu(data=str(tmp_path), forget_size="5")
    with pytest.raises(ValueError, match="holdout_authors must be at least 1"):
        Tofu(data=str(tmp_path), holdout_authors=0)
