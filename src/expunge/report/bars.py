"""Draw the success of an attack on each model beside its control, and a test's interval against its margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from expunge.report.axes import Axis, axis, fit, line, marker, path, rect, svg, text, text_width, tick_text
from expunge.report.words import number


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One row: a value above its reference, with an interval and the limit that the interval must stay below.

    `others` are values of the same thing drawn as dots (other seeds). With `unscored` there is no bar but the reason.
    """

    label: str
    series: str
    value: float | None = None
    reference: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    others: tuple[float, ...] = ()
    unscored: str = ""


def bars(
    rows: Sequence[Bar],
    *,
    title: str,
    desc: str,
    x_label: str,
    span: tuple[float, float] = (0, 1),
    width: float = 360,
) -> Markup:
    """Draw a row a bar: the value, its reference, and on a line of its own the interval, against the limit."""
    height = 58.0
    ends = [end for row in rows for end in (row.value, row.reference, row.low, row.high, row.limit) if end is not None]
    across = axis([*ends, *(other for row in rows for other in row.others)], 22, width - 18, around=span)
    bottom = 8 + height * len(rows)
    parts = [line(across.at(tick), 8, across.at(tick), bottom, "grid") for tick in across.ticks]
    parts += [
        text(across.at(tick), bottom + 15, tick_text(tick), kind="tick", anchor="middle") for tick in across.ticks
    ]
    parts.append(text(across.start, bottom + 33, fit(x_label, across.stop - across.start), kind="axis"))
    for index, row in enumerate(rows):
        top = 8 + height * index
        shown = number(row.value) if row.value is not None else "unscored"
        room = across.stop - across.start - text_width(shown) - 10
        parts.append(text(across.start, top + 15, fit(row.label, room), kind="name"))
        parts.append(text(across.stop, top + 15, shown, kind="value", anchor="end"))
        parts += _bar(row, across, top + 22)
    return svg(width, bottom + 42, parts, title=title, desc=desc)


def _bar(row: Bar, across: Axis, top: float) -> list[Markup]:
    if row.value is None:
        room = across.stop - across.start
        why = text(across.start + 6, top + 11.5, fit(row.unscored, room - 12, 10), kind="why", size=10)
        return [rect(across.start, top, room, 16, "unscored", row.unscored), why]
    zero = across.at(max(0.0, across.low))
    value, middle = across.at(row.value), top + 5
    told = f"{row.label}: {number(row.value)}"
    parts = [rect(min(zero, value), top, max(abs(value - zero), 1), 10, f"bar {row.series}", told)]
    if row.reference is not None:
        at = across.at(row.reference)
        told = f"control: {number(row.reference)}"
        parts.append(rect(min(zero, at), top + 11.5, max(abs(at - zero), 1), 4.5, "bar control", told))
    if row.limit is not None:
        at = across.at(row.limit)
        parts.append(path([(at, top - 2), (at, top + 29)], "limit", f"the margin ends at {number(row.limit)}"))
    if row.low is not None and row.high is not None:
        told = f"interval {number(row.low)} to {number(row.high)}"
        parts.append(_interval(across.at(row.low), across.at(row.high), top + 23, told))
    return [*parts, *(marker(across.at(other), middle, "seed", f"other seed: {number(other)}") for other in row.others)]


def _interval(low: float, high: float, middle: float, told: str) -> Markup:
    up, down = middle - 3.5, middle + 3.5
    return path([(low, up), (low, down), (low, middle), (high, middle), (high, up), (high, down)], "interval", told)


def strip(
    *,
    estimate: float,
    low: float,
    high: float,
    margin: float,
    side: Literal["below", "above", "between"],
    passed: bool,
    width: float = 150,
) -> Markup:
    """Draw one test in one line: the interval of the difference, zero, and where the interval must lie to pass.

    It repeats what stands in its table's row, so it is hidden from screen readers.
    """
    reach = max(abs(low), abs(high), abs(estimate), abs(margin)) * 1.1 or 1.0
    across = Axis(low=-reach, high=reach, start=3, stop=width - 3, ticks=())
    left = across.start if side == "below" else across.at(margin if side == "above" else -margin)
    right = across.stop if side == "above" else across.at(margin)
    parts = [
        rect(left, 3, right - left, 14, "within"),
        line(across.at(0), 1, across.at(0), 19, "base"),
        _interval(across.at(low), across.at(high), 10, ""),
        marker(across.at(estimate), 10, "passed" if passed else "failed"),
    ]
    return Markup('<svg class="strip" viewBox="0 0 {} 20" aria-hidden="true">{}</svg>').format(
        f"{width:g}", Markup().join(parts)
    )
