"""`expunge forget` on a tiny model directory: what it writes, and what scopes, locators, settings and formats do."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tiny_directory import FAST, Command, Tiny, files_under, forget_with, make_tiny


def losses(directory: Path, tiny: Tiny) -> dict[str, float]:
    """Mean -log p a scored position, from one plain forward a row."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(directory), AutoTokenizer.from_pretrained(directory)
    found = {}
    for split in ("forget", "retain", "holdout"):
        values = []
        for row in tiny.rows(split):
            head = tokenizer(f"Question: {row['question']}\nAnswer: ", add_special_tokens=False)["input_ids"]
            ids = torch.tensor([[*head, *tokenizer(row["answer"], add_special_tokens=False)["input_ids"], 0]])
            labels = torch.where(torch.arange(ids.shape[1]) < len(head), -100, ids)
            with torch.no_grad():
                values.append(float(model(input_ids=ids, labels=labels).loss))
        found[split] = sum(values) / len(values)
    return found


def test_forget_writes_weights_that_forgot(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if the untouched model is saved, or the wrong split is forgotten: only the forget loss rises."""
    done = forget_with(command, tiny, tmp_path / "out", "--set", "epochs=10", "--set", "lr=5e-3")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["certificate.json", "model", "record.json"]
    assert re.match(r"claim: \w+", done.out)
    assert f"written: {tmp_path / 'out'}" in done.out
    before, after = losses(tiny.target, tiny), losses(tmp_path / "out" / "model", tiny)
    assert before["forget"] < 0.1
    assert after["forget"] > before["forget"] + 0.5
    assert after["retain"] < before["retain"] + 0.1
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["method"]["name"] == "grad_diff"
    assert record["method"]["settings"]["lr"] == 5e-3
    assert record["method"]["digest_before"] != record["method"]["digest_after"]


@pytest.fixture(scope="session")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """160 people to forget and 160 alike whom no model saw: enough to show that the target never knew them."""
    return make_tiny(tmp_path_factory.mktemp("strangers") / "t", forget=160, retain=16, holdout=160, models=("never",))


def test_a_target_that_never_knew_is_left_alone(command: Command, strangers: Tiny, tmp_path: Path) -> None:
    """Fails if weights are written for a target that never saw the rows, or if it is taken for an error.

    Fewer rows cannot show it: every attack's 90% interval around AUC 1/2 must lie within .15, which 80 rows do about 3 times in 4.
    """
    before = {name: (strangers.never / name).read_bytes() for name in files_under(strangers.never)}
    done = command("forget", "--model", strangers.never, *strangers.files("forget", "retain", "holdout"), *FAST, "--out",
                   tmp_path / "out", "--store", tmp_path / "store")  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.startswith("claim: not_found")
    assert "the target was left alone" in done.out
    assert files_under(tmp_path / "out") == ["certificate.json", "record.json"]
    assert {name: (strangers.never / name).read_bytes() for name in files_under(strangers.never)} == before
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["claim"]["not_found"]
    assert record["claim"]["rung"] == "not_shown"
    held = command("certificate", "verify", tmp_path / "out" / "certificate.json", "--key",
                   tmp_path / "store" / "keys" / "issuer.pub", "--model", strangers.never)  # fmt: skip
    assert held.code == 0, held.out


def test_a_target_that_knew_is_not_passed_off_as_not_found(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if presence is assumed where it cannot be refuted: eight rows that the target knows show no equivalence."""
    done = forget_with(command, tiny, tmp_path / "out")
    assert "not_found" not in done.out
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert not record["claim"]["not_found"]
    assert (tmp_path / "out" / "model" / "model.safetensors").is_file()


def moved(out: Path, target: Path) -> set[str]:
    """Names of the tensors that differ from the target's."""
    from safetensors.torch import load_file

    before, after = load_file(target / "model.safetensors"), load_file(out / "model" / "model.safetensors")
    assert before.keys() == after.keys()
    return {name for name in before if not bool((before[name] == after[name]).all())}


def test_scope_layers_moves_that_layer_alone(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if the scope does not reach the optimiser."""
    forget_with(command, tiny, tmp_path / "out", "--scope", "layers:0")
    names = moved(tmp_path / "out", tiny.target)
    assert names
    assert {name.split(".")[2] for name in names} == {"0"}


def test_scope_lora_is_merged(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if adapters are saved beside the weights, or other weights than the blocks' linear maps move."""
    forget_with(command, tiny, tmp_path / "out", "--scope", "lora")
    names = moved(tmp_path / "out", tiny.target)
    assert names
    assert all(re.fullmatch(r"model\.layers\.[01]\.(self_attn|mlp)\.\w+_proj\.weight", name) for name in names)
    assert "lora" not in str(files_under(tmp_path / "out"))


def test_a_locator_limits_what_moves(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if the mask does not reach the method: half of the entries stay what they were."""
    from safetensors.torch import load_file

    forget_with(command, tiny, tmp_path / "out", "--locator", "random")
    before = load_file(tiny.target / "model.safetensors")
    after = load_file(tmp_path / "out" / "model" / "model.safetensors")
    changed = sum(int((before[name] != after[name]).sum()) for name in before)
    whole = sum(tensor.numel() for tensor in before.values())
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["method"]["locator"] == "random"
    assert record["method"]["moved_entries"] == changed
    assert 0.2 * whole < changed < 0.6 * whole


def test_settings_reach_the_method(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if --set is parsed and dropped: another value gives other weights, and the record names it."""
    for lr in ("1e-2", "1e-3"):
        forget_with(command, tiny, tmp_path / lr, "--set", f"lr={lr}", "--set", 'schedule="constant"')
        record = json.loads((tmp_path / lr / "record.json").read_text())
        assert record["method"]["settings"]["lr"] == float(lr)
        assert record["method"]["settings"]["schedule"] == "constant"
    weights = [(tmp_path / lr / "model" / "model.safetensors").read_bytes() for lr in ("1e-2", "1e-3")]
    assert weights[0] != weights[1]


def test_the_same_seed_gives_the_same_bytes(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if anything random is left unseeded."""
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        forget_with(command, tiny, tmp_path / name, "--seed", seed)
    weights = {name: (tmp_path / name / "model" / "model.safetensors").read_bytes() for name in "abc"}
    assert weights["a"] == weights["b"] != weights["c"]


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl.gz"])
def test_csv_and_parquet_say_the_same_as_jsonl(
    command: Command, tiny: Tiny, tmp_path: Path, whole: Path, kind: str
) -> None:
    """Fails if a format drops, reorders or re-types a row: the weights are those that JSON lines give, bit for bit.

    Columns are named otherwise here, so that --map is needed.
    """
    import gzip

    for split in ("forget", "retain", "holdout"):
        rows = [{"key": row["id"], "q": row["question"], "a": row["answer"]} for row in tiny.rows(split)]
        path = tmp_path / f"{split}.{kind}"
        if kind == "csv":
            with path.open("w", newline="") as stream:
                writer = csv.DictWriter(stream, ["key", "q", "a"])
                writer.writeheader()
                writer.writerows(rows)
        elif kind == "parquet":
            import pyarrow
            import pyarrow.parquet

            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        else:
            path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    files: list[Any] = [
        part for split in ("forget", "retain", "holdout") for part in (f"--{split}", tmp_path / f"{split}.{kind}")
    ]
    done = command("forget", "--model", tiny.target, *files, *FAST, "--map", "id=key,question=q,answer=a", "--out",
                   tmp_path / "out", "--store", tmp_path / "store")  # fmt: skip
    assert done.code == 0, done.err
    name = Path("out") / "model" / "model.safetensors"
    assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()


def test_a_lora_adapter_directory_is_read(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if the adapter is left out (the base would be unlearned in its place), or merged twice.

    The adapter is made to change the base: the target that is measured is base + adapter.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(tiny.target)
    adapted = get_peft_model(
        base, LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    )
    adapted.save_pretrained(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny.target)
    merged = adapted.merge_and_unload().state_dict()
    done = command("forget", "--model", tmp_path / "adapter", *tiny.files("forget", "retain", "holdout"), "--method", "ascent",
                   "--set", "lr=0.0", "--out", tmp_path / "out", "--store", tmp_path / "store", "--quiet")  # fmt: skip
    assert done.code == 0, done.err
    after = load_file(tmp_path / "out" / "model" / "model.safetensors")
    for name, tensor in after.items():
        assert torch.allclose(tensor, merged[name], atol=1e-6), name
    assert not torch.equal(after["model.layers.0.self_attn.q_proj.weight"],
                           load_file(tiny.target / "model.safetensors")["model.layers.0.self_attn.q_proj.weight"])  # fmt: skip
    held = command("certificate", "verify", tmp_path / "out" / "certificate.json", "--key", tmp_path / "store" / "keys" / "issuer.pub",
                   "--model", tmp_path / "out" / "model", "--target", tmp_path / "adapter")  # fmt: skip
    assert held.code == 0, held.out


def test_require_is_an_exit_code(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if a rung that was not reached exits 0; what was written stays, it is evidence."""
    done = command("forget", "--model", tiny.target, *tiny.files("forget", "retain", "holdout"), *FAST, "--out",
                   tmp_path / "out", "--store", tmp_path / "store", "--require", "resistant")  # fmt: skip
    assert done.code == 1
    assert "the rung resistant was not reached" in done.err
    assert (tmp_path / "out" / "certificate.json").is_file()


def test_retrained_models_are_the_control(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if a retrained model given is not measured: the claim would be made against the item control."""
    forget_with(command, tiny, tmp_path / "out", "--retrained", tiny.never)
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["control"] == "retrained"
    assert [model["name"] for model in record["models"]] == ["target", "retrained-0", "unlearned"]
