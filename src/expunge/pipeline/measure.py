"""Compute what metrics and attacks need of one model, each thing once, and keep it by content hash."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from expunge.contract.evidence import Evidence
from expunge.contract.job import Cache, Forgetful, Job
from expunge.contract.model import Model
from expunge.contract.weights import is_sharded, weights_digest
from expunge.engine.per_example import gradient_norms
from expunge.engine.predict import predict
from expunge.engine.score import score
from expunge.facts.digest import canonical_json, sha256
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.statistics.position_scores import PositionScores


@dataclass(frozen=True)
class Wanted:
    """What to compute on which rows: the union of what the units declared."""

    needs: frozenset[str]
    rows: Mapping[str, Rows]
    max_new_tokens: int = 64
    generate_on: frozenset[str] = frozenset({"forget", "holdout", "retain"})
    norms_on: frozenset[str] = frozenset({"forget", "holdout"})


@dataclass
class Measurer:
    """Runs the one pass, generation and gradient norms; the same question of the same weights is answered from the cache."""

    job: Job
    cache: Cache = field(default_factory=Forgetful)
    seconds: dict[str, float] = field(default_factory=dict)
    digests: dict[int, tuple[Rows, str]] = field(default_factory=dict)
    """Digests of rows by object, made once a verification: every model is measured on the same rows."""

    def score(self, model: Model, rows: Rows) -> PositionScores:
        """Return the one pass over `rows`."""
        key = self._key("scores", model, rows)
        known = self.cache.get(key)
        if known is not None:
            return PositionScores.load(known)
        with self._clock("scores"):
            found = score(model, rows, job=self.job)
        self.cache.put(key, found.save())
        return found

    def generate(self, model: Model, rows: Rows, max_new_tokens: int) -> list[str]:
        """Return one greedy answer a row; a model that does not generate is refused."""
        if not model.capabilities.generate:
            raise InputError(f"a {model.modality} model of this kind does not generate")
        key = self._key(f"generations/{max_new_tokens}", model, rows)
        known = self.cache.get(key)
        if known is not None:
            answers: list[str] = json.loads(known)
            return answers
        with self._clock("generations"):
            found: list[str] = model.generate(rows, max_new_tokens=max_new_tokens)  # type: ignore[attr-defined]
        self.cache.put(key, json.dumps(found).encode())
        return found

    def norms(self, model: Model, rows: Rows) -> np.ndarray:
        """Return the norm of the gradient of each row's mean loss, over all parameters together."""
        return self._array(
            "gradient norms", model, rows, lambda: gradient_norms(model, rows, job=self.job)[0].double().cpu().numpy()
        )

    def predict(self, model: Model, rows: Rows) -> np.ndarray:
        """Return log-probabilities of every class (or the predicted number) of each row."""
        return self._array("predictions", model, rows, lambda: predict(model, rows, job=self.job))

    def _array(self, what: str, model: Model, rows: Rows, make: Callable[[], np.ndarray]) -> np.ndarray:
        key = self._key(what, model, rows)
        known = self.cache.get(key)
        if known is not None:
            return np.asarray(np.load(io.BytesIO(known), allow_pickle=False))
        with self._clock(what):
            found = make()
        buffer = io.BytesIO()
        np.save(buffer, found)
        self.cache.put(key, buffer.getvalue())
        return np.asarray(found)

    def evidence(self, model: Model, wanted: Wanted, *, name: str, role: str) -> Evidence:
        """Return one model's evidence, without that of the models it is compared with."""
        needs, rows = wanted.needs, wanted.rows
        takes_gradients = "gradients" in needs and not is_sharded(model.module)
        generates = "generations" in needs and model.capabilities.generate
        chosen = {split: rows[split] for split in rows if split in wanted.generate_on and len(rows[split])}
        norms = {split: rows[split] for split in rows if split in wanted.norms_on and len(rows[split])}
        return Evidence(
            name=name,
            role=role,
            modality=model.modality,
            rows=rows,
            scores={s: self.score(model, r) for s, r in rows.items() if len(r)}
            if "scores" in needs and (model.capabilities.logits or model.capabilities.numbers)
            else {},
            generations={s: self.generate(model, r, wanted.max_new_tokens) for s, r in chosen.items()}
            if generates
            else {},
            gradient_norms={s: self.norms(model, r) for s, r in norms.items()} if takes_gradients else {},
            predictions={s: self.predict(model, r) for s, r in rows.items() if len(r)}
            if "predictions" in needs and model.capabilities.predictions
            else {},
            weights={n: p.detach().float().cpu().numpy() for n, p in model.module.named_parameters()}
            if "weights" in needs and not is_sharded(model.module)
            else {},
        )

    def _key(self, what: str, model: Model, rows: Rows) -> str:
        tokens = getattr(model, "tokens", None)
        settings = (
            [repr(tokens.template), tokens.max_length, sha256(canonical_json(tokens.tokenizer.get_vocab()))]
            if tokens
            else []
        )
        if id(rows) not in self.digests:
            self.digests[id(rows)] = (rows, rows.digest())  # the rows are kept too, so that no others take their id
        return sha256(canonical_json([what, weights_digest(model.module), self.digests[id(rows)][1], settings]))

    def _clock(self, what: str) -> _Clock:
        return _Clock(self.seconds, what)


class _Clock:
    def __init__(self, seconds: dict[str, float], what: str) -> None:
        self.seconds, self.what = seconds, what

    def __enter__(self) -> None:
        import time

        self.started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        import time

        self.seconds[self.what] = self.seconds.get(self.what, 0.0) + time.perf_counter() - self.started


def union(abouts: Iterable[tuple[str, ...]]) -> frozenset[str]:
    """Return the union of several `needs`."""
    return frozenset(need for needs in abouts for need in needs)
