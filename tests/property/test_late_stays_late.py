"""A promise cannot be gamed: whatever staff do to a late case, in whatever order, it never counts as on time.

Every sequence of so many acts is tried, each from every state that the acts before it can lead to; states in
which nothing differs that an act could ask for are tried once. After each sequence the case is closed, and
what the log's lines count for in the figures is read.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import LAMP, Scene, Town
from sqlalchemy import select

from city.audit import counters, events
from city.audit.events import Actor
from city.cases import batches, corrections, priorities, sla, sla_sweep, transitions
from city.cases.transitions import Closing
from city.db.models import Batch, BatchItem, Case, Service
from city.lifecycle import CALL_TAKER, CLOSED, DISPATCHER, MERGED, OPEN, SUPERVISOR, Refused, widened

ZONE = ZoneInfo("America/New_York")
DAY = timedelta(days=1)
STAFF = (DISPATCHER, SUPERVISOR, CALL_TAKER)
DONE = Closing("fixed", no_photo="dark")
# Within the half hour in which an act can be undone, and so slowly that every wait ends between two.
PACES = {"at once": timedelta(minutes=5), "over weeks": timedelta(days=15)}
SERVICES = {
    "long": {"promise_days": 60},
    "short": {"promise_days": 1},
    "danger": {"urgent": True, "promise_days": 1},
    "hidden": {"private": True, "promise_days": 60},
}


class Back(Exception):
    """Takes back what was tried."""


@dataclass
class Play:
    """Two cases: the late one, and a newer one that has weeks. All that is tried is taken back."""

    scene: Scene
    late: Case
    fresh: Case
    now: datetime
    pace: timedelta
    tried: int = 0
    met: Counter[str] = field(default_factory=Counter)

    @property
    def by(self) -> Actor:
        person = self.scene.actor("supervisor")
        return replace(person, roles=widened(STAFF))


Act = Callable[[Play, Case], object]


def _correct(code: str) -> Act:
    def do(play: Play, case: Case) -> object:
        service = play.scene.s.get_one(Service, code)
        return corrections.reclassify(play.scene.s, case, service, by=play.by, at=play.now)

    return do


def _wait(reason: str, days: int | None = None) -> Act:
    def do(play: Play, case: Case) -> object:
        until = play.now + days * DAY if days else None
        return transitions.wait(play.scene.s, case, reason, until=until, by=play.by, at=play.now)

    return do


def _plain(verb: Callable[..., object], *more: Any) -> Act:
    return lambda play, case: verb(play.scene.s, case, *more, by=play.by, at=play.now)


def _assign(play: Play, case: Case) -> object:
    return transitions.assign(play.scene.s, case, play.scene.crew("lights"), by=play.by, at=play.now)


def _move_place(play: Play, case: Case) -> object:
    there = replace(LAMP, lat=LAMP.lat + 0.01)
    return corrections.relocate(play.scene.s, case, there, by=play.by, at=play.now)


def _merge(play: Play, case: Case) -> object:
    other = play.fresh if case is play.late else play.late
    return transitions.merge(play.scene.s, case, other, by=play.by, at=play.now)


# What staff may do to a case: a new verb is a row here. The name of what batches.SINGLE can undo is first.
ACTS: dict[str, tuple[str, Act]] = {
    "accept": ("accept", _plain(transitions.accept)),
    "assign": ("assign", _assign),
    "unassign": ("unassign", _plain(transitions.unassign)),
    "wait for parts": ("wait", _wait("parts")),
    "wait for weather": ("wait", _wait("weather")),
    "wait for a crew": ("wait", _wait("crew")),
    "wait for the utility": ("wait", _wait("utility")),
    "wait long for the utility": ("wait", _wait("utility", 60)),
    "wait for the resident": ("wait", _wait("resident")),
    "resume": ("resume", _plain(transitions.resume)),
    "close": ("close", _plain(transitions.close, DONE)),
    "reopen": ("", _plain(transitions.reopen)),
    "cancel": ("cancel", _plain(transitions.cancel, "test")),
    "restore": ("", _plain(transitions.restore)),
    "merge": ("", _merge),
    "unmerge": ("", _plain(transitions.unmerge)),
    "reclassify to a longer promise": ("reclassify", _correct("long")),
    "reclassify to a shorter promise": ("reclassify", _correct("short")),
    "reclassify to danger": ("reclassify", _correct("danger")),
    "reclassify to a private type": ("reclassify", _correct("hidden")),
    "relocate": ("relocate", _move_place),
    "raise": ("", _plain(priorities.raise_priority)),
    "lower": ("", _plain(priorities.lower_priority)),
    "note": ("", _plain(transitions.note, "Looked at it")),
    "review": ("", _plain(transitions.reviewed)),
}
UNDO = "undo"
STARTS = (
    "new",
    "accepted",
    "assigned",
    "underway",
    "waiting for a crew",
    "waiting for the utility",
    "merged",
)


def begun(scene: Scene, start: str, pace: timedelta) -> Play:
    """The late case, three days past its promise of three, as `start` says; and the newer one."""
    town = scene.town
    late, now = scene.report(at=town.now - 9 * DAY).case, town.now - 4 * DAY
    assert sla.is_overdue(late, now)
    fresh = scene.report(at=town.now - DAY, service_code="long").case
    staff, crew = scene.actor("supervisor"), scene.actor("rosa")
    if start == "accepted":
        transitions.accept(scene.s, late, by=staff, at=now)
    elif start in ("assigned", "underway"):
        transitions.assign(scene.s, late, scene.crew("lights"), by=staff, at=now)
        if start == "underway":
            transitions.start(scene.s, late, by=crew, at=now)
    elif start.startswith("waiting"):
        reason = "utility" if "utility" in start else "crew"
        transitions.wait(scene.s, late, reason, until=now + 10 * DAY, by=staff, at=now)
    elif start == "merged":
        other = scene.report(at=town.now - 2 * DAY).case
        transitions.merge(scene.s, other, late, by=staff, at=now)
    return Play(scene, late, fresh, town.now, pace)


def explore(play: Play, depth: int, seen: set[Any], path: tuple[str, ...] = ()) -> None:
    """Tries every act from here, and from where each leads, `depth` deep."""
    judge(play, path)
    if depth == 0:
        return
    s, now = play.scene.s, play.now
    play.now = now + play.pace
    for name, do in possible(play):
        with suppress(Back, Refused), events.savepoint(s):
            play.tried += 1
            if not do():
                raise Back
            time_passes(play)
            s.flush()
            if (here := (depth, play.now, *told(play))) not in seen:
                seen.add(here)
                explore(play, depth - 1, seen, (*path, name))
            raise Back
    play.now = now


def possible(play: Play) -> Iterator[tuple[str, Callable[[], object]]]:
    """Every act with each of the two cases, and the Undo of the last."""
    for which, case in (("late", play.late), ("fresh", play.fresh)):
        for name, (kind, act) in ACTS.items():
            yield f"{name}: {which}", lambda case=case, kind=kind, act=act: done(play, case, kind, act)
    yield UNDO, lambda: undone(play)


def done(play: Play, case: Case, kind: str, act: Act) -> bool:
    s = play.scene.s
    if kind not in batches.SINGLE:
        return bool(act(play, case))
    was = batches.snapshot(case, kind)
    if not act(play, case):
        return False
    batches.keep_single(s, case, kind, {}, was, by=play.by, at=play.now)
    return True


def undone(play: Play) -> bool:
    batch = batches.last(play.scene.s, play.by, play.now)
    if batch is None:
        return False
    return batches.put_back(batches.undo(play.scene.s, batch.id, by=play.by, at=play.now)) > 0


def time_passes(play: Play) -> None:
    """The worker has looked before the next act: waits that are over have ended, what is late is said."""
    for case in (play.late, play.fresh):
        if case.state in OPEN:
            sla_sweep._look(play.scene.s, case, play.now, None)


def told(play: Play) -> Iterator[Any]:
    """All that a later act, or a closing, could ask for."""
    s, by_id = play.scene.s, {play.late.id: "late", play.fresh.id: "fresh", None: ""}
    for case in (play.late, play.fresh):
        held = transitions.live(case)
        yield (
            case.state, case.service_code, case.due_at, case.clock_from, case.restarted_at,
            case.corrected_late, case.urgent, case.follow_on, by_id[case.merged_into_id], case.merged_from,
            held.crew_id if held else None, case.cycle > 1,
            tuple(
                (p.why, p.began_at, p.ended_at, p.until)
                for p in case.pauses
                if p.stops_clock or not p.ended_at
            ),
        )  # fmt: skip
    last = batches.last(s, play.by, play.now + play.pace)
    yield last and (last.act, *_undoing(s, last))


def _undoing(s: Any, batch: Batch) -> Iterator[Any]:
    for number in batches.among(s, batch, [batches.number_of(s, batch)]):
        yield number.rpartition("-")[2]
    items = s.scalars(select(BatchItem).where(BatchItem.batch_id == batch.id))
    for item in items:
        case = s.get_one(Case, item.case_id)
        yield case.version == item.version
        yield repr({key: value for key, value in item.was.items() if key not in ("job", "pause")})


def judge(play: Play, path: tuple[str, ...]) -> None:
    """Closes what goes on with the late case, where it is open, and looks at what that counts for."""
    s = play.scene.s
    with suppress(Back), events.savepoint(s):
        root = transitions.root_of(s, play.late)
        if root.state in OPEN:
            later = play.now + timedelta(minutes=1)
            transitions.close(s, root, DONE, by=play.by, at=later)
        verdicts = list(counted(play))
        assert verdicts, f"{path}: nothing says what became of it"
        assert "on time" not in verdicts, f"{path}: it counts as on time"
        play.met.update(verdicts)
        raise Back


def counted(play: Play) -> Iterator[str]:
    """What each ending of the late case counts for in the figures, by the lines that tell of it."""
    late, fresh = (transitions.subject(case) for case in (play.late, play.fresh))
    state, ended = "", False
    for line in play.scene.s.info["pending"].lines:
        if line.subject == late and line.now:
            state, ended = line.now, ended and line.now == MERGED
        if line.subject == late and line.now == MERGED:
            ended = ended or line.was == CLOSED  # it counted when it was closed
            yield "merged"
        elif line.subject == late and line.now == "cancelled":
            yield "cancelled"
        goes_on_there = state == MERGED and not ended
        if line.kind == "close" and line.subject in ((late, fresh) if goes_on_there else (late,)):
            sums = Counter[str]()
            for (facet, _month, what, _value), n in counters.counts_for_event(line, ZONE):
                sums[what] += n if facet == "city" else 0
            assert sums["closed"] == 1
            yield "on time" if sums["timely"] else "restarted" if sums["restarted"] else "late"


def tried(town: Town, depth: int) -> Counter[str]:
    """How many acts were tried, states reached, and endings met, of all starts and paces."""
    with town.at_work() as scene:
        base = scene.s.get_one(Service, "light-out")
        for code, more in SERVICES.items():
            columns = {column.key: getattr(base, column.key) for column in Service.__table__.columns}
            scene.s.add(Service(**(columns | {"code": code, "is_default": False} | more)))
    sums = Counter[str]()
    for pace in PACES.values():
        seen: set[Any] = set()
        for start in STARTS:
            with suppress(Back), town.at_work() as scene:
                play = begun(scene, start, pace)
                time_passes(play)
                scene.s.flush()
                explore(play, depth, seen)
                sums["acts"] += play.tried
                sums.update(play.met)
                raise Back
        sums["states"] += len(seen)
    return sums


@pytest.mark.slow
def test_no_two_acts_make_a_late_case_one_on_time(town: Town) -> None:
    found = tried(town, 2)
    assert found["acts"] > 1000
    assert all(found[ending] for ending in ("late", "restarted", "merged", "cancelled")), found


@pytest.mark.full
@pytest.mark.parametrize("depth", [3, 4])
def test_no_sequence_of_four_acts_makes_a_late_case_one_on_time(town: Town, depth: int) -> None:
    found = tried(town, depth)
    print(dict(found))
    assert found["acts"] > 10_000
