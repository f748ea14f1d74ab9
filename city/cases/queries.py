"""Reads for lists, a crew's day, one case's story; public() is the one way out. The board's: board.py."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, or_, select
from sqlalchemy import case as when
from sqlalchemy.orm import Session, joinedload, selectinload

from city.audit import events
from city.cases import sla
from city.db.models import (
    Area,
    Asset,
    Assignment,
    Case,
    Closure,
    Crew,
    Event,
    Imported,
    LegalHold,
    Pause,
    Person,
    Photo,
    Report,
    Service,
    SyncFeedRow,
)
from city.geo import Point, box_around, cells_around, distance, inside, rounded
from city.lifecycle import CANCELLED, CLOSED, MERGED, NEW, OPEN, UNDONE, WAITING

SHORTEST_REF = 5  # letters; what is shorter may be a house number
# At the head of an address: "near 12B ", "about 40 m from 12 1/2 ", "214-216 "; no "5th " of a street.
_HOUSE = re.compile(
    r"^(?:near |about \d+ m from )?(?!\d+(?:st|nd|rd|th)\b)\d\S*\s+(?:\d/\d\s+)?", re.IGNORECASE
)
ABOUT_METRES = 300.0  # no further from a thing lies a case about it: its number is taken within 250 m
RECEIPT = re.compile(r"[0-9A-F]{4}-[0-9A-F]{4}")
# What a stranger may read of a case's story. Everything else (notes, merges, people) stays inside. By `clear`
# other programs learn that what they copied is removed here.
PUBLIC_STEPS = (
    "open", "join", "accept", "assign", "start", "wait", "resume", "make safe", "needs parts", "close",
    "take back", "undo batch", "restore", "reopen", "reclassify", "relocate", "reschedule", "split",
    "fixed confirmed", "not fixed", "cancel", "clear",
)  # fmt: skip


@dataclass(frozen=True)
class TimelineEntry:
    """One stop of a case's story."""

    kind: str
    at: datetime
    facts: dict[str, Any]


@dataclass(frozen=True)
class PublicReport:
    """The words and photos of one report, as somebody may see them."""

    number: str
    at: datetime
    words: str
    photos: list[str]  # photo ids
    mine: bool = False


@dataclass(frozen=True)
class ClosingEvidence:
    """How the last cycle ended. Words and photos only where they may be seen."""

    outcome: str
    at: datetime
    kept: float  # seconds early; negative is late
    no_photo: str | None
    words: str = ""
    reply: dict[str, str] = field(default_factory=dict)  # the ready reply's words, by language
    crew: str | None = None
    photos: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PublicCase:
    """A case as a resident or stranger sees it."""

    id: int
    number: str
    service: Service
    state: str
    standing: str
    wait_reason: str | None
    opened_at: datetime
    due_at: datetime
    closed_at: datetime | None
    address: str
    point: Point | None
    reports: int
    tellings: list[PublicReport]
    proof: ClosingEvidence | None
    steps: list[TimelineEntry]
    wait_until: datetime | None = None  # when it comes back by itself
    clock_stands: bool = False  # whether its promise waits with it
    mine: bool = False  # seen by one of its reporters
    merged_into: str | None = None
    owner: str = ""  # whom it waits for, as the register of assets names it
    passed_to: str = ""  # the other owner who has taken it, while it waits for them
    hourly: bool = False  # working hours were promised, so the hour counts
    first_due: datetime | None = None  # before its clock stood
    rescheduled_to: datetime | None = None  # the new date that was told since
    rescheduled_for: str = ""  # and why
    metres: float | None = None
    # In the system that it was imported from: only where one case was asked for, and its place is exact.
    old_number: str = ""
    cleared_at: datetime | None = None  # when its words went by the records schedule
    crews: dict[int, str] = field(default_factory=dict)  # the names of those who had it, by id
    asset: Asset | None = None  # what it is about, where its exact place may be known

    @property
    def thumb(self) -> str | None:
        """The photo that stands for the case in a list."""
        return next((p for t in self.tellings for p in t.photos), None)


def public(
    s: Session,
    *,
    now: datetime,
    publish: str = "staff",
    number: str | None = None,
    ids: Sequence[int] | None = None,
    near: Point | None = None,
    metres: float = 1000.0,
    states: Sequence[str] = OPEN,
    group: str = "",
    before: int | None = None,
    limit: int = 20,
) -> list[PublicCase]:
    """Cases as any stranger may see them; the only way out. Private services never appear.

    At once: service, state, dates, place as exactly as its service allows. Words and photos only of
    reports that were shown (`publish` is the setting of that name). With `near` the nearest within `metres`
    come first, each with its distance to the place as strangers see it; otherwise the newest. The next page
    of a list begins `before` the id of the last case of this one.
    """
    if number is not None:
        asked = public_cases().where(Case.number == number)
    elif ids is not None:
        asked = public_cases().where(Case.id.in_(ids))
    else:
        asked = public_cases(states, group)
    if before is not None:
        asked = asked.where(Case.id < before)
    if near:
        nearest = _nearest(s, asked, near, metres)[:limit]
        asked = _with_relations(select(Case).where(Case.id.in_(nearest)))
        found = sorted(s.scalars(asked).unique(), key=lambda c: nearest.index(c.id))
    else:
        found = list(s.scalars(_with_relations(asked).order_by(Case.id.desc()).limit(limit)).unique())
    stories = _stories(s, [c.id for c in found]) if number is not None else {}
    proofs = _evidence_of(s, found)
    seen = [
        _public_case(s, c, now=now, publish=publish, near=near, story=stories.get(c.id, []), proofs=proofs)
        for c in found
    ]
    if number is None:
        return seen
    return [replace(sight, old_number=_public_old_number(s, c)) for sight, c in zip(seen, found, strict=True)]


def public_about(
    s: Session, asset: Asset, *, now: datetime, publish: str = "staff", limit: int
) -> list[PublicCase]:
    """Open and closed cases about one thing of the city's, as public() shows them; the newest
    first, and none that is open left out for one that is closed.

    Those whose service keeps the exact place from strangers are left out: the thing's place would tell it.
    """
    cells = cells_around(Point(asset.lat, asset.lon), ABOUT_METRES)
    ids = s.scalars(
        public_cases((*OPEN, CLOSED))
        .where(Case.asset_id == asset.id, Case.cell.in_(cells), Service.precision_m == 0)
        .with_only_columns(Case.id)
        .order_by(Case.state == CLOSED, Case.id.desc())
        .limit(limit)
    ).all()
    return public(s, now=now, publish=publish, ids=ids, limit=limit) if ids else []


def public_counts(
    s: Session, *, states: Sequence[str] = OPEN, before: int | None = None
) -> dict[str, tuple[int, int]]:
    """How many cases public() lists, by group of services, and how many of them stand on earlier pages."""
    earlier = func.count().filter(Case.id >= before) if before is not None else literal(0)
    rows = s.execute(
        public_cases(states).with_only_columns(Service.group, func.count(), earlier).group_by(Service.group)
    )
    return {group: (count, passed) for group, count, passed in rows}


@dataclass(frozen=True)
class Pin:
    """What the map draws of a case. `names` are its service's, by language."""

    number: str
    lat: float
    lon: float
    standing: str
    names: dict[str, str]


def public_pins(
    s: Session,
    *,
    now: datetime,
    states: Sequence[str] = OPEN,
    group: str = "",
    limit: int = 1000,
) -> list[Pin]:
    """Where the newest cases that public() lists lie, each as exactly as strangers may know it."""
    rows = s.execute(
        public_cases(states, group)
        .with_only_columns(
            Case.number, Case.lat, Case.lon, standing_column(now), Service.names, Service.precision_m
        )
        .where(Case.lat.is_not(None), Case.lon.is_not(None))
        .order_by(Case.id.desc())
        .limit(limit)
    )
    found = []
    for number, lat, lon, standing, names, precision_m in rows:
        seen = rounded(Point(lat, lon), precision_m)
        found.append(Pin(number, seen.lat, seen.lon, standing, names))
    return found


def reporter_view(s: Session, report: Report, *, now: datetime, publish: str = "staff") -> PublicCase:
    """A case as one of its reporters sees it: what is public, the own words and photos, and the proof.

    Where the reporter's case was merged, the state, dates and proof are those of its root.
    """
    case = _loaded(s, root_of(s, report.case).id)
    sight = _public_case(
        s, case, now=now, publish=publish, mine=report, story=_stories(s, [case.id])[case.id],
        proofs=_evidence_of(s, [case]),
    )  # fmt: skip
    return replace(sight, old_number=_public_old_number(s, report.case, report))


def reporter_views(
    s: Session, mine: Sequence[Report], *, now: datetime, publish: str = "staff"
) -> list[PublicCase]:
    """What reporter_view() tells, without the steps, of several reports of one person; the newest first."""
    roots = {report.id: root_of(s, report.case).id for report in mine}
    asked = _with_relations(select(Case)).where(Case.id.in_(set(roots.values())))
    found = {case.id: case for case in s.scalars(asked).unique()}
    proofs = _evidence_of(s, list(found.values()))
    return [
        _public_case(s, found[roots[each.id]], now=now, publish=publish, mine=each, story=[], proofs=proofs)
        for each in sorted(mine, key=lambda report: report.taken_at, reverse=True)
    ]


def is_public(report: Report, case: Case, publish: str) -> bool:
    """Whether strangers may read this report's words and see its photos."""
    if report.erased_at or case.service.private:
        return False
    if report.shown_by_hand:
        return report.shown_at is not None
    if publish == "at_once" or (publish == "on_accept" and _was_accepted(case)):
        return True
    return report.shown_at is not None


def is_job_of(s: Session, case: Case, crew_ids: Collection[int]) -> bool:
    """Whether the phones of one of these crews have the case as a job now."""
    asked = select(SyncFeedRow.ref).where(
        SyncFeedRow.scope.in_([f"crew:{crew_id}" for crew_id in crew_ids]), SyncFeedRow.kind == "job",
        SyncFeedRow.ref == case.number, SyncFeedRow.present,
    )  # fmt: skip
    return s.scalar(asked.limit(1)) is not None


def _was_accepted(case: Case) -> bool:
    """Whether anybody at the city took it on: spam that was cancelled as it came in is not published."""
    return (case.merged_from if case.state == MERGED else case.state) not in (NEW, CANCELLED)


def public_cases(states: Sequence[str] = (), group: str = "") -> Select[Case]:
    """The cases that strangers may know of; in any state unless `states` says which.

    What is read of them besides is for the caller to choose: see public_pins() and case_summaries.py.
    """
    asked = select(Case).join(Service, Service.code == Case.service_code).where(Service.private.is_(False))
    if states:
        asked = asked.where(Case.state.in_(states))
    return asked.where(Service.group == group) if group else asked


def shown_column(publish: str) -> Any:
    """is_public() as a condition on Report and Case, private services aside; a test compares the two."""
    alive = Report.erased_at.is_(None)
    by_itself = alive & ~Report.shown_by_hand
    if publish == "at_once":
        return by_itself | alive & Report.shown_at.is_not(None)
    if publish == "on_accept":
        state = func.coalesce(when((Case.state == MERGED, Case.merged_from), else_=Case.state), "")
        return by_itself & state.not_in((NEW, CANCELLED)) | alive & Report.shown_at.is_not(None)
    return alive & Report.shown_at.is_not(None)


def areas_at(s: Session, point: Point, names: Collection[str]) -> list[str]:
    """Which of the areas of these names hold the point. The areas are read once a transaction."""
    known = s.info.setdefault("areas_at", {})
    asked = tuple(sorted(names))
    if asked not in known:
        rows = select(Area.name, Area.geometry).where(Area.name.in_(asked)).order_by(Area.id)
        known[asked] = s.execute(rows).all()
    found = known[asked]
    return [name for name, geometry in found if inside(point, geometry)]


def load_full(s: Session, number: str) -> Case | None:
    """One case with all that its drawer shows, for staff."""
    asked = _with_relations(select(Case)).options(
        joinedload(Case.tags),
        joinedload(Case.hold).joinedload(LegalHold.placed_by),
        selectinload(Case.reports).options(selectinload(Report.subscriptions), joinedload(Report.service)),
    )
    return s.scalars(asked.where(Case.number == number)).unique().first()


def by_number(s: Session, number: str) -> Case | None:
    """The case with this number, or the case of the report with this number. What was undone is gone."""
    case = s.scalars(select(Case).where(Case.number == number)).first()
    if case is None:
        report = s.scalars(select(Report).where(Report.number == number)).first()
        case = report.case if report else None
    return case if case and case.state != UNDONE else None


def by_reference(s: Session, words: str) -> Case | None:
    """The case that a number names: its own, its report's, the receipt of a phone, or what it had in the
    system that it was imported from."""
    number = words.strip().upper()
    if "-" in number and (found := by_number(s, number) or by_receipt(s, number)):
        return found
    if len(number) < SHORTEST_REF or not any(letter.isdigit() for letter in number):
        return None
    return by_old_number(s, words)


def by_old_number(s: Session, number: str) -> Case | None:
    """The case that had this number in the system it was imported from; None where two systems had it."""
    there = s.scalars(select(Imported.case_id).where(previous_numbers(number.strip())).limit(2)).all()
    return s.get(Case, there[0]) if len(there) == 1 else None


def old_number(s: Session, case_id: int) -> str:
    """What the case was called in the system that it was imported from; empty for our own."""
    return s.scalar(select(Imported.ref).where(Imported.case_id == case_id)) or ""


def by_receipt(s: Session, receipt: str) -> Case | None:
    """The case of the report whose phone gave this receipt, as `1F3A-90C2`; None where that is no one."""
    if not RECEIPT.fullmatch(receipt):
        return None
    start = receipt.replace("-", "").lower()
    found = s.scalars(select(Report).where(Report.key.between(start, f"{start}g")).limit(2)).all()
    return found[0].case if len(found) == 1 else None


def case_events(s: Session, case: Case) -> list[tuple[Event, dict[str, Any]]]:
    """Everything that happened to a case, with its words, for staff."""
    return events.of(s, events.of_case(case.id))


def duplicates_of(s: Session, case: Case) -> list[Case]:
    """The cases that were merged into this one."""
    return list(s.scalars(select(Case).where(Case.merged_into_id == case.id).order_by(Case.id)))


def root_of(s: Session, case: Case) -> Case:
    """The case at the end of the chain of merges: itself where it was not merged."""
    while case.merged_into_id is not None:
        case = s.get_one(Case, case.merged_into_id)
    return case


def previous_numbers(number: str) -> Any:
    """Whether an imported row bore this number over there, as it was typed or in capitals."""
    return Imported.ref.in_((number, number.upper()))


def standing_column(now: datetime) -> Any:
    """sla.sla_status() as a column, for the map of strangers: it says the same as each case's own page.

    The board reads Case.standing instead, which has indexes and is up to a minute old.
    """
    return when(*((has_standing(name, now), name) for name in ("wait", "late", "risk", "ok")), else_="done")


def has_standing(standing: str, now: datetime) -> Any:
    """sla.sla_status() as a condition; a test holds the two together."""
    waits = Case.state == WAITING
    # Its clock stopped when it was late already, or runs on and has passed the due date.
    late_already = or_(clock_stands(Pause.began_at > Case.due_at), ~clock_stands() & (Case.due_at < now))
    if standing == "wait":
        return waits & ~late_already
    if standing == "done":
        return Case.state.in_((CLOSED, CANCELLED, MERGED))
    running = Case.state.in_([state for state in OPEN if state != WAITING])
    return {
        "late": running & (Case.due_at < now) | waits & late_already,
        "risk": running & (Case.due_at >= now) & (Case.risk_at <= now),
        "ok": running & (Case.risk_at > now),
    }[standing]


def clock_stands(*more: Any) -> Any:
    """Whether a wait in which the clock stands is open."""
    asked = Pause.case_id == Case.id, Pause.ended_at.is_(None), Pause.stops_clock
    return select(Pause.id).where(*asked, *more).exists()


def ended_at() -> ColumnElement[datetime]:
    """When a case was closed, or cancelled: since then its clock stands."""
    stands = Pause.case_id == Case.id, Pause.why == "closed", Pause.ended_at.is_(None)
    return func.coalesce(Case.closed_at, select(func.max(Pause.began_at)).where(*stands).scalar_subquery())


def family_of(s: Session, case_id: int) -> list[int]:
    """The ids of the case and of all that were merged into it, and into those."""
    family, reached = [case_id], [case_id]
    while reached:
        reached = list(s.scalars(select(Case.id).where(Case.merged_into_id.in_(reached))))
        family += reached
    return family


def roots_of(s: Session, case_ids: Collection[int]) -> dict[int, int]:
    """For each case the one at the end of its chain of merges; as many statements as chains_of()."""
    return {case_id: chain[-1] for case_id, chain in merge_chains(s, case_ids).items()}


def merge_chains(s: Session, case_ids: Collection[int]) -> dict[int, list[int]]:
    """Of each case itself and all that it was merged into, its root last; a statement a step, by 500."""
    chains, ends = {case_id: [case_id] for case_id in case_ids}, {case_id: case_id for case_id in case_ids}
    while ends:
        above, wanted = dict[int, int](), sorted(set(ends.values()))
        for start in range(0, len(wanted), 500):
            asked = select(Case.id, Case.merged_into_id).where(Case.id.in_(wanted[start : start + 500]))
            rows = s.execute(asked.where(Case.merged_into_id.is_not(None)))
            above |= {row.id: row.merged_into_id for row in rows}
        ends = {case_id: above[end] for case_id, end in ends.items() if end in above}
        for case_id, end in ends.items():
            chains[case_id].append(end)
    return chains


def report_count(s: Session, case: Case) -> list[Report]:
    """The reports of the case and of all that were merged into it, and into those; one statement."""
    family = select(Case.id).where(Case.id == case.id).cte(recursive=True)
    family = family.union(select(Case.id).join(family, Case.merged_into_id == family.c.id))
    asked = select(Report).where(Report.case_id.in_(select(family.c.id)))
    return list(s.scalars(asked.options(selectinload(Report.subscriptions)).order_by(Report.id)))


def _with_relations(asked: Select[Case]) -> Select[Case]:
    return asked.options(
        joinedload(Case.service).joinedload(Service.department),
        joinedload(Case.asset),
        joinedload(Case.calendar),
        selectinload(Case.reports).selectinload(Report.photos),
        selectinload(Case.assignments).joinedload(Assignment.crew),
        selectinload(Case.pauses),
        selectinload(Case.closures).joinedload(Closure.crew),
    )


def _loaded(s: Session, case_id: int) -> Case:
    return s.scalars(_with_relations(select(Case)).where(Case.id == case_id)).unique().one()


def _nearest(s: Session, asked: Select[Case], near: Point, metres: float) -> list[int]:
    """Ids of the cases of `asked` within `metres` of `near`, nearest first, as strangers may measure it."""
    # As much wider as the coarsest place is moved: a box cut at the exact place would tell it to whoever
    # moves `near` until the case falls out.
    coarsest = s.scalar(select(func.max(Service.precision_m))) or 0
    box = box_around(near, metres + coarsest)
    inside = asked.where(Case.lat.between(box.south, box.north), Case.lon.between(box.west, box.east))
    places = s.execute(inside.with_only_columns(Case.id, Case.lat, Case.lon, Service.precision_m))
    measured = [(distance(near, rounded(Point(row.lat, row.lon), row.precision_m)), row.id) for row in places]
    return [case_id for far, case_id in sorted(measured) if far <= metres]


def _public_case(
    s: Session,
    case: Case,
    *,
    now: datetime,
    publish: str,
    story: Sequence[Event],
    proofs: dict[int, list[str]],
    near: Point | None = None,
    mine: Report | None = None,
) -> PublicCase:
    tellings = [
        PublicReport(r.number, r.taken_at, r.words, [p.id for p in r.photos], mine=r is mine)
        for r in case.reports
        if r is mine or is_public(r, case, publish)
    ]
    if mine and mine.case_id != case.id:
        photos = [p.id for p in mine.photos]
        tellings.insert(0, PublicReport(mine.number, mine.taken_at, mine.words, photos, mine=True))
    point = Point(case.lat, case.lon) if case.lat is not None and case.lon is not None else None
    exact = knows_place(case, mine)
    seen = rounded(point, 0 if exact else case.service.precision_m) if point else None
    return PublicCase(
        id=case.id,
        number=case.number,
        service=case.service,
        state=case.state,
        standing=sla.sla_status(case, now),
        wait_reason=sla.waits_for(case) if case.state == WAITING else None,
        wait_until=sla.waits_until(case),
        clock_stands=sla.clock_stands(case),
        owner=sla.owner_waited_for(case),
        passed_to=sla.passed_to(case),
        hourly=case.promise_hours is not None,
        first_due=sla.first_due(case) if case.pauses else case.due_at,
        rescheduled_to=case.rescheduled_to,
        rescheduled_for=_why_later(story),
        opened_at=case.opened_at,
        due_at=case.due_at,
        closed_at=case.closed_at,
        address=case.address if exact else street_only(case.address),
        point=seen,
        reports=len(case.reports),
        tellings=tellings,
        mine=mine is not None,
        proof=_proof(case, proofs.get(case.id, []), open_words=bool(tellings)),
        steps=[
            TimelineEntry(e.kind, _told_at(e, case), e.facts)
            for e in _as_it_stands(story)
            if e.kind in PUBLIC_STEPS
        ],
        merged_into=_merged_into(s, case),
        cleared_at=case.cleared_at,
        crews={given.crew_id: given.crew.name for given in case.assignments if given.crew},
        metres=distance(near, seen) if near and seen else None,
        asset=case.asset if _shows_asset(case) else None,
    )


def _why_later(story: Sequence[Event]) -> str:
    """Why residents were told a new date, the last time that they were."""
    return next((event.facts["reason"] for event in reversed(story) if event.kind == "reschedule"), "")


def _told_at(event: Event, case: Case) -> datetime:
    """When a step was made; of a case that was split from another, when it was told."""
    return case.opened_at if event.kind == "open" else event.at


def _shows_asset(case: Case) -> bool:
    return bool(case.asset and not case.asset.retired_at) and knows_place(case) and not case.service.private


def knows_place(case: Case, mine: Report | None = None) -> bool:
    """Whether its exact place may be known: who joined knows the own spot, not the first reporter's door."""
    opened = mine is not None and bool(case.reports) and case.reports[0] is mine
    opened = opened and opened_with(case.number, mine.number if mine else "")
    return opened or not case.service.precision_m


def opened_with(case: str, report: str) -> bool:
    """Whether a case began with this one of its reports, both by number: as the first, or split with it."""
    named, _dash, letter = report.rpartition("-")
    return letter == "A" or named != case


def _public_old_number(s: Session, case: Case, mine: Report | None = None) -> str:
    """old_number(), where the exact place may be known: the old system's lists tell it by that number."""
    return old_number(s, case.id) if knows_place(case, mine) else ""


def _proof(case: Case, photos: list[str], *, open_words: bool) -> ClosingEvidence | None:
    if case.state != CLOSED or not case.closures:
        return None
    done = case.closures[-1]
    early = sla.margin(case, done.done_at).total_seconds()
    if not open_words:
        return ClosingEvidence(done.outcome, done.done_at, early, done.no_photo)
    crew = done.crew.name if done.crew else None
    ready = done.reply["words"] if done.reply else {}
    return ClosingEvidence(done.outcome, done.done_at, early, done.no_photo, done.words, ready, crew, photos)


def evidence(s: Session, case: Case, cycle: int) -> list[str]:
    """Ids of the photos that prove a cycle's closing: stored ones, since a promised photo proves nothing."""
    return list(
        s.scalars(
            select(Photo.id)
            .join(Closure, Closure.id == Photo.closure_id)
            .where(Closure.case_id == case.id, Closure.cycle == cycle, Photo.stored_at.is_not(None))
            .order_by(Photo.position, Photo.added_at)
        )
    )


def _evidence_of(s: Session, cases: Sequence[Case]) -> dict[int, list[str]]:
    """evidence() of the last cycle of many cases at once."""
    last = {case.id: case.closures[-1].cycle for case in cases if case.closures}
    found: dict[int, list[str]] = {case_id: [] for case_id in last}
    if not last:
        return found
    rows = s.execute(
        select(Closure.case_id, Closure.cycle, Photo.id)
        .join(Photo, Closure.id == Photo.closure_id)
        .where(Closure.case_id.in_(last), Photo.stored_at.is_not(None))
        .order_by(Photo.position, Photo.added_at)
    )
    for case_id, cycle, photo_id in rows:
        if last[case_id] == cycle:
            found[case_id].append(photo_id)
    return found


def _merged_into(s: Session, case: Case) -> str | None:
    """The number of a merged case's root, unless the root is private."""
    if case.state != MERGED:
        return None
    root = root_of(s, case)
    return None if root.service.private else root.number


def _stories(s: Session, case_ids: Sequence[int]) -> dict[int, list[Event]]:
    found: dict[int, list[Event]] = {case_id: [] for case_id in case_ids}
    rows = s.scalars(
        select(Event).where(Event.subject.in_([events.of_case(i) for i in case_ids])).order_by(Event.seq)
    )
    for event in rows:
        found[int(event.subject.partition(":")[2])].append(event)
    return found


def _as_it_stands(story: Sequence[Event]) -> list[Event]:
    """A story without what an undone import had told of it; staff see all of it."""
    found: list[Event] = []
    for event in story:
        if event.kind == "undo":
            found = [line for line in found if line.n <= event.facts.get("since", event.n)]
        else:
            found.append(event)
    return found


def street_only(address: str) -> str:
    """The address without its house number, also one that is near, where a service tells places coarsely."""
    return _HOUSE.sub("", address)


def load_many(s: Session, numbers: Sequence[str]) -> list[Case]:
    """The cases with these numbers, in their order, with all that a card shows."""
    found = s.scalars(_with_relations(select(Case)).where(Case.number.in_(numbers))).unique()
    by_its_number = {case.number: case for case in found}
    return [by_its_number[number] for number in dict.fromkeys(numbers) if number in by_its_number]


def numbers(s: Session, ids: Collection[int]) -> dict[int, str]:
    """The numbers of these cases, by their ids."""
    if not ids:
        return {}
    return {row.id: row.number for row in s.execute(select(Case.id, Case.number).where(Case.id.in_(ids)))}


def crew(s: Session, crew_id: int) -> Crew | None:
    """The crew with this id."""
    return s.get(Crew, crew_id)


def crew_names(s: Session) -> dict[int, str]:
    """What every crew is called, by its id."""
    return {row.id: row.name for row in s.execute(select(Crew.id, Crew.name))}


def names(s: Session, actors: Collection[str]) -> dict[str, str]:
    """The persons and partners behind the log's actors, by the name the log gives them."""
    found = dict[str, str]()
    for kind, row in (("person", Person), ("partner", Crew)):
        ids = [int(actor.partition(":")[2]) for actor in actors if actor.startswith(f"{kind}:")]
        rows = s.execute(select(row.id, row.name).where(row.id.in_(ids))) if ids else ()
        found |= {f"{kind}:{id_}": name for id_, name in rows}
    return found
