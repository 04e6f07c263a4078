"""Draw methods by what is left against what was kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from markupsafe import Markup

from expunge.report.axes import SIZE, Axis, axis, fit, frame, line, marker, rect, svg, text, text_width
from expunge.report.words import number

_NAME = 140.0
"""Widest name beside a point; the legend under the figure has it whole."""
_Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point; `x_range` and `y_range` are drawn as whiskers."""

    label: str
    series: str
    x: float
    y: float
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None


def scatter(
    points: Sequence[Point],
    *,
    title: str,
    desc: str,
    x_label: str,
    y_label: str,
    band: _Box | None = None,
    width: float = 440,
    height: float = 340,
) -> Markup:
    """Draw points with their names beside them; `band` is (x low, x high, y low, y high) of the retrained models.

    A name that finds no free place is left out: the legend under the figure has every name.
    """
    xs = [x for point in points for x in (point.x, *(point.x_range or ()))] + list(band[:2] if band else ())
    ys = [y for point in points for y in (point.y, *(point.y_range or ()))] + list(band[2:] if band else ())
    across, up = axis(xs, 46, width - 18), axis(ys, height - 46, 32)
    parts = frame(across, up, x_label=x_label, y_label=y_label)
    if band is not None:
        left, right, low, high = across.at(band[0]), across.at(band[1]), up.at(band[2]), up.at(band[3])
        told = "range of the retrained models"
        parts.append(rect(left - 1, up.stop, right - left + 2, up.start - up.stop, "band", told))
        parts.append(rect(across.start, high - 1, across.stop - across.start, low - high + 2, "band", told))
    places = [(across.at(point.x), up.at(point.y)) for point in points]
    for point, (x, y) in zip(points, places, strict=True):
        if point.x_range is not None:
            parts.append(
                line(across.at(point.x_range[0]), y, across.at(point.x_range[1]), y, f"whisker {point.series}")
            )
        if point.y_range is not None:
            parts.append(line(x, up.at(point.y_range[0]), x, up.at(point.y_range[1]), f"whisker {point.series}"))
    for point, (x, y) in zip(points, places, strict=True):
        told = f"{point.label}: {x_label} {number(point.x)}, {y_label} {number(point.y)}"
        parts.append(marker(x, y, point.series, told))
    for point, box in zip(points, name_boxes(points, places, across, up), strict=True):
        if box is not None:
            parts.append(text(box[0], box[3] - 3, fit(point.label, _NAME), kind="name"))
    return svg(width, height, parts, title=title, desc=desc)


def name_boxes(
    points: Sequence[Point], places: Sequence[tuple[float, float]], across: Axis, up: Axis
) -> list[_Box | None]:
    """Return, a point, the box of its name, inside the plot and over no mark and no other name."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    found: list[_Box | None] = []
    for point, (x, y) in zip(points, places, strict=True):
        wide = text_width(fit(point.label, _NAME))
        offsets = product((4, -8, 17, -20), (9, -9 - wide, -wide / 2))
        boxes = [(x + dx, y + dy - SIZE + 2, x + dx + wide, y + dy + 3) for dy, dx in offsets]
        free = (box for box in boxes if _inside(box, across, up) and not any(_overlap(box, other) for other in taken))
        box = next(free, None)
        if box is not None:
            taken.append(box)
        found.append(box)
    return found


def _inside(box: _Box, across: Axis, up: Axis) -> bool:
    return across.start <= box[0] and box[2] <= across.stop and up.stop <= box[1] and box[3] <= up.start


def _overlap(one: _Box, two: _Box) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]
