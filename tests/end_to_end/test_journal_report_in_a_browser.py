"""The report in a real browser: drawn, readable on a phone, silent, and without any request."""

import io
import json
import shutil

import pytest
from busy_days import records
from PIL import Image
from records import record
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from guardrail.audit.report.aggregates import Aggregates
from guardrail.audit.report.report import to_html

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs Chromium: apt-get install chromium chromium-driver"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    totals = Aggregates()
    for one in records(3000):
        totals.add(one)
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(to_html(totals, journal="clinical_scoring", made_at=1.8e9), "utf-8")
    return file


@pytest.fixture(scope="module")
def long_page(tmp_path_factory):
    """A report in which every name is long and has no place to break."""
    totals, name = Aggregates(), "<b>" + "W" * 300
    for outcome in (
        "released",
        "denied",
        "blocked",
        "raised",
        "cancelled",
        "abandoned",
        "admitted",
    ):
        made = record(
            outcome=outcome, code=name, guard=name, version=name, revision=name, decision_id=name,
            principal=name, principal_type=name, action=name, policies=(name,),
            counts=((f"redact/{name}", 10**12), (f"quota/{name}/{name}", 10**12)),
        )  # fmt: skip
        for _ in range(3):
            totals.add(made)
    file = tmp_path_factory.mktemp("long") / "report.html"
    file.write_text(to_html(totals, journal=name, made_at=1.8e9), "utf-8")
    return file


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--hide-scrollbars", f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield made
    made.quit()


def hold(browser, wide, high):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": wide < 500},
    )


def picture_of(browser):
    return Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")


@pytest.fixture(params=[(1280, 1600), (390, 844)], ids=["desk", "phone"])
def opened(request, browser, page):
    wide, high = request.param
    hold(browser, wide, high)
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # what came before is another page's
    browser.get(page.as_uri())
    return browser, wide, high


def test_the_report_is_drawn_and_asks_nobody(opened):
    browser, wide, high = opened
    assert browser.get_log("browser") == []
    asked = [
        message["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('svg')].map(s => {"
        "const b = s.getBoundingClientRect();"
        "return [b.width, b.height, s.querySelectorAll('rect').length]})"
    )
    assert len(sizes) > 15
    assert all(width > 50 and height > 5 for width, height, _ in sizes)
    assert sum(rects for *_, rects in sizes) > 100
    assert browser.execute_script("return document.documentElement.scrollWidth") <= wide
    picture = picture_of(browser)
    assert picture.size == (wide, high)
    assert len(picture.getcolors(1 << 24)) > 100
    for part in range(4):  # nothing of it is blank
        stripe = picture.crop((0, part * high // 4, wide, (part + 1) * high // 4))
        assert len(stripe.getcolors(1 << 24)) > 20, part


def test_the_smallest_text_can_be_read(opened):
    browser, *_ = opened
    smallest = browser.execute_script(
        "return Math.min(...[...document.querySelectorAll('svg text, span, td, p')].filter("
        "e => e.textContent.trim() && e.getClientRects().length)"
        ".map(e => e.getBoundingClientRect().height))"
    )
    assert smallest >= 11


@pytest.mark.parametrize("wide", [320, 390, 700, 1280])
def test_nothing_is_wider_than_the_page_whatever_the_names_and_with_all_tables_open(
    browser, page, long_page, wide
):
    hold(browser, wide, 844)
    for file in (page, long_page):
        browser.get(file.as_uri())
        browser.execute_script("document.querySelectorAll('details').forEach(d => {d.open = true})")
        assert browser.execute_script("return document.querySelectorAll('details').length") == 3
        assert browser.execute_script("return document.documentElement.scrollWidth") <= wide
        outside = browser.execute_script(
            "return [...document.querySelectorAll('.card *, .sum *')].filter(e =>"
            "!e.closest('.sideways') && e.getBoundingClientRect().right > innerWidth)"
            ".map(e => e.outerHTML.slice(0, 80))"
        )
        assert outside == []


def test_tables_are_opened_by_the_keyboard(browser, page):
    hold(browser, 1280, 900)
    browser.get(page.as_uri())
    summary = browser.find_element("css selector", "summary")
    table = browser.find_element("css selector", "details table")
    assert not table.is_displayed()
    summary.send_keys("\n")
    assert table.is_displayed()


def test_the_page_is_dark_where_that_is_preferred(browser, page):
    hold(browser, 1280, 900)
    shades = []
    for scheme in ("light", "dark"):
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )
        browser.get(page.as_uri())
        shades.append(sum(picture_of(browser).getpixel((2, 2))))
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert shades[0] > 600 > 150 > shades[1]


@pytest.mark.parametrize("span_s", [0.1, 2, 50, 700, 7e3, 1e5, 2e6, 4e7, 9e8])
def test_what_is_written_at_a_plot_stays_in_its_card_and_apart(browser, tmp_path, span_s):
    totals = Aggregates()
    for number in range(200):
        totals.add(record(started_at=1.7e9 + number * span_s / 199, model_s=10.0 ** -(number % 7)))
    file = tmp_path / "report.html"
    file.write_text(to_html(totals, journal="j", made_at=1.8e9), "utf-8")
    for wide in (320, 1280):
        hold(browser, wide, 844)
        browser.get(file.as_uri())
        plots = browser.execute_script(
            "return [...document.querySelectorAll('.below')].map(b => {"
            "const c = b.closest('.card').getBoundingClientRect();"
            "return [c.left, c.right, [...b.children].filter(e => e.getClientRects().length)"
            ".map(e => {const r = e.getBoundingClientRect(); return [r.left, r.right]})]})"
        )
        assert len(plots) == 2
        for left, right, texts in plots:
            assert len(texts) >= 1
            ends = [left, *(end for text in texts for end in text), right]
            assert ends == sorted(ends), (wide, ends)
