"""A whole application on the test's own database, and people who use it."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import get_ident
from typing import Any

import factories
import pytest
from factories import Furnishing, Town
from filled import FAR, KEY, Fill, Tell
from flask import Flask, has_request_context, request
from flask.testing import FlaskClient
from sqlalchemy import Engine, event
from werkzeug.test import TestResponse

from city.config import city_file
from city.config import versions as config_versions
from city.db import engine as db
from city.db.models import Person, SecretLink
from city.notifications import fan_out, outbox
from city.people import sessions
from city.reports import intake
from city.settings import DEFAULT_CITY, Settings
from pwa.app import create_app
from pwa.messages import report_messages


def furnish(engine: Engine) -> dict[str, int]:
    """The town, and the services of the demo's city file."""
    ids = factories.furnish(engine)
    with db.transaction(engine) as s:
        config_versions.activate(s, city_file.load(DEFAULT_CITY))
    return ids


@pytest.fixture
def furnishing(request: pytest.FixtureRequest, furnishing: Furnishing | None) -> Furnishing | None:
    """A test that has another city file keeps to the town alone."""
    if {"town", "app"} <= set(request.fixturenames) and "settings" not in vars(request.module):
        return Furnishing("town in use", furnish)
    return furnishing


@pytest.fixture
def app(town: Town, settings: Settings, now: datetime, furnishing: Furnishing) -> Iterator[Flask]:
    """The application over the town, its city file's services included, its clock standing at `now`."""
    if furnishing.fill is not furnish:
        with db.transaction(town.engine) as s:
            config_versions.activate(s, city_file.load(settings.city))
    made: list[Flask] = []  # the clock is asked while the application is still being made
    app = create_app(settings, now=lambda: made[0].config.get("NOW", now) if made else now)
    made.append(app)
    app.config.update(TESTING=True)
    with one_connection_each(app.extensions["cityline"].engine):
        yield app
    app.extensions["cityline"].engine.dispose()


@contextmanager
def one_connection_each(engine: Engine) -> Iterator[None]:
    """No page asks for a second connection while it holds one: all could wait for each other."""
    held: defaultdict[int, set[int]] = defaultdict(set)
    greedy: list[str] = []

    def out(_dbapi: object, record: object, _proxy: object) -> None:
        if has_request_context():
            held[get_ident()].add(id(record))
            if len(held[get_ident()]) > 1:
                greedy.append(request.full_path)

    def back(_dbapi: object, record: object) -> None:
        held[get_ident()].discard(id(record))

    event.listen(engine, "checkout", out)
    event.listen(engine, "checkin", back)
    yield
    assert greedy == []


@pytest.fixture
def environment(app: Flask, settings: Settings) -> dict[str, str]:
    """For a process over the test's own database."""
    told = {
        "CITYLINE_VAR": str(settings.var),
        "CITYLINE_DATABASE_URL": settings.database_url,
        "CITYLINE_DATABASE_OWNER_URL": settings.database_owner_url,
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith("CITYLINE_")}
    return others | {name: value for name, value in told.items() if value}


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without JavaScript. CSRF tokens are sent as the page's forms do: see token()."""
    return app.test_client()


@pytest.fixture
def log_in(client: FlaskClient, town: Town, now: datetime) -> Callable[..., FlaskClient]:
    """Puts a person of the cast into the browser's session: log_in("dispatcher")."""

    def as_(name: str, now: datetime = now) -> FlaskClient:
        with town.at_work() as scene:
            person = scene.s.get_one(Person, town.ids[name])
            token = sessions.begin(scene.s, person, now, how="code")
        with client.session_transaction() as session:
            session["login"] = token
        return client

    return as_


@pytest.fixture
def token(client: FlaskClient) -> Callable[[], str]:
    """A CSRF token that fits the browser's session."""

    def fetch() -> str:
        page = client.get("/login").get_data(as_text=True)
        return page.partition('name="csrf_token" value="')[2].partition('"')[0]

    return fetch


@pytest.fixture
def browser(town: Town, settings: Settings, client: FlaskClient) -> FlaskClient:
    """A browser that has opened the secret link of the town's one report."""
    with town.at_work() as scene:
        report = scene.report(lang="es")
        token = intake.token_for(settings.secret_key, report.key)
        scene.s.add(SecretLink(token_hash=intake.hashed(token), report_id=report.id, made_at=town.now))
    client.get(f"/s/{token}")
    return client


@pytest.fixture
def tell(town: Town, app: Flask, settings: Settings) -> Tell:
    """What the worker does in one round, at the town's time or later: reads the log and sends what is due."""

    def round_(after: timedelta = timedelta(0)) -> int:
        now = town.now + after
        with town.at_work() as scene:
            fan_out.process_events(scene.s, now)
        return outbox.send_due(town.engine, outbox.open_senders(settings), report_messages.render(app), now)

    return round_


@pytest.fixture
def asked(app: Flask) -> Iterator[list[str]]:
    """The statements that pages send to the database."""
    engine: Engine = app.extensions["cityline"].engine
    statements: list[str] = []

    def note(*args: Any) -> None:
        statements.append(args[2])

    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def post(client: FlaskClient, token: Callable[[], str]) -> Fill:
    """Sends the report form as a browser does, with a streetlight and a fix unless told otherwise."""
    csrf = token()

    def send(**changes: Any) -> TestResponse:
        fields = {"csrf_token": csrf, "key": KEY, "group": "streetlight", "do": "send"} | FAR | changes
        return client.post("/report", data={k: v for k, v in fields.items() if v is not None})

    return send
