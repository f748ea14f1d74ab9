"""What ought to come of an operation: the table of docs/reference/sync.md, written apart from sync/merge.py.

Works on plain rows read from the database with its own SQL, so that a fault in the product's queries shows.
"""

import copy
import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from tests.simulation import office_model

OPEN = ("new", "accepted", "assigned", "underway", "waiting")
FACTS = ("note", "photo", "time")
LEADS_TO = {
    "start": "underway",
    "pause": "assigned",
    "resume": "assigned",
    "wait": "waiting",
    "close": "closed",
}
LEADS_FROM = {
    "start": ("assigned",), "pause": ("underway",), "resume": ("waiting",), "close": OPEN,
    "wait": ("new", "accepted", "assigned", "underway"),
    "make_safe": ("assigned", "underway"), "needs_parts": ("assigned", "underway"),
}  # fmt: skip

ENDS_AS = {"close": "closed", "make_safe": "made safe", "needs_parts": "needs parts"}
NEVER = datetime.min.replace(tzinfo=UTC)
TAKEN_BACK_WITHIN = timedelta(minutes=15)


@dataclass
class Job:
    id: int
    crew: int
    cycle: int
    started: bool
    ended: str | None
    given: datetime | None = None


@dataclass
class Wait:
    why: str
    began: datetime | None = None
    until: datetime | None = None


@dataclass
class Case:
    number: str
    state: str
    cycle: int
    into: int | None
    erased: bool
    id: int = 0
    version: int = 0  # grows with all that happens to it
    was: str | None = None  # before its last move
    waits: list[Wait] = field(default_factory=list)  # for what it ever waited
    wait: Wait | None = None
    corrected: int = 0  # its version when its type or place was corrected
    joinable: bool = True  # of the kind and at the place that phones tell of
    service: str = "light-out"
    lat: float | None = 39.6
    lon: float | None = -71.2
    urgent: bool = False
    safe: bool = False  # a crew has made it so; of a closed case, before it was closed
    jobs: dict[int, Job] = field(default_factory=dict)
    closings: dict[int, tuple[int | None, str]] = field(default_factory=dict)
    closers: dict[int, int | None] = field(default_factory=dict)  # who made them

    @property
    def live(self) -> Job | None:
        return next((job for job in self.jobs.values() if job.ended is None), None)

    def told(self) -> tuple[Any, ...]:
        """What is compared with the database."""
        wait = (self.wait.why, self.wait.until) if self.wait and self.state == "waiting" else None
        jobs = [(j.crew, j.cycle, j.started, j.ended) for j in self.jobs.values()]
        return (self.state, self.cycle, wait, jobs, sorted(self.closings.items()))


@dataclass
class Known:
    """An operation that the city has, with its body while it is not done."""

    hash: str
    result: str
    why: str | None
    device: str = ""
    person: int | None = None
    op: dict[str, Any] | None = None
    t: str = ""
    case: str | None = None
    version: int | None = None  # of its case, once it was done
    received: datetime = NEVER
    prev: str | None = None  # what it follows on; while it is held, what it waits for

    @property
    def waits(self) -> bool:
        return self.result in ("held", "deposited")


@dataclass
class City:
    """The rows that decide: cases by number, who is in which crew, which operations are known.

    `reassigned` and `cancelled` say whether a closing counts as done where the case was that meanwhile.
    """

    cases: dict[str, Case]
    crews: dict[int, set[int]]  # person → crews; nobody who is disabled or no crew at all
    known: dict[str, Known]
    reassigned: bool
    cancelled: bool
    numbered: int  # how many cases there were, the lost ones included
    at: datetime = NEVER  # now


def _before(city: City, op: dict[str, Any]) -> str | None:
    """The name of what it follows on.

    Where that was taken back undone, was set aside or put away, or is the taking back: of what that followed.
    """
    name: str | None = op["prev"]
    passed: set[str | None] = set()
    while (known := city.known.get(name or "")) and not known.waits and name not in passed:
        never = known.why in ("withdrawn", "dismissed") or known.result == "quarantined"
        if not never and known.t != "withdraw":
            break
        passed.add(name)
        name = known.prev
    return name


# The rows of a world are read before and after each of its exchanges, and hardly any is another one then.
@lru_cache(1_000)
def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@lru_cache(1_000)
def _moment_of(text: str) -> datetime:
    """A time as a phone writes it."""
    return datetime.fromisoformat(text)


@lru_cache(1_000)
def _op(raw: str) -> dict[str, Any]:
    """An operation's body, which nobody may change."""
    op: dict[str, Any] = json.loads(raw)
    return op


def read(db: sqlite3.Connection, *, reassigned: bool = True, cancelled: bool = False) -> City:
    """The city as it stands."""
    rows = db.execute(
        "SELECT cases.id, number, state, cycle, merged_into_id, version, (SELECT was FROM events"
        " WHERE subject = 'case:' || cases.id AND now IS NOT NULL ORDER BY n DESC LIMIT 1), cases.urgent,"
        " follow_on OR (state = 'closed' AND (SELECT json_extract(facts, '$.follow_on') FROM events"
        " WHERE subject = 'case:' || cases.id AND now IS NOT NULL ORDER BY n DESC LIMIT 1) IS NOT NULL),"
        " corrected_version, \"group\" = 'streetlight' AND NOT private AND abs(lat - 39.6) < 0.001,"
        " service_code, lat, lon"
        " FROM cases JOIN services ON code = service_code ORDER BY cases.id"
    ).fetchall()
    reports: dict[int, list[bool]] = {}
    for case_id, erased in db.execute("SELECT case_id, erased_at IS NOT NULL FROM reports"):
        reports.setdefault(case_id, []).append(bool(erased))
    numbers = {row[0]: row[1] for row in rows}
    cases = {}
    for id_, number, state, cycle, into, version, was, urgent, safe, corrected, joinable, *about in rows:
        erased = bool(reports.get(id_)) and all(reports[id_])
        service, lat, lon = about
        cases[number] = Case(
            number, state, cycle, into, erased, id_, version, was, urgent=bool(urgent), safe=bool(safe),
            corrected=corrected, joinable=bool(joinable), service=service, lat=lat, lon=lon,
        )  # fmt: skip
    for id_, case_id, crew, cycle, started, ended, given in db.execute(
        "SELECT id, case_id, crew_id, cycle, started_at IS NOT NULL, ended_why, given_at FROM assignments"
        " ORDER BY id"
    ):
        cases[numbers[case_id]].jobs[id_] = Job(id_, crew, cycle, bool(started), ended, _moment(given))
    for case_id, cycle, crew, outcome, person in db.execute(
        "SELECT case_id, cycle, crew_id, outcome, person_id FROM closures"
    ):
        cases[numbers[case_id]].closings[cycle] = (crew, outcome)
        cases[numbers[case_id]].closers[cycle] = person
    for case_id, why, over, began, until in db.execute(
        "SELECT case_id, why, ended_at IS NOT NULL, began_at, until FROM pauses"
        " WHERE why <> 'closed' ORDER BY id"
    ):
        wait = Wait(why, _moment(began), _moment(until) if until else None)
        cases[numbers[case_id]].waits.append(wait)
        if not over:
            cases[numbers[case_id]].wait = wait
    crews: dict[int, set[int]] = {}
    for (person,) in db.execute(
        "SELECT p.id FROM persons p JOIN person_roles r ON r.person_id = p.id"
        " WHERE r.role = 'crew' AND p.disabled_at IS NULL"
    ):
        crews[person] = set()
    for crew, person in db.execute("SELECT crew_id, person_id FROM crew_members"):
        if person in crews:
            crews[person].add(crew)
    known = {
        id_: Known(
            hash_, result, why, device, person, _op(raw) if raw and code != "quarantined" else None,
            t, numbers.get(case_id), version, _moment(received), prev,
        )
        for (
            id_, hash_, result, why, device, person, raw, code, t, case_id, version, received, prev
        ) in db.execute(
            "SELECT id, body_hash, json_extract(result, '$.result'), json_extract(result, '$.why'),"
            " device_id, person_id, raw, code, t, case_id, version, received_at, prev FROM sync_operations"
        )
    }  # fmt: skip
    [numbered] = db.execute("SELECT max(n) FROM counters").fetchone()
    return City(cases, crews, known, reassigned, cancelled, numbered)


def exchange(
    city: City, person: int, device: str, deposit: str, ops: list[tuple[dict[str, Any], str]], at: datetime
) -> dict[str, tuple[str, str | None]]:
    """The result and reason of each operation (with its hash); moves `city` on as they should.

    `deposit` says why nothing of them may be done now.
    """
    city.at = at
    if not deposit:
        for id_ in _in_order(city, lambda k: k.why == "login" and (k.device, k.person) == (device, person)):
            _again(city, id_)
    told: dict[str, tuple[str, str | None]] = {}
    for op, hashed in sorted(ops, key=lambda each: each[0]["n"]):
        old = city.known.get(op["id"])
        if old:
            told[op["id"]] = (old.result, old.why) if old.hash == hashed else ("quarantined", "another_body")
        else:
            known = city.known[op["id"]] = Known(
                hashed, "", None, device, person, op, t=op["t"], received=at, prev=op["prev"]
            )  # fmt: skip
            known.result, known.why = told[op["id"]] = (
                ("deposited", deposit) if deposit and op["t"] != "dance" else _judged(city, known)
            )
        if told[op["id"]][0] not in ("held", "deposited"):
            _follow(city, op["id"], person)
    for id_, (result, _why) in told.items():
        if result == "held":
            told[id_] = (city.known[id_].result, city.known[id_].why)
    return told


def _in_order(city: City, which: Callable[[Known], bool]) -> list[str]:
    waiting = [(k.op["n"], id_) for id_, k in city.known.items() if k.waits and k.op and which(k)]
    return [id_ for _, id_ in sorted(waiting)]


def _again(city: City, id_: str) -> None:
    known = city.known[id_]
    known.result, known.why = _judged(city, known)
    if not known.waits:
        _follow(city, id_, known.person)


def _follow(city: City, id_: str, person: int | None) -> None:
    """What was held until this one came."""

    def waited(known: Known) -> bool:
        held = known.result == "held" and known.person == person
        return held and known.op is not None and id_ in (known.prev, known.op["case"])

    for next_ in _in_order(city, waited):
        if waited(city.known[next_]):  # or it was done with one before it, which it followed
            _again(city, next_)


def _judged(city: City, known: Known) -> tuple[str, str | None]:
    op = known.op
    assert op
    told = _decided(city, known, op)
    if told[0] in ("applied", "merged", "recorded") and op["t"] != "withdraw":
        known.case = known.case or _number(city, op["case"])
        known.version = city.cases[known.case].version if known.case else None
    return told


def _number(city: City, ref: str) -> str | None:
    """What a case is known by here, also where the operation names it by the report that opened it."""
    report = city.known.get(ref)
    return report.case if report else ref


def _decided(city: City, known: Known, op: dict[str, Any]) -> tuple[str, str | None]:
    data = op["data"]
    if op["t"] == "dance":  # whoever sends it, and whenever
        return "quarantined", "unknown_type"
    mine = city.crews.get(known.person or 0)
    if mine is None:
        return "deposited", "author"
    if op["t"] == "withdraw":
        return _withdrawn(city, known, op, mine)
    if op["t"] == "report":
        return _reported(city, known, op)
    told = city.known.get(op["case"])
    if "-" in op["case"][3:] and (told is None or told.waits):
        return "held", "case"  # an id and no number: its report is not here
    case = city.cases.get(_number(city, op["case"]) or "")
    if case is None:
        return "quarantined", "unknown_case"
    job = case.jobs.get(op["assignment"] or 0)
    if op["assignment"] and not job:
        return "quarantined", "unknown_assignment"  # given after the backup that was restored
    if job and job.crew not in mine:
        return "deposited", "author"
    name = _before(city, op)
    before = city.known.get(name or "")
    if name and (before is None or before.waits):
        known.prev = name
        return "held", "prev"
    if data.get("poison"):
        return "quarantined", "fault"
    if case.erased and case.state not in OPEN:
        _touch(city, case)
        return "recorded", "erased"
    if len(data.get("words", "")) > 4_000:
        return "quarantined", "words_too_long"
    as_it_was = copy.deepcopy(case) if op["t"] == "wait" else case
    if told and told.person == known.person and op["t"] in LEADS_FROM:
        job = _own_report(case, mine, city.at)
    was = case.state
    told = _moved(city, case, job, mine, op, theirs=_is_theirs(city, known, case, job, mine))
    if told[0] == "quarantined":
        city.cases[case.number] = as_it_was
        return told
    case.was = was if case.state != was else case.was
    if case.state == "closed" != was:
        case.closers[case.cycle] = known.person
    if told[0] != "applied" or case.state != was or data.get("words") or op["photos"] or op["t"] == "propose":
        _touch(city, case)
    return told


def _reported(city: City, known: Known, op: dict[str, Any]) -> tuple[str, str | None]:
    """A problem that the crew met: all are of one kind and in one place here, and join what still is so."""
    if op["data"].get("bad"):
        return "quarantined", op["data"]["bad"]
    joined = city.cases.get(op["data"].get("join", ""))
    while joined and joined.into is not None:
        joined = _by_id(city, joined.into)
    if joined and joined.state in OPEN and joined.joinable:
        joined.erased = False
        joined.version += 1
        known.case = joined.number
        return "applied", "joined"
    city.numbered += 1
    known.case = f"26-{city.numbered:06}"
    city.cases[known.case] = Case(known.case, "new", 1, None, False)
    return "applied", None


def _own_report(case: Case, mine: set[int], at: datetime) -> Job | None:
    """The job of whoever works on what they reported; a case that is nobody's they take on."""
    if not case.live and case.state in ("new", "accepted") and mine:
        number = -1 - len(case.jobs)
        case.jobs[number] = Job(number, min(mine), case.cycle, False, None, at)
        case.was, case.state = case.state, "assigned"
        case.version += 1
    return case.live if case.live and case.live.crew in mine else None


def _is_theirs(city: City, known: Known, case: Case, job: Job | None, mine: set[int]) -> bool:
    """Whether the crew has or had the case, or the author reported it."""
    told = (each for each in city.known.values() if each.t == "report" and each.case == case.number)
    had = any(each.crew in mine for each in case.jobs.values())
    return job is not None or had or any(each.person == known.person for each in told)


def _by_id(city: City, id_: int) -> Case:
    return next(each for each in city.cases.values() if each.id == id_)


def _touch(city: City, case: Case) -> None:
    """Something happened to a case; where it was merged into another, to that one."""
    while case.into is not None:
        case = _by_id(city, case.into)
    case.version += 1


def _withdrawn(city: City, known: Known, op: dict[str, Any], mine: set[int]) -> tuple[str, str | None]:
    """What still waits is never done; a move is undone where nothing else happened to its case.

    Both times are those of arrival, so that nothing hangs on how long either of them waited here.
    """
    named = city.known.get(op["data"]["op"])
    if named is None:
        known.prev = op["data"]["op"]
        return "held", "operation"
    if named.waits:
        named.result, named.why, named.op = "recorded", "withdrawn", None
        _follow(city, op["data"]["op"], known.person)
        return "applied", None
    case = city.cases.get(named.case or "")
    if case is None:
        return "recorded", "too_late"
    last = list(case.jobs.values())[-1] if case.jobs else None
    fresh = named.result == "applied" and named.version == case.version
    fresh = fresh and known.received <= named.received + TAKEN_BACK_WITHIN
    if not (fresh and last and last.ended == ENDS_AS.get(named.t) and last.crew in mine):
        _touch(city, case)
        return "recorded", "too_late"
    last.ended, case.state = None, case.was or "assigned"
    if named.t == "close":
        del case.closings[case.cycle]
    if named.t == "make_safe":
        case.safe = False
    if named.t == "needs_parts":
        case.waits.pop()
    if case.state == "waiting":
        case.wait = case.waits[-1]
    case.version += 1
    return "applied", None


def _moved(
    city: City, case: Case, job: Job | None, mine: set[int], op: dict[str, Any], *, theirs: bool
) -> tuple[str, str | None]:
    t, live = op["t"], case.live
    if t in FACTS:
        return ("applied", None) if theirs else ("recorded", "not_your_job")
    if t == "propose" and not theirs:
        return "recorded", "not_your_job"
    cycle = job.cycle if job else op["cycle"]
    if cycle is not None and cycle < case.cycle:
        return "recorded", "reopened"
    if case.state == "cancelled" and city.cancelled and t == "close" and job:
        case.state, case.closings[case.cycle] = "closed", (job.crew, op["data"]["outcome"])
        return "applied", "cancelled"
    if case.state in ("cancelled", "merged"):
        return "recorded", case.state
    ended_so = {"make_safe": "made safe", "needs_parts": "needs parts"}.get(t)
    if case.state == "closed":
        closer = case.closings[case.cycle][0]
        ours = closer is not None and closer in ({job.crew} if job else mine)
        ours = ours and closer in city.crews.get(case.closers[case.cycle] or 0, ())  # no dispatcher's
        same = (t == "close" and ours) or (ended_so and job and job.ended == ended_so)
        return ("merged" if same else "recorded"), "closed"
    if job and ended_so and job.ended == ended_so:
        return "merged", "closed"
    if t == "propose":
        return ("merged", "done") if _is_so(case, op["data"]) else ("applied", None)
    if live and job and live.crew == job.crew:
        return _own(city, case, live, op)
    if job is None:
        return "recorded", "not_your_job"
    if t != "close" or (live and (live.started or not city.reassigned)):
        return "recorded", "reassigned"
    if live:
        live.ended = "withdrawn"
    case.state, case.closings[case.cycle] = "closed", (job.crew, op["data"]["outcome"])
    corrected = job.ended in ("reclassified", "relocated")
    return "applied", "reassigned" if live else "corrected" if corrected else "unassigned"


def _is_so(case: Case, data: dict[str, Any]) -> bool:
    """Whether the case is already what a crew says that it is. The places here are the same or far apart."""
    near = "lat" not in data or (case.lat is not None and abs(case.lat - data["lat"]) < 0.00009)
    return near and data.get("service") in (None, case.service)


def _own(city: City, case: Case, live: Job, op: dict[str, Any]) -> tuple[str, str | None]:
    t, reason = op["t"], op["data"].get("reason")
    danger = case.urgent and not case.safe
    if danger and (t == "wait" or (t == "needs_parts" and case.state in LEADS_FROM[t])):
        return "recorded", "danger"
    there = case.state == LEADS_TO.get(t) and (t != "wait" or (case.wait and case.wait.why == reason))
    if t == "wait" and (there or case.state in LEADS_FROM[t]):
        return _waits(city, case, live, op)
    if there:
        return ("merged", "done") if op["data"].get("words") or op["photos"] else ("applied", None)
    if case.state not in LEADS_FROM[t]:
        return "recorded", "step_back"
    if t == "make_safe":
        case.safe = True
    if t == "start":
        live.started = True
    if t == "close":
        case.closings[case.cycle] = (live.crew, op["data"]["outcome"])
    if t == "needs_parts":
        _, until = office_model.wait_end("parts", city.at, None, city.at, danger=False)
        case.wait = Wait("parts", city.at, until)
        case.waits.append(case.wait)
    live.ended = {"close": "closed", "make_safe": "made safe", "needs_parts": "needs parts"}.get(t)
    case.state = {"make_safe": "accepted", "needs_parts": "waiting"}.get(t) or LEADS_TO[t]
    corrected = t == "close" and op["base"] is not None and op["base"] < case.corrected
    return "applied", "corrected" if corrected else None


def _waits(city: City, case: Case, live: Job, op: dict[str, Any]) -> tuple[str, str | None]:
    """It waits, from when the crew said so, or longer than it did."""
    reason, day = op["data"]["reason"], op["data"].get("until")
    until = office_model.at_eight(day) if day else None
    longer = case.wait if case.state == "waiting" else None
    if longer and until in (None, longer.until):
        return ("merged", "done") if op["data"].get("words") or op["photos"] else ("applied", None)
    said = min(city.at, max(_moment_of(op["device_time"]), live.given or NEVER))
    since = (longer.began if longer else None) or said
    refused, end = office_model.wait_end(reason, since, until, said, danger=False)
    if refused:
        return "quarantined", refused
    if longer:
        longer.until = end
        case.version += 1
    else:
        case.wait = Wait(reason, city.at, end)
        case.waits.append(case.wait)
    case.state = "waiting"
    return "applied", None
