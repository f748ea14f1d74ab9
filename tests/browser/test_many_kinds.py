"""A city with 150 kinds of problem on a phone: searched while one types, chosen by keyboard, and offline."""

from collections.abc import Callable
from datetime import UTC, datetime

import manykinds
import pytest
from live import PHONE, PHONE_WITHOUT_WORKER, Site
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select

from city.config import versions as config_versions
from city.db import engine as db
from city.db.models import Person, PersonRole, Report
from city.lifecycle import ADMINISTRATOR
from city.people import accounts

Open = Callable[..., BrowserContext]
TARGETS = "#kind button, #kind summary, #kind input:not([type=hidden])"
AT = {"latitude": 39.6, "longitude": -71.2}


@pytest.fixture
def many(site: Site) -> Site:
    """The site with a city file of 150 kinds."""
    site.stop()
    with db.transaction(site.engine) as s:
        role = select(PersonRole.person_id).where(PersonRole.role == ADMINISTRATOR)
        by = accounts.actor(s.scalars(select(Person).where(Person.id.in_(role))).first())
        config_versions.publish(s, manykinds.toml(), "many.toml", by=by, at=datetime.now(UTC))
    site.start()
    return site


@pytest.fixture
def form(many: Site, open_context: Open) -> Page:
    page = open_context(**PHONE_WITHOUT_WORKER).new_page()
    page.goto(many.path("/report"))
    expect(page.locator("#kind-words")).to_be_visible()
    return page


def newest(site: Site) -> Report:
    with db.read_session(site.engine) as s:
        report = s.scalars(select(Report).order_by(Report.id.desc())).first()
        assert report is not None
        assert report.case
        return report


def test_the_kind_is_searched_and_chosen_by_keyboard_alone(many: Site, form: Page) -> None:
    form.locator("#kind-words").focus()
    form.keyboard.type("hidrant leeking")
    expect(form.locator("#kind-lines .kind").first).to_contain_text("Fire hydrant leaking")
    form.keyboard.press("Enter")  # looks again, and sends nothing
    form.wait_for_timeout(300)
    expect(form.locator("#kind-words")).to_be_focused()
    form.keyboard.press("Tab")
    if form.locator("#kind-lines .kind").first.evaluate("(each) => each !== document.activeElement"):
        form.keyboard.press("Tab")  # past the cross that empties the box
    expect(form.locator("#kind-lines .kind").first).to_be_focused()
    form.keyboard.press("Enter")
    expect(form.locator("#kind-chosen")).to_be_focused()
    expect(form.locator("#kind-chosen")).to_contain_text("Fire hydrant leaking")
    expect(form.locator("#kind-choice")).to_be_hidden()
    expect(form.locator("#kind-all")).to_be_hidden()
    expect(form.locator(f'[data-of="{manykinds.HYDRANT}"]')).to_be_visible()
    expect(form.locator("#kind-stop")).to_have_attribute("data-stop", "done")
    form.locator(f'label:has([name="answer-{manykinds.HYDRANT}-open"])').first.click()
    form.fill("#place", "20-118")
    form.keyboard.press("Tab")
    expect(form.locator("#place-card[data-known]")).to_be_attached()
    form.click("#send")
    expect(form.locator("h1")).to_be_visible()
    form.wait_for_url("**/sent/**")
    report = newest(many)
    assert (report.service_code, report.answers) == (manykinds.HYDRANT, {"open": "yes"})


def test_a_kind_is_changed_and_an_urgent_one_warns(form: Page) -> None:
    form.locator(".kindgroup summary").nth(2).click()
    form.locator(f'.kindgroup [value="kind {manykinds.DANGER}"]').click()
    expect(form.locator('[name="hurt"][value="yes"]')).to_be_checked()
    expect(form.locator(".stop-back")).to_be_visible()
    form.locator("#kind-chosen button").click()
    expect(form.locator("#kind-words")).to_be_focused()
    assert form.locator('[name="kind"]').input_value() == ""
    expect(form.locator("#kind-stop")).not_to_have_attribute("data-stop", "done")


def test_what_was_begun_comes_back_with_its_kind(form: Page) -> None:
    form.locator(".tiles--two .tile").first.click()
    expect(form.locator("#kind-chosen")).to_be_visible()
    chosen = form.locator('[name="kind"]').input_value()
    form.fill("#words", "Since Sunday")
    form.wait_for_timeout(900)  # kept on the phone
    form.reload()
    expect(form.locator("#words")).to_have_value("Since Sunday")
    expect(form.locator("#kind-chosen")).to_be_visible()
    assert form.locator('[name="kind"]').input_value() == chosen


def test_a_kind_is_chosen_and_the_report_kept_without_signal(many: Site, open_context: Open) -> None:
    context = open_context(**PHONE, geolocation=AT, permissions=["geolocation"])
    page = context.new_page()
    page.goto(many.path("/"))
    page.wait_for_function(
        "navigator.serviceWorker.ready.then(() => Boolean(navigator.serviceWorker.controller))"
    )
    page.wait_for_timeout(2000)  # its files are kept
    context.set_offline(True)
    page.goto(many.path("/report"))
    expect(page.locator("#kind-words")).to_be_visible()
    expect(page.locator(".kindgroup").first).to_have_css(
        "border-block-end-style", "solid"
    )  # its sheet is here
    page.fill("#kind-words", "rats")  # nobody can say; all groups are there
    page.locator(".kindgroup summary").nth(5).click()
    page.locator(f'.kindgroup [value="kind {manykinds.RATS}"]').click()
    expect(page.locator("#kind-chosen")).to_contain_text("Rats on the street")
    page.fill("#place", "214 Tansy Street")
    page.click("#send")
    page.wait_for_url("**/report#*")
    context.set_offline(False)
    page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_timeout(4000)
    assert newest(many).service_code == manykinds.RATS


@pytest.mark.parametrize("width", [320, 360, 1440])
def test_nothing_is_wider_than_the_page_and_all_is_large_enough(form: Page, width: int) -> None:
    form.set_viewport_size({"width": width, "height": 740})
    form.fill("#kind-words", "leaking")
    expect(form.locator("#kind-lines .kind").first).to_be_visible()
    form.locator(".kindgroup summary").first.click()
    assert form.evaluate("document.documentElement.scrollWidth") <= width
    shown = f"[...document.querySelectorAll('{TARGETS}')].filter((each) => each.offsetParent)"
    assert form.evaluate(f"{shown}.filter((each) => each.offsetHeight < 48).length") == 0
