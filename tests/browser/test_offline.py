"""Without signal a page that is not on the phone says so, in the visitor's language, and who to call."""

import time
from collections.abc import Callable

import pytest
from live import PHONE, Site, log_in
from playwright.sync_api import BrowserContext, Page, expect
from wording import crew, shared

Open = Callable[..., BrowserContext]
WORDS = {"": (shared.NO_SIGNAL, "911"), "/es": (shared.NO_SIGNAL.es, "911")}
HEADINGS = {heading for heading, _number in WORDS.values()}


def without_signal(page: Page, address: str) -> None:
    """Opens a page with the signal gone, once the worker keeps the page that says so."""
    page.evaluate("async () => { await navigator.serviceWorker.ready }")
    page.context.set_offline(True)
    deadline = time.monotonic() + 60
    page.goto(address)
    # Chromium tells a worker that has only just begun of the lost signal a moment late.
    while page.locator("h1").inner_text() not in HEADINGS and time.monotonic() < deadline:
        page.goto(address)


@pytest.mark.parametrize("prefix", WORDS)
def test_a_resident_who_has_reported(site: Site, open_context: Open, prefix: str) -> None:
    page = open_context(**PHONE).new_page()
    page.goto(site.path(f"{prefix}/report"))
    page.locator("label.tile").first.click()
    page.fill("#place", "339 Heron Street")
    page.locator("#send").click()
    page.wait_for_selector("form.same, #link")
    if "/sent/" not in page.url:
        page.locator('form.same button[value="send"]').last.click()
        page.wait_for_url("**/sent/**")
    without_signal(page, site.path(f"{prefix}/cases"))
    heading, number = WORDS[prefix]
    expect(page.locator("h1")).to_have_text(heading)
    expect(page.locator(f'main a[href="tel:{number}"]')).to_be_visible()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background != "rgba(0, 0, 0, 0)", "the style sheet is kept too"


@pytest.mark.parametrize("prefix", WORDS)
def test_a_crew_on_a_page_that_is_not_its_own(site: Site, open_context: Open, prefix: str) -> None:
    page = open_context(**PHONE).new_page()
    log_in(page, site, "crew1@demo.test", f"{prefix}/crew")
    page.wait_for_selector("a.job")
    without_signal(page, site.path(f"{prefix}/me"))
    expect(page.locator("h1")).to_have_text(WORDS[prefix][0])


def test_a_form_being_filled_in_stays_when_the_signal_goes(site: Site, open_context: Open) -> None:
    page = open_context(**PHONE).new_page()
    log_in(page, site, "crew1@demo.test", "/crew")
    page.locator('li[data-stop="now"] a.job').tap()
    page.locator("[data-done]").tap()
    form = page.wait_for_selector("form:has([data-camera])")
    page.context.set_offline(True)
    expect(page.locator("#sync")).to_contain_text(crew.OFFLINE)
    page.evaluate("new Promise((done) => setTimeout(done, 300))")  # a drawing would have come by now
    assert form.evaluate("form => form.isConnected")
