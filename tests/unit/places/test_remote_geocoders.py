"""Other people's geocoders, in a real server on the loopback that is well, slow, down or wrong."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from limits import RateLimitItemPerSecond
from sqlalchemy import Engine

from city import settings as city_settings
from city.db import engine as db
from city.db.models import Address, Area
from city.geo import Box
from city.places import lookup, remote_geocoders

HERE, ELSEWHERE = (39.601, -71.201), (40.7, -74.0)
BOX = Box(39.5, -71.3, 39.7, -71.1)
SQUARE = [[-71.3, 39.5], [-71.1, 39.5], [-71.1, 39.7], [-71.3, 39.7], [-71.3, 39.5]]


@dataclass
class Server:
    """Answers every question with `body`, after `seconds`; remembers what it was asked."""

    url: str = ""
    status: int = 200
    body: str = ""
    seconds: float = 0.0
    dripping: bool = False
    asked: list[dict[str, list[str]]] = field(default_factory=list)

    def knows(self, *points: tuple[float, float]) -> None:
        self.body = json.dumps(
            [{"lat": str(lat), "lon": str(lon), "display_name": "12 Far Street"} for lat, lon in points]
        )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(remote_geocoders, "_SELDOM", RateLimitItemPerSecond(100))
    monkeypatch.setattr(remote_geocoders, "MOST_SECONDS", 60.0)
    monkeypatch.setattr(remote_geocoders, "_quiet_until", {})  # the port may have been another server's
    remote_geocoders._asked.cache_clear()
    ours, stop = Server(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ours.asked.append(parse_qs(urlsplit(self.path).query))
            stop.wait(ours.seconds)
            self.send_response(ours.status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            for letter in ours.body if ours.dripping else (ours.body,):
                try:
                    self.wfile.write(letter.encode())
                    self.wfile.flush()
                except OSError:  # whoever asked has gone
                    return
                if ours.dripping and stop.wait(0.2):
                    return

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
    thread.start()
    ours.url = f"http://127.0.0.1:{listening.server_port}"
    yield ours
    stop.set()
    listening.shutdown()
    listening.server_close()
    thread.join()


@pytest.fixture
def city(engine: Engine) -> Engine:
    with db.transaction(engine) as s:
        s.add(Address(label="12 Maple St", lat=39.6, lon=-71.2, cell=""))
        s.add(Area(kind="boundary", name="Larkhaven", geometry={"type": "Polygon", "coordinates": [SQUARE]}))
    return engine


def found(city: Engine, words: str, geocoder: str) -> list[str]:
    with db.read_session(city) as s:
        return [place.label for place in lookup.find(s, words, geocoder=geocoder)]


def test_what_the_layers_know_for_sure_is_never_asked_elsewhere(city: Engine, server: Server) -> None:
    server.knows(HERE)
    geocoder = f"nominatim:{server.url}"
    assert found(city, "12 maple street", geocoder) == ["12 Maple St"]
    assert found(city, "  ", geocoder) == []
    assert server.asked == []
    assert found(city, "12 Far Street", geocoder) == ["12 Far Street"]
    assert server.asked[0]["q"] == ["12 far street"]
    assert server.asked[0]["bounded"] == ["1"]


def test_the_same_words_are_asked_once(city: Engine, server: Server) -> None:
    server.knows(HERE)
    for words in ("12 Far Street", "12  far street", "12 FAR STREET "):
        assert found(city, words, f"nominatim:{server.url}") == ["12 Far Street"]
    assert len(server.asked) == 1


def test_another_city_is_not_meant_and_a_slip_is_answered_by_the_layers(city: Engine, server: Server) -> None:
    server.knows(ELSEWHERE)
    geocoder = f"nominatim:{server.url}"
    assert found(city, "12 Far Street", geocoder) == []
    assert found(city, "12 Mapel St", geocoder) == ["12 Maple St"]
    server.knows(ELSEWHERE, HERE)
    assert found(city, "14 Far Street", geocoder) == ["12 Far Street"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, "[]"), (404, ""), (429, "[]"), (200, "<html>Welcome"), (200, '{"a": '), (200, ""),
        (200, "null"), (200, "17"),
        (200, '[{"lat": "x", "lon": 1}]'), (200, '[{"display_name": "12 Far Street"}]'),
        (200, '[{"lat": "nan", "lon": "1e400", "display_name": "12 Far Street"}]'),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_none_and_the_layers_answer(
    city: Engine, server: Server, status: int, body: str
) -> None:
    server.status, server.body = status, body
    assert found(city, "12 Mapel St", f"nominatim:{server.url}") == ["12 Maple St"]
    assert len(server.asked) == 1


@pytest.mark.parametrize("dripping", [False, True])
def test_a_slow_one_is_waited_for_a_little_and_then_left_alone(
    city: Engine, server: Server, monkeypatch: pytest.MonkeyPatch, dripping: bool
) -> None:
    monkeypatch.setattr(remote_geocoders, "MOST_SECONDS", 0.5)
    server.knows(HERE)
    server.seconds, server.dripping = (0.0, True) if dripping else (30.0, False)
    began = time.monotonic()
    assert found(city, "12 Mapel St", f"nominatim:{server.url}") == ["12 Maple St"]
    assert time.monotonic() - began < 3
    for _ in range(20):
        assert found(city, "14 Mapel St", f"nominatim:{server.url}") == []
    assert time.monotonic() - began < 5
    assert len(server.asked) == 1


def test_one_that_is_down_is_left_alone_for_a_while(
    city: Engine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status, server.body = 503, ""
    geocoder = f"nominatim:{server.url}"
    assert found(city, "12 Far Street", geocoder) == []
    server.status = 200
    server.knows(HERE)
    assert found(city, "12 Far Street", geocoder) == []
    assert len(server.asked) == 1
    later = time.monotonic() + remote_geocoders.QUIET_SECONDS
    monkeypatch.setattr(remote_geocoders.time, "monotonic", lambda: later)
    assert found(city, "12 Far Street", geocoder) == ["12 Far Street"]
    assert found(city, "12 Mapel St", "nominatim:http://127.0.0.1:9") == ["12 Maple St"]


def test_it_is_asked_seldom(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_geocoders, "_SELDOM", RateLimitItemPerSecond(1, 60))
    server.knows(HERE)
    geocoder = f"nominatim:{server.url}"
    assert remote_geocoders.ask(geocoder, "12 Far Street", BOX, 5) == (("12 Far Street", *HERE),)
    for n in range(5):
        with pytest.raises(remote_geocoders.NoAnswer):
            remote_geocoders.ask(geocoder, f"{n} Far Street", BOX, 5)
    assert len(server.asked) == 1


@pytest.mark.parametrize("kind", ["photon", "pelias"])
def test_others_of_geopy_answer_as_well(server: Server, kind: str) -> None:
    facts = {"name": "12 Far Street", "street": "Far Street", "housenumber": "12"}
    point = {"type": "Point", "coordinates": [HERE[1], HERE[0]]}
    server.body = json.dumps({"features": [{"type": "Feature", "geometry": point, "properties": facts}]})
    ((label, lat, lon),) = remote_geocoders.ask(f"{kind}:{server.url}", "12 far street", BOX, 5)
    assert ("Far Street" in label, lat, lon) == (True, *HERE)
    assert any("39.5" in str(value) for value in server.asked[0].values())


def test_every_geocoder_that_may_be_set_is_one_that_can_be_asked() -> None:
    assert set(city_settings.GEOCODERS) == set(remote_geocoders._SERVICES)


@pytest.mark.parametrize(
    "value", ["google:https://geo.example", "nominatim:", "nominatim:geo.example", "photon"]
)
def test_a_geocoder_that_cannot_be_asked_stops_the_start(value: str) -> None:
    with pytest.raises(city_settings.WrongSetting, match="CITYLINE_GEOCODER"):
        city_settings.read({"CITYLINE_GEOCODER": value})
