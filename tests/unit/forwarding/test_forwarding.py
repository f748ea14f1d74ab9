"""Cases that are passed on by Open311: two cities over loopback, and other owners' servers of every kind."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import factories
import pytest
from factories import Town
from flask import Flask
from sqlalchemy import select
from werkzeug.serving import make_server

from city.cases import sla, transitions
from city.cases.transitions import Closing
from city.db import engine as db
from city.db.models import Case, Endpoint
from city.forwarding import endpoints, following, forwards, sending
from city.forwarding.client import Client
from city.lifecycle import CLOSED, WAITING
from city.people import accounts
from city.settings import Settings
from pwa.app import create_app

pytestmark = pytest.mark.both_databases

KEY = "a-key-of-the-neighbors-0123456789"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass
class City:
    """A second city, with a database of its own, that answers over loopback."""

    town: Town
    url: str

    def cases(self) -> list[tuple[str, str, str | None]]:
        with self.town.looking() as scene:
            rows = scene.s.scalars(select(Case).order_by(Case.id))
            return [(each.number, each.state, each.outcome) for each in rows]


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def neighbor(town: Town, settings: Settings, tmp_path: Path) -> Iterator[City]:
    """City B: the same town, in a database of its own."""
    var = tmp_path / "neighbor"
    var.mkdir(exist_ok=True)
    url = f"sqlite:///{var / 'b.db'}"
    own = replace(settings, var=var, database_url=url, database_owner_url="", outward="loopback")
    db.migrate(url)
    engine = db.connect(url)
    ids = factories.furnish(engine)
    with db.transaction(engine) as s:
        accounts.make_key(s, "City A", key=KEY, by=accounts.THE_SYSTEM, at=town.now)
    other = Town(engine, own, town.now, ids)
    held: dict[str, Any] = {}

    def gate(environ: dict[str, Any], start: Any) -> Any:
        return held["app"](environ, start)

    try:
        with serving(gate) as address:  # type: ignore[arg-type]
            held["app"] = create_app(replace(own, base_url=address), now=lambda: town.now)
            yield City(other, address)
            held["app"].extensions["cityline"].engine.dispose()
    finally:
        engine.dispose()


def here(town: Town) -> sending.Here:
    return sending.Here("https://a.example", "at_once", lambda photo: f"https://a.example/photos/{photo}")


def client() -> Client:
    return Client(loopback=True, seconds=5)


def add_endpoint(town: Town, url: str, **more: Any) -> int:
    told = {"name": "Ashford", "api_key": KEY, "services": {"light-out": "light-out"}} | more
    with town.at_work() as scene:
        by = scene.actor("administrator")
        row = endpoints.save(scene.s, None, url=url, loopback=True, by=by, at=town.now, **told)
        done = endpoints.try_out(client(), endpoints.address(row))
        endpoints.tested(row, done, at=town.now)
        return row.id


def pass_on(town: Town, number: str, endpoint: int, words: str = "Dark since Monday.") -> int:
    with town.at_work() as scene:
        row = forwards.forward(
            scene.s, scene.case(number), scene.s.get_one(Endpoint, endpoint), words,
            here="https://a.example", secret="s" * 32, by=scene.actor("dispatcher"), at=town.now,
        )  # fmt: skip
        return row.id


def told(town: Town, **more: Any) -> str:
    with town.at_work() as scene:
        return scene.report(**more).case.number


def test_a_case_goes_there_is_mended_there_and_closes_here(
    town: Town, settings: Settings, tmp_path: Path
) -> None:
    number = told(town, words="Call me: 555-0100, Ana")
    with neighbor(town, settings, tmp_path) as b:
        endpoint = add_endpoint(town, f"{b.url}/open311/v2")
        with town.looking() as scene:
            assert scene.s.get_one(Endpoint, endpoint).repeats
        pass_on(town, number, endpoint)
        assert sending.send_due(town.engine, client(), here(town), town.now) == 1
        assert sending.send_due(town.engine, client(), here(town), town.now + HOUR) == 0
        ((theirs, _state, _),) = b.cases()
        with b.town.looking() as scene:
            assert "Dark since Monday." in scene.case(theirs).reports[0].words
        with town.looking() as scene:
            case = scene.case(number)
            assert (case.state, sla.passed_to(case), sla.clock_stands(case)) == (WAITING, "Ashford", True)
            assert forwards.shown(scene.s, case).their_id == f"{theirs}-A"

        with b.town.at_work() as scene:
            closing = Closing("fixed", no_photo="dark", words="New lamp, new fuse.")
            by = scene.actor("dispatcher")
            transitions.close(scene.s, scene.case(theirs), closing, by=by, at=town.now)
        assert following.follow_due(town.engine, client(), town.now + HOUR) == 1
        with town.looking() as scene:
            case = scene.case(number)
            assert (case.state, case.outcome) == (CLOSED, "fixed")
            assert forwards.shown(scene.s, case).state == forwards.ENDED
    town.is_right()
