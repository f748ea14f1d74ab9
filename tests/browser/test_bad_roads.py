"""Between phone and city lie a hotel portal, a broken proxy, a lossy mile: none of them is the city."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from closings import CREW, LATER, arrived, assert_once, close_all, give_jobs, kept, send_now, wait_for
from live import Site, log_in
from phone import Van
from playwright.sync_api import Browser, expect
from portal import ANSWER_LOST, ANSWERS, CUT, REQUEST_LOST, Portal

pytestmark = pytest.mark.one_database
# What the phone makes of each. A redirect is followed by nobody: the request fails.
PROBLEMS = {
    "200 page": "portal", "302": "offline", "401": "login", "500": "server", "200 json": "portal",
    CUT: "portal",
}  # fmt: skip
SEED = 12  # within the first eleven requests an answer is lost and a request


@dataclass
class Road:
    """A crew's phone that reaches the city through a portal."""

    portal: Portal
    van: Van
    site: Site


@pytest.fixture
def road(browser: Browser, chromium: str, tmp_path: Path, site: Site) -> Iterator[Road]:
    portal = Portal(site.url)
    there = replace(site, url=portal.url)
    van = Van(browser.browser_type, chromium, tmp_path / "phone", there, LATER)
    yield Road(portal, van, there)
    van.kill()
    portal.close()


def at_work(road: Road, number: int) -> list[str]:
    """The phone, logged in and kept, with so many jobs, and no signal."""
    refs = give_jobs(road.site, number)
    log_in(road.van.page, road.site, CREW, "/crew")
    road.van.page.wait_for_selector(f'a.job[href="#job/{refs[-1]}"]')
    road.van.wait_until_kept()
    road.van.context.set_offline(True)
    return refs


def test_what_answers_in_the_citys_stead_is_no_success(road: Road) -> None:
    refs, page = at_work(road, 3), road.van.page
    ops = close_all(page, refs)
    road.portal.answer = next(iter(PROBLEMS))
    road.van.context.set_offline(False)
    assert set(PROBLEMS) == {*ANSWERS, CUT}
    for fate, problem in PROBLEMS.items():
        road.portal.answer, met = fate, road.portal.met[fate]
        fails = kept(page).fails or 0

        def has_met_it(fate: str = fate, problem: str = problem, met: int = met, fails: int = fails) -> bool:
            if road.portal.met[fate] == met:
                send_now(page)  # again: a tap while the phone tries by itself is none
            now = kept(page)
            return road.portal.met[fate] > met and (now.fails or 0) > fails and now.problem == problem

        wait_for(has_met_it, page)
        here = kept(page)
        assert [entry["op"] for entry in here.waiting if entry["op"]["t"] == "close"] == ops
        assert here.sent == []
        expect(page.locator("#sync")).to_contain_text("3")
        page.evaluate("location.hash = '#outbox'")
        expect(page.locator('[data-if="trouble"]')).to_be_visible()
    road.portal.answer = ""
    wait_for(lambda: tried_again(road, refs), page)
    assert_once(road.site, ops)


@pytest.mark.full
def test_five_of_a_hundred_lost_and_all_slow(road: Road) -> None:
    refs, page = at_work(road, 20), road.van.page
    ops = close_all(page, refs)
    road.portal.worsen(loss=0.05, delay=0.4, seed=SEED)
    road.van.context.set_offline(False)
    wait_for(lambda: tried_again(road, refs), page, within=300)
    assert road.portal.met[REQUEST_LOST]
    assert road.portal.met[ANSWER_LOST]
    assert_once(road.site, ops)


def tried_again(road: Road, refs: list[str]) -> bool:
    """Whether all arrived. As long as the last try failed, the crew taps again."""
    page = road.van.page
    here = kept(page)
    if here.problem or any(not entry.get("result") for entry in here.waiting):
        send_now(page)
    return not here.waiting and arrived(road.site, refs) == len(refs)
