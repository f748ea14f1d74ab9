"""The phones of Larkhaven's crews, and what they sent while the city moved on, all from one seed.

What the crews did is taken by the same door as every phone's work: each scene needs a case that fits it, and
a small city may lack one.
"""

import json
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import count
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.cases import sla, transitions
from city.cases.transitions import Closing
from city.db.engine import transaction
from city.db.models import Assignment, Case, Crew, Device, Event, Person, Photo, Report, Service, Subscription
from city.demo.phrases import ELSE, FIXED
from city.lifecycle import ADMINISTRATOR, ASSIGNED, DISPATCHER, OPEN
from city.people import accounts
from city.settings import Settings
from sync import devices, expected_photos, protocol, push
from sync.merge import rules_of

DAY = time(7), time(17)  # when crews are out, in the city's own time
# In hours of such days before now: how far back the scenes begin, and since when a phone is lost.
SCENES, LOST = timedelta(hours=10), timedelta(hours=15)
SHUT_OUT = timedelta(hours=1)  # after it was lost; and a new one is enrolled soon
CLEANED = ("basket-full", "bulky-item", "dumping", "missed-collection")
WAITS = ("ops", "photos", "oldest")


class _Phone(NamedTuple):
    """Whose it is, when it was enrolled and last heard, and what waits on it, since `oldest`.

    `old` is one whose app was not renewed for a while.
    """

    email: str
    enrolled: datetime
    seen: datetime
    ops: int = 0
    photos: int = 0
    oldest: datetime | None = None
    old: bool = False


LUIS, LUIS_LOST, TONI, IMANI, IMANI_SPARE = "luis", "luis, lost", "toni", "imani", "imani, spare"
IS_OF = {
    LUIS: "crew1@demo.test", LUIS_LOST: "crew1@demo.test", TONI: "crew2@demo.test",
    IMANI: "crew3@demo.test", IMANI_SPARE: "crew3@demo.test",
}  # fmt: skip


def fill(engine: Engine, settings: Settings, seed: int = 311, now: datetime | None = None) -> None:
    """The phones, and what came from them until `now`; needs the people and the cases of city/demo/fill.py.

    The same seed, cases and `now` make the same rows. Nobody knows a token of these phones.
    """
    now = (now or datetime.now(UTC)).replace(second=0, microsecond=0)
    with transaction(engine) as s:
        shift = _Shift(s, settings, Random(f"field work {seed}"), now)
        shift.work()
        shift.put_away()


@dataclass(frozen=True)
class _Job:
    """A case that a scene goes on with, and how a crew has or had it."""

    case: Case
    given: Assignment
    clock: "_Clock"

    def at(self, share: float) -> datetime:
        """A moment between the beginning of the scenes (0) and now (1)."""
        return self.clock.ago(SCENES * (1 - share))


@dataclass(frozen=True)
class _Clock:
    """Counts the hours when crews are out."""

    now: datetime
    zone: ZoneInfo

    def ago(self, span: timedelta) -> datetime:
        """The moment from which such hours add up to `span` until now."""
        here = self.now.astimezone(self.zone)
        day = here.date()
        while True:
            begin, end = (datetime.combine(day, at, self.zone) for at in DAY)
            end = max(begin, min(end, here))
            if end - begin >= span:
                return (end - span).astimezone(UTC).replace(microsecond=0)
            span -= end - begin
            day -= timedelta(days=1)


class _Shift:
    """What the crews did lately. One transaction long."""

    def __init__(self, s: Session, settings: Settings, chance: Random, now: datetime) -> None:
        self.s, self.settings, self.chance, self.now = s, settings, chance, now
        people = s.scalars(select(Person).order_by(Person.id)).all()
        self.people = {person.email: person for person in people}
        actors = [accounts.actor(person) for person in people]
        self.dispatcher = next(actor for actor in actors if DISPATCHER in actor.roles)
        self.admin = next(actor for actor in actors if ADMINISTRATOR in actor.roles)
        self.crews = {crew.name: crew for crew in s.scalars(select(Crew))}
        self.turns = count(1)
        self.taken: dict[int, Case] = {}
        self.releases = [self._hex(48) for _ in range(2)]
        self.clock = _Clock(now, sla.zone_of(s.scalars(select(Service).limit(1)).one()))
        self.lost = self.clock.ago(LOST)
        self.phones = {name: self._enrolled(phone) for name, phone in self._known().items()}
        s.flush()

    def work(self) -> None:
        """Everything that came from the phones, one scene after another."""
        self._two_crews_differ()
        self._lost_and_found()
        self._in_a_cellar()
        self._others_have_begun()
        self._given_away()
        self._withdrawn_meanwhile()
        self._came_back_meanwhile()
        self._seen_in_passing()
        self._of_a_newer_app()

    def put_away(self) -> None:
        """Brings the cases up to date, and notes what the phones had packed when they were last heard."""
        for case in self.taken.values():
            sla.refresh(case, self.now)
        self.s.flush()
        for name, device in self.phones.items():
            if name not in (LUIS_LOST, IMANI_SPARE):
                self._pack(device)

    def _lost_and_found(self) -> None:
        """A phone is lost and shut out; found again, it sends what was done before, which must be let in."""
        device = self.phones[LUIS_LOST]
        devices.revoke(self.s, self.settings.var, device, by=self.admin, at=self.lost + SHUT_OUT)
        done = self.clock.ago(LOST + timedelta(minutes=25))
        if job := self._job("Lights 2", ("light-out", "light-flickering"), given_before=done):
            op = self._close(device, job, done, "fixed", proof=True)
            self._send(LUIS_LOST, [op], job.at(0.7), deposit="revoked")

    def _in_a_cellar(self) -> None:
        """Work without signal that is done as it comes: it counts from when the phone wrote it down."""
        if job := self._job("Clean 1", CLEANED, untold=True):
            phone = self.phones[TONI]
            start = self._op(phone, "start", job, job.at(0.6))
            close = self._close(phone, job, job.at(0.7), "fixed", missing=True)
            self._send(TONI, [start, {**close, "prev": start["id"]}], job.at(0.9))
        if job := self._job("Lights 2", ("light-out", "light-all-day", "light-flickering")):
            start = self._op(self.phones[LUIS], "start", job, job.at(0.8))
            note = self._op(self.phones[LUIS], "note", job, job.at(0.82), words="Back after dark to look.")
            self._send(LUIS, [start, note], job.at(0.95))

    def _two_crews_differ(self) -> None:
        """Given away while its crew had no signal: the others found nothing, since the first had done it."""
        job = self._job("Trees 3", ("limb-down",)) or self._job("Clean 1", ("bulky-item", "dumping"))
        if job:
            self._reassign(job, "Works 5", job.at(0.2))
            imani = self._actor(IMANI)
            transitions.start(self.s, job.case, by=imani, at=job.at(0.55), origin="demo")
            nothing = Closing("not found", words=ELSE["not found"][job.case.service_code])
            transitions.close(self.s, job.case, nothing, by=imani, at=job.at(0.6), origin="demo")
            op = self._close(self.phones[TONI], job, job.at(0.3), "fixed")
            self._send(TONI, [op], job.at(0.8))

    def _others_have_begun(self) -> None:
        """Done by the first crew, as the second is on its way."""
        if job := self._job("Clean 1", ("bulky-item", "dumping")):
            self._reassign(job, "Works 5", job.at(0.3))
            transitions.start(self.s, job.case, by=self._actor(IMANI), at=job.at(0.7), origin="demo")
            words = "Was on the way anyway. Loaded and swept."
            op = self._close(self.phones[TONI], job, job.at(0.4), "fixed", words)
            self._send(TONI, [op], job.at(0.85))

    def _given_away(self) -> None:
        """Done by the first crew before the second began: it counts, and a dispatcher looks."""
        phone, job = LUIS, self._job("Lights 2", ("pole-damaged",), untold=True)
        if job is None:
            phone, job = TONI, self._job("Trees 3", ("roots-sidewalk", "stump"), untold=True)
        if job:
            self._reassign(job, "Works 5", job.at(0.5))
            op = self._close(self.phones[phone], job, job.at(0.55), "fixed")
            self._send(phone, [op], job.at(0.75))

    def _withdrawn_meanwhile(self) -> None:
        """Its reporter took it back, and the crew had mended it all the same."""
        if job := self._job("Lights 2", ("light-flickering", "light-out")):
            transitions.cancel(
                self.s, job.case, "withdrawn", by=self.dispatcher, at=job.at(0.4), origin="demo"
            )
            op = self._close(self.phones[LUIS], job, job.at(0.5), "fixed", proof=True)
            self._send(LUIS, [op], job.at(0.7))

    def _came_back_meanwhile(self) -> None:
        """Closed once more under the job of before, after its reporter had sent it back."""
        if job := self._job(None, tuple(FIXED), again=True):
            name = next(name for name in IS_OF if job.given.crew_id in self._actor(name).crew_ids)
            words = "Went back right away and did the rest."
            op = self._close(self.phones[name], job, job.at(0.2), "fixed", words)
            self._send(name, [op], job.at(0.5))

    def _seen_in_passing(self) -> None:
        """A note on the job of another crew."""
        if job := self._job("Clean 1", ("basket-full", "bulky-item", "dumping")):
            words = "Passed by from a lamp job. There is more of it by now."
            op = self._op(self.phones[LUIS], "note", job, job.at(0.7), words=words)
            self._send(LUIS, [{**op, "assignment": None}], job.at(0.75))

    def _of_a_newer_app(self) -> None:
        """What an app of another release sends, and this city cannot read."""
        if job := self._job("Works 5", tuple(FIXED)):
            op = self._op(self.phones[IMANI], "mileage", job, job.at(0.8), km=14)
            self._send(IMANI, [op], job.at(0.85))

    def _job(
        self,
        crew: str | None,
        services: Collection[str],
        *,
        given_before: datetime | None = None,
        again: bool = False,
        untold: bool = False,
    ) -> _Job | None:
        """An open case for a scene, that no scene had yet; None without one. Danger is left alone.

        It is assigned to `crew`; or `again`, with the job of a cycle that is over. Of an `untold` one nobody
        wants news: the worker would write letters of what a phone does now.
        """
        asked = (
            select(Case, Assignment)
            .join(Assignment, Assignment.case_id == Case.id)
            .where(Case.service_code.in_(services), ~Case.urgent, Case.id.not_in(self.taken))
            .where(~select(Report.id).where(Report.case_id == Case.id, Report.danger).exists())
            .order_by(Case.id, Assignment.id)
        )
        if again:
            asked = asked.where(Case.state.in_(OPEN), Assignment.cycle < Case.cycle)
        else:
            asked = asked.where(Case.state == ASSIGNED, Assignment.ended_at.is_(None), Case.cycle == 1)
            asked = asked.where(Assignment.crew_id == self.crews[crew or ""].id)
        if untold:
            told = select(Subscription.id).join(Report, Report.id == Subscription.report_id)
            asked = asked.where(~told.where(Report.case_id == Case.id).exists())
        if given_before:
            asked = asked.where(Assignment.given_at < given_before)
        rows = {case.id: (case, given) for case, given in self.s.execute(asked)}
        last, begin = self._last(rows), self.clock.ago(SCENES)
        fit = [case_id for case_id in rows if last[case_id] < begin]
        if not fit:
            return None
        case, given = rows[self.chance.choice(fit)]
        self.taken[case.id] = case
        return _Job(case, given, self.clock)

    def _last(self, case_ids: Collection[int]) -> dict[int, datetime]:
        """When the last thing happened to each case."""
        subjects = {events.of_case(case_id): case_id for case_id in case_ids}
        told = select(Event.subject, func.max(Event.at)).where(Event.subject.in_(subjects))
        return {subjects[subject]: at for subject, at in self.s.execute(told.group_by(Event.subject))}

    def _reassign(self, job: _Job, crew: str, at: datetime) -> None:
        transitions.assign(self.s, job.case, self.crews[crew], by=self.dispatcher, at=at, origin="demo")

    def _known(self) -> dict[str, _Phone]:
        """The phones by name, as they were last heard."""
        ago = self.clock.ago
        again = self.lost + SHUT_OUT + timedelta(minutes=20)
        waits_since = ago(timedelta(hours=2))
        drawer = ago(timedelta(hours=32))  # in which it lies since then
        return {
            LUIS: _Phone(IS_OF[LUIS], again, self.now - timedelta(minutes=6)),
            LUIS_LOST: _Phone(IS_OF[LUIS_LOST], self.now - timedelta(days=212), self.lost, old=True),
            TONI: _Phone(
                IS_OF[TONI],
                self.now - timedelta(days=63),
                ago(timedelta(hours=1)),
                photos=1,
                oldest=waits_since,
            ),
            IMANI: _Phone(IS_OF[IMANI], self.now - timedelta(days=58), self.now - timedelta(minutes=18)),
            IMANI_SPARE: _Phone(
                IS_OF[IMANI_SPARE],
                self.now - timedelta(days=120),
                drawer,
                4,
                2,
                ago(timedelta(hours=35)),
                old=True,
            ),
        }

    def _enrolled(self, phone: _Phone) -> Device:
        """A phone as it was last heard, but for its pack."""
        person, at = self.people[phone.email], phone.enrolled
        told = (phone.ops, phone.photos, int(phone.oldest.timestamp())) if phone.oldest else ()
        device = Device(
            id=self._id(), person_id=person.id, token_hash=self._hex(256), token_at=at, enrolled_at=at,
            seen_at=phone.seen, release=self.releases[phone.old],
            waiting=dict(zip(WAITS, told, strict=True)) if told else {},
        )  # fmt: skip
        self.s.add(device)
        by = accounts.actor(person)
        events.record(self.s, f"device:{device.id}", "enrol device", by=by, at=at, origin="demo")
        return device

    def _pack(self, device: Device) -> None:
        """The receipt of all that the jobs of its person's crews need."""
        crews = {crew.id for crew in self.s.get_one(Person, device.person_id).crews}
        jobs = select(Assignment.case_id).join(Case, Case.id == Assignment.case_id)
        jobs = jobs.where(Assignment.ended_at.is_(None), Assignment.crew_id.in_(crews), Case.state.in_(OPEN))
        held = set(self.s.scalars(jobs))
        shown = select(func.count()).select_from(Photo).join(Report, Report.id == Photo.report_id)
        photos = self.s.scalar(shown.where(Report.case_id.in_(held))) or 0
        packed = (int(device.seen_at.timestamp()), len(held), photos, photos, 1)
        device.pack = dict(zip(devices.PACK, packed, strict=True))

    def _actor(self, name: str) -> Actor:
        return accounts.actor(self.people[IS_OF[name]])

    def _send(self, name: str, ops: Sequence[dict[str, Any]], at: datetime, *, deposit: str = "") -> None:
        """What a phone sends in one exchange."""
        read = [protocol.reread(json.dumps(op)) for op in ops]
        sender = push.Sender(
            self.phones[name].id, self._actor(name), deposit, self.settings.secret_key,
            rules_of(self.settings),
        )  # fmt: skip
        push.process(self.s, sender, read, at)
        if not deposit:
            self.phones[name].seen_at = max(self.phones[name].seen_at, at)

    def _op(self, phone: Device, t: str, job: _Job, at: datetime, **data: Any) -> dict[str, Any]:
        """One intention, as a phone writes it down."""
        return {
            "id": self._id(), "n": next(self.turns), "t": t, "v": 1, "case": job.case.number,
            "assignment": job.given.id, "cycle": job.given.cycle, "base": job.case.version, "prev": None,
            "device_time": at.isoformat(), "accuracy": None, "data": data, "photos": [],
        }  # fmt: skip

    def _close(
        self,
        phone: Device,
        job: _Job,
        at: datetime,
        outcome: str,
        words: str = "",
        *,
        proof: bool = False,
        missing: bool = False,
    ) -> dict[str, Any]:
        """A closing with a photo, one that is here (`proof`, where there is any) or is still `missing`."""
        words = words or self.chance.choice(FIXED[job.case.service_code])
        photo = self._missing() if missing else self._sent(phone) if proof else None
        said = {"outcome": outcome, "words": words}
        if not photo:
            said["no_photo"] = "nothing to see"
        return {**self._op(phone, "close", job, at, **said), "photos": [photo] if photo else []}

    def _missing(self) -> dict[str, Any]:
        """A photo that is still on the phone."""
        return {
            "id": self._id(), "sha256": self._hex(256), "bytes": self.chance.randint(180_000, 420_000),
            "type": "image/jpeg",
        }  # fmt: skip

    def _sent(self, phone: Device) -> dict[str, Any] | None:
        """A photo of a lamp that burns again, sent before its operation; None where the demo has none."""
        closed = select(Photo).join(Case, Case.id == Photo.case_id).where(Photo.closure_id.is_not(None))
        closed = closed.where(Case.service_code.in_(("light-out", "light-flickering")))
        shown = self.s.scalars(closed.order_by(Photo.id).limit(1)).first()
        if shown is None:
            return None
        name = self._id()
        self.s.add(
            Photo(
                id=self._id(), staged_for=expected_photos.owner(phone.id, name),
                upload_sha256=shown.upload_sha256, sha256=shown.sha256, sizes=shown.sizes,
                width=shown.width, height=shown.height, bytes=shown.bytes,
                added_at=self.lost, stored_at=self.lost,
            )
        )  # fmt: skip
        self.s.flush()
        return {"id": name, "sha256": shown.upload_sha256, "bytes": shown.bytes, "type": "image/jpeg"}

    def _id(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def _hex(self, bits: int) -> str:
        return f"{self.chance.getrandbits(bits):0{bits // 4}x}"
