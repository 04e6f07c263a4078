"""Draw a table of short words toned by what they mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from expunge.report.axes import fit, rect, svg, text, text_width

_COLUMN, _ROW, _SLOPE = 74.0, 28.0, math.radians(35)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a cell says and its tone: `good`, `bad`, `unscored` or `empty`."""

    words: str
    tone: str
    title: str = ""


def heatmap(
    rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[Cell]], *, title: str, desc: str
) -> Markup:
    """Draw `cells[row][column]` under names that lean where they are longer than a column."""
    names = [fit(name, 190) for name in rows]
    heads = [fit(name, 150) for name in columns]
    left = max([text_width(name) for name in names], default=0) + 12
    lean = any(text_width(head) > _COLUMN - 4 for head in heads)
    longest = max([text_width(head) for head in heads], default=0)
    top = 14 + longest * math.sin(_SLOPE) if lean else 24.0
    right = longest * math.cos(_SLOPE) - _COLUMN / 2 if lean else 0.0
    parts = []
    for index, head in enumerate(heads):
        x = left + _COLUMN * (index + 0.5)
        if lean:
            turned = Markup('<g transform="translate({} {}) rotate(-35)">{}</g>')
            parts.append(turned.format(f"{x:.1f}", f"{top - 6:.1f}", text(0, 0, head, kind="name")))
        else:
            parts.append(text(x, top - 8, head, kind="name", anchor="middle"))
    for index, name in enumerate(names):
        y = top + _ROW * index
        parts.append(text(left - 8, y + 18, name, kind="name", anchor="end"))
        for column, cell in enumerate(cells[index]):
            x = left + _COLUMN * column
            parts.append(rect(x + 1, y + 1, _COLUMN - 2, _ROW - 2, f"cell {cell.tone}", cell.title))
            words = fit(cell.words, _COLUMN - 8, 11)
            parts.append(text(x + _COLUMN / 2, y + 18, words, kind=f"in {cell.tone}", anchor="middle", size=11))
    width = left + _COLUMN * len(heads) + max(right, 0) + 4
    return svg(width, top + _ROW * len(names) + 4, parts, title=title, desc=desc, kind="figure heat")
