"""Figures: positions by hand, nothing clipped, nothing drawn that was not measured."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest

from expunge.report.axes import axis, fit, text_width, tick_text, wrap
from expunge.report.bars import Bar, bars, strip
from expunge.report.heatmap import Cell, heatmap
from expunge.report.lines import Line, curve, ecdf, steps
from expunge.report.lines import Sample as Values
from expunge.report.scatter import Point, name_boxes, scatter


def test_axis_covers_its_values_with_round_ticks() -> None:
    """0.13 to 0.87 with five ticks: steps of 0.2 from 0 to 1; 0.5 lies half way. Fails if the ends are not rounded outwards."""
    scale = axis([0.13, 0.87], 100, 300)
    assert (scale.low, scale.high) == (0.0, 1.0)
    assert scale.ticks == pytest.approx((0, 0.2, 0.4, 0.6, 0.8, 1.0))
    assert scale.at(0.5) == pytest.approx(200)


def test_axis_of_one_value_or_none_still_has_a_length() -> None:
    """Fails if equal or missing values divide by zero, or an infinite value stretches the scale."""
    assert axis([0.7], 0, 10).at(0.7) == pytest.approx(5, abs=1.5)
    assert (axis([], 0, 10).low, axis([], 0, 10).high) == (0, 1)
    scale = axis([0.0, 1.0, float("inf"), float("nan")], 0, 10)
    assert (scale.high, scale.at(float("inf"))) == (1.0, 10.0)


def test_fit_and_wrap_keep_within_their_width() -> None:
    """Fails if the ellipsis is not counted, or a line of a wrapped name is longer than its column."""
    name = "membership_gradient_norm_of_the_last_block"
    assert fit("npo", 100) == "npo"
    assert fit(name, 120).endswith("…")
    assert text_width(fit(name, 120)) <= 120
    lines = wrap(name, 86, 3)
    assert len(lines) == 3
    assert all(text_width(one) <= 86 for one in lines)
    assert wrap("random_label+saliency", 86, 3) == ["random_", "label+", "saliency"]


@pytest.mark.parametrize(
    ("value", "words"), [(0.0, "0"), (-0.25, "−0.25"), (1200.0, "1,200"), (0.30000000000000004, "0.3")]
)
def test_tick_text(value: float, words: str) -> None:
    """Fails if floating-point noise or a hyphen for a minus is printed."""
    assert tick_text(value) == words


def rects(svg: str, kind: str) -> list[tuple[float, float]]:
    """Return (x, width) of the rectangles of a class."""
    found = re.findall(rf'<rect x="([-\d.]+)" y="[-\d.]+" width="([-\d.]+)" height="[-\d.]+" class="{kind}"/?>', svg)
    return [(float(x), float(width)) for x, width in found]


def test_bars_draw_value_control_interval_and_margin_to_scale() -> None:
    """A scale of 0..1 over 22..342: 0.5 is 160 long, control 0.25 is 80, interval 0.3..0.6, limit 0.4.

    Fails if the bar's length is not the value's, or the interval is drawn from zero and not where it was given.
    """
    row = Bar(label="npo", series="s0", value=0.5, reference=0.25, low=0.3, high=0.6, limit=0.4, others=(0.75,))
    svg = str(bars([row], title="t", desc="d", x_label="x", width=360))
    assert rects(svg, "bar s0") == [(22, 160)]
    assert rects(svg, "bar control") == [(22, 80)]
    interval = re.search(r'<path d="M([\d.]+) [^"]*L([\d.]+) [\d.]+" class="interval">', svg)
    assert interval is not None
    assert (float(interval[1]), float(interval[2])) == pytest.approx((22 + 0.3 * 320, 22 + 0.6 * 320))
    assert 'd="M150 ' in re.search(r"<path [^>]*limit[^>]*>", svg)[0]  # type: ignore[index]
    assert "translate(262 " in svg
    assert ">0.500</text>" in svg


def test_bars_of_negative_values_grow_from_zero_to_the_left() -> None:
    """Scale -0.5..1: zero at 22 + 320/3. Fails if a negative bar gets a negative width or starts at the left end."""
    svg = str(bars([Bar(label="a", series="s1", value=-0.5)], title="t", desc="d", x_label="x", width=360))
    ((x, width),) = rects(svg, "bar s1")
    assert x == pytest.approx(22, abs=0.1)
    assert width == pytest.approx(320 / 3, abs=0.1)


def test_an_unscored_bar_has_a_reason_and_no_bar() -> None:
    """Fails if a missing value is drawn as zero."""
    svg = str(bars([Bar(label="a", series="s1", unscored="no holdout rows")], title="t", desc="d", x_label="x"))
    assert rects(svg, "bar s1") == []
    assert "no holdout rows" in svg
    assert ">unscored</text>" in svg


def test_strip_tints_where_the_interval_must_lie() -> None:
    """Reach 0.55 over 3..147: zero at 75, margin 0.15 at 75 + 72 * 0.15/0.55. Fails if equivalence is tinted on one side only."""
    common = {"estimate": 0.4, "low": 0.3, "high": 0.5, "margin": 0.15, "passed": False}
    at = 72 * 0.15 / 0.55
    assert rects(str(strip(**common, side="below")), "within") == [pytest.approx((3, 72 + at), abs=0.06)]
    assert rects(str(strip(**common, side="between")), "within") == [pytest.approx((75 - at, 2 * at), abs=0.06)]
    assert rects(str(strip(**common, side="above")), "within") == [pytest.approx((75 + at, 72 - at), abs=0.06)]


def test_ecdf_steps_are_the_shares_at_or_below() -> None:
    """Against counting; a NaN counts as a row and is below nothing. Fails if the share starts at 0 or NaN rows are dropped."""
    values = (0.3, 0.1, float("nan"), 0.2)
    assert steps(values) == ((0.1, 0.25), (0.2, 0.5), (0.3, 0.75))
    many = tuple(np.random.default_rng(0).normal(size=400))
    drawn = steps(many)
    assert len(drawn) == 101
    for x, share in drawn:
        assert share == pytest.approx(np.mean(np.array(many) <= x))
    assert drawn[-1] == (max(many), 1.0)


def test_curve_marks_every_point_to_scale() -> None:
    """0..40 over 46..422 and 0..1 over 234..32. Fails if x and y are swapped or the axis grows downwards."""
    line = Line(label="npo", series="s0", points=((0, 0.0), (10, 0.5), (40, 1.0)))
    svg = str(curve([line], title="t", desc="d", x_label="budget", y_label="success", width=440, height=280))
    assert '<path d="M46 234L140 133L422 32" class="line s0">' in svg
    assert svg.count('class="mark s0"') == 3


def test_ecdf_is_flat_outside_its_values() -> None:
    """Fails if the line starts at its first value: the share of rows below it is 0 and must be seen to be."""
    svg = str(
        ecdf(
            [Values(label="a", series="s0", values=(0.5,)), Values(label="b", series="s1", values=(1.0, 0.0))],
            title="t",
            desc="d",
            x_label="x",
            width=440,
            height=280,
        )
    )
    assert '<path d="M46 234L234 234L234 32L422 32L422 32" class="line s0">' in svg


def test_scatter_places_points_bands_and_names() -> None:
    """Points at the corners of 0..1; names cover neither each other nor a mark. Fails if the overlap test is dropped."""
    points = [Point(label=f"method number {i}", series=f"s{i}", x=0.5 + 0.01 * i, y=0.5) for i in range(6)]
    points += [Point(label="corner", series="s6", x=1.0, y=1.0), Point(label="origin", series="s7", x=0.0, y=0.0)]
    across, up = axis([0, 1], 46, 422), axis([0, 1], 294, 32)
    places = [(across.at(point.x), up.at(point.y)) for point in points]
    boxes = [box for box in name_boxes(points, places, across, up) if box is not None]
    assert len(boxes) >= 6
    for one, two in combinations(boxes, 2):
        assert one[2] <= two[0] or two[2] <= one[0] or one[3] <= two[1] or two[3] <= one[1]
    assert all(box[0] >= 46 and box[2] <= 422 and box[1] >= 32 and box[3] <= 294 for box in boxes)
    assert not any(box[0] < x < box[2] and box[1] < y < box[3] for box in boxes for x, y in places)
    svg = str(scatter(points, title="t", desc="d", x_label="left", y_label="kept", band=(0.25, 0.5, 0.75, 1.0)))
    assert rects(svg, "band") == [(139, 96), (46, 376)]
    assert svg.count("<path") == len(points)


def test_heatmap_writes_each_cell_once_in_its_place() -> None:
    """Cell (row 1, column 0) stands one row lower, in the first column. Fails if rows and columns are swapped."""
    cells = [
        [Cell(words="a", tone="good"), Cell(words="b", tone="bad")],
        [Cell(words="c", tone="unscored"), Cell(words="", tone="empty")],
    ]
    svg = str(heatmap(["one", "two"], ["left", "right"], cells, title="t", desc="d"))
    places = {
        words: (float(x), float(y))
        for x, y, words in re.findall(r'<text x="([\d.]+)" y="([\d.]+)" class="in \w+"[^>]*>(\w)</text>', svg)
    }
    assert places["b"][0] - places["a"][0] == pytest.approx(92)
    assert places["c"][1] - places["a"][1] == pytest.approx(28)
    assert places["c"][0] == places["a"][0]


def test_every_word_is_escaped() -> None:
    """Fails if a label reaches the SVG as markup."""
    bad = "<script>alert(1)</script>"
    svgs = [
        bars(
            [Bar(label=bad, series="s0", value=1.0), Bar(label="x", series="s0", unscored=bad)],
            title=bad,
            desc=bad,
            x_label=bad,
        ),
        curve([Line(label=bad, series="s0", points=((0, 0), (1, 1)))], title=bad, desc=bad, x_label=bad, y_label=bad),
        scatter([Point(label=bad, series="s0", x=0, y=0)], title=bad, desc=bad, x_label=bad, y_label=bad),
        heatmap([bad], [bad], [[Cell(words=bad, tone="good", title=bad)]], title=bad, desc=bad),
        ecdf([Values(label=bad, series="s0", values=(1.0, 2.0))], title=bad, desc=bad, x_label=bad),
    ]
    assert [str(svg).count("<script") for svg in svgs] == [0] * 5
