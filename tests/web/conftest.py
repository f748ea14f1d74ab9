"""A whole application on the test's own database, and people who use it."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import get_ident
from typing import Any

import pytest
from factories import Town
from filled import FAR, KEY, Fill
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event
from werkzeug.test import TestResponse

from city import cityfile, db, logins, policies
from city.schema import Person
from city.settings import Settings
from pwa.app import create_app


@pytest.fixture
def app(town: Town, settings: Settings, now: datetime) -> Iterator[Flask]:
    """The application over the town, its city file's services included, its clock standing at `now`."""
    with db.transaction(town.engine) as s:
        policies.enact(s, cityfile.load(settings.city))
    made: list[Flask] = []  # the clock is asked while the application is still being made
    app = create_app(settings, now=lambda: made[0].config.get("NOW", now) if made else now)
    made.append(app)
    app.config.update(TESTING=True)
    with one_connection_each(app.extensions["cityline"].engine):
        yield app
    app.extensions["cityline"].engine.dispose()


@contextmanager
def one_connection_each(engine: Engine) -> Iterator[None]:
    """Nobody asks for a second connection while they hold one: all could wait for each other."""
    held: Counter[int] = Counter()
    most: Counter[int] = Counter()

    def out(*_: object) -> None:
        held[get_ident()] += 1
        most[get_ident()] = max(most[get_ident()], held[get_ident()])

    def back(*_: object) -> None:
        held[get_ident()] -= 1

    event.listen(engine, "checkout", out)
    event.listen(engine, "checkin", back)
    yield
    assert max(most.values(), default=0) <= 1


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
            token = logins.begin(scene.s, person, now, how="code")
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
