"""Optimiser scopes: which parameters may move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_units import table

from expunge.contract.scope import layer_numbers, scoped
from expunge.contract.weights import snapshot, weights_digest
from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.modalities.text import load_text
from expunge.modalities.text_build import new_text_model, train_tokenizer

ROW = Row(id="r", fields={"prompt": "Who?", "answer": "Ana"})
SIZES: dict[str, dict[str, Any]] = {
    "llama": {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64},
}


def text(architecture: str, **more: Any) -> Any:
    tokenizer = train_tokenizer(["Question: Who?\nAnswer: Ana"], 270)
    return new_text_model(
        tokenizer, architecture, {"max_position_embeddings": 64, **SIZES[architecture], **more}, seed=0
    )


@pytest.mark.parametrize(
    ("scope", "numbers"),
    [("layers:0", (0,)), ("layers:0-2,5", (0, 1, 2, 5)), ("layers:3, 1-2,2", (1, 2, 3)), ("layers:11", (11,))],
)
def test_layer_numbers(scope: str, numbers: tuple[int, ...]) -> None:
    """Fails if a range leaves out its end, or a number twice counts twice."""
    assert layer_numbers(scope, 12) == numbers


@pytest.mark.parametrize("scope", ["layers:", "layers:12", "layers:-1", "layers:3-1", "layers:a", "layers:1;2"])
def test_layers_that_are_not_there(scope: str) -> None:
    """Fails if a layer past the depth, a negative one or a range backwards gives an empty scope: nothing would move."""
    with pytest.raises(InputError, match="asks for layer|names no layers"):
        layer_numbers(scope, 12)


def test_layers_scope_takes_whole_numbers() -> None:
    """Fails if block 1 takes blocks 10 and 11 along by their names' beginning."""
    model = text("llama", num_hidden_layers=12)
    with scoped(model, "layers:1", seed=0) as (inside, movable):
        trained = {name for name, p in model.module.named_parameters() if p.requires_grad}
    assert inside == movable == trained
    assert {name.split(".")[2] for name in trained} == {"1"}
    assert len(trained) == 9


def test_full_scope_is_every_parameter() -> None:
    """Fails if a parameter is left out, or its state of before (frozen) is not put back, also after an error."""
    model = table()
    first = next(model.module.parameters())
    first.requires_grad_(False)
    with pytest.raises(ZeroDivisionError), scoped(model, "full", seed=0) as (inside, _):
        assert first.requires_grad
        assert len(inside) == len(list(model.module.parameters()))
        raise ZeroDivisionError
    assert [p.requires_grad for p in model.module.parameters()] == [False] + [True] * (len(inside) - 1)


def test_an_unknown_scope_is_refused() -> None:
    """Fails if a misspelt scope means the full one."""
    with pytest.raises(InputError, match="no scope 'layer:1'"), scoped(table(), "layer:1", seed=0):
        pass


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_lora_is_merged_into_the_same_architecture(architecture: str, tmp_path: Path) -> None:
    """W + (alpha/r) B A by hand, alpha/r = 2; GPT-2's Conv1D holds W transposed, so does its delta.

    Fails if adapters stay in the model, the scale is left out, anything but the blocks' linear maps moved, or what is saved loads
    with other logits.
    """
    model = text(architecture)
    before, modules = snapshot(model.module), [name for name, _ in model.module.named_modules()]
    draw = torch.Generator().manual_seed(0)
    factors: dict[str, torch.Tensor] = {}
    with scoped(model, "lora", seed=0) as (inside, movable):
        trained = {name: p for name, p in model.module.named_parameters() if p.requires_grad}
        assert set(trained) == inside
        assert all(".lora_A." in name or ".lora_B." in name for name in inside)
        with torch.no_grad():
            for name, p in trained.items():
                if ".lora_B." in name:
                    p.copy_(torch.randn(p.shape, generator=draw) * 0.1)
                factors[name] = p.clone()
        during = model.logits(model.pack([ROW])).detach()
    assert [name for name, _ in model.module.named_modules()] == modules
    assert all(p.requires_grad for p in model.module.parameters())
    for name, p in model.module.named_parameters():
        wanted = before[name]
        if name in movable:
            stem = name.removesuffix(".weight")
            delta = 2.0 * factors[f"{stem}.lora_B.default.weight"] @ factors[f"{stem}.lora_A.default.weight"]
            wanted = wanted + (delta.T if architecture == "gpt2" else delta)
        torch.testing.assert_close(p.detach(), wanted, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(model.logits(model.pack([ROW])), during, rtol=1e-4, atol=1e-5)
    model.save(tmp_path / "merged")
    assert not (tmp_path / "merged" / "adapter_config.json").exists()
    assert weights_digest(load_text(tmp_path / "merged").module) == weights_digest(model.module)


def test_lora_twice_and_from_its_seed() -> None:
    """Fails if a merged model cannot be adapted again, or the adapters' first weights follow a global generator."""
    model = text("llama")
    drawn = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        with scoped(model, "lora", seed=7) as (inside, _):
            drawn.append({name: p.detach().clone() for name, p in model.module.named_parameters() if name in inside})
    assert drawn[0].keys() == drawn[1].keys()
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])
    with scoped(model, "lora", seed=8) as (inside, _):
        assert any(not torch.equal(drawn[0][n], p) for n, p in model.module.named_parameters() if n in inside)
