"""The RESTOR protocol: names that are there, and a small run in which documents corrupt what a base model knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import protocols
import pytest

from expunge.benchmarks.restor import RestorBenchmark
from expunge.facts.errors import InputError
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark, table
from expunge.pipeline.columns import value_of
from expunge.pipeline.run import run_plan
from expunge.store.store import Store


def test_protocol_names_units_that_are_there(tmp_path: Path) -> None:
    """Fails if a unit is misspelt, a folder that is not there is found out late, or real files are asked for false values they have not."""
    made, real = RestorBenchmark().run(None), RestorBenchmark().run(tmp_path)
    for protocol in (made, real):
        check_benchmark(protocol)
    assert set(made.columns) - set(real.columns) == {"restor_recovery:forget/facts/false"}
    with pytest.raises(InputError, match="there is no folder"):
        RestorBenchmark().run(tmp_path / "nowhere")


def test_both_recipes_and_the_sizes_reach_the_plan() -> None:
    """Fails if the base model would be trained by the recipe of the documents, or level and documents are dropped."""
    protocol = RestorBenchmark(documents=5, level=2, base_epochs=7, epochs=3, lr=1e-4, seed=7).run(None)
    plan = benchmark_plan("restor", protocol, ["npo"], seeds=(0,), retrained=(101,))
    assert plan.recipe is not None
    assert plan.base_recipe is not None
    assert (plan.recipe.epochs, plan.recipe.lr, plan.recipe.stop_loss) == (3, 1e-4, None)
    assert (plan.base_recipe.epochs, plan.base_recipe.lr, plan.base_recipe.stop_loss) == (7, 4e-3, 0.02)
    assert [plan.request.settings[name] for name in ("documents", "level", "seed")] == [5, 2, 7]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_documents_corrupt_what_the_base_model_knows(tmp_path: Path) -> None:
    """The base model says the true facts, the target the false ones, the retrained models the true ones.

    Fails if target or retrained models do not start from the base model, or documents do not corrupt.
    """
    protocol = RestorBenchmark(corrupted=4, held_out=2, others=12, documents=12).run(None)
    small = replace(protocol, attacks=("direct_question",), columns=("restor_recovery:forget/facts",))
    plan = benchmark_plan("restor", small, ["ascent"], seeds=(0,), retrained=(101, 102))
    with Store.open(tmp_path / "store") as store:
        records = run_plan(plan, store, run_id="r", base=tmp_path)
    nothing = records[0]

    def share(model: str, part: str = "") -> float:
        found = value_of(nothing, model, f"restor_recovery:forget/facts{part}")
        assert found is not None
        return found

    assert share("base") > 0.8
    assert min(share("retrained-0"), share("retrained-1")) > 0.7
    assert share("target") < 0.4
    assert share("target", "/false") > 0.4
    assert share("base", "/false") < 0.1
    assert value_of(nothing, "unlearned", "restor_recovery:forget/facts/recovered") == 0
    assert [row[0] for row in table(records, protocol.columns)][1:6] == [
        "target", "retrained-0", "retrained-1", "base", "untrained",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_ascent_ends_the_false_facts_and_neither_restores_the_true_ones() -> None:
    """Half of the claim holds in such a model. Three draws of people: the target says .50 of the false facts, ascent leaves .05 and NPO .03.
    Neither restores a true one: -.03 [-.09, .04] and -.03 of what was lost, where the paper has NPO restore a good part.

    Fails if the documents do not corrupt, or a removal leaves them.
    """
    found, read = protocols.restor(), "restor_recovery:forget/facts"
    assert found.over("target", f"{read}/false").low > 0.2
    assert found.over("ascent", f"{read}/false").estimate < 0.1
    assert found.over("ascent", f"{read}/recovered").high < 0.1
    assert found.over("npo", f"{read}/recovered").high < 0.3
