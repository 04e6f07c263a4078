"""What a job hands a unit."""

from __future__ import annotations

from expunge.contract.job import Job, Remembering


def test_new_weights_are_drawn_under_a_seed_of_their_own() -> None:
    """Fails if a method's seed is the seed of what it draws (a target trained under it began with those weights), or two seeds share one."""
    seeds = [Job(seed=seed).fresh_seed for seed in range(1000)]
    assert len(set(seeds)) == 1000
    assert min(seeds) >= 2**31
    assert max(seeds) < 2**32
    assert Job(seed=7).fresh_seed == Job(seed=7).fresh_seed


def test_work_that_was_found_is_named() -> None:
    """Fails if work on other facts is taken for it, or a run that found work does not say so (its seconds leave that work out)."""
    cache = Remembering()
    first, later, other = (Job(cache=cache) for _ in range(3))
    key, found = first.kept("importance of all rows", "kind", "rows")
    assert found is None
    cache.put(key, b"1")
    assert later.kept("importance of all rows", "kind", "rows") == (key, b"1")
    assert other.kept("importance of all rows", "kind", "other rows")[1] is None
    assert other.kept("logits", "kind", "rows")[1] is None
    assert [job.notes for job in (first, later, other)] == [{}, {"found_kept": ["importance of all rows"]}, {}]
