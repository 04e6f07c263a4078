"""Read a local Hugging Face directory, or a LoRA adapter directory with its base: safetensors only, never code or pickle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from expunge.facts.errors import InputError
from expunge.modalities.pretrained import LOCAL, check_finite, check_safetensors, read_pretrained, reading
from expunge.modalities.text_tokens import Template, Tokens

ADAPTER = "adapter_model.safetensors"
TEMPLATE = "expunge_template.json"


def read_directory(directory: Path, dtype: str) -> tuple[Any, Any]:
    """Return (module, tokenizer) of a model directory, an adapter merged into its base."""
    from transformers import AutoModelForCausalLM

    if (directory / "adapter_config.json").is_file():
        return _read_adapter(directory, dtype)
    module = read_pretrained(AutoModelForCausalLM, directory, dtype)
    with reading(directory, "tokenizer"):
        tokenizer = _tokenizer_kind(directory).from_pretrained(directory, **LOCAL)
    return module, tokenizer


def _tokenizer_kind(directory: Path) -> Any:
    """Return the class that reads the directory's tokenizer as it was saved.

    The library's choice by architecture gives Qwen-style models a Qwen tokenizer, whatever cutting of words tokenizer.json says: a model
    with a tokenizer of its own then reads other tokens than it was trained on.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    config = directory / "tokenizer_config.json"
    named = json.loads(config.read_text(encoding="utf-8")).get("tokenizer_class") if config.is_file() else None
    as_saved = named in ("TokenizersBackend", "PreTrainedTokenizerFast") and (directory / "tokenizer.json").is_file()
    return PreTrainedTokenizerFast if as_saved else AutoTokenizer


def _read_adapter(directory: Path, dtype: str) -> tuple[Any, Any]:
    from peft import PeftConfig, get_peft_model, set_peft_model_state_dict
    from safetensors.torch import load_file

    check_safetensors(directory, ADAPTER)
    with reading(directory, "adapter_config.json"):
        base = Path(json.loads((directory / "adapter_config.json").read_text())["base_model_name_or_path"])
        config = PeftConfig.from_pretrained(str(directory))
    if config.peft_type != "LORA":
        raise InputError(
            f"{directory} is a {config.peft_type} adapter, which cannot be merged", do="use a LoRA adapter"
        )
    if not base.is_dir():
        raise InputError(
            f"the adapter {directory} needs its base model at {base}, which is not there", do="put it there"
        )
    module, tokenizer = read_directory(base, dtype)
    with reading(directory, "adapter weights"):
        wrapped = get_peft_model(module, config)
        result = set_peft_model_state_dict(wrapped, load_file(directory / ADAPTER))
    strange = [*result.unexpected_keys, *(name for name in result.missing_keys if "lora_" in name)]
    if strange:
        raise InputError(f"the adapter {directory} does not fit its base {base}, the first at {strange[0]}")
    merged = wrapped.merge_and_unload()
    check_finite(directory, merged)
    return merged, tokenizer


def write_template(directory: Path, tokens: Tokens) -> None:
    """Write how prompts and answers were put together, where a later load would not guess it."""
    if tokens.template != Template.usual(tokens.tokenizer):
        (directory / TEMPLATE).write_text(json.dumps(asdict(tokens.template), indent=2) + "\n", encoding="utf-8")


def read_template(directory: Path) -> Template | None:
    """Return the template that was saved with the model, or None."""
    if not (directory / TEMPLATE).is_file():
        return None
    with reading(directory, TEMPLATE):
        return Template(**json.loads((directory / TEMPLATE).read_text(encoding="utf-8")))
