"""A crew, a job, and a phone that speaks to the real application."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from factories import Furnishing
from flask import Flask
from phones import Clock, Phone, furnish, make_lamp, person
from sqlalchemy import Engine

from city.settings import Settings
from pwa.app import create_app


@pytest.fixture
def clock(now: datetime) -> Clock:
    return Clock(now)


@pytest.fixture
def furnishing(request: pytest.FixtureRequest, furnishing: Furnishing | None) -> Furnishing | None:
    """Two crews at work where the test asks for the application."""
    return Furnishing("crews", furnish) if "app" in request.fixturenames else furnishing


@pytest.fixture
def app(engine: Engine, settings: Settings, clock: Clock) -> Iterator[Flask]:
    """The application over a city with two crews."""
    app = create_app(settings, now=clock)
    yield app
    app.extensions["cityline"].engine.dispose()


@pytest.fixture
def luis(app: Flask, engine: Engine, clock: Clock) -> Phone:
    return Phone(app, clock, person(engine, "luis@city.test"))


@pytest.fixture
def toni(app: Flask, engine: Engine, clock: Clock) -> Phone:
    return Phone(app, clock, person(engine, "toni@city.test"))


@pytest.fixture
def lamp(app: Flask, engine: Engine, clock: Clock) -> str:
    """The number of a streetlight case that "Lights 2" holds."""
    return make_lamp(engine, clock)
