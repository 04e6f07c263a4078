"""Draw curves over a budget, and the distributions of per-row values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from expunge.report.axes import Axis, axis, frame, marker, path, svg

QUANTILES = 101
"""A distribution of more values than this is drawn through this many of its quantiles."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of `curve`, through points in order of x."""

    label: str
    series: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The values whose empirical distribution `ecdf` draws."""

    label: str
    series: str
    values: tuple[float, ...]


def curve(
    lines: Sequence[Line],
    *,
    title: str,
    desc: str,
    x_label: str,
    y_label: str,
    span: tuple[float, ...] = (0, 1),
    width: float = 440,
    height: float = 280,
) -> Markup:
    """Draw lines through points that are marked, the vertical scale covering `span`."""
    across, up = _scales(lines, span, width, height)
    parts = frame(across, up, x_label=x_label, y_label=y_label)
    for one in lines:
        drawn = [(across.at(x), up.at(y)) for x, y in one.points]
        parts.append(path(drawn, f"line {one.series}", one.label))
        parts += [marker(x, y, one.series) for x, y in drawn]
    return svg(width, height, parts, title=title, desc=desc)


def ecdf(
    samples: Sequence[Sample],
    *,
    title: str,
    desc: str,
    x_label: str,
    width: float = 440,
    height: float = 280,
) -> Markup:
    """Draw the share of values at or below x, one step line a sample; values that are not finite count at the ends."""
    stairs = [Line(label=one.label, series=one.series, points=steps(one.values)) for one in samples if one.values]
    across, up = _scales(stairs, (0, 1), width, height)
    parts = frame(across, up, x_label=x_label, y_label="share of rows at or below")
    for one in stairs:
        drawn = [(across.at(x), up.at(y)) for x, y in one.points]
        whole = [(across.start, up.at(0)), *drawn, (across.stop, drawn[-1][1])]
        parts.append(path(_stairs(whole), f"line {one.series}", one.label))
    return svg(width, height, parts, title=title, desc=desc)


def steps(values: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Return (x, share of values at or below x) at each value, or at `QUANTILES` of them where there are more.

    A value that is not a number is below nothing: it keeps its place in the count and is never drawn.
    """
    known = np.sort(np.asarray([value for value in values if not math.isnan(value)], np.float64))
    shown = min(len(known), QUANTILES)
    at = np.unique(np.linspace(0, len(known) - 1, shown).round().astype(int))
    return tuple((float(known[i]), (int(i) + 1) / len(values)) for i in at)


def _stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    corners = [points[0]]
    for (_, before), (x, y) in pairwise(points):
        corners += [(x, before), (x, y)]
    return corners


def _scales(lines: Sequence[Line], span: Sequence[float], width: float, height: float) -> tuple[Axis, Axis]:
    xs = [x for one in lines for x, _ in one.points]
    ys = [y for one in lines for _, y in one.points]
    return axis(xs, 46, width - 18), axis(ys, height - 46, 32, around=span)
