"""What every attack got from each model beside its control, and over which budget."""

from __future__ import annotations

import math
from collections.abc import Sequence

from expunge.facts.record import Record, Test
from expunge.report.drawings import Drawing
from expunge.report.figures import Bar, Cell, Line, bars, curve, heatmap
from expunge.report.groups import Subject, judged, models_of
from expunge.report.words import fixed, guarded_words, number, spaced
from expunge.verdict.roles import name_of, target_of

DRAWN = ("behavioural", "resistant", "guard_off")
"""Steps whose tests compare what came out with the control's, a bar figure each."""


def attack_bars(found: Sequence[Subject], records: Sequence[Record]) -> tuple[Drawing, ...]:
    """Return a figure an attack: each method's success above its control's, the interval of the difference, the margin.

    Do nothing comes from the tests of presence, which ask the target the same. Of several seeds the least favourable is
    the bar, the others are dots.
    """
    drawn = []
    for step, name in _battery(records):
        rows = [*_do_nothing(found, records, name, step), *(bar for one in found for bar in _bar(one, step, name))]
        title = guarded_words(name) + (", guard off" if step == "guard_off" else "")
        desc = "; ".join(f"{row.label}: {_said(row)}" for row in rows)
        figure = bars(rows, title=title, desc=desc, x_label=_measure(records, name))
        drawn.append(Drawing(title=title, figure=figure, words=_decided(found, step, name)))
    return tuple(drawn)


def overview(found: Sequence[Subject], records: Sequence[Record]) -> Drawing | None:
    """Return the heatmap of attacks by methods; one method alone needs none."""
    methods = [one for one in found if not one.reference]
    battery = [(step, name) for step, name in _battery(records) if step != "guard_off"]
    if len(methods) < 2 or not battery:
        return None
    cells = [[_cell(one.tests(step, name)) for one in methods] for step, name in battery]
    title = "Success above the control, and whether the test passed"
    names, columns = [guarded_words(name) for _, name in battery], [one.label for one in methods]
    desc = "; ".join(
        f"{name}: " + ", ".join(f"{column} {cell.words}" for column, cell in zip(columns, row, strict=True))
        for name, row in zip(names, cells, strict=True)
    )
    return Drawing(title=title, figure=heatmap(names, columns, cells, title=title, desc=desc))


def budget_curves(found: Sequence[Subject], records: Sequence[Record]) -> tuple[Drawing, ...]:
    """Return a figure an attack that kept a curve over its budget: controls, do nothing, and every seed of each method."""
    attacks = dict.fromkeys(one.attack for record in records for one in record.outcomes if len(one.curve) > 1)
    controls = [*models_of(records, "retrained"), *models_of(records, "never_trained")]
    drawn = []
    for attack in attacks:
        lines = [line for name in controls for line in _curves(records, attack, name, "control", "control")[:1]]
        targets = [line for one in records for line in _curves([one], attack, target_of(one), "do nothing", "target")]
        lines += targets[:1]
        for one in found:
            for record in one.records if not one.reference else ():
                lines += _curves([record], attack, judged(record), one.label, one.series)
        title = f"{spaced(attack)}: success over its budget"
        desc = "; ".join(
            f"{line.label} from {number(line.points[0][1])} to {number(line.points[-1][1])}" for line in lines
        )
        figure = curve(lines, title=title, desc=desc, x_label="budget", y_label="success")
        legend = dict.fromkeys((line.label, line.series) for line in lines)
        drawn.append(Drawing(title=title, figure=figure, legend=tuple(legend)))
    return tuple(drawn)


def _measure(records: Sequence[Record], name: str) -> str:
    kinds = {one.kind for record in records for one in record.outcomes if name_of(one) == name}
    return "AUC, forget against holdout; 0.5 is chance" if "member" in kinds else "share of rows that came out"


def _decided(found: Sequence[Subject], step: str, name: str) -> str:
    """Return which methods did not pass, in words."""
    of = {one.label: [test for _, test in one.tests(step, name)] for one in found if not one.reference}
    if step == "guard_off":
        there = [label for label, tests in of.items() if any(test.passed for test in tests)]
        return f"With the guard off the knowledge is there: {', '.join(there)}." if there else "Not shown to be there."
    failed = [label for label, tests in of.items() if any(not test.passed and test.unscored is None for test in tests)]
    missing = [label for label, tests in of.items() if any(test.unscored is not None for test in tests)]
    words = [
        f"Not passed by {', '.join(failed)}." if failed else "",
        f"Unscored for {', '.join(missing)}." if missing else "",
    ]
    return " ".join(word for word in words if word) or "Passed by every method and seed."


def _battery(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Return (step, name) of each test that a figure is drawn of, direct questions first, in the records' order."""
    names = dict.fromkeys((test.step, test.name) for record in records for test in record.tests if test.step in DRAWN)
    return sorted(names, key=lambda pair: DRAWN.index(pair[0]))


def _least_favourable(tests: Sequence[tuple[int, Test]]) -> Test | None:
    """Return the scored test that stands highest against its margin, or None where none is scored."""
    scored = [test for _, test in tests if test.high is not None and test.margin is not None]
    return max(scored, key=lambda test: (test.high or 0.0) - (test.margin or 0.0), default=None)


def _do_nothing(found: Sequence[Subject], records: Sequence[Record], name: str, step: str) -> list[Bar]:
    if any(one.method.name == "do_nothing" and one.tests(step, name) for one in found):
        return []
    known = (test for record in records for test in record.tests if (test.step, test.name) == ("presence", name))
    return [
        Bar(label="do nothing", series="target", value=test.success, reference=test.control_success)
        for test in known
        if test.success is not None
    ][:1]


def _bar(subject: Subject, step: str, name: str) -> list[Bar]:
    tests = subject.tests(step, name)
    if not tests:
        return []
    worst = _least_favourable(tests)
    if worst is None or worst.success is None:
        return [
            Bar(label=subject.label, series=subject.series, unscored=guarded_words(tests[0][1].unscored or "no number"))
        ]
    control = worst.control_success or 0.0
    return [
        Bar(
            label=subject.label,
            series=subject.series,
            value=worst.success,
            reference=worst.control_success,
            low=None if worst.low is None else control + worst.low,
            high=None if worst.high is None else control + worst.high,
            limit=None if worst.margin is None else control + worst.margin,
            others=tuple(test.success for _, test in tests if test is not worst and test.success is not None),
        )
    ]


def _said(row: Bar) -> str:
    if row.value is None:
        return f"unscored, {row.unscored}"
    return f"{number(row.value)} against {number(row.reference)}" if row.reference is not None else number(row.value)


def _cell(tests: Sequence[tuple[int, Test]]) -> Cell:
    if not tests:
        return Cell(words="", tone="empty", title="not asked")
    worst, missing = _least_favourable(tests), [test.unscored for _, test in tests if test.unscored is not None]
    if worst is None or worst.estimate is None:
        return Cell(words="unscored", tone="unscored", title=guarded_words(missing[0] if missing else "no number"))
    failed = any(not test.passed and test.unscored is None for _, test in tests)
    sign = "+" if worst.estimate >= 0.0005 else ""
    tone, mark = ("bad", "✗") if failed else ("unscored", "?") if missing else ("good", "✓")
    title = f"difference {fixed(worst.estimate)}, at most {fixed(worst.high)}, margin {fixed(worst.margin)}"
    return Cell(words=f"{mark} {sign}{fixed(worst.estimate)}", tone=tone, title=title)


def _curves(records: Sequence[Record], attack: str, model: str | None, label: str, series: str) -> list[Line]:
    return [
        Line(label=label, series=series, points=tuple(point for point in one.curve if all(map(math.isfinite, point))))
        for record in records
        for one in record.outcomes
        if (one.attack, one.model) == (attack, model) and len(one.curve) > 1
    ]
