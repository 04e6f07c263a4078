"""The one pass: every teacher-forced number of a model on some rows, from one forward over shared prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.model import Model, Question
from expunge.engine.parallel import batches_of, gather_objects
from expunge.facts.rows import Row
from expunge.statistics.position_scores import PositionScores

MOST_LOGITS = 2**27
"""Logits held at once: bounds the positions of a batch for large vocabularies."""
CHUNK = 2**20
"""Logits reduced at once, so that log-softmax and its moments stay in the processor's cache."""


def most_positions(model: Model) -> int:
    """Return the positions of a batch whose logits fit: a vocabulary is as wide as the widest parameter, or less."""
    widest = max((max(p.shape, default=1) for p in model.module.parameters()), default=1)
    return max(1, MOST_LOGITS // widest)


def batches(model: Model, questions: Sequence[Question], budget: int) -> list[list[int]]:
    """Return indices of questions, longest first, in batches of about `budget` positions.

    Questions of near-equal length share a batch, so that its packed rows fill evenly: at 4,096 positions a batch, 1.03 times
    the positions needed on TOFU; larger batches mix more lengths and pad more.
    """
    costs = [model.question_cost(question) for question in questions]
    found: list[list[int]] = []
    filled = budget
    for index in sorted(range(len(questions)), key=lambda i: -costs[i]):
        if filled + costs[index] > budget:
            found.append([])
            filled = 0
        found[-1].append(index)
        filled += costs[index]
    return found


def position_numbers(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return log p of the target, mean and variance of log p under p, and the target's rank (0 = arg-max), each (positions,).

    mean = sum_v p_v log p_v, variance = sum_v p_v (log p_v)^2 - mean^2, in float32, a cache-sized chunk of rows at a time.
    """
    kept: list[tuple[Tensor, ...]] = []
    rows = max(1, CHUNK // logits.shape[-1])
    for part, target in zip(torch.split(logits, rows), torch.split(targets, rows), strict=True):
        logs = torch.log_softmax(part.float(), dim=-1)
        wanted = logs.gather(-1, target[:, None])
        probabilities = logs.exp()
        mean = (probabilities * logs).sum(-1)
        # a float32 difference of nearly equal numbers can fall below zero
        variance = (probabilities * (logs - mean[:, None]).square()).sum(-1)
        kept.append((wanted[:, 0], mean, variance, _rank(logs, wanted, target)))
    stacked = [torch.cat(column) for column in zip(*kept, strict=True)]
    return stacked[0], stacked[1], stacked[2], stacked[3]


def _rank(logs: Tensor, wanted: Tensor, target: Tensor) -> Tensor:
    """Return how many classes stand before the target; of equal ones the lower index stands first, as in arg-max.

    Without that a model with all logits equal would be right everywhere.
    """
    rank = (logs > wanted).sum(-1)
    tied = (logs == wanted).sum(-1) > 1
    if bool(tied.any()):
        before = torch.arange(logs.shape[-1], device=logs.device) < target[tied][:, None]
        rank[tied] += ((logs[tied] == wanted[tied]) & before).sum(-1)
    return rank


@torch.no_grad()
def score(model: Model, rows: Sequence[Row], *, job: Job, budget: int = 4096) -> PositionScores:
    """Return the one pass over every answer of every row, in row order, on the CPU.

    Under several processes each takes whole batches, so that a row is in the same company as in one process, and all return the
    whole. A logit is computed at scored positions only.
    """
    questions = model.questions(rows)
    found: dict[int, list[dict[str, np.ndarray]]] = {}
    every_batch = batches(model, questions, min(budget, most_positions(model)))
    todo = [every_batch[i] for i in batches_of(model.module, len(every_batch))]
    for indices in job.progress.track(todo, total=len(todo), label="scoring"):
        batch = model.pack_questions([questions[i] for i in indices])
        with job.autocast():
            logits = model.logits(batch)
        columns = [column.cpu().numpy() for column in position_numbers(logits, batch.targets)]
        # a classifier's confidence; a text has no use for it
        tops = None if batch.is_end is not None else torch.log_softmax(logits.float(), -1).amax(-1).cpu().numpy()
        ends = np.zeros(len(columns[0]), bool) if batch.is_end is None else batch.is_end.cpu().numpy()
        tokens = batch.targets.cpu().numpy()
        cuts = np.cumsum(batch.lengths().cpu().numpy())[:-1]
        names = ["log_prob", "mean", "variance", "rank", "is_end", "token"] + (["top"] if tops is not None else [])
        every = (*columns, ends, tokens, *([tops] if tops is not None else []))
        parts = [np.split(column, cuts) for column in every]
        answer = 0
        for i in indices:
            count = len(questions[i].answers)
            found[i] = [{name: part[answer + k] for name, part in zip(names, parts, strict=True)} for k in range(count)]
            answer += count
    merged = {key: value for share in gather_objects(found) for key, value in share.items()}
    keys = tuple((question.row_id, name) for question in questions for name in question.answers)
    pieces = [piece for i in range(len(questions)) for piece in merged[i]]
    return _scores(keys, pieces)


def _scores(keys: tuple[tuple[str, str], ...], pieces: list[dict[str, np.ndarray]]) -> PositionScores:
    def column(name: str, kind: type) -> np.ndarray:
        return np.concatenate([piece[name] for piece in pieces]).astype(kind) if pieces else np.zeros(0, kind)

    lengths = [len(piece["log_prob"]) for piece in pieces]
    return PositionScores(
        keys=keys,
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        log_prob=column("log_prob", np.float64),
        mean=column("mean", np.float64),
        variance=column("variance", np.float64),
        rank=column("rank", np.int64),
        is_end=column("is_end", bool),
        token=column("token", np.int64),
        top=column("top", np.float64) if pieces and "top" in pieces[0] else None,
    )
