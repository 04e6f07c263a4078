"""What every figure is drawn with: scales, ticks, text that is measured before it is placed, and the SVG frame."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

SIZE = 12.0
"""Font size of labels in viewBox units."""
_NARROW, _WIDE = frozenset("iIjltfr.,:;'|!()[]{} -/\\"), frozenset("mwMW@%&")


def text_width(text: str, size: float = SIZE) -> float:
    """Return an upper estimate of a text's width: DejaVu Sans, the widest of the usual system fonts, sets the scale."""
    return size * sum(
        1.1
        if ord(one) > 0x2E7F
        else 0.44
        if one in _NARROW
        else 1.0
        if one in _WIDE
        else 0.74
        if one.isupper()
        else 0.64
        for one in text
    )


def fit(text: str, width: float, size: float = SIZE) -> str:
    """Return the text, or its beginning and an ellipsis, no wider than `width`."""
    if text_width(text, size) <= width:
        return text
    kept = text
    while kept and text_width(kept + "…", size) > width:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def wrap(words: str, width: float, most: int, size: float = SIZE) -> list[str]:
    """Return a name in at most `most` lines, broken after spaces and joining signs; the last is cut where it must be."""
    lines = [""]
    for piece in re.findall(r"[^\s_+@/.-]*[\s_+@/.-]?", words):
        if lines[-1] and text_width((lines[-1] + piece).rstrip(), size) > width and len(lines) < most:
            lines.append("")
        lines[-1] += piece
    return [fit(one.strip(), width, size) for one in lines]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A linear scale from data `low`..`high` to pixels `start`..`stop`, with round ticks inside."""

    low: float
    high: float
    start: float
    stop: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Return the pixel of a value; values outside the scale are held at its ends."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)


def axis(values: Sequence[float], start: float, stop: float, *, around: Sequence[float] = (), ticks: int = 5) -> Axis:
    """Return a scale with round ends that covers the finite values and everything in `around`."""
    finite = [value for value in (*values, *around) if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if high - low < 1e-9 * max(1.0, abs(low), abs(high)):
        low, high = low - 0.5, high + 0.5
    step = _round_step((high - low) / ticks)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    marks = tuple(round(index * step, 12) for index in range(first, last + 1))
    return Axis(low=first * step, high=last * step, start=start, stop=stop, ticks=marks)


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= raw - 1e-12 * power)


def tick_text(value: float) -> str:
    """Return a tick's label, without digits that say nothing."""
    text = f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e6 else f"{value:.3g}"
    return text.replace("-", "−")


def text(x: float, y: float, words: str, *, kind: str = "", anchor: str = "start", size: float = SIZE) -> Markup:
    """Return one SVG text, its words escaped."""
    return Markup('<text x="{}" y="{}" class="{}" text-anchor="{}" font-size="{}">{}</text>').format(
        _short(x), _short(y), kind, anchor, _short(size), words
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """Return one SVG line of a class."""
    return Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(
        _short(x1), _short(y1), _short(x2), _short(y2), kind
    )


def rect(x: float, y: float, width: float, height: float, kind: str, title: str = "") -> Markup:
    """Return one SVG rectangle of a class; `title` is what a pointer or a screen reader is told."""
    place = (_short(side) for side in (x, y, max(width, 0.0), max(height, 0.0)))
    return Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}"{}').format(*place, kind, _end("rect", title))


def path(points: Sequence[tuple[float, float]], kind: str, title: str = "") -> Markup:
    """Return one SVG line through points."""
    steps = "L".join(f"{_short(x)} {_short(y)}" for x, y in points)
    return Markup('<path d="M{}" class="{}"{}').format(steps, kind, _end("path", title))


_SHAPES = (
    "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0 -4 0Z",
    "M-3.6 -3.6H3.6V3.6H-3.6Z",
    "M0 -4.8L4.6 3.6H-4.6Z",
    "M0 -5L5 0L0 5L-5 0Z",
    "M0 4.8L4.6 -3.6H-4.6Z",
    "M-1.6 -4.6H1.6V-1.6H4.6V1.6H1.6V4.6H-1.6V1.6H-4.6V-1.6H-1.6Z",
    "M0 -5L4.8 -1.5L3 4.2H-3L-4.8 -1.5Z",
    "M-4.6 -2.4H4.6V2.4H-4.6Z",
)
_ANCHOR_SHAPES = {
    "seed": "M-2.6 0A2.6 2.6 0 1 0 2.6 0A2.6 2.6 0 1 0 -2.6 0Z",
    "target": "M-4.6 -3L-3 -4.6L0 -1.6L3 -4.6L4.6 -3L1.6 0L4.6 3L3 4.6L0 1.6L-3 4.6L-4.6 3L-1.6 0Z",
    "control": "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0 -5 0ZM-2.4 0A2.4 2.4 0 1 1 2.4 0A2.4 2.4 0 1 1 -2.4 0Z",
    "untrained": "M-4.6 -1.2H4.6V1.2H-4.6Z",
}


def marker(x: float, y: float, series: str, title: str = "") -> Markup:
    """Return a series' mark: its shape tells it apart where colour cannot."""
    index = int(series[1:]) if series[1:].isdigit() else 3
    shape = _ANCHOR_SHAPES.get(series, _SHAPES[(index + index // len(_SHAPES)) % len(_SHAPES)])
    return Markup('<path class="mark {}" transform="translate({} {})" d="{}"{}').format(
        series, _short(x), _short(y), shape, _end("path", title)
    )


def svg(width: float, height: float, parts: Sequence[Markup], *, title: str, desc: str, kind: str = "figure") -> Markup:
    """Return a whole figure that names itself to a screen reader; the style sheet may scale it."""
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">'
        "<title>{}</title><desc>{}</desc>{}</svg>"
    ).format(kind, *(_short(side) for side in (width, height) * 2), title, title, desc, Markup().join(parts))


def frame(across: Axis, up: Axis, *, x_label: str, y_label: str) -> list[Markup]:
    """Return grid lines, ticks and axis names of a plot with two scales."""
    bottom, top = up.start, up.stop
    parts = [line(across.start, up.at(tick), across.stop, up.at(tick), "grid") for tick in up.ticks]
    parts += [text(across.start - 6, up.at(tick) + 4, tick_text(tick), kind="tick", anchor="end") for tick in up.ticks]
    parts += [line(across.at(tick), bottom, across.at(tick), top, "grid") for tick in across.ticks]
    parts += [
        text(across.at(tick), bottom + 16, tick_text(tick), kind="tick", anchor="middle") for tick in across.ticks
    ]
    middle = (across.start + across.stop) / 2
    room = 2 * min(middle, across.stop - middle + 12)
    parts.append(text(middle, bottom + 34, fit(x_label, room), kind="axis", anchor="middle"))
    parts.append(text(4, top - 10, fit(y_label, across.stop - 4), kind="axis"))
    return [*parts, line(across.start, bottom, across.stop, bottom, "base")]


def _end(tag: str, title: str) -> Markup:
    """Return the end of an element, around what a pointer or a screen reader is told where there is something to tell."""
    return Markup("><title>{}</title></{}>").format(title, tag) if title else Markup("/>")


def _short(value: float) -> str:
    return str(escape(f"{value:.1f}".removesuffix(".0")))
