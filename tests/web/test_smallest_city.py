"""The smallest city that the docs show, taken out of them: every page opens in it, and calls can end."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from factories import jpeg
from filled import KEY
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select
from test_access import CAST, doors

from city.audit.events import Actor
from city.cases import transitions
from city.cases.transitions import Closing
from city.config import city_file
from city.config import versions as config_versions
from city.db import engine as db
from city.db.models import Address, Case, Contact, Crew, Person, Topic
from city.people import accounts, sessions
from city.settings import Settings
from pwa.app import create_app

DOCS = Path(__file__).parents[2] / "docs"
HERE = {"lat": "41.5", "lon": "-87.5", "accuracy": "12"}  # in the middle of its bounds


@pytest.fixture
def smallest(tmp_path: Path) -> Path:
    """The file that docs/reference/city-file.md shows."""
    (shown,) = re.findall(
        r"```toml\n(name = .*?)```", (DOCS / "reference" / "city-file.md").read_text(), re.DOTALL
    )
    file = tmp_path / "tinyville.toml"
    file.write_text(shown)
    return file


@pytest.fixture
def app(engine: Engine, settings: Settings, smallest: Path, now: datetime) -> Iterator[Flask]:
    """The application over that city, with one person for every role."""
    with db.transaction(engine) as s:
        text = city_file.read_with_logo(smallest)
        config_versions.publish(s, text, smallest.name, by=accounts.THE_SYSTEM, at=now - timedelta(days=400))
        s.add(crew := Crew(name="Street"))
        s.add(Address(label="1 Main Street", lat=41.5, lon=-87.5, cell="x"))  # for the desk, which has no map
        s.flush()
        for name, role in CAST.items():
            accounts.add(s, f"{name}@tiny.test", name, [role], crews=[crew] if role == "crew" else [])
    made: list[Flask] = []  # the clock is asked while the application is still being made
    app = create_app(replace(settings, city=smallest), now=lambda: made[0].config["NOW"] if made else now)
    app.config["NOW"] = now
    made.append(app)
    yield app
    app.extensions["cityline"].engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def log_in(engine: Engine, client: FlaskClient, now: datetime) -> Callable[[str], FlaskClient]:
    def as_(name: str) -> FlaskClient:
        with db.transaction(engine) as s:
            person = s.scalars(select(Person).where(Person.email == f"{name}@tiny.test")).one()
            token = sessions.begin(s, person, now, how="code")
        with client.session_transaction() as session:
            session["login"] = token
        return client

    return as_


@contextmanager
def last_month(app: Flask) -> Iterator[None]:
    """Figures are of months that are over."""
    now = app.config["NOW"]
    app.config["NOW"] = now - timedelta(days=40)
    yield
    app.config["NOW"] = now


def live(
    engine: Engine, log_in: Callable[[str], FlaskClient], token: Callable[[], str], now: datetime
) -> None:
    """A few days of it: reports, one with a photo, one closed; and calls that ended in each way."""
    client = log_in("dispatcher")
    for n, photo in enumerate((b"", jpeg(), b"")):
        form = {
            "csrf_token": token(),
            "key": f"{n}{KEY[1:]}",
            "group": "street",
            "do": "send",
            "words": "Deep",
        }
        form |= HERE | {"lat": f"41.{n + 1}"}  # so far apart that nobody asks whether they are one
        sent = client.post("/report", data=form | ({"photo": (BytesIO(photo), "hole.jpg")} if photo else {}))
        assert sent.status_code == 303
    with db.transaction(engine) as s:
        dana = s.scalars(select(Person).where(Person.email == "dispatcher@tiny.test")).one()
        by = Actor(f"person:{dana.id}", frozenset({"dispatcher"}), dana.id)
        first, second, _third = s.scalars(select(Case).order_by(Case.id))
        crew = s.scalars(select(Crew)).one()
        for case in (first, second):
            transitions.assign(s, case, crew, by=by, at=now)
        transitions.close(
            s, second, Closing("fixed", no_photo="dark", photos=[], words="Filled"), by=by, at=now
        )


@pytest.mark.parametrize("name", [None, *CAST])
@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
@pytest.mark.slow
def test_every_page_opens(
    name: str | None,
    filled: bool,
    app: Flask,
    engine: Engine,
    client: FlaskClient,
    log_in: Callable[[str], FlaskClient],
    token: Callable[[], str],
) -> None:
    if filled:
        with last_month(app):
            live(engine, log_in, token, app.config["NOW"])
            end_calls(log_in, token)
        client.delete_cookie("cl_session")
    broken = []
    for endpoint, method, path in doors(app):
        if method != "GET":
            continue
        if name:
            log_in(name)
        status = client.get(path, buffered=True).status_code
        if status >= 500 and endpoint != "shell.readyz":  # no worker runs here
            broken.append(f"{path}: {status}")
    assert broken == []


def end_calls(log_in: Callable[[str], FlaskClient], token: Callable[[], str]) -> None:
    """A call that ends in each way, each about the first topic that the desk offers."""
    client = log_in("call-taker")
    offered = re.search(r'<select [^>]*name="topic".*?</select>', client.get("/desk").text, re.DOTALL)
    assert offered
    (topic, *_more) = re.findall(r'<option value="([^"]+)"', offered.group())
    for n, ends in enumerate(
        (
            {"ends": "case", "service": "pothole", "place": "1 Main Street", "note": "Deep"},
            {"ends": "answered", "topic": topic},
            {"ends": "transferred", "topic": topic, "to": "911"},
            {"ends": "dropped", "topic": topic},
        )
    ):
        call = {"csrf_token": token(), "key": f"{n}{KEY[1:]}", "do": "save", "channel": "phone"}
        saved = client.post("/desk/calls", data=call | ends)
        assert saved.status_code == 303, re.findall(r"<li><a href=.#.*?</li>", saved.text)


def test_a_call_can_end_in_each_way_and_is_counted_for_its_department(
    app: Flask, engine: Engine, log_in: Callable[[str], FlaskClient], token: Callable[[], str]
) -> None:
    with last_month(app):
        end_calls(log_in, token)
    with db.read_session(engine) as s:
        ends = s.execute(select(Contact.outcome, Contact.topic_code).order_by(Contact.id)).all()
        assert [tuple(row) for row in ends] == [
            ("case", "pothole"), ("answered", "pothole"), ("transferred", "pothole"), ("dropped", "pothole"),
        ]  # fmt: skip
        assert s.get_one(Topic, "pothole").department_code == "works", "its services serve as topics"
    assert "Public works" in log_in("manager").get("/value").text
