"""`forget`: from a model directory and rows to weights, a record and a certificate at the claim a quick check supports."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from expunge.certificate.issue import issue
from expunge.certificate.keys import keygen, load_private_key
from expunge.contract.apply import check_fits, locate, unlearn
from expunge.contract.job import Job
from expunge.contract.registry import find
from expunge.contract.splits import Splits
from expunge.facts.digest import read_json
from expunge.facts.recipe import Recipe
from expunge.facts.record import MethodFacts, Record
from expunge.facts.rows import Rows
from expunge.pipeline.battery import check_battery
from expunge.pipeline.cache import RequestCache
from expunge.pipeline.loading import Placement, check_directory
from expunge.pipeline.processes import from_lead, new_directory_of_lead, save_by_lead, shared
from expunge.pipeline.progress import Bars
from expunge.pipeline.ready import check_out, check_rows, check_scope
from expunge.pipeline.subjects import Subject
from expunge.pipeline.verify import Settings, verify
from expunge.store import chain
from expunge.store.names import safe_name
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

    def create(self) -> tuple[Any, Any]:
        """Return the method and the locator (or None); unknown names, settings and scopes are errors naming the nearest."""
        listing = find("method", self.method)
        check_scope(listing, self.scope)
        located = find("locator", self.locator).create(self.locator_settings) if self.locator is not None else None
        return listing.create(self.settings), located


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


def request_name(store: Store, rows: Rows) -> str:
    """Return the name under which the store knows these rows, else a new random one.

    A name made from the rows would be a hash of them: short texts can be guessed, and it would outlive the salt.
    """
    for row in chain.rows(store.connection, "WHERE kind = 'request'"):
        known = store.recommit(row.request, rows)
        if known is not None and known.combined == read_json(store.objects.get(row.object))["combined"]:
            return row.request
    return f"request-{secrets.token_hex(6)}"


def forget(
    model: Path,
    splits: Splits,
    removal: Removal,
    out: Path,
    *,
    store: Path,
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
    written. Bad input is refused before the store is opened, and what needs no model before one is loaded.
    """
    unit, locator = removal.create()
    settings = settings or Settings(level="quick", seed=removal.seed)
    check_out(out)
    check_battery(settings.level, settings.attacks, settings.metrics)
    for directory in (model, *retrained):
        check_directory(directory)
    if request:
        safe_name(request, "request")
    signer = load_private_key(key) if key is not None else None
    placement, progress = placement or Placement(), progress or Bars()
    target = Subject.at(model, "target", "target", placement)
    controls = [Subject.at(path, f"retrained-{i}", "retrained", placement) for i, path in enumerate(retrained)]
    loaded = target.open()
    for chosen in (unit, locator) if locator is not None else (unit,):
        check_fits(chosen, loaded, splits, Job(recipe=removal.recipe))
    check_scope(find("method", removal.method), removal.scope, loaded)
    check_rows(splits.rows, loaded.modality, lambda: loaded)
    rows = splits.rows["forget"]
    with Store.open(store) as opened:
        signer = signer or load_private_key(from_lead(lambda: signing_key(opened, None)))
        request = request or from_lead(lambda: request_name(opened, rows))
        commitment = from_lead(lambda: opened.open_request(request, rows, kind=kind))
        cache = shared(RequestCache(opened.cache, request))
        facts = {"id": request, "kind": kind, "commitment": commitment.combined}
        common: dict[str, Any] = {"request": facts, "settings": settings, "cache": cache, "progress": progress}
        with new_directory_of_lead(out) as partial:
            untouched = MethodFacts(name="none", seed=removal.seed)
            found = verify([replace(target, open=lambda: loaded), *controls], splits, method=untouched, **common)
            if found.claim is not None and found.claim.not_found:
                record, child, changed = found, model, False
            else:
                job = Job(seed=removal.seed, progress=progress, recipe=removal.recipe, cache=cache)
                if locator is not None:
                    job.mask = locate(locator, loaded, splits, job=Job(seed=removal.seed, progress=progress))
                progress.stage = removal.method
                unlearned, method = unlearn(unit, loaded, splits, job=job, scope=removal.scope, consume=True)
                method = method.model_copy(
                    update={"locator": removal.locator, "locator_settings": dict(removal.locator_settings)}
                )
                child, changed = partial / MODEL, True
                save_by_lead(unlearned, child)
                subjects = [target, *controls, Subject.at(child, "unlearned", "unlearned", placement)]
                record = verify(subjects, splits, method=method, **common)
                seconds = {"removal (s)": float(job.notes.get("seconds", 0.0))}
                record = record.model_copy(update={"cost": {**record.cost, **seconds}})

            def write() -> None:
                (partial / RECORD).write_bytes(record.to_json())
                certificate = issue(record, signer, child, forget=rows, target_dir=model, ledger_head=opened.head())
                (partial / CERTIFICATE).write_bytes(certificate)
                opened.append("record", record.to_json(), request=request)
                opened.append("certificate", certificate, request=request)

            from_lead(write)
    return Removed(record, out, changed)
