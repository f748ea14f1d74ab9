"""What came of a crew's work is read before it is put away: each answer by itself, and all of it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from closings import CREW, LATER, give_jobs, kept, wait_for
from live import Site, log_in, outbox
from phone import Van
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select
from test_too_soon import SAVE, begin_report, go, photograph, ready
from wording import crew

from city.cases import transitions
from city.db import engine as db
from city.db.models import Case
from city.people import accounts

pytestmark = pytest.mark.one_database

# The photos' bytes go, as where a browser let go of them; the reserve stays.
FORGET = """() => new Promise((done) => {
  indexedDB.open("outbox").onsuccess = ({ target: { result: base } }) => {
    const tx = base.transaction("chunks", "readwrite");
    tx.oncomplete = () => (base.close(), done());
    const chunks = tx.objectStore("chunks");
    chunks.getAllKeys().onsuccess = ({ target }) =>
      target.result.filter((key) => key !== "reserve").forEach((key) => chunks.delete(key));
  };
})"""

# As another tab undoes it, of which this one has not heard.
UNDONE = """() => new Promise((done) => {
  indexedDB.open("outbox").onsuccess = ({ target: { result: base } }) => {
    const tx = base.transaction(["ops", "kv"], "readwrite");
    tx.oncomplete = () => (base.close(), done());
    tx.objectStore("ops").clear();
    tx.objectStore("kv").delete("mark");
  };
})"""


def cancelled(site: Site, refs: list[str]) -> None:
    with db.transaction(site.engine) as s:
        dana = accounts.actor(accounts.by_email(s, "dispatcher@demo.test"))
        for case in s.scalars(select(Case).where(Case.number.in_(refs))):
            transitions.cancel(s, case, "withdrawn", by=dana, at=datetime.now(UTC))


def close(page: Page, ref: str) -> None:
    go(page, f"#close/{ref}")
    page.locator('label:has(input[value="fixed:dark"])').tap()
    page.locator(SAVE).tap()
    page.wait_for_selector("#main [data-list]")


def answered(van: Van, n: int) -> None:
    """With signal again, and after the ten seconds; until so many answers are here."""
    van.page.evaluate("window.later(11)")
    van.context.set_offline(False)
    van.page.evaluate("window.dispatchEvent(new Event('online'))")
    wait_for(lambda: len(outbox(van.page, "sent")) == n, van.page)


# The page's own clock tells when: between two commands of ours a busy machine puts any time.
AND_AGAIN = """([x, y, ms]) => addEventListener("click", () =>
  setTimeout(() => document.elementFromPoint(x, y)?.click(), ms), { capture: true, once: true })"""


def tap_twice(page: Page, there: Locator, ms: int) -> None:
    """On one spot, whatever lies there by then."""
    page.wait_for_timeout(500)  # an exchange may just draw the screen anew
    there.scroll_into_view_if_needed()
    box = there.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.evaluate(AND_AGAIN, [x, y, ms])
    page.touchscreen.tap(x, y)


@pytest.mark.parametrize("ms", [60, pytest.param(300, marks=pytest.mark.full)])
def test_a_double_tap_puts_away_one_answer(van: Van, site: Site, ms: int) -> None:
    van.context.add_init_script(LATER)
    refs = ready(van, site, 3)
    page = van.page
    for ref in refs:
        close(page, ref)
    cancelled(site, refs)
    answered(van, 3)
    go(page, "#outbox")
    rows = page.locator("[data-attention] [data-dismiss]")
    expect(rows).to_have_count(3)
    tap_twice(page, rows.first, ms)
    page.wait_for_timeout(1_000)
    expect(rows).to_have_count(2)
    rows.first.tap()  # the next is meant by then
    expect(rows).to_have_count(1)


@pytest.mark.parametrize("ms", [60, pytest.param(300, marks=pytest.mark.full)])
def test_a_double_tap_on_start_does_not_pause(van: Van, site: Site, ms: int) -> None:
    [ref] = ready(van, site)
    go(van.page, f"#job/{ref}")
    start = van.page.locator("[data-act=start]")
    expect(start).to_be_visible()
    tap_twice(van.page, start, ms)
    van.page.wait_for_timeout(1_000)
    assert [op["t"] for op in kept(van.page).ops()] == ["start"]


def test_an_answer_is_read_beside_what_became_of_its_photo(van: Van, site: Site, tmp_path: Path) -> None:
    van.context.add_init_script(LATER)
    [ref] = ready(van, site)
    page = van.page
    go(page, f"#close/{ref}")
    photograph(page, tmp_path, "after")
    page.wait_for_selector("[data-drop]")
    page.locator(SAVE).tap()
    page.wait_for_selector("#main [data-list]")
    page.evaluate(FORGET)
    cancelled(site, [ref])
    answered(van, 1)
    wait_for(lambda: bool(outbox(page, "photos")[0].get("refused")), page)
    go(page, "#outbox")
    row = page.locator("[data-attention] .entry")
    expect(row).to_contain_text(crew.PHOTO_GONE)
    expect(row).to_contain_text(crew.CASE_CANCELED)
    row.locator("[data-dismiss]").tap()
    expect(page.locator("[data-sent] .entry")).to_contain_text(crew.CASE_CANCELED)


def test_too_late_to_take_back_is_said(van: Van, site: Site) -> None:
    van.context.add_init_script(LATER)
    [ref] = ready(van, site)
    page = van.page
    close(page, ref)
    answered(van, 1)
    van.context.set_offline(True)  # an exchange would draw the screen anew
    go(page, "#outbox")
    back = page.locator("[data-withdraw]:visible")
    expect(back).to_have_count(1)
    page.wait_for_timeout(500)  # the screen that says that there is no signal is drawn before it is later
    page.evaluate("window.later(601)")
    back.tap()
    expect(page.locator("#undo")).to_contain_text(crew.TOO_LATE_TO_UNDO)


def test_what_another_tab_has_undone_is_not_too_late(van: Van, site: Site) -> None:
    [ref] = ready(van, site)
    van.context.set_offline(True)
    page = van.page
    close(page, ref)
    go(page, "#outbox")
    page.evaluate(UNDONE)
    page.locator("[data-withdraw]:visible").tap()
    expect(page.locator(".entry")).to_have_count(0)
    expect(page.locator("#undo")).not_to_contain_text(crew.TOO_LATE_TO_UNDO)


def test_one_form_in_two_tabs_loses_nothing_that_was_called_saved(van: Van, site: Site) -> None:
    give_jobs(site, 1)
    page = van.page
    log_in(page, site, CREW, "/crew")
    page.wait_for_selector("a.job")
    begin_report(page, "214 Tansy Street")
    page.wait_for_timeout(700)
    other = van.context.new_page()
    other.goto(site.path("/crew#report"))
    expect(other.locator("#place")).to_have_value("214 Tansy Street")
    van.context.set_offline(True)
    page.bring_to_front()
    page.locator(SAVE).tap()
    page.wait_for_selector("#main [data-list]")
    other.bring_to_front()
    for place in ("8 Anselm Street", "9 Anselm Street"):
        begin_report(other, place)
        other.wait_for_timeout(700)
        other.locator(SAVE).tap()
        other.wait_for_selector("#main [data-list]")
        go(other, "#report")
        expect(other.locator("#place")).to_have_value("")
    told = [op["data"]["address"] for op in sorted(kept(other).ops(), key=lambda op: op["n"])]
    assert told == ["214 Tansy Street", "8 Anselm Street", "9 Anselm Street"]
