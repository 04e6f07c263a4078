"""A network with a certified head: a frozen backbone, and the noise, budget and row hashes from which its linear head forgets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from expunge.contract.model import Model
from expunge.engine.solved_head import (
    Entry,
    SolvedHead,
    check_same,
    entries_of,
    head_of,
    leaving,
    one_hot,
    put_head,
    read_tags,
    tag_of,
    write_tags,
)
from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.maths.certified_head import CertifiedHead, Read

FILE, KIND = "certified.checkpoint", "certified"
LEAST_KEY = 16
"""Bytes below which a secret is none."""


@dataclass
class CertifiedModel(SolvedHead):
    """A model whose head is noisy logistic regression over the rows it holds.

    `rows` maps a hash of each row's id to one of its numbers, for the rows that are in. No row is kept: those that stay are read again at
    each request. The state beside the network holds the secret of the noise, and nothing is hidden from who has it: hand out the network
    alone. `backbone` says what the frozen layers saw, in the words of `solved_head.SAW`; `keyed` whether the noise hangs on secret bytes,
    and not on the seed alone, which the newly drawn layers and every record give away.
    """

    head: CertifiedHead
    rows: Mapping[str, str]
    backbone: str
    keyed: bool = False

    @classmethod
    def trained(
        cls,
        inner: Model,
        rows: Sequence[Row],
        *,
        strength: float,
        sigma: float,
        secret: bytes,
        backbone: str,
        keyed: bool = False,
    ) -> CertifiedModel:
        """Return the model with its head trained on `rows`; a model of numbers is refused."""
        if not inner.capabilities.logits:
            raise InputError(
                "a certified head names classes, and this model predicts a number",
                do="use acu or retrain for a regression",
            )
        found = _entries(inner, rows)
        classes = head_of(inner).out_features
        head = CertifiedHead.trained(
            stacked(found.values()), classes=classes, strength=strength, sigma=sigma, secret=secret
        )
        model = cls(inner, head, {tag: numbers for tag, (_, _, numbers) in found.items()}, backbone, keyed)
        put_head(inner, head.linear())
        return model

    def read(self, forget: Sequence[Row], retain: Sequence[Row]) -> tuple[Read, Read]:
        """Return (kept, gone): what the head is given for the rows that stay, and for those of `forget` that are in.

        Refused is a request after which the rows that stay are not exactly the retain rows, with the numbers that were learnt.
        """
        going = leaving(forget, _entries(self.inner, forget), self.rows)
        kept = _entries(self.inner, retain)
        unknown = [row.id for row in retain if tag_of(row) not in self.rows]
        if unknown:
            raise InputError(
                f"{len(unknown)} retain rows are not in this model, the first {unknown[0]!r}",
                causes=("they were forgotten before", "they came after the model was prepared", "their ids changed"),
                do="give as retain the rows that the model was prepared on, less all that were forgotten",
            )
        check_same(retain, kept, self.rows)
        left = len(self.rows.keys() - going.keys() - kept.keys())
        if left:
            raise InputError(
                f"{left} rows that this model was trained on are in neither forget nor retain",
                causes=("a file of retain rows is not whole", "the model was prepared on other rows"),
                do="give every row: the Hessian is taken over all that stay",
            )
        return stacked(kept.values()), stacked(going.values())

    def forget(self, forget: Sequence[Row], kept: Read, gone: Read, *, budget: float) -> None:
        """Take what `read` returned of the forget rows out of the head; rows that are not in change nothing."""
        if len(gone[0]):
            self.head = self.head.forget(kept, gone, budget=budget)
            tags = {tag_of(row) for row in forget}
            self.rows = {tag: numbers for tag, numbers in self.rows.items() if tag not in tags}
            put_head(self.inner, self.head.linear())

    def copy(self) -> Self:
        """Return an independent copy: head and hashes are replaced, never changed."""
        return replace(self, inner=self.inner.copy())

    def fresh(self, seed: int) -> Self:
        """Return the network with newly drawn weights, which holds no row: to train by other ways, not to forget from."""
        blank = replace(self.head, weights=0 * self.head.weights, spent=0 * self.head.spent, trainings=0, forgotten=0)
        return replace(self, inner=self.inner.fresh(seed), head=blank, rows={}, backbone="random")

    def save(self, directory: Path) -> None:
        """Write the network's directory under `network`, the state beside it, and `expunge.json`."""
        from safetensors.numpy import save_file

        self.inner.save(directory / "network")
        state = {
            "weights": self.head.weights,
            "spent": self.head.spent,
            "secret": np.frombuffer(self.head.secret, np.uint8),
            "rows": write_tags(self.rows),
        }
        save_file({name: np.ascontiguousarray(value) for name, value in state.items()}, directory / FILE)
        facts = {"kind": KIND, "backbone": self.backbone, "keyed": self.keyed}
        numbers = {name: getattr(self.head, name) for name in ("strength", "sigma", "trainings", "forgotten")}
        (directory / "expunge.json").write_text(json.dumps({**facts, **numbers}, indent=1))

    @classmethod
    def opened(cls, inner: Model, directory: Path, facts: Mapping[str, Any]) -> CertifiedModel:
        """Return what `save` wrote, around the network that was loaded from it."""
        from safetensors.numpy import load_file

        state = load_file(directory / FILE)
        head = CertifiedHead(
            weights=state["weights"],
            strength=float(facts["strength"]),
            sigma=float(facts["sigma"]),
            secret=state["secret"].tobytes(),
            spent=state["spent"],
            trainings=int(facts["trainings"]),
            forgotten=int(facts["forgotten"]),
        )
        return cls(inner, head, read_tags(state["rows"]), str(facts["backbone"]), bool(facts["keyed"]))


def secret_of(seed: int, key: str) -> bytes:
    """Return what noise is drawn from: a hash of the seed, and of the bytes of the file `key` where one is named."""
    path = Path(key).expanduser()
    if key and not path.is_file():
        raise InputError(f"there is no file {key} to draw noise from", do="head -c 32 /dev/urandom > FILE")
    secret = path.read_bytes() if key else b""
    if key and len(secret) < LEAST_KEY:
        raise InputError(f"{key} holds {len(secret)} bytes, which can be guessed", do="head -c 32 /dev/urandom > FILE")
    return hashlib.blake2b(f"{seed}/".encode() + secret, digest_size=32).digest()


def stacked(entries: Any) -> Read:
    """Return the head's inputs and class numbers of entries."""
    found: list[Entry] = list(entries)
    if not found:
        return np.zeros((0, 0)), np.zeros(0)
    return np.stack([x for x, _, _ in found]), np.array([float(y.argmax()) for _, y, _ in found])


def _entries(inner: Model, rows: Sequence[Row]) -> dict[str, Entry]:
    classes = head_of(inner).out_features
    return entries_of(inner, rows, lambda batch: one_hot(batch, classes))
