"""The RWKU protocol: names that are there, sizes in the plan, and the ruler on a small run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import protocols
import pytest

from expunge.benchmarks.rwku import RwkuBenchmark
from expunge.contract.registry import find
from expunge.facts.errors import InputError
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark
from expunge.pipeline.columns import value_of
from expunge.pipeline.run import run_plan
from expunge.statistics.rwku import ADVERSARIAL
from expunge.store.store import Store


def test_protocol_names_units_that_are_there(tmp_path: Path) -> None:
    """Fails if a unit of the protocol is misspelt, one of nine kinds or four attacks has no column, or a missing folder is let pass."""
    protocol = RwkuBenchmark().run(None)
    check_benchmark(protocol)
    for method in protocol.methods:
        find("method", method)
    shown = {column.rpartition("/")[2] for column in protocol.columns}
    assert set(ADVERSARIAL) <= shown
    assert sum(column.endswith(":auc") for column in protocol.columns) == 4
    with pytest.raises(InputError, match="there is no folder"):
        RwkuBenchmark().run(tmp_path / "nowhere")


def test_sizes_reach_the_source(tmp_path: Path) -> None:
    """Fails if a size, the seed or the folder is dropped on the way, or the source refuses what the protocol gives it."""
    made = RwkuBenchmark(people=20, forget_people=2, relations=5, seed=7, width=64).run(None)
    given = dict(made.settings["source"])
    assert "data" not in given
    source = find("source", "rwku").create(given)
    rows = source.run()
    assert len(rows["forget/probes"]) == 2 * 5 * 11
    assert len({row.group for row in rows["holdout"]}) == 2
    assert (source.people, source.seed, made.settings["model"]["num_attention_heads"]) == (20, 7, 2)
    real = RwkuBenchmark().run(tmp_path)
    assert real.settings["source"]["data"] == str(tmp_path)
    assert "rwku_neighbour:distant" not in real.columns
    assert benchmark_plan("rwku", made, ["npo"], seeds=(0,), retrained=(101,)).digest()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_ruler_by_kind_of_probe(tmp_path: Path) -> None:
    """The target reads frames on people it was not trained on in them; models that never saw these people do not.

    Fails if forget people are not learnt, if frames do not carry over to them, if a retrained model was trained on them, or if probes show
    what they ask for. Reverse queries and examples in context are not asked for: the target does not read them (docs/results/rwku.md).
    """
    protocol = RwkuBenchmark(people=28, forget_people=3, relations=6, seed=5).run(None)
    settings = {**protocol.settings, "retain_rows": 20}
    small = replace(protocol, settings=settings, attacks=("min_k",), columns=())
    plan = benchmark_plan("rwku", small, ["grad_diff"], seeds=(0,), retrained=(101,))
    with Store.open(tmp_path / "store") as store:
        nothing = run_plan(plan, store, run_id="one", base=tmp_path)[0]

    def read(model: str, part: str) -> float:
        found = value_of(nothing, model, f"rwku_forget:forget/probes/{part}")
        assert found is not None
        return found

    for level in ("level_1", "level_2"):
        assert read("target", level) >= 0.95
        assert read("retrained-0", level) <= 0.2
    for kind in ("prefix_injection", "affirmative_suffix", "role_playing", "synonym_manipulation", "background_hint"):
        assert read("target", kind) >= read("retrained-0", kind) + 0.5, kind
    for ability in ("reasoning", "truthfulness", "factuality"):
        assert (value_of(nothing, "retrained-0", f"rwku_utility:test/{ability}") or 0) >= 0.9
    assert (value_of(nothing, "target", "rwku_neighbour:neighbour") or 0) >= 0.95


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_what_is_left_is_left_in_all_frames_and_neighbours_pay_in_no_fixed_way() -> None:
    """The claim does not hold in a model of 0.5M parameters. Three draws of people; the share of facts said.

    Of questions .98 are answered by the target and .15, .04 and .22 after ascent, gradient difference and RMU. Of the three frames that the
    claim names none says more: blanks .02, .00, .02 more, prefix injection .00, .00, -.02; reverse queries are not read by the target.
    Neighbours lose .13 [-.28, .53] to ascent.
    Fails if a frame is not read by the target, or a removal leaves the answers.
    """
    found = protocols.rwku()
    assert found.over("target", "rwku_forget:forget/probes/level_2").estimate > 0.9
    for method in ("ascent", "grad_diff", "rmu"):
        assert found.over(method, "rwku_forget:forget/probes/level_2", less="target").high < -0.5
        for kind in ("fill_in_the_blank", "reverse_query", "prefix_injection"):
            more = found.over(method, f"rwku_forget:forget/probes/{kind}", than="rwku_forget:forget/probes/level_2")
            assert more.low < 0.05
    assert found.over("ascent", "rwku_neighbour:neighbour", less="target").estimate < 0
