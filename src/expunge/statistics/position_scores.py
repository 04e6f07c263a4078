"""What the one pass keeps: a few numbers a scored position, under the answer that the position belongs to."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import InputError
from expunge.statistics.clusters import FloatArray, IntArray

Key = tuple[str, str]
COLUMNS = ("log_prob", "mean", "variance", "rank", "is_end", "token", "top")


@dataclass(frozen=True, kw_only=True, eq=False)
class PositionScores:
    """Numbers of every scored position of every answer; answer i owns positions offsets[i] to offsets[i + 1].

    `keys[i]` is (row id, answer name). A position holds `log_prob` of its token (nats), `mean` = E_v[log p(v)] and
    `variance` = Var_v[log p(v)] under the model, `rank` of the token (0 = arg-max), `is_end` where the token ends the
    sequence (metrics that leave it out call `without_end`), and optionally the `token` itself and `top`, the log-probability
    of the arg-max (classifiers: their confidence).

    Of a predicted number `log_prob` is the Gaussian log density of the target less that at the prediction, -z^2 / 2 with z the error
    in standard deviations of the targets: 0 where the target is met, never above. There are no classes, so it has no `rank`.
    """

    keys: tuple[Key, ...]
    offsets: IntArray
    log_prob: FloatArray
    mean: FloatArray
    variance: FloatArray
    is_end: NDArray[np.bool_]
    rank: IntArray | None = None
    token: IntArray | None = None
    top: FloatArray | None = None

    def __post_init__(self) -> None:
        positions = len(self.log_prob)
        if len(self.offsets) != len(self.keys) + 1 or self.offsets[0] != 0 or self.offsets[-1] != positions:
            raise InputError(f"offsets do not cut {positions} positions into {len(self.keys)} answers")
        if (np.diff(self.offsets) < 0).any():
            raise InputError("offsets fall")
        for name in COLUMNS[1:]:
            column = getattr(self, name)
            if column is not None and len(column) != positions:
                raise InputError(f"{name} has {len(column)} positions, log_prob {positions}")
        if len(self._places) != len(self.keys):
            raise InputError("a (row id, answer name) appears twice")

    @cached_property
    def _places(self) -> dict[Key, int]:
        return {key: place for place, key in enumerate(self.keys)}

    def __len__(self) -> int:
        """Return the number of answers."""
        return len(self.keys)

    def index(self, key: Key) -> int:
        """Return the place of an answer."""
        if key not in self._places:
            raise InputError(f"row {key[0]!r} has no scored answer {key[1]!r}")
        return self._places[key]

    def positions(self, place: int) -> slice:
        """Return the positions of the answer at a place."""
        return slice(int(self.offsets[place]), int(self.offsets[place + 1]))

    def owners(self) -> IntArray:
        """Return, a position, the place of the answer that owns it."""
        return np.repeat(np.arange(len(self.keys)), self.lengths())

    def lengths(self) -> IntArray:
        """Return the number of positions of each answer."""
        return np.diff(self.offsets)

    def total(self, column: FloatArray) -> FloatArray:
        """Return the sum of a per-position column over each answer, (answers,)."""
        return np.asarray(np.bincount(self.owners(), weights=column, minlength=len(self.keys)), np.float64)

    def total_log_prob(self) -> FloatArray:
        """Return log p of each whole answer, (answers,)."""
        return self.total(self.log_prob)

    def mean_log_prob(self) -> FloatArray:
        """Return log p a token of each answer, (answers,); an answer without a position has none and is an error."""
        lengths = self.lengths()
        if not lengths.all():
            raise InputError(f"answer {int(np.argmin(lengths)) + 1} of {len(lengths)} has no scored position")
        return self.total_log_prob() / lengths

    def ranks(self) -> IntArray:
        """Return the rank of every position's token; raises for predicted numbers, which have none."""
        if self.rank is None:
            raise InputError("a predicted number is no choice among classes: it has no rank")
        self._check_numbers()
        return self.rank

    def errors(self) -> FloatArray:
        """Return |z| of every position of a predicted number, in standard deviations of the targets; raises for choices among classes."""
        if self.rank is not None:
            raise InputError("these answers are choices among classes: they have no error in numbers")
        self._check_numbers()
        return np.asarray(np.sqrt(-2 * np.minimum(self.log_prob, 0.0)), np.float64)

    def _check_numbers(self) -> None:
        """Refuse outputs that are no numbers: compared with one, nothing stands before the answer, and nothing is within reach of it."""
        broken = int(np.isnan(self.log_prob).sum())
        if broken:
            raise InputError(
                f"the model's outputs are not numbers at {broken} of {len(self.log_prob)} scored positions",
                causes=("its weights are so large that activations overflow",),
            )

    def take(self, places: Sequence[int] | IntArray) -> PositionScores:
        """Return the answers at some places, in that order."""
        chosen = np.asarray(places, np.int64)
        lengths = self.lengths()[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        inside = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        return self._with(
            tuple(self.keys[i] for i in chosen), offsets, np.repeat(self.offsets[chosen], lengths) + inside
        )

    def select(self, answer_name: str) -> PositionScores:
        """Return the answers of one name, in order."""
        return self.take([place for place, (_, name) in enumerate(self.keys) if name == answer_name])

    def without_end(self) -> PositionScores:
        """Return the scores without the positions that end a sequence."""
        kept = np.flatnonzero(~self.is_end)
        offsets = np.searchsorted(kept, self.offsets).astype(np.int64)
        return self._with(self.keys, offsets, kept)

    def _with(self, keys: tuple[Key, ...], offsets: IntArray, positions: IntArray) -> PositionScores:
        return PositionScores(
            keys=keys,
            offsets=offsets,
            log_prob=self.log_prob[positions],
            mean=self.mean[positions],
            variance=self.variance[positions],
            rank=None if self.rank is None else self.rank[positions],
            is_end=self.is_end[positions],
            token=None if self.token is None else self.token[positions],
            top=None if self.top is None else self.top[positions],
        )

    def save(self) -> bytes:
        """Return an npz without pickle: equal scores give equal bytes."""
        columns = {name: getattr(self, name) for name in COLUMNS if getattr(self, name) is not None}
        buffer = io.BytesIO()
        keys = np.frombuffer(json.dumps(self.keys).encode(), np.uint8)
        np.savez(buffer, keys=keys, offsets=self.offsets, **columns)
        return buffer.getvalue()

    @classmethod
    def load(cls, data: bytes) -> PositionScores:
        """Read what `save` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            keys = tuple((row, name) for row, name in json.loads(arrays["keys"].tobytes()))
            columns = {name: arrays[name] for name in COLUMNS if name in arrays}
            return cls(keys=keys, offsets=arrays["offsets"], **columns)


def concatenate(parts: Sequence[PositionScores]) -> PositionScores:
    """Return all answers of several passes, in order; ranks, tokens and tops are kept where every part has them."""
    if not parts:
        raise InputError("nothing to concatenate")
    lengths = np.concatenate([part.lengths() for part in parts])
    ranks = [part.rank for part in parts if part.rank is not None]
    tokens = [part.token for part in parts if part.token is not None]
    tops = [part.top for part in parts if part.top is not None]
    return PositionScores(
        keys=tuple(key for part in parts for key in part.keys),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        log_prob=np.concatenate([part.log_prob for part in parts]),
        mean=np.concatenate([part.mean for part in parts]),
        variance=np.concatenate([part.variance for part in parts]),
        rank=np.concatenate(ranks) if len(ranks) == len(parts) else None,
        is_end=np.concatenate([part.is_end for part in parts]),
        token=np.concatenate(tokens) if len(tokens) == len(parts) else None,
        top=np.concatenate(tops) if len(tops) == len(parts) else None,
    )
