"""The page in a real browser: nothing clipped, nothing overflowing, nothing fetched, every control works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_records as make

from expunge.facts.record import Record
from expunge.report.page import render

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
)
PHONE, DESK = 390, 1280

Show = Callable[..., Any]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a headless Chromium; skip where there is none."""
    if not (CHROMIUM.exists() and DRIVER.exists()):
        pytest.skip(f"no browser: {CHROMIUM} or {DRIVER} is missing (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=str(DRIVER))
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(20)
    yield driver
    driver.quit()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Show:
    """Return a function that opens a page at a width, every section unfolded; the console must have stayed silent."""

    def open_page(page: str, width: int = DESK, *, scheme: str = "light", scripts: bool = True) -> Any:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.html"
        path.write_text(page, encoding="utf-8")
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        browser.get(path.as_uri())
        if scripts:
            browser.execute_script(
                "for (const d of document.querySelectorAll('details.block, .card details')) d.open = true"
            )
            assert browser.get_log("browser") == []
        return browser

    yield open_page  # type: ignore[misc]
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("which", ["run_page", "odd_page"])
def test_nothing_overflows_and_no_text_of_a_figure_is_clipped(
    show: Show, request: pytest.FixtureRequest, which: str, width: int
) -> None:
    """Fails if a long name widens the body, or a label, tick or reason leaves its picture."""
    driver = show(request.getfixturevalue(which), width)
    page, window = driver.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert page <= window == width
    texts, outside = driver.execute_script(
        """const outside = []; let texts = 0;
        for (const svg of document.querySelectorAll('svg.figure')) {
          const box = svg.getBoundingClientRect();
          for (const text of svg.querySelectorAll('text')) {
            const r = text.getBoundingClientRect(); texts += 1;
            if (r.left < box.left - .5 || r.right > box.right + .5 || r.top < box.top - .5 || r.bottom > box.bottom + .5)
              outside.push([svg.getAttribute('aria-label'), text.textContent, r.left - box.left, r.right - box.right]);
          }
        } return [texts, outside]"""
    )
    assert texts > 150
    assert outside == []


def test_labels_of_a_figure_do_not_cover_each_other(show: Show, run_page: str, odd_page: str) -> None:
    """Every pair of texts in every figure. Fails if names, ticks or values are placed without measuring."""
    for page in (run_page, odd_page):
        clashes = show(page).execute_script(
            """const clashes = [];
            for (const svg of document.querySelectorAll('svg.figure')) {
              const all = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
              all.forEach(([a, r], i) => all.slice(i + 1).forEach(([b, s]) => {
                const x = Math.min(r.right, s.right) - Math.max(r.left, s.left);
                const y = Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top);
                if (x > 1 && y > 3.5) clashes.push([svg.getAttribute('aria-label'), a, b, x, y]); }));
            } return clashes"""
        )
        assert clashes == []


def test_numbers_on_the_page_are_the_records(show: Show, run_page: str, run_records: list[Record]) -> None:
    """Means over seeds in the results, every number of every test. Fails if a column is shifted or a number is rounded away."""
    driver = show(run_page)
    rows = driver.execute_script(
        """return [...document.querySelectorAll('#results table')[0].tBodies[1].rows].map(row =>
        [row.cells[0].innerText.split(' ')[0].trim(), ...[...row.cells].slice(1).map(c => c.dataset.v ?? c.innerText)])"""
    )
    for row in rows:
        name = row[0].replace("\u2060", "").split("+")[0]
        for place, metric in enumerate(make.METRICS, 1):
            values = [
                m.score.value
                for r in run_records
                if r.method.name == name
                for m in r.measurements
                if (m.metric, m.split, m.model) == (metric, "forget", "unlearned")
            ]
            assert float(row[place]) == pytest.approx(np.mean(values), rel=1e-12)
        assert row[5].startswith("unscored")
    shown = driver.execute_script(
        """return [...document.querySelectorAll('details.tests')[0].querySelectorAll('tbody tr')].map(row =>
        [...row.querySelectorAll('td[data-v]')].map(cell => parseFloat(cell.dataset.v)))"""
    )
    tests = [
        t for r in run_records if r.method.name == "npo" for t in r.tests if t.step not in ("presence", "noise_floor")
    ]
    wanted = [[t.estimate, t.low, t.high, t.margin, t.smallest_visible] for t in tests if t.estimate is not None]
    assert sorted(row for row in shown if row) == sorted(
        [float(f"{x:.7g}") for x in row if x is not None] for row in wanted
    )


def test_rows_open_filter_and_reorder(show: Show, run_page: str, run_records: list[Record]) -> None:
    """By clicking and typing. Fails if a row does not open, shows another row's numbers, or the filter hides the wrong ones."""
    driver = show(run_page)
    row = driver.find_element("css selector", ".rows details[data-id='people/0042']")
    assert not row.find_element("css selector", "table").is_displayed()
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", row)
    row.find_element("css selector", "summary").click()
    assert row.find_element("css selector", "table").is_displayed()
    cells = {line.text.split(" (")[0]: line for line in row.find_elements("css selector", "tbody tr")}
    said = [cell.text for cell in cells["membership_min_k"].find_elements("css selector", "td")]
    outcome = next(o for o in run_records[0].outcomes if (o.attack, o.model) == ("membership_min_k", "unlearned"))
    assert float(said[1].replace("−", "-")) == pytest.approx(outcome.forget[42], abs=5e-4)

    box = driver.find_element("css selector", ".tools input")
    box.send_keys("0042")
    visible = [
        one.get_attribute("data-id")
        for one in driver.find_elements("css selector", ".rows details")
        if one.is_displayed()
    ]
    assert visible == ["people/0042"]
    box.clear()
    box.send_keys("\ue00d\ue003")  # space, backspace: an empty filter
    driver.find_element("css selector", ".tools select option[value=id]").click()
    ids = [one.get_attribute("data-id") for one in driver.find_elements("css selector", ".rows details")]
    assert ids == sorted(ids)
    assert len(ids) == 80


def test_a_table_sorts_its_methods_under_its_anchors(show: Show, run_page: str) -> None:
    """Fails if numbers are sorted as text, or anchors leave their place above the methods."""
    driver = show(run_page)
    table = driver.find_element("css selector", "#results table")
    before = [row.text for row in table.find_elements("css selector", "tr.anchor")]
    button = table.find_elements("css selector", "thead button")[1]
    for reverse in (False, True):
        button.click()
        values = [
            float(cell.get_attribute("data-v"))
            for cell in table.find_elements("css selector", "tbody:last-of-type td:nth-child(2)")
        ]
        assert values == sorted(values, reverse=reverse)
        assert len(values) == 4
    assert [row.text for row in table.find_elements("css selector", "tr.anchor")] == before
    differences = driver.execute_script(
        """const table = document.querySelector('details.tests table'); table.querySelectorAll('thead button')[5].click();
        return [...table.tBodies[0].rows].map(row => parseFloat(row.cells[5].dataset.v))"""
    )
    assert min(differences) < 0 < max(differences)
    assert differences == sorted(differences)


def test_without_scripts_the_page_reads_in_full(show: Show, run_page: str) -> None:
    """Fails if content waits for a script, or a control is shown that does nothing without one."""
    driver = show(run_page, scripts=False)
    row = driver.find_element("css selector", ".rows details")
    row.find_element("css selector", "summary").click()
    assert row.find_element("css selector", "table").is_displayed()
    assert not driver.find_element("css selector", ".tools").is_displayed()
    assert len(driver.find_elements("css selector", "#results tbody tr")) == 27


def test_no_script_of_a_record_runs_and_nothing_is_fetched(show: Show, odd_page: str) -> None:
    """Fails if a hostile name runs, or the policy lets a request leave: the browser itself must refuse it."""
    driver = show(odd_page)
    assert driver.execute_script("return [typeof window.hacked, performance.getEntriesByType('resource').length]") == [
        "undefined",
        0,
    ]
    refused = driver.execute_async_script(
        """const done = arguments[0];
        document.addEventListener('securitypolicyviolation', event => done(event.effectiveDirective), {once: true});
        fetch('https://127.0.0.1:1/x').then(() => done('left'), () => {});"""
    )
    assert refused == "connect-src"
    driver.get_log("browser")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_schemes(show: Show, run_page: str, scheme: str) -> None:
    """WCAG contrast of 4.5 for every text colour on its ground. Fails if one scheme's colours are left out."""
    pairs = show(run_page, scheme=scheme).execute_script(
        """const ground = e => { for (; e; e = e.parentElement) {
          const c = getComputedStyle(e).backgroundColor; if (!c.includes('rgba(0, 0, 0, 0)')) return c; } };
        return ['h1', '.lead', '.small', 'nav a', 'thead th', 'td small', '.anchor td', '.result.passed', '.result.failed',
          '.rows summary b', '.rows .t3', '.missing li', 'dt'].map(s => { const e = document.querySelector(s);
          return [s, getComputedStyle(e).color, ground(e)]; })"""
    )

    def luminance(colour: str) -> float:
        parts = np.array([float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
        linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for selector, colour, ground in pairs:
        high, low = sorted((luminance(colour), luminance(ground)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, selector
    grounds = {luminance(ground) for selector, _, ground in pairs if selector == "h1"}
    assert (max(grounds) > 0.8) is (scheme == "light")


def test_printing_hides_controls_and_unfolds_what_is_folded(show: Show, run_page: str) -> None:
    """By style, and by script where the style is not known. Fails if a printed page has a menu, leaves its tests folded

    away, or prints the table of every single row.
    """
    driver = show(run_page)
    driver.execute_script("for (const d of document.querySelectorAll('details')) d.open = false")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    shown = driver.execute_script(
        """return ['nav', '.tools', '.tests table', '.rows table'].map(s =>
        document.querySelector(s).checkVisibility({contentVisibilityAuto: true}))"""
    )
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert shown == [False, False, True, False]
    opened = driver.execute_script(
        """dispatchEvent(new Event('beforeprint'));
        return ['.tests', '.card details', '.rows details'].map(s => document.querySelector(s).open)"""
    )
    assert opened == [True, True, False]


def test_one_record_alone_is_a_whole_page(show: Show) -> None:
    """Fails if a page needs several methods, retrained models or text to stand."""
    page = render([make.record("npo", retrained=0, item=True)], title="One", with_text={"people/0003": make.HOSTILE})
    driver = show(page, PHONE)
    assert driver.execute_script("return document.documentElement.scrollWidth") == PHONE
    text = driver.find_element("css selector", ".rows .text").get_attribute("textContent")
    assert text == make.HOSTILE
