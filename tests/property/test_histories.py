"""Random histories of all that staff, crews and residents do to a few cases, and what must be true then.

A crew's phone works offline and comes late. After every history each report, photo and wish for news is where
the rules say, and no case that was late ends as on time. After many, all that is derived is as a recount
says, and no page that anybody may read has a word that is private.
"""

import os
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from factories import LAMP, SECRET, Scene, Town
from flask.testing import FlaskClient
from sqlalchemy import select

from city.audit import counters, events
from city.audit.events import Actor
from city.cases import batches, corrections, priorities, sla, tags, transitions
from city.cases.transitions import Closing
from city.config import city_file
from city.config import versions as config_versions
from city.db.models import BatchItem, Case, Event, Person, Photo, Report, Service
from city.lifecycle import (
    CALL_TAKER,
    CANCEL_REASONS,
    CLOSED,
    DISPATCHER,
    MERGED,
    MOVES,
    NEW_DATE_REASONS,
    OPEN,
    OUTCOMES,
    SUPERVISOR,
    WAIT_REASONS,
    Refused,
    widened,
)
from city.notifications import fan_out
from city.people import accounts
from city.reports import closing_feedback, intake
from city.settings import DEFAULT_CITY, Settings
from pwa.app import create_app
from sync import devices, push
from sync.protocol import Operation

pytestmark = pytest.mark.both_databases

HISTORIES: Final = int(os.environ.get("CITYLINE_HISTORIES", "200"))
SEED: Final = int(os.environ.get("CITYLINE_SEED", "311"))
PAGES_READ: Final = 60  # cases whose own pages are read then
RECOUNT_EVERY: Final = 2_500  # histories before all is counted anew: that takes as long as many of them
ZONE: Final = ZoneInfo("America/New_York")
MARK: Final = "Kanarienvogel"  # begins whatever nobody outside may read
STAFF: Final = (DISPATCHER, SUPERVISOR, CALL_TAKER)
LISTS: Final = ("/cases", "/cases.atom", "/open311/v2/requests.json", "/open311/v2/servicerequestupdates.xml")
ONE: Final = ("/case/{}", "/es/case/{}", "/open311/v2/requests/{}.json")
# What few states offer is tried as often as the rest.
OFTEN: Final = {"assign": 3, "crew writes": 4} | dict.fromkeys(
    ("join", "split", "reopen", "unassign", "unmerge", "resume", "restore", "hide"), 3
)
PHONES: Final = ("start", "pause", "resume", "close", "make_safe", "needs_parts", "note", "propose")


@dataclass
class History:
    """A few cases and who acts on them. `late` says since when a case is known to be late, by its id.

    `shown` are the reports that staff made public, `before` is both as they were before each batch, by its
    id.
    """

    scene: Scene
    chance: Random
    now: datetime
    by: Actor
    senders: dict[str, push.Sender]
    services: list[str]
    cases: list[Case] = field(default_factory=list)
    reports: dict[int, str] = field(default_factory=dict)
    photos: dict[str, int] = field(default_factory=dict)
    late: dict[int, datetime] = field(default_factory=dict)
    shown: set[int] = field(default_factory=set)
    before: dict[int, tuple[dict[int, datetime], set[int]]] = field(default_factory=dict)
    kept: dict[str, list[Operation]] = field(default_factory=lambda: {"lights": [], "trees": []})
    n: Iterator[int] = field(default_factory=lambda: count(1))
    did: Counter[str] = field(default_factory=Counter)

    def one(self) -> Case:
        return self.chance.choice(self.cases)

    def words(self, kind: str) -> str:
        return f"{MARK}-{kind}-{self.chance.randrange(10**9)}"


def _tell(h: History, *, join: Case | None = None) -> None:
    words = h.words("report")
    code = join.service_code if join else h.chance.choice(h.services)
    place = replace(
        LAMP, lat=LAMP.lat + h.chance.gauss(0, 0.002), label=f"{h.chance.randrange(999)} Elm Street"
    )
    taken = [h.scene.photo(f"#{h.chance.randrange(16**6):06x}")] if h.chance.random() < 0.02 else []
    telling = intake.NewReport(
        uuid.UUID(int=h.chance.getrandbits(128)).hex, code, "web", words=words, place=place,
        danger=h.chance.random() < 0.1, join=join.number if join else None, unasked=True,
    )  # fmt: skip
    token = intake.token_for(SECRET, telling.key)
    report = intake.submit(h.scene.s, telling, at=h.now, token=token, taken=taken)
    h.reports[report.id] = report.number
    h.photos |= {photo.id: report.id for photo in taken}
    wish = intake.subscribe(h.scene.s, report, f"{report.number}@town.test", lang="en", at=h.now)
    intake.confirm(h.scene.s, wish, at=h.now)
    if report.case not in h.cases:
        h.cases.append(report.case)


def _not_fixed(h: History, case: Case) -> object:
    report = case.reports[0]
    closing = closing_feedback.closing_of(transitions.root_of(h.scene.s, report.case))
    key = uuid.UUID(int=h.chance.getrandbits(128)).hex
    token = intake.token_for(SECRET, key)
    by = accounts.reporter(report.id)
    return closing_feedback.not_fixed(h.scene.s, report, closing, by=by, at=h.now, key=key, token=token)


def _show(h: History, report: Report) -> bool:
    h.shown.add(report.id)
    return intake.show(h.scene.s, report, by=h.by, at=h.now)


def _hide(h: History, report: Report) -> bool:
    h.shown.discard(report.id)
    return intake.hide(h.scene.s, report, by=h.by, at=h.now)


def _on_phone(h: History, case: Case) -> bool:
    """A crew writes something down where it has no signal; it may come days later."""
    held = transitions.live(case)
    kind = h.chance.choice(PHONES)
    data: dict[str, Any] = {"words": h.words("crew")}
    if kind == "close":
        data = {"outcome": h.chance.choice(OUTCOMES), "no_photo": "dark"}
    elif kind == "propose":
        data |= {"service": h.chance.choice(h.services)}
    crew = held.crew.name if held else "lights"
    h.kept[crew].append(
        Operation(
            str(uuid.UUID(int=h.chance.getrandbits(128))), next(h.n), kind, 1, case.number,
            held.id if held else None, case.cycle, case.version, None, h.now, None, data, (), "{}",
            f"{h.chance.getrandbits(256):064x}",
        )
    )  # fmt: skip
    return False


def _phones_come(h: History) -> None:
    """What crews wrote down since is sent."""
    for crew, ops in h.kept.items():
        for told in push.process(h.scene.s, h.senders[crew], ops, h.now).results:
            h.did[f"phone {told['result']}"] += 1
        ops.clear()


def _verbs(h: History, case: Case, other: Case) -> dict[str, Callable[[], object]]:
    s, by, at, chance = h.scene.s, h.by, h.now, h.chance
    held, waits = transitions.live(case), list(WAIT_REASONS)
    until = at + timedelta(days=chance.randint(1, 20)) if chance.random() < 0.5 else None
    place = replace(LAMP, lat=LAMP.lat + chance.gauss(0, 0.01), label=f"{chance.randrange(999)} Oak Street")
    service = s.get_one(Service, chance.choice(h.services))
    done = Closing(chance.choice(OUTCOMES), no_photo="dark")
    return {
        "accept": lambda: transitions.accept(s, case, by=by, at=at),
        "assign": lambda: transitions.assign(
            s, case, h.scene.crew(chance.choice(("lights", "trees"))), by=by, at=at
        ),
        "unassign": lambda: transitions.unassign(s, case, by=by, at=at),
        "wait": lambda: transitions.wait(s, case, chance.choice(waits), until=until, by=by, at=at),
        "resume": lambda: transitions.resume(s, case, by=by, at=at),
        "close": lambda: transitions.close(s, case, done, by=by, at=at),
        "reopen": lambda: transitions.reopen(s, case, by=by, at=at, words=h.words("staff")),
        "cancel": lambda: transitions.cancel(s, case, chance.choice(CANCEL_REASONS), by=by, at=at),
        "restore": lambda: transitions.restore(s, case, by=by, at=at),
        "merge": lambda: transitions.merge(
            s, case, other, by=by, at=at, keep_crew=held.crew_id if held else None
        ),
        "unmerge": lambda: transitions.unmerge(s, case, by=by, at=at),
        "reclassify": lambda: corrections.reclassify(s, case, service, words=h.words("staff"), by=by, at=at),
        "relocate": lambda: corrections.relocate(s, case, place, words=h.words("staff"), by=by, at=at),
        "reschedule": lambda: corrections.reschedule(
            s, case, chance.choice(list(NEW_DATE_REASONS)), until, by=by, at=at
        ),
        "split": lambda: corrections.split(s, case, chance.choice(case.reports), by=by, at=at),
        "raise": lambda: priorities.raise_priority(s, case, by=by, at=at),
        "lower": lambda: priorities.lower_priority(s, case, by=by, at=at),
        "tag": lambda: tags.tag(s, case, "school", by=by, at=at),
        "note": lambda: transitions.note(s, case, h.words("staff"), by=by, at=at),
        "ask": lambda: transitions.ask_supervisor(s, case, by=by, at=at, words=h.words("staff")),
        "show": lambda: _show(h, chance.choice(case.reports)),
        "hide": lambda: _hide(h, chance.choice(case.reports)),
        "reviewed": lambda: transitions.reviewed(s, case, by=by, at=at),
        "not fixed": lambda: _not_fixed(h, case),
        "join": lambda: _tell(h, join=case),
        "crew writes": lambda: _on_phone(h, case),
    }  # fmt: skip


def _can_be(case: Case, name: str) -> bool:
    if name == "crew writes":
        return transitions.live(case) is not None
    if name in ("split", "show", "hide", "not fixed") and not case.reports:  # its split was taken back
        return False
    return name not in MOVES or case.state in MOVES[name].sources


def _act(h: History) -> None:
    """One thing that somebody does, as the board keeps it for Undo, or the Undo of the last."""
    s = h.scene.s
    if any(h.kept.values()) and h.chance.random() < 0.3:
        _phones_come(h)
        return
    if h.chance.random() < 0.15:
        _undo(h)
        return
    case, other = h.one(), h.one()
    verbs = {name: verb for name, verb in _verbs(h, case, other).items() if _can_be(case, name)}
    name = h.chance.choices(list(verbs), [OFTEN.get(name, 1) for name in verbs])[0]
    verb = verbs[name]
    with events.savepoint(s):
        if name not in batches.SINGLE:
            h.did[name] += bool(verb())
            return
        pair, root = None, transitions.root_of(s, case)
        if name in ("merge", "unmerge"):
            pair = batches.snapshot_with_root(s, case, name, other if name == "merge" else case)
        before, was, version = (dict(h.late), set(h.shown)), batches.snapshot(case, name), case.version
        private = case.service.private
        made = verb()
        if case.version == version:
            return
        if isinstance(made, Case):
            pair = (made, {"own": True})
            h.cases.append(made)
        # What was late by the danger of the other may not be by its own.
        if name in ("unmerge", "split") and not root.corrected_late:
            h.late.pop(root.id, None)
        batch = batches.keep_single(s, case, name, {}, was, by=h.by, at=h.now, other=pair)
        h.before[batch.id] = before
        if name == "reclassify" and private:
            h.shown.difference_update(report.id for report in case.reports)
        h.did[name] += 1


def _undo(h: History) -> None:
    s = h.scene.s
    batch = batches.last(s, h.by, h.now)
    if batch is None:
        return
    with events.savepoint(s):
        ids = set(s.scalars(select(BatchItem.case_id).where(BatchItem.batch_id == batch.id)))
        try:
            undone = batches.undo(s, batch.id, by=h.by, at=h.now)
        except Refused as fault:
            raise AssertionError(f"{batch.act} cannot be undone: {fault}") from fault
        if batches.put_back(undone):
            late, shown = h.before[batch.id]
            for case_id in ids:
                h.late.pop(case_id, None)
                h.late |= {case_id: late[case_id]} if case_id in late else {}
            of_them = set(s.scalars(select(Report.id).where(Report.case_id.in_(ids))))
            h.shown = (h.shown - of_them) | (shown & of_them)
            h.did["undo"] += 1


def _look(h: History) -> None:
    """Notes what is late."""
    for case in h.cases:
        if case.state in OPEN and sla.is_overdue(case, h.now):
            h.late.setdefault(case.id, h.now)


def _family(h: History, root: Case) -> Iterator[Case]:
    return (case for case in h.cases if transitions.root_of(h.scene.s, case) is root)


def _check(h: History) -> None:
    """Each report, photo and wish is where it belongs; each clock counts from when somebody told."""
    s = h.scene.s
    s.flush()
    by_id = {case.id: case for case in h.cases}
    found = {report.id: report for report in s.scalars(select(Report).where(Report.case_id.in_(by_id)))}
    assert h.reports.items() <= {(id_, report.number) for id_, report in found.items()}, "a report was lost"
    for photo_id, report_id in h.photos.items():
        assert s.get_one(Photo, photo_id).report_id == report_id, "a photo left its report"
    for case in h.cases:
        root = transitions.root_of(s, case)
        assert root.state != MERGED
        heard = {row.report_id for row in fan_out._subscribers(s, root.id)}
        told = {report.id for each in _family(h, root) for report in each.reports}
        assert heard == told & h.reports.keys(), "somebody hears of what is not theirs, or nothing of what is"
        assert len([job for job in case.assignments if job.ended_at is None]) <= 1
        assert root.clock_from == min(each.opened_at for each in _family(h, root)), _story(h, root)
        if case.state in OPEN and (days := sla.days(case)) and not case.promise_hours:
            assert case.due_at == _due(case, days), _story(h, case)


def _due(case: Case, days: int) -> datetime:
    """The end of the last day of its promise, and as much later as its clock stood."""
    began = case.restarted_at or case.clock_from
    last = began.astimezone(ZONE).date() + timedelta(days=days)
    stood = (
        pause.ended_at - max(pause.began_at, began) if case.restarted_at else pause.ended_at - pause.began_at
        for pause in case.pauses
        if pause.stops_clock and pause.ended_at and pause.ended_at > began
    )  # fmt: skip
    return datetime.combine(last, sla.END_OF_DAY, ZONE).astimezone(UTC) + sum(stood, timedelta())


def _story(h: History, case: Case) -> str:
    """What the log says of the case and of all merged into it, for whoever reads a failure."""
    s, told = h.scene.s, list[str]()
    for each in _family(h, case):
        told.append(f"{each.number}, late since {h.late.get(each.id)}")
        subject = transitions.subject(each)
        lines = s.scalars(select(Event).where(Event.subject == subject).order_by(Event.seq)).all()
        waiting = [line for line in s.info["pending"].lines if line.subject == subject]
        told += [f"  {line.at} {line.kind} {line.was} {line.now} {line.facts}" for line in (*lines, *waiting)]
    return "\n".join(told)


def _end(h: History) -> None:
    """What is open is closed, and nothing that was late counts as on time."""
    s = h.scene.s
    h.now += timedelta(minutes=1)
    for case in h.cases:
        if case.state in OPEN:
            transitions.close(s, case, Closing("fixed", no_photo="dark"), by=h.by, at=h.now)
            # What was closed before it was merged has counted then.
            own = [each for each in _family(h, case) if each.merged_from != CLOSED]
            late = [h.late[each.id] for each in own if each.id in h.late]
            line = s.info["pending"].lines[-1]
            assert (line.kind, line.subject) == ("close", transitions.subject(case))
            sums = Counter[str]()
            for (facet, _month, what, _value), n in counters.counts_for_event(line, ZONE):
                sums[what] += n if facet == "city" else 0
            assert sums["closed"] == 1
            assert not (late and sums["timely"]), _story(h, case)
            h.did["late" if late else "on time"] += 1


def live_histories(town: Town, client: FlaskClient, seed: int, histories: int) -> Counter[str]:
    """Lives so many histories, each in a transaction of its own; returns how often each thing was done."""
    chance, did = Random(seed), Counter[str]()
    numbers, public, now = list[str](), set[str](), town.now
    with town.at_work() as scene:
        senders = {}
        for crew, name in (("lights", "rosa"), ("trees", "tom")):
            person = scene.s.get_one(Person, town.ids[name])
            device, _token = devices.enrol(scene.s, person, None, town.now, secret=SECRET)
            senders[crew] = push.Sender(device.id, accounts.actor(person), secret=SECRET)
        services = list(
            scene.s.scalars(select(Service.code).where(Service.office.is_(False)).order_by(Service.code))
        )
    for n in range(1, histories + 1):
        with town.at_work() as scene:
            by = replace(scene.actor("supervisor"), roles=widened(STAFF))
            h = History(scene, chance, now + timedelta(hours=1), by, senders, services)
            for _ in range(2):
                _tell(h)
            for _ in range(chance.randint(4, 10)):
                h.now += timedelta(minutes=chance.choice((1, 5, 60, 60 * 24, 60 * 24 * 6)))
                try:
                    _act(h)
                except Refused:
                    did["refused"] += 1
                _look(h)
            _phones_come(h)
            _look(h)
            _check(h)
            _end(h)
            did += h.did
            now = h.now
            public |= {
                report.words
                for case in h.cases
                for report in case.reports
                if report.id in h.shown and not transitions.root_of(scene.s, case).service.private
            }
            numbers = [*numbers[-PAGES_READ:], *(case.number for case in h.cases)]
        if n % RECOUNT_EVERY == 0 or n == histories:
            town.is_right()
            with town.looking() as scene:
                assert events.verify(scene.s) == []
            did["public words"] += _read(client, numbers, public)
            public.clear()
    return did


def _read(client: FlaskClient, numbers: list[str], public: set[str]) -> int:
    """How many of the marked words that stand on public pages staff have shown: all of them."""
    met = set[str]()
    for path in [*LISTS, *(one.format(number) for number in numbers for one in ONE)]:
        answer = client.get(path, follow_redirects=True)
        assert answer.status_code in (200, 404, 410), path
        found = set(re.findall(rf"{MARK}-[a-z]+-\d+", answer.get_data(as_text=True)))
        assert found <= public, f"{path} says {found - public}"
        met |= found
    return len(met)


@pytest.mark.slow
def test_any_history_keeps_what_it_must(town: Town, settings: Settings) -> None:
    """With CITYLINE_HISTORIES as many as that says, by the chance of CITYLINE_SEED."""
    with town.at_work() as scene:
        config_versions.activate(scene.s, city_file.load(DEFAULT_CITY))
    at = town.now + timedelta(days=200)
    app = create_app(settings, now=lambda: at)
    did = live_histories(town, app.test_client(), SEED, HISTORIES)
    app.extensions["cityline"].engine.dispose()
    print(dict(did))
    assert not [
        name for name in (*batches.SINGLE, "undo", "late", "on time", "phone applied") if not did[name]
    ]
    assert did["public words"]
