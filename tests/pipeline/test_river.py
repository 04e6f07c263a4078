"""The river of a plan, interrupted at named moments: between a piece and its evidence, and between weights and facts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tiny_directory import write_plan

from expunge.facts.digest import canonical_json, read_json
from expunge.methods import retrain
from expunge.pipeline import river as module
from expunge.pipeline.plan import read_plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.run import certify_run, run_plan
from expunge.store.ledger import show
from expunge.store.run import Run
from expunge.store.store import Store

SHORT = """
[request]
source = "records"
settings = { forget = "forget.jsonl", retain = "retain.jsonl", holdout = "holdout.jsonl" }
[model]
architecture = "llama"
settings = { hidden_size = 16, intermediate_size = 16, num_hidden_layers = 1, num_attention_heads = 1, max_position_embeddings = 96, vocabulary = 300 }
[recipe]
epochs = 1
[[method]]
name = "ascent"
settings = { epochs = 1 }
[verify]
attacks = ["loss"]
metrics = ["probability"]
retain_rows = 4
[seeds]
retrained = [101]
"""


class Stopped(Exception):
    """Stands for a kill at a chosen moment."""


def run(plan: Path) -> tuple[list[Any], Counter[str]]:
    """Run to the end and return the records and how often each kind of evidence was chained, by label of a record."""
    checked = read_plan(plan)
    with Store.open(plan.parent / "store") as store:
        records = run_plan(checked, store, run_id="r", base=plan.parent, progress=Bars(quiet=True))
        certify_run(checked, store, "r", records, base=plan.parent)
        assert store.verify_chain() > 0
        return records, Counter(row.kind for row, _ in show(store, "r"))


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    return write_plan(tmp_path / "broken", SHORT)


@pytest.mark.parametrize("kind", ["record", "certificate"])
def test_evidence_is_made_up_for_once(plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Fails if a piece finished just before a kill is never chained, or one chained just before it is chained again."""
    real = Store.append

    def stopping(self: Store, what: str, data: bytes, **given: Any) -> Any:
        if what == kind:
            raise Stopped
        return real(self, what, data, **given)

    monkeypatch.setattr(Store, "append", stopping)
    with pytest.raises(Stopped):
        run(plan)
    monkeypatch.undo()

    def after(self: Store, what: str, data: bytes, **given: Any) -> Any:
        row = real(self, what, data, **given)
        if what == kind:
            raise Stopped
        return row

    monkeypatch.setattr(Store, "append", after)
    with pytest.raises(Stopped):
        run(plan)
    monkeypatch.undo()
    records, kinds = run(plan)
    assert kinds == {"run": 1, "record": 2, "certificate": 1}
    whole, _ = run(write_plan(tmp_path / "whole", SHORT))
    assert [record.canonical() for record in records] == [record.canonical() for record in whole]


@pytest.mark.parametrize(
    "piece", ["target", "unlearned-ascent-0", "seconds-unlearned-ascent-0", "facts-unlearned-ascent-0"]
)
def test_a_piece_that_was_not_finished_is_made_again(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: str
) -> None:
    """Fails if weights without their facts, or a directory without its mark, count as done: the records equal an unbroken run's."""
    import expunge.store.run as store_run

    real = store_run.write_atomic

    def stopping(path: Path, data: bytes, **given: Any) -> None:
        if path.parent.name == "finished" and path.name == piece:
            raise Stopped
        real(path, data, **given)

    monkeypatch.setattr(store_run, "write_atomic", stopping)
    with pytest.raises(Stopped):
        run(plan)
    monkeypatch.undo()
    assert not Run(id="r", request="request", folder=plan.parent / "store" / "runs" / "r").has(piece)
    records, kinds = run(plan)
    assert kinds == {"run": 1, "record": 2, "certificate": 1}
    whole, _ = run(write_plan(tmp_path / "whole", SHORT))
    assert [record.canonical() for record in records] == [record.canonical() for record in whole]
    assert records[-1].cost["removal (s)"] > 0


def trained(plan: Path, run_id: str, patch: pytest.MonkeyPatch) -> tuple[list[str], dict[str, str], float]:
    """Run a plan and return what was trained, the digests of its models, and the seconds its target took."""
    seen: list[str] = []
    real = module.fit

    def note(*given: Any, **more: Any) -> Any:
        seen.append(more.get("label", "training"))
        return real(*given, **more)

    with patch.context() as one, Store.open(plan.parent / "store") as store:
        one.setattr(module, "fit", note)
        one.setattr(retrain, "fit", note)
        checked = read_plan(plan)
        (record, *_) = run_plan(checked, store, run_id=run_id, base=plan.parent, progress=Bars(quiet=True))
        with store.run(run_id, checked.request.id, plan=canonical_json(checked.plain())) as run:
            spent = float(read_json(run.piece("seconds-target"))) if run.has("seconds-target") else 0.0
    return seen, {model.name: model.content_digest for model in record.models}, spent


def test_models_are_trained_once_for_every_plan_that_shares_them(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another method over the same models trains none of them again; another recipe, or a purged store, does.

    Fails if the methods decide the key, if the recipe does not, or if a model that was taken over is said to have cost seconds here.
    """
    seen, first, spent = trained(plan, "a", monkeypatch)
    assert seen == ["training", "retraining"]
    assert spent > 0
    plan.write_text(SHORT.replace('"ascent"', '"finetune"'))
    seen, second, spent = trained(plan, "b", monkeypatch)
    assert (seen, second, spent) == ([], first, 0.0)
    plan.write_text(SHORT.replace("epochs = 1\n[[", "epochs = 2\n[["))
    seen, third, _ = trained(plan, "c", monkeypatch)
    assert seen == ["training", "retraining"]
    assert third["target"] != first["target"]
    with Store.open(plan.parent / "store") as store:
        store.cache.purge(all=True)
    plan.write_text(SHORT.replace('"ascent"', '"grad_diff"'))
    seen, fourth, _ = trained(plan, "d", monkeypatch)
    assert (seen, fourth) == (["training", "retraining"], first)
