"""The cases of Larkhaven: told, worked on and closed over the last three months, all from one seed.

Everything goes through the same verbs as real work, in the order of time, with the origin `demo`.
"""

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from random import Random

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, joinedload

from city import cases, geo, people, photos, places, promises, reports
from city.db import transaction
from city.demo_words import ELSE, FIXED, NOT_FIXED, NOTES, WORDS
from city.events import Actor
from city.lifecycle import CALL_TAKER, CREW, DISPATCHER
from city.places import Place
from city.schema import Address, Asset, Case, Crew, Person, Photo, Report, Service
from city.settings import Settings

PICTURES = Path(__file__).parent / "demo_photos"
# How the cases go, in parts of a hundred.
PLOTS = {
    "new": 13, "accepted": 14, "assigned": 17, "underway": 4, "waiting": 7, "made safe": 2, "fixed": 29,
    "answered": 5, "reopened": 3, "merged": 4, "cancelled": 2,
}  # fmt: skip
OVER = ("fixed", "answered", "cancelled", "reopened")
STANDINGS = {"ok": 62, "risk": 19, "late": 19}
SERVICES = {
    "light-out": 20, "light-flickering": 8, "light-all-day": 5, "pole-damaged": 6, "wire-down": 2,
    "limb-down": 12, "tree-leaning": 4, "roots-sidewalk": 5, "stump": 4, "tree-on-wire": 1,
    "basket-full": 11, "bulky-item": 9, "missed-collection": 6, "dumping": 5, "basket-damaged": 3,
    "pothole": 7, "sidewalk-broken": 4, "sign-damaged": 3, "graffiti": 4, "home-nuisance": 2,
    "something-else": 2,
}  # fmt: skip
CHANNELS = {"web": 58, "phone": 29, "crew": 9, "api": 4}
BEFORE = {
    "light-out": "lamp-before", "light-flickering": "lamp-before", "pole-damaged": "pole",
    "limb-down": "limb", "basket-full": "basket", "bulky-item": "couch", "dumping": "couch",
}  # fmt: skip
AFTER = {"light-out": "lamp-after", "light-flickering": "lamp-after", "light-all-day": "lamp-before"}
WAITS = {"lights": ("utility", "parts"), "trees": ("weather", "utility"), "clean": ("resident", "weather")}
CREW_OF = {"lights": "Lights 2", "trees": "Trees 3"}  # all else goes to Clean 1
# When people tell: hardly at night, most before and after work. One weight an hour of the day.
HOURS = (1, 1, 0, 0, 0, 1, 3, 7, 9, 8, 7, 6, 7, 6, 6, 6, 7, 9, 8, 6, 5, 4, 3, 2)
A_MOMENT = timedelta(minutes=10)
LOST_SIGNAL = timedelta(minutes=40)  # how long a crew's tap may have waited in a cellar

Act = Callable[[datetime], object]


@dataclass
class _Tale:
    """One case as it will go: when it was told, and what was done when."""

    n: int
    plot: str
    service: Service
    place: Place | None
    opened: datetime
    lang: str
    steps: list[tuple[datetime, Act]] = field(default_factory=list)
    report: Report | None = None

    @property
    def case(self) -> Case:
        if self.report is None:
            raise LookupError(f"tale {self.n} is not told yet")
        return self.report.case

    @property
    def ended(self) -> datetime:
        return self.steps[-1][0] if self.steps else self.opened


def tell(
    engine: Engine, settings: Settings, count: int = 200, seed: int = 311, now: datetime | None = None
) -> None:
    """`count` cases that end at `now`; needs the ground, the services and the people.

    The same seed and `now` make the same cases. The pictures are developed once and stored at once.
    """
    album = _album(settings)
    now = (now or datetime.now(UTC)).replace(second=0, microsecond=0)
    with transaction(engine) as s:
        author = _Author(s, settings.secret_key, album, Random(seed), now)
        steps = [step for tale in author.tales(count) for step in tale.steps]
        for at, act in sorted(steps, key=lambda step: step[0]):
            act(at)


class _Author:
    """Invents tales and tells them. One transaction long."""

    def __init__(
        self, s: Session, secret: str, album: dict[str, photos.Developed], chance: Random, now: datetime
    ) -> None:
        self.s, self.secret, self.album, self.chance, self.now = s, secret, album, chance, now
        self.services = {
            service.code: service
            for service in s.scalars(select(Service).options(joinedload(Service.department)))
        }
        self.addresses = list(s.scalars(select(Address).order_by(Address.id)))
        self.assets: dict[str | None, list[Asset]] = {}
        for asset in s.scalars(select(Asset).order_by(Asset.id)):
            self.assets.setdefault(asset.kind, []).append(asset)
        staff = [(person, people.actor(person)) for person in s.scalars(select(Person).order_by(Person.id))]
        self.dispatcher = next(actor for _, actor in staff if DISPATCHER in actor.roles)
        self.desk = next(actor for _, actor in staff if CALL_TAKER in actor.roles)
        self.crews = {crew.name: crew for crew in s.scalars(select(Crew))}
        self.hands = {
            crew.name: actor for person, actor in staff if CREW in actor.roles for crew in person.crews
        }

    def tales(self, count: int) -> list[_Tale]:
        """Every case with its steps; what was merged comes last, since it needs a survivor."""
        plots = _dealt(PLOTS, count)
        self.chance.shuffle(plots)
        plots.sort(key=lambda plot: plot == "merged")
        standings = _dealt(STANDINGS, count)
        self.chance.shuffle(standings)
        told: list[_Tale] = []
        for n, (plot, standing) in enumerate(zip(plots, standings, strict=True), start=1):
            tale = self._twin(n, told) if plot == "merged" else self._tale(n, plot, standing)
            told.append(tale)
        return told

    def _tale(self, n: int, plot: str, standing: str) -> _Tale:
        service = self.services[self._pick({c: w for c, w in SERVICES.items() if c in self.services})]
        opened = self._long_ago(service) if plot in OVER else self._opened(service, standing)
        tale = _Tale(n, plot, service, self._place(service), opened, self._pick({"en": 75, "es": 25}))
        self._step(tale, opened, lambda at: self._told(tale, at))
        if plot != "new":
            self._worked(tale)
        if self.chance.random() < 0.14:
            self._joined(tale)
        return tale

    def _twin(self, n: int, told: list[_Tale]) -> _Tale:
        """A second case for the same thing, found and merged by the dispatcher."""
        fit = [
            t
            for t in told
            if t.place and t.plot in ("accepted", "assigned", "fixed") and not t.service.private
        ]
        first = self.chance.choice([t for t in fit if self.now - t.opened > 6 * A_MOMENT] or fit)
        until = first.ended if first.plot == "fixed" else self.now
        opened = self._between(first.opened, until, 0.1, 0.5)
        assert first.place  # noqa: S101
        tale = _Tale(n, "merged", first.service, self._beside(first.place, 9), opened, "en")
        self._step(tale, opened, lambda at: self._told(tale, at))
        self._step(
            tale,
            self._between(opened, until, 0.2, 0.8),
            lambda at: cases.merge(self.s, tale.case, first.case, by=self.dispatcher, at=at, origin="demo"),
        )
        return tale

    def _worked(self, tale: _Tale) -> None:
        """What the city did about it, between its opening and its end."""
        end = self._end(tale)
        crew = self.crews[CREW_OF.get(tale.service.department_code, "Clean 1")]
        hand = self.hands[crew.name]

        def step(share: float, act: Act) -> None:
            self._step(tale, tale.opened + (end - tale.opened) * share, act)

        if tale.plot == "cancelled":
            reason = self.chance.choice(("withdrawn", "spam", "test"))
            step(
                0.3,
                lambda at: cases.cancel(self.s, tale.case, reason, by=self.dispatcher, at=at, origin="demo"),
            )
            return
        by = self.desk if self.chance.random() < 0.4 else self.dispatcher
        step(self.chance.uniform(0.04, 0.25), lambda at: self._accepted(tale, by, at))
        if tale.plot == "accepted":
            return
        if tale.plot == "waiting":
            reason = self.chance.choice(WAITS.get(tale.service.department_code, ("weather",)))
            step(
                0.5,
                lambda at: cases.wait(self.s, tale.case, reason, by=self.dispatcher, at=at, origin="demo"),
            )
            return
        step(
            self.chance.uniform(0.3, 0.5),
            lambda at: cases.assign(self.s, tale.case, crew, by=self.dispatcher, at=at, origin="demo"),
        )
        if tale.plot == "assigned":
            return
        step(
            0.8,
            lambda at: cases.start(
                self.s, tale.case, by=hand, at=at, at_device=self._device(at), origin="demo"
            ),
        )
        if tale.plot == "made safe":
            words = "Taped off. Comes back with the bucket truck."
            step(
                0.9, lambda at: cases.make_safe(self.s, tale.case, by=hand, at=at, words=words, origin="demo")
            )
        elif tale.plot != "underway":
            step(1.0, lambda at: self._closed(tale, hand, at))
        if tale.plot == "reopened":
            self._sent_back(tale, crew)

    def _sent_back(self, tale: _Tale, crew: Crew) -> None:
        words = self.chance.choice(NOT_FIXED[tale.lang])
        again = self._between(tale.ended, min(self.now, tale.ended + timedelta(days=9)), 0.2, 0.7)

        def not_fixed(at: datetime) -> None:
            report = _told_of(tale)
            reports.not_fixed(
                self.s, report, by=people.reporter(report.id), at=at, words=words, key=f"{report.key}-again",
                token=reports.token_for(self.secret, f"{report.key}-again"), origin="demo",
            )  # fmt: skip

        self._step(tale, again, not_fixed)
        if self.chance.random() < 0.6:
            self._step(
                tale,
                self._between(again, self.now, 0.1, 0.5),
                lambda at: cases.assign(self.s, tale.case, crew, by=self.dispatcher, at=at, origin="demo"),
            )

    def _joined(self, tale: _Tale) -> None:
        """Neighbours who tell of the same thing while it is open."""
        until = tale.ended if tale.plot in OVER else self.now
        first = tale.steps[1][0] if tale.plot == "cancelled" else until
        for _ in range(self.chance.choice((1, 1, 1, 2, 2, 3, 5))):
            at = self._between(tale.opened, min(until, first), 0.05, 0.9)
            lang = self._pick({"en": 75, "es": 25})
            self._step(tale, at, lambda at, lang=lang: self._told(tale, at, lang, join=tale.case.number))  # type: ignore[misc]

    def _step(self, tale: _Tale, at: datetime, act: Act) -> None:
        tale.steps.append((at.replace(microsecond=0), act))

    def _told(self, tale: _Tale, at: datetime, lang: str = "", join: str | None = None) -> None:
        channel = self._pick(CHANNELS)
        lang = lang or tale.lang
        key = f"demo-{uuid.UUID(int=self.chance.getrandbits(128))}"
        telling = reports.Telling(
            key=key,
            service_code=tale.service.code,
            channel=channel,
            lang=lang,
            words=self._words(tale.service, lang),
            place=self._beside(tale.place, 6) if join and tale.place else tale.place,
            answers=self._answers(tale.service),
            danger=tale.service.urgent,
            join=join,
        )
        picture = BEFORE.get(tale.service.code)
        shown = channel != "phone" and picture is not None and self.chance.random() < 0.95
        taken = [self._photo(picture, key, at)] if shown and picture else []
        token = reports.token_for(self.secret, key)
        report = reports.take(self.s, telling, at=at, token=token, taken=taken, origin="demo")
        if tale.report is None:
            tale.report = report

    def _accepted(self, tale: _Tale, by: Actor, at: datetime) -> None:
        cases.accept(self.s, tale.case, by=by, at=at, origin="demo")
        if not tale.service.private and self.chance.random() < 0.7:
            reports.show(self.s, _told_of(tale), by=by, at=at, origin="demo")
        if self.chance.random() < 0.12:
            cases.note(self.s, tale.case, self.chance.choice(NOTES), by=by, at=at, origin="demo")

    def _closed(self, tale: _Tale, hand: Actor, at: datetime) -> None:
        department = tale.service.department_code
        if tale.plot == "answered":
            outcome = self.chance.choice(tuple(ELSE))
            words = self.chance.choice(ELSE[outcome])
            cases.close(self.s, tale.case, by=hand, at=at, outcome=outcome, words=words, origin="demo")
            return
        picture = AFTER.get(tale.service.code)
        taken = (
            [self._photo(picture, f"after-{tale.n}", at)] if picture and self.chance.random() < 0.9 else []
        )
        no_photo = None if taken else self._pick({"nothing to see": 6, "dark": 3, "unsafe": 1})
        cases.close(
            self.s, tale.case, by=hand, at=at, outcome="fixed", photos_taken=taken, no_photo=no_photo,
            words=self.chance.choice(FIXED.get(department, FIXED["streets"])), at_device=self._device(at),
            origin="demo",
        )  # fmt: skip

    def _photo(self, picture: str, staged_for: str, at: datetime) -> Photo:
        """A row over bytes that lie in the store already."""
        new = self.album[picture]
        names = _names(new)
        photo = Photo(
            id=str(uuid.UUID(int=self.chance.getrandbits(128), version=4)), staged_for=staged_for,
            upload_sha256=new.upload_sha256, sha256=names["full"], sizes=names, width=new.width,
            height=new.height, bytes=len(new.jpegs["full"]), added_at=at, stored_at=at,
        )  # fmt: skip
        self.s.add(photo)
        self.s.flush()
        return photo

    def _words(self, service: Service, lang: str) -> str:
        words = WORDS.get(service.code, {}).get(lang, ())
        return self.chance.choice(words) if words and self.chance.random() < 0.65 else ""

    def _answers(self, service: Service) -> dict[str, str]:
        return {
            question["code"]: self.chance.choice(question["values"])["code"]
            for question in service.questions
            if question["values"] and self.chance.random() < 0.7
        }

    def _place(self, service: Service) -> Place | None:
        """Mostly from the phone beside the thing itself; seldom nobody knows where."""
        if self.chance.random() < 0.01:
            return None
        things = self.assets.get(service.asset_kind, []) if service.asset_kind else []
        if things and self.chance.random() < 0.85:
            asset = self.chance.choice(things)
            return Place(asset.lat, asset.lon, "asset", asset.address, None, asset.id)
        address = self.chance.choice(self.addresses)
        if self.chance.random() < 0.3:
            return Place(address.lat, address.lon, "address", address.label)
        accuracy = float(self.chance.randint(4, 28))
        return self._beside(Place(address.lat, address.lon, "gps", address.label, accuracy), accuracy / 2)

    def _beside(self, place: Place, metres: float) -> Place:
        """Where a phone that stands there believes to be; never outside the city."""
        step = metres / geo.METRES_A_DEGREE
        lat = round(place.lat + self.chance.uniform(-step, step), 6)
        lon = round(place.lon + self.chance.uniform(-step, step), 6)
        if places.outside(self.s, geo.Point(lat, lon)):
            return place
        return Place(lat, lon, "gps", place.label, float(self.chance.randint(4, 28)))

    def _opened(self, service: Service, standing: str) -> datetime:
        """A moment from which an open case of this service stands so today."""
        newest = self.now - A_MOMENT
        fit, last = [], newest - timedelta(minutes=self.chance.randint(0, 300))
        for days in range(service.promise_days + 12):
            opened = self._on_day(service, days)
            if opened > newest:
                continue
            promised = promises.days(service, urgent=service.urgent)
            due = promises.due(opened, promised, promises.zone_of(service), [], self.now)
            lead = max((due - opened) * promises.RISK_SHARE, promises.RISK_AT_LEAST)
            found = "late" if self.now > due else "risk" if self.now >= due - lead else "ok"
            if found == standing:
                fit.append(opened)
        return self.chance.choice(fit) if fit else last

    def _long_ago(self, service: Service) -> datetime:
        oldest = 90
        return self._on_day(service, self.chance.randint(min(service.promise_days // 2 + 2, 40), oldest))

    def _on_day(self, service: Service, days_ago: int) -> datetime:
        zone = promises.zone_of(service)
        hour = self.chance.choices(range(24), HOURS)[0]
        day = self.now.astimezone(zone).date() - timedelta(days=days_ago)
        minute = timedelta(minutes=self.chance.randint(0, 59))
        return (datetime.combine(day, time(hour), zone) + minute).astimezone(UTC)

    def _end(self, tale: _Tale) -> datetime:
        """When the work was over, mostly in time; for open cases, now."""
        newest = self.now - A_MOMENT
        if tale.plot not in OVER:
            return newest
        if tale.plot == "reopened":  # closed not long ago, so that it may come back
            return max(tale.opened + A_MOMENT, newest - timedelta(days=self.chance.uniform(2, 8)))
        share = (
            self.chance.uniform(0.15, 0.95) if self.chance.random() < 0.82 else self.chance.uniform(1.1, 2.2)
        )
        return min(newest, tale.opened + timedelta(days=tale.service.promise_days) * share)

    def _between(self, start: datetime, end: datetime, low: float, high: float) -> datetime:
        return start + (end - start) * self.chance.uniform(low, high)

    def _device(self, at: datetime) -> datetime:
        """The phone's own time: mostly the same, sometimes it had no signal."""
        return at - LOST_SIGNAL * self.chance.random() if self.chance.random() < 0.2 else at

    def _pick(self, weights: Mapping[str, int]) -> str:
        return self.chance.choices(list(weights), list(weights.values()))[0]


def _dealt(parts: Mapping[str, int], count: int) -> list[str]:
    """`count` names in these parts, each at least once where there is room."""
    whole = sum(parts.values())
    dealt = [name for name, part in parts.items() for _ in range(max(1, part * count // whole))]
    common = max(parts, key=lambda name: parts[name])
    dealt += [common] * (count - len(dealt))
    while len(dealt) > count:
        dealt.pop(dealt.index(common) if dealt.count(common) > 1 else -1)
    return dealt


def _told_of(tale: _Tale) -> Report:
    if tale.report is None:
        raise LookupError(f"tale {tale.n} is not told yet")
    return tale.report


def _album(settings: Settings) -> dict[str, photos.Developed]:
    """The drawn pictures by name; their bytes are in the store when this returns."""
    store = photos.open_store(settings)
    album = {path.stem: photos.develop(path.read_bytes()) for path in sorted(PICTURES.glob("*.jpg"))}
    for picture in album.values():
        names = _names(picture)
        for size, jpeg in picture.jpegs.items():
            store.put(names[size], jpeg)
    return album


def _names(picture: photos.Developed) -> dict[str, str]:
    return {size: hashlib.sha256(jpeg).hexdigest() for size, jpeg in picture.jpegs.items()}
