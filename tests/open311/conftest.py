"""The application over the small town, another city's app in front of it, and its key."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element

import factories
import pytest
from defusedxml.ElementTree import fromstring
from factories import Furnishing, Town
from flask import Flask
from flask.testing import FlaskClient
from sender import HERE, KEY
from sqlalchemy import Engine

from city.config import city_file
from city.config import versions as config_versions
from city.db import engine as db
from city.people import accounts
from city.settings import DEFAULT_CITY, Settings
from pwa.app import create_app

Send = Callable[..., Any]


@pytest.fixture
def furnishing(now: datetime) -> Furnishing:
    """The town with the services of the demo's city file and a key for other programs."""

    def fill(engine: Engine) -> dict[str, int]:
        ids = factories.furnish(engine)
        with db.transaction(engine) as s:
            config_versions.activate(s, city_file.load(DEFAULT_CITY))
            accounts.make_key(s, "City app", key=KEY, by=accounts.THE_SYSTEM, at=now)
        return ids

    return Furnishing("town with a key", fill)


@pytest.fixture
def app(town: Town, settings: Settings, now: datetime) -> Iterator[Flask]:
    """The application with the city file's services; its clock stands at `now`."""
    made: list[Flask] = []
    app = create_app(settings, now=lambda: made[0].config.get("NOW", now) if made else now)
    made.append(app)
    app.config.update(TESTING=True)
    yield app
    app.extensions["cityline"].engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Another program: it keeps no cookies."""
    return app.test_client(use_cookies=False)


@pytest.fixture
def get(client: FlaskClient) -> Send:
    """What JSON says: get("/v2/requests", status="open"); `expect` is the status."""

    def ask(path: str, expect: int = 200, **args: Any) -> Any:
        response = client.get(f"/open311{path}.json", query_string=args)
        assert response.status_code == expect, response.get_data(as_text=True)
        return response.get_json()

    return ask


@pytest.fixture
def xml(client: FlaskClient) -> Callable[..., Element]:
    """The same as XML, read by a parser that takes no entities."""

    def ask(path: str, expect: int = 200, **args: Any) -> Element:
        response = client.get(f"/open311{path}.xml", query_string=args)
        assert response.status_code == expect
        return fromstring(response.get_data())

    return ask


@pytest.fixture
def send(client: FlaskClient) -> Send:
    """Posts a request with the key, a streetlight at a place unless told otherwise; None leaves one out."""

    def post(expect: int = 200, **fields: Any) -> Any:
        told = {"api_key": KEY, "service_code": "light-out"} | HERE | fields
        data = {name: value for name, value in told.items() if value is not None}
        response = client.post("/open311/v2/requests.json", data=data)
        assert response.status_code == expect, response.get_data(as_text=True)
        return response.get_json()

    return post
