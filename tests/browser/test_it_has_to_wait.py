"""A job that cannot go on now: the crew says why without signal, sees it on the job, and goes on later."""

import pytest
from closings import CREW, LATER, give_jobs, kept, send_now, wait_for
from live import Site, log_in
from phone import Van
from playwright.sync_api import Page, expect
from sqlalchemy import select
from wording import crew, shared

from city.cases import sla
from city.db import engine as db
from city.db.models import Case

pytestmark = pytest.mark.one_database


def stands(site: Site, number: str) -> tuple[str, str | None]:
    """The state of a case, and what it waits for."""
    with db.read_session(site.engine) as s:
        case = s.scalars(select(Case).where(Case.number == number)).one()
        return case.state, sla.waits_for(case) if case.state == "waiting" else None


def sent(page: Page) -> None:
    send_now(page)
    wait_for(lambda: not kept(page).waiting, page)


def test_a_job_waits_for_a_reason_and_goes_on(van: Van, site: Site) -> None:
    [ref] = give_jobs(site, 1)
    van.context.add_init_script(LATER)
    page = van.page
    log_in(page, site, CREW, "/crew")
    page.wait_for_selector(f'a.job[href="#job/{ref}"]')
    van.context.set_offline(True)
    page.locator(f'a.job[href="#job/{ref}"]').tap()
    page.locator("[data-wait]").tap()
    page.locator("form .button--act").tap()
    expect(page.locator(".dock .errors")).to_have_text(crew.CHOOSE_WAIT_REASON)
    assert page.evaluate("document.activeElement.value") == "parts"
    page.locator('label.tile:has(input[value="weather"])').tap()
    page.locator("form .button--act").tap()
    page.locator("[data-undo]").tap()
    expect(page.locator("#undo")).to_be_hidden()
    expect(page.locator('input[value="weather"]')).to_be_checked()
    assert kept(page).ops() == []
    page.locator("form .button--act").tap()
    row = page.locator(f'a.job[href="#job/{ref}"]')
    expect(row).to_contain_text(shared.WAITING_FOR_WEATHER)
    page.locator('#tabs a[href="#outbox"]').tap()
    expect(page.locator(".entry").first).to_contain_text(shared.WAITING_FOR_WEATHER)

    van.context.set_offline(False)
    sent(page)
    assert stands(site, ref) == ("waiting", "weather")
    page.locator('#tabs a[href="#today"]').tap()
    row.tap()
    expect(page.locator("main .promise").first).to_contain_text(shared.WAITING_FOR_WEATHER)
    expect(page.locator("[data-wait]")).to_be_hidden()
    page.locator("[data-act=resume]").tap()
    expect(page.locator("[data-act=start]")).to_be_visible()
    sent(page)
    assert stands(site, ref) == ("assigned", None)
