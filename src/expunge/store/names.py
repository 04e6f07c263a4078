"""Names that become file names."""

from __future__ import annotations

import re

from expunge.facts.errors import InputError

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=@-]{0,127}")


def safe_name(name: str, kind: str) -> str:
    """Return a name unchanged when it can be a file name on any system, or refuse it."""
    if not _SAFE.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a {kind}",
            do="use up to 128 letters, digits and . _ + = @ -, the first a letter or digit",
        )
    return name
