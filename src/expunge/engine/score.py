"""The one pass: every teacher-forced number of a model on some rows, from one forward over shared prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.model import Batch, Model, Question, Reducing
from expunge.engine.kernels import fast_linear
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

    Questions of near-equal length share a batch, so that its packed rows fill evenly: at 2,048 positions a batch, 1.02 times
    the positions needed on TOFU; larger batches mix more lengths and pad more (4,096: 1.04), and leave the processor's cache.
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

    mean = sum_v p_v log p_v, variance = sum_v p_v (log p_v - mean)^2, in float32. With z = logits - max, log p = z + log max p.
    """
    logits = logits.float()
    wanted = logits.gather(-1, targets[:, None])
    p = logits.softmax(-1)
    most = p.amax(-1).log()  # log p of the arg-max
    top = logits.amax(-1, keepdim=True)
    z = logits - top
    mean = torch.linalg.vecdot(p, z)
    variance = torch.linalg.vecdot(p, z.sub_(mean[:, None]).square_())
    return (wanted - top)[:, 0] + most, mean + most, variance, _rank(logits, wanted, targets, z)


def _rank(logits: Tensor, wanted: Tensor, target: Tensor, room: Tensor) -> Tensor:
    """Return how many classes stand before the target; of equal ones the lower index stands first, as in arg-max.

    Without that a model with all logits equal would be right everywhere. `room` is overwritten: floats are added up several
    times faster than truths, and are exact up to 2^24 classes.
    """
    rank = torch.gt(logits, wanted, out=room).sum(-1).long()
    tied = torch.eq(logits, wanted, out=room).sum(-1) > 1
    if bool(tied.any()):
        before = torch.arange(logits.shape[-1], device=logits.device) < target[tied][:, None]
        rank[tied] += ((logits[tied] == wanted[tied]) & before).sum(-1)
    return rank


@torch.no_grad()
def score(model: Model, rows: Sequence[Row], *, job: Job, budget: int = 2048) -> PositionScores:
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
        with job.autocast(), fast_linear():
            every = _number_columns(model, batch) if model.capabilities.numbers else _class_columns(model, batch)
        ends = batch.is_end
        every["is_end"] = np.zeros(len(batch.owner), bool) if ends is None else ends.cpu().numpy()
        cuts = np.cumsum(batch.lengths().cpu().numpy())[:-1]
        names = list(every)
        parts = [np.split(column, cuts) for column in every.values()]
        answer = 0
        for i in indices:
            count = len(questions[i].answers)
            found[i] = [{name: part[answer + k] for name, part in zip(names, parts, strict=True)} for k in range(count)]
            answer += count
    merged = {key: value for share in gather_objects(found) for key, value in share.items()}
    keys = tuple((question.row_id, name) for question in questions for name in question.answers)
    pieces = [piece for i in range(len(questions)) for piece in merged[i]]
    return _scores(keys, pieces)


def _class_columns(model: Model, batch: Batch) -> dict[str, np.ndarray]:
    """Return what `position_numbers` gives at every scored position, and a classifier's confidence; a text has no use for it."""
    tops = None
    if batch.is_end is not None and isinstance(model, Reducing):
        numbers = model.reduce_logits(batch, position_numbers, most=CHUNK)
    else:
        logits = model.logits(batch)
        rows = max(1, CHUNK // logits.shape[-1])
        pairs = zip(torch.split(logits, rows), torch.split(batch.targets, rows), strict=True)
        parts = [position_numbers(part, targets) for part, targets in pairs]
        numbers = tuple(torch.cat(column) for column in zip(*parts, strict=True))
        if batch.is_end is None:
            tops = torch.log_softmax(logits.float(), -1).amax(-1)
    found = dict(zip(("log_prob", "mean", "variance", "rank"), numbers, strict=True)) | {"token": batch.targets}
    return {name: column.cpu().numpy() for name, column in (found | ({} if tops is None else {"top": tops})).items()}


def _number_columns(model: Model, batch: Batch) -> dict[str, np.ndarray]:
    """Return, of a predicted number, the Gaussian log density of the target below that at the prediction, -z^2 / 2, and its moments.

    For z of a standard Gaussian E[-z^2 / 2] = -1/2 and Var[-z^2 / 2] = 1/2, whatever is predicted. There is no class to rank.
    """
    log_prob = -model.total_loss(batch).float().cpu().numpy()
    return {"log_prob": log_prob, "mean": np.full_like(log_prob, -0.5), "variance": np.full_like(log_prob, 0.5)}


def _scores(keys: tuple[tuple[str, str], ...], pieces: list[dict[str, np.ndarray]]) -> PositionScores:
    def column(name: str, kind: type) -> np.ndarray:
        return np.concatenate([piece[name] for piece in pieces]).astype(kind) if pieces else np.zeros(0, kind)

    def optional(name: str, kind: type) -> np.ndarray | None:
        return column(name, kind) if not pieces or name in pieces[0] else None

    lengths = [len(piece["log_prob"]) for piece in pieces]
    return PositionScores(
        keys=keys,
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        log_prob=column("log_prob", np.float64),
        mean=column("mean", np.float64),
        variance=column("variance", np.float64),
        is_end=column("is_end", bool),
        rank=optional("rank", np.int64),
        token=optional("token", np.int64),
        top=column("top", np.float64) if pieces and "top" in pieces[0] else None,
    )
