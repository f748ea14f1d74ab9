"""What staff correct about a case: its type, its place, its date, and whose report it is.

Transitions like those of transitions.py. A correction is no way to be on time: a case that was late, or is
late by the promise of its new type, counts as restarted in the figures. docs/explanation/promises.md has the
rule in words.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session, selectinload

from city import geo
from city.audit.events import Actor
from city.cases import board_index, duplicates, legal_holds, locks, reporter_count, sla, transitions, waits
from city.cases import search as case_search
from city.cases.queries import areas_at
from city.config import routing
from city.config.routing import Rule
from city.db.in_list import is_in
from city.db.models import (
    Asset,
    Assignment,
    Calendar,
    Case,
    CaseMessage,
    Crew,
    ExpectedPhoto,
    Photo,
    Report,
    Service,
)
from city.lifecycle import (
    ACCEPTED,
    ASSIGNED,
    DISPATCHER,
    NEW,
    NEW_DATE_DAYS,
    NEW_DATE_REASONS,
    OPEN,
    UNDERWAY,
    WAITING,
    Refused,
    allow,
)
from city.people.accounts import THE_SYSTEM
from city.places import assets, lookup
from city.places.lookup import Place

CORRECTIONS: Final = ("reclassify", "relocate")  # what hangs on type and place follows: see derive()
# What may be done to many cases at once; a split is of one.
ACTS: Final = (*CORRECTIONS, "reschedule")
SPLIT: Final = "split"
# What a case promises, as columns: a correction may change each, and its Undo puts them back.
PROMISE: Final = ("promise_days", "promise_hours", "calendar_id", "corrected_late", "urgent", "follow_on")
TIMES: Final = ("promised_at", "restarted_at", "rescheduled_to")
_LOADED: Final = (selectinload(Case.reports), selectinload(Case.asset))
MOST_COMPARED: Final = 200  # corrected at once: each asks for all that was told around it
PLACE: Final = ("lat", "lon", "accuracy_m", "place_source", "address", "asset_id")


@dataclass
class Many:
    """What the corrections of many cases ask for alike, read once: all get the same, and derive() ends them.

    `endangered` are the ids of cases of which danger was told. `outside` says that the place is none of ours.
    """

    endangered: Collection[int]
    outside: bool = False
    owned: dict[int, bool] = field(default_factory=dict)  # by an asset's id: whether it is another's to mend


def read_ahead(s: Session, cases: Sequence[Case], place: Place | None = None) -> Many:
    """Reads for all these cases what their correction asks for; `place` is where they shall lie.

    A few statements for each locks.AT_ONCE of them. load() is done, too.
    """
    load(s, cases)
    endangered = set[int]()
    for some in locks.parts(sorted(case.id for case in cases)):
        told = select(Report.case_id).where(is_in(Report.case_id, some), Report.danger)
        merged = select(Case.merged_into_id).where(is_in(Case.merged_into_id, some), Case.urgent)
        endangered.update(s.scalars(told.union_all(merged)))
    return Many(endangered, place is not None and lookup.outside(s, place.point))


def load(s: Session, cases: Collection[Case]) -> None:
    """Reads the reports and assets of all these cases. Some statements for each locks.AT_ONCE of them."""
    for some in locks.parts(sorted(case.id for case in cases)):
        s.scalars(select(Case).where(is_in(Case.id, some)).options(*_LOADED)).all()


def reclassify(
    s: Session,
    case: Case,
    service: Service,
    *,
    rules: Sequence[Rule] = (),
    words: str = "",
    many: Many | None = None,
    by: Actor,
    at: datetime,
) -> bool:
    """The case is of another type: department, promise, danger and privacy are those of the new service.

    `rules` are the city's routing, `many` is read_ahead()'s where many are corrected. A crew that does not
    serve the new type loses the job. The promise counts from the first report; where its end has passed
    already, from `at`. What was private shows nothing of its reports until staff do.
    Raises Refused `crew_has_it` to a call-taker, `office_misfits` between an office's work and the field's,
    `public_duplicates` where what lies merged into it would stay public.
    """
    _begin(s, case, "reclassify", words, by)
    if case.service_code == service.code:
        return False
    if case.service.office != service.office:
        raise Refused("office_misfits")
    if service.private and not case.service.private and _has_public_duplicates(s, case):
        raise Refused("public_duplicates")
    was, was_late = case.service, sla.is_overdue(case, at)
    case.service, case.service_code = service, service.code
    if was.private and not service.private:
        for report in case.reports:
            report.shown_at, report.shown_by_hand = None, True
    brings_danger = _take_danger(s, case, many, at)
    case.promised_at = case.restarted_at = case.rescheduled_to = None
    sla.start_clock(case, at)
    if sla.is_overdue(case, at):
        case.restarted_at = case.clock_from if at < case.clock_from else at
        sla.refresh(case, at)
        was_late = True
    case.corrected_late = case.corrected_late or was_late
    lost = None if _serves(s, rules, case) else _lose_crew(s, case, "reclassified", at, many)
    facts: dict[str, Any] = {
        "service": service.code,
        "from": was.code,
        "due": _iso(case.due_at),
    }
    if was_late:
        facts["restarted"] = True
    if brings_danger:
        facts["danger"] = True
    return _corrected(s, case, "reclassify", facts, lost, words={"words": words}, many=many, by=by, at=at)


def relocate(
    s: Session,
    case: Case,
    place: Place,
    *,
    rules: Sequence[Rule] = (),
    words: str = "",
    many: Many | None = None,
    by: Actor,
    at: datetime,
) -> bool:
    """The case lies elsewhere: its area, crew, owner and duplicates are those of the new place.

    `rules` and `many` as in reclassify(). The reports keep the places that were told; the old one stays in
    the story. A crew whose area it leaves loses the job, where a rule names another for the new place.
    Raises Refused `outside_city`, and `crew_has_it` to a call-taker.
    """
    _begin(s, case, "relocate", words, by)
    if many.outside if many else lookup.outside(s, place.point):
        raise Refused("outside_city")
    was_address = case.address
    if (case.lat, case.lon, case.address, case.asset_id) == (
        place.lat,
        place.lon,
        place.label,
        place.asset_id,
    ):
        return False
    was_at, owned = _point(case.lat, case.lon), _is_anothers(s, case, many)
    put(case, place.lat, place.lon, place.accuracy_m, place.source, place.label, place.asset_id)
    case.asset = s.get(Asset, place.asset_id) if place.asset_id else None
    held = transitions.live(case)
    leaves = held and _leaves(s, rules, held.crew, case.service, was_at, place.point)
    lost = _lose_crew(s, case, "relocated", at, many) if leaves else None
    told = {"was": was_address, "address": place.label, "lat": place.lat, "lon": place.lon}
    facts: dict[str, Any] = {"report": case.reports[0].number} if case.reports else {}
    _corrected(s, case, "relocate", facts, lost, words=told | {"words": words}, many=many, by=by, at=at)
    _follow_owner(s, case, owned, many, at)
    return True


def reschedule(
    s: Session, case: Case, reason: str, day: datetime | None = None, *, by: Actor, at: datetime
) -> bool:
    """Residents are told a new date, and why: one of lifecycle.NEW_DATE_REASONS.

    `day` is when the responsible department's day ends then; None for as long as the reason usually takes.
    The clock does not move: "on time" is judged by the first promise, and a figure of its own tells how often
    new dates were kept. Raises Refused `date_past`, `date_too_far` (with `most`, days) or `unknown_value`.
    """
    _begin(s, case, "reschedule", "", by)
    if reason not in NEW_DATE_REASONS:
        raise Refused("unknown_value", name="reason", value=reason)
    day = day or usual_date(case, reason, at)
    if day <= at:
        raise Refused("date_past")
    if day > at + timedelta(days=NEW_DATE_DAYS):
        raise Refused("date_too_far", most=NEW_DATE_DAYS)
    if case.rescheduled_to == day:
        return False
    case.rescheduled_to = day
    facts = {"reason": reason, "date": _iso(day), "due": _iso(case.due_at)}
    return transitions.moved(s, case, "reschedule", case.state, by=by, at=at, facts=facts, origin="live")


def usual_date(case: Case, reason: str, at: datetime) -> datetime:
    """The new date for `reason` where nobody says one: as much later than the promise, or than now."""
    zone = sla.zone_of(case.service)
    days = timedelta(days=waits.terms(case.service, reason).days)
    return datetime.combine(max(at, case.due_at).astimezone(zone).date() + days, sla.END_OF_DAY, zone)


def split(s: Session, case: Case, report: Report, *, by: Actor, at: datetime) -> Case:
    """A report of the case tells of something else, and becomes a case of its own; returns that.

    Its clock counts from when it was told. Photos and wishes for news go along; the report keeps its number.
    The clock of `case` stays as it is. Raises Refused `only_report`, and `unknown_report` for another case's.
    """
    _begin(s, case, SPLIT, "", by)
    if report.case_id != case.id:
        raise Refused("unknown_report")
    if len(case.reports) < 2:  # it would tell of nothing any more
        raise Refused("only_report")
    # A case that is private stays so in all its parts.
    service = case.service if case.service.private else report.service
    own = transitions.open_case(
        s, service, _told_place(case, report), by=by, at=at, urgent=report.danger, since=report.taken_at,
        split_from=case,
    )  # fmt: skip
    if service is not report.service:  # by which its case was corrected
        own.corrected_late = transitions.counts_as_restarted(s, case)
    legal_holds.copy_on_split(s, case, own, by=by, at=at)
    _give_report(s, report, own)
    duplicates.remember_not_duplicate(s, case, own)
    told = {"case": own.number, "report": report.number}
    transitions.moved(s, case, SPLIT, case.state, by=by, at=at, facts=told, origin="live")
    _after_report_left(s, case, at)
    return own


def undo_split(s: Session, case: Case, own: Case, *, by: Actor, at: datetime, batch: int) -> None:
    """The reports of `own`, which was split from the case, are the case's again; `own` leads to it."""
    locks.lock(s, case, own)
    for report in list(own.reports):
        _give_report(s, report, case)
    _after_report_left(s, own, at)
    if not case.urgent and transitions.is_dangerous(s, case):
        case.urgent = True
        if case.state in OPEN:
            sla.refresh(case, at)
    transitions.merge(s, own, case, taken_back=True, by=by, at=at)
    transitions.undo_batch(s, case, SPLIT, transitions.snapshot(case), by=by, at=at, batch=batch)


def due_as(case: Case, service: Service, now: datetime) -> datetime:
    """When the case would be due if it were corrected to this service now."""
    told = any(report.danger for report in case.reports) or (case.urgent and not case.service.urgent)
    terms = sla.offered(service, urgent=service.urgent or told)
    due = sla.due_and_risk(terms, case.clock_from, sla.stood(case, now)).due
    pause = sla.open_pause(case) if case.state == WAITING else None
    stands_since = pause.began_at if pause and pause.stops_clock else now
    return due if due >= stands_since else sla.due_and_risk(terms, now).due


def losing(
    s: Session,
    numbers: Sequence[str],
    *,
    service: Service | None = None,
    place: Place | None = None,
    rules: Sequence[Rule] = (),
) -> int:
    """How many of these cases would lose their crew, were they of that service, or at that place.

    Two statements for each locks.AT_ONCE of them, and one for each set of areas that rules ask about.
    """
    return sum(
        _would_lose(s, crew, known, _point(lat, lon), service, place, rules)
        for some in locks.parts(numbers)
        for lat, lon, crew, known in s.execute(
            select(Case.lat, Case.lon, Crew, Service)
            .join(Crew, Crew.id == Case.crew_id)
            .join(Service, Service.code == Case.service_code)
            .where(Case.number.in_(some), Case.state.in_(OPEN))
        )
    )


def snapshot(case: Case, name: str) -> dict[str, Any]:
    """What undo() needs besides transitions.snapshot(), before the act `name`."""
    if name in ("reschedule", SPLIT):  # what they change stands with every case
        return {}
    if name == "relocate":
        return {"place": [getattr(case, column) for column in PLACE]}
    return {
        "service": case.service_code,
        "promise": [getattr(case, column) for column in PROMISE],
        "times": [_iso(getattr(case, column)) for column in TIMES],
        "shown": {str(report.id): [_iso(report.shown_at), report.shown_by_hand] for report in case.reports}
        if case.service.private
        else {},
    }


def undo(
    s: Session, case: Case, name: str, was: dict[str, Any], *, by: Actor, at: datetime, batch: int
) -> bool:
    """Makes type, place or date what snapshot() said. The caller has seen that nothing else happened since,
    has called load(), and calls derive() afterwards.
    """
    locks.lock(s, case)
    if name == "reschedule":
        case.rescheduled_to = datetime.fromisoformat(was["date"]) if was["date"] else None
        return transitions.undo_batch(s, case, name, was, by=by, at=at, batch=batch)
    if name == "relocate":
        put(case, *was["place"])
        case.asset = s.get(Asset, case.asset_id) if case.asset_id else None
    else:
        case.service, case.service_code = s.get_one(Service, was["service"]), was["service"]
        for column, value in zip(PROMISE, was["promise"], strict=True):
            setattr(case, column, value)
        for column, value in zip(TIMES, was["times"], strict=False):  # kept before an upgrade, it has fewer
            setattr(case, column, datetime.fromisoformat(value) if value else None)
        for report in case.reports:
            shown_at, by_hand = was["shown"].get(
                str(report.id), [_iso(report.shown_at), report.shown_by_hand]
            )
            report.shown_at = datetime.fromisoformat(shown_at) if shown_at else None
            report.shown_by_hand = by_hand
        case.calendar = s.get(Calendar, case.calendar_id) if case.calendar_id else None
    transitions.undo_batch(s, case, name, was, by=by, at=at, batch=batch)
    case.review = case.review or was.get("review")
    case.corrected_version = case.version
    return True


def put(
    case: Case, lat: float | None, lon: float | None, accuracy_m: float | None, source: str, address: str,
    asset_id: int | None,
) -> None:  # fmt: skip
    """Gives the case another place."""
    case.lat, case.lon, case.accuracy_m, case.place_source = lat, lon, accuracy_m, source
    case.address, case.asset_id = address, asset_id
    case.cell = geo.cell(geo.Point(lat, lon)) if lat is not None and lon is not None else None
    case.quad = case.area_id = None  # board_index.py finds both


def _told_place(case: Case, report: Report) -> Place | None:
    """Where the report says that it is; where the case is if it says nothing, or the very same."""
    asset_id = case.asset_id if (report.lat, report.lon) in ((None, None), (case.lat, case.lon)) else None
    of = case if report.lat is None else report
    if of.lat is None or of.lon is None:
        return None
    return Place(
        lat=of.lat, lon=of.lon, accuracy_m=of.accuracy_m, source=of.place_source, label=of.address,
        asset_id=asset_id,
    )  # fmt: skip


def _give_report(s: Session, report: Report, case: Case) -> None:
    """The report, its photos and what was written about it are the case's from now on, those photos too that
    are still on their way."""
    report.case = case
    written = select(CaseMessage.id).where(CaseMessage.report_id == report.id)
    s.execute(update(Photo).where(Photo.message_id.in_(written)).values(case_id=case.id))
    s.execute(update(CaseMessage).where(CaseMessage.report_id == report.id).values(case_id=case.id))
    s.execute(update(Photo).where(Photo.report_id == report.id).values(case_id=case.id))
    s.execute(update(ExpectedPhoto).where(ExpectedPhoto.report_id == report.id).values(case_id=case.id))
    s.flush()
    case_search.mark_changed(s, case.id)


def _after_report_left(s: Session, case: Case, at: datetime) -> None:
    """What hung on the report that the case lost: danger, priority, and how it is found."""
    s.expire(case, ["reports"])
    case_search.mark_changed(s, case.id)
    reporter_count.reporter_removed(s, case, at=at)
    if case.urgent and not transitions.is_dangerous(s, case):
        case.urgent = False
        if case.state in OPEN:
            sla.refresh(case, at)
    board_index.mark_dirty(s, case)


def _begin(s: Session, case: Case, name: str, words: str, by: Actor) -> None:
    """Locks the case and asks the table."""
    allow(name, by.roles)
    transitions.check_words(words)
    locks.lock(s, case)
    transitions.check_move(name, case, by)
    if DISPATCHER not in by.roles and transitions.live(case):
        raise Refused("crew_has_it")


def _corrected(
    s: Session,
    case: Case,
    name: str,
    facts: dict[str, Any],
    lost: Assignment | None,
    *,
    words: dict[str, Any],
    many: Many | None,
    by: Actor,
    at: datetime,
) -> bool:
    """Writes what was corrected, and derives what hangs on it, but for one of many."""
    to = ACCEPTED if lost and case.state in (ASSIGNED, UNDERWAY) else case.state
    if lost:
        facts = facts | {"lost": lost.crew_id}
    transitions.moved(s, case, name, to, by=by, at=at, facts=facts, told=words, origin="live")
    case.corrected_version = case.version
    if many is None:
        derive(s, [case])
    return True


def derive(s: Session, cases: Sequence[Case]) -> None:
    """What else hangs on type and place: by what they are found, and what they probably repeat.

    Of more than MOST_COMPARED none is marked as a probable duplicate; who opens one still sees what is near.
    """
    case_search.mark_changed(s, *(case.id for case in cases))
    s.flush()
    changed = {case.id: case for case in cases}
    for some in locks.parts(sorted(changed)):
        changed |= {twin.id: twin for twin in s.scalars(select(Case).where(is_in(Case.twin_id, some)))}
    for each in changed.values():
        if len(cases) > MOST_COMPARED:
            each.twin_id = None
        else:
            duplicates.flag_probable(s, [each], apart=duplicates.is_not_duplicate(s, each))


def _take_danger(s: Session, case: Case, many: Many | None, at: datetime) -> bool:
    """Whether somebody can be hurt, by the new type and by what was told; True where that is new."""
    was = case.urgent
    if many:
        case.urgent = case.service.urgent or case.id in many.endangered
    else:
        case.urgent = transitions.is_dangerous(s, case)
    if case.urgent and not was:
        transitions.endanger(s, case, at=at)
    return case.urgent and not was


def _serves(s: Session, rules: Sequence[Rule], case: Case) -> bool:
    """Whether the crew that has the case works on its type."""
    held = transitions.live(case)
    here = _point(case.lat, case.lon)
    return held is None or works_on(s, rules, held.crew, case.service, here)


def _has_public_duplicates(s: Session, case: Case) -> bool:
    """Whether a case that is public by its own type lies merged into this one, or into one that does."""
    merged = s.scalars(select(Case).where(Case.merged_into_id == case.id, Case.reports.any()))
    return any(not each.service.private or _has_public_duplicates(s, each) for each in merged)


def works_on(s: Session, rules: Sequence[Rule], crew: Crew, service: Service, here: geo.Point | None) -> bool:
    """Whether the crew keeps a case that becomes one of this service there, by department or by a rule."""
    return (
        crew.department_code in (None, service.department_code)
        or _named(s, rules, service, here) == crew.name
    )


def _leaves(
    s: Session, rules: Sequence[Rule], crew: Crew, service: Service, was_at: geo.Point | None, to: geo.Point
) -> bool:
    """Whether the rules name this crew for the old place, and another for the new one."""
    usual, now_usual = _named(s, rules, service, was_at), _named(s, rules, service, to)
    return now_usual is not None and usual == crew.name != now_usual


def _would_lose(
    s: Session, crew: Crew, known: Service, here: geo.Point | None, service: Service | None,
    place: Place | None, rules: Sequence[Rule],
) -> bool:  # fmt: skip
    if service:
        return known.office == service.office and not works_on(s, rules, crew, service, here)
    return place is not None and _leaves(s, rules, crew, known, here, place.point)


def _named(s: Session, rules: Sequence[Rule], service: Service, here: geo.Point | None) -> str | None:
    """The crew that the city's rules name for this type at this place."""
    asked = routing.areas_asked(rules, service.code, service.group)
    areas = areas_at(s, here, asked) if asked and here else ()
    route = routing.match(rules, service.code, service.group, areas)
    return route.crew if route else None


def _point(lat: float | None, lon: float | None) -> geo.Point | None:
    return geo.Point(lat, lon) if lat is not None and lon is not None else None


def _lose_crew(s: Session, case: Case, why: str, at: datetime, many: Many | None) -> Assignment | None:
    held = transitions.live(case)
    transitions.end_assignments(s, [case], why, at, flush=many is None)
    return held


def _is_anothers(s: Session, case: Case, many: Many | None) -> bool:
    if case.asset is None:
        return False
    known = many.owned if many else {}
    if case.asset.id not in known:
        known[case.asset.id] = assets.owner_of(s, case.asset) is not None
    return known[case.asset.id]


def _follow_owner(s: Session, case: Case, owned: bool, many: Many | None, at: datetime) -> None:
    """What stands at the new place may be another owner's to mend, and at the old one may have been."""
    now_owned = _is_anothers(s, case, many)
    if owned and not now_owned and case.state == WAITING and sla.waits_for(case) == "utility":
        transitions.resume(s, case, by=THE_SYSTEM, at=at)
    elif now_owned and not owned and case.state in (NEW, ACCEPTED) and not case.urgent:
        transitions.wait(s, case, "utility", by=THE_SYSTEM, at=at)


def _iso(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None
