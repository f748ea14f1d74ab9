"""`cityline run --https`: a phone that trusts the authority opens the demo and installs the crew app."""

import base64
import hashlib
import http.client
import os
import shutil
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import nursery
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from live import PATIENCE, PHONE, log_in_by_form
from phone import ARGUMENTS
from playwright.sync_api import Browser, Page
from servers import free_ports
from sqlalchemy import Engine

from city.settings import Settings

pytestmark = pytest.mark.one_database
STARTED_WITHIN = 60.0


class Shown(NamedTuple):
    """Where the demo is shown, and the authority that phones trust."""

    url: str
    trust_page: str
    authority: x509.Certificate

    def path(self, path: str) -> str:
        return self.url + path


@pytest.fixture
def shown(engine: Engine, settings: Settings, furnished: Callable[[str], Any]) -> Iterator[Shown]:
    larkhaven = furnished(engine.dialect.name)
    shutil.copytree(larkhaven.var, settings.var, dirs_exist_ok=True)
    (port,) = free_ports(1, twin=1)
    environment = os.environ | {
        "CITYLINE_VAR": str(settings.var),
        "CITYLINE_DATABASE_URL": settings.database_url,
        "CITYLINE_SECRET_KEY": larkhaven.secret_key,
    }
    environment.pop("CITYLINE_BASE_URL", None)
    log = settings.var / "server.log"
    words = ["run", "--https", "--host", "127.0.0.1", "--port", str(port)]
    children = [nursery.start(words, environment, log)]
    try:
        trust_page = f"http://127.0.0.1:{port + 1}"
        held = x509.load_der_x509_certificate(_fetched(f"{trust_page}/cityline.crt", log))
        yield Shown(f"https://127.0.0.1:{port}", trust_page, held)
    finally:
        nursery.end(children, log)


def _fetched(address: str, log: Path) -> bytes:
    deadline = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
            return bytes(answer.read())
        time.sleep(0.2)
    raise AssertionError(log.read_text()[-3000:])


@pytest.fixture
def phone(browser: Browser, chromium: str, tmp_path: Path, shown: Shown) -> Iterator[Page]:
    """Chromium that takes this authority and none besides."""
    key = shown.authority.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
    context = browser.browser_type.launch_persistent_context(
        tmp_path / "phone", executable_path=shutil.which("chromium-headless-shell") or chromium,
        args=[*ARGUMENTS, f"--ignore-certificate-errors-spki-list={pin}"], **PHONE,
    )  # fmt: skip
    context.set_default_timeout(PATIENCE)
    yield context.pages[0]
    context.close()


def test_a_client_that_trusts_the_authority_is_served_and_no_other(shown: Shown) -> None:
    trusting = ssl.create_default_context(cadata=shown.authority.public_bytes(Encoding.DER))
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    host = shown.url.removeprefix("https://")
    line = http.client.HTTPSConnection(host, timeout=30, context=trusting)
    line.request("GET", "/")
    answer = line.getresponse()
    assert answer.status == 200
    assert answer.getheader("Strict-Transport-Security") is None  # `localhost` would be lost to plain http
    line.close()
    stranger = http.client.HTTPSConnection(host, timeout=30, context=ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.request("GET", "/")


def test_a_phone_logs_in_and_installs_the_crew_app(shown: Shown, phone: Page) -> None:
    phone.goto(shown.trust_page)
    phone.get_by_role("link", name="Open the crew app").click()
    phone.wait_for_url(shown.path("/crew"))
    phone.evaluate("navigator.serviceWorker.ready.then(() => true)")
    session = phone.context.new_cdp_session(phone)
    assert session.send("Page.getInstallabilityErrors") == {"installabilityErrors": []}
    assert session.send("Page.getAppManifest")["errors"] == []
    log_in_by_form(phone, shown, "crew1@demo.test", "/crew")  # type: ignore[arg-type]
    phone.locator(".job").first.wait_for()
    cookies = {cookie["name"]: cookie for cookie in phone.context.cookies()}
    assert cookies["__Host-cl_session"]["secure"]
    assert cookies["__Secure-cl_device"]["secure"]  # the phone is enrolled: field sync takes its requests


def test_the_page_fits_a_phone_and_asks_nobody_else(shown: Shown, phone: Page) -> None:
    asked: list[str] = []
    phone.on("request", lambda request: asked.append(request.url))
    for lang in ("en", "es"):
        phone.goto(f"{shown.trust_page}/?lang={lang}")
        assert phone.evaluate("document.documentElement.scrollWidth") <= 360
        heights = phone.locator("a").evaluate_all("all => all.map(a => a.getBoundingClientRect().height)")
        assert min(heights) >= 48
    others = {url.removeprefix(shown.trust_page) for url in asked if "?lang=" not in url}
    assert others <= {"/fonts/public-sans.woff2", "/favicon.ico"}
