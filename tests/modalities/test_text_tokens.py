"""Prompt and answer as token ids: boundaries, chat templates, and masks where pad equals end."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.modalities.text import TextModel
from expunge.modalities.text_build import new_text_model, train_tokenizer
from expunge.modalities.text_packing import plain_rows, tree
from expunge.modalities.text_tokens import Template, Tokens, answers_of

TEXTS = [
    "Question: Who?\nAnswer: The oak is tall.",
    "Question: Where?\nAnswer: The elm is here.",
    " The oak. The elm.",
] * 5
CHAT = (
    "{% for turn in messages %}<|{{ turn.role }}|>{{ turn.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SMALL = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "initializer_range": 0.3,
    "max_position_embeddings": 128,
}  # fmt: skip


def bpe(*, chat: bool = False) -> Any:
    """A BPE whose end and pad token are one; with `chat` that token also ends every turn, as <|eot_id|> does in Llama 3."""
    tokenizer = train_tokenizer(TEXTS, 320)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    if chat:
        tokenizer.chat_template = CHAT
    return tokenizer


def test_the_answers_first_token_is_scored_where_the_tag_ends_in_a_space() -> None:
    """Fails under length masking (peers' defect): `Answer: ` + `The` merges to ` The`, and cutting by length loses it.

    The prompt alone has a token more (its last space), so a cut by its length starts at the answer's second token.
    """
    tokens = Tokens(bpe())
    coded = tokens.encode("Who?", "The oak is tall.")
    pieces = tokens.tokenizer.convert_ids_to_tokens(list(coded.ids))
    assert tokens.tokenizer.decode(list(coded.ids[coded.first : -1])) == " The oak is tall."
    assert pieces[coded.first] == "ĠThe"
    assert coded.ids[-1] == tokens.eos
    by_length = len(tokens.tokenizer(tokens.prompt_text("Who?"))["input_ids"])
    assert by_length == coded.first + 1
    # generation starts where scoring starts
    assert tuple(tokens.prompt_ids("Who?")) == coded.ids[: coded.first]


@pytest.mark.parametrize(
    ("between", "answer", "first"),
    [
        ("\nAnswer: ", "The oak.", " The"),
        ("\nAnswer:", " The oak.", " The"),
        ("\nAnswer:\n", "The oak.", "T"),
        ("\nA: ", "7", " "),
    ],
)
def test_scored_tokens_give_back_the_answer(between: str, answer: str, first: str) -> None:
    """Fails if a token of the tag is scored or one of the answer is not, whichever way the boundary merges.

    Also fails if generation starts elsewhere: a digit takes no space before it, so that `: ` + `7` is three tokens, and the space
    must be scored too, or a model is never taught what generation asks of it.
    """
    tokens = Tokens(bpe(), Template(between=between))
    coded = tokens.encode("Where?", answer)
    scored = tokens.tokenizer.decode(list(coded.ids[coded.first : -1]))
    assert scored.strip() == answer.strip()
    assert scored.startswith(first)
    assert tuple(tokens.prompt_ids("Where?")) == coded.ids[: coded.first]
    assert tokens.tokenizer.decode(list(coded.ids[:-1])) == f"Question: Where?{between}{answer}"


def test_a_start_token_is_kept_and_never_scored() -> None:
    """Fails if a tokenizer's own start token is dropped, doubled or scored."""
    from tokenizers import processors

    tokenizer = bpe()
    tokenizer.add_special_tokens({"bos_token": "<|start|>"})
    start = tokenizer.bos_token_id
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single="<|start|> $A", special_tokens=[("<|start|>", start)]
    )
    with_start, without = Tokens(tokenizer), Tokens(bpe())
    for prompt in ("Who?", ""):
        one, other = with_start.encode(prompt, "The oak."), without.encode(prompt, "The oak.")
        assert one.ids == (start, *other.ids)
        assert with_start.prompt_ids(prompt) == ([start, *without.prompt_ids(prompt)] if prompt else [start])
    assert with_start.encode("Who?", "The oak.").first == without.encode("Who?", "The oak.").first + 1
    # a text row: every token is scored behind a start token, all but the first without one
    assert (with_start.encode("", "The oak.").first, without.encode("", "The oak.").first) == (1, 1)


def test_chat_template_by_hand() -> None:
    """Fails if the chat template is not used, if its generation prompt is scored, or if a start token is put before it."""
    tokens = Tokens(bpe(chat=True), Template(chat=True, system="Be brief."))
    assert tokens.prompt_text("Who?") == "<|system|>Be brief.<|end|><|user|>Who?<|end|><|assistant|>"
    coded = tokens.encode("Who?", "The oak.")
    assert tokens.tokenizer.decode(list(coded.ids)) == tokens.prompt_text("Who?") + "The oak.<|end|>"
    assert tokens.tokenizer.decode(list(coded.ids[coded.first :])) == "The oak.<|end|>"
    assert [i for i in range(len(coded.ids)) if coded.ids[i] == tokens.eos][-1] == len(coded.ids) - 1
    assert sum(i == tokens.eos for i in coded.ids) == 3
    assert tuple(tokens.prompt_ids("Who?")) == coded.ids[: coded.first]


def test_pad_equals_eos_masks_no_real_turn_end() -> None:
    """Fails under `mask = ids != pad` (peers' defect): the turn ends inside the prompt are real tokens and must stay visible.

    Scoring (packed and plain, in a padded batch) and generation agree with the unmasked forward of each sequence alone, and
    the peers' mask gives other logits here.
    """
    model = new_text_model(bpe(chat=True), "llama", SMALL, seed=3, template=Template(chat=True))
    rows = [
        Row(id="a", fields={"prompt": "Who?", "answer": "The oak."}),
        Row(
            id="b", fields={"prompt": "Where is the elm that is so tall?", "answer": "The elm is here, here and here."}
        ),
    ]
    coded = [model.tokens.encode(row["prompt"], row["answer"]) for row in rows]
    layout = plain_rows([tree([one]) for one in coded], model.tokens.eos)
    for row, one in enumerate(coded):
        n = len(one.ids) - 1
        assert model.tokens.eos in one.ids[:-1]
        assert layout.mask[row].tolist() == [True] * n + [False] * (layout.ids.shape[1] - n)
    with torch.no_grad():
        own = torch.cat(
            [model.module(input_ids=torch.tensor([one.ids])).logits[0, one.first - 1 : -1] for one in coded]
        )
        ids = torch.tensor([coded[0].ids])
        masked = model.module(input_ids=ids, attention_mask=(ids != model.tokens.eos).long()).logits[
            0, coded[0].first - 1 : -1
        ]
        for packed in (True, False):
            model.packed = packed
            assert (model.logits(model.pack(rows)) - own).abs().max() < 1e-4
        assert (masked - own[: len(masked)]).abs().max() > 0.1
        wanted = []
        for row in rows:
            prompt = torch.tensor([model.tokens.prompt_ids(row["prompt"])])
            out = model.module.generate(
                input_ids=prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=8
            )
            wanted.append(model.tokens.decode(out[0, prompt.shape[1] :].tolist()))
    assert model.generate(rows, max_new_tokens=8) == wanted


def test_long_rows() -> None:
    """Fails if an answer past the length is scored beyond it or its cut end counts as an end; a prompt past it is refused."""
    model = new_text_model(bpe(), "llama", {**SMALL, "max_position_embeddings": 24}, seed=3)
    row = Row(id="a", fields={"prompt": "Who?", "answer": "The oak is tall. " * 9})
    batch = model.pack([row])
    coded = model.tokens.encode("Who?", row["answer"])
    assert len(coded.ids) == 24
    assert batch.lengths().tolist() == [24 - coded.first]
    assert batch.is_end is not None
    assert not batch.is_end.any()
    with pytest.raises(InputError, match=r"a prompt has .* tokens, the model reads 24"):
        model.tokens.encode("Who? " * 20, "The oak.")


def test_named_answers() -> None:
    """Fails if a perturbed answer is dropped or renamed; a row without an answer is refused."""
    fields = {"prompt": "Q", "answer": "A", "paraphrased_answer": "P", "perturbed_answers": ("X", "Y")}
    assert answers_of(Row(id="a", fields=fields)) == {
        "answer": "A", "paraphrased_answer": "P", "perturbed_answer/0": "X", "perturbed_answer/1": "Y",
    }  # fmt: skip
    with pytest.raises(InputError, match="row 'a' has no answer"):
        answers_of(Row(id="a", fields={"prompt": "Q"}))


def test_empty_answers_score_their_end_alone() -> None:
    """Fails if an empty answer scores a prompt token, or a row with nothing in it is scored at the position before its start."""
    from tokenizers import processors

    tag = Template(between="\nAnswer:")
    tokens = Tokens(bpe(), tag)
    coded = tokens.encode("Who?", "")
    assert coded.first == len(coded.ids) - 1
    assert coded.ids[-1] == tokens.eos
    with pytest.raises(InputError, match="neither a prompt nor an answer"):
        tokens.encode("", "")
    tokenizer = bpe()
    tokenizer.add_special_tokens({"bos_token": "<|start|>"})
    special = [("<|start|>", tokenizer.bos_token_id)]
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(single="<|start|> $A", special_tokens=special)
    started = Tokens(tokenizer, tag).encode("Who?", "")
    assert started.first == len(started.ids) - 1 == len(coded.ids)


def test_a_tokenizer_without_an_end_is_refused() -> None:
    """Fails if a missing end token is replaced by another."""
    tokenizer = bpe()
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="no end-of-sequence token"):
        Tokens(tokenizer)


def test_text_rows_continue_from_the_end_token() -> None:
    """Fails if a row without a prompt is put into the question template."""
    model: TextModel = new_text_model(bpe(), "llama", SMALL, seed=3)
    coded = model.tokens.encode("", "The oak is tall.")
    assert model.tokens.tokenizer.decode(list(coded.ids[:-1])) == "The oak is tall."
    assert coded.first == 1
    assert model.tokens.prompt_ids("") == [model.tokens.eos]
