"""What ought to come of an operation: the table of docs/sync.md once more, written apart from sync/merge.py.

Works on plain rows read from the database with its own SQL, so that a fault in the product's queries shows.
"""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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


@dataclass
class Job:
    id: int
    crew: int
    cycle: int
    started: bool
    ended: str | None


@dataclass
class Case:
    number: str
    state: str
    cycle: int
    into: int | None
    erased: bool
    wait: str | None = None
    jobs: dict[int, Job] = field(default_factory=dict)
    closings: dict[int, tuple[int | None, str]] = field(default_factory=dict)

    @property
    def live(self) -> Job | None:
        return next((job for job in self.jobs.values() if job.ended is None), None)

    def told(self) -> tuple[Any, ...]:
        """What is compared with the database."""
        wait = self.wait if self.state == "waiting" else None
        jobs = sorted((j.id, j.started, j.ended) for j in self.jobs.values())
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


def read(db: sqlite3.Connection, *, reassigned: bool = True, cancelled: bool = False) -> City:
    """The city as it stands."""
    rows = db.execute("SELECT id, number, state, cycle, merged_into_id FROM cases ORDER BY id").fetchall()
    reports: dict[int, list[bool]] = {}
    for case_id, erased in db.execute("SELECT case_id, erased_at IS NOT NULL FROM reports"):
        reports.setdefault(case_id, []).append(bool(erased))
    numbers = {row[0]: row[1] for row in rows}
    cases = {
        number: Case(number, state, cycle, into, bool(reports.get(id_)) and all(reports[id_]))
        for id_, number, state, cycle, into in rows
    }
    for id_, case_id, crew, cycle, started, ended in db.execute(
        "SELECT id, case_id, crew_id, cycle, started_at IS NOT NULL, ended_why FROM assignments ORDER BY id"
    ):
        cases[numbers[case_id]].jobs[id_] = Job(id_, crew, cycle, bool(started), ended)
    for case_id, cycle, crew, outcome in db.execute("SELECT case_id, cycle, crew_id, outcome FROM closures"):
        cases[numbers[case_id]].closings[cycle] = (crew, outcome)
    for case_id, why in db.execute("SELECT case_id, why FROM pauses WHERE ended_at IS NULL"):
        cases[numbers[case_id]].wait = why
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
            hash_, result, why, device, person, json.loads(raw) if raw and code != "quarantined" else None
        )
        for id_, hash_, result, why, device, person, raw, code in db.execute(
            "SELECT id, body_hash, json_extract(result, '$.result'), json_extract(result, '$.why'),"
            " device_id, person_id, raw, code FROM operations"
        )
    }
    return City(cases, crews, known, reassigned, cancelled)


def exchange(
    city: City, person: int, device: str, deposit: str, ops: list[tuple[dict[str, Any], str]]
) -> dict[str, tuple[str, str | None]]:
    """The result and reason of each operation (with its hash); moves `city` on as they should.

    `deposit` says why nothing of them may be done now.
    """
    if not deposit:
        for id_ in _in_order(city, lambda k: k.why == "login" and (k.device, k.person) == (device, person)):
            _again(city, id_)
    told: dict[str, tuple[str, str | None]] = {}
    for op, hashed in sorted(ops, key=lambda each: each[0]["n"]):
        old = city.known.get(op["id"])
        if old:
            told[op["id"]] = (old.result, old.why) if old.hash == hashed else ("quarantined", "another_body")
        else:
            known = city.known[op["id"]] = Known(hashed, "", None, device, person, op)
            known.result, known.why = told[op["id"]] = (
                ("deposited", deposit) if deposit else _judged(city, known)
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
    for next_ in _in_order(
        city, lambda k: k.result == "held" and k.person == person and k.op is not None and k.op["prev"] == id_
    ):
        _again(city, next_)


def _judged(city: City, known: Known) -> tuple[str, str | None]:
    op = known.op
    assert op
    data = op["data"]
    if op["t"] == "dance":
        return "quarantined", "unknown_type"
    mine = city.crews.get(known.person or 0)
    if mine is None:
        return "deposited", "author"
    case = city.cases.get(op["case"])
    if case is None:
        return "quarantined", "unknown_case"
    job = case.jobs.get(op["assignment"] or 0)
    if op["assignment"] and not job:
        return "quarantined", "unknown_assignment"  # given after the backup that was restored
    if job and job.crew not in mine:
        return "deposited", "author"
    before = city.known.get(op["prev"] or "")
    if op["prev"] and (before is None or before.waits):
        return "held", "prev"
    if data.get("poison"):
        return "quarantined", "fault"
    if case.erased and case.state not in OPEN:
        return "recorded", "erased"
    if len(data.get("words", "")) > 4_000:
        return "quarantined", "words_too_long"
    return _moved(city, case, job, mine, op)


def _moved(
    city: City, case: Case, job: Job | None, mine: set[int], op: dict[str, Any]
) -> tuple[str, str | None]:
    t, live = op["t"], case.live
    if t in FACTS:
        return "applied", None
    if (job.cycle if job else op["cycle"]) < case.cycle:
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
        same = (t == "close" and ours) or (ended_so and job and job.ended == ended_so)
        return ("merged" if same else "recorded"), "closed"
    if job and ended_so and job.ended == ended_so:
        return "merged", "closed"
    if live and job and live.crew == job.crew:
        return _own(case, live, op)
    if job is None:
        return "recorded", "not_your_job"
    if t != "close" or (live and (live.started or not city.reassigned)):
        return "recorded", "reassigned"
    if live:
        live.ended = "withdrawn"
    case.state, case.closings[case.cycle] = "closed", (job.crew, op["data"]["outcome"])
    return "applied", "reassigned" if live else "unassigned"


def _own(case: Case, live: Job, op: dict[str, Any]) -> tuple[str, str | None]:
    t, reason = op["t"], op["data"].get("reason")
    there = case.state == LEADS_TO.get(t) and (t != "wait" or case.wait == reason)
    if there:
        return "merged", "done"  # every operation here brings words
    if case.state not in LEADS_FROM[t]:
        return "recorded", "step_back"
    if t == "start":
        live.started = True
    if t == "close":
        case.closings[case.cycle] = (live.crew, op["data"]["outcome"])
    if t in ("wait", "needs_parts"):
        case.wait = reason or "parts"
    live.ended = {"close": "closed", "make_safe": "made safe", "needs_parts": "needs parts"}.get(t)
    case.state = {"make_safe": "accepted", "needs_parts": "waiting"}.get(t) or LEADS_TO[t]
    return "applied", None
