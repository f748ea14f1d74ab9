"""Notifications in a real browser: asked for with a press only, drawn on a desktop, and opened from there."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import desktop
import pushservice
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from live import PATIENCE, PHONE, Site, log_in
from phone import ARGUMENTS
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, BrowserType, Page, expect
from pushservice import Browser, PushService
from sqlalchemy import select
from wording import messages, resident, shared, staff

from city.cases import transitions
from city.cases.transitions import Closing
from city.db import engine as db
from city.db.models import Person, Report, Subscription
from city.notifications import danger_alarm
from city.people import accounts
from city.places.lookup import Place
from city.reports import intake

Open = Callable[..., BrowserContext]

# This Chromium has no push service to ask: what it would give is put in its place.
GIVES = """told => {
  window.asked = 0;
  PushManager.prototype.subscribe = async function (options) {
    window.asked += 1;
    window.key = options.applicationServerKey.length;
    const made = { endpoint: told.endpoint, toJSON: () => told };
    PushManager.prototype.getSubscription = async () => made;
    return made;
  };
}"""
HOLDS = "PushManager.prototype.getSubscription = async () => ({ endpoint: 'https://push.example/ana' })"
READY = "() => { navigator.serviceWorker.ready.then(() => (window.ready = true)); return window.ready; }"


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The push service of these tests is on this machine, or nowhere; said before the site starts."""
    monkeypatch.setenv("CITYLINE_OUTWARD", "loopback")
    monkeypatch.setenv("CITYLINE_PUSH_SERVICES", "push.example")


@pytest.fixture
def told(site: Site) -> str:
    """A report of somebody who opens its link: the link's token."""
    return report(site)


@pytest.fixture
def urgent(site: Site) -> str:
    """The same of something dangerous: news of it wait for no morning, at whatever hour this runs."""
    return report(site, danger=True)


@pytest.fixture
def page(open_context: Open, site: Site, told: str) -> Page:
    context = open_context(**PHONE)
    context.grant_permissions(["notifications"], origin=site.url)
    page = context.new_page()
    page.goto(site.path(f"/s/{told}"))
    page.wait_for_function(READY, timeout=90_000)
    return page


def a_browser() -> dict[str, Any]:
    return Browser("https://push.example/ana", ec.generate_private_key(ec.SECP256R1()), b"a" * 16).told


def report(site: Site, *, danger: bool = False) -> str:
    with db.transaction(site.engine) as s:
        place = Place(39.6011, -71.2049, "pin", "214 Tansy Street")
        telling = intake.NewReport(
            key="notified", service_code="light-out", channel="web", place=place, danger=danger
        )
        intake.submit(s, telling, at=datetime.now(UTC), token="notified")
    return "notified"


def wish(site: Site) -> Subscription:
    with db.read_session(site.engine) as s:
        return s.scalars(select(Subscription).where(Subscription.channel == "push")).one()


def test_one_press_asks_and_another_one_stops(page: Page, site: Site) -> None:
    page.evaluate(GIVES, a_browser())
    ask, stop = (
        page.get_by_role("button", name=name) for name in (resident.NOTIFY_ME, resident.STOP_NOTIFICATIONS)
    )
    expect(ask).to_be_visible()
    assert page.evaluate("window.asked") == 0, "nothing is asked before somebody presses"
    ask.click()
    expect(page.get_by_role("status").filter(has_text=resident.NOTIFICATIONS_ON)).to_be_visible()
    expect(ask).to_be_hidden()
    assert page.evaluate("window.key") == 65, "the city's key, as the browser wants it"
    assert wish(site).address == "https://push.example/ana"
    page.reload()
    page.evaluate(GIVES, a_browser())
    page.evaluate(HOLDS)
    stop.click()
    expect(page.get_by_role("status").filter(has_text=resident.NOTIFICATIONS_OFF)).to_be_visible()
    assert wish(site).stopped_at is not None


def test_one_press_follows_an_area_without_an_address(page: Page, site: Site) -> None:
    page.goto(site.path("/follow/area/Eastbank"))
    page.evaluate(GIVES, a_browser())
    page.get_by_role("radio", name=resident.MONDAYS_ONLY).check()
    page.get_by_role("button", name=resident.NOTIFY_ME).click()
    expect(page.get_by_role("status").filter(has_text=resident.NOTIFICATIONS_ON)).to_be_visible()
    row = wish(site)
    assert (row.place, row.weekly, row.confirmed_at is not None) == ("area:Eastbank", True, True)


def test_staff_on_duty_are_rung_on_the_browser_in_which_they_press(open_context: Open, site: Site) -> None:
    context = open_context(**PHONE)
    context.grant_permissions(["notifications"], origin=site.url)
    page = context.new_page()
    log_in(page, site, "dispatcher@demo.test", "/me")
    page.get_by_role("button", name=staff.GO_ON_DUTY_BUTTON, exact=True).click()
    expect(page.get_by_role("button", name=staff.CHANGE_TIME_BUTTON)).to_be_visible()
    page.evaluate(GIVES, a_browser())
    page.get_by_role("button", name=resident.NOTIFY_ME).click()
    expect(page.get_by_role("status").filter(has_text=resident.NOTIFICATIONS_ON)).to_be_visible()
    row = wish(site)
    assert (row.place or "").startswith("duty:")
    with db.read_session(site.engine) as s:
        assert danger_alarm.reachable(s, datetime.now(UTC)) == 1
    page.reload()
    page.evaluate(GIVES, a_browser())
    page.evaluate(HOLDS)
    page.get_by_role("button", name=resident.STOP_NOTIFICATIONS).click()
    expect(page.get_by_role("status").filter(has_text=resident.NOTIFICATIONS_OFF)).to_be_visible()
    assert wish(site).stopped_at is not None


def test_who_says_no_reads_what_else_there_is(open_context: Open, site: Site, told: str) -> None:
    page = open_context(**PHONE).new_page()
    page.goto(site.path(f"/es/s/{told}"))
    page.evaluate("Notification.requestPermission = async () => 'denied'")
    page.get_by_role("button", name=resident.NOTIFY_ME.es).click()
    expect(page.get_by_text(resident.NOTIFICATIONS_BLOCKED.es)).to_be_visible()


@pytest.fixture
def service() -> Iterator[PushService]:
    with pushservice.running() as service:
        yield service


@contextmanager
def with_profile(kind: BrowserType, program: str, folder: Path, bus: str) -> Iterator[BrowserContext]:
    """Chromium as people have it: one without a profile draws no notification. `bus` leads to the desktop."""
    context = kind.launch_persistent_context(
        folder, executable_path=program, headless=False, args=[*ARGUMENTS, "--headless=new"],
        env=os.environ | {"DBUS_SESSION_BUS_ADDRESS": bus}, **PHONE,
    )  # fmt: skip
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


def push(page: Page, origin: str, text: str, is_shown: Callable[[], bool]) -> None:
    """Gives the page's service worker what a push service would, sealed by nobody any more.

    Again until it is shown: a browser drops what comes before it has stored the worker; two of a tag are one.
    """
    line = page.context.new_cdp_session(page)
    known: list[Any] = []
    line.on("ServiceWorker.workerRegistrationUpdated", lambda told: known.extend(told["registrations"]))
    line.send("ServiceWorker.enable")
    until(page, lambda: bool(known))
    told = {"origin": origin, "registrationId": known[0]["registrationId"], "data": text}

    def delivered() -> bool:
        line.send("ServiceWorker.deliverPushMessage", told)
        for _ in range(20):  # twice, the first note would lead nowhere: the second takes its place
            page.wait_for_timeout(500)
            if is_shown():
                return True
        return False

    until(page, delivered)


def until(page: Page, happens: Callable[[], bool]) -> None:
    ends = time.monotonic() + 90
    while not happens():
        assert time.monotonic() < ends, "it takes too long"
        page.wait_for_timeout(50)


def close(site: Site) -> str:
    """Closes the case that was told; returns its number."""
    with db.transaction(site.engine) as s:
        report = s.scalars(select(Report).where(Report.key == "notified")).one()
        by = accounts.actor(s.scalars(select(Person).where(Person.email == "dispatcher@demo.test")).one())
        transitions.close(s, report.case, Closing("fixed", no_photo="dark"), by=by, at=datetime.now(UTC))
        return report.case.number


SHOWN = """async () => {
  const shown = await (await navigator.serviceWorker.ready).getNotifications();
  return shown.map(({ title, body, tag, lang, data }) => ({ title, body, tag, lang, to: data.navigate }));
}"""


def test_what_the_city_sends_is_shown_on_the_device(
    site: Site, browser: Chromium, chromium: str, tmp_path: Path
) -> None:
    note = {
        "title": "Luz de la calle apagada: Arreglado (26-000121)", "body": "214 Tansy Street",
        "navigate": site.path("/es/case/26-000121"), "lang": "es", "dir": "ltr", "tag": "topic",
    }  # fmt: skip
    with with_profile(browser.browser_type, chromium, tmp_path / "phone", "disabled:") as context:
        context.grant_permissions(["notifications"], origin=site.url)
        page = context.pages[0]
        page.goto(site.path("/es/"))
        page.wait_for_function(READY, timeout=90_000)
        ours = json.dumps({"web_push": 8030, "notification": note})
        push(page, site.url, ours, lambda: bool(page.evaluate(SHOWN)))
        no_note_of_ours = {"web_push": 1, "notification": note | {"tag": "another"}}
        push(page, site.url, json.dumps(no_note_of_ours), lambda: True)
        drawn = {name: note[name] for name in ("title", "body", "tag", "lang")} | {"to": note["navigate"]}
        assert page.evaluate(SHOWN) == [drawn]


def test_a_closing_is_read_on_the_desktop_and_a_press_opens_the_case(
    site: Site, urgent: str, service: PushService, browser: Chromium, chromium: str, tmp_path: Path
) -> None:
    if not desktop.is_here():
        pytest.skip("no dbus-daemon")
    phone = service.browser("ana")
    with (
        tempfile.TemporaryDirectory() as folder,
        desktop.running(Path(folder)) as desk,
        with_profile(browser.browser_type, chromium, tmp_path / "phone", desk.address) as context,
    ):
        context.grant_permissions(["notifications"], origin=site.url)
        page = context.pages[0]
        page.goto(site.path(f"/s/{urgent}"))
        page.wait_for_function(READY, timeout=90_000)
        page.evaluate(GIVES, phone.told)
        page.get_by_role("button", name=resident.NOTIFY_ME).click()
        expect(page.get_by_role("status").filter(has_text=resident.NOTIFICATIONS_ON)).to_be_visible()
        number = close(site)
        until(page, lambda: bool(service.taken))
        ((_path, _headers, body),) = service.taken
        page.goto(site.path("/cases"))
        push(page, site.url, json.dumps(phone.opens(body)), lambda: bool(desk.shown))
        title, text = desk.shown[-1]
        assert title == messages.OUTCOME_SUBJECT(what="Streetlight out", outcome=shared.FIXED, number=number)
        assert "214 Tansy Street" in text
        with context.expect_page() as opened:
            desk.press(len(desk.shown))
        expect(opened.value).to_have_url(site.path(f"/case/{number}"))
        expect(opened.value.get_by_role("heading", level=1)).to_contain_text(resident.FIXED_TITLE)
