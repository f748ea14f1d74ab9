"""Crews with as many jobs as a bench asks for, told as residents tell them, and codes for their phones."""

import uuid
from datetime import UTC, datetime, timedelta
from random import Random

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.db.models import Address, Asset, Person, Photo, Service
from city.demo.phrases import WORDS
from city.imports import history_writer
from city.imports.history_writer import CaseHistory, Move, PhotoRow, ReportRow
from city.lifecycle import CREW
from city.people import accounts
from city.places.lookup import Place
from sync import enrolment

# What a crew's list is made of, in parts of a hundred.
SERVICES = {"light-out": 40, "limb-down": 20, "basket-full": 15, "pothole": 15, "graffiti": 10}
WITH_WORDS, WITH_PHOTO, JOINED = 0.65, 0.45, 0.14


def add(s: Session, name: str, jobs: int, phones: int = 1, *, seed: int = 1) -> list[str]:
    """A crew with so many jobs, not begun. Returns a code for each of its phones; each has its own person."""
    at = datetime.now(UTC)
    crew = accounts.add_crew(s, name)
    codes = []
    for n in range(phones):
        email = f"{name.lower().replace(' ', '-')}-{n}@bench.test"
        person = accounts.add(s, email, f"{name} {n}", [CREW], crews=[crew])
        codes.append(enrolment.make_code(s, person, by=accounts.THE_SYSTEM, at=at))
    teller = _Teller(s, Random(seed), at)
    history_writer.write(s, [teller.story(crew.id) for _ in range(jobs)])
    return codes


class _Teller:
    """Invents open cases. One transaction long."""

    def __init__(self, s: Session, chance: Random, now: datetime) -> None:
        self.chance, self.now = chance, now
        self.services = {service.code: service for service in s.scalars(select(Service))}
        self.addresses = list(s.scalars(select(Address).order_by(Address.id).limit(2000)))
        self.poles = list(s.scalars(select(Asset).where(Asset.kind == "pole").order_by(Asset.id).limit(2000)))
        self.dispatcher = accounts.actor(
            s.scalars(select(Person).where(Person.email == "dispatcher@demo.test")).one()
        )
        # Any picture of the demo: the bytes lie in the store, and each row is a photo of its own.
        self.pattern = s.scalars(select(Photo).where(Photo.stored_at.is_not(None)).limit(1)).one()

    def story(self, crew_id: int) -> CaseHistory:
        code = self.chance.choices(list(SERVICES), list(SERVICES.values()))[0]
        service = self.services[code]
        opened = self.now - timedelta(hours=self.chance.uniform(4, 96))
        place = self._place(service)
        told = [self._told(service, place, opened)]
        if self.chance.random() < JOINED:
            told.append(self._told(service, place, opened + timedelta(hours=1)))
        moves = [
            Move("accept", opened + timedelta(hours=2), self.dispatcher),
            Move("assign", opened + timedelta(hours=3), self.dispatcher, crew=crew_id),
        ]
        return CaseHistory(code, told, moves, "live")

    def _told(self, service: Service, place: Place, at: datetime) -> ReportRow:
        lang = "es" if self.chance.random() < 0.2 else "en"
        words = WORDS[service.code][lang]
        return ReportRow(
            at, str(self._uuid()), lang=lang, place=place,
            words=self.chance.choice(words) if self.chance.random() < WITH_WORDS else "",
            answers={
                question.code: self.chance.choice(question.choices).code
                for question in service.questions
                if question.choices and self.chance.random() < 0.7
            },
            pictures=[self._picture()] if self.chance.random() < WITH_PHOTO else [],
        )  # fmt: skip

    def _place(self, service: Service) -> Place:
        if service.asset_kind == "pole":
            pole = self.chance.choice(self.poles)
            return Place(pole.lat, pole.lon, "asset", pole.address, None, pole.id)
        address = self.chance.choice(self.addresses)
        return Place(address.lat, address.lon, "address", address.label)

    def _picture(self) -> PhotoRow:
        photo, name = self.pattern, str(self._uuid())
        return PhotoRow(
            name, f"form:{name}", photo.upload_sha256, photo.sizes, photo.width, photo.height, photo.bytes
        )

    def _uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self.chance.getrandbits(128), version=4)
