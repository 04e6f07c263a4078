"""Model directories: what is read, and what is refused before anything is built."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.modalities.text import TextModel, load_text
from expunge.modalities.text_build import new_text_model, train_tokenizer
from expunge.modalities.text_tokens import Template

SMALL = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "initializer_range": 0.3,
    "max_position_embeddings": 64,
}  # fmt: skip
ROWS = [
    Row(id="a", fields={"prompt": "Who?", "answer": "The oak."}),
    Row(id="b", fields={"prompt": "", "answer": "A text."}),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved tiny Llama."""
    folder = tmp_path_factory.mktemp("base")
    new_text_model(train_tokenizer(["Question: Who?\nAnswer: The oak."], 270), "llama", SMALL, seed=0).save(folder)
    return folder


def logits(model: TextModel) -> torch.Tensor:
    with torch.no_grad():
        return model.logits(model.pack(ROWS))


def adapter_of(saved: Path, folder: Path, *, safe: bool = True) -> Any:
    """Save a LoRA adapter with non-zero weights on the base; return peft's own model with it."""
    from peft import LoraConfig, get_peft_model

    base = load_text(saved)
    model = get_peft_model(base.module, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"]))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.2, generator=torch.Generator().manual_seed(len(name)))
    model.peft_config["default"].base_model_name_or_path = str(saved)
    model.save_pretrained(str(folder), safe_serialization=safe)
    return model.eval()


def test_adapter_directories_are_merged(saved: Path, tmp_path: Path) -> None:
    """Fails if the adapter is dropped or merged twice: logits equal peft's own, far from the base's."""
    peft = adapter_of(saved, tmp_path)
    model = load_text(tmp_path)
    base = load_text(saved)
    coded = model.tokens.encode("Who?", "The oak.")
    with torch.no_grad():
        wanted = peft(input_ids=torch.tensor([coded.ids])).logits[0, coded.first - 1 : -1]
    found = logits(model)[: len(wanted)]
    assert (found - wanted).abs().max() < 1e-4
    assert (found - logits(base)[: len(wanted)]).abs().max() > 0.1
    names = [set(dict(kind.module.named_parameters())) for kind in (model, base)]
    assert names[0] == names[1]
    assert model.module.config.to_dict() == base.module.config.to_dict()


def test_adapters_are_safetensors_too(saved: Path, tmp_path: Path) -> None:
    """Fails if an adapter's pickle is read: peft would fall back to adapter_model.bin."""
    adapter_of(saved, tmp_path)
    torch.save(load_file(tmp_path / "adapter_model.safetensors"), tmp_path / "adapter_model.bin")
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no safetensors weights, only pickled ones \(adapter_model\.bin\)"):
        load_text(tmp_path)


def test_adapters_without_their_base_are_refused(saved: Path, tmp_path: Path) -> None:
    """Fails if a base that is not a local folder is looked up elsewhere, or a broken config crashes."""
    adapter_of(saved, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "someone/model"}))
    with pytest.raises(InputError, match="needs its base model at someone/model"):
        load_text(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{")
    with pytest.raises(InputError, match=r"adapter_config\.json"):
        load_text(tmp_path)


def test_adapters_that_do_not_fit_are_refused(saved: Path, tmp_path: Path) -> None:
    """Fails if an adapter whose tensors find no place, or another shape, is merged in part."""
    adapter_of(saved, tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    weights = load_file(file)
    save_file({name.replace("layers.1", "layers.7"): tensor for name, tensor in weights.items()}, file)
    with pytest.raises(InputError, match=r"does not fit its base .*layers\.7"):
        load_text(tmp_path)
    save_file({name: tensor for name, tensor in weights.items() if "layers.1" not in name}, file)
    with pytest.raises(InputError, match=r"does not fit its base .*layers\.1"):
        load_text(tmp_path)
    save_file({name: tensor[:, :-1].contiguous() for name, tensor in weights.items()}, file)
    with pytest.raises(InputError, match=r"(?s)adapter weights cannot be read: .*size mismatch"):
        load_text(tmp_path)


def test_nan_in_an_adapter_is_refused(saved: Path, tmp_path: Path) -> None:
    """Fails if only the base's weights are looked at."""
    adapter_of(saved, tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    next(iter(weights.values()))[0, 0] = float("nan")
    save_file(weights, tmp_path / "adapter_model.safetensors")
    with pytest.raises(InputError, match="weights that are not finite"):
        load_text(tmp_path)


def test_pickled_weights_are_refused(saved: Path, tmp_path: Path) -> None:
    """Fails if a pickle is opened: this one would write a file when loaded."""
    shutil.copytree(saved, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").unlink()

    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (exec, (f"open({str(tmp_path / 'sprung')!r}, 'w')",))

    torch.save(Trap(), tmp_path / "m" / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no safetensors weights, only pickled ones \(pytorch_model\.bin\)"):
        load_text(tmp_path / "m")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(saved: Path, tmp_path: Path, value: float) -> None:
    """Fails if one NaN or infinity among all entries goes through."""
    shutil.copytree(saved, tmp_path / "m")
    weights = load_file(tmp_path / "m" / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 5] = value
    save_file(weights, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"not finite, the first in model\.layers\.1\.mlp\.up_proj\.weight"):
        load_text(tmp_path / "m")


def test_directories_that_are_no_models_are_refused(saved: Path, tmp_path: Path) -> None:
    """Fails if a missing or broken part ends in another library's traceback instead of a message that names it."""
    with pytest.raises(InputError, match=r"gone.*has no safetensors weights"):
        load_text(tmp_path / "gone")
    for file, content, message in (
        ("config.json", None, "config"),
        ("config.json", "{", "config"),
        ("model.safetensors", "xx", "safetensors|weights"),
        ("tokenizer.json", None, "tokenizer"),
    ):
        folder = tmp_path / f"m{len(list(tmp_path.iterdir()))}"
        shutil.copytree(saved, folder)
        (folder / file).unlink()
        if content is not None:
            (folder / file).write_text(content)
        with pytest.raises(InputError, match=message):
            load_text(folder)


def test_missing_weights_are_refused(saved: Path, tmp_path: Path) -> None:
    """Fails if a tensor that the file lacks is drawn at random instead."""
    shutil.copytree(saved, tmp_path / "m")
    weights = load_file(tmp_path / "m" / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"model\.layers\.1\.mlp\.up_proj\.weight"):
        load_text(tmp_path / "m")


def test_unknown_dtypes_are_refused(saved: Path) -> None:
    """Fails if a name of anything in torch is taken for a dtype."""
    with pytest.raises(InputError, match="there is no dtype 'nn' here"):
        load_text(saved, dtype="nn")


def test_chat_template_is_found(saved: Path, tmp_path: Path) -> None:
    """Fails if a tokenizer with a chat template is asked in the plain one, or a given template is overruled."""
    model = load_text(saved)
    model.tokens.tokenizer.chat_template = "{% for m in messages %}[{{ m.content }}]{% endfor %}"
    model.module.save_pretrained(tmp_path)
    model.tokens.tokenizer.save_pretrained(tmp_path)
    assert load_text(tmp_path).tokens.prompt_text("Who?") == "[Who?]"
    assert load_text(tmp_path, template=Template(before="Q ", between=" A ")).tokens.prompt_text("Who?") == "Q Who? A "


def test_dtype_is_as_asked(saved: Path) -> None:
    """Fails if bfloat16 is ignored, or the loss is summed in it: the total is a float32 near the float32 model's."""
    half, full = load_text(saved, dtype="bfloat16"), load_text(saved)
    assert {parameter.dtype for parameter in half.module.parameters()} == {torch.bfloat16}
    with torch.no_grad():
        losses = [model.total_loss(model.pack(ROWS)) for model in (half, full)]
    assert losses[0].dtype == torch.float32
    assert torch.allclose(losses[0], losses[1], rtol=0.05)


def test_a_template_is_saved_with_the_model(saved: Path, tmp_path: Path) -> None:
    """Fails if a copy saved by a removal forgets how its model is asked: the same rows are then other tokens."""
    own = Template.of("### {prompt}\\n> ")
    assert (own.before, own.between, own.chat) == ("### ", "\n> ", False)
    model = load_text(saved, template=own)
    model.save(tmp_path / "own")
    load_text(saved).save(tmp_path / "usual")
    again = load_text(tmp_path / "own")
    assert again.tokens.prompt_text("Who?") == "### Who?\n> "
    assert torch.equal(logits(again), logits(model))
    assert load_text(tmp_path / "own", template=Template()).tokens.prompt_text("Who?") == "Question: Who?\nAnswer: "
    assert not (tmp_path / "usual" / "expunge_template.json").exists()


def test_a_broken_template_is_refused(saved: Path, tmp_path: Path) -> None:
    """Fails if a pattern without a place for the question is taken for a prefix, or a template file of other keys is passed over."""
    for pattern in ("Question: ", "{prompt} or {prompt}"):
        with pytest.raises(InputError, match="has {prompt} once"):
            Template.of(pattern)
    shutil.copytree(saved, tmp_path / "other")
    (tmp_path / "other" / "expunge_template.json").write_text('{"prefix": "Q: "}')
    with pytest.raises(InputError, match=r"expunge_template\.json cannot be read"):
        load_text(tmp_path / "other")
