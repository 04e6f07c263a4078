"""The MUSE protocol: names that are there, the forget size in the plan, and a small run with a second request behind it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import protocols
import pytest
from made_books import books

from expunge.benchmarks.muse import MuseBenchmark
from expunge.facts.errors import InputError
from expunge.facts.record import Record
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark, table
from expunge.pipeline.columns import value_of
from expunge.pipeline.plan import Plan, check_plan
from expunge.pipeline.run import run_plan
from expunge.store.store import Store


def test_protocol_names_units_that_are_there(tmp_path: Path) -> None:
    """Fails if a metric or attack of the protocol is misspelt, or a column names a metric that is not run."""
    check_benchmark(MuseBenchmark().run(tmp_path))
    later = MuseBenchmark(parts=2, first=2).run(tmp_path)
    check_benchmark(later)
    assert len(later.columns) == len(MuseBenchmark().run(tmp_path).columns) + 1
    with pytest.raises(InputError, match="there is no"):
        MuseBenchmark().run(tmp_path / "nowhere")
    with pytest.raises(InputError, match="there is no"):
        MuseBenchmark().run(None)


def test_sizes_reach_the_plan(tmp_path: Path) -> None:
    """Fails if the forget size, the parts or the model's width are dropped on the way, so that scaling compares equal runs."""
    plans = [
        benchmark_plan(
            "muse",
            MuseBenchmark(parts=4, forget_size=size, width=64).run(tmp_path),
            ["npo"],
            seeds=(0,),
            retrained=(101, 102),
        )
        for size in (1, 2, 4)
    ]
    assert [plan.request.settings["forget_size"] for plan in plans] == [1, 2, 4]
    assert {plan.request.settings["parts"] for plan in plans} == {4}
    assert {(plan.model.settings["hidden_size"], plan.model.settings["num_attention_heads"]) for plan in plans} == {
        (64, 2)
    }
    assert len({plan.digest() for plan in plans}) == 3


def small(data: Path, first: int) -> Plan:
    """One of the two parts of a book a request, 6 passages of 24 words each."""
    protocol = MuseBenchmark(
        book="alpha", passages=6, words=24, parts=2, first=first, retain_passages=8, width=64, epochs=60, lr=8e-3
    ).run(data)
    model = {**protocol.settings["model"], "vocabulary": 512}
    settings = {**protocol.settings, "model": model, "max_new_tokens": 64}
    chosen = replace(
        protocol, settings=settings, attacks=("direct_question", "min_k"), columns=("muse_verbmem:forget",)
    )
    return benchmark_plan("muse", chosen, ["ascent"], seeds=(0,), retrained=(101, 102))


def cells(record: Record, column: str) -> dict[str, float | None]:
    return {model.name: value_of(record, model.name, column) for model in record.models}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_requests_one_after_the_other(tmp_path: Path) -> None:
    """The target knows what the retrained models do not, and a second request starts from the first one's model.

    Fails if forget passages are not learnt or retrained models are trained on them, if PrivLeak of the target is not near -100, if the second request's
    target is trained anew (of the first part it knows to the last digit what the first removal left), or its retrained models know that part.
    """
    data = books(tmp_path)
    first = small(data, 1)
    with Store.open(tmp_path / "store") as store:
        records = run_plan(first, store, run_id="one", base=tmp_path)
        nothing, _, removed = records
        verbatim = cells(nothing, "muse_verbmem:forget")
        assert (verbatim["target"] or 0) > 0.9
        assert max(verbatim[name] or 0 for name in ("retrained-0", "retrained-1", "untrained")) < 0.4
        assert (cells(nothing, "muse_privleak:forget")["target"] or 0) < -90
        assert (cells(nothing, "muse_knowmem:test")["retrained-0"] or 0) > 0.5
        kept = cells(removed, "muse_verbmem:forget")["unlearned"]
        assert kept != verbatim["target"]
        assert len(table(records, ["muse_verbmem:forget"])) == 1 + 4 + 3
        left = tmp_path / "store" / "runs" / "one" / "pieces" / "unlearned-ascent-0"
        raw = small(data, 2).plain()
        raw["model"], raw["request"]["id"] = {"directory": str(left)}, "second"
        later = run_plan(check_plan(raw), store, run_id="two", base=tmp_path)[0]
    assert cells(later, "muse_verbmem:forget/earlier")["target"] == pytest.approx(kept, abs=1e-6)
    assert max(cells(later, "muse_verbmem:forget/earlier")[name] or 0 for name in ("retrained-0", "retrained-1")) < 0.4


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_memory_falls_privleak_stays_far_from_0_and_utility_stays() -> None:
    """Half of the claim holds on made-up books. Three draws; memory of passages .92 in the target, .58, .14 and .07 after ascent, gradient
    difference and NPO (retrained .03), PrivLeak -100 after each of them. Utility, .92 in the target, is not lost: -.06 [-.33, .21], .02, .02.

    How utility falls with larger and further requests is in docs/results/muse.md, on one seed, and is not asked.
    Fails if passages are not learnt, or a removal leaves them.
    """
    found = protocols.muse()
    for method in ("ascent", "grad_diff", "npo"):
        assert found.over(method, "muse_verbmem:forget", less="target").high < 0
        assert abs(found.over(method, "muse_privleak:forget").estimate) > 20
        assert found.over(method, "muse_knowmem:test", less="target").high > 0
