"""Make the units' pages under docs/, or check that they are unchanged: `python -m expunge.app.docs [--check] DIR`."""

from __future__ import annotations

import sys
from pathlib import Path

from expunge.app.pages import unit_page
from expunge.contract.about import KINDS
from expunge.contract.registry import units


def pages() -> dict[str, str]:
    """Return every generated page by its path under docs/."""
    own = {k: [u for u in units(k).values() if u.module.startswith("expunge.")] for k in KINDS}
    return {f"{kind}s/{unit.name}.md": unit_page(unit) for kind, found in own.items() for unit in found}


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check say which differ and return 1."""
    check = "--check" in arguments
    root = Path(next(item for item in arguments if item != "--check"))
    made = pages()
    folders = [root / f"{kind}s" for kind in KINDS]
    there = {path.relative_to(root).as_posix() for folder in folders if folder.is_dir() for path in folder.glob("*.md")}
    stale = sorted(there - set(made))
    changed = sorted(
        name for name, text in made.items() if not (root / name).is_file() or (root / name).read_text("utf-8") != text
    )
    if check:
        for name in (*changed, *stale):
            sys.stderr.write(f"{root / name} is not what its unit says; run: make docs\n")
        return 1 if changed or stale else 0
    for name in stale:
        (root / name).unlink()
    for name in changed:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(made[name], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
