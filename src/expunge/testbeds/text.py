"""The text problem: a tiny Llama that knows fictitious people, and the same model trained without some of them."""

from __future__ import annotations

import re
import string
from functools import cache
from typing import Any

from expunge.contract.splits import Splits
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.modalities.text_build import END, new_text_model
from expunge.modalities.text_tokens import Template
from expunge.sources.people import SYLLABLES, People, words
from expunge.testbeds.problem import Problem, train_problem

UNKNOWN = "<|unknown|>"
PIECES = r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]|\s"
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
    "initializer_range": 0.1,
}
RECIPE = Recipe(epochs=20, lr=8e-3, batch_size=32, schedule="cosine", stop_loss=0.02)


def world_tokenizer() -> Any:
    """Return a tokenizer of the toy world's closed list of words, with names cut into syllables; other words into letters.

    It is made from the world and trained on no row. A BPE trained on retain rows would cut the names of retained people into fewer pieces
    than those to forget: the answer's length alone would then tell members from non-members, and a retrained model would not be
    of the same recipe. Decoding gives back the exact text.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    frame = re.findall(r"[A-Za-z]+", Template().before + Template().between)
    pieces = dict.fromkeys([END, UNKNOWN, *frame, *SYLLABLES, *(f" {word}" for word in words()), *string.printable])
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN, continuing_subword_prefix=""))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END, unk_token=UNKNOWN)


@cache
def text_problem(
    *, people: int = 10, forget_people: int = 2, holdout_people: int = 2, retrained: int = 2, seed: int = 0
) -> Problem:
    """Return the problem, built once a process: 10 people take about 4 s of CPU a model, 40 people 10 s.

    Public facts are retain rows, and they are the test rows: every model may know them.
    """
    found = People(people=people, forget_people=forget_people, holdout_people=holdout_people, ledger=0, seed=seed).run()
    retain = Rows((*found["retain"], *found["extra_training"]), "retain")
    splits = Splits.of(forget=found["forget"], retain=retain, holdout=found["holdout"], test=found["test"])
    untrained = new_text_model(world_tokenizer(), "llama", SIZES, seed=100 + seed)
    return train_problem(
        f"people-{people}", splits, untrained, RECIPE.model_copy(update={"seed": seed}), retrained=retrained
    )
