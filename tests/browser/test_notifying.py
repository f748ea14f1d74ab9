"""Notifications in a real browser: asked for with a press only, and shown by the service worker."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from live import PHONE, Site
from playwright.sync_api import BrowserContext, Page, expect
from pushservice import Browser
from sqlalchemy import select

from city import db, reports
from city.places import Place
from city.schema import Subscription

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
READY = "async () => Boolean((await navigator.serviceWorker.getRegistration())?.active)"
# Nor does it draw notifications, and drops what is pushed where it may not draw: the worker is handed the
# message, and what it would have drawn is kept, one a tag as a browser has it.
DRAWS = """() => {
  self.shown = {};
  self.registration.showNotification = async (title, { body, tag, lang, data }) => {
    self.shown[tag] = { title, body, tag, lang, to: data.navigate };
  };
}"""


@pytest.fixture
def told(site: Site) -> str:
    """A report of somebody who opens its link: the link's token."""
    with db.transaction(site.engine) as s:
        place = Place(39.6011, -71.2049, "pin", "214 Tansy Street")
        telling = reports.Telling(key="notified", service_code="light-out", channel="web", place=place)
        reports.take(s, telling, at=datetime.now(UTC), token="notified")
    return "notified"


@pytest.fixture
def page(open_context: Open, site: Site, told: str) -> Page:
    context = open_context(**PHONE)
    context.grant_permissions(["notifications"], origin=site.url)
    page = context.new_page()
    page.goto(site.path(f"/s/{told}"))
    page.wait_for_function(READY)
    return page


def browser() -> dict[str, Any]:
    return Browser("https://push.example/ana", ec.generate_private_key(ec.SECP256R1()), b"a" * 16).told


def wish(site: Site) -> Subscription:
    with db.reading(site.engine) as s:
        return s.scalars(select(Subscription).where(Subscription.channel == "push")).one()


def test_one_press_asks_and_another_one_stops(page: Page, site: Site) -> None:
    page.evaluate(GIVES, browser())
    ask, stop = (page.get_by_role("button", name=name) for name in ("Notify me", "Stop notifications"))
    expect(ask).to_be_visible()
    assert page.evaluate("window.asked") == 0, "nothing is asked before somebody presses"
    ask.click()
    expect(page.get_by_role("status").filter(has_text="You hear here")).to_be_visible()
    expect(ask).to_be_hidden()
    assert page.evaluate("window.key") == 65, "the city's key, as the browser wants it"
    assert wish(site).address == "https://push.example/ana"
    page.reload()
    page.evaluate(GIVES, browser())
    page.evaluate(HOLDS)
    stop.click()
    expect(page.get_by_role("status").filter(has_text="Stopped.")).to_be_visible()
    assert wish(site).stopped_at is not None


def test_who_says_no_reads_what_else_there_is(open_context: Open, site: Site, told: str) -> None:
    page = open_context(**PHONE).new_page()
    page.goto(site.path(f"/es/s/{told}"))
    page.evaluate("Notification.requestPermission = async () => 'denied'")
    page.get_by_role("button", name="Avisarme").click()
    expect(page.get_by_text("Su navegador no permite avisos")).to_be_visible()


def test_the_service_worker_shows_what_the_city_sends(page: Page, site: Site) -> None:
    (worker,) = page.context.service_workers
    worker.evaluate(DRAWS)
    note = {
        "title": "26-000121: Arreglado", "body": "214 Tansy Street",
        "navigate": site.path("/es/case/26-000121"), "lang": "es", "dir": "ltr", "tag": "topic",
    }  # fmt: skip
    told = json.dumps({"web_push": 8030, "notification": note})
    for data in (told, '{"web_push": 1}', told):  # what is no note of ours shows nothing
        worker.evaluate("text => show({ json: () => JSON.parse(text) })", data)
    (shown,) = worker.evaluate("Object.values(self.shown)")
    assert shown == {
        "title": note["title"], "body": note["body"], "tag": "topic", "lang": "es", "to": note["navigate"]
    }  # fmt: skip
