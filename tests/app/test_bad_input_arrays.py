"""Edges of requests on a classifier through `expunge forget`: refused with words and nothing written, or served."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from array_rows import FORGET, HOLDOUT, RETAIN, Items, changed, refused
from meta_problems import clouds
from tiny_directory import Command, Done, write_jsonl

from expunge.facts.digest import read_json
from expunge.facts.errors import InputError
from expunge.facts.record import Record
from expunge.facts.rows import Row, Rows
from expunge.pipeline.ready import check_kind


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a classifier of 4 classes that read 60 points by heart."""
    folder = tmp_path_factory.mktemp("classifier") / "target"
    clouds().target.save(folder)
    return folder


Forget = Callable[..., Done]


@pytest.fixture
def forget(command: Command, classifier: Path, tmp_path: Path) -> Forget:
    """Run `expunge forget` on the classifier with rows written to files, into `out`."""

    def run(*options: object, out: str = "out", model: Path = classifier, **rows: Items | None) -> Done:
        given = {"forget": FORGET, "retain": RETAIN, "holdout": HOLDOUT, **rows}
        files = [
            part
            for name, part_rows in given.items()
            if part_rows is not None
            for part in (f"--{name}", write_jsonl(tmp_path / f"{name}.jsonl", part_rows))
        ]
        method = () if "--method" in options else ("--method", "grad_diff", "--set", "epochs=2")
        return command("forget", "--model", model, *files, *method, *options, "--out", tmp_path / out, "--store",
                       tmp_path / "store", "--quiet")  # fmt: skip

    return run


def record_of(folder: Path) -> Record:
    return Record.model_validate(read_json((folder / "record.json").read_bytes()))


ROWS: dict[str, tuple[dict[str, Items], tuple[str, ...]]] = {
    "negative label": ({"forget": changed(FORGET, 1, label=-1)}, ("'point-1'", "the label -1 is outside 0..3")),
    "label = classes": ({"retain": changed(RETAIN, 40, label=4)}, ("'point-52'", "the label 4 is outside 0..3")),
    "holdout label": ({"holdout": changed(HOLDOUT, 11, label=4)}, ("'held-11'", "outside 0..3")),
    "fraction": ({"forget": changed(FORGET, 1, label=1.5)}, ("'point-1'", "1.5 is no whole number")),
    "text": ({"forget": changed(FORGET, 1, label="dog")}, ("forget.jsonl:2", "'dog', which is no number")),
    "bool": ({"forget": changed(FORGET, 1, label=True)}, ("forget.jsonl:2", "True, which is no number")),
    "NaN": ({"retain": changed(RETAIN, 2, features=[math.nan] * 12)}, ("retain.jsonl:3", "not finite")),
    "infinity": ({"holdout": changed(HOLDOUT, 2, features=[math.inf] * 12)}, ("holdout.jsonl:3", "not finite")),
    "width": ({"holdout": changed(HOLDOUT, 2, features=[0.0] * 11)}, ("'held-2'", "(11,), the model reads (12,)")),
    "texts": ({"retain": [{"id": "t", "question": "Who?", "answer": "Ana"}]}, ("'t' of retain is a text row", "tabular model")),
    "id twice": ({"forget": [*FORGET, FORGET[0]]}, ("the row id 'point-0' appears twice",)),
    "in retain": ({"retain": [*RETAIN, {**FORGET[3], "id": "x"}]}, ("'x' of retain is also row 'point-3' of forget",)),
    "in holdout": ({"holdout": [*HOLDOUT, {**FORGET[3], "id": "x"}]}, ("'x' of holdout is also row 'point-3' of forget",)),
    "id in holdout": ({"holdout": changed(HOLDOUT, 0, id="point-3")}, ("'point-3' of holdout is also row 'point-3'",)),
}  # fmt: skip


@pytest.mark.parametrize("kind", ROWS)
def test_bad_rows_are_refused_before_anything_is_written(forget: Forget, tmp_path: Path, kind: str) -> None:
    """Fails if rows are read only when a method comes to them: the store would hold a request, or a model have been changed."""
    rows, wanted = ROWS[kind]
    message = refused(forget(**rows), tmp_path)
    for part in wanted:
        assert part in message


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--method", "acu"), ("acu can only forget from a model that it prepared", "expunge run")),
        (("--method", "s3t"), ("s3t can only forget from a model that it prepared", "expunge run")),
        (("--method", "sisa"), ("sisa trains again and needs a recipe", "[recipe]")),
        (("--method", "rmu"), ("rmu serves text", "expunge units --for tabular")),
    ],
)
def test_methods_that_cannot_run_are_refused_before_the_store_is_opened(
    forget: Forget, tmp_path: Path, options: tuple[str, ...], wanted: tuple[str, ...]
) -> None:
    """Fails if a method that forgets from what it prepared is found out after the target was attacked."""
    message = refused(forget(*options), tmp_path)
    for part in wanted:
        assert part in message


def test_kinds_of_rows_are_told_apart() -> None:
    """Fails if an image passes for a text, or rows of other modalities are looked at."""
    image = {"forget": Rows((Row(id="i", fields={"image": [[0]], "label": 0, "prompt": "a dog"}),))}
    check_kind(image, "vision")
    check_kind(image, "diffusion")
    for modality in ("text", "tabular"):
        with pytest.raises(InputError, match=f"row 'i' of forget is a vision row, and this is a {modality} model"):
            check_kind(image, modality)
    with pytest.raises(InputError, match="the source mine gives vision rows"):
        check_kind(image, "text", "mine")


def test_verify_reads_the_rows_before_the_store_is_opened(command: Command, classifier: Path, tmp_path: Path) -> None:
    """Fails if a label past the classes is found by an attack."""
    write_jsonl(tmp_path / "forget.jsonl", changed(FORGET, 0, label=9))
    done = command("verify", "--target", classifier, "--unlearned", classifier, "--forget", tmp_path / "forget.jsonl",
                   "--store", tmp_path / "store", "--quiet")  # fmt: skip
    assert "'point-0': the label 9 is outside 0..3" in refused(done, tmp_path)


def test_the_same_array_under_another_label_is_served_and_counted(forget: Forget, tmp_path: Path) -> None:
    """Fails if the certificate does not say that what was to go stands among the retain rows."""
    twins = [{**row, "id": f"twin-{row['id']}", "label": (row["label"] + 1) % 4} for row in FORGET[:3]]
    done = forget(retain=[*RETAIN, *twins])
    assert done.code == 0, done.err
    found = record_of(tmp_path / "out").overlap
    assert found == {"retain_rows": 51, "equal_arrays": 3, "ids": [f"twin-point-{i}" for i in range(3)]}
    assert b'"equal_arrays":3' in read_certificate(tmp_path / "out")


def read_certificate(folder: Path) -> bytes:
    return base64.b64decode(json.loads((folder / "certificate.json").read_bytes())["payload"])


def test_one_row(forget: Forget, tmp_path: Path) -> None:
    """Fails if one row to forget, or one row to keep, divides by n - 1 or is a claim: one row shows nothing."""
    for name, rows in (("forget", {"forget": FORGET[:1]}), ("retain", {"retain": RETAIN[:1]})):
        done = forget(out=name, **rows)
        assert done.code == 0, done.err
        record = record_of(tmp_path / name)
        assert {split.name: split.n for split in record.splits}[name] == 1
        assert record.claim is not None
        assert record.claim.rung == "not_shown"
        assert not record.claim.not_found
        assert all(math.isfinite(one.score.value) for one in record.measurements if one.score.value is not None)


def test_the_whole_training_set(forget: Forget, tmp_path: Path) -> None:
    """Fails if a method that keeps retain rows runs without any; one that needs none runs, and utility is not taken for kept."""
    everything: dict[str, Items | None] = {"forget": [*FORGET, *RETAIN], "retain": None}
    assert "grad_diff needs retain rows and there are none" in refused(forget(**everything), tmp_path)
    done = forget("--method", "ascent", "--set", "epochs=1", **everything)
    assert done.code == 0, done.err
    assert "utility: unscored, not measured" in done.out
    record = record_of(tmp_path / "out")
    assert [split.name for split in record.splits] == ["forget", "holdout"]
    assert record.claim is not None
    assert record.claim.rung == "not_shown"


def test_the_same_request_twice(forget: Forget, tmp_path: Path) -> None:
    """Fails if a second run of one request gives another model or claim, or a removal breaks on its own output."""
    for out in ("one", "two"):
        assert forget("--method", "random_label", "--set", "epochs=2", out=out).code == 0
    one, two = (record_of(tmp_path / out) for out in ("one", "two"))
    assert one.canonical() == two.canonical()
    assert one.request["id"] == two.request["id"]
    done = forget("--method", "random_label", "--set", "epochs=2", out="three", model=tmp_path / "one" / "model")
    assert done.code == 0, done.err
    assert record_of(tmp_path / "three").method.digest_before == one.method.digest_after
