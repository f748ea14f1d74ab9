"""Taps that come sooner than a crew's phone is ready for them: twice, or while a photo is still being made small."""

import base64
from pathlib import Path

import pytest
from closings import CREW, give_jobs, kept, pictures
from live import Site, log_in
from phone import Van
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.one_database
SAVE = "form .button--act"
# Taps Save again at the very moment at which that is possible, as a second tap of a gloved thumb does.
AND_AGAIN = """(button) => {
  const watch = new MutationObserver(() => {
    if (button.disabled) return;
    watch.disconnect();
    button.form.requestSubmit(button);
  });
  watch.observe(button, { attributes: true });
}"""


def ready(van: Van, site: Site, jobs: int = 1) -> list[str]:
    """The phone at its jobs and then without signal. Returns the numbers of new ones."""
    refs = give_jobs(site, jobs)
    log_in(van.page, site, CREW, "/crew")
    van.page.wait_for_selector(f'a.job[href="#job/{refs[-1]}"]')
    van.context.set_offline(True)
    return refs


def go(page: Page, address: str) -> None:
    page.evaluate("address => { location.hash = address }", address)


@pytest.mark.parametrize(("screen", "choice"), [("close", "fixed:dark"), ("wait", "weather")])
def test_saving_twice_saves_once(van: Van, site: Site, screen: str, choice: str) -> None:
    [ref] = ready(van, site)
    page = van.page
    go(page, f"#{screen}/{ref}")
    page.locator(f'label:has(input[value="{choice}"])').tap()
    page.locator(SAVE).evaluate(AND_AGAIN)
    page.locator(SAVE).tap()
    page.wait_for_selector("#main [data-list]")
    page.wait_for_timeout(500)
    assert [op["t"] for op in kept(page).ops()] == [screen]
