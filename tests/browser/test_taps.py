"""In aeroplane mode, from Today: a job is closed by four taps, and by seven at most with a photo."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from closings import CREW, give_jobs, kept, pictures, wait_for
from live import Site, log_in
from phone import Van
from playwright.sync_api import Page, expect
from sqlalchemy import select
from wording import crew, shared

from city.db import engine as db
from city.db.models import Device
from city.people.accounts import THE_SYSTEM
from sync import devices

pytestmark = pytest.mark.one_database
# How many jobs are drawn, each by itself or in a ring with its number.
ON_THE_MAP = """() => document.querySelectorAll(".crewmap a.pin").length
  + [...document.querySelectorAll(".crewmap .clusterpin b")].reduce((n, b) => n + Number(b.textContent), 0)"""
IN_THE_CAMERA = 2  # the shutter, and "use this photo"


class Thumb:
    """Taps and counts."""

    def __init__(self, page: Page) -> None:
        self.page, self.taps = page, 0

    def tap(self, selector: str) -> None:
        self.page.locator(selector).tap()
        self.taps += 1


def test_closing_takes_four_taps_and_seven_with_a_photo(van: Van, site: Site, tmp_path: Path) -> None:
    plain, proven = refs = give_jobs(site, 2)
    log_in(van.page, site, CREW, "/crew")
    van.page.wait_for_selector(f'a.job[href="#job/{proven}"]')
    van.wait_until_kept()
    van.kill()
    page = van.start(signal=False)

    without = Thumb(page)
    without.tap(f'a.job[href="#job/{plain}"]')
    without.tap("[data-done]")
    without.tap('label:has(input[value="fixed:dark"])')
    without.tap("form .button--act")
    page.wait_for_selector("#undo:not([hidden])")
    assert without.taps == 4

    photo = tmp_path / "after.jpg"
    photo.write_bytes(base64.b64decode(pictures(refs)[proven]))
    proof = Thumb(page)
    proof.tap(f'a.job[href="#job/{proven}"]')
    proof.tap("[data-done]")
    with page.expect_file_chooser() as camera:
        proof.tap('label:has(input[value="fixed:photo"])')
    camera.value.set_files(photo)
    page.wait_for_selector("[data-drop]")
    proof.tap("form .button--act")
    page.wait_for_selector("#main [data-list]")
    assert proof.taps + IN_THE_CAMERA <= 7
    closed = {op["case"]: op for op in kept(page).ops()}
    assert set(closed) == set(refs)
    assert [len(closed[ref]["photos"]) for ref in refs] == [0, 1]


def test_a_closing_that_lacks_something_says_what_and_leads_there(van: Van, site: Site) -> None:
    [ref] = give_jobs(site, 1)
    page = van.page
    log_in(page, site, CREW, "/crew")
    page.locator(f'a.job[href="#job/{ref}"]').tap()
    page.locator("[data-done]").tap()
    fault, save = page.locator(".dock .errors"), page.locator("form .button--act")
    save.tap()
    expect(fault).to_have_text(crew.CHOOSE_OUTCOME)
    assert page.evaluate("document.activeElement.value") == "fixed:photo"
    with page.expect_file_chooser():  # and the crew takes no photo
        page.locator('label:has(input[value="fixed:photo"])').tap()
    expect(fault).to_be_hidden()
    expect(save).to_contain_text(f"{shared.FIXED}, {crew.NO_PHOTO_YET}")
    save.tap()
    expect(fault).to_have_text(shared.EVIDENCE_MISSING)
    assert page.evaluate("document.activeElement.hasAttribute('data-camera')")
    page.locator('label:has(input[value="fixed:dark"])').tap()
    expect(fault).to_be_hidden()
    save.tap()
    page.wait_for_selector("#undo:not([hidden])")


def test_the_map_of_today_follows_what_the_city_says_and_stays_where_it_is(van: Van, site: Site) -> None:
    [ref] = give_jobs(site, 1)
    page = van.page
    log_in(page, site, CREW, "/crew")
    page.wait_for_selector(f'a.job[href="#job/{ref}"]')
    page.locator('#tabs a[href="#map"]').tap()
    page.wait_for_selector(".crewmap .leaflet-marker-icon")
    shown = page.evaluate(ON_THE_MAP)
    page.evaluate("document.querySelector('.leaflet-map-pane').looked = true")
    give_jobs(site, 1)
    page.evaluate("window.dispatchEvent(new Event('online'))")
    wait_for(lambda: page.evaluate(ON_THE_MAP) == shown + 1, page)
    assert page.evaluate("document.querySelector('.leaflet-map-pane').looked")
    before = page.locator("[data-fill=count]").inner_text()
    with db.transaction(site.engine) as s:
        for device in s.scalars(
            select(Device).where(Device.person_id.is_not(None), Device.revoked_at.is_(None))
        ):
            devices.revoke(s, site.settings.var, device, by=THE_SYSTEM, at=datetime.now(UTC))
    page.evaluate("window.dispatchEvent(new Event('online'))")
    wait_for(lambda: page.evaluate(ON_THE_MAP) == 0, page)
    assert page.locator("[data-fill=count]").inner_text() != before
    page.locator('#tabs a[href="#today"]').tap()
    expect(page.locator(".crewempty h2")).to_have_text(crew.NO_JOBS_ON_PHONE)


def test_what_was_made_safe_says_so_and_saved_stands_on_no_other_jobs_form(van: Van, site: Site) -> None:
    safe, other = give_jobs(site, 2)
    page = van.page
    log_in(page, site, CREW, "/crew")
    page.locator(f'a.job[href="#job/{safe}"]').tap()
    van.context.set_offline(True)
    page.locator("[data-done]").tap()
    page.locator('label:has(input[value="make_safe"])').tap()
    page.locator("form .button--act").tap()
    page.wait_for_selector("#undo:not([hidden])")
    expect(page.locator(f'a.job[href="#job/{safe}"]')).to_contain_text(
        crew.NOT_SENT_YET(what=shared.MADE_SAFE)
    )
    page.locator(f'a.job[href="#job/{other}"]').tap()
    expect(page.locator("#undo")).to_be_visible()
    page.locator("[data-done]").tap()
    expect(page.locator("#undo")).to_be_hidden()
