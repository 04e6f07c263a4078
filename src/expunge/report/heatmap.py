"""Draw a table of short words toned by what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from expunge.report.axes import fit, rect, svg, text, text_width, wrap

_COLUMN, _ROW, _LINE = 92.0, 28.0, 15.0


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a cell says and its tone: `good`, `bad`, `unscored` or `empty`."""

    words: str
    tone: str
    title: str = ""


def heatmap(
    rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[Cell]], *, title: str, desc: str
) -> Markup:
    """Draw `cells[row][column]` under the names of the columns, broken over lines."""
    names = [fit(name, 200) for name in rows]
    heads = [wrap(name, _COLUMN - 6, 3) for name in columns]
    left = max([text_width(name) for name in names], default=0) + 12
    top = _LINE * max([len(head) for head in heads], default=0) + 10
    parts = []
    for index, head in enumerate(heads):
        x, first = left + _COLUMN * (index + 0.5), top - 8 - _LINE * (len(head) - 1)
        parts += [text(x, first + _LINE * i, words, kind="name", anchor="middle") for i, words in enumerate(head)]
    for index, name in enumerate(names):
        y = top + _ROW * index
        parts.append(text(left - 8, y + 18, name, kind="name", anchor="end"))
        for column, cell in enumerate(cells[index]):
            x = left + _COLUMN * column
            parts.append(rect(x + 1, y + 1, _COLUMN - 2, _ROW - 2, f"cell {cell.tone}", cell.title))
            words = fit(cell.words, _COLUMN - 8, 11)
            parts.append(text(x + _COLUMN / 2, y + 18, words, kind=f"in {cell.tone}", anchor="middle", size=11))
    return svg(
        left + _COLUMN * len(heads) + 4, top + _ROW * len(names) + 4, parts, title=title, desc=desc, kind="figure heat"
    )
