"""A new small language model: tokenizer trained on given text, architecture by name, weights drawn under a seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from expunge.facts.errors import InputError
from expunge.modalities.text import TextModel
from expunge.modalities.text_tokens import Template, Tokens

END = "<|end|>"
ARCHITECTURES = ("llama", "gpt2", "gpt_neox", "qwen2", "qwen3", "mistral")


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """Return a byte-level BPE tokenizer (every string can be encoded, also one it was not trained on).

    Train it on retain rows and public text only: a tokenizer that saw the forget rows keeps a trace of them, since rare names get
    tokens of their own.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)


def new_text_model(
    tokenizer: Any, architecture: str, settings: Mapping[str, Any], *, seed: int, template: Template | None = None
) -> TextModel:
    """Return a model of a Hugging Face architecture with `settings` for its configuration and newly drawn weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    if architecture not in ARCHITECTURES:
        raise InputError(
            f"there is no architecture {architecture!r} here", do=f"use one of: {', '.join(ARCHITECTURES)}"
        )
    ends = {
        "bos_token_id": tokenizer.eos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.eos_token_id,
    }
    config = AutoConfig.for_model(architecture, **{"vocab_size": len(tokenizer), **ends, **settings})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = AutoModelForCausalLM.from_config(config)
    longest = int(getattr(config, "max_position_embeddings", 2048))
    return TextModel(module, Tokens(tokenizer, template or Template(), longest))
