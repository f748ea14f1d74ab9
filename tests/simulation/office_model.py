"""What ought to come of what the office does, written apart from the verbs of city/cases/.

Works on plain rows read with its own SQL, like model.py.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

OPEN = ("new", "accepted", "assigned", "underway", "waiting")
ZONE = ZoneInfo("America/New_York")
WAIT_OVER = "wait over"
# Days that a wait lasts where nobody says, and at most, in the demo's city file.
WAITS = {"parts": (5, 30), "weather": (2, 14), "crew": (2, 14), "utility": (14, 90), "resident": (7, 30)}
STOPS = ("utility",)  # whoever is put on hold for the resident by hand was asked nothing
DANGER_WAITS = timedelta(hours=24)
# Where a group's cases go on either side of the river, by crew.
WEST_OF = -71.19
USUAL = {
    ("streetlight", "West"): "Crew 0",
    ("streetlight", "East"): "Crew 2",
    ("tree", "West"): "Crew 1",
    ("tree", "East"): "Crew 0",
}
DEPARTMENTS = {"Crew 0": "lights", "Crew 1": "trees", "Crew 2": None}

NO_WAIT = {"wait": None, "until": None, "began": None, "stops": None}
NO_CREW = {"crew": None, "started": None}
CLOCK = frozenset(("due_at", "risk_at"))
PROMISE = CLOCK | {
    "promise_days",
    "promise_hours",
    "calendar_id",
    "promised_at",
    "restarted_at",
    "corrected_late",
}


@dataclass
class Facts:
    """A case. An undo restores all of `stands`; what is in `kept` stays whatever is undone."""

    id: int
    version: int
    stands: dict[str, Any]
    reports: list[Any] = field(default_factory=list)
    photos: list[Any] = field(default_factory=list)
    danger: bool = False  # somebody told of it


Cases = dict[str, Facts]


@dataclass(frozen=True)
class Due:
    """What must come of an act: a refusal, or by number what changes; of `free` it says nothing."""

    refused: str = ""
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    free: frozenset[str] = frozenset()
    told: str = ""  # the case that has one report more
    loose: frozenset[str] = frozenset()  # cases of which it says nothing
    reports: bool = True  # whether it says which reports and photos each has


_COLUMNS = (
    "state", "cycle", "service_code", "lat", "lon", "accuracy_m", "place_source", "address", "asset_id",
    "urgent", "follow_on", "review", "promise_days", "promise_hours", "calendar_id", "promised_at",
    "restarted_at", "corrected_late", "due_at", "risk_at", "raised", "merged_into_id", "closed_at", "outcome",
    "rank", "rescheduled_to",
)  # fmt: skip


def read(db: sqlite3.Connection) -> Cases:
    """All cases as they stand."""
    by_id: dict[int, Facts] = {}
    cases: Cases = {}
    for number, id_, version, *row in db.execute(
        f"SELECT number, id, version, {', '.join(_COLUMNS)} FROM cases ORDER BY id"
    ):
        stands = dict(zip(_COLUMNS, row, strict=True)) | NO_WAIT | NO_CREW | {"closings": [], "shown": []}
        stands["rescheduled_to"] = moment(stands["rescheduled_to"])
        cases[number] = by_id[id_] = Facts(id_, version, stands)
    for case_id, crew, started in db.execute(
        "SELECT case_id, crew_id, started_at FROM assignments WHERE ended_at IS NULL"
    ):
        by_id[case_id].stands |= {"crew": crew, "started": started}
    for case_id, why, until, began, stops in db.execute(
        "SELECT case_id, why, until, began_at, stops_clock FROM pauses WHERE ended_at IS NULL"
    ):
        wait = {"wait": why, "until": moment(until), "began": moment(began), "stops": stops}
        by_id[case_id].stands |= wait
    for case_id, *row in db.execute(
        "SELECT case_id, cycle, crew_id, person_id, outcome, words, done_at FROM closures ORDER BY id"
    ):
        by_id[case_id].stands["closings"].append(tuple(row))
    for case_id, id_, words, erased, danger, shown, by_hand in db.execute(
        "SELECT case_id, id, words, erased_at, danger, shown_at, shown_by_hand FROM reports ORDER BY id"
    ):
        by_id[case_id].reports.append((id_, words, erased))
        by_id[case_id].stands["shown"].append((id_, shown, by_hand))
        by_id[case_id].danger |= bool(danger)
    for case_id, *row in db.execute(
        "SELECT case_id, id, report_id FROM photos WHERE case_id IS NOT NULL ORDER BY id"
    ):
        by_id[case_id].photos.append(tuple(row))
    return cases


def moment(text: str | None) -> datetime | None:
    """A time of the database."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None


def morning(at: datetime, days: int) -> datetime:
    """Eight o'clock so many days later."""
    return datetime.combine(at.astimezone(ZONE).date() + timedelta(days=days), time(8), ZONE)


def evening(at: datetime, days: int) -> datetime:
    """When a day ends, so many days later."""
    return datetime.combine(at.astimezone(ZONE).date() + timedelta(days=days), time(17), ZONE)


def at_eight(day: str) -> datetime:
    """Eight o'clock on a day, as 2026-05-14."""
    return datetime.combine(date.fromisoformat(day), time(8), ZONE)


def in_danger(stands: dict[str, Any]) -> bool:
    """Whether somebody can be hurt."""
    return bool(stands["urgent"] and not stands["follow_on"])


def ended_wait(stands: dict[str, Any]) -> dict[str, Any]:
    """What changes where a case that waits does so no more."""
    return NO_WAIT | {"state": "assigned" if stands["crew"] else "accepted"}


def wait_end(
    reason: str, since: datetime, until: datetime | None, at: datetime, *, danger: bool
) -> tuple[str, datetime]:
    """A refusal or "", and when a wait that began at `since` ends, of which somebody says `until` at `at`."""
    usual, most = WAITS[reason]
    if until is None:
        return "", since + DANGER_WAITS if danger else morning(since, usual)
    if until <= at:
        return "wait_past", until
    latest = since + DANGER_WAITS if danger else morning(since, most + 1) - timedelta(microseconds=1)
    if until > latest:
        return "danger_waits_long" if danger else "wait_too_long", until
    return "", until


def wait(
    before: Cases, number: str, reason: str, until: datetime | None, at: datetime, *, by_supervisor: bool
) -> Due:
    """The case waits, or longer, or for something else."""
    was = before[number].stands
    longer = was["state"] == "waiting" and was["wait"] == reason
    if longer and until in (None, was["until"]):
        return Due()
    if was["state"] not in OPEN:
        return Due("wrong_state")
    danger = in_danger(was)
    if danger and not by_supervisor:
        return Due("danger_waits")
    began = was["began"] if longer else at
    refused, end = wait_end(reason, began, until, at, danger=danger)
    changes = {
        "state": "waiting",
        "wait": reason,
        "until": end,
        "began": began,
        "stops": int(reason in STOPS),
    }
    return Due(refused, _of(number, was, changes), CLOCK)


def sweep(before: Cases, at: datetime) -> Due:
    """What has waited long enough comes back, and is marked."""
    over = {
        number: each.stands
        for number, each in before.items()
        if each.stands["state"] == "waiting" and each.stands["until"] and each.stands["until"] <= at
    }
    changes = {n: ended_wait(was) | {"review": was["review"] or WAIT_OVER} for n, was in over.items()}
    return Due("", {n: _ranked(before[n].stands, new) for n, new in changes.items()}, CLOCK)


def danger(before: Cases, number: str) -> Due:
    """Somebody tells of danger: it is hurried, and waits for nothing any more."""
    was = before[number].stands
    changes = {"urgent": 1, "follow_on": 0} | (ended_wait(was) if was["state"] == "waiting" else {})
    return Due("", {number: _ranked(was, changes)}, CLOCK | {"raised", "shown"}, number)


def reclassify(
    before: Cases, services: dict[str, dict[str, Any]], crews: dict[int, str], number: str, code: str
) -> Due:
    """The case is of another type. `services` are rows by code, `crews` names by id."""
    case, was, to = before[number], before[number].stands, services[code]
    if was["state"] not in OPEN:
        return Due("wrong_state")
    if was["service_code"] == code:
        return Due()
    if to["office"]:
        return Due("office_misfits")
    if to["private"] and not services[was["service_code"]]["private"]:
        below = [each for each in _below(before, case.id) if each.reports]
        if any(not services[each.stands["service_code"]]["private"] for each in below):
            return Due("public_duplicates")
    hurt = (
        to["urgent"]
        or case.danger
        or any(each.stands["merged_into_id"] == case.id and each.stands["urgent"] for each in before.values())
    )
    changes: dict[str, Any] = {"service_code": code, "urgent": int(hurt), "rescheduled_to": None}
    if hurt and not was["urgent"]:
        changes["follow_on"] = 0
        changes |= ended_wait(was) if was["state"] == "waiting" else {}
    if services[was["service_code"]]["private"] and not to["private"]:
        changes["shown"] = [(id_, None, 1) for id_, _shown, _by_hand in was["shown"]]
    crew = crews.get(was["crew"], "")
    named = USUAL.get((to["group"], _side(was))) == crew
    if crew and DEPARTMENTS[crew] not in (None, to["department_code"]) and not named:
        changes |= _lost(was | changes)
    return Due("", _of(number, was, changes), PROMISE)


def _below(before: Cases, case_id: int) -> Iterator[Facts]:
    """All cases that lie merged into this one, or into one that does."""
    for each in before.values():
        if each.stands["merged_into_id"] == case_id:
            yield each
            yield from _below(before, each.id)


def relocate(
    before: Cases, services: dict[str, dict[str, Any]], crews: dict[int, str], number: str, place: Any
) -> Due:
    """The case lies at `place`, a Place."""
    was = before[number].stands
    if was["state"] not in OPEN:
        return Due("wrong_state")
    if (was["lat"], was["lon"], was["address"]) == (place.lat, place.lon, place.label):
        return Due()
    changes = {
        "lat": place.lat, "lon": place.lon, "address": place.label, "accuracy_m": place.accuracy_m,
        "place_source": place.source,
    }  # fmt: skip
    group, crew = services[was["service_code"]]["group"], crews.get(was["crew"], "")
    here, there = (USUAL.get((group, _side(each))) for each in (was, changes))
    if crew and here == crew != there and there:
        changes |= _lost(was)
    return Due("", _of(number, was, changes), frozenset())


def reschedule(
    before: Cases, number: str, reason: str, day: datetime | None, at: datetime, *, by_supervisor: bool
) -> Due:
    """Residents are told another date; the promise stays as it is."""
    was = before[number].stands
    if not by_supervisor:
        return Due("not_allowed")
    if was["state"] not in OPEN:
        return Due("wrong_state")
    if reason == "resident":
        return Due("unknown_value")
    day = day or evening(max(at, moment(was["due_at"]) or at), WAITS[reason][0])
    if day <= at:
        return Due("date_past")
    return Due() if day == was["rescheduled_to"] else Due("", _of(number, was, {"rescheduled_to": day}))


def undo(
    before: Cases, act: str, cases: Sequence[tuple[str, dict[str, Any], int]], moved_on: Sequence[str]
) -> Due:
    """The cases stand as they did before the act. Nothing is undone where something else happened to the
    first since, or to either of two that were parted; of a case that was merged into what moved on, only
    that. One that had been merged before goes back there, where that is open still."""
    if cases[0][0] in moved_on or (moved_on and act != "merge"):
        return Due()
    free = frozenset(("raised", "rank", "warned")) if len(cases) > 1 else frozenset()
    changes = {number: was for number, was, _version in cases if was and number not in moved_on}
    loose = {number for number, was, _version in cases if not was or number in moved_on}
    if act == "merge" and (parent := cases[0][1]["merged_into_id"]):
        root = _root(before, parent)
        loose |= {root} if before[root].stands["state"] in OPEN else {root, cases[0][0]}
    return Due("", changes, free, loose=frozenset(loose), reports=act != "split")


def broken(before: Cases, after: Cases, due: Due, said: str, *, refused: bool) -> list[str]:
    """What did not come as it must, in words."""
    if refused or due.refused:
        ok = refused and said == due.refused
        return (
            []
            if ok
            else [f"it was {'refused' if refused else 'done'} ({said}), expected {due.refused or 'done'}"]
        )
    found = []
    for number, now in after.items():
        was = before.get(number)
        if was is None or number in due.loose:
            continue  # opened just now, or nothing is said of it
        changes = due.changes.get(number, {})
        for name, value in now.stands.items():
            if number in due.changes and name in due.free:
                continue
            expected = changes.get(name, was.stands[name])
            if value != expected:
                found.append(f"{number}: {name} is {value!r}, expected {expected!r} ({was.stands['state']})")
        if not due.reports:
            continue
        if now.photos != was.photos:
            found.append(f"{number}: photos are {now.photos}, expected {was.photos}")
        if now.reports[: len(was.reports)] != was.reports or len(now.reports) - len(was.reports) != (
            number == due.told
        ):
            found.append(f"{number}: reports are {now.reports}, expected {was.reports}")
    return found


def astray(stands: dict[str, Any], job: dict[str, Any], services: dict[str, dict[str, Any]]) -> list[str]:
    """Where a job as a phone has it is not what the case is: type, place, danger, its wait and its end."""
    until = stands["until"] if stands["state"] == "waiting" else None
    expected = {
        "state": stands["state"],
        "title": json.loads(services[stands["service_code"]]["names"]),
        "address": stands["address"] or None,
        "lat": stands["lat"],
        "lon": stands["lon"],
        "urgent": bool(stands["urgent"]) or None,
        "wait": stands["wait"] if stands["state"] == "waiting" else None,
        "until": int(until.timestamp()) if until else None,
        "new": int(stands["rescheduled_to"].timestamp()) if stands["rescheduled_to"] else None,
        "due": int(moment(stands["due_at"]).timestamp()),
    }
    return [
        f"{name} is {job.get(name)!r}, expected {it!r}"
        for name, it in expected.items()
        if job.get(name) != it
    ]


def danger_astray(db: sqlite3.Connection, cases: Cases, supervisor: str) -> list[str]:
    """Danger waits by a supervisor's hand, for a day at most, and is in the first rank."""
    found = []
    for number, case in cases.items():
        stands = case.stands
        first = stands["state"] in OPEN and bool(stands["urgent"])
        if (stands["rank"] == 0) != first:
            found.append(f"{number} is urgent: {stands['urgent']}, and its rank {stands['rank']}")
        if stands["state"] != "waiting" or not in_danger(stands):
            continue
        [actor] = db.execute(
            "SELECT actor FROM events WHERE subject = ? AND kind = 'wait' ORDER BY n DESC LIMIT 1",
            (f"case:{case.id}",),
        ).fetchone() or [""]
        if actor != supervisor or not stands["until"] or stands["until"] - stands["began"] > DANGER_WAITS:
            found.append(
                f"{number} is danger and waits since {stands['began']} until {stands['until']} by {actor}"
            )
    return found


def _of(number: str, was: dict[str, Any], changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What somebody's act changes: they have decided what happens after a wait."""
    over = {"review": None} if was["review"] == WAIT_OVER else {}
    return {number: _ranked(was, changes | over)}


def _ranked(was: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    now = was | changes
    rank = 0 if now["urgent"] else 3 if now["state"] == "waiting" else 1 if now["raised"] else 2
    return changes | {"rank": rank}


def _lost(was: dict[str, Any]) -> dict[str, Any]:
    """The crew has lost the job."""
    return NO_CREW | ({"state": "accepted"} if was["state"] in ("assigned", "underway") else {})


def _root(before: Cases, id_: int) -> str:
    """The number of what the case with that id was merged into at last."""
    numbers = {each.id: number for number, each in before.items()}
    while above := before[numbers[id_]].stands["merged_into_id"]:
        id_ = above
    return numbers[id_]


def _side(place: dict[str, Any]) -> str:
    return "West" if place["lon"] < WEST_OF else "East"
