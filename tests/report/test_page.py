"""The page as text: self-contained, escaped, small, and without what is to be forgotten."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import report_records as make

from expunge.facts.record import Record
from expunge.report import page as paging
from expunge.report.page import render, write


def test_hostile_strings_are_text(odd_page: str) -> None:
    """Names, settings, reasons and the title. Fails if autoescape is off anywhere: the template, the figures, a macro."""
    assert odd_page.count("<script") == 1
    assert "<img" not in odd_page
    assert "49" not in re.findall(r"<h1>(.*?)</h1>", odd_page)[0]
    assert odd_page.count(html.escape(make.HOSTILE, quote=False).replace("'", "&#39;").replace('"', "&#34;")) > 5


def test_the_page_is_one_file_that_loads_nothing(run_page: str, odd_page: str) -> None:
    """No address, no source, no import anywhere. Fails if a font, picture or script is fetched, or a link leaves the page."""
    for page in (run_page, odd_page):
        assert re.findall(r"https?:|//[a-z]", html.unescape(re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL))) == []
        assert re.findall(r"<(?:link|iframe|object|embed|form|base|img|audio|video)\b", page) == []
        assert re.findall(r"\bsrc=|@import|url\(", re.sub(r"&lt;img src=x", "", page)) == []
        assert set(re.findall(r'href="(.)', page)) == {"#"}


def test_policy_forbids_the_network_and_names_the_page_s_own_style_and_script(run_page: str) -> None:
    """Against hashes taken here. Fails if the policy allows inline code, or a changed script keeps the old hash."""
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]+)"', run_page)[0])
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", run_page, flags=re.DOTALL)
        assert rules[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'"
    assert (rules["default-src"], rules["base-uri"], rules["form-action"]) == ("'none'",) * 3
    assert len(rules) == 5
    assert re.findall(r'\sstyle="|\son\w+="', run_page) == []


def test_forget_text_is_absent_unless_handed_over() -> None:
    """Fails if text is joined without being asked for, or is not escaped, or the page does not warn of it."""
    record = make.record("npo")
    secret = "Ann Lee lives at 4 Elm Row <b>now</b>"
    held = record.model_copy(update={"request": {**record.request, "reason": secret}})
    bare = render([held], title="t")
    assert "Elm Row" not in bare
    assert "no text of what was to be forgotten" in bare
    joined = render([held], title="t", with_text={"people/0003": secret})
    assert joined.count("Ann Lee lives at 4 Elm Row &lt;b&gt;now&lt;/b&gt;") == 1
    assert "This page holds text of the rows to be forgotten" in joined
    lost = render([held], title="t", with_text={"row 3": secret})
    assert "Elm Row" not in lost
    assert "no text was joined" in lost


class _Outline(HTMLParser):
    """Checks that tags close in order, and collects ids and links."""

    VOID = frozenset({"meta", "wbr", "input", "line", "rect", "path"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.ids += [named["id"]] if named.get("id") else []
        self.links += [named["href"].removeprefix("#")] if named.get("href") else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_markup_is_well_formed_and_every_link_has_its_place(run_page: str, odd_page: str) -> None:
    """Fails if a tag is left open or closed out of order, or the navigation points nowhere."""
    for page in (run_page, odd_page):
        outline = _Outline()
        outline.feed(page)
        assert outline.open == []
        assert len(set(outline.ids)) == len(outline.ids)
        assert set(outline.links) == set(outline.ids)


def test_two_requests_are_two_chapters() -> None:
    """Fails if a page of two requests mixes their rows, repeats an id, or a certificate of one chapter is lost."""
    records = [make.record("npo"), make.record("ssd", request="digits", n=60), make.record("ascent")]
    page = render(records, title="Two", with_text={"people/0059": "seen"})
    people, digits = page.split('<div class="chapter" id="of-2">')
    assert '<div class="chapter" id="of">' in people
    assert "One request with 80 rows to forget; 2 methods" in people
    assert "One request with 60 rows to forget; 1 method;" in digits
    assert "ssd" not in re.sub(r"<nav.*?</nav>", "", people, flags=re.DOTALL)
    assert "ascent" not in re.sub(r"<pre>.*?</pre>", "", digits, flags=re.DOTALL)
    assert (people.count("<details data-id="), digits.count("<details data-id=")) == (80, 60)
    assert page.count("No claim on this page means more than this") == 1
    outline = _Outline()
    outline.feed(page)
    assert len(set(outline.ids)) == len(outline.ids) == 22
    assert set(outline.links) == set(outline.ids)


def test_the_same_records_give_the_same_bytes(run_records: list[Record], run_page: str) -> None:
    """Fails if a time, a random id or an unordered set enters the page."""
    assert render(run_records, title="Forty people, eighty facts") == run_page


@pytest.mark.parametrize(("methods", "seeds"), [(8, 1), (8, 3)])
def test_a_large_run_stays_under_one_and_a_half_megabytes(methods: int, seeds: int) -> None:
    """400 rows by 8 methods. Fails if rows are not cut, or what was cut is not said."""
    records = [make.record(f"method_{i}", n=400, seed=0, leaks={"relearning": 0.3}) for i in range(methods)]
    records = [
        record.model_copy(update={"method": record.method.model_copy(update={"seed": seed})})
        for record in records
        for seed in range(seeds)
    ]
    page = render(records, title="Large")
    assert len(page.encode()) < 1_500_000
    shown = page.count("<details data-id=")
    assert 100 <= shown < 400
    assert f"{shown} of 400 forget rows" in page
    assert f"The other {400 - shown} rows are in the records" in page


def test_write_leaves_the_page_and_nothing_else(
    tmp_path: Path, run_records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if a page that cannot be made destroys the one that was there, or a partial file is left."""
    path = tmp_path / "pages" / "run.html"
    write(path, run_records[:1], title="One")
    assert path.read_text(encoding="utf-8") == render(run_records[:1], title="One")

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(Exception, match="disk is full"):
        write(path, run_records[:1], title="Two")
    assert "<title>One</title>" in path.read_text(encoding="utf-8")
    assert [one.name for one in path.parent.iterdir()] == ["run.html"]


def test_templates_travel_with_the_package() -> None:
    """Fails if a template is not beside the code that reads it, as it is in a wheel."""
    folder = Path(paging.__file__).parent / "templates"
    assert {path.name for path in folder.iterdir()} == {
        "page.html.j2",
        "chapter.html.j2",
        "parts.html.j2",
        "style.css",
        "page.js",
    }


@pytest.mark.parametrize("change", ["bare", "references only", "few retrained", "item", "no claim"])
def test_a_page_can_be_made_of_little(change: str, run_records: list[Record]) -> None:
    """Fails if a missing part breaks the page or is filled with an invented value."""
    record = make.record("npo")
    records = {
        "bare": [
            record.model_copy(update=dict.fromkeys(("measurements", "outcomes", "tests", "splits", "models"), ()))
        ],
        "references only": run_records[-2:],
        "few retrained": [make.record("npo", retrained=1, groups=5)],
        "item": [make.record("npo", retrained=0, item=True)],
        "no claim": [record.model_copy(update={"claim": None})],
    }[change]
    page = render(records, title=change)
    said = {
        "bare": "The records keep no number a row.",
        "references only": "reference: shows the ruler, not a method",
        "few retrained": "intervals conditional on these 5 groups",
        "item": "judged against no retrained model",
        "no claim": "no claim was derived",
    }
    assert said[change] in page
