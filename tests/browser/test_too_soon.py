"""Taps that come sooner than a crew's phone is ready for: twice, or while a photo is still made small."""

import base64
from pathlib import Path

import pytest
from closings import CREW, LATER, give_jobs, kept, pictures, wait_for
from live import Site, log_in, outbox
from phone import Van
from playwright.sync_api import Page, expect
from wording import crew

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

# Photos are made small only once the test says so, as on a slow phone.
SLOW = """() => {
  const real = window.createImageBitmap;
  const opened = new Promise((resolve) => (window.openPhotos = resolve));
  window.createImageBitmap = async (...given) => {
    await opened;
    return real(...given);
  };
}"""
# Taps where the first photo stood as soon as the next stands there.
ONE_MORE = """(button) => {
  const shots = button.closest("[data-shots]");
  const watch = new MutationObserver(() => {
    watch.disconnect();
    setTimeout(() => shots.querySelector("[data-drop]").click()); // a finger comes between two tasks
  });
  watch.observe(shots, { childList: true });
}"""
# The disk fails the next time that something is to go from it.
HOLDS_ON = """() => {
  const real = IDBObjectStore.prototype.delete;
  IDBObjectStore.prototype.delete = function () {
    IDBObjectStore.prototype.delete = real;
    throw new DOMException("not now", "UnknownError");
  };
}"""
# A disk that takes longer over it than the time in which a second tap counts as none.
SLOW_TO_LET_GO = """() => {
  const real = IDBObjectStore.prototype.delete;
  IDBObjectStore.prototype.delete = function (...told) {
    for (const until = performance.now() + 500; performance.now() < until; );
    return real.apply(this, told);
  };
}"""
TWICE = "(control) => { control.click(); control.click(); }"
# Taps, and once more as the next screen is on its way.
AS_IT_GOES = """(control) => {
  window.addEventListener("hashchange", () => control.click(), { once: true });
  control.click();
}"""
# Two pictures at once, of which the first cannot be read any more.
ONE_IS_GONE = """(picture) => {
  const real = Blob.prototype.arrayBuffer;
  Blob.prototype.arrayBuffer = function () {
    return this.size === 3 ? Promise.reject(new DOMException("gone", "NotFoundError")) : real.call(this);
  };
  const bytes = Uint8Array.from(atob(picture), (each) => each.charCodeAt(0));
  const both = new DataTransfer();
  both.items.add(new File(["abc"], "gone.jpg", { type: "image/jpeg" }));
  both.items.add(new File([bytes], "after.jpg", { type: "image/jpeg" }));
  const camera = document.querySelector("[data-camera]");
  camera.multiple = true;
  camera.files = both.files;
  camera.dispatchEvent(new Event("change", { bubbles: true }));
}"""
# The first reading of a page's disk fails.
UNREAD = """(() => {
  const real = IDBObjectStore.prototype.getAll;
  let failed = false;
  IDBObjectStore.prototype.getAll = function (...given) {
    if (failed) return real.apply(this, given);
    failed = true;
    throw new DOMException("not now", "UnknownError");
  };
})()"""
# The service worker could not keep the page when it was first asked to.
NOT_KEPT = """(() => {
  const real = ServiceWorker.prototype.postMessage;
  ServiceWorker.prototype.postMessage = function (message, ports) {
    if (message.word !== "keep" || window.refused) return real.call(this, message, ports);
    window.refused = true;
    ports[0].postMessage(false);
  };
})()"""
# What would be shown for some ten seconds goes after three.
SOON_OVER = """() => {
  const real = window.setTimeout;
  window.setTimeout = (what, ms, ...given) => real(what, ms > 9000 && ms < 10000 ? 3000 : ms, ...given);
}"""
FULL = """() => {
  const real = IDBObjectStore.prototype.put;
  IDBObjectStore.prototype.put = () => { throw new DOMException("full", "UnknownError"); };
  window.free = () => { IDBObjectStore.prototype.put = real; };
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


def forms(page: Page) -> list[str]:
    """What was begun and not saved; beside it lies what may be undone."""
    return [key for key in outbox(page, "drafts", "getAllKeys") if not key.startswith("undo:")]


def drawn_anew(page: Page) -> None:
    """As at the end of an exchange."""
    page.evaluate("document.querySelector('#main').firstElementChild.dataset.old = 'yes'")
    page.evaluate("window.dispatchEvent(new Event('offline'))")
    page.wait_for_selector("#main > [data-old]", state="detached")


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


def begin_report(page: Page, place: str) -> None:
    go(page, "#report")
    page.locator('label.tile:has(input[name="group"])').first.tap()
    page.locator('label.chip:has(input[value="light-out"])').tap()
    page.fill("#place", place)


def photograph(page: Page, folder: Path, *names: str) -> None:
    for name, picture in pictures(list(names)).items():
        file = folder / f"{name}.jpg"
        file.write_bytes(base64.b64decode(picture))
        page.locator("[data-camera]").set_input_files(file)


def closing_with_a_slow_photo(van: Van, site: Site, folder: Path) -> Page:
    """The closing of a job that was made safe, its photo not made small before the test says so."""
    [ref] = ready(van, site)
    go(van.page, f"#close/{ref}")
    van.page.locator('label:has(input[value="make_safe"])').tap()
    van.page.evaluate(SLOW)
    photograph(van.page, folder, "after")
    return van.page


def test_save_waits_for_a_photo_that_is_still_made_small(van: Van, site: Site, tmp_path: Path) -> None:
    page = closing_with_a_slow_photo(van, site, tmp_path)
    page.locator(SAVE).tap()
    expect(page.locator(".dock [role=status]")).to_have_text(crew.SAVING_PHOTO)
    assert kept(page).ops() == []
    page.evaluate("window.openPhotos()")
    page.wait_for_selector("#main [data-list]")
    page.wait_for_timeout(300)
    [op] = kept(page).ops()
    assert (op["t"], [photo["id"] for photo in op["photos"]]) == ("make_safe", list(kept(page).hashes))
    assert forms(page) == []


def test_going_back_from_that_wait_saves_nothing_and_loses_nothing(
    van: Van, site: Site, tmp_path: Path
) -> None:
    page = closing_with_a_slow_photo(van, site, tmp_path)
    page.locator(SAVE).tap()
    page.locator("[data-back]").tap()
    page.wait_for_selector("[data-done]")
    page.evaluate("window.openPhotos()")
    page.wait_for_timeout(500)
    assert kept(page).ops() == []
    page.locator("[data-done]").tap()
    expect(page.locator("[data-drop]")).to_have_count(1)
    expect(page.locator('input[value="make_safe"]')).to_be_checked()


def test_a_form_opened_again_waits_for_the_photo_it_was_left_with(
    van: Van, site: Site, tmp_path: Path
) -> None:
    page = closing_with_a_slow_photo(van, site, tmp_path)
    page.locator("[data-back]").tap()
    page.locator("[data-done]").tap()
    expect(page.locator('input[value="make_safe"]')).to_be_checked()
    page.locator(SAVE).tap()
    page.evaluate("window.openPhotos()")
    page.wait_for_selector("#main [data-list]")
    [op] = kept(page).ops()
    assert [photo["id"] for photo in op["photos"]] == list(kept(page).hashes)
    assert forms(page) == []


def test_a_photo_removed_while_the_form_waits_for_another_stays_removed(
    van: Van, site: Site, tmp_path: Path
) -> None:
    [ref] = ready(van, site)
    page = van.page
    go(page, f"#close/{ref}")
    photos = page.locator("[data-drop]")
    photograph(page, tmp_path, "one")
    expect(photos).to_have_count(1)
    page.locator('label:has(input[value="make_safe"])').tap()
    page.evaluate(SLOW)
    photograph(page, tmp_path, "two")
    page.locator("[data-back]").tap()
    page.locator("[data-done]").tap()
    expect(photos).to_have_count(1)
    photos.tap()
    page.locator(SAVE).tap()
    page.evaluate("window.openPhotos()")
    page.wait_for_selector("#main [data-list]")
    [op] = kept(page).ops()
    assert len(op["photos"]) == 1
    assert [photo["id"] for photo in op["photos"]] == list(kept(page).hashes)


def test_a_photo_that_the_disk_would_not_let_go_is_removed_by_the_next_tap(
    van: Van, site: Site, tmp_path: Path
) -> None:
    [ref] = ready(van, site)
    page = van.page
    go(page, f"#close/{ref}")
    photograph(page, tmp_path, "one")
    photos = page.locator("[data-drop]")
    expect(photos).to_have_count(1)
    page.evaluate(HOLDS_ON)
    with page.expect_console_message(lambda message: "not now" in message.text):
        photos.tap()
    page.wait_for_timeout(600)
    expect(photos).to_have_count(1)
    photos.tap()
    expect(photos).to_have_count(0)
    assert kept(page).hashes == {}


def test_what_is_chosen_while_the_form_waits_for_a_photo_stays_chosen(
    van: Van, site: Site, tmp_path: Path
) -> None:
    page = closing_with_a_slow_photo(van, site, tmp_path)
    page.locator("[data-back]").tap()
    page.locator("[data-done]").tap()
    page.locator('label:has(input[value="needs_parts"])').tap()
    page.evaluate("window.openPhotos()")
    expect(page.locator("[data-drop]")).to_have_count(1)
    page.wait_for_timeout(300)
    page.locator("[data-back]").tap()
    page.locator("[data-done]").tap()
    expect(page.locator("[data-drop]")).to_have_count(1)
    expect(page.locator('input[value="needs_parts"]')).to_be_checked()


def test_a_report_takes_its_photo_along_and_leaves_the_next_none(
    van: Van, site: Site, tmp_path: Path
) -> None:
    ready(van, site)
    page = van.page
    begin_report(page, "214 Tansy Street")
    page.evaluate(SLOW)
    photograph(page, tmp_path, "before")
    page.locator(SAVE).tap()
    expect(page.locator(".dock [role=status]").last).to_have_text(crew.SAVING_PHOTO)
    page.evaluate("window.openPhotos()")
    page.wait_for_selector("#main [data-list]")
    [op] = kept(page).ops()
    assert len(op["photos"]) == 1
    go(page, "#report")
    page.wait_for_selector("form #place")
    expect(page.locator("[data-drop]")).to_have_count(0)


@pytest.mark.parametrize("disk", [SLOW_TO_LET_GO, "() => {}"], ids=["slow", "quick"])
def test_removing_a_photo_twice_removes_one(van: Van, site: Site, tmp_path: Path, disk: str) -> None:
    [ref] = ready(van, site)
    page = van.page
    go(page, f"#close/{ref}")
    photograph(page, tmp_path, "one", "two", "three")
    photos = page.locator("[data-drop]")
    expect(photos).to_have_count(3)
    page.evaluate(disk)
    photos.first.evaluate(ONE_MORE)
    photos.first.evaluate(TWICE)
    expect(photos).to_have_count(2)
    page.wait_for_timeout(600)
    expect(photos).to_have_count(2)
    assert len(kept(page).hashes) == 2
    photos.first.tap()
    expect(photos).to_have_count(1)


def test_who_wants_the_next_form_before_the_last_has_gone_gets_a_new_one(van: Van, site: Site) -> None:
    ready(van, site)
    page = van.page
    begin_report(page, "214 Tansy Street")
    page.evaluate("addEventListener('hashchange', () => { location.hash = '#report' }, { once: true })")
    page.locator(SAVE).tap()
    expect(page.locator("#place")).to_have_value("")
    begin_report(page, "8 Anselm Street")
    page.locator(SAVE).tap()
    page.wait_for_selector("#main [data-list]")
    assert sorted(op["data"]["address"] for op in kept(page).ops()) == ["214 Tansy Street", "8 Anselm Street"]


def test_the_next_report_does_not_take_the_last_one_s_place(van: Van, site: Site) -> None:
    ready(van, site)
    page = van.page
    undo = page.locator("[data-undo]")
    begin_report(page, "214 Tansy Street")
    page.locator(SAVE).tap()
    page.wait_for_selector("#main [data-list]")
    expect(undo).to_be_visible()
    begin_report(page, "8 Anselm Street")
    expect(undo).to_be_hidden(timeout=1_000)  # long before it would go by itself
    page.locator(SAVE).tap()
    undo.tap()
    expect(page.locator("#place")).to_have_value("8 Anselm Street")
    page.locator(SAVE).tap()
    page.wait_for_selector("#main [data-list]")
    assert {op["data"]["address"] for op in kept(page).ops()} == {"214 Tansy Street", "8 Anselm Street"}


def test_undo_draws_the_form_anew_where_the_crew_is_there_already(van: Van, site: Site) -> None:
    [ref] = ready(van, site)
    page = van.page
    go(page, f"#close/{ref}")
    page.locator('label:has(input[value="fixed:dark"])').tap()
    page.locator(SAVE).tap()
    page.wait_for_selector("#main [data-list]")
    page.go_back()
    expect(page.locator("main form")).to_have_count(0)
    page.locator("[data-undo]").tap()
    expect(page.locator('input[value="fixed:dark"]')).to_be_checked()
    assert kept(page).ops() == []


def test_what_has_the_focus_keeps_it_as_the_screen_is_drawn_anew(van: Van, site: Site) -> None:
    refs = ready(van, site, 2)
    page = van.page
    for ref in refs:
        go(page, f"#close/{ref}")
        page.locator('label:has(input[value="fixed:dark"])').tap()
        page.locator(SAVE).tap()
        page.wait_for_selector("#main [data-list]")
    go(page, "#outbox")
    rows = page.locator("[data-waiting] .entry")
    expect(rows).to_have_count(2)
    back = rows.nth(1).locator("[data-withdraw]")
    back.focus()
    drawn_anew(page)
    expect(back).to_be_focused()

    page.wait_for_timeout(3_000)  # a page that has just been opened keeps the focus where it is
    go(page, "#today")
    title = page.locator("#main h1")
    expect(title).to_be_focused()
    drawn_anew(page)
    expect(title).to_be_focused()


def test_where_an_exchange_draws_the_screen_first_its_title_has_the_focus_too(van: Van, site: Site) -> None:
    ready(van, site)
    page = van.page
    go(page, "#outbox")
    page.wait_for_timeout(3_000)  # a page that has just been opened keeps the focus where it is
    page.evaluate(
        "history.replaceState(null, '', '#today')"
    )  # as between the tap and what the page hears of it
    drawn_anew(page)
    page.wait_for_selector("#main [data-list]")
    page.evaluate("dispatchEvent(new HashChangeEvent('hashchange'))")
    expect(page.locator("#main h1")).to_be_focused()


def test_a_button_that_goes_as_it_is_pressed_leaves_the_focus_on_the_title(van: Van, site: Site) -> None:
    [ref] = ready(van, site)
    page = van.page
    go(page, f"#job/{ref}")
    page.locator("[data-act=start]").press("Enter")
    expect(page.locator("[data-act=pause]")).to_be_visible()
    expect(page.locator("#main h1")).to_be_focused()
    go(page, "#today")
    row = page.locator(f'a.job[href="#job/{ref}"]')
    expect(row).to_contain_text(crew.STARTED)
    page.wait_for_timeout(500)  # or it would be a double tap
    row.tap()
    page.locator("[data-act=pause]").tap()
    expect(page.locator("[data-act=start]")).to_be_visible()
    go(page, "#today")
    expect(row.get_by_text(crew.STARTED)).to_be_hidden()


def test_taking_back_twice_asks_the_city_once(van: Van, site: Site) -> None:
    van.context.add_init_script(LATER)
    [ref] = ready(van, site)
    page = van.page
    go(page, f"#close/{ref}")
    page.locator('label:has(input[value="fixed:dark"])').tap()
    page.locator(SAVE).tap()
    page.wait_for_selector("#main [data-list]")
    page.evaluate("window.later(11)")
    go(page, "#outbox")
    page.locator("[data-withdraw]").evaluate(TWICE)
    expect(page.locator("[data-waiting] .entry")).to_have_count(2)
    page.wait_for_timeout(500)
    assert sorted(op["t"] for op in kept(page).ops()) == ["close", "withdraw"]


def test_going_back_twice_from_the_closing_leads_to_the_report(van: Van, site: Site) -> None:
    ready(van, site)
    page = van.page
    begin_report(page, "214 Tansy Street")
    page.locator('form button[value="close"]').tap()
    page.wait_for_selector('input[value="fixed:photo"]')
    page.locator("[data-back]").evaluate(AS_IT_GOES)
    page.wait_for_timeout(500)
    expect(page.locator("#place")).to_have_value("214 Tansy Street")
    assert kept(page).ops() == []


def test_a_picture_that_has_gone_is_told_and_holds_up_no_other(van: Van, site: Site) -> None:
    [ref] = ready(van, site)
    page = van.page
    go(page, f"#close/{ref}")
    page.wait_for_selector("[data-camera]", state="attached")
    page.evaluate(ONE_IS_GONE, pictures(["after"])["after"])
    expect(page.locator("[data-drop]")).to_have_count(1)
    expect(page.locator("form .errors")).to_have_text(crew.PHOTO_UNREADABLE)
    assert page.locator("[data-camera]").input_value() == ""


def test_a_disk_that_is_not_read_at_the_start_is_read_the_next_time(van: Van, site: Site) -> None:
    van.context.add_init_script(UNREAD)
    log_in(van.page, site, CREW, "/crew")
    van.page.wait_for_selector("a.job")
    go(van.page, "#outbox")
    expect(van.page.locator("#main h1")).to_have_text(crew.OUTBOX)


def test_a_page_that_was_not_kept_is_kept_after_the_next_exchange(van: Van, site: Site) -> None:
    van.context.add_init_script(NOT_KEPT)
    log_in(van.page, site, CREW, "/crew")
    van.page.wait_for_selector("a.job")
    wait_for(lambda: bool(van.page.evaluate("window.refused")), van.page)
    van.page.evaluate("window.dispatchEvent(new Event('online'))")
    van.wait_until_kept()


def test_what_could_not_be_kept_so_far_is_said_until_it_is(van: Van, site: Site) -> None:
    ready(van, site)
    page = van.page
    go(page, "#report")
    faults = page.locator("form .errors")
    page.evaluate(FULL)
    page.locator('label.tile:has(input[name="group"])').first.tap()
    expect(faults).to_have_text(crew.DRAFT_NOT_KEPT)
    page.locator(SAVE).tap()
    expect(faults).to_have_text(crew.PLACE_MISSING)
    page.fill("#place", "Behind the school")  # kept as it is typed, and what else is wrong stays to be read
    page.wait_for_timeout(700)
    expect(faults).to_have_text(crew.PLACE_MISSING)
    page.locator('label.chip:has(input[value="light-out"])').tap()
    expect(faults).to_have_text(crew.DRAFT_NOT_KEPT)
    page.evaluate("window.free()")
    page.fill("#place", "Behind the old school")
    expect(faults).to_be_hidden()
    go(page, "#today")
    page.wait_for_selector("#main [data-list]")
    go(page, "#report")
    expect(page.locator("#place")).to_have_value("Behind the old school")


def test_what_went_wrong_stays_to_be_read_under_an_older_saved(van: Van, site: Site) -> None:
    closed, other = ready(van, site, 2)
    page = van.page
    page.evaluate(SOON_OVER)
    go(page, f"#close/{closed}")
    page.locator('label:has(input[value="fixed:dark"])').tap()
    page.locator(SAVE).tap()
    page.wait_for_selector("#undo:not([hidden])")
    page.evaluate(FULL)
    go(page, f"#job/{other}")
    page.locator("[data-act=start]").tap()
    words = page.locator("#undo", has_text=crew.NOT_KEPT)
    expect(words).to_be_visible()
    page.wait_for_timeout(3_000)
    expect(words).to_be_visible()
