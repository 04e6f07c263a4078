"""`forget`: from a model directory and rows to weights, a record and a certificate at the claim a quick check supports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from expunge.certificate.issue import issue
from expunge.certificate.keys import keygen, load_private_key
from expunge.contract.apply import locate, unlearn
from expunge.contract.job import Job
from expunge.contract.registry import find
from expunge.contract.splits import Splits
from expunge.facts.digest import sha256
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.record import MethodFacts, Record
from expunge.pipeline.cache import RequestCache
from expunge.pipeline.loading import Placement
from expunge.pipeline.progress import Bars
from expunge.pipeline.subjects import Subject
from expunge.pipeline.verify import Settings, verify
from expunge.store.atomic import new_directory, write_atomic
from expunge.store.store import Store

MODEL, RECORD, CERTIFICATE = "model", "record.json", "certificate.json"


@dataclass(frozen=True)
class Removal:
    """What to run: a method with its settings, scope, locator and seed."""

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    scope: str = "full"
    locator: str | None = None
    locator_settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    recipe: Recipe | None = None


@dataclass(frozen=True)
class Removed:
    """What `forget` left behind: the record, where it wrote, and whether the weights were changed."""

    record: Record
    directory: Path
    weights_changed: bool


def signing_key(store: Store, given: Path | None) -> Path:
    """Return the private key to sign with: the one given, else the store's own, made at its first use."""
    if given is not None:
        return given
    private = store.folder / "keys" / "issuer.pem"
    if not private.is_file():
        keygen(private, private.with_suffix(".pub"))
    return private


def forget(
    model: Path,
    splits: Splits,
    removal: Removal,
    out: Path,
    *,
    store: Store,
    retrained: Sequence[Path] = (),
    settings: Settings | None = None,
    placement: Placement | None = None,
    progress: Bars | None = None,
    key: Path | None = None,
    request: str = "",
    kind: str = "data",
) -> Removed:
    """Remove the forget rows from a model directory; write `out`/model, record.json and certificate.json, or nothing.

    A target that answers the forget rows no better than its control never knew them: the record says `not_found`, and no weights are
    written. What needs no model is refused before one is loaded.
    """
    unit = find("method", removal.method).create(removal.settings)
    if removal.locator is not None:
        find("locator", removal.locator).create(removal.locator_settings)
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} exists already and is not empty", do="name a new directory with --out")
    placement, progress = placement or Placement(), progress or Bars()
    settings = settings or Settings(level="quick", seed=removal.seed)
    signer = load_private_key(signing_key(store, key))
    rows = splits.rows["forget"]
    request = request or f"request-{sha256(rows.digest().encode())[:12]}"
    target = Subject.at(model, "target", "target", placement)
    controls = [Subject.at(path, f"retrained-{i}", "retrained", placement) for i, path in enumerate(retrained)]
    loaded = target.open()
    commitment = store.open_request(request, rows, kind=kind)
    cache = RequestCache(store.cache, request)
    facts = {"id": request, "kind": kind, "commitment": commitment.combined}
    common: dict[str, Any] = {"request": facts, "settings": settings, "cache": cache, "progress": progress}
    with new_directory(out) as partial:
        untouched = MethodFacts(name="none", seed=removal.seed)
        found = verify([replace(target, open=lambda: loaded), *controls], splits, method=untouched, **common)
        if found.claim is not None and found.claim.not_found:
            record, child, changed = found, model, False
        else:
            job = Job(seed=removal.seed, progress=progress, recipe=removal.recipe, cache=cache)
            if removal.locator is not None:
                locator = find("locator", removal.locator).create(removal.locator_settings)
                job.mask = locate(locator, loaded, splits, job=Job(seed=removal.seed, progress=progress))
            progress.stage = removal.method
            unlearned, method = unlearn(unit, loaded, splits, job=job, scope=removal.scope, consume=True)
            method = method.model_copy(
                update={"locator": removal.locator, "locator_settings": dict(removal.locator_settings)}
            )
            child, changed = partial / MODEL, True
            unlearned.save(child)
            subjects = [target, *controls, Subject.at(child, "unlearned", "unlearned", placement)]
            record = verify(subjects, splits, method=method, **common)
            record = record.model_copy(update={"cost": {**record.cost, "removal (s)": job.notes.get("seconds", 0.0)}})
        (partial / RECORD).write_bytes(record.to_json())
        certificate = issue(record, signer, child, forget=rows, target_dir=model, ledger_head=store.head())
        (partial / CERTIFICATE).write_bytes(certificate)
    store.append("record", record.to_json(), request=request)
    store.append("certificate", certificate, request=request)
    return Removed(record, out, changed)


def write_certificate(
    record: Record, child: Path, target: Path, splits: Splits, store: Store, path: Path, key: Path | None = None
) -> None:
    """Sign a record's certificate, keep it as evidence and write it to `path`."""
    signer = load_private_key(signing_key(store, key))
    data = issue(record, signer, child, forget=splits.rows["forget"], target_dir=target, ledger_head=store.head())
    write_atomic(path, data)
    store.append("certificate", data, request=str(record.request["id"]))
