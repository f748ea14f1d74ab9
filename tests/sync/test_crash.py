"""The server ends in the middle of its work; the phone sends again; everything is there exactly once."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from phones import Clock, case_of, declare, make_lamp, picture
from sqlalchemy import Engine, func, select

from city.audit import events
from city.cases import queries
from city.config import city_file
from city.config import versions as config_versions
from city.db.engine import read_session, transaction
from city.db.models import Case, Closure, Crew, Photo, SyncOperation
from city.lifecycle import CREW
from city.people import accounts
from city.photos import photos, storage
from city.settings import Settings
from sync import devices

pytestmark = [pytest.mark.both_databases, pytest.mark.full]

HERE = Path(__file__).parent
POINTS = (
    "after the row", "before the clock", "before the commit", "after the commit", "after a piece",
    "before a photo is staged", "before the rename",
)  # fmt: skip


@contextmanager
def serving(settings: Settings, point: str) -> Iterator[int]:
    """The port of a server that ends at this point."""
    environ = os.environ | {
        "CITYLINE_VAR": str(settings.var), "CITYLINE_DATABASE_URL": settings.database_url,
        "PYTHONPATH": str(HERE.parents[1]),
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, str(HERE / "crashing.py"), point], env=environ, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout
            yield int(server.stdout.readline())
        finally:
            server.kill()


class Client:
    """A phone that speaks HTTP to whichever port its city has just now."""

    def __init__(self) -> None:
        self.port, self.cookies = 0, dict[str, str]()

    def send(self, method: str, path: str, body: bytes, **headers: str) -> Any:
        """The answer as JSON, None where none came."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {
            "X-Cityline": "1", "Origin": f"http://127.0.0.1:{self.port}", "Content-Type": "application/json",
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
        } | {name.replace("_", "-"): value for name, value in headers.items()}  # fmt: skip
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            told = response.read()
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()
        for cookie in response.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        assert response.status < 400, told
        return json.loads(told) if told else {}

    def post(self, path: str, told: dict[str, Any]) -> Any:
        return self.send("POST", path, json.dumps(told).encode())


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_what_was_sent_is_there_exactly_once_wherever_the_server_ends(
    point: str, engine: Engine, settings: Settings
) -> None:
    clock = Clock(datetime.now(UTC))
    with transaction(engine) as s:
        config_versions.activate(s, city_file.load(settings.city))
        lights = Crew(name="Lights 2")
        s.add(lights)
        s.flush()
        luis = accounts.add(s, "luis@city.test", "Luis", [CREW], crews=[lights])
        device, token = devices.enrol(s, luis, None, clock(), secret=settings.secret_key)
        device.signed_in_at = clock()
    lamp = make_lamp(engine, clock)
    with read_session(engine) as s:
        job = case_of(s, lamp).assignments[-1].id
    phone, data = Client(), picture()
    phone.cookies["cl_device"] = token or ""
    op = {
        "id": "5f0c8ad2-1111-4222-8333-944455566677", "n": 1, "t": "close", "v": 1, "case": lamp,
        "assignment": job, "cycle": 1, "device_time": clock().isoformat(),
        "data": {"outcome": "fixed", "words": "New lamp."}, "photos": [declare(data)],
    }  # fmt: skip
    body = {"protocol": 1, "nonce": "n" * 16, "device": device.id, "cursors": {}, "ops": [op]}
    with serving(settings, point) as phone.port:
        ended = phone.post("/sync/v1/exchange", body) is None or _upload(phone, op["photos"][0], data) is None
    assert ended, "the server did not end there"
    with serving(settings, "nowhere") as phone.port:
        [told] = phone.post("/sync/v1/exchange", body)["results"]
        assert told["result"] == "applied"
        _upload(phone, op["photos"][0], data)
        answer = phone.post("/sync/v1/exchange", body)
        assert (answer["results"], answer["want"]) == ([told], [])
    photos.move_staged_to_storage(
        engine, storage.open_store(settings), settings.var, clock()
    )  # as the worker does
    with read_session(engine) as s:
        [case] = s.scalars(select(Case))
        assert (case.state, len(queries.evidence(s, case, 1))) == ("closed", 1)
        counts = [
            s.scalar(select(func.count()).select_from(table)) for table in (SyncOperation, Closure, Photo)
        ]
        assert counts == [1, 1, 1]
        assert [event.kind for event, _ in events.of(s, events.of_case(case.id))].count("close") == 1
        assert events.verify(s) == []
        photo = s.scalars(select(Photo)).one()
        assert photo.upload_sha256 == op["photos"][0]["sha256"]
        stored = settings.var / "photos" / photo.sha256[:2] / photo.sha256[2:4] / f"{photo.sha256}.jpg"
        assert stored.is_file()


def _upload(phone: Client, declared: dict[str, Any], data: bytes) -> Any:
    """Sends what is missing of a photo."""
    connection = HTTPConnection("127.0.0.1", phone.port, timeout=60)
    cookie = "; ".join(f"{name}={value}" for name, value in phone.cookies.items())
    connection.request("HEAD", f"/sync/v1/photos/{declared['id']}", headers={"Cookie": cookie})
    response = connection.getresponse()
    response.read()
    connection.close()
    if response.headers["Upload-Complete"] == "?1":
        return {}
    offset = int(response.headers["Upload-Offset"])
    digest = base64.b64encode(bytes.fromhex(declared["sha256"])).decode()
    return phone.send(
        "PATCH", f"/sync/v1/photos/{declared['id']}", data[offset:], Upload_Offset=str(offset),
        Upload_Length=str(len(data)), Repr_Digest=f"sha-256=:{digest}:",
        Content_Type="application/partial-upload",
    )  # fmt: skip
