"""The Python interface, with the same names as the command: forget, verify, attack, units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expunge.facts.record import MethodFacts, Outcome, Record
from expunge.facts.rows import Row, Rows

if TYPE_CHECKING:
    from expunge.contract.registry import Listing
    from expunge.contract.splits import Splits
    from expunge.pipeline.loading import Placement
    from expunge.pipeline.progress import Bars

DEFAULT_STORE = Path(".expunge")
Given = Path | str | Iterable[Mapping[str, Any]]
"""Rows as a file (JSONL, CSV, Parquet, npz) or as dictionaries with prompt/question and answer, or with features (image) and label."""


def _rows(given: Given | None, name: str, mapping: Mapping[str, str] | None) -> Rows | None:
    from expunge.sources.records import read_rows, rows_of

    if given is None:
        return None
    if isinstance(given, (str, Path)):
        return read_rows(Path(given), dict(mapping or {}), name)
    return rows_of(list(given), dict(mapping or {}), name)


def _splits(
    forget: Given, retain: Given | None, holdout: Given | None, test: Given | None, mapping: Mapping[str, str] | None
) -> Splits:
    from expunge.contract.splits import Splits

    first = _rows(forget, "forget", mapping)
    assert first is not None
    return Splits.of(
        forget=first,
        retain=_rows(retain, "retain", mapping),
        holdout=_rows(holdout, "holdout", mapping),
        test=_rows(test, "test", mapping),
    )


def forget(
    model: Path | str,
    *,
    forget: Given,
    out: Path | str,
    method: str = "npo",
    retain: Given | None = None,
    holdout: Given | None = None,
    test: Given | None = None,
    mapping: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    scope: str = "full",
    locator: str | None = None,
    retrained: Sequence[Path | str] = (),
    battery: str = "quick",
    seed: int = 0,
    placement: Placement | None = None,
    store: Path | str = DEFAULT_STORE,
    key: Path | str | None = None,
) -> Record:
    """Remove rows from a model directory; write `out`/model, record.json and certificate.json, and return the record."""
    from expunge.pipeline.progress import Bars
    from expunge.pipeline.remove import Removal
    from expunge.pipeline.remove import forget as remove
    from expunge.pipeline.verify import Settings

    return remove(
        Path(model),
        _splits(forget, retain, holdout, test, mapping),
        Removal(method, settings or {}, scope, locator, seed=seed),
        Path(out),
        store=Path(store),
        retrained=[Path(path) for path in retrained],
        settings=Settings(level=battery, seed=seed),
        placement=placement,
        key=Path(key) if key else None,
        progress=Bars(quiet=True),
    ).record


def verify(
    *,
    target: Path | str,
    unlearned: Path | str,
    splits: Splits | None = None,
    forget: Given | None = None,
    retain: Given | None = None,
    holdout: Given | None = None,
    test: Given | None = None,
    mapping: Mapping[str, str] | None = None,
    retrained: Sequence[Path | str] = (),
    control: Sequence[Path | str] = (),
    battery: str = "standard",
    attacks: Sequence[str] | None = None,
    max_new_tokens: int = 64,
    seed: int = 0,
    placement: Placement | None = None,
    store: Path | str = DEFAULT_STORE,
    progress: Bars | None = None,
) -> Record:
    """Measure and attack an unlearned model beside its controls and return the record with its claim."""
    from expunge.facts.errors import InputError
    from expunge.pipeline.battery import check_battery
    from expunge.pipeline.cache import RequestCache
    from expunge.pipeline.loading import check_directory, load_model
    from expunge.pipeline.processes import from_lead
    from expunge.pipeline.ready import check_rows
    from expunge.pipeline.remove import request_name
    from expunge.pipeline.subjects import Subject
    from expunge.pipeline.verify import Settings
    from expunge.pipeline.verify import verify as run
    from expunge.store.store import Store

    if splits is None:
        if forget is None:
            raise InputError("verify needs forget rows", do="give forget=...")
        splits = _splits(forget, retain, holdout, test, mapping)
    check_battery(battery, attacks)
    kinds = [check_directory(Path(directory)) for directory in (target, unlearned, *retrained, *control)]
    check_rows(splits.rows, kinds[0], lambda: load_model(Path(target), placement))
    subjects = [Subject.at(Path(target), "target", "target", placement)]
    subjects += [Subject.at(Path(path), f"retrained-{i}", "retrained", placement) for i, path in enumerate(retrained)]
    subjects += [Subject.at(Path(path), f"control-{i}", "never_trained", placement) for i, path in enumerate(control)]
    subjects.append(Subject.at(Path(unlearned), "unlearned", "unlearned", placement))
    rows = splits.rows["forget"]
    with Store.open(Path(store)) as opened:
        request = from_lead(lambda: request_name(opened, rows))
        commitment = from_lead(lambda: opened.open_request(request, rows))
        record = run(
            subjects,
            splits,
            method=MethodFacts(name="unknown", seed=seed),
            request={"id": request, "kind": "data", "commitment": commitment.combined},
            settings=Settings(
                level=battery,
                attacks=tuple(attacks) if attacks is not None else None,
                max_new_tokens=max_new_tokens,
                seed=seed,
            ),
            cache=RequestCache(opened.cache, request),
            progress=progress,
        )
        from_lead(lambda: opened.append("record", record.to_json(), request=request))
    return record


def attack(*, unlearned: Path | str, target: Path | str | None = None, **given: Any) -> tuple[Outcome, ...]:
    """Run a battery on a model and its controls (arguments as in `verify`) and return every outcome."""
    return verify(target=target or unlearned, unlearned=unlearned, **given).outcomes


def units(kind: str) -> Mapping[str, Listing]:
    """Return every unit of a kind (source, locator, method, guard, metric, attack, benchmark) by name."""
    from expunge.contract.registry import units as found

    return found(kind)


__all__ = ["Row", "attack", "forget", "units", "verify"]
