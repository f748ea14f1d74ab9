"""A wait has an end, and stops the promise clock only where somebody else has to act first."""

from datetime import UTC, datetime, timedelta

import pytest

from city.audit import events
from city.board import queries as board_queries
from city.board.queries import View
from city.cases import board_index, queries, sla_sweep, transitions, waits
from city.cases.transitions import Closing
from city.db import engine as db
from city.db.models import Case, Service
from city.lifecycle import WAIT_REASONS, Refused
from tests.factories import Town

pytestmark = pytest.mark.both_databases

DAY = timedelta(days=1)
RUNS = [reason for reason, told in WAIT_REASONS.items() if not told.pauses]
STANDS = [reason for reason, told in WAIT_REASONS.items() if told.pauses]


def waiting(town: Town, reason: str, until: datetime | None = None, who: str = "dispatcher") -> str:
    with town.at_work() as scene:
        case = scene.report().case
        transitions.wait(scene.s, case, reason, until=until, by=scene.actor(who), at=town.now)
        return case.number


def standing(town: Town, number: str, now: datetime) -> str:
    """How it stands by its own facts, the map's condition and the board's, which all agree."""
    sla_sweep.sweep(town.engine, now)
    with town.looking() as scene:
        case = scene.case(number)
        told = scene.s.query(Case).filter(queries.has_standing(case.standing, now)).all()
        assert [each.number for each in told] == [number]
        rows = board_queries.queue(scene.s, View(standing=case.standing), now=now).rows
        assert [row.number for row in rows] == [number]
        found = case.standing
    with db.transaction(town.engine) as s:
        assert board_index.recompute(s, at=now) == 0
    return found


@pytest.mark.parametrize("reason", WAIT_REASONS)
def test_every_wait_has_an_end_in_the_morning_and_comes_back_then(town: Town, reason: str) -> None:
    number = waiting(town, reason)
    with town.looking() as scene:
        case = scene.case(number)
        until = case.pauses[0].until
        assert until == waits.morning(case.service, town.now, WAIT_REASONS[reason].days).astimezone(UTC)
    assert until
    sla_sweep.sweep(town.engine, until - timedelta(seconds=1))
    with town.looking() as scene:
        assert scene.case(number).state == "waiting"
    sla_sweep.sweep(town.engine, until + timedelta(minutes=1))
    with town.looking() as scene:
        case = scene.case(number)
        assert (case.state, case.review, case.pauses[0].ended_at) == ("accepted", "wait over", until)
        story = [(line.kind, line.actor) for line, _ in queries.case_events(scene.s, case)]
        assert ("resume", "system") in story


@pytest.mark.parametrize("reason", RUNS)
def test_what_the_city_waits_for_keeps_the_promise_running(town: Town, reason: str) -> None:
    number = waiting(town, reason, town.now + 10 * DAY)
    with town.looking() as scene:
        due = scene.case(number).due_at
    assert standing(town, number, due) == "wait"
    assert standing(town, number, due + timedelta(minutes=1)) == "late"
    with town.at_work() as scene:
        case = scene.case(number)
        transitions.resume(scene.s, case, by=scene.actor("dispatcher"), at=due + DAY)
        assert (case.due_at, case.standing) == (due, "late")


@pytest.mark.parametrize("reason", sorted({*STANDS} - {"resident"}))  # which test_conversation.py shows
def test_what_another_has_to_do_moves_it(town: Town, reason: str) -> None:
    number = waiting(town, reason, town.now + 20 * DAY)
    with town.looking() as scene:
        due = scene.case(number).due_at
    assert standing(town, number, due + DAY) == "wait"
    with town.at_work() as scene:
        case = scene.case(number)
        transitions.resume(scene.s, case, by=scene.actor("dispatcher"), at=due + DAY)
        assert case.due_at == due + (due + DAY - town.now)


def test_a_worker_that_was_down_moves_no_promise(town: Town) -> None:
    until = town.now + 2 * DAY
    number = waiting(town, "utility", until)
    with town.looking() as scene:
        due = scene.case(number).due_at
    sla_sweep.sweep(town.engine, until + DAY)
    with town.looking() as scene:
        assert scene.case(number).due_at == due + 2 * DAY


def test_its_crew_has_the_job_again_when_it_is_over(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        transitions.wait(scene.s, case, "weather", by=scene.actor("rosa"), at=town.now)
        number = case.number
    sla_sweep.sweep(town.engine, town.now + 3 * DAY)
    with town.at_work() as scene:
        case = scene.case(number)
        assert (case.state, case.review) == ("assigned", "wait over")
        transitions.start(scene.s, case, by=scene.actor("rosa"), at=town.now + 3 * DAY)
        assert case.review is None  # somebody has decided what happens next


def test_another_reason_to_look_is_not_covered(town: Town) -> None:
    number = waiting(town, "weather")
    with town.at_work() as scene:
        scene.case(number).review = "late"
    sla_sweep.sweep(town.engine, town.now + 3 * DAY)
    with town.looking() as scene:
        assert scene.case(number).review == "late"


@pytest.mark.parametrize(
    ("reason", "until", "code", "facts"),
    [
        ("parts", -DAY, "wait_past", {}),
        ("parts", timedelta(), "wait_past", {}),
        ("parts", 32 * DAY, "wait_too_long", {"most": 30}),
        ("weather", 16 * DAY, "wait_too_long", {"most": 14}),
        ("zeal", DAY, "unknown_value", {"name": "wait_reason", "value": "zeal"}),
    ],
)
def test_an_end_in_the_past_or_beyond_the_cap_is_refused(
    town: Town, reason: str, until: timedelta, code: str, facts: dict[str, object]
) -> None:
    with town.at_work() as scene:
        case, by = scene.report().case, scene.actor("dispatcher")
        with pytest.raises(Refused) as refused:
            transitions.wait(scene.s, case, reason, until=town.now + until, by=by, at=town.now)
        assert (refused.value.code, refused.value.facts) == (code, facts)
        assert (case.state, case.pauses) == ("new", [])


def test_the_cap_holds_from_its_beginning_however_often_it_is_moved(town: Town) -> None:
    number = waiting(town, "weather")
    with town.at_work() as scene:
        case, by, later = scene.case(number), scene.actor("dispatcher"), town.now + 10 * DAY
        assert transitions.wait(scene.s, case, "weather", until=town.now + 13 * DAY, by=by, at=later)
        assert not transitions.wait(scene.s, case, "weather", until=town.now + 13 * DAY, by=by, at=later)
        with pytest.raises(Refused, match="wait_too_long"):
            transitions.wait(scene.s, case, "weather", until=later + 10 * DAY, by=by, at=later)
        assert len(case.pauses) == 1


def test_the_city_file_says_how_long(town: Town) -> None:
    with town.at_work() as scene:
        service = scene.s.get_one(Service, scene.report().case.service_code)
        service.waits = {"parts": [3, 5]}
        case, by = scene.report().case, scene.actor("dispatcher")
        with pytest.raises(Refused, match="wait_too_long"):
            transitions.wait(scene.s, case, "parts", until=town.now + 7 * DAY, by=by, at=town.now)
        transitions.wait(scene.s, case, "parts", by=by, at=town.now)
        assert case.pauses[0].until == waits.morning(service, town.now, 3)


def test_danger_waits_a_day_at_most_by_a_supervisors_hand(town: Town) -> None:
    with town.at_work() as scene:
        case, by = scene.report(danger=True).case, scene.actor("supervisor")
        for reason in WAIT_REASONS:
            with pytest.raises(Refused, match="danger_waits_long"):
                transitions.wait(
                    scene.s, case, reason, until=town.now + DAY + timedelta(seconds=1), by=by, at=town.now
                )
        transitions.wait(scene.s, case, "utility", by=by, at=town.now)
        assert case.pauses[0].until == town.now + DAY
        number = case.number
    with town.looking() as scene:
        assert scene.case(number).rank == board_index.URGENT


def test_canceled_while_it_waits_the_clock_stands(town: Town) -> None:
    number = waiting(town, "parts")
    with town.at_work() as scene:
        case, by = scene.case(number), scene.actor("dispatcher")
        due = case.due_at
        transitions.cancel(scene.s, case, "test", by=by, at=town.now + DAY)
        transitions.restore(scene.s, case, by=by, at=town.now + 2 * DAY)
        assert case.due_at == due + DAY


def test_a_closing_out_of_a_wait_ends_it(town: Town) -> None:
    number = waiting(town, "parts")
    with town.at_work() as scene:
        case, by = scene.case(number), scene.actor("dispatcher")
        transitions.close(scene.s, case, Closing("not found"), by=by, at=town.now + DAY)
        assert [(p.why, p.ended_at is None) for p in case.pauses] == [("parts", False), ("closed", True)]
    assert sla_sweep.sweep(town.engine, town.now + 90 * DAY) == 0


def test_the_log_says_until_when(town: Town) -> None:
    until = town.now + 3 * DAY
    number = waiting(town, "parts", until)
    with town.looking() as scene:
        told, _ = events.of(scene.s, transitions.subject(scene.case(number)))[-1]
        assert told.facts == {"reason": "parts", "until": until.isoformat()}
