"""Rows to token ids: prompt and answer are tokenised together, and offsets say which tokens are the answer's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from expunge.facts.errors import InputError
from expunge.facts.rows import Row


@dataclass(frozen=True)
class Template:
    """How a prompt and an answer become one string. `chat` uses the tokenizer's own chat template instead."""

    before: str = "Question: "
    between: str = "\nAnswer: "
    chat: bool = False
    system: str = ""

    @classmethod
    def of(cls, pattern: str) -> Template:
        r"""Return the template that `pattern` writes out: {prompt} once, where the question goes; `\\n` breaks the line."""
        before, found, between = pattern.replace("\\n", "\n").partition("{prompt}")
        if not found or "{prompt}" in between:
            raise InputError(
                f"a template has {{prompt}} once, not {pattern!r}", do=r"write 'Question: {prompt}\nAnswer: '"
            )
        return cls(before, between)

    @classmethod
    def usual(cls, tokenizer: Any) -> Template:
        """Return what is used where nothing else is said: the tokenizer's chat template, else question and answer."""
        return cls(chat=bool(getattr(tokenizer, "chat_template", None)))


@dataclass(frozen=True)
class Encoded:
    """Token ids of prompt + answer + end, and the index of the first scored token."""

    ids: tuple[int, ...]
    first: int


@dataclass
class Tokens:
    """A tokenizer with a template; remembers what it encoded.

    Tokenising the prompt alone and cutting the answer off by its length loses the first answer token wherever the
    boundary merges (an answer tag that ends in a space); offsets do not. The end-of-sequence token that is appended is a
    real token: masks are made from lengths, never from `ids != pad`, so that it stays visible when pad equals eos.
    """

    tokenizer: Any
    template: Template = field(default_factory=Template)
    max_length: int = 2048
    _memory: dict[tuple[str, str], Encoded] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.tokenizer.eos_token_id is None:
            raise InputError("the tokenizer has no end-of-sequence token", do="set eos_token in its config")
        default = self.tokenizer("")["input_ids"]
        bos = self.tokenizer.bos_token_id
        self.start: tuple[int, ...] = (bos,) if bos is not None and default[:1] == [bos] else ()

    @property
    def eos(self) -> int:
        """Id of the end-of-sequence token."""
        return int(self.tokenizer.eos_token_id)

    def prompt_text(self, prompt: str) -> str:
        """Return the prompt as the model sees it, up to where the answer begins; text rows have none."""
        if not prompt:
            return ""
        if not self.template.chat:
            return f"{self.template.before}{prompt}{self.template.between}"
        turns = [{"role": "system", "content": self.template.system}] if self.template.system else []
        turns.append({"role": "user", "content": prompt})
        text: str = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return text

    def encode(self, prompt: str, answer: str) -> Encoded:
        """Return the ids of one prompt and answer; truncates the answer at `max_length` tokens.

        A space that ends the prompt is the answer's: scored with it, and not given in generation, whether or not it merges.
        """
        known = self._memory.get((prompt, answer))
        if known is None:
            known = self._memory[prompt, answer] = self._encode(prompt, answer)
        return known

    def _encode(self, prompt: str, answer: str) -> Encoded:
        head = self.prompt_text(prompt)
        begin = len(head.rstrip(" "))
        coded = self.tokenizer(head + answer, add_special_tokens=False, return_offsets_mapping=True)
        start = () if self.template.chat else self.start
        ids = (*start, *coded["input_ids"], self.eos)
        offsets = coded["offset_mapping"]
        first = max(len(start) + next((i for i, (_, end) in enumerate(offsets) if end > begin), len(offsets)), 1)
        if len(ids) < 2:
            raise InputError("a row has neither a prompt nor an answer", do="leave it out")
        if first >= self.max_length:
            raise InputError(
                f"a prompt has {first} tokens, the model reads {self.max_length}", do="shorten it or raise --max-length"
            )
        return Encoded(ids[: self.max_length], first)

    def prompt_ids(self, prompt: str) -> list[int]:
        """Return the ids a generation starts from: those before the first scored one."""
        head = self.prompt_text(prompt)
        start = () if self.template.chat else self.start
        return [*start, *self.tokenizer(head.rstrip(" "), add_special_tokens=False)["input_ids"]] or [self.eos]

    def decode(self, ids: list[int]) -> str:
        """Return text without special tokens and outer spaces."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text.strip()


def answers_of(row: Row) -> dict[str, str]:
    """Return a text row's named answers: `answer`, then those it carries for truth ratios."""
    if row.get("answer") is None:
        raise InputError(f"row {row.id!r} has no answer", do="map the column: --map answer=COLUMN")
    named = {"answer": str(row["answer"])}
    if row.get("paraphrased_answer"):
        named["paraphrased_answer"] = str(row["paraphrased_answer"])
    for i, text in enumerate(row.get("perturbed_answers") or ()):
        named[f"perturbed_answer/{i}"] = str(text)
    return named
