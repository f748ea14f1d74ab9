"""A running Cityline and what every browser test does with it."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from playwright.sync_api import Page, Route, expect
from sqlalchemy import Engine

from city.db import engine as db
from city.people import accounts, sessions
from city.settings import Settings

PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
PATIENCE = 30_000  # ms for whatever is waited for: a busy machine is not a fault of the page
# Where a test holds or loses what a page sends (page.route): in the way of such a page somebody stands from
# the start, and no worker fetches in its place.
PHONE_WITHOUT_WORKER = PHONE | {"service_workers": "block"}
DESK_WITHOUT_WORKER = DESK | {"service_workers": "block"}

OUTBOX = """async ([store, what]) => {
  // Opened before the page did, it would be made without its stores.
  if (!(await indexedDB.databases()).some(({ name }) => name === "outbox")) return [];
  const base = await new Promise((done, failed) => {
    const asked = indexedDB.open("outbox");
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => failed(asked.error);
  });
  const asked = base.transaction(store).objectStore(store)[what]();
  const found = await new Promise((done) => (asked.onsuccess = () => done(asked.result)));
  base.close();
  return found;
}"""


@dataclass
class Site:
    """A running Cityline: its address, database and folder; and how its web server stops and starts."""

    url: str
    engine: Engine
    settings: Settings
    stop: Callable[[], None]
    start: Callable[[], None]

    def path(self, path: str) -> str:
        return self.url + path


def log_in(page: Page, site: Site, email: str, to: str) -> None:
    """Logs somebody of the demo in and opens the page: the browser is given the cookie that the form would.

    The form itself is for log_in_by_form(); under https, where the cookie has another name, it is taken too.
    """
    if site.settings.is_https:
        log_in_by_form(page, site, email, to)
        return
    page.goto("about:blank")  # a page that has something under way would bring its own cookie back
    with db.transaction(site.engine) as s:
        person = accounts.by_email(s, email)
        assert person
        token = sessions.begin(s, person, datetime.now(UTC), how="code")
    app = Flask(__name__)
    app.secret_key = site.settings.secret_key
    signer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert signer
    signed = signer.dumps({"login": token})
    page.context.add_cookies(
        [{"name": "cl_session", "value": signed, "url": site.url, "httpOnly": True, "sameSite": "Lax"}]
    )
    page.goto(site.path(to))


def log_in_by_form(page: Page, site: Site, email: str, to: str) -> None:
    """Logs somebody of the demo in, by the code on the page."""
    page.goto("about:blank")  # what a crew's page has under way would bring a session that knows no form
    page.goto(site.path(f"/login?next={to}"))
    page.fill("#email", email)
    page.keyboard.press("Enter")
    page.wait_for_selector("#demo-code")
    page.click("main form button")
    page.wait_for_url(re.compile(re.escape(site.path(to))))


def send_without_script(page: Page) -> None:
    """Sends the report; where the city asks whether it is one that it knows, it is another."""
    page.click("#send")
    another = page.locator(".same button[value=send]")
    expect(another.or_(page.locator(".verdict"))).to_be_visible()
    if another.is_visible():
        another.click()


def outbox(page: Page, store: str, what: str = "getAll") -> list[Any]:
    """What a store of the outbox on the phone's disk holds; with "getAllKeys" under which names."""
    found: list[Any] = page.evaluate(OUTBOX, [store, what])
    return found


def wait_until_begun(page: Page, words: str) -> None:
    """Until the phone's disk holds what was begun, with these words: some time after they were typed."""
    for _ in range(3000):
        if words in json.dumps(outbox(page, "drafts"), ensure_ascii=False):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"{words} was never kept")


class Slow:
    """The line to the city: what is sent by this verb waits until it is let through."""

    def __init__(self, page: Page, pattern: str, method: str = "POST") -> None:
        self._held: list[Route] = []
        self._page, self._method, self._is_open = page, method, False
        page.route(pattern, self._take)

    def _take(self, route: Route) -> None:
        if self._is_open or route.request.method != self._method:
            route.fallback()
        else:
            self._held.append(route)

    def wait(self) -> None:
        """Until something is under way."""
        for _ in range(3000):
            if self._held:
                return
            self._page.wait_for_timeout(20)
        raise AssertionError("nothing was sent")

    def go(self, status: int = 0) -> None:
        """Lets through what was held, or answers it with a fault."""
        self._is_open = True
        for route in self._held:
            if status:
                route.fulfill(status=status, body="")
            else:
                route.continue_()
