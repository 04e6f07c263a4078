"""What the attack figures draw is what the tests decided."""

from __future__ import annotations

import re

import pytest
import report_records as make

from expunge.facts.record import Record
from expunge.report.battery import attack_bars, budget_curves, overview
from expunge.report.groups import Subject, subjects


def held(records: list[Record], method: str, name: str, step: str) -> list[object]:
    """Return a method's tests of one name, over its seeds."""
    return [t for r in records if r.method.name == method for t in r.tests if (t.name, t.step) == (name, step)]


def test_the_bar_is_the_least_favourable_seed_with_the_interval_from_its_control(run_records: list[Record]) -> None:
    """Success, control, control + low..high and control + margin of the seed nearest to failing.

    Fails if the best seed is drawn, or the interval of the difference is drawn from zero.
    """
    found = subjects(run_records)
    drawn = {one.title: str(one.figure) for one in attack_bars(found, run_records)}
    tests = held(run_records, "npo", "relearning", "resistant")
    worst = max(tests, key=lambda test: test.high - test.margin)
    figure = drawn["relearning"]
    assert f"<title>npo: {worst.success:.3f}</title>" in figure
    assert f"<title>control: {worst.control_success:.3f}</title>" in figure
    control = worst.control_success
    assert f"<title>interval {control + worst.low:.3f} to {control + worst.high:.3f}</title>" in figure
    assert f"<title>the margin ends at {control + worst.margin:.3f}</title>" in figure
    assert len(re.findall("other seed", figure)) == 8  # two other seeds of four methods
    names = [test.name for test in run_records[0].tests if test.step in ("behavioural", "resistant")]
    assert sorted(drawn) == sorted(names)


def test_do_nothing_comes_from_presence_where_no_reference_record_has_it(run_records: list[Record]) -> None:
    """Fails if a page without reference records shows an attack without what it gets from the untouched target."""
    alone = run_records[:1]
    presence = next(test for test in alone[0].tests if (test.step, test.name) == ("presence", "paraphrase"))
    figure = next(str(one.figure) for one in attack_bars(subjects(alone), alone) if one.title == "paraphrase")
    assert f"<title>do nothing: {presence.success:.3f}</title>" in figure


def test_words_under_a_figure_name_who_failed(run_records: list[Record]) -> None:
    """Fails if a failed or unscored method is left out of the words, or guard off counts as passing."""
    for one in attack_bars(subjects(run_records), run_records):
        step = "behavioural" if one.title == "direct_questions" else "resistant"
        for method, label in [
            ("npo", "npo"),
            ("ascent", "ascent"),
            ("random_label", "random_label+saliency"),
            ("retrain", "retrain"),
        ]:
            failed = any(not test.passed for test in held(run_records, method, one.title, step))
            named = label in one.words.removeprefix("Not passed by ").rstrip(".").split(", ")
            assert named is failed
    guarded = [make.record("refuse", guard="refusal", leaks={})]
    (off,) = [one for one in attack_bars(subjects(guarded), guarded) if one.title == "direct_questions, guard off"]
    assert off.words == "With the guard off the knowledge is there: refuse behind refusal."


def test_an_unscored_attack_is_drawn_as_its_reason() -> None:
    """Fails if an attack that was not run looks like one that found nothing."""
    records = [make.record("npo", without=("paraphrase",), unscored_attacks={"relearning": "needs weights"})]
    drawn = {one.title: one for one in attack_bars(subjects(records), records)}
    assert "<title>needs weights</title>" in str(drawn["relearning"].figure)
    assert "<title>not run</title>" in str(drawn["paraphrase"].figure)
    assert drawn["paraphrase"].words == "Unscored for npo."


def test_overview_says_difference_and_decision_of_every_attack(run_records: list[Record]) -> None:
    """Fails if a failing seed is hidden behind a passing one, or guard off enters, where passing means it leaked."""
    found = subjects(run_records)
    drawing = overview(found, run_records)
    assert drawing is not None
    cells = re.findall(r'<text [^>]*class="in (\w+)"[^>]*>([^<]+)</text>', str(drawing.figure))
    expected = []
    for name in [test.name for test in run_records[0].tests if test.step in ("behavioural", "resistant")]:
        for subject in found[:4]:
            tests = [test for step in ("behavioural", "resistant") for _, test in subject.tests(step, name)]
            worst = max(tests, key=lambda test: test.high - test.margin)
            failed = not all(test.passed for test in tests)
            sign = "+" if worst.estimate >= 0.0005 else ""
            words = f"{worst.estimate:.3f}".replace("-0.000", "0.000").replace("-", "−")
            expected.append(("bad" if failed else "good", f"{'✗' if failed else '✓'} {sign}{words}"))
    assert cells == expected
    assert overview(found[:1], run_records[:3]) is None
    mixed = [make.record("npo"), make.record("refuse", guard="refusal", leaks={})]
    both = overview(subjects(mixed), mixed)
    assert both is not None
    assert str(both.figure).count(">direct_questions</text>") == 1


def test_curves_are_the_outcomes_points_for_every_seed_and_control(run_records: list[Record]) -> None:
    """3 controls, do nothing once, 12 removals. Fails if seeds are averaged or the control's curve is missing."""
    (drawing,) = budget_curves(subjects(run_records), run_records)
    lines = re.findall(r'<path d="M([^"]+)" class="line (\w+)"><title>([^<]+)</title>', str(drawing.figure))
    assert [kind for _, kind, _ in lines].count("control") == 3
    assert [kind for _, kind, _ in lines].count("target") == 1
    assert len(lines) == 3 + 1 + 12
    curve = next(o.curve for o in run_records[0].outcomes if (o.attack, o.model) == ("relearning", "unlearned"))
    drawn = next(path for path, _, label in lines if label == "npo")
    points = [tuple(map(float, point.split())) for point in drawn.split("L")]
    for (x, y), (px, py) in zip(curve, points, strict=True):
        assert (px, py) == pytest.approx((46 + 376 * x / 40, 234 - 202 * y), abs=0.06)


def test_a_method_that_left_the_weights_alone_has_no_bar() -> None:
    """Fails if the target's own success is drawn under the method's name where nothing was judged."""
    records = [make.record("never_knew", found=False)]
    assert attack_bars(subjects(records), records) == ()
    assert isinstance(subjects(records)[0], Subject)
