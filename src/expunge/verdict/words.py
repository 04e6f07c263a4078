"""A test that did not pass, in words a person can read."""

from __future__ import annotations

from expunge.facts.record import Test


def in_words(test: Test) -> str:
    """Return what a test found and why it did not pass."""
    about = test.name if test.step != "noise_floor" else f"{test.name} of {test.subject}"
    if test.unscored is not None or test.estimate is None or test.low is None or test.high is None:
        return f"{about}: unscored, {test.unscored}"
    margin = test.margin or 0.0
    sides = f"{_short(test.success)} against {_short(test.control_success)} ({test.against})"
    if test.step == "utility":
        return f"{about}: utility {sides}; the loss may be {_short(-test.low)}, the margin is {_short(margin)}"
    if test.kind == "equivalence":
        between = f"the difference lies between {_short(test.low)} and {_short(test.high)}"
        return f"{about}: {sides}; {between}, the margin is {_short(margin)} either way"
    if test.kind == "superiority":
        return f"{about}: {sides}; the knowledge is not shown to be there with the guard off"
    if test.high >= margin:
        return f"{about}: success {sides}; the difference may be {_short(test.high)}, the margin is {_short(margin)}"
    visible = _short(test.smallest_visible)
    return f"{about}: cannot see its margin of {_short(margin)}; the smallest visible difference is {visible}"


def _short(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"
