"""The real thing: granian and the worker over Larkhaven, and Chromium in front of them."""

import os
import shutil
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import nursery
import pytest
from live import PATIENCE, Site
from phone import Van
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright
from sqlalchemy import Engine, select

from city import settings as city_settings
from city.db import engine as db
from city.db.models import Asset
from city.demo import fill as demo_fill
from city.geo import Point
from city.places import basemap, nearby_assets
from city.settings import Settings

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
STARTED_WITHIN = 60.0
expect.set_options(timeout=PATIENCE)


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test with many parameters `bin/test` has the first alone, save with `every_variant`: it is the
    hardest of them."""
    here, seen = Path(__file__).parent, set[str]()
    for item in items:
        if here not in item.path.parents:
            continue
        item.add_marker(pytest.mark.browser)
        item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("every_variant") or item.get_closest_marker("full"):
            continue
        test = item.nodeid.partition("[")[0]
        if test in seen:
            item.add_marker(pytest.mark.full)
        seen.add(test)


@dataclass(frozen=True)
class Furnished:
    """Larkhaven with 120 cases, to be copied: its database (see `original`), its folder and its secret."""

    database: str
    var: Path
    secret_key: str


@pytest.fixture(scope="session")
def furnished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Furnished]:
    """Fills a database of a kind ("sqlite", "postgresql") when it is first asked for."""

    @cache
    def fill(kind: str) -> Furnished:
        folder = tmp_path_factory.mktemp("larkhaven")
        settings = city_settings.read({"CITYLINE_VAR": str(folder / "var")})
        if kind == "sqlite":
            database = str(folder / "cityline.db")
            shutil.copyfile(request.getfixturevalue("migrated_file"), database)
            url = f"sqlite:///{database}"
        else:
            server = request.getfixturevalue("postgres_server")
            database = server.create()
            url = server.url("cityline_app", database)
        engine = db.connect(url)
        demo_fill.fill(engine, settings, 120, 311, datetime.now(UTC))
        with db.read_session(engine) as s:
            basemap.build(s, settings.basemap)
        engine.dispose()
        if kind == "sqlite":
            shutil.copytree(settings.var, folder / "warm")
            shutil.copyfile(database, folder / "warm" / "cityline.db")
            os.environ["CITYLINE_WARM"] = str(folder / "warm")
        return Furnished(database, settings.var, settings.secret_key)

    return fill


@pytest.fixture(scope="session")
def original(furnished: Callable[[str], Furnished]) -> Callable[[str], str]:
    return lambda kind: furnished(kind).database


@pytest.fixture
def site(engine: Engine, settings: Settings, furnished: Callable[[str], Furnished]) -> Iterator[Site]:
    """Larkhaven with 120 cases, served by the real server, with the real worker beside it."""
    larkhaven = furnished(engine.dialect.name)
    shutil.copytree(larkhaven.var, settings.var, dirs_exist_ok=True)
    settings = replace(settings, secret_key=larkhaven.secret_key)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "CITYLINE_VAR": str(settings.var),
        "CITYLINE_DATABASE_URL": settings.database_url,
        "CITYLINE_BASE_URL": url,
        "CITYLINE_REPORTS_AN_HOUR": "1000",  # all fifty residents sit at one address here
        "CITYLINE_READS_A_MINUTE": "0",
    }
    log = settings.var / "server.log"
    children = [nursery.start(["work"], environment, log)]

    def start() -> None:
        children.append(nursery.start(["web", "--port", str(port)], environment, log))
        _wait_for(f"{url}/readyz", log)

    def stop() -> None:
        nursery.end([children.pop()], log)

    try:
        start()
        yield Site(url, engine, settings, stop, start)
    finally:
        nursery.end(children, log)


def _wait_for(address: str, log: Path) -> None:
    deadline = time.monotonic() + STARTED_WITHIN
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError as fault:
            if time.monotonic() > deadline:
                raise AssertionError(f"{fault}\n{log.read_text()[-3000:]}") from fault
            time.sleep(0.2)


def without_windows(chromium: str) -> str:
    """Chromium, where Debian has it without windows: nobody sees them, and they are drawn all the same."""
    return shutil.which("chromium-headless-shell") or chromium


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=without_windows(chromium), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def pole(site: Site) -> Asset:
    """A pole of the demo's with two others near it, but not so near that a good fix could mean them."""
    with db.read_session(site.engine) as s:
        for asset in s.scalars(select(Asset).where(Asset.kind == "pole").order_by(Asset.id)):
            near = nearby_assets.nearest(s, "pole", Point(asset.lat, asset.lon))
            if len(near) > 2 and near[1].metres > 28 and near[2].metres < 60:
                return asset
    raise AssertionError("no such pole in Larkhaven")


@pytest.fixture
def van(browser: Browser, chromium: str, tmp_path: Path, site: Site) -> Iterator[Van]:
    """A crew's phone, which nobody is logged in on yet."""
    phone = Van(browser.browser_type, without_windows(chromium), tmp_path / "phone", site)
    yield phone
    phone.kill()


@pytest.fixture
def open_context(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Makes browser contexts (phones, desks) that are closed after the test."""
    contexts: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE)
        if options.get("service_workers") == "block":
            # The first route that is laid under a page that runs takes hold a moment after we are told so.
            context.route("**/asked-by-nobody", lambda route: route.abort())
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()
