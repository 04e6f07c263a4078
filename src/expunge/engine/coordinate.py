"""Greedy coordinate gradient: search a text behind the question, token by token, that makes a model say given answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from expunge.contract.model import Model
from expunge.engine.prefixed import mean_loss, plain_losses, prefixed, swapped_losses
from expunge.engine.speaking import speaker
from expunge.engine.spliced import Spliced, virtual_tokens, vocabulary
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows


@dataclass(frozen=True)
class Suffix:
    """Tokens behind the question, the text that they are, and the mean loss a token of the answers behind it."""

    ids: tuple[int, ...]
    text: str
    loss: float


@dataclass(frozen=True)
class Frame:
    """A question with a suffix as tokens: those before the suffix and those behind it."""

    prompt: str
    before: tuple[int, ...]
    behind: tuple[int, ...]


def asked_with(rows: Rows, text: str) -> Rows:
    """Return rows with `text` behind the question, one space between."""
    return Rows(tuple(row.replace(prompt=f"{row.get('prompt') or ''} {text}") for row in rows), rows.name)


def search(
    model: Model, rows: Rows, *, count: int, candidates: int, top: int, generator: torch.Generator
) -> Iterator[Suffix]:
    """Yield the best suffix so far after each step, without end.

    A step takes the gradient with respect to the one-hot tokens of the suffix, draws `candidates` single swaps among the `top` tokens
    a place that it likes best, leaves out those that are not the text they decode to, and goes on from the one with the least loss,
    be it less than before or not.
    """
    spliced, frame, suffix = begin(model, rows, count, generator)
    known = prefixed(model, spliced)
    losses_with = partial(swapped_losses, model, known) if known else partial(plain_losses, model, spliced)
    best = None
    while True:
        loss, gradient = token_gradient(model, spliced, suffix)
        if best is None:
            best = Suffix(tuple(suffix.tolist()), _text(model, suffix), loss)
        drawn = draw_swaps(gradient, suffix, candidates, top, generator)
        swaps = drawn[[is_text(model, frame, swapped(suffix, swap)) for swap in drawn]]
        if len(swaps):
            losses = losses_with(suffix, swaps)
            least = int(losses.argmin())
            suffix = swapped(suffix, swaps[least])
            if float(losses[least]) < best.loss:
                best = Suffix(tuple(suffix.tolist()), _text(model, suffix), float(losses[least]))
        yield best


def begin(model: Model, rows: Rows, count: int, generator: torch.Generator) -> tuple[Spliced, Frame, Tensor]:
    """Return rows with `count` times one token behind the question, the frame of the first row, and these tokens, (count,).

    The token is the first of a drawn order that, written `count` times with spaces between, is read as itself behind every
    question. Rows are tokenised with that text in its place, so that what merges at its borders is as it will be.
    """
    tokens = speaker(model).tokens
    for token in torch.randperm(vocabulary(model), generator=generator).tolist():
        word = tokens.decode([token])
        text = " ".join([word] * count)
        frame = _frame(model, rows, text, token, count) if word and "\ufffd" not in word else None
        if frame is None:
            continue
        batch = model.pack_apart(asked_with(rows, text))
        ids, mask = batch.inputs["ids"], batch.inputs["mask"].bool()
        hits = (ids == token) & mask
        places = hits.long().argmax(1)
        columns = places[:, None] + torch.arange(count, device=ids.device)
        if bool((columns < ids.shape[1]).all()) and bool(hits.gather(1, columns).all()):
            width, at = ids.shape[1], batch.inputs["at"]
            first = torch.full_like(places, width).scatter_reduce(0, batch.owner, at % width + 1, "amin")
            if bool((first >= places + count).all()):
                return Spliced(batch, places, first, count), frame, ids.new_full((count,), token)
    raise InputError(f"no token of this tokenizer, written {count} times behind a question, is read as itself")


def is_text(model: Model, frame: Frame, suffix: Tensor) -> bool:
    """True where the tokens are read back from their own text behind the question of the frame."""
    tokens, ids = speaker(model).tokens, suffix.tolist()
    text = tokens.decode(ids)
    wanted = [*frame.before, *ids, *frame.behind]
    return bool(text) and tokens.prompt_ids(f"{frame.prompt} {text}") == wanted


def token_gradient(model: Model, spliced: Spliced, suffix: Tensor) -> tuple[float, Tensor]:
    """Return the mean loss a token, and its gradient with respect to the one-hot tokens of the suffix, (count, vocabulary).

    The loss depends on a one-hot token o by the vector o E alone, so that the gradient is dL/d(o E) E^T.
    """
    table = model.module.get_submodule(model.sites().embedding[0])
    size = vocabulary(model)
    extra = torch.arange(size, size + spliced.count, device=suffix.device)
    vectors = table(suffix).detach().requires_grad_()
    with torch.enable_grad(), virtual_tokens(model, vectors):
        loss = mean_loss(model, spliced.filled(extra))
        (gradient,) = torch.autograd.grad(loss, vectors)
    assert isinstance(table.weight, Tensor)
    return float(loss.detach()), gradient.float() @ table.weight.detach().float().T


def draw_swaps(gradient: Tensor, suffix: Tensor, candidates: int, top: int, generator: torch.Generator) -> Tensor:
    """Return at most `candidates` different swaps (n, 2) of a place and a token, by place: drawn evenly from the `top` a place.

    The tokens with the least gradient, never the token that stands there.
    """
    least = gradient.cpu().scatter(1, suffix.cpu()[:, None], float("inf"))
    liked = least.topk(min(top, least.shape[1] - 1), largest=False).indices
    drawn = torch.tensor(sorted(set(torch.randint(liked.numel(), (candidates,), generator=generator).tolist())))
    return torch.stack([drawn // liked.shape[1], liked.flatten()[drawn]], dim=1)


def swapped(suffix: Tensor, swap: Tensor) -> Tensor:
    """Return the suffix with one place and token swapped in."""
    changed = suffix.clone()
    changed[int(swap[0])] = int(swap[1])
    return changed


def _text(model: Model, suffix: Tensor) -> str:
    return speaker(model).tokens.decode(suffix.tolist())


def _frame(model: Model, rows: Rows, text: str, token: int, count: int) -> Frame | None:
    """Return the first row's question around the suffix, or None where the text is not `count` of the token."""
    prompt = str(rows[0].get("prompt") or "")
    ids = speaker(model).tokens.prompt_ids(f"{prompt} {text}")
    if ids.count(token) != count:
        return None
    place = ids.index(token)
    if ids[place : place + count] != [token] * count:
        return None
    return Frame(prompt, tuple(ids[:place]), tuple(ids[place + count :]))
