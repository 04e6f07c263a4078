"""Make one self-contained page from records alone: nothing is loaded, nothing is fetched, no forget text is joined."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from expunge.facts.record import Record
from expunge.report.axes import marker
from expunge.report.view import view
from expunge.report.words import fixed, number, spaced
from expunge.store.atomic import write_atomic


def render(
    records: Sequence[Record],
    *,
    title: str,
    with_text: Mapping[str, str] | None = None,
    certificates: Mapping[str, str] | None = None,
) -> str:
    """Return the page of one run as HTML.

    `records` hold several methods and seeds over one request, and reference records (methods named `do_nothing`,
    `retrained`, `second_retrained`). `with_text` joins text to forget rows by row id, and only then. `certificates`
    gives the certificate of a record, as text, by `record.digest()`.
    """
    environment = _environment()
    style, script = (Markup(environment.get_template(name).render()) for name in ("style.css", "page.js"))
    page = view(records, title=title, with_text=with_text, certificates=certificates)
    template = environment.get_template("page.html.j2")
    return template.render(page=page, style=style, script=script, policy=_policy(style, script))


def write(
    path: Path,
    records: Sequence[Record],
    *,
    title: str,
    with_text: Mapping[str, str] | None = None,
    certificates: Mapping[str, str] | None = None,
) -> None:
    """Write the page whole or not at all."""
    write_atomic(path, render(records, title=title, with_text=with_text, certificates=certificates).encode())


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("expunge.report"),
        autoescape=lambda name: name is None or not name.endswith((".css", ".js")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["fixed"] = fixed
    environment.filters["spaced"] = spaced
    environment.filters["breakable"] = breakable
    environment.globals["marker"] = marker
    return environment


def breakable(name: str) -> Markup:
    """Return a name that a browser may break after its underscores and slashes."""
    pieces = re.findall(r"[^_/]*[_/]|[^_/]+", name)
    return Markup().join(escape(piece) + Markup("<wbr>") * (piece[-1] in "_/") for piece in pieces)


def _policy(style: str, script: str) -> str:
    """Return a Content-Security-Policy that forbids the network and any style or script but these two."""
    own = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return f"default-src 'none'; style-src 'sha256-{own[0]}'; script-src 'sha256-{own[1]}'; base-uri 'none'; form-action 'none'"
