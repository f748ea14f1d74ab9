"""A crew, a job, and a phone that speaks to the real application."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from flask import Flask
from phones import Clock, Phone, make_lamp, person
from sqlalchemy import Engine

from city.config import city_file
from city.config import versions as config_versions
from city.db.engine import transaction
from city.db.models import Crew
from city.lifecycle import CREW
from city.people import accounts
from city.settings import Settings
from pwa.app import create_app


@pytest.fixture
def clock(now: datetime) -> Clock:
    return Clock(now)


@pytest.fixture
def app(engine: Engine, settings: Settings, clock: Clock) -> Iterator[Flask]:
    """The application over a city with two crews: Luis has "Lights 2", Toni "Lights 1"."""
    with transaction(engine) as s:
        config_versions.activate(s, city_file.load(settings.city))
        lights_2, lights_1 = Crew(name="Lights 2"), Crew(name="Lights 1")
        s.add_all([lights_2, lights_1])
        s.flush()
        accounts.add(s, "luis@city.test", "Luis", [CREW], crews=[lights_2])
        accounts.add(s, "toni@city.test", "Toni", [CREW], crews=[lights_1])
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
