"""The report in a real browser: drawn, readable on a phone, silent, and without any request."""

import io
import json
import shutil

import pytest
from busy_days import records
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from guardrail.audit.report import to_html
from guardrail.audit.totals import Totals

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs Chromium: apt-get install chromium chromium-driver"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    totals = Totals()
    for one in records(3000):
        totals.add(one)
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(to_html(totals, journal="clinical_scoring", made_at=1.8e9), "utf-8")
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


@pytest.fixture(params=[(1280, 1600), (390, 844)], ids=["desk", "phone"])
def opened(request, browser, page):
    wide, high = request.param
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": wide < 500},
    )
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
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    assert picture.size == (wide, high)
    assert len(picture.getcolors(1 << 24)) > 100
    for part in range(4):  # nothing of it is blank
        stripe = picture.crop((0, part * high // 4, wide, (part + 1) * high // 4))
        assert len(stripe.getcolors(1 << 24)) > 20, part


def test_the_smallest_text_can_be_read(opened):
    browser, *_ = opened
    smallest = browser.execute_script(
        "return Math.min(...[...document.querySelectorAll('svg text, span, td, p')].filter("
        "e => e.textContent.trim()).map(e => {const b = e.getBoundingClientRect();"
        "return b.height}))"
    )
    assert smallest >= 11
