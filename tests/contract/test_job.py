"""What a job hands a unit."""

from __future__ import annotations

from expunge.contract.job import Job


def test_new_weights_are_drawn_under_a_seed_of_their_own() -> None:
    """Fails if a method's seed is the seed of what it draws (a target trained under it began with those weights), or two seeds share one."""
    seeds = [Job(seed=seed).fresh_seed for seed in range(1000)]
    assert len(set(seeds)) == 1000
    assert min(seeds) >= 2**31
    assert max(seeds) < 2**32
    assert Job(seed=7).fresh_seed == Job(seed=7).fresh_seed
