"""Find units by walking folders and entry points; read their facts without importing them."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from expunge.contract.about import KINDS, About
from expunge.facts.errors import InputError, nearest

ENTRY_POINT_GROUP = "expunge.units"


@dataclass(frozen=True)
class Knob:
    """One setting of a unit: its name, annotation, default (as source) and docstring."""

    name: str
    annotation: str
    default: str
    doc: str


@dataclass(frozen=True)
class Listing:
    """A unit as found: enough for a table, a page and a check of settings, without importing it."""

    kind: str
    name: str
    class_name: str
    module: str
    path: Path
    about: About
    doc: str
    knobs: tuple[Knob, ...]

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return self.doc.strip().splitlines()[0]

    def load(self) -> type[Any]:
        """Import the unit's module and return its class."""
        unit: type[Any] = getattr(importlib.import_module(self.module), self.class_name)
        return unit

    def create(self, settings: Mapping[str, Any] | None = None) -> Any:
        """Return the unit with `settings` over its defaults; an unknown key is an error naming the nearest."""
        return build(self.load(), settings or {}, where=f"{self.kind} {self.name}")


def _knobs(body: list[ast.stmt]) -> tuple[Knob, ...]:
    found = []
    for here, after in zip(body, [*body[1:], None], strict=True):
        if not isinstance(here, ast.AnnAssign) or not isinstance(here.target, ast.Name):
            continue
        if "ClassVar" in ast.unparse(here.annotation):
            continue
        doc = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            doc = " ".join(after.value.value.split())
        default = ast.unparse(here.value) if here.value is not None else ""
        found.append(Knob(here.target.id, ast.unparse(here.annotation), default, doc))
    return tuple(found)


def _listing(kind: str, name: str, module: str, path: Path) -> Listing | None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for item in node.body:
            value = item.value if isinstance(item, (ast.Assign, ast.AnnAssign)) else None
            if isinstance(value, ast.Call) and getattr(value.func, "id", "") == "About":
                try:
                    arguments = {key.arg: ast.literal_eval(key.value) for key in value.keywords if key.arg}
                except ValueError as error:
                    raise InputError(f"{path}: About(...) takes literals only", do="write the values out") from error
                doc = ast.get_docstring(node) or ""
                return Listing(kind, name, node.name, module, path, About(**arguments), doc, _knobs(node.body))
    return None


def _walk(kind: str) -> dict[str, Listing]:
    folder = Path(__file__).parent.parent / f"{kind}s"
    found = {}
    for path in sorted(folder.glob("*.py")):
        if path.stem.startswith("_"):
            continue
        listing = _listing(kind, path.stem, f"expunge.{kind}s.{path.stem}", path)
        if listing is None:
            raise InputError(f"{path} holds no unit", do="give its class an `about = About(...)`")
        found[path.stem] = listing
    return found


@cache
def _plugins() -> dict[str, dict[str, Listing]]:
    """Entry points are named `kind.name` and point to `module:Class`; the module is read, not imported."""
    found: dict[str, dict[str, Listing]] = {kind: {} for kind in KINDS}
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        kind, _, name = point.name.partition(".")
        spec = importlib.util.find_spec(point.module)
        if kind not in KINDS or not name or spec is None or spec.origin is None:
            raise InputError(f"entry point {point.name!r} is not `kind.name` of a module", do=f"use one of {KINDS}")
        listing = _listing(kind, name, point.module, Path(spec.origin))
        if listing is None:
            raise InputError(f"plug-in {point.value} holds no unit", do="give its class an `about = About(...)`")
        found[kind][name] = listing
    return found


@cache
def units(kind: str) -> Mapping[str, Listing]:
    """Return every unit of a kind by name: the package's own, then those of plug-ins (a clash is an error)."""
    if kind not in KINDS:
        raise InputError(f"there is no kind {kind!r}", do=f"use one of: {', '.join(KINDS)}")
    own, plugged = _walk(kind), _plugins()[kind]
    clash = sorted(set(own) & set(plugged))
    if clash:
        raise InputError(
            f"a plug-in offers {kind} {clash[0]!r}, a name the package has", do="rename the plug-in's unit"
        )
    return {**own, **plugged}


def find(kind: str, name: str) -> Listing:
    """Return one unit by kind and name; an unknown name is an error naming the nearest."""
    known = units(kind)
    if name not in known:
        near = nearest(name, tuple(known))
        raise InputError(
            f"there is no {kind} named {name!r}" + (f"; the nearest is {near!r}" if near else ""),
            do=f"expunge units --kind {kind}",
        )
    return known[name]


def build(cls: type[Any], settings: Mapping[str, Any], *, where: str) -> Any:
    """Return a frozen dataclass from flat settings; fields that are settings groups take their own keys.

    A group (a field whose default is itself a dataclass) lends its field names to the unit: `lr=1e-4` reaches
    `descent.lr`. Raises InputError at an unknown key or a value of the wrong type.
    """
    flat = {field.name: field for field in dataclasses.fields(cls)}
    groups = {name: field.default for name, field in flat.items() if dataclasses.is_dataclass(field.default)}
    owner = {inner.name: name for name, group in groups.items() for inner in dataclasses.fields(group)}
    direct: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {name: {} for name in groups}
    for key, value in settings.items():
        if key in groups:
            nested[key].update(value if isinstance(value, Mapping) else dataclasses.asdict(value))
        elif key in flat:
            direct[key] = _typed(value, flat[key].default, f"{where}: {key}")
        elif key in owner:
            group = groups[owner[key]]
            nested[owner[key]][key] = _typed(value, getattr(group, key), f"{where}: {key}")
        else:
            known = tuple(sorted({*flat, *owner} - set(groups)))
            raise InputError(
                f"{where} has no setting {key!r}; the nearest is {nearest(key, known)!r}",
                do=f"use one of: {', '.join(known) or '(it has none)'}",
            )
    try:
        for name, values in nested.items():
            if values:
                direct[name] = dataclasses.replace(cast(Any, groups[name]), **values)
        return cls(**direct)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {error}") from error


def _typed(value: Any, default: Any, where: str) -> Any:
    if (
        isinstance(default, bool) != isinstance(value, bool)
        and default is not None
        and default is not dataclasses.MISSING
    ):
        raise InputError(f"{where} takes {type(default).__name__}, not {value!r}")
    if isinstance(default, float) and isinstance(value, int):
        return float(value)
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value)
    if isinstance(default, (int, float, str, tuple)) and not isinstance(value, type(default)):
        raise InputError(f"{where} takes {type(default).__name__}, not {value!r}")
    return value


def settings_of(unit: Any) -> dict[str, Any]:
    """Return a unit's settings, flat, as `build` takes them."""
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(unit):
        value = getattr(unit, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            flat.update(dataclasses.asdict(value))
        else:
            flat[field.name] = value
    return flat
