"""Somebody logged in who asks a running Cityline as a browser does, and how long each answer takes."""

import re
import time
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

import brotli
from sqlalchemy import select

from bench._site import Site
from city.db import engine as db
from city.db.models import Person
from city.people import sessions
from pwa.app import create_app


def logged_in(site: Site, email: str, page: str) -> "Browser":
    """A browser of this person, who has `page` open."""
    engine = db.connect(site.settings.database_url)
    with db.transaction(engine) as s:
        person = s.scalars(select(Person).where(Person.email == email)).one()
        token = sessions.begin(s, person, datetime.now(UTC), how="code")
    engine.dispose()
    app = create_app(site.settings)
    cookie = app.session_interface.get_signing_serializer(app).dumps({"login": token})  # type: ignore[attr-defined]
    return Browser(site, cookie, page)


@dataclass
class Browser:
    """Counts bytes of bodies as they go over the line."""

    site: Site
    cookie: str
    page: str  # the address that it shows
    line: HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.site.url)
        self.line = HTTPConnection(str(parts.hostname), parts.port, timeout=120)

    def get(self, address: str) -> tuple[bytes, int, float]:
        """The body, its bytes over the line, and milliseconds."""
        return self._ask("GET", address, None, {})

    def post(self, address: str, form: list[tuple[str, str]]) -> tuple[bytes, int, float]:
        """A form as htmx sends it."""
        kind = {"Content-Type": "application/x-www-form-urlencoded", "HX-Request": "true"}
        return self._ask("POST", address, urlencode(form), kind)

    def _ask(
        self, method: str, address: str, body: str | None, more: dict[str, str]
    ) -> tuple[bytes, int, float]:
        headers = {
            "Cookie": f"cl_session={self.cookie}", "Accept-Encoding": "br, gzip", "Origin": self.site.url,
            "Referer": self.site.url + self.page, "Sec-Fetch-Site": "same-origin",
        }  # fmt: skip
        began = time.perf_counter()
        self.line.request(method, address, body, headers | more)
        answer = self.line.getresponse()
        data = answer.read()
        took = (time.perf_counter() - began) * 1000
        for line in answer.headers.get_all("Set-Cookie") or ():  # the session carries the form's token
            if found := re.match(r"cl_session=([^;]+)", line):
                self.cookie = found[1]
        if answer.status not in (200, 204):
            raise RuntimeError(f"{method} {address}: {answer.status} {data[:300]!r}")
        return _unpacked(data, answer.headers.get("Content-Encoding", "")), len(data), took


def _unpacked(data: bytes, encoding: str) -> bytes:
    if encoding == "br":
        return bytes(brotli.decompress(data))
    return zlib.decompress(data, wbits=31) if encoding == "gzip" else data
