"""A crew's map with its own place and its next job, and what a thumb reaches on a phone of 360 by 740."""

from collections.abc import Callable

import pytest
from closings import CREW, give_jobs, kept, wait_for
from live import PHONE, Site, log_in
from phone import Van
from playwright.sync_api import BrowserContext, Page, expect
from wording import crew

pytestmark = pytest.mark.one_database
Open = Callable[..., BrowserContext]
TANSY = {"latitude": 39.6, "longitude": -71.2, "accuracy": 25}
LEAST = 48  # px: what a thumb hits without looking
# Every control that can be seen: its words and its size. A box that lies in its label is as large as that.
TOPS = "(found) => found.map((each) => each.getBoundingClientRect().y)"
CONTROLS = """() => {
  const seen = (each) => each.offsetParent && getComputedStyle(each).visibility === "visible";
  const found = document.querySelectorAll("a[href], button, select, textarea, input:not([type=hidden])");
  return [...found].filter(seen).map((each) => {
    const box = (each.matches(".unseen, .tile > *, .chip > *") && each.closest("label")) || each;
    const { width, height } = box.getBoundingClientRect();
    const words = each.getAttribute("aria-label") || each.textContent.trim() || each.name || each.className;
    return [words, Math.round(width), Math.round(height)];
  });
}"""
LEFT = """() => new Promise((resolve) => {
  const opened = indexedDB.open("outbox", 1);
  opened.onsuccess = () => {
    const rows = opened.result.transaction("drafts").objectStore("drafts").getAllKeys();
    rows.onsuccess = () => resolve(rows.result.filter((key) => key.endsWith(":report")).length);
  };
})"""


def on_small(open_context: Open, site: Site, **more: object) -> Page:
    page = open_context(**PHONE, **more).new_page()
    log_in(page, site, CREW, "/crew")
    page.wait_for_selector("a.job")
    return page


def test_the_map_shows_where_the_crew_is_and_leads_to_its_next_job(open_context: Open, site: Site) -> None:
    near, *_ = give_jobs(site, 5)
    page = on_small(open_context, site, geolocation=TANSY, permissions=["geolocation"])
    first = page.locator("#main li[data-stop=now] a.job").get_attribute("href")
    page.locator('#tabs a[href="#map"]').tap()
    page.wait_for_selector(".crewmap path.youdot")
    assert page.locator(".crewmap path.fixring").count() == 1
    card = page.locator("[data-peek]")
    expect(card.locator("[data-job]")).to_have_attribute("href", first or "")
    expect(card.locator("[data-fill=far]")).not_to_be_empty()

    page.locator("[data-knob=here]").tap()
    page.wait_for_timeout(600)  # the map moves there
    page.locator(f'.crewmap a.pin[href="#job/{near}"]').tap()
    expect(card.locator("[data-job]")).to_have_attribute("href", f"#job/{near}")
    expect(card.locator("[data-fill=place]")).to_contain_text("100 Tansy Street")
    assert "39.6,-71.2" in (card.locator("[data-navigate]").get_attribute("href") or "")
    assert page.locator('.crewmap a.pin[aria-current="true"]').get_attribute("href") == f"#job/{near}"
    page.wait_for_timeout(600)
    page.locator(".crewmap").tap(position={"x": 30, "y": 30})  # beside every pin: the next job again
    expect(card.locator("[data-job]")).to_have_attribute("href", first or "")

    page.wait_for_timeout(600)  # two taps in haste zoom in, wherever they are; nobody's thumb is that fast
    page.locator("[data-knob=whole]").tap()
    expect(page.locator(".crewmap .clusterpin").first).to_be_visible()  # too near each other
    card.locator("[data-job]").tap()
    page.wait_for_selector("[data-done]")


def test_who_shares_no_location_has_the_map_and_is_told(open_context: Open, site: Site) -> None:
    page = on_small(open_context, site)
    page.locator('#tabs a[href="#map"]').tap()
    page.wait_for_selector(".crewmap .leaflet-marker-icon")
    page.locator("[data-knob=here]").tap()
    expect(page.locator("[data-fill=told]")).to_contain_text(crew.NO_FIX)
    expect(page.locator("[data-peek] [data-job]")).to_be_visible()


def test_every_control_has_room_for_a_thumb_and_the_main_ones_lie_in_the_lower_half(
    open_context: Open, site: Site
) -> None:
    (number,) = give_jobs(site, 1)
    page = on_small(open_context, site, geolocation=TANSY, permissions=["geolocation"])
    page.wait_for_selector(f'a.job[href="#job/{number}"]')
    screens = {
        "today": ["#tabs a"],
        "map": ["[data-peek] a", "#tabs a"],
        "outbox": ["#tabs a"],
        "setup": ["#tabs a"],
        f"job/{number}": ["[data-done]", "[data-navigate]", "[data-act=start]"],
        f"close/{number}": [".dock button"],
        f"wait/{number}": [".dock button"],
        "report": [".dock button"],
    }
    for screen, main in screens.items():
        page.goto(site.path(f"/crew#{screen}"))
        page.wait_for_selector("#main h1")
        if screen == "map":
            page.wait_for_selector(".crewmap .leaflet-marker-icon")
        small = [each for each in page.evaluate(CONTROLS) if min(each[1:]) < LEAST]
        assert not small, (screen, small)
        for action in main:
            expect(page.locator(action).first).to_be_visible()
            tops = page.locator(action).evaluate_all(TOPS)  # at once: a sync may draw the screen anew
            assert tops, (screen, action)
            assert min(tops) >= 740 / 2, (screen, action, tops)


def test_a_report_that_was_begun_can_be_thrown_away(open_context: Open, site: Site) -> None:
    page = on_small(open_context, site, geolocation=TANSY, permissions=["geolocation"])
    page.locator('a[href="#report"]').tap()
    expect(page.locator("[data-throw]")).to_be_hidden()  # nothing was begun
    page.fill("#saw", "A lamp hangs by its cable")
    wait_for(lambda: page.evaluate(LEFT) == 1, page)
    page.goto(site.path("/crew#today"))
    expect(page.locator('a[href="#report"]')).to_contain_text(crew.UNFINISHED_REPORT)
    page.locator('a[href="#report"]').tap()
    page.locator("[data-throw]").tap()
    page.locator("[data-sure] [data-keep]").tap()
    expect(page.locator("#saw")).to_have_value("A lamp hangs by its cable")
    page.locator("[data-throw]").tap()
    page.locator("[data-sure] [data-delete]").tap()
    page.wait_for_selector("#main [data-list]")
    expect(page.locator('a[href="#report"]')).not_to_contain_text(crew.UNFINISHED_REPORT)
    assert page.evaluate(LEFT) == 0


def test_whose_work_waits_on_a_phone_is_said_to_the_next_who_uses_it(van: Van, site: Site) -> None:
    (number,) = give_jobs(site, 1)
    page = van.page
    log_in(page, site, CREW, "/crew")
    page.locator(f'a.job[href="#job/{number}"]').tap()
    van.context.route("**/sync/v1/exchange", lambda route: route.abort())
    page.locator("[data-act=start]").tap()
    page.wait_for_selector("[data-act=pause]:not([hidden])")
    assert kept(page).waiting
    page.goto(site.path("/crew#setup"))
    page.locator("[data-leave]").tap()
    page.wait_for_selector("#code")
    expect(page.locator("[data-fill=others]")).to_contain_text("(1)")
    expect(page.locator("[data-fill=others]")).to_be_visible()

    log_in(page, site, "crew2@demo.test", "/crew")
    page.locator('#tabs a[href="#outbox"]').tap()
    expect(page.locator("#main [data-fill=others]")).to_be_visible()


def test_work_saved_as_a_file_says_where_it_is(open_context: Open, site: Site) -> None:
    (number,) = give_jobs(site, 1)
    page = on_small(open_context, site)
    page.locator(f'a.job[href="#job/{number}"]').tap()
    page.locator("[data-act=start]").tap()
    page.goto(site.path("/crew#outbox"))
    with page.expect_download() as told:
        page.locator("[data-save]").tap()
    expect(page.locator("#undo")).to_contain_text(told.value.suggested_filename)
