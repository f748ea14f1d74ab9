"""A running Cityline and what every browser test does with it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page
from sqlalchemy import Engine

from city.settings import Settings

PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}


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
    """Logs somebody of the demo in, by the code on the page."""
    page.goto(site.path(f"/login?next={to}"))
    page.fill("#email", email)
    page.keyboard.press("Enter")
    page.wait_for_selector("#demo-code")
    page.click("main form button")
    page.wait_for_url(re.compile(re.escape(site.path(to))))
