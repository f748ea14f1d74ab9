"""What the office does in a world, a row each: how often, to what, and what must come of it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from city.audit.events import Actor
from city.cases import batches, corrections, locks, sla_sweep, transitions
from city.cases.transitions import Closing
from city.config.routing import Rule
from city.db.engine import transaction
from city.db.models import Case, Crew, Person, Report, Service
from city.lifecycle import CREW, DISPATCHER, SUPERVISOR, Refused, widened
from city.people import accounts
from city.places.lookup import Place
from city.reports import intake
from tests.simulation import office_model
from tests.simulation.office_model import Cases, Due

# Two crews of two, one person in both of them and in a third; and the office behind them.
PEOPLE = {"ana": [0], "ben": [0, 1], "eva": [1], "joe": [2]}
OFFICE = Actor("person:5", frozenset({DISPATCHER}), 5)
SUPERVISING = Actor("person:6", widened({SUPERVISOR}), 6)
STAFF = {"dee": DISPATCHER, "sol": SUPERVISOR}
HOME = Place(39.6, -71.2, "address", "214 Tansy Street")
NEXT_DOOR = Place(39.6004, -71.2, "address", "218 Tansy Street")
ACROSS = Place(39.62, -71.18, "pin", "9 Elm Street", 12.0)
PLACES = (HOME, NEXT_DOOR, ACROSS, ACROSS)
# Of several departments, two of them danger, one private, and one that is no work in the field.
SERVICES = (
    "light-out", "light-out", "light-flickering", "tree-leaning", "tree-leaning", "pothole", "wire-down",
    "tree-on-wire", "home-nuisance", "tax-question",
)  # fmt: skip
RULES = [
    Rule({"streetlight": "lights", "tree": "trees"}[group], crew=crew, group=group, area=area)
    for (group, area), crew in office_model.USUAL.items()
]
REASONS = ("parts", "weather", "crew", "utility", "resident")
DAYS = (None, None, 1, 1, 1, 1, 2, 3, 40, 0)  # until when it waits; 0 is over, 40 mostly too long
TOLD_TWICE = "(SELECT count(*) FROM reports WHERE case_id = cases.id) > 1"
UNDO_AMONG = 4  # of what was done last


@dataclass(frozen=True)
class Lot:
    """One act, with all that was drawn for it."""

    city: Any  # city.City
    s: Any
    case: Case
    a: int
    b: int
    c: int

    @property
    def now(self) -> datetime:
        return self.city.now

    @property
    def by(self) -> Actor:
        """A dispatcher, or every third time a supervisor."""
        return OFFICE if self.c % 3 else SUPERVISING

    @property
    def told(self) -> dict[str, Any]:
        return {"by": self.by, "at": self.now}

    @property
    def crew(self) -> Crew:
        return _crews(self.s)[self.b % 3]


@dataclass(frozen=True)
class Kept:
    """A single act that can be undone: of each case that it changed, its number, how it was before and its
    version afterwards. The first is what it was about; one that it made was nothing before."""

    batch: int
    act: str
    cases: tuple[tuple[str, dict[str, Any], int], ...]
    at: datetime


@dataclass(frozen=True)
class Row:
    """`act` does it and returns whether it changed anything, or nothing; `due` says what must come of it.

    `pick` finds the case. `undo` says that it can be undone, by its name in batches.SINGLE; `into` finds the
    other case that it changes, if it does. `passes` are seconds that go by before it.
    """

    weight: float
    act: Callable[[Lot], Any]
    due: Callable[[Cases, Lot], Due] | None = None
    pick: Callable[[Any, Any, int, int], Case | None] | None = None
    undo: bool = False
    into: Callable[[Lot], Case | None] | None = None
    passes: int = 0


def tell(
    s: Any, key: str, at: datetime, *, service: str = "light-out", place: Place = HOME, **more: Any
) -> Case:
    """A call about a problem."""
    telling = intake.NewReport(
        key=key, service_code=service, channel="phone", words="It is dark.", place=place, **more
    )
    return intake.submit(s, telling, at=at, token=key).case


def _any(city: Any, s: Any, a: int, _c: int) -> Case:
    numbers = [row[0] for row in city.raw.execute("SELECT id FROM cases ORDER BY id")]
    found: Case = s.get_one(Case, numbers[a % len(numbers)])
    return found


def _new(city: Any, s: Any, a: int, c: int) -> Case:
    """One that was just told of, or any where enough is in somebody's hands."""
    [live] = city.raw.execute("SELECT count(*) FROM assignments WHERE ended_at IS NULL").fetchone()
    return tell(s, f"key {city.luck.random()}", city.now) if live < 9 else _any(city, s, a, c)


def _any_or_new(city: Any, s: Any, a: int, c: int) -> Case:
    return _any(city, s, a, c) if c % 3 else _new(city, s, a, c)


def _among(where: str) -> Callable[[Any, Any, int, int], Case | None]:
    """Mostly one of the open cases for which `where` holds, where there are any."""

    def pick(city: Any, s: Any, a: int, c: int) -> Case | None:
        found: list[Any] = []
        for more in (where, "true") if c % 4 else ("true",):
            found = (
                found
                or city.raw.execute(
                    "SELECT cases.id FROM cases JOIN services ON code = service_code"
                    " WHERE NOT services.private AND state IN"
                    f" ('new', 'accepted', 'assigned', 'underway', 'waiting') AND {more} ORDER BY cases.id"
                ).fetchall()
            )
        return s.get_one(Case, found[a % len(found)][0]) if found else None

    return pick


def _to_wait(city: Any, s: Any, a: int, c: int) -> Case | None:
    """For a supervisor, who alone lets danger wait, mostly one of danger."""
    return _among("crew_id" if c % 3 else "cases.urgent AND crew_id")(city, s, a, c)


def _merged(city: Any, s: Any, a: int, c: int) -> Case:
    """One that is merged, where there is any."""
    found = city.raw.execute("SELECT id FROM cases WHERE merged_into_id IS NOT NULL ORDER BY id").fetchall()
    return s.get_one(Case, found[a % len(found)][0]) if found else _any(city, s, a, c)


def _crews(s: Any) -> list[Crew]:
    return list(s.scalars(select(Crew).order_by(Crew.id)))


def _person(lot: Lot) -> Person:
    found: Person = lot.s.get_one(Person, 1 + lot.a % len(PEOPLE))
    return found


def _move_to_crews(lot: Lot) -> None:
    person, chosen = _person(lot), [each for n, each in enumerate(_crews(lot.s)) if (lot.b >> n) & 1]
    accounts.change(lot.s, person, name=person.name, lang="en", roles=[CREW], crews=chosen, **lot.told)


def _another(lot: Lot) -> Case:
    return _any(lot.city, lot.s, lot.b, lot.c)


def _parent(lot: Lot) -> Case | None:
    return lot.s.get(Case, lot.case.merged_into_id) if lot.case.merged_into_id else None


def _merge(lot: Lot) -> Any:
    other = _another(lot)
    held = transitions.live(other) or transitions.live(lot.case)
    return transitions.merge(lot.s, lot.case, other, keep_crew=held.crew_id if held else None, **lot.told)


def _erase(lot: Lot) -> None:
    for report in lot.s.scalars(select(Report).where(Report.case_id == lot.case.id)):
        intake.erase(lot.s, report, lot.city.held.store, lot.city.room, **lot.told)
    if lot.c % 2:
        with suppress(Refused):  # the bytes are gone: what was erased stays so
            transitions.close(lot.s, lot.case, Closing("no action"), **lot.told)


def _join(lot: Lot, *, danger: bool) -> None:
    case = lot.case
    place = Place(case.lat, case.lon, "address", case.address)
    service = case.service_code
    tell(
        lot.s, f"key {lot.city.luck.random()}", lot.now, service=service, place=place, join=case.number,
        danger=danger,
    )  # fmt: skip


def _until(lot: Lot) -> datetime | None:
    days = DAYS[lot.b // 10 % len(DAYS)]
    return None if days is None else office_model.morning(lot.now, days)


def _reason(lot: Lot) -> str:
    return REASONS[lot.b % len(REASONS)]


def _wait(lot: Lot) -> bool:
    return transitions.wait(lot.s, lot.case, _reason(lot), until=_until(lot), **lot.told)


def _wait_due(before: Cases, lot: Lot) -> Due:
    by = lot.by is SUPERVISING
    return office_model.wait(before, lot.case.number, _reason(lot), _until(lot), lot.now, by_supervisor=by)


def _service(lot: Lot) -> str:
    return SERVICES[lot.b % len(SERVICES)]


def _reclassify(lot: Lot) -> bool:
    service = lot.s.get_one(Service, _service(lot))
    return corrections.reclassify(lot.s, lot.case, service, rules=RULES, **lot.told)


def _reclassify_due(before: Cases, lot: Lot) -> Due:
    city = lot.city
    return office_model.reclassify(before, city.services, city.crew_names, lot.case.number, _service(lot))


def _place(lot: Lot) -> Place:
    return PLACES[lot.b % len(PLACES)]


def _relocate(lot: Lot) -> bool:
    return corrections.relocate(lot.s, lot.case, _place(lot), rules=RULES, **lot.told)


def _relocate_due(before: Cases, lot: Lot) -> Due:
    city = lot.city
    return office_model.relocate(before, city.services, city.crew_names, lot.case.number, _place(lot))


def _date(lot: Lot) -> datetime | None:
    days = DAYS[lot.b // 10 % len(DAYS)]
    return None if days is None else office_model.evening(lot.now, days)


def _reschedule(lot: Lot) -> bool:
    return corrections.reschedule(lot.s, lot.case, _reason(lot), _date(lot), **lot.told)


def _reschedule_due(before: Cases, lot: Lot) -> Due:
    by = lot.by is SUPERVISING
    return office_model.reschedule(
        before, lot.case.number, _reason(lot), _date(lot), lot.now, by_supervisor=by
    )


def _split(lot: Lot) -> Case:
    reports = lot.case.reports
    return corrections.split(lot.s, lot.case, reports[lot.b % len(reports)], **lot.told)


def _to_undo(lot: Lot) -> Kept | None:
    kept: list[Kept] = lot.city.kept
    return kept[-1 - lot.b % min(UNDO_AMONG, len(kept))] if kept else None


def _undo(lot: Lot) -> None:
    if kept := _to_undo(lot):
        batches.undo(lot.s, kept.batch, by=lot.by, at=lot.now)


def _undo_due(before: Cases, lot: Lot) -> Due:
    kept = _to_undo(lot)
    if kept is None:
        return Due()
    if kept.act == "reschedule" and lot.by is OFFICE:
        return Due("not_allowed")
    if kept.batch in lot.city.undone:
        return Due("undone_already")
    if lot.now - kept.at > batches.UNDO_FOR:
        return Due("too_late_to_undo")
    now = before[kept.cases[0][0]]
    moved_on = [number for number, _was, version in kept.cases if before[number].version != version]
    if not moved_on and kept.act == "resume" and office_model.in_danger(now.stands) and lot.by is OFFICE:
        return Due("danger_waits")
    return office_model.undo(before, kept.act, kept.cases, moved_on)


def _by_verb(name: str) -> Callable[[Lot], Any]:
    return lambda lot: getattr(transitions, name)(lot.s, lot.case, **lot.told)


# An operation is a row. "release" and "sweep" are transactions of their own: see perform().
TABLE: dict[str, Row] = {
    "open": Row(4, lambda lot: transitions.assign(lot.s, lot.case, lot.crew, **lot.told), pick=_new),
    "join": Row(1, lambda lot: _join(lot, danger=lot.c % 2 == 0)),
    "assign": Row(
        8, lambda lot: transitions.assign(lot.s, lot.case, lot.crew, **lot.told), pick=_any_or_new,
        undo=True,
    ),
    "unassign": Row(2, _by_verb("unassign"), undo=True),
    "accept": Row(1, _by_verb("accept"), pick=_among("state = 'new'"), undo=True),
    "merge": Row(2, _merge, undo=True, into=_another),
    "unmerge": Row(1.5, _by_verb("unmerge"), pick=_merged, undo=True, into=_parent),
    "cancel": Row(1, lambda lot: transitions.cancel(lot.s, lot.case, "spam", **lot.told), undo=True),
    "close": Row(
        1, lambda lot: transitions.close(lot.s, lot.case, Closing("no action"), **lot.told), undo=True
    ),
    "reopen": Row(4, _by_verb("reopen"), undo=True),
    "resume": Row(1, _by_verb("resume"), pick=_among("state = 'waiting'"), undo=True),
    "note": Row(1, lambda lot: transitions.note(lot.s, lot.case, "From the office.", **lot.told)),
    "erase": Row(0.7, _erase),
    "crews": Row(4, _move_to_crews),
    "disable": Row(0.5, lambda lot: accounts.disable(lot.s, _person(lot), **lot.told)),
    "enable": Row(1, lambda lot: accounts.enable(lot.s, _person(lot), **lot.told)),
    "release": Row(1, lambda _lot: None),
    "reclassify": Row(4, _reclassify, _reclassify_due, _among("crew_id"), undo=True),
    "relocate": Row(3, _relocate, _relocate_due, _among("crew_id"), undo=True),
    "reschedule": Row(2, _reschedule, _reschedule_due, _among("crew_id"), undo=True),
    "split": Row(2, _split, pick=_among(TOLD_TWICE), undo=True),
    "wait": Row(4, _wait, _wait_due, _to_wait, undo=True),
    "sweep": Row(
        1.5, lambda _lot: None, lambda before, lot: office_model.sweep(before, lot.now), passes=20 * 3_600
    ),
    "danger": Row(
        1.5, lambda lot: _join(lot, danger=True),
        lambda before, lot: office_model.danger(before, lot.case.number), _among("state = 'waiting'"),
    ),
    "undo": Row(8, _undo, _undo_due),
}  # fmt: skip
COUNTED = (
    *(f"office {name}" for name in TABLE),
    *(f"undone {name}" for name, row in TABLE.items() if row.undo),
    "office undo put back",
    "office undo left alone",
    "wait over",
    "danger came back",
)


def perform(city: Any, verb: str, a: int, b: int, c: int) -> str:
    """Does it, and complains where something else came of it than must."""
    row = TABLE[verb]
    before, version = office_model.read(city.raw), city.version()
    due: Due | None = None
    kept = undone = None
    refused = False
    try:
        with transaction(city.held.engine) as s:
            case = (row.pick or _any)(city, s, a, c)
            if case is None:
                return "nothing"
            lot, said = Lot(city, s, case, a, b, c), case.number
            due = row.due(before, lot) if row.due and said in before else None
            undone = _to_undo(lot) if verb == "undo" else None
            if row.undo and said in before:
                kept = _done(lot, row, verb, before)
            else:
                row.act(lot)
    except Refused as fault:
        said, refused = fault.code, True
    if verb == "sweep":
        sla_sweep.sweep(city.held.engine, city.now)
    after = office_model.read(city.raw)
    if not refused:
        city.kept += [kept] if kept else []
        city.undone |= {undone.batch} if undone else set()
        city.reached[f"office {verb}"] += city.version() != version
        if undone:
            left = after[undone.cases[0][0]].version == before[undone.cases[0][0]].version
            city.reached[f"office undo {'left alone' if left else 'put back'}"] += 1
            city.reached[f"undone {undone.act}"] += not left
    found = office_model.broken(before, after, due, said, refused=refused) if due else []
    city.complaints += [
        [verb, f"{said}: {words}" + (f" (undoing {undone.act})" if undone else "")] for words in found
    ]
    astray = office_model.danger_astray(city.raw, after, SUPERVISING.name)
    city.complaints += [["danger", words] for words in astray]
    _count(city, before, after)
    return said


def _done(lot: Lot, row: Row, verb: str, before: Cases) -> Kept | None:
    """Does it as the board does, so that it can be undone; what is kept for that, if anything changed."""
    s, case = lot.s, lot.case
    into = row.into(lot) if row.into else None
    other = batches.snapshot_with_root(s, case, verb, into) if into else None
    locks.lock(s, case)
    was, version = batches.snapshot(case, verb), case.version
    done = row.act(lot)
    if case.version == version:
        return None
    if isinstance(done, Case):
        other = done, {"own": True}
    batch = batches.keep_single(s, case, verb, {}, was, by=lot.by, at=lot.now, other=other)
    changed = (case, *([other[0]] if other else ()))
    cases = tuple(
        (each.number, before[each.number].stands if each.number in before else {}, each.version)
        for each in changed
    )
    return Kept(batch.id, verb, cases, lot.now)


def _count(city: Any, before: Cases, after: Cases) -> None:
    for number, now in after.items():
        was = before[number].stands if number in before else now.stands
        if was["review"] != now.stands["review"] == office_model.WAIT_OVER:
            city.reached["wait over"] += 1
        if was["state"] == "waiting" != now.stands["state"] and now.stands["urgent"] and not was["urgent"]:
            city.reached["danger came back"] += 1
