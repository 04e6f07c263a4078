"""Cross-fitting: what is learned from half of the rows is tried on the other half, and the halves take turns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import count

import numpy as np

from expunge.contract.evidence import Evidence
from expunge.engine.asking import success_outcome
from expunge.engine.order import cut, ordered
from expunge.facts.errors import InputError
from expunge.facts.record import Outcome
from expunge.facts.rows import Rows
from expunge.statistics.clusters import FloatArray


def facts(rows: Rows) -> list[str]:
    """Return the fact of each row: rows that carry the same `fact` (one fact in several phrasings) are taught or asked together."""
    return [str(row.get("fact") or row.id) for row in rows]


def ranked_facts(rows: Rows) -> list[str]:
    """Return the facts in the order of a hash of them: the same whatever the order of the rows."""
    return sorted(set(facts(rows)), key=lambda fact: hashlib.blake2b(fact.encode(), digest_size=8).digest())


def halves(rows: Rows) -> tuple[list[int], list[int]]:
    """Return two halves of row indices by a hash of facts; a fact stands in one of them, else the asked half is taught."""
    first, every = set(ranked_facts(rows)[::2]), facts(rows)
    return [i for i, fact in enumerate(every) if fact in first], [
        i for i, fact in enumerate(every) if fact not in first
    ]


def cross_fitted(
    rows: Rows, budgets: Sequence[int], learn: Callable[[Rows, Rows], Iterator[FloatArray]]
) -> tuple[FloatArray, list[tuple[float, float]]]:
    """Return a success a row, the mean over `budgets`, and the curve of mean successes from 0 on.

    `learn(taught, asked)` yields the successes on the rows asked before anything is learned, and then at each budget.
    """
    first, second = halves(rows)
    if not second:
        raise InputError(f"{len(rows)} {rows.name} rows of one fact cannot be cut into halves")
    found = np.zeros((1 + len(budgets), len(rows)))
    for taught, asked in ((first, second), (second, first)):
        for place, successes in enumerate(learn(rows.take(taught), rows.take(asked))):
            found[place, asked] = successes
    curve = list(zip((0.0, *map(float, budgets)), found.mean(1).tolist(), strict=True))
    return np.asarray(found[1:].mean(0), np.float64), curve


def cross_fitted_outcome(
    attack: str,
    evidence: Evidence,
    budgets: Sequence[int],
    learn: Callable[[Rows, Rows], Iterator[FloatArray]],
    *,
    with_items: bool,
    budget: str,
) -> Outcome:
    """Return the outcome of an attack cross-fitted on the forget rows, and its curve; `with_items` attacks the holdout rows too."""
    curves: dict[str, list[tuple[float, float]]] = {}

    def attempt(split: str) -> FloatArray:
        found, curves[split] = cross_fitted(evidence.rows[split], budgets, learn)
        return found

    return success_outcome(
        attack, evidence, attempt, with_items=with_items, budget=budget, curve=lambda: curves["forget"]
    )


def check_budgets(budgets: Sequence[int]) -> None:
    """Refuse budgets that are not rising numbers of steps."""
    if not budgets or list(budgets) != sorted(set(budgets)) or budgets[0] < 1:
        raise ValueError(f"budgets must be rising numbers of steps, not {budgets}")


def turns(rows: Rows, seed: int, batch_size: int) -> Iterator[Rows]:
    """Yield rows in batches without end, each epoch in an order of its own, keyed on the seed and row ids."""
    for epoch in count():
        yield from (rows.take(part) for part in cut(ordered(rows, seed, epoch), batch_size))
