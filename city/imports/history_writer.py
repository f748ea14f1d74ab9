"""Writes many stories of cases at once, as if the verbs had been called in the order of time.

It knows the eight moves that another system's table tells of (see _Writer); whatever else happens to a case
is the verbs' own, in `city/cases/transitions.py`, and they go on where a story ends here. The rows, the log
and the feed are those that `intake.submit` and these verbs would have left, but for the priority that many
reports raise, and for the wait of what another owner has to mend; a test holds the two together. What a form
asks about (boundary, answers, nearness) is the caller's to see to.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from operator import itemgetter
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar, cast

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from city import geo
from city.audit import events
from city.audit.events import Actor
from city.cases import board_index, sla
from city.cases import numbers as case_numbers
from city.cases import search as case_search
from city.channels import EMAIL
from city.db import bulk_insert
from city.db.models import (
    Assignment,
    Base,
    Case,
    Closure,
    IdempotencyKey,
    Pause,
    Photo,
    Report,
    SecretLink,
    Service,
    Subscription,
)
from city.lifecycle import (
    ACCEPTED,
    ANSWERED,
    ASSIGNED,
    CANCEL_REASONS,
    CANCELLED,
    CLOSED,
    CREW,
    DISPATCHER,
    MAX_WORDS,
    NEW,
    NO_PHOTO,
    NOT_FIXED,
    OPEN,
    OUTCOMES,
    RESIDENT,
    UNDERWAY,
    Refused,
    allow,
    check,
    may,
    outcomes,
)
from city.people import accounts
from city.photos import photos
from city.places import areas
from city.places.lookup import Place
from city.reports import intake
from city.text import is_blank

# In the order they are written: parents first.
KINDS: tuple[type[Base], ...] = (
    Case, Report, Assignment, Pause, Closure, Photo, IdempotencyKey, SecretLink, Subscription,
)  # fmt: skip
NUMBERED = (Case, Report, Assignment, Pause, Closure, Subscription)

Row = TypeVar("Row", bound=Base)


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """A photo whose bytes lie in the store already; each one becomes a row of its own. `id` is a UUID."""

    id: str
    staged_for: str
    upload_sha256: str
    sizes: dict[str, str]
    width: int
    height: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One report. `token` opens its secret link; empty where nobody gets one."""

    at: datetime
    key: str
    channel: str = "web"
    lang: str = "en"
    words: str = ""
    place: Place | None = None
    address: str = ""  # words for a place whose point nobody knows
    answers: dict[str, Any] = field(default_factory=dict)
    danger: bool = False
    pictures: Sequence[PhotoRow] = ()
    token: str = ""
    at_device: datetime | None = None
    by: Actor = accounts.A_RESIDENT
    news: str = ""  # an e-mail address for it
    consented: bool = False  # whether that counts as confirmed


@dataclass(frozen=True, slots=True)
class Move:
    """One of the eight moves; the rest as the verb of that name has it.

    `report` counts from 0 in the order of time.
    """

    name: str
    at: datetime
    by: Actor
    crew: int | None = None
    outcome: str = ""
    no_photo: str | None = None
    reason: str = ""
    words: str = ""
    pictures: Sequence[PhotoRow] = ()
    at_device: datetime | None = None
    report: int = 0


@dataclass(eq=False, slots=True)
class CaseHistory:
    """A case from its opening on: the first report opens it, the others join it while it is open.

    `promised_at` is what another system promised, as a case keeps it.
    """

    service: str
    reports: Sequence[ReportRow]
    moves: Sequence[Move] = ()
    origin: str = "import"
    promised_at: datetime | None = None


class Written(NamedTuple):
    """What became of a story."""

    case_id: int
    number: str


def write(s: Session, stories: Iterable[CaseHistory], *, now: datetime | None = None) -> list[Written]:
    """Writes the stories in this transaction and returns their cases in the order given.

    `now` is needed where a crew's phone will hear of their jobs: these are named by it, as a verb would.

    All reports and moves of the call happen in the order of time; what happens at the same instant, in
    the order given. A move that changes nothing is passed over, as the verbs do. Raises Refused where a
    verb would: `unknown_service`, `words_too_long`, `wrong_state`, `not_allowed`, `not_your_job`,
    `evidence_missing`, `unknown_value`, `others_joined`, `empty_note`; and `told_late` where a report joins
    what is no longer open.
    """
    writer = _Writer(s, list(stories), now)
    writer.tell()
    writer.put()
    return [
        Written(life.case.id, life.case.number) for life in (writer.lives[story] for story in writer.stories)
    ]


@dataclass(eq=False, slots=True)
class _Life:
    """A case while its story is told. Its rows stay out of the session, whose bookkeeping costs more."""

    case: Case
    origin: str
    told: list[Report] = field(default_factory=list)  # what this case's next letter follows from
    held: Assignment | None = None
    last: Assignment | None = None
    done: Closure | None = None

    @property
    def subject(self) -> str:
        return events.of_case(self.case.id)


class _Writer:
    """Tells stories in memory, then writes what came of them. One transaction long."""

    def __init__(self, s: Session, stories: list[CaseHistory], now: datetime | None) -> None:
        s.flush()  # ids are counted on from what is there
        self.s, self.stories, self.now = s, stories, now
        self.services = {
            service.code: service
            for service in s.scalars(select(Service).options(joinedload(Service.department)))
        }
        self.questions = {
            code: {question.code for question in service.questions} for code, service in self.services.items()
        }
        self.steps = self._in_order()
        self.ground = areas.known(s)
        self.numbers = self._reserved()
        self.lives: dict[CaseHistory, _Life] = {}
        self.made: dict[type[Base], list[Base]] = {kind: [] for kind in KINDS}
        self.ids: dict[type[Base], Iterator[int]] = {
            kind: bulk_insert.fresh_ids(s, kind) for kind in NUMBERED
        }
        if now:
            self.ids[Assignment] = bulk_insert.dated_ids(s, Assignment, now)
        self.verbs: dict[str, Callable[[_Life, Move, Actor], None]] = {
            "accept": self._accept, "assign": self._assign, "start": self._start, "close": self._close,
            "reopen": self._reopen, "cancel": self._cancel, "note": self._note, "show": self._show,
        }  # fmt: skip

    def tell(self) -> None:
        """Lets everything happen."""
        for at, story, step in self.steps:
            if isinstance(step, ReportRow):
                self._take(story, step)
                continue
            if story not in self.lives:
                raise Refused("told_late", move=step.name, at=at)
            life = self.lives[story]
            self.verbs[step.name](life, step, step.by)

    def put(self) -> None:
        """Writes all rows."""
        for life in self.lives.values():
            self.made[Case].append(life.case)
            for pause in life.case.pauses:
                self._add(
                    Pause,
                    case_id=life.case.id,
                    why=pause.why,
                    began_at=pause.began_at,
                    ended_at=pause.ended_at,
                    until=pause.until,
                    stops_clock=pause.stops_clock,
                    passed_to=pause.passed_to,
                )
        if self.now:
            for life in self.lives.values():
                life.case.standing = sla.sla_status(life.case, self.now)
        board_index.fill(
            self.s,
            (life.case for life in self.lives.values()),
            (life.held.crew_id if life.held else None for life in self.lives.values()),
        )
        for kind in KINDS:
            bulk_insert.put(self.s, kind, [vars(row) for row in self.made[kind]])
        case_search.mark_changed(self.s, *(life.case.id for life in self.lives.values()))

    def _in_order(self) -> list[tuple[datetime, CaseHistory, ReportRow | Move]]:
        steps: list[tuple[datetime, CaseHistory, ReportRow | Move]] = []
        for story in self.stories:
            steps += [(told.at, story, told) for told in story.reports]
            steps += [(move.at, story, move) for move in story.moves]
        return sorted(steps, key=itemgetter(0))

    def _reserved(self) -> dict[int, Iterator[int]]:
        """The case numbers of every year in which a story opens; taken in order, so that nobody deadlocks."""
        needed: dict[int, int] = {}
        for story in self.stories:
            year = self._year(story, min(story.reports, key=lambda told: told.at))
            needed[year] = needed.get(year, 0) + 1
        return {year: iter(case_numbers.reserve(self.s, year, needed[year])) for year in sorted(needed)}

    def _year(self, story: CaseHistory, first: ReportRow) -> int:
        if story.service not in self.services:
            raise Refused("unknown_service")
        return first.at.astimezone(sla.zone_of(self.services[story.service])).year

    def _take(self, story: CaseHistory, told: ReportRow) -> None:
        if len(told.words) > MAX_WORDS:
            raise Refused("words_too_long", most=MAX_WORDS)
        if self.services[story.service].office:
            told = _placeless(told)
        joined = story in self.lives
        life = self.lives[story] if joined else self._opened(story, told)
        case, place = life.case, told.place
        if joined and (case.state not in OPEN or case.service.private):
            raise Refused("told_late", number=case.number)
        report = self._add(
            Report,
            number=f"{case.number}-{intake.report_suffix(len(life.told))}",
            case_id=case.id,
            key=told.key,
            service_code=story.service,
            channel=told.channel,
            lang=told.lang,
            words=told.words.strip(),
            answers={c: a for c, a in told.answers.items() if c in self.questions[story.service]},
            lat=place.lat if place else None,
            lon=place.lon if place else None,
            accuracy_m=place.accuracy_m if place else None,
            place_source=place.source if place else "unknown",
            address=place.label if place else told.address,
            danger=told.danger,
            taken_at=told.at,
            at_device=told.at_device,
            shown_at=None,
            shown_by_hand=False,
            origin=story.origin,
        )
        life.told.append(report)
        self._add(IdempotencyKey, key=told.key)
        if told.token:
            self._add(SecretLink, token_hash=intake.hashed(told.token), report_id=report.id, made_at=told.at)
        for position, picture in enumerate(told.pictures[: photos.MAX_PHOTOS]):
            self._picture(picture, told.at, case_id=case.id, report_id=report.id, position=position)
        said = {"words": told.words, "address": report.address, "answers": told.answers}
        events.record(
            self.s, life.subject, "join" if joined else "report", by=told.by, at=told.at,
            at_device=told.at_device,
            facts={"report": report.number, "channel": told.channel, "danger": told.danger},
            photos=_names(told.pictures), words=said if any(said.values()) else None, origin=story.origin,
        )  # fmt: skip
        if told.news:
            wish = self._add(
                Subscription, report_id=report.id, channel=EMAIL, address=told.news, lang=told.lang,
                place_name="", weekly=False, told_seq=0, asked_at=told.at,
                confirmed_at=told.at if told.consented else None,
            )  # fmt: skip
            facts = {"report": report.number, "subscription": wish.id}
            events.record(
                self.s, life.subject, "subscribe", by=told.by, at=told.at, facts=facts, origin=story.origin
            )
        if joined and told.danger:
            sla.escalate_urgent(case, told.at)
        if joined:
            self._touched(life)

    def _opened(self, story: CaseHistory, told: ReportRow) -> _Life:
        service = self.services[story.service]
        place = told.place
        urgent = told.danger or service.urgent
        year = self._year(story, told)
        case = _plain(
            Case, id=next(self.ids[Case]), number=case_numbers.named(year, next(self.numbers[year])),
            service=service, service_code=service.code, state=NEW, cycle=1, version=1,
            lat=place.lat if place else None, lon=place.lon if place else None,
            accuracy_m=place.accuracy_m if place else None,
            place_source=place.source if place else "unknown",
            address=place.label if place else told.address,
            cell=geo.cell(place.point) if place else None, asset_id=place.asset_id if place else None,
            urgent=urgent, origin=story.origin, opened_at=told.at, clock_from=told.at, follow_on=False,
            raised=False, corrected_late=False, corrected_version=0, rescheduled_to=None, pauses=[],
            closed_at=None, outcome=None, review=None, merged_into_id=None, merged_from=None,
            merged_crew_id=None, merged_started_at=None,
            promised_at=story.promised_at,
            area_id=self.ground.of(place.point) if place else None,
        )  # fmt: skip
        sla.start_clock(case, told.at)
        life = self.lives[story] = _Life(case, story.origin)
        facts = {**sla.as_facts(case), "urgent": urgent, **board_index.measured(case, case.area_id)}
        events.record(
            self.s, life.subject, "open", by=told.by, at=told.at, now=NEW, facts=facts, origin=story.origin
        )
        return life

    def _accept(self, life: _Life, move: Move, by: Actor) -> None:
        if self._may(life, move, by, done=life.case.state == ACCEPTED):
            self._moved(life, move, ACCEPTED, by)

    def _assign(self, life: _Life, move: Move, by: Actor) -> None:
        case, held, crew = life.case, life.held, move.crew
        if crew is None:
            raise Refused("unknown_value", name="crew", value=None)
        same = held is not None and held.crew_id == crew and case.state in (ASSIGNED, UNDERWAY)
        if not self._may(life, move, by, done=same):
            return
        self._end(life, "reassigned", move.at)
        given = self._give(life, crew, move.at)
        if case.review == NOT_FIXED:
            case.review = None
        facts = {"crew": crew, "assignment": given.id, "cycle": case.cycle}
        self._moved(life, move, ASSIGNED, by, facts)

    def _start(self, life: _Life, move: Move, by: Actor) -> None:
        if self._may(life, move, by, done=life.case.state == UNDERWAY):
            job = _own_job(life, by)
            if job and job.started_at is None:
                begun = move.at_device or move.at
                job.started_at = min(move.at, max(begun, job.given_at))
            self._moved(life, move, UNDERWAY, by)

    def _close(self, life: _Life, move: Move, by: Actor) -> None:
        _one_of(move.outcome, OUTCOMES, "outcome")
        if move.no_photo is not None:
            _one_of(move.no_photo, NO_PHOTO, "no_photo")
        case, at, at_device = life.case, move.at, move.at_device
        said = (life.done.outcome, life.done.words) if life.done else ()
        again = case.state == CLOSED and said == (move.outcome, move.words)
        if not self._may(life, move, by, done=again and _same_hand(life.done, by)):
            return
        if move.outcome not in outcomes(office=case.service.office):
            raise Refused("outcome_misfits", outcome=move.outcome)
        if move.outcome == ANSWERED and is_blank(move.words):
            raise Refused("told_missing")
        job = _own_job(life, by)
        # What another system closed keeps the evidence, if there ever was any, over there.
        shown = bool(move.pictures) or move.no_photo is not None or life.origin == "import"
        if move.outcome == "fixed" and not shown:
            raise Refused("evidence_missing")
        done_at = min(at, max(at_device, job.given_at if job else case.opened_at)) if at_device else at
        closure = life.done = self._add(
            Closure,
            case_id=case.id, cycle=case.cycle, outcome=move.outcome,
            no_photo=None if move.pictures else move.no_photo, words=move.words,
            crew_id=job.crew_id if job else None, person_id=by.person_id, done_at=done_at, closed_at=at,
        )  # fmt: skip
        self._attach(life, move, closure)
        self._end(life, "closed", at)
        sla.resume_clock(case, done_at)
        sla.pause_clock(case, "closed", done_at)
        follow_on = case.follow_on
        case.closed_at, case.outcome, case.follow_on, case.review = at, move.outcome, False, None
        facts: dict[str, Any] = {
            "outcome": move.outcome, "no_photo": closure.no_photo, "cycle": case.cycle,
            "crew": closure.crew_id, "done_at": done_at.astimezone(UTC).isoformat(),
            "bounded": at_device is not None and at_device != done_at,
        }  # fmt: skip
        if follow_on:
            facts["follow_on"] = True
        self._moved(life, move, CLOSED, by, facts)

    def _reopen(self, life: _Life, move: Move, by: Actor) -> None:
        case = life.case
        if not self._may(life, move, by, done=case.state == ACCEPTED and case.cycle > 1):
            return
        case.cycle += 1
        case.warned = None
        case.closed_at, case.outcome = None, None
        case.review = NOT_FIXED if RESIDENT in by.roles else None
        sla.resume_clock(case, move.at)
        if life.done and life.done.crew_id:
            self._feed(life, life.done.crew_id, present=False, why="reopened")
        self._moved(life, move, ACCEPTED, by, {"cycle": case.cycle})

    def _cancel(self, life: _Life, move: Move, by: Actor) -> None:
        _one_of(move.reason, CANCEL_REASONS, "cancel_reason")
        if not self._may(life, move, by, done=life.case.state == CANCELLED):
            return
        if DISPATCHER not in by.roles and len(life.told) > 1:
            raise Refused("others_joined")
        self._end(life, "cancelled", move.at)
        sla.pause_clock(life.case, "closed", move.at)
        self._moved(life, move, CANCELLED, by, {"reason": move.reason})

    def _note(self, life: _Life, move: Move, by: Actor) -> None:
        if is_blank(move.words):
            raise Refused("empty_note")
        if len(move.words) > MAX_WORDS:
            raise Refused("words_too_long", most=MAX_WORDS)
        may("note", by.roles)
        self._record(life, move, by, words={"note": move.words.strip()})
        self._touched(life)

    def _show(self, life: _Life, move: Move, by: Actor) -> None:
        may("show", by.roles)
        report = life.told[move.report]
        if report.shown_at is None:
            report.shown_at = move.at
            self._record(life, move, by, {"report": report.number})

    def _may(self, life: _Life, move: Move, by: Actor, *, done: bool) -> bool:
        """Whether there is anything to do; raises Refused where the table does not allow it."""
        allow(move.name, by.roles)
        if done:
            return False
        danger = sla.in_danger(life.case) and life.origin != "import"
        check(move.name, life.case.state, by.roles, office=life.case.service.office, danger=danger)
        if len(move.words) > MAX_WORDS:
            raise Refused("words_too_long", most=MAX_WORDS)
        return True

    def _moved(
        self, life: _Life, move: Move, to: str, by: Actor, facts: dict[str, Any] | None = None
    ) -> None:
        was, life.case.state = life.case.state, to
        life.case.standing = sla.sla_status(life.case, move.at)
        if not {was, to} <= set(OPEN):
            facts = {**(facts or {}), **board_index.measured(life.case, life.case.area_id)}
        events.record(
            self.s, life.subject, move.name, by=by, at=move.at, was=was, now=to, at_device=move.at_device,
            facts=facts, photos=_names(move.pictures), words={"words": move.words} if move.words else None,
            origin=life.origin,
        )  # fmt: skip
        self._touched(life)

    def _record(
        self,
        life: _Life,
        move: Move,
        by: Actor,
        facts: dict[str, Any] | None = None,
        *,
        words: dict[str, Any] | None = None,
        kind: str = "",
    ) -> None:
        """A line that changes no state, by default of the move's own name."""
        events.record(
            self.s, life.subject, kind or move.name, by=by, at=move.at, at_device=move.at_device, facts=facts,
            words=words, origin=life.origin,
        )  # fmt: skip

    def _touched(self, life: _Life) -> None:
        life.case.version += 1
        if life.held:
            self._feed(life, life.held.crew_id, present=True)
        elif (last := life.last) and last.ended_why == "closed" and last.cycle == life.case.cycle:
            stays = life.case.state == CLOSED
            self._feed(life, last.crew_id, present=stays, why="closed" if stays else life.case.state)

    def _give(self, life: _Life, crew_id: int, at: datetime) -> Assignment:
        given = life.last = life.held = self._add(
            Assignment, case_id=life.case.id, crew_id=crew_id, cycle=life.case.cycle, given_at=at,
            started_at=None, ended_at=None, ended_why=None,
        )  # fmt: skip
        return given

    def _end(self, life: _Life, why: str, at: datetime) -> None:
        held = life.held
        if held is None:
            return
        held.ended_at, held.ended_why, life.held = at, why, None
        self._feed(life, held.crew_id, present=why == "closed", why=why)

    def _feed(self, life: _Life, crew_id: int, *, present: bool, why: str | None = None) -> None:
        events.publish_to_sync_feed(
            self.s, f"crew:{crew_id}", "job", life.case.number, present=present, why=why
        )

    def _attach(self, life: _Life, move: Move, closure: Closure | None = None) -> None:
        for position, picture in enumerate(move.pictures):
            self._picture(
                picture, move.at, case_id=life.case.id, cycle=life.case.cycle, position=position,
                closure_id=closure.id if closure else None,
            )  # fmt: skip

    def _picture(self, picture: PhotoRow, at: datetime, **owner: Any) -> None:
        self._add(
            Photo, id=picture.id, staged_for=picture.staged_for, upload_sha256=picture.upload_sha256,
            sha256=picture.sizes["full"], sizes=picture.sizes, width=picture.width, height=picture.height,
            bytes=picture.bytes, added_at=at, stored_at=at, **owner,
        )  # fmt: skip

    def _add(self, kind: type[Row], **columns: Any) -> Row:
        if kind in self.ids:
            columns["id"] = next(self.ids[kind])
        row = _plain(kind, **columns)
        self.made[kind].append(row)
        return row


def _plain(kind: type[Row], **columns: Any) -> Row:
    """A row's columns without the bookkeeping of the session, which would cost more than all the rest."""
    return cast(Row, SimpleNamespace(**_empty(kind) | columns))


@cache
def _empty(kind: type[Base]) -> dict[str, None]:
    return dict.fromkeys(column.name for column in kind.__table__.columns)


def _names(pictures: Sequence[PhotoRow]) -> list[str]:
    return [picture.sizes["full"] for picture in pictures]


def _placeless(told: ReportRow) -> ReportRow:
    where = told.place.label if told.place else told.address
    return replace(told, words=intake.append_place(told.words, where), place=None, address="")


def _own_job(life: _Life, by: Actor) -> Assignment | None:
    held = life.held
    if life.case.service.office or DISPATCHER in by.roles or CREW not in by.roles:
        return held
    if held is None or held.crew_id not in by.crew_ids:
        raise Refused("not_your_job")
    return held


def _same_hand(done: Closure | None, by: Actor) -> bool:
    return done is not None and (done.person_id == by.person_id or done.crew_id in by.crew_ids)


def _one_of(value: str, choices: Sequence[str], name: str) -> None:
    if value not in choices:
        raise Refused("unknown_value", name=name, value=value)
