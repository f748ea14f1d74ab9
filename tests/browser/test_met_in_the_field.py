"""A crew meets a problem without signal and reports it, or reports and closes it: the city hears it once."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from closings import CREW, LATER, kept, pictures, send_now, wait_for
from live import Site, log_in, wait_until_begun
from phone import Van
from playwright.sync_api import Page, expect
from sqlalchemy import select
from wording import crew, resident, shared

from city.audit import events
from city.db import engine as db
from city.db.models import Case, Photo, Report

pytestmark = pytest.mark.one_database
TANSY = {"latitude": 39.5975, "longitude": -71.2056, "accuracy": 9}
ONLY, AND_CLOSE = "form .button--act", 'form button[value="close"]'


def stand(van: Van, **where: Any) -> Page:
    """The phone, which knows where it is."""
    van.context.grant_permissions(["geolocation"])
    van.context.set_geolocation(TANSY | where)
    return van.page


def cold(van: Van, site: Site, **where: Any) -> Page:
    """A cold start without signal, at the form."""
    log_in(van.page, site, CREW, "/crew")
    van.page.wait_for_selector("a.job")
    van.wait_until_kept()
    van.kill()
    van.start(signal=False)
    return form(stand(van, **where))


def form(page: Page) -> Page:
    page.locator('a[href="#report"]').tap()
    page.wait_for_selector("form #place")
    return page


# What was written stands, and cannot be read back, nor once more.
UNREAD = """() => {
  const { get } = IDBObjectStore.prototype;
  let times = 2;
  IDBObjectStore.prototype.get = function (key) {
    if (this.name !== "ops" || this.transaction.mode !== "readonly") return get.call(this, key);
    if (!--times) IDBObjectStore.prototype.get = get;
    throw new DOMException("broken", "UnknownError");
  };
}"""
HERE = '[data-if="here"]:not([hidden])'  # the phone has said where it is


def choose(page: Page, service: str) -> None:
    page.locator('label.tile:has(input[name="group"])').first.tap()
    page.locator(f'label.chip:has(input[value="{service}"])').tap()


def photograph(page: Page, folder: Path, name: str) -> None:
    picture = folder / f"{name}.jpg"
    picture.write_bytes(base64.b64decode(pictures([name])[name]))
    page.locator("[data-camera]").set_input_files(picture)
    page.wait_for_selector("[data-drop]")


def met(site: Site, page: Page) -> Case:
    """The case that the phone's report came to, with its report and what its photos are."""
    [op] = [op for op in kept(page).ops() if op["t"] == "report"]
    with db.read_session(site.engine) as s:
        report = s.scalars(select(Report).where(Report.key == op["id"].replace("-", ""))).one()
        assert (report.channel, report.place_source, report.accuracy_m) == ("crew", "gps", 9.0)
        case = s.get_one(Case, report.case_id)
        _ = [*case.closures, *case.assignments, *case.reports, *report.photos]
        assert events.verify(s) == []
        return case


def test_a_problem_is_reported_and_closed_without_signal_and_survives_kills(
    van: Van, site: Site, tmp_path: Path
) -> None:
    page = cold(van, site)
    expect(page.locator('[data-if="here"]')).to_contain_text(
        resident.WITHIN_FROM_PHONE(distance="30\u00a0ft")
    )
    choose(page, "light-flickering")
    photograph(page, tmp_path, "before")
    page.fill("#saw", "Flickers and hums.")
    page.fill("#place", "Behind the mill")
    page.locator("#place").blur()
    wait_until_begun(page, "Behind the mill")
    van.kill()

    van.start(signal=False)
    page = stand(van)
    expect(page.locator('a[href="#report"]')).to_contain_text(crew.UNFINISHED_REPORT)
    form(page)
    expect(page.locator("#saw")).to_have_value("Flickers and hums.")
    expect(page.locator('input[value="light-flickering"]')).to_be_checked()
    expect(page.locator("[data-drop]")).to_have_count(1)
    page.locator(AND_CLOSE).tap()
    page.wait_for_selector('input[value="fixed:photo"]')
    photograph(page, tmp_path, "after")
    page.wait_for_timeout(300)
    van.kill()

    page = van.start(signal=False, path="/crew#today")
    page.locator("a.job", has_text="Behind the mill").tap()
    page.locator("[data-done]").tap()
    expect(page.locator("[data-drop]")).to_have_count(1)
    expect(page.locator('input[value="fixed:photo"]')).to_be_checked()
    page.locator("form .button--act").tap()
    expect(page.locator("a.job", has_text="Behind the mill")).to_contain_text(
        crew.NOT_SENT_YET(what=shared.FIXED)
    )
    page.locator('#tabs a[href="#outbox"]').tap()
    expect(page.locator(".entry").first).to_contain_text(f"{crew.NEW_PROBLEM_REPORTED}, {crew.PHOTOS(1)}")
    expect(page.locator("#sync")).to_contain_text(crew.TO_SEND(count=3))
    assert {op["t"]: op["n"] for op in kept(page).ops()} == {"report": 1, "start": 2, "close": 3}

    van.context.set_offline(False)
    log_in(page, site, CREW, "/crew")  # the session went with the power
    page.locator('#tabs a[href="#outbox"]').tap()
    expect(page.locator("#sync")).to_contain_text(crew.ALL_SENT, timeout=90_000)
    case = met(site, page)
    [report], [closing] = case.reports, case.closures
    assert (case.state, case.outcome, case.service_code) == ("closed", "fixed", "light-flickering")
    assert report.words == "Flickers and hums.\nBehind the mill"
    assert report.address == "near 207 Anselm Street"  # what the city itself calls that point
    with db.read_session(site.engine) as s:
        photos = s.scalars(select(Photo).where(Photo.case_id == case.id, Photo.stored_at.is_not(None))).all()
        assert {(photo.report_id, photo.closure_id) for photo in photos} == {
            (report.id, None), (None, closing.id)
        }  # fmt: skip
    expect(page.locator(".entry", has_text=crew.NEW_PROBLEM_REPORTED)).to_contain_text(
        re.compile(crew.RECEIVED_AS_CASE(time=".+", number=case.number))
    )
    page.locator('#tabs a[href="#today"]').tap()
    expect(page.locator(f'a.job[href="#job/{case.number}"]')).to_contain_text(shared.FIXED)


def test_a_report_that_the_phone_calls_not_kept_is_saved_again_as_the_same(van: Van, site: Site) -> None:
    page = cold(van, site, accuracy=60)
    page.wait_for_selector(HERE)
    choose(page, "light-out")
    page.evaluate(UNREAD)
    page.locator(ONLY).tap()
    expect(page.locator("[data-fill=fault]")).to_be_visible()
    stand(van, accuracy=9)
    page.wait_for_timeout(1_000)
    page.locator(ONLY).tap()
    page.wait_for_selector("#main [data-list]")
    assert [(op["t"], op["data"]["accuracy"]) for op in kept(page).ops()] == [("report", 60)]


def test_a_form_says_where_it_was_begun_and_one_only_looked_at_is_none(van: Van, site: Site) -> None:
    page = cold(van, site)
    lat = page.locator("form [name=lat]")
    now, then = page.get_by_text(shared.WHERE_YOU_ARE), page.get_by_text(crew.WHERE_STARTED)
    expect(lat).to_have_value("39.5975")
    page.locator(".jobhead a").tap()
    expect(page.locator('a[href="#report"]')).not_to_contain_text(crew.UNFINISHED_REPORT)
    form(stand(van, latitude=39.6, accuracy=8))
    expect(lat).to_have_value("39.6")
    expect(now).to_be_visible()
    choose(page, "light-out")
    wait_until_begun(page, "light-out")
    page.locator(".jobhead a").tap()
    expect(page.locator('a[href="#report"]')).to_contain_text(crew.UNFINISHED_REPORT)
    form(stand(van, latitude=39.61, accuracy=7))
    expect(then).to_be_visible()
    expect(now).to_be_hidden()
    assert lat.input_value() == "39.6"
    page.locator("[data-locate]").tap()
    expect(lat).to_have_value("39.61")
    expect(now).to_be_visible()
    expect(page.locator("[data-locate]")).to_be_hidden()


def test_a_problem_for_others_is_on_today_until_the_city_has_it(van: Van, site: Site) -> None:
    van.context.add_init_script(LATER)
    log_in(van.page, site, CREW, "/crew")
    van.page.wait_for_selector("a.job")
    van.context.set_offline(True)
    page = form(stand(van))
    page.wait_for_selector(HERE)
    choose(page, "wire-down")
    expect(page.locator(".stop-back")).to_be_visible()
    expect(page.locator(".stop-back")).to_contain_text(shared.STAY_BACK(number=911))
    page.locator(ONLY).tap()
    page.locator("[data-undo]").tap()
    expect(page.locator("#undo")).to_be_hidden()
    expect(page.locator('input[value="wire-down"]')).to_be_checked()
    assert kept(page).ops() == []
    page.fill("#saw", "Over the crossing.")
    page.locator(ONLY).tap()
    row = page.locator("a.job", has_text=crew.OWN_PLACE)  # the demo may have a wire down too
    row.wait_for()
    assert [op["t"] for op in kept(page).ops()] == ["report"]
    own = row.get_attribute("href") or ""

    van.context.set_offline(False)
    send_now(page)
    wait_for(lambda: not kept(page).waiting, page)
    case = met(site, page)
    assert (case.state, case.urgent, case.assignments) == ("new", True, [])
    page.evaluate("hash => { location.hash = hash }", own)
    expect(page.locator("main")).to_contain_text(crew.IS_CASE(number=case.number))


def test_going_back_from_the_closing_mends_the_report_and_keeps_both(
    van: Van, site: Site, tmp_path: Path
) -> None:
    page = cold(van, site)
    page.context.add_init_script("(at => { Date.now = () => at })(Date.now())")  # the time for Undo lasts
    page.reload()
    page.wait_for_selector(HERE)
    choose(page, "light-out")
    page.locator(AND_CLOSE).tap()
    page.wait_for_selector('input[value="fixed:photo"]')
    photograph(page, tmp_path, "after")
    page.locator("[data-back]").tap()
    page.wait_for_selector("form #place")
    assert kept(page).ops() == []
    choose(page, "light-all-day")
    page.locator(AND_CLOSE).tap()
    expect(page.locator("main h1")).to_contain_text("Streetlight on during the day")
    expect(page.locator("[data-drop]")).to_have_count(1)


def test_what_is_missing_is_said_and_nothing_is_lost(van: Van, site: Site) -> None:
    page = cold(van, site, accuracy=400)
    fault = page.locator(".dock .errors")
    page.fill("#saw", "Here.")
    page.locator(ONLY).tap()
    expect(fault).to_have_text(shared.CHOOSE_TYPE)
    assert page.evaluate("document.activeElement.name") == "group"
    choose(page, "light-out")
    expect(fault).to_be_hidden()
    page.locator("[data-elsewhere]").tap()
    expect(page.locator("#place")).to_be_focused()
    page.locator(ONLY).tap()
    expect(fault).to_contain_text(crew.PLACE_MISSING)
    page.locator("[data-locate]").tap()
    expect(page.locator('[data-if="here"]')).to_contain_text(
        resident.WITHIN_FROM_PHONE(distance="0.2\u00a0mi")
    )
    page.locator(ONLY).tap()
    expect(fault).to_contain_text(crew.LOCATION_NOT_EXACT)
    page.fill("#place", "214 Tansy Street")
    page.locator(ONLY).tap()
    page.locator("a.job", has_text="214 Tansy Street").first.wait_for()
    [op] = kept(page).ops()
    assert (op["data"]["words"], op["data"]["address"], op["data"]["accuracy"]) == (
        "Here.",
        "214 Tansy Street",
        400,
    )


def test_the_report_is_written_by_keyboard_alone(van: Van, site: Site) -> None:
    log_in(van.page, site, CREW, "/crew")
    van.page.wait_for_selector("a.job")
    page = stand(van)
    page.locator('a[href="#report"]').press("Enter")
    page.locator('input[name="group"]').first.press("Space")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.value") == "light-out"
    page.keyboard.press("ArrowDown")
    page.locator("#place").press("Enter")  # which sends nothing
    expect(page.locator('[data-if="here"]')).to_be_visible()
    page.locator(AND_CLOSE).press("Enter")
    expect(page.locator("main h1")).to_contain_text("Flickering streetlight")
    page.locator("[data-back]").press("Enter")
    expect(page.locator('input[value="light-flickering"]')).to_be_checked()
