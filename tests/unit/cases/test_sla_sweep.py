"""The sweeper: time alone makes a case at risk and late, the log says so once, a supervisor hears of it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from factories import Town
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from city.audit import events
from city.board.queries import View, count
from city.cases import board_index, sla, sla_sweep, transitions
from city.cases.transitions import Closing
from city.db import engine as db
from city.db.models import Case, Event
from city.settings import Settings
from pwa import worker
from pwa.app import create_app

pytestmark = pytest.mark.both_databases

SAID = ("at risk", "late", "escalate")


def said(s: Session, case: Case) -> list[str]:
    return [line.kind for line, _words in events.of(s, transitions.subject(case)) if line.kind in SAID]


def opened(town: Town) -> tuple[str, datetime, datetime]:
    """Number, from when on it is at risk, and when it is due."""
    with town.at_work() as scene:
        case = scene.report().case
        return case.number, case.risk_at, case.due_at


def test_a_case_becomes_at_risk_and_late_and_the_log_says_each_once(town: Town) -> None:
    number, risk, due = opened(town)
    moment = timedelta(seconds=1)
    stood = []
    for now in (risk - moment, risk, risk + moment, due, due + moment, due + timedelta(days=9)):
        swept = sla_sweep.sweep(town.engine, now)
        with town.looking() as scene:
            case = scene.case(number)
            assert case.standing == sla.sla_status(case, now)
            assert board_index.differences(scene.s) == []
            stood.append((swept, case.standing, said(scene.s, case)))
    assert stood == [
        (0, "ok", []),
        (1, "risk", ["at risk"]), (0, "risk", ["at risk"]), (0, "risk", ["at risk"]),
        (1, "late", ["at risk", "late"]), (0, "late", ["at risk", "late"]),
    ]  # fmt: skip


def test_what_a_verb_saw_first_is_said_all_the_same(town: Town) -> None:
    number, _risk, due = opened(town)
    with town.at_work() as scene:
        transitions.accept(
            scene.s, scene.case(number), by=scene.actor("dispatcher"), at=due + timedelta(hours=1)
        )
        assert scene.case(number).standing == "late"
    assert sla_sweep.sweep(town.engine, due + timedelta(hours=2)) == 1
    with town.looking() as scene:
        assert said(scene.s, scene.case(number)) == ["late"]


def test_nothing_is_said_of_what_waits_or_has_ended(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        waits, ended, merged, root = (scene.report().case for _ in range(4))
        transitions.wait(
            scene.s, waits, "utility", until=town.now + timedelta(days=90, minutes=1), by=by, at=town.now
        )
        transitions.cancel(scene.s, ended, "spam", by=by, at=town.now)
        transitions.merge(scene.s, merged, root, by=by, at=town.now)
        transitions.close(scene.s, root, Closing("not found"), by=by, at=town.now)
    assert sla_sweep.sweep(town.engine, town.now + timedelta(days=90), 3) == 0


def test_two_workers_say_it_once(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    with town.at_work() as scene:
        ids = [scene.report().case.id for _ in range(30)]
    both, look = Barrier(2), sla_sweep._overdue

    def at_once(*asked: Any) -> list[str]:
        found = look(*asked)
        both.wait(30)  # both have found the same cases before either holds one
        return found

    monkeypatch.setattr(sla_sweep, "_overdue", at_once)
    engines = [db.connect(town.settings.database_url) for _ in range(2)]
    later = town.now + timedelta(days=30)
    with ThreadPoolExecutor(2) as pool:
        swept = list(pool.map(lambda engine: sla_sweep.sweep(engine, later, 3), engines))
    for engine in engines:
        engine.dispose()
    assert sum(swept) == len(ids)
    with town.looking() as scene:
        lines = select(Event.kind, func.count()).where(Event.kind.in_(SAID)).group_by(Event.kind)
        assert dict(scene.s.execute(lines).all()) == {"late": 30, "escalate": 30}
        assert set(scene.s.scalars(select(Case.standing))) == {"late"}
        assert board_index.differences(scene.s) == []
        assert events.verify(scene.s) == []


def test_more_than_a_batch_is_swept_to_its_end(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sla_sweep, "AT_ONCE", 4)
    with town.at_work() as scene:
        for _ in range(11):
            scene.report()
    assert sla_sweep.sweep(town.engine, town.now + timedelta(days=30)) == 11


def test_a_supervisor_is_asked_once_a_cycle_about_what_is_late_for_too_long(town: Town) -> None:
    number, _risk, due = opened(town)

    def stands(now: datetime) -> tuple[str | None, int]:
        sla_sweep.sweep(town.engine, now, 3)
        with town.looking() as scene:
            case = scene.case(number)
            return case.review, said(scene.s, case).count("escalate")

    assert stands(due + timedelta(days=3)) == (None, 0)
    assert stands(due + timedelta(days=3, seconds=1)) == ("late", 1)
    with town.at_work() as scene:
        assert count(scene.s, View(review="yes"), now=due) == 1, "it is under Needs review"
        transitions.reviewed(scene.s, scene.case(number), by=scene.actor("supervisor"), at=due)
    assert stands(due + timedelta(days=8)) == (None, 1), "somebody has looked"
    with town.at_work() as scene:
        by, case, at = scene.actor("dispatcher"), scene.case(number), due + timedelta(days=9)
        transitions.close(scene.s, case, Closing("not found"), by=by, at=at)
        transitions.reopen(scene.s, case, by=by, at=at)
    assert stands(due + timedelta(days=10)) == ("late", 2)


def test_no_other_mark_is_lost_to_lateness(town: Town) -> None:
    number, _risk, due = opened(town)
    with town.at_work() as scene:
        transitions.ask_supervisor(scene.s, scene.case(number), by=scene.actor("dispatcher"), at=town.now)
    sla_sweep.sweep(town.engine, due + timedelta(days=9), 3)
    with town.looking() as scene:
        assert scene.case(number).review == "sent back"
        assert said(scene.s, scene.case(number)) == ["late", "escalate"]


def test_a_promise_that_moves_on_may_become_late_again(town: Town) -> None:
    number, _risk, due = opened(town)
    sla_sweep.sweep(town.engine, due + timedelta(hours=1))
    with town.at_work() as scene:
        case = scene.case(number)
        case.promised_at = due + timedelta(days=20)
        transitions.locks.lock(scene.s, case)
        sla.refresh(case, due + timedelta(hours=2))
    sla_sweep.sweep(town.engine, due + timedelta(days=30))
    with town.looking() as scene:
        assert said(scene.s, scene.case(number)) == ["late", "late"]


def test_a_crew_may_take_its_step_back_although_it_has_become_late(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        number, version = case.number, case.version
        later = case.due_at + timedelta(hours=1)
    sla_sweep.sweep(town.engine, later)
    with town.looking() as scene:
        assert scene.case(number).version == version


def test_the_worker_sweeps_by_the_city_file(town: Town, settings: Settings) -> None:
    number, _risk, due = opened(town)
    app = create_app(settings)
    worker._watch_promises(app, due + timedelta(days=10, hours=1))
    app.extensions["cityline"].engine.dispose()
    with town.looking() as scene:
        assert said(scene.s, scene.case(number)) == ["late", "escalate"]
