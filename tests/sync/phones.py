"""A phone that speaks to the real application, and what the tests of sync ask of it."""

import base64
import hashlib
import io
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from city.audit import events
from city.audit.events import Actor
from city.cases import transitions
from city.config import city_file
from city.config import versions as config_versions
from city.db.engine import read_session, transaction
from city.db.models import Case, Crew, Event, Person, Service, Session
from city.lifecycle import CREW, DISPATCHER
from city.people import accounts
from city.places.lookup import Place
from city.settings import DEFAULT_CITY

T = TypeVar("T")
OURS = {"X-Cityline": "1", "Origin": "http://localhost"}


LAMP = {"service": "light-out", "lat": 39.6, "lon": -71.2, "accuracy": 8.0}
DANA = Actor("person:99", frozenset({DISPATCHER}))


class Clock:
    """A clock that tests move."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def tick(self, **span: float) -> datetime:
        self.at += timedelta(**span)
        return self.at


class Desk:
    """The browser of somebody who is signed in."""

    def __init__(self, app: Flask, clock: Clock, person_id: int) -> None:
        self.http: FlaskClient = app.test_client()
        self.app, self.clock = app, clock
        self.sign_in(person_id)

    def sign_in(self, person_id: int) -> None:
        """Puts a person into the browser for a month, so that the tests' clocks may run."""
        token = uuid.uuid4().hex
        hashed, now = hashlib.sha256(token.encode()).hexdigest(), self.clock()
        with transaction(self.app.extensions["cityline"].engine) as s:
            s.add(
                Session(token_hash=hashed, person_id=person_id, began_at=now, until=now + timedelta(days=30))
            )
        with self.http.session_transaction() as session:
            session["login"] = token


class Phone(Desk):
    """A crew's phone: signed in, enrolled, with cursors of its own."""

    def __init__(self, app: Flask, clock: Clock, person_id: int) -> None:
        super().__init__(app, clock, person_id)
        self.n = 0
        self.epoch, self.cursors = "", dict[str, int]()
        self.device = self.http.post("/sync/v1/device", headers=OURS).json["device"]

    def op(self, t: str, job: dict[str, Any], **told: Any) -> dict[str, Any]:
        """An operation as the shell writes it."""
        self.n += 1
        photos = told.pop("photos", [])
        return {
            "id": str(uuid.uuid4()),
            "n": self.n,
            "t": t,
            "v": 1,
            "case": job["ref"],
            "assignment": job.get("assignment"),
            "cycle": job["cycle"],
            "base": job["version"],
            "prev": told.pop("prev", None),
            "device_time": self.clock().isoformat(),
            "accuracy": None,
            "data": told,
            "photos": photos,
        }

    def body(self, *ops: Any, **told: Any) -> dict[str, Any]:
        return {
            "protocol": 1,
            "nonce": uuid.uuid4().hex,
            "epoch": self.epoch,
            "device": self.device,
            "release": "test",
            "device_time": self.clock().isoformat(),
            "cursors": self.cursors,
            "limit": 250,
            "waiting": {"ops": len(ops), "photos": 0, "oldest": None},
            "ops": list(ops),
            **told,
        }

    def post(self, body: dict[str, Any], **headers: str) -> TestResponse:
        return self.http.post("/sync/v1/exchange", json=body, headers=OURS | headers)

    def exchange(self, *ops: Any, **told: Any) -> dict[str, Any]:
        """Sends operations and takes the changes in, as a phone does."""
        body = self.body(*ops, **told)
        response = self.post(body)
        assert response.status_code == 200, response.data
        answer: dict[str, Any] = response.json
        assert answer["nonce"] == body["nonce"]
        self.epoch = answer["epoch"]
        self.cursors |= {scope: news["to"] for scope, news in answer["changes"].items()}
        return answer

    def job(self, number: str) -> dict[str, Any]:
        """The job as a phone without cursors would get it."""
        answer = self.exchange(cursors={})
        jobs = [job for news in answer["changes"].values() for job in news["set"]]
        found: dict[str, Any] = next(job for job in jobs if job["ref"] == number)
        return found

    def upload(self, data: bytes, photo_id: str | None = None) -> dict[str, Any]:
        """Sends a photo whole and returns its declaration."""
        declared = declare(data, photo_id)
        response = self.piece(declared, 0, data)
        assert response.status_code == 200, response.data
        return declared

    def piece(
        self, declared: dict[str, Any], at_byte: int, data: bytes, sha: str | None = None
    ) -> TestResponse:
        digest = base64.b64encode(bytes.fromhex(sha or declared["sha256"])).decode()
        last = at_byte + len(data) == declared["bytes"]
        return self.http.patch(
            f"/sync/v1/photos/{declared['id']}",
            data=data,
            headers=OURS
            | {
                "Content-Type": "application/partial-upload",
                "Upload-Offset": str(at_byte),
                "Upload-Length": str(declared["bytes"]),
                "Upload-Complete": "?1" if last else "?0",
                "Repr-Digest": f"sha-256=:{digest}:",
            },
        )


class Resident(Phone):
    """A resident's phone: a token without an account."""

    def __init__(self, app: Flask, clock: Clock) -> None:
        self.http, self.clock, self.n, self.app = app.test_client(), clock, 0, app
        self.epoch, self.cursors = "", dict[str, int]()
        self.device = self.http.post("/sync/v1/resident", headers=OURS).json["device"]


def report(phone: Phone, **told: Any) -> dict[str, Any]:
    """A report operation as a phone writes it."""
    photos = told.pop("photos", [])
    phone.n += 1
    return {
        "id": str(uuid.uuid4()), "n": phone.n, "t": "report", "v": 1, "case": None,
        "device_time": phone.clock().isoformat(), "data": LAMP | told, "photos": photos,
    }  # fmt: skip


def declare(data: bytes, photo_id: str | None = None) -> dict[str, Any]:
    """What an operation says about a photo."""
    sha = hashlib.sha256(data).hexdigest()
    return {"id": photo_id or str(uuid.uuid4()), "sha256": sha, "bytes": len(data), "type": "image/jpeg"}


def picture(shade: int = 120) -> bytes:
    """A JPEG as a phone sends it."""
    out = io.BytesIO()
    Image.new("RGB", (320, 240), (shade, 90, 40)).save(out, "JPEG")
    return out.getvalue()


def make_lamp(engine: Engine, clock: Clock, crew: str = "Lights 2") -> str:
    with transaction(engine) as s:
        service = s.get_one(Service, "light-out")
        place = Place(39.6, -71.2, "address", "214 Tansy Street")
        case = transitions.open_case(s, service, place, by=DANA, at=clock())
        transitions.assign(s, case, crew_named(s, crew), by=DANA, at=clock.tick(minutes=1))
        return case.number


def dispatch(engine: Engine, number: str, verb: Callable[..., object], clock: Clock, **told: Any) -> None:
    """What the office does meanwhile. A crew is given by its name, a case by its number."""
    with transaction(engine) as s:
        if "crew" in told:
            told["crew"] = crew_named(s, told["crew"])
        if "into" in told:
            told["into"] = case_of(s, told["into"])
        verb(s, case_of(s, number), by=DANA, at=clock.tick(minutes=1), **told)


def crew_named(s: Any, name: str) -> Crew:
    found: Crew = s.query(Crew).filter_by(name=name).one()
    return found


def case_of(s: Any, number: str) -> Case:
    found: Case = s.query(Case).filter_by(number=number).one()
    return found


def story(s: Any, number: str) -> list[tuple[Event, dict[str, Any]]]:
    """The log of a case, oldest first, each line with its words."""
    return events.of(s, events.of_case(case_of(s, number).id))


def actor(engine: Engine, email: str) -> Actor:
    with read_session(engine) as s:
        found = accounts.by_email(s, email)
        assert isinstance(found, Person)
        return accounts.actor(found)


def person(engine: Engine, email: str) -> int:
    with read_session(engine) as s:
        found = accounts.by_email(s, email)
        assert isinstance(found, Person)
        return found.id


def furnish(engine: Engine) -> None:
    """The services of the demo's city file, and two crews: Luis has "Lights 2", Toni "Lights 1"."""
    with transaction(engine) as s:
        config_versions.activate(s, city_file.load(DEFAULT_CITY))
        lights_2, lights_1 = Crew(name="Lights 2"), Crew(name="Lights 1")
        s.add_all([lights_2, lights_1])
        s.flush()
        accounts.add(s, "luis@city.test", "Luis", [CREW], crews=[lights_2])
        accounts.add(s, "toni@city.test", "Toni", [CREW], crews=[lights_1])
