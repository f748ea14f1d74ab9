"""A crew without signal says that a job is of another type; the board takes it, and the phone shows it."""

from collections.abc import Callable

import pytest
from closings import CREW, LATER, give_jobs, kept, send_now, wait_for
from live import DESK_WITHOUT_WORKER, Site, log_in
from phone import Van
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select
from wording import city, crew, shared, staff

from city.db import engine as db
from city.db.models import Case

pytestmark = pytest.mark.one_database


def case_of(site: Site, number: str) -> Case:
    with db.read_session(site.engine) as s:
        return s.scalars(select(Case).where(Case.number == number)).one()


def propose(page: Page, ref: str, what: str) -> None:
    page.locator(f'a.job[href="#job/{ref}"]').tap()
    page.locator("[data-propose]").tap()
    page.locator(f'label.tile:has(input[value="{what}"])').tap()


def test_another_type_is_proposed_offline_taken_and_shown(
    van: Van, site: Site, open_context: Callable[..., BrowserContext]
) -> None:
    [ref] = give_jobs(site, 1)
    van.context.add_init_script(LATER)
    page = van.page
    log_in(page, site, CREW, "/crew")
    page.wait_for_selector(f'a.job[href="#job/{ref}"]')
    van.context.set_offline(True)

    propose(page, ref, "type")
    page.locator("form .button--act").tap()
    expect(page.locator(".dock .errors")).to_have_text(shared.CHOOSE_TYPE)
    expect(page.locator('label.chip:has(input[value="light-out"])')).to_be_hidden()
    page.locator('label.chip:has(input[value="pole-damaged"])').tap()
    page.locator("#propose-words").fill("The lamp works. The pole leans.")
    page.locator("form .button--act").tap()
    page.locator("[data-undo]").tap()
    expect(page.locator('input[value="pole-damaged"]')).to_be_checked()
    expect(page.locator("#propose-words")).to_have_value("The lamp works. The pole leans.")
    assert kept(page).ops() == []
    page.locator("form .button--act").tap()
    row = page.locator(f'a.job[href="#job/{ref}"]')
    expect(row).to_contain_text(city.STREETLIGHT_OUT)
    page.locator('#tabs a[href="#outbox"]').tap()
    expect(page.locator(".entry").first).to_contain_text(crew.ANOTHER_TYPE(type=city.DAMAGED_POLE))
    [op] = kept(page).ops()
    assert (op["t"], op["data"]["service"]) == ("propose", "pole-damaged")

    van.context.set_offline(False)
    send_now(page)
    wait_for(lambda: not kept(page).waiting, page)
    assert (case_of(site, ref).service_code, case_of(site, ref).review) == ("light-out", "proposed")

    board = open_context(**DESK_WITHOUT_WORKER).new_page()
    log_in(board, site, "dispatcher@demo.test", f"/dispatch/cases/{ref}")
    board.get_by_role("button", name=staff.CHANGE_TYPE_TO(type=city.DAMAGED_POLE)).click()
    expect(board.locator("#case-title")).to_contain_text(city.DAMAGED_POLE)

    send_now(page)
    expect(page.locator(".entry").first).to_contain_text(crew.PROPOSAL_TAKEN)
    page.locator('#tabs a[href="#today"]').tap()
    expect(row).to_contain_text(city.DAMAGED_POLE)


def test_another_place_is_where_the_phone_is_and_can_be_withdrawn(van: Van, site: Site) -> None:
    [ref] = give_jobs(site, 1)
    page = van.page
    van.context.add_init_script(LATER)
    van.context.grant_permissions(["geolocation"])
    van.context.set_geolocation({"latitude": 39.603, "longitude": -71.203, "accuracy": 12})
    log_in(page, site, CREW, "/crew")
    page.wait_for_selector(f'a.job[href="#job/{ref}"]')
    propose(page, ref, "place")
    page.locator("form .button--act").tap()
    expect(page.locator(".dock .errors")).to_have_text(crew.TAP_MY_LOCATION)
    page.locator("[data-locate]").tap()
    expect(page.locator("[data-if=here]")).to_be_visible()
    page.locator("form .button--act").tap()
    expect(page.locator("#undo")).to_be_visible()
    [op] = kept(page).ops()
    assert op["data"] == {"lat": 39.603, "lon": -71.203, "accuracy": 12}
    send_now(page)
    wait_for(lambda: case_of(site, ref).review == "proposed", page)
    page.locator(".entry [data-withdraw]").first.tap()
    wait_for(lambda: case_of(site, ref).review is None, page)
