"""The cases of Larkhaven, all from one seed: what stands on the board now, and the two years before.

The board is told by plots, so that every state occurs; the past follows the figures of real cities. Both
are written in bulk as far as that goes, and then by the verbs, with the origin `demo`.
"""

import math
import uuid
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from random import Random
from statistics import NormalDist
from typing import Any
from zoneinfo import ZoneInfo

import shapely
from shapely.geometry import shape
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session, joinedload

from city import geo
from city.audit import events
from city.audit.events import Actor
from city.cases import board_index, sla, sla_sweep
from city.config import canned_replies, city_file
from city.config import versions as config_versions
from city.db.engine import gc_paused, transaction
from city.db.models import Address, Area, Asset, Case, Crew, Person, Service
from city.demo import by_verbs, offices, reference_rates
from city.demo.by_verbs import Act
from city.demo.photos import Album
from city.demo.phrases import ELSE, FIXED, MADE_SAFE, NOT_FIXED, NOT_SHOWN, NOTES, WORDS
from city.imports.history_writer import CaseHistory, Move, PhotoRow, ReportRow
from city.lifecycle import CALL_TAKER, CREW, DISPATCHER, OPEN
from city.people import accounts
from city.photos import photos, storage
from city.places import nearby_assets
from city.places.lookup import Place
from city.reports import intake
from city.settings import Settings

BOARD, BOARD_SHARE = 200, 0.03  # cases of the board: the first ones, and what it grows by with the past
PAST_DAYS = 730
# How the board's cases go, in parts of a hundred.
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
CHANNELS = {"web": 50, "phone": 36, "crew": 11, "api": 3}
BEFORE = {
    "light-out": "lamp-before", "light-flickering": "lamp-before", "pole-damaged": "pole",
    "limb-down": "limb", "basket-full": "basket", "bulky-item": "couch", "dumping": "couch",
}  # fmt: skip
AFTER = {"light-out": "lamp-after", "light-flickering": "lamp-after"}
# The ready reply by which a dispatcher ends what needed no repair.
REPLIES = {"not found": "nothing-there", "not ours": "not-the-citys", "no action": "by-policy"}
NEWS_SHARE = 0.25  # of those who report on the web
MAILBOXES = (
    "a.whitfield", "bea.lund", "carlos.ibarra", "d.mbeki", "elena.prado", "f.novak", "grace.tran", "h.osei",
    "ines.carver", "j.alvarez", "kim.sorensen", "l.duarte", "maria.soto", "n.fischer", "omar.haddad",
)  # fmt: skip
WAITS = {"lights": ("utility", "parts"), "trees": ("weather", "utility"), "clean": ("resident", "weather")}
CREW_OF = {
    "clean": "Clean 1", "lights": "Lights 2", "trees": "Trees 3", "homes": "Wardens 4", "streets": "Works 5",
}  # fmt: skip
A_MOMENT = timedelta(minutes=10)
LOST_SIGNAL = timedelta(minutes=40)  # how long a crew's tap may have waited in a cellar

ON_THE_PHONE = timedelta(days=1)  # how long a closed job stays on its crew's phones
# The normal distribution's 90th percentile: what turns a median and a p90 into a log-normal delay.
P90 = 1.2816
GOLDEN = 0.618034


@dataclass
class _Tale:
    """One case as it will go: when it was told, and what was done when."""

    n: int
    plot: str
    service: Service
    place: Place | None
    opened: datetime
    lang: str
    told: list[ReportRow] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.opened = self.opened.replace(microsecond=0)
        self.story = CaseHistory(self.service.code, self.told, self.moves, "demo")

    @property
    def ended(self) -> datetime:
        return self.moves[-1].at if self.moves else self.opened


def tell(
    engine: Engine,
    settings: Settings,
    count: int = 200,
    seed: int = 311,
    now: datetime | None = None,
    *,
    step: Callable[[str], object] = lambda _step: None,
) -> None:
    """`count` cases that end at `now`, and the work of offices; needs ground, services and people.

    The same seed and `now` make the same cases. The pictures are developed and stored at once.
    """
    store, album = storage.open_store(settings), Album()
    now = (now or datetime.now(UTC)).replace(second=0, microsecond=0)
    with gc_paused(), transaction(engine) as s:
        step(f"{count} cases")
        replies = _replies(s, settings)
        author = _Author(s, settings.secret_key, album, Random(seed), now, replies)
        board = min(count, BOARD + int(max(0, count - BOARD) * BOARD_SHARE))
        tales = [*author.past(count - board), *author.board(board)]
        step("photos")
        album.put(store)
        follow_ups = offices.stories(author.offices, author.desk, now, settings.secret_key, seed, replies)
        step("what became of each case")
        stories = [*(tale.story for tale in tales), *follow_ups]
        written = by_verbs.tell(s, stories, now=now)
        step("jobs of the crews")
        still_open = set(s.scalars(select(Case.number).where(Case.state.in_(OPEN))))
        for tale, (_, number) in zip(tales, written[: len(tales)], strict=True):  # office work comes last
            for crew in {move.crew for move in tale.moves if move.crew and now - tale.ended > ON_THE_PHONE}:
                if tale.plot in OVER and number not in still_open:  # what a phone put away long ago
                    events.publish_to_sync_feed(s, f"crew:{crew}", "job", number, present=False, why="closed")
        step("counts for the board")
        board_index.recompute(
            s, at=now
        )  # how the promises stand today, and not when they were last looked at
        _say_late(s)


def _say_late(s: Session) -> None:
    """The log says when each late case became so: the worker would say that it is today."""
    are_late = Case.state.in_(OPEN), Case.standing == sla_sweep.LATE
    for case_id, due_at in s.execute(select(Case.id, Case.due_at).where(*are_late).order_by(Case.id)):
        events.record(s, events.of_case(case_id), "late", by=accounts.THE_SYSTEM, at=due_at, origin="demo")
    s.execute(update(Case).where(*are_late).values(warned=sla_sweep.LATE))
    events.put_in_order(s)


class _Author:
    """Invents tales. One transaction long."""

    def __init__(
        self,
        s: Session,
        secret: str,
        album: Album,
        chance: Random,
        now: datetime,
        replies: Mapping[str, dict[str, Any]],
    ) -> None:
        self.s, self.secret, self.album, self.chance, self.now = s, secret, album, chance, now
        self.replies = replies
        self.voices = Random("voices")  # what it draws changes no story
        self.drawn: dict[tuple[float, float], float] = {}  # the last of each spread of delays, from 0 to 1
        every = s.scalars(select(Service).options(joinedload(Service.department))).all()
        self.services = {service.code: service for service in every if not service.office}
        self.offices = {service.code for service in every if service.office}
        self.addresses = list(s.scalars(select(Address).order_by(Address.id)))
        self.city = shapely.union_all(
            [shape(area.geometry) for area in s.scalars(select(Area).where(Area.kind == "boundary"))]
        )
        shapely.prepare(self.city)
        self.day = now.astimezone(sla.zone_of(next(iter(self.services.values()))))
        self.days = list(accumulate(map(self._busy, range(PAST_DAYS, 0, -1))))
        self.assets: dict[str | None, list[Asset]] = {}
        for asset in s.scalars(select(Asset).where(Asset.owner == "").order_by(Asset.id)):
            self.assets.setdefault(asset.kind, []).append(asset)
        staff = [(person, accounts.actor(person)) for person in s.scalars(select(Person).order_by(Person.id))]
        self.dispatcher = next(actor for _, actor in staff if DISPATCHER in actor.roles)
        self.desk = next(actor for _, actor in staff if CALL_TAKER in actor.roles)
        self.crews = {crew.name: crew for crew in s.scalars(select(Crew))}
        self.hands = {
            crew.name: actor for person, actor in staff if CREW in actor.roles for crew in person.crews
        }

    def board(self, count: int) -> list[_Tale]:
        """What is open now and was lately; what was merged comes last, since it needs a survivor."""
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

    def past(self, count: int) -> list[_Tale]:
        """Two years of finished cases that follow the figures of real cities."""
        repeated = [round(count * share) for share in (reference_rates.MERGED_SHARE, _again())]
        kinds = {code: kind.cases for code, kind in reference_rates.KINDS.items() if code in self.services}
        codes = self.chance.choices(list(kinds), list(kinds.values()), k=count - sum(repeated))
        told = [self._bygone(code) for code in codes]
        for plot, many in zip(("merged", "fixed"), repeated, strict=True):
            # Only what was open for a while can have a second case merged into it.
            fit = [t for t in told if t.place and (plot != "merged" or _open_for(t) > timedelta(hours=12))]
            told += [self._repeated(self.chance.choice(fit), plot) for _ in range(many if fit else 0)]
        return told + [self._bygone(code) for code in codes[: count - len(told)]]

    def _bygone(self, code: str) -> _Tale:
        """A case of the past, told on some day that leaves time for all that follows."""
        kind = reference_rates.KINDS[code]
        delay = timedelta(days=self._delay(kind.median, kind.p90))
        opened = self._some_day(min(delay + timedelta(days=1), timedelta(days=PAST_DAYS // 2)))
        return self._finished(self.services[code], self._place(self.services[code]), opened, delay)

    def _repeated(self, first: _Tale, plot: str) -> _Tale:
        """A case that follows another one nearby within two weeks: a duplicate, or the next lamp."""
        service = first.service
        assert first.place  # noqa: S101
        place = first.place if self.chance.random() < 0.5 else self._beside(first.place, 25)
        if plot == "merged":
            lag = timedelta(hours=min(self._delay(reference_rates.MERGE_LAG_HOURS, 40), 24 * 13))
            opened = first.opened + min(lag, _open_for(first) * 0.7)
            tale = _Tale(0, plot, service, place, opened, self._lang())
            self._tell(tale, tale.opened, bygone=True)
            at = self._between(tale.opened, first.opened + _open_for(first), 0.2, 0.8)
            tale.moves.append(Act("merge", at.replace(microsecond=0), self.dispatcher, into=first.story))
            return tale
        kind = reference_rates.KINDS[service.code]
        delay = timedelta(days=self._delay(kind.median, kind.p90))
        until = min(first.opened + timedelta(days=14), self.now - A_MOMENT)
        opened = self._soon(first.opened, until)
        if opened + delay > self.now - A_MOMENT:  # both were told so late that this one was done quickly
            delay = (self.now - A_MOMENT - opened) * self.chance.uniform(0.2, 0.9)
        return self._finished(service, place, opened, delay)

    def _finished(self, service: Service, place: Place | None, opened: datetime, delay: timedelta) -> _Tale:
        chance = self.chance.random()
        plot, lang = "fixed", self._lang()
        for name, share in (
            ("cancelled", reference_rates.CANCELLED_SHARE),
            ("answered", reference_rates.ANSWERED_SHARE),
            ("reopened", reference_rates.REOPENED_SHARE),
        ):
            if chance < share:
                plot = name
                break
            chance -= share
        tale = _Tale(0, plot, service, place, opened, lang)
        self._tell(tale, tale.opened, bygone=True)
        end = min(self._at_work(service, tale.opened, tale.opened + delay), self.now - A_MOMENT)
        self._worked(tale, end)
        if plot == "reopened":
            self._mended_again(tale)
        return tale

    def _mended_again(self, tale: _Tale) -> None:
        """Sent back by its reporter and closed for good a few days later."""
        closing = tale.moves[-1]
        until = min(self.now - A_MOMENT, closing.at + timedelta(days=9))
        again = self._between(closing.at, until, 0.1, 0.7)
        words = self.chance.choice(NOT_FIXED[tale.service.department_code][tale.lang])
        self._act(tale, "not fixed", again, accounts.A_RESIDENT, words=words)
        crew = self._crew(tale.service)
        self._move(
            tale, "assign", self._between(again, until, 0.1, 0.3), self.dispatcher, crew=self.crews[crew].id
        )
        self._close(tale, self.hands[crew], self._between(again, until, 0.5, 1.0))

    def _tale(self, n: int, plot: str, standing: str) -> _Tale:
        service = self.services[self._pick({c: w for c, w in SERVICES.items() if c in self.services})]
        if plot == "reopened":
            opened = self._on_day(service, 4 + self.chance.randint(0, _about_days(service)))
        else:
            opened = self._long_ago(service) if plot in OVER else self._opened(service, standing)
        tale = _Tale(n, plot, service, self._place(service), opened, self._lang())
        self._tell(tale, tale.opened)
        if plot != "new":
            self._worked(tale, self._end(tale))
        if plot == "reopened":
            self._sent_back(tale)
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
        assert first.place  # noqa: S101
        tale = _Tale(
            n, "merged", first.service, self._beside(first.place, 9),
            self._between(first.opened, until, 0.1, 0.5), "en",
        )  # fmt: skip
        self._tell(tale, tale.opened)
        at = self._between(tale.opened, until, 0.2, 0.8)
        tale.moves.append(Act("merge", at.replace(microsecond=0), self.dispatcher, into=first.story))
        return tale

    def _worked(self, tale: _Tale, end: datetime) -> None:
        """What the city did about it, between its opening and its end."""
        chance, crew = self.chance, self._crew(tale.service)
        hand = self.hands[crew]

        def moment(low: float, high: float = 0.0) -> datetime:
            at = tale.opened + (end - tale.opened) * chance.uniform(low, high or low)
            last = tale.moves[-1].at if tale.moves else tale.opened
            if last < (by_day := self._at_work(tale.service, tale.opened, at)) < end:
                return by_day
            return at if at > last else last + (end - last) / 2

        if tale.plot == "cancelled":
            reason = chance.choice(("withdrawn", "spam", "test"))
            self._move(tale, "cancel", moment(0.3), self.dispatcher, reason=reason)
            return
        self._accept(tale, self.desk if chance.random() < 0.4 else self.dispatcher, moment(0.04, 0.25))
        if tale.plot == "accepted":
            return
        if tale.plot == "waiting":
            reason = chance.choice(WAITS.get(tale.service.department_code, ("weather",)))
            at = moment(0.5)
            if not tale.service.urgent:  # danger waits for nobody
                self._act(tale, "wait", at, self.dispatcher, reason=reason)
            return
        self._move(tale, "assign", moment(0.3, 0.5), self.dispatcher, crew=self.crews[crew].id)
        if tale.plot == "assigned":
            return
        at = moment(0.8)
        self._move(tale, "start", at, hand, at_device=self._device(at))
        if tale.plot == "made safe":
            words = MADE_SAFE[tale.service.department_code]
            self._act(tale, "make safe", moment(0.9), hand, words=words)
        elif tale.plot != "underway":
            self._close(tale, hand, end)

    def _sent_back(self, tale: _Tale) -> None:
        words = self.chance.choice(NOT_FIXED[tale.service.department_code][tale.lang])
        again = self._between(tale.ended, min(self.now, tale.ended + timedelta(days=9)), 0.2, 0.7)
        picture = BEFORE.get(tale.service.code)
        staged = f"again-{uuid.UUID(int=self.voices.getrandbits(128))}"
        shows_it = picture and tale.told[0].words not in NOT_SHOWN  # it stands with those words
        shown = [self._picture(picture, staged, self.voices)] if picture and shows_it else []
        self._act(tale, "not fixed", again, accounts.A_RESIDENT, words=words, pictures=shown)
        if self.chance.random() < 0.6:
            at = self._between(again, self.now, 0.1, 0.5)
            crew = self.crews[self._crew(tale.service)].id
            self._move(tale, "assign", at, self.dispatcher, crew=crew)

    def _joined(self, tale: _Tale) -> None:
        """Neighbours who tell of the same thing while it is open."""
        over = ("close", "cancel")
        until = next((move.at for move in tale.moves if move.name in over), self.now)
        if tale.service.private or tale.place is None:  # nobody knows that it is the same
            return
        for _ in range(self.chance.choice((1, 1, 1, 2, 2, 3, 5))):
            at = self._between(tale.opened, until, 0.05, 0.9)
            self._tell(tale, at, self._lang())

    def _tell(self, tale: _Tale, at: datetime, lang: str = "", *, bygone: bool = False) -> None:
        """The report that opens the case, or another one that joins it."""
        channel = self._pick(reference_rates.CHANNELS if bygone else CHANNELS)
        key = f"demo-{uuid.UUID(int=self.chance.getrandbits(128))}"
        place = self._beside(tale.place, 6) if tale.told and tale.place else tale.place
        picture = BEFORE.get(tale.service.code)
        shown = channel != "phone" and picture is not None and self.chance.random() < 0.95
        words = self._words(tale.service, lang or tale.lang, shown=shown)
        by = self.hands[self._crew(tale.service)] if channel == "crew" else accounts.A_RESIDENT
        tale.told.append(
            ReportRow(
                at.replace(microsecond=0), key, channel, lang or tale.lang,
                words, place,
                answers=self._answers(tale.service), danger=tale.service.urgent,
                pictures=[self._picture(picture, key)] if shown and picture else [],
                token=intake.token_for(self.secret, key),
                news=self._news() if channel == "web" and not bygone else "", consented=True, by=by,
            )
        )  # fmt: skip
        tale.told.sort(key=lambda told: told.at)

    def _news(self) -> str:
        """The mailbox of a resident who wants to hear about it, if they do. No letter ever leaves for it."""
        return f"{self.voices.choice(MAILBOXES)}@mail.test" if self.voices.random() < NEWS_SHARE else ""

    def _move(
        self,
        tale: _Tale,
        name: str,
        at: datetime,
        by: Actor,
        *,
        crew: int | None = None,
        reason: str = "",
        words: str = "",
        at_device: datetime | None = None,
    ) -> None:
        at = at.replace(microsecond=0)
        tale.moves.append(Move(name, at, by, crew, reason=reason, words=words, at_device=at_device))

    def _act(
        self,
        tale: _Tale,
        name: str,
        at: datetime,
        by: Actor,
        *,
        reason: str = "",
        words: str = "",
        pictures: Sequence[PhotoRow] = (),
    ) -> None:
        at = at.replace(microsecond=0)
        tale.moves.append(Act(name, at, by, reason=reason, words=words, pictures=pictures))

    def _accept(self, tale: _Tale, by: Actor, at: datetime) -> None:
        self._move(tale, "accept", at, by)
        if not tale.service.private and self.chance.random() < 0.7:
            self._move(tale, "show", at, by)
        if self.chance.random() < 0.12:
            self._move(tale, "note", at, by, words=self.chance.choice(NOTES[tale.service.department_code]))

    def _close(self, tale: _Tale, hand: Actor, at: datetime) -> None:
        at = at.replace(microsecond=0)
        if tale.plot == "answered":
            outcome = self.chance.choice([each for each in ELSE if tale.service.code in ELSE[each]])
            if tale.n and (ready := self.replies.get(REPLIES[outcome])) and self.voices.random() < 0.5:
                tale.moves.append(Act("close", at, self.dispatcher, outcome=outcome, reply=ready))
                return
            words = ELSE[outcome][tale.service.code]
            tale.moves.append(Move("close", at, hand, outcome=outcome, words=words))
            return
        picture = AFTER.get(tale.service.code)
        taken = (
            [self._picture(picture, f"after-{uuid.UUID(int=self.chance.getrandbits(128))}")]
            if picture and self.chance.random() < 0.9
            else []
        )
        no_photo = None if taken else self._pick({"nothing to see": 6, "dark": 3, "unsafe": 1})
        words = self.chance.choice(FIXED[tale.service.code])
        tale.moves.append(
            Move(
                "close", at, hand, outcome="fixed", no_photo=no_photo, words=words, pictures=taken,
                at_device=self._device(at),
            )
        )  # fmt: skip

    def _picture(self, picture: str, staged_for: str, chance: Random | None = None) -> PhotoRow:
        """A photo over bytes that lie in the store before its row is written."""
        new = self.album.take(picture)
        name = str(uuid.UUID(int=(chance or self.chance).getrandbits(128), version=4))
        return PhotoRow(
            name,
            staged_for,
            new.upload_sha256,
            photos.names_of(new),
            new.width,
            new.height,
            len(new.jpegs["full"]),
        )

    def _words(self, service: Service, lang: str, *, shown: bool) -> str:
        """What somebody writes beside the picture of this kind, or without one; often nothing."""
        said = WORDS.get(service.code, {}).get(lang, ())
        words = [each for each in said if not (shown and each in NOT_SHOWN)]
        return self.chance.choice(words) if words and self.chance.random() < 0.65 else ""

    def _answers(self, service: Service) -> dict[str, str]:
        return {
            question.code: self.chance.choice(question.choices).code
            for question in service.questions
            if question.choices and self.chance.random() < 0.7
        }

    def _place(self, service: Service) -> Place | None:
        """Mostly from the phone beside the thing itself; seldom nobody knows where."""
        if self.chance.random() < 0.01:
            return None
        things = self.assets.get(service.asset_kind, []) if service.asset_kind else []
        if things and self.chance.random() < 0.85:
            asset = self.chance.choice(things)
            return nearby_assets.place_of(asset)
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
        if not shapely.contains_xy(self.city, lon, lat):
            return place
        return Place(lat, lon, "gps", place.label, float(self.chance.randint(4, 28)))

    def _opened(self, service: Service, standing: str) -> datetime:
        """A moment from which an open case of this service stands so today."""
        # Whatever was done about it was done after it was told, and before now.
        newest = self.now - 3 * A_MOMENT
        fit, last = [], newest - timedelta(minutes=self.chance.randint(0, 300))
        latest = 1 if service.urgent else 12  # even a busy city lets no wire lie for a week
        terms = sla.offered(service, urgent=service.urgent)
        for days in range(_about_days(service) + latest + 1):
            opened = self._on_day(service, days)
            if opened > newest:
                continue
            due, risk = sla.due_and_risk(terms, opened)
            found = "late" if self.now > due else "risk" if self.now >= risk else "ok"
            if found == standing:
                fit.append(opened)
        return self.chance.choice(fit) if fit else last

    def _long_ago(self, service: Service) -> datetime:
        oldest = 90
        return self._on_day(service, self.chance.randint(min(_about_days(service) // 2 + 2, 40), oldest))

    def _on_day(self, service: Service, days_ago: int) -> datetime:
        return self._by_day(sla.zone_of(service), self.day.date() - timedelta(days=days_ago))

    def _by_day(self, zone: ZoneInfo, day: date) -> datetime:
        hour = self.chance.choices(range(24), reference_rates.HOURS)[0]
        return datetime.combine(day, time(hour, self.chance.randint(0, 59)), zone).astimezone(UTC)

    def _soon(self, start: datetime, end: datetime) -> datetime:
        """A moment between two others, at hours and on weekdays when people tell."""
        zone = self.day.tzinfo
        assert isinstance(zone, ZoneInfo)  # noqa: S101
        days = [start.astimezone(zone).date() + timedelta(days=n) for n in range((end - start).days + 1)]
        busy = [reference_rates.WEEKDAYS[day.weekday()] for day in days]
        for _ in range(4):
            at = self._by_day(zone, self.chance.choices(days, busy)[0])
            if start < at < end:
                return at
        return self._between(start, end, 0.01, 0.99)

    def _end(self, tale: _Tale) -> datetime:
        """When the work was over; for open cases, now."""
        newest = self.now - A_MOMENT
        if tale.plot not in OVER:
            return newest
        if tale.plot == "reopened":  # closed not long ago, so that it may come back
            return max(tale.opened + A_MOMENT, newest - timedelta(days=self.chance.uniform(2, 4)))
        kind = reference_rates.KINDS.get(tale.service.code, reference_rates.KINDS["something-else"])
        done = tale.opened + timedelta(days=self._delay(kind.median, kind.p90))
        end = self._at_work(tale.service, tale.opened, done)
        return end if end < newest else self._between(tale.opened, newest, 0.2, 0.95)

    def _some_day(self, ago: timedelta) -> datetime:
        """A moment of the past two years, at least `ago`, busy months and weekdays more often."""
        last = self.days[PAST_DAYS - 1 - ago.days]
        at = bisect(self.days, self.chance.random() * last)
        return self._on_day(next(iter(self.services.values())), PAST_DAYS - at)

    def _busy(self, days_ago: int) -> float:
        day = self.day - timedelta(days=days_ago)
        return reference_rates.MONTHS[day.month - 1] * reference_rates.WEEKDAYS[day.weekday()]

    def _delay(self, median: float, p90: float) -> float:
        """Most is done soon and some takes very long: log-normal, as delays of real cities nearly are.

        Spread evenly by the golden ratio: few hundred drawn by chance alone seldom show those figures.
        """
        drawn = (self.drawn.get((median, p90), self.chance.random()) + GOLDEN) % 1
        self.drawn[median, p90] = drawn
        return float(median * (p90 / median) ** (NormalDist().inv_cdf(max(drawn, 1e-6)) / P90))

    def _at_work(self, service: Service, opened: datetime, at: datetime) -> datetime:
        """Nobody mends at night what has waited for days already."""
        if at - opened < timedelta(days=2):
            return at
        zone = sla.zone_of(service)
        moment = time(self.chance.randint(7, 16), self.chance.randint(0, 59))
        return datetime.combine(at.astimezone(zone).date(), moment, zone).astimezone(UTC)

    def _crew(self, service: Service) -> str:
        return CREW_OF[service.department_code]

    def _lang(self) -> str:
        return self._pick({"en": 75, "es": 25})

    def _between(self, start: datetime, end: datetime, low: float, high: float) -> datetime:
        return start + (end - start) * self.chance.uniform(low, high)

    def _device(self, at: datetime) -> datetime:
        """The phone's own time: mostly the same, sometimes it had no signal."""
        return at - LOST_SIGNAL * self.chance.random() if self.chance.random() < 0.2 else at

    def _pick(self, weights: Mapping[str, float]) -> str:
        return self.chance.choices(list(weights), list(weights.values()))[0]


def _replies(s: Session, settings: Settings) -> dict[str, dict[str, Any]]:
    """The city's ready replies by code, as a closing keeps them."""
    policy = config_versions.newest(s)
    ready = city_file.load(settings.city).replies
    return {reply.code: canned_replies.as_stored(reply, policy) for reply in ready}


def _dealt(parts: Mapping[str, int], count: int) -> list[str]:
    """`count` names in these parts, each at least once where there is room."""
    whole = sum(parts.values())
    dealt = [name for name, part in parts.items() for _ in range(max(1, part * count // whole))]
    common = max(parts, key=lambda name: parts[name])
    dealt += [common] * (count - len(dealt))
    while len(dealt) > count:
        dealt.pop(dealt.index(common) if dealt.count(common) > 1 else -1)
    return dealt


def _about_days(service: Service) -> int:
    """What is promised in calendar days, roughly: a week has 40 working hours."""
    return service.promise_days or math.ceil((service.promise_hours or 0) * 7 / 40)


def _open_for(tale: _Tale) -> timedelta:
    """How long the case was open until its first closing; not at all where it was cancelled."""
    closing = next((move.at for move in tale.moves if move.name == "close"), tale.opened)
    return closing - tale.opened


def _again() -> float:
    """The share of cases that follow another one nearby, beside those that are merged into it."""
    return reference_rates.NEAR_SHARE - reference_rates.MERGED_SHARE - 0.05  # chance alone brings a twentieth
