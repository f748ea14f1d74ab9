"""Any order of moves, merges, unmerges and reopenings keeps the case, its log and its promise true."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from factories import LAMP, SECRET, Scene, Town
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from city.audit import events
from city.audit.events import Actor
from city.cases import corrections, sla, transitions
from city.cases.transitions import Closing
from city.db.models import Case, Service
from city.lifecycle import CLOSED, MERGED, MOVES, NEW_DATE_REASONS, OPEN, OUTCOMES, WAITING, Refused, check
from city.people import accounts
from city.reports import closing_feedback, intake

SERVICES = ("light-out", "limb-down", "nuisance")
UNDONE = ("close", "make safe", "needs parts")
ACTORS = ("dispatcher", "supervisor", "call-taker", "manager", "rosa", "tom", "resident")
steps = st.lists(
    st.tuples(
        st.sampled_from([*MOVES, "not fixed", "note"]),
        st.sampled_from(ACTORS),
        st.integers(0, 3),
        st.integers(0, 3),
        st.integers(1, 60 * 24 * 6),
    ),
    min_size=5,
    max_size=40,
)
# One database serves a whole test: every example adds its own cases to it.
many = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(walk=steps)
@many
@pytest.mark.slow
def test_any_walk_follows_the_table_and_the_log_tells_it(town: Town, walk: list[tuple[Any, ...]]) -> None:
    with town.at_work() as scene:
        family = [scene.report().case for _ in range(4)]
        now = town.now
        for move, who, one, other, minutes in walk:
            now += timedelta(minutes=minutes)
            case, root = family[one], family[other]
            before = (case.state, case.version)
            changed = attempt(scene, move, who, case, root, now)
            if changed is None:
                assert (case.state, case.version) == before, "a refused move changed something"
            elif changed and move in MOVES:
                assert before[0] in MOVES[move].sources
                assert MOVES[move].to in (None, case.state)
            for each in family:
                holds(each, family)
        ids = [case.id for case in family]
    with town.looking() as scene:
        for case_id in ids:
            case = scene.s.get_one(Case, case_id)
            told = [e for e, _ in events.of(scene.s, transitions.subject(case)) if e.now]
            assert told[-1].now == case.state
            assert all(a.now == b.was for a, b in pairwise(told)), "the log skips a step"
        assert events.verify(scene.s) == []


@given(
    walk=st.lists(
        st.tuples(
            st.sampled_from(["merge", "unmerge", "close", "reopen"]), st.integers(0, 4), st.integers(0, 4)
        ),
        min_size=4,
        max_size=30,
    )
)
@many
@pytest.mark.slow
def test_merging_in_any_order_loses_nobody_and_unmerging_gives_the_state_back(
    town: Town, walk: list[tuple[str, int, int]]
) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        family = [scene.report().case for _ in range(5)]
        former: dict[int, tuple[str, datetime]] = {}
        for at, (move, one, other) in enumerate(walk):
            now = town.now + timedelta(minutes=at)
            case = family[one]
            was = case.state
            changed = attempt(scene, move, "dispatcher", case, family[other], now)
            if changed and move == "merge" and was != MERGED:
                former[case.id] = (was, case.due_at)
            if changed and move == "unmerge":
                state, due_at = former.pop(case.id)
                assert case.state == state
                if state in OPEN:
                    assert case.due_at == due_at
            for each in family:
                holds(each, family)
                assert len(each.reports) == 1, "a report left its case"
                assert reaches_the_end(scene, each)
        assert by.roles == {"dispatcher"}


def attempt(scene: Scene, move: str, who: str, case: Case, other: Case, now: datetime) -> bool | None:
    """Tries a move; None when it was refused."""
    by = accounts.reporter(case.reports[0].id) if who == "resident" else scene.actor(who)
    verbs: dict[str, Callable[[], bool]] = {
        "accept": lambda: transitions.accept(scene.s, case, by=by, at=now),
        "assign": lambda: transitions.assign(scene.s, case, crew_for(scene, now), by=by, at=now),
        "unassign": lambda: transitions.unassign(scene.s, case, by=by, at=now),
        "start": lambda: transitions.start(scene.s, case, by=by, at=now),
        "pause": lambda: transitions.pause(scene.s, case, by=by, at=now),
        "wait": lambda: transitions.wait(scene.s, case, "weather", by=by, at=now),
        "resume": lambda: transitions.resume(scene.s, case, by=by, at=now),
        "make safe": lambda: transitions.make_safe(scene.s, case, by=by, at=now),
        "needs parts": lambda: transitions.needs_parts(scene.s, case, by=by, at=now),
        "close": lambda: transitions.close(
            scene.s, case, Closing(OUTCOMES[now.minute % 4], no_photo="dark"), by=by, at=now
        ),
        "reopen": lambda: transitions.reopen(scene.s, case, by=by, at=now),
        "merge": lambda: transitions.merge(scene.s, case, other, by=by, at=now, keep_crew=keep(case)),
        "take on": lambda: transitions.self_assign(scene.s, case, crew_for(scene, now).id, by=by, at=now),
        "take back": lambda: transitions.undo_own_completion(
            scene.s, case, UNDONE[now.minute % 3], by=by, at=now
        ),
        "restore": lambda: transitions.restore(scene.s, case, by=by, at=now),
        "unmerge": lambda: transitions.unmerge(scene.s, case, by=by, at=now),
        "undo batch": lambda: undone(scene, case, by, now),
        "reclassify": lambda: corrections.reclassify(
            scene.s, case, scene.s.get_one(Service, SERVICES[now.minute % 3]), by=by, at=now
        ),
        "relocate": lambda: corrections.relocate(
            scene.s, case, replace(LAMP, lat=LAMP.lat + now.minute / 1000), by=by, at=now
        ),
        "reschedule": lambda: corrections.reschedule(
            scene.s, case, NEW_DATE_REASONS[now.minute % 4], by=by, at=now
        ),
        # Each has one report, so it is always refused: test_splitting.py has it.
        "split": lambda: bool(corrections.split(scene.s, case, case.reports[0], by=by, at=now)),
        "cancel": lambda: transitions.cancel(scene.s, case, "test", by=by, at=now),
        "note": lambda: transitions.note(scene.s, case, "Looked at it", by=by, at=now),
        "not fixed": lambda: bool(said_not_fixed(scene, case, by, now)),
    }
    try:
        return verbs[move]()
    except Refused:
        return None


def undone(scene: Scene, case: Case, by: Actor, now: datetime) -> bool:
    """Gives the case to a crew, as a batch does, and puts it back."""
    check("undo batch", case.state, by.roles)
    scene.s.flush()
    was = transitions.snapshot(case)
    if not transitions.assign(scene.s, case, crew_for(scene, now), by=by, at=now):
        return False
    transitions.undo_batch(scene.s, case, "assign", was, by=by, at=now, batch=1)
    assert transitions.snapshot(case) | {"job": 0} == was | {"job": 0}
    return True


def said_not_fixed(scene: Scene, case: Case, by: Actor, now: datetime) -> str:
    key = uuid.uuid4().hex
    token = intake.token_for(SECRET, key)
    report = case.reports[0]
    closing, by = (
        closing_feedback.closing_of(transitions.root_of(scene.s, report.case)),
        accounts.reporter(report.id),
    )
    return closing_feedback.not_fixed(scene.s, report, closing, by=by, at=now, key=key, token=token)


def crew_for(scene: Scene, now: datetime) -> Any:
    return scene.crew("lights" if now.minute % 2 else "trees")


def keep(case: Case) -> int | None:
    held = transitions.live(case)
    return held.crew_id if held else None


def holds(case: Case, family: list[Case]) -> None:
    """What is true of every case at every moment."""
    held = [a for a in case.assignments if a.ended_at is None]
    assert len(held) <= 1
    assert bool(held) or case.state not in ("assigned", "underway")
    assert not held or case.state in ("assigned", "underway", WAITING)
    assert (case.state == MERGED) == (case.merged_into_id is not None)
    assert (case.state == MERGED) == (case.merged_from is not None)
    assert sum(p.ended_at is None for p in case.pauses) <= 1
    if case.state == CLOSED:
        assert case.closures[-1].cycle == case.cycle
        assert case.outcome == case.closures[-1].outcome
    terms = sla.Terms(sla.zone_of(case.service), sla.days(case))
    assert case.due_at >= sla.due_and_risk(terms, case.clock_from).due


def reaches_the_end(scene: Scene, case: Case) -> bool:
    """The chain of merges has an end, and the end is not merged."""
    seen = set()
    while case.merged_into_id is not None:
        assert case.id not in seen
        seen.add(case.id)
        case = scene.s.get_one(Case, case.merged_into_id)
    return case.state != MERGED


@pytest.mark.parametrize("move", MOVES)
def test_every_move_is_reached_by_the_walks(move: str) -> None:
    """attempt() knows every row of the table; a new row must be added there."""
    known = {
        key for const in attempt.__code__.co_consts for key in (const if type(const) is tuple else [const])
    }
    assert move in known
