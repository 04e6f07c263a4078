"""Hubble in miniature: names that are there, and a small run in which memorisation rises with copies and fades with time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import protocols
import pytest

from expunge.benchmarks.hubble import HubbleBenchmark
from expunge.facts.errors import InputError
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark
from expunge.pipeline.columns import value_of
from expunge.pipeline.run import run_plan
from expunge.store.store import Store


def test_protocol_names_units_that_are_there(tmp_path: Path) -> None:
    """Fails if a unit is misspelt, or a file that is not there is found out late."""
    check_benchmark(HubbleBenchmark().run(None))
    with pytest.raises(InputError, match="there is no"):
        HubbleBenchmark().run(tmp_path / "nowhere")


def test_phases_and_sizes_reach_the_plan() -> None:
    """Fails if the second phase has the first's rate, a phase has more than one pass, or the corpus is dropped."""
    protocol = HubbleBenchmark(corpus=800, lr=3e-3, late_lr=1e-4, batch_size=8, seed=4).run(None)
    plan = benchmark_plan("hubble", protocol, ["npo"], seeds=(0,), retrained=(101,))
    assert plan.recipe is not None
    assert plan.base_recipe is not None
    assert (plan.base_recipe.lr, plan.recipe.lr) == (3e-3, 1e-4)
    assert {(one.epochs, one.batch_size, one.stop_loss) for one in (plan.recipe, plan.base_recipe)} == {(1, 8, None)}
    assert (plan.request.settings["corpus"], plan.request.settings["seed"]) == (800, 4)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memorisation_rises_with_copies_and_fades(tmp_path: Path) -> None:
    """On seed 1: late x64 above x4 above chance; retrained models at chance; early x64 remembered at the end of its phase and less after the next.

    Fails if copies are read once, late statements reach the retrained models, or early ones are read in the second phase.
    """
    protocol = HubbleBenchmark(corpus=800, seed=1).run(None)
    small = replace(protocol, attacks=("direct_question",))
    plan = benchmark_plan("hubble", small, ["ascent"], seeds=(0,), retrained=(101,))
    with Store.open(tmp_path / "store") as store:
        nothing = run_plan(plan, store, run_id="r", base=tmp_path)[0]

    def bits(model: str, part: str) -> float:
        found = value_of(nothing, model, f"exposure:ledger/{part}")
        assert found is not None
        return found

    assert bits("target", "late x64") > 4.5
    assert bits("target", "late x64") > bits("target", "late x1") + 2
    assert bits("retrained-0", "late x64") < 2.5
    assert bits("target", "never x0") < 2.5
    assert bits("base", "early x64") > 3.5
    assert bits("target", "early x64") < bits("base", "early x64")
    known = value_of(nothing, "target", "hubble_membership:late/x64/loss")
    assert known is not None
    assert known > 0.95


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_memorisation_rises_with_copies_and_what_was_early_fades() -> None:
    """Three draws of statements, a corpus of 800 rows; bits of exposure (5 at most, 1.3 by chance). Late statements
    in one copy 2.0, in four 3.4, sixteen 4.8, in 64 5.0; what was early in 64 copies falls from 5.0 at the end of its phase to 2.0 [.7, 3.3].

    That it falls with the corpus, and that exact repeats fade faster, did not show on one seed (docs/results/hubble.md), and is not asked.
    Fails if copies are read once, or early statements in the second phase.
    """
    found, read = protocols.hubble(), "exposure:ledger/"
    assert found.over("target", f"{read}late x64", than=f"{read}late x1").low > 2
    for more, fewer in ((4, 1), (16, 4), (64, 16)):
        assert found.over("target", f"{read}late x{more}", than=f"{read}late x{fewer}").estimate > 0
    found.over("target", f"{read}early x64")
    assert found.over("target", f"{read}early x64", less="base").high < 0
    assert found.over("target", f"{read}early x64", than=f"{read}late x64").high < 0
    assert found.over("target", f"{read}never x0").high < 2.5
