"""Each thing of each model is computed once: the same question of the same weights is answered from the cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from meta_problems import people

from expunge.contract.job import Job
from expunge.facts.errors import InputError
from expunge.pipeline.cache import RequestCache
from expunge.pipeline.measure import Measurer, Wanted
from expunge.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count how often the engine is asked."""
    import expunge.pipeline.measure as measure

    calls = {"score": 0, "gradient_norms": 0}

    def counting(name: str) -> None:
        real = getattr(measure, name)

        def wrapped(*given: Any, **named: Any) -> Any:
            calls[name] += 1
            return real(*given, **named)

        monkeypatch.setattr(measure, name, wrapped)

    for name in calls:
        counting(name)
    return calls


def test_the_second_question_is_answered_from_the_cache(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if scores or norms are computed twice, if rows or weights are not part of the key, or if the cache changes a bit."""
    problem, calls = people(), counted(monkeypatch)
    measurer = Measurer(Job(), RequestCache(store.cache, "r"))
    forget, retain = problem.splits.rows["forget"], problem.splits.rows["retain"]
    first, again = measurer.score(problem.target, forget), measurer.score(problem.target.copy(), forget)
    assert calls["score"] == 1
    assert first.save() == again.save()
    measurer.score(problem.target, retain)
    measurer.score(problem.target, forget[:5])
    assert calls["score"] == 3
    other = problem.target.copy()
    next(other.module.parameters()).data += 1e-3
    moved = measurer.score(other, forget)
    assert calls["score"] == 4
    assert moved.save() != first.save()
    norms = measurer.norms(problem.target, forget)
    assert np.array_equal(norms, measurer.norms(problem.target, forget))
    assert calls["gradient_norms"] == 1
    assert measurer.generate(problem.target, forget, 4) == measurer.generate(problem.target, forget, 4)
    assert measurer.generate(problem.target, forget, 1) != measurer.generate(problem.target, forget, 4)


def test_a_new_version_computes_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if numbers of an older version are taken for this one's."""
    import expunge.pipeline.cache as cache

    kept = RequestCache(store.cache, "r")
    kept.put("0" * 64, b"old")
    assert kept.get("0" * 64) == b"old"
    monkeypatch.setattr(cache, "MADE_BY", "expunge 99")
    assert kept.get("0" * 64) is None


def test_a_purge_finds_what_a_request_left(store: Store) -> None:
    """Fails if entries are not tied to the request they were made for: another's stay."""
    problem = people()
    Measurer(Job(), RequestCache(store.cache, "mine")).generate(problem.target, problem.splits.rows["forget"], 4)
    other = Measurer(Job(), RequestCache(store.cache, "theirs"))
    other.generate(problem.target, problem.splits.rows["retain"], 4)
    size = store.cache.size()
    assert 0 < store.purge(request="mine") < size
    assert store.cache.size() > 0
    assert store.purge(request="mine") == 0


def test_only_what_was_asked_for_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if gradients are taken for a battery of metrics that read scores."""
    problem, calls = people(), counted(monkeypatch)
    rows = {"forget": problem.splits.rows["forget"]}
    found = Measurer(Job()).evidence(problem.target, Wanted(frozenset({"scores"}), rows), name="target", role="target")
    assert calls == {"score": 1, "gradient_norms": 0}
    assert set(found.scores) == {"forget"}
    assert found.generations == found.gradient_norms == {}


def test_a_model_that_does_not_generate_is_refused() -> None:
    """Fails if an attack that asks a classifier for words crashes instead of being unscored."""
    from meta_problems import clouds

    with pytest.raises(InputError, match="does not generate"):
        Measurer(Job()).generate(clouds().target, clouds().splits.rows["forget"], 4)
