"""Promises in working hours: what counts, what a pause moves, and that a given word stays."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from factories import Scene, Town

from city.audit import events
from city.cases import sla, transitions
from city.cases.sla import Terms
from city.cases.transitions import Closing
from city.config import calendars, city_file
from city.config import versions as config_versions
from city.db.models import Asset, Calendar, Case, Pause
from city.people import accounts
from city.reports import intake
from city.settings import DEFAULT_CITY

HERE = ZoneInfo("America/New_York")
# Crews are out from Monday to Friday, 7 to 15.
BY_HOURS = DEFAULT_CITY.read_text("utf-8").replace(
    "promise_days = 3\n", 'promise_hours = 16\ncalendar = "field"\n', 1
)
SHORTER = BY_HOURS.replace('"07:00-15:00"', '"07:00-11:00"')


def at(words: str) -> datetime:
    """ "2026-05-12 07:00" on the city's clocks, as an instant."""
    return datetime.fromisoformat(words).replace(tzinfo=HERE).astimezone(UTC)


def local(instant: datetime) -> str:
    return f"{instant.astimezone(HERE):%Y-%m-%d %H:%M}"


FRIDAY = at("2026-05-15 14:00")


def apply(scene: Scene, text: str) -> None:
    config_versions.publish(scene.s, text, "city.toml", by=accounts.THE_SYSTEM, at=scene.town.now)


def opened(scene: Scene, when: datetime = FRIDAY) -> Case:
    apply(scene, BY_HOURS)
    return scene.report(at=when).case


def test_sixteen_hours_from_friday_afternoon_end_on_tuesday(town: Town) -> None:
    with town.at_work() as scene:
        case = opened(scene)
        assert local(case.due_at) == "2026-05-19 14:00"
        assert local(case.risk_at) == "2026-05-18 14:00", "a working day's notice"
        assert (case.promise_days, case.promise_hours) == (0, 16)


def test_a_holiday_and_a_night_report_cost_no_working_time(town: Town) -> None:
    with town.at_work() as scene:
        assert local(opened(scene, at("2026-05-22 23:30")).due_at) == "2026-05-27 15:00"  # Memorial Day


def test_of_a_long_promise_a_quarter_is_left_at_risk() -> None:
    office = calendars.ordinary(HERE)
    times = sla.due_and_risk(Terms(HERE, hours=45, calendar=office), at("2026-05-11 08:00"))
    assert (local(times.due), local(times.risk)) == ("2026-05-15 17:00", "2026-05-14 14:45")


def test_a_promise_shorter_than_a_days_notice_is_at_risk_at_once() -> None:
    office = calendars.ordinary(HERE)
    began = at("2026-05-11 09:00")
    times = sla.due_and_risk(Terms(HERE, hours=4, calendar=office), began)
    assert (local(times.due), times.risk) == ("2026-05-11 13:00", began)


@pytest.mark.parametrize(
    ("days", "due", "risk"),
    [(1, "2026-05-12 17:00", "2026-05-12 09:00"), (8, "2026-05-19 17:00", "2026-05-17 15:00")],
)
def test_of_calendar_days_a_quarter_is_left_at_risk_and_eight_hours_at_least(
    days: int, due: str, risk: str
) -> None:
    times = sla.due_and_risk(Terms(HERE, days=days), at("2026-05-11 " + ("22:00" if days == 1 else "09:00")))
    assert (local(times.due), local(times.risk)) == (due, risk)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (None, None), ("2026-05-14 00:00", "2026-05-14 17:00"), ("2026-05-14 00:01", "2026-05-14 00:01"),
        ("2026-05-11 00:00", "2026-05-11 17:00"), ("2026-05-10 00:00", None), ("2026-05-11 09:00", None),
    ],
)  # fmt: skip
def test_the_day_that_another_system_gave_ends_as_ours_do(given: str | None, taken: str | None) -> None:
    due = sla.take_over_promise(at(given) if given else None, at("2026-05-11 09:00"), HERE)
    assert (due and local(due)) == taken


def test_a_margin_is_how_early_a_closing_was(town: Town) -> None:
    with town.at_work() as scene:
        case = opened(scene)
        assert sla.margin(case, case.due_at - timedelta(hours=2)) == timedelta(hours=2)
        assert sla.margin(case, case.due_at + timedelta(hours=3)) == timedelta(hours=-3)


@pytest.mark.parametrize(
    ("began", "ended", "due"),
    [
        ("2026-05-15 18:00", "2026-05-18 06:00", "2026-05-19 14:00"),  # a weekend: nobody would have come
        ("2026-05-18 09:00", "2026-05-18 12:00", "2026-05-20 09:00"),  # three working hours
        ("2026-05-15 14:30", "2026-05-18 07:30", "2026-05-19 15:00"),  # half an hour on each side
    ],
)
def test_a_pause_moves_the_promise_by_the_working_time_in_it(
    town: Town, began: str, ended: str, due: str
) -> None:
    with town.at_work() as scene:
        case, by = opened(scene), scene.actor("dispatcher")
        transitions.wait(scene.s, case, "utility", by=by, at=at(began))
        transitions.resume(scene.s, case, by=by, at=at(ended))
        assert local(case.due_at) == due


def test_the_time_that_a_clock_stood_is_summed_and_an_open_pause_counts_to_now() -> None:
    first = Pause(why="resident", began_at=FRIDAY, ended_at=FRIDAY + timedelta(hours=2), stops_clock=True)
    still = Pause(why="utility", began_at=FRIDAY + timedelta(hours=3), stops_clock=True)
    runs = Pause(why="parts", began_at=FRIDAY, ended_at=FRIDAY + timedelta(hours=5), stops_clock=False)
    assert sla.paused_time([first, still, runs], FRIDAY + timedelta(hours=5)) == timedelta(hours=4)
    assert sla.paused_time([], FRIDAY) == timedelta()


def test_whose_asset_is_waited_for_is_said_while_it_waits_for_its_owner_only(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        case.asset = Asset(kind="pole", number="1", owner="HECO", address="", lat=0, lon=0, cell="")
        assert sla.owner_waited_for(case) == ""
        sla.pause_clock(case, "weather", FRIDAY)
        case.state = "waiting"
        assert sla.owner_waited_for(case) == ""
        case.pauses[0].why = "utility"
        assert sla.owner_waited_for(case) == "HECO"
        case.state = "accepted"
        assert sla.owner_waited_for(case) == ""
    told = {"reason": "utility", "owner": "HECO"}
    assert sla.wait_facts("utility", "HECO") == told
    assert sla.wait_facts("utility", "") == {"reason": "utility"}
    for reason in ("weather", "parts", "zeal"):
        assert sla.wait_facts(reason, "HECO") == {"reason": reason}


def test_who_was_warned_is_warned_anew_only_where_there_was_time_again(town: Town) -> None:
    with town.at_work() as scene:
        case = opened(scene)
        case.warned = "risk"
        sla.refresh(case, case.risk_at)
        assert case.warned == "risk"
        sla.refresh(case, case.risk_at - timedelta(seconds=1))
        assert case.warned is None


def test_what_is_due_this_moment_is_not_late_and_at_risk_from_its_moment_on(town: Town) -> None:
    with town.at_work() as scene:
        case = opened(scene)
        second = timedelta(seconds=1)
        moments = (
            case.risk_at - second,
            case.risk_at,
            case.risk_at + second,
            case.due_at,
            case.due_at + second,
        )
        assert [sla.sla_status(case, moment) for moment in moments] == ["ok", "risk", "risk", "risk", "late"]
        case.pauses.append(Pause(why="utility", began_at=case.due_at, stops_clock=True))
        case.state = "waiting"
        assert sla.sla_status(case, case.due_at + second) == "wait"


def test_pauses_that_overlap_count_once() -> None:
    office = calendars.ordinary(HERE)
    terms, began = Terms(HERE, hours=9, calendar=office), at("2026-05-11 08:00")
    pauses = [
        (at("2026-05-11 09:00"), at("2026-05-11 12:00")), (at("2026-05-11 10:00"), at("2026-05-11 11:00")),
        (at("2026-05-11 11:00"), at("2026-05-11 13:00")),
    ]  # fmt: skip
    assert local(sla.due_and_risk(terms, began, pauses).due) == "2026-05-12 12:00"


def test_what_is_late_stays_as_late_when_it_has_waited(town: Town) -> None:
    with town.at_work() as scene:
        case, by = opened(scene), scene.actor("dispatcher")
        transitions.wait(
            scene.s, case, "utility", by=by, at=at("2026-05-20 09:00")
        )  # three working hours late
        transitions.resume(scene.s, case, by=by, at=at("2026-05-22 13:00"))
        assert local(case.due_at) == "2026-05-22 10:00"
        assert sla.sla_status(case, at("2026-05-22 13:00")) == "late"


def test_a_closed_case_that_is_sent_back_has_the_working_time_that_it_had_left(town: Town) -> None:
    with town.at_work() as scene:
        case, by = opened(scene), scene.actor("dispatcher")
        transitions.close(scene.s, case, Closing("not found"), by=by, at=at("2026-05-18 14:00"))
        transitions.reopen(scene.s, case, by=by, at=at("2026-05-21 14:00"))
        assert local(case.due_at) == "2026-05-22 14:00"


def test_a_newer_calendar_or_promise_moves_no_given_word(town: Town) -> None:
    with town.at_work() as scene:
        case = opened(scene)
        due = case.due_at
        apply(scene, SHORTER)
        scene.s.expire_all()
        sla.refresh(case, town.now)
        assert case.due_at == due
        assert local(scene.report(at=FRIDAY).case.due_at) == "2026-05-21 11:00"
        apply(scene, BY_HOURS)
        scene.s.expire_all()
        again = scene.report(at=FRIDAY).case
        assert (again.due_at, again.calendar_id) == (due, case.calendar_id)
        # Field hours, the shorter ones, and the line's own, by which offices promise.
        assert scene.s.query(Calendar).count() == 3, "the same calendar is one row"


def test_danger_is_looked_at_by_the_next_evening_or_within_the_hours(town: Town) -> None:
    with town.at_work() as scene:
        case = opened(scene)
        scene.report(join=case.number, danger=True, at=FRIDAY)
        assert local(case.due_at) == "2026-05-16 17:00"
        apply(scene, BY_HOURS.replace("promise_hours = 16", "promise_hours = 4"))
        scene.s.expire_all()
        quick = scene.report(danger=True, at=at("2026-05-12 07:00")).case
        assert local(quick.due_at) == "2026-05-12 11:00"


def test_the_word_of_another_system_goes_before_hours(town: Town) -> None:
    with town.at_work() as scene:
        case = opened(scene)
        case.promised_at = at("2026-06-01 10:00")
        sla.refresh(case, FRIDAY)
        assert local(case.due_at) == "2026-06-01 10:00"


def test_an_offices_hours_are_its_departments(town: Town) -> None:
    with town.at_work() as scene:
        apply(scene, BY_HOURS)
        told = intake.NewReport("o" * 32, "tax-question", "phone")
        case = intake.submit(scene.s, told, by=scene.actor("call-taker"), at=FRIDAY, token="t").case
        # Of its sixteen hours five are left on Friday, six of Saturday; no crew works then, the line does.
        assert local(case.due_at) == "2026-05-18 12:00"


def test_the_log_says_what_was_promised_and_by_which_calendar(town: Town) -> None:
    with town.at_work() as scene:
        case = opened(scene)
        number, kept = case.number, case.calendar
        assert kept is not None
        assert calendars.written(calendars.calendar_of(kept.rules)) == kept.rules
        sha256 = kept.sha256
    with town.looking() as scene:
        line = next(
            e for e, _w in events.of(scene.s, transitions.subject(scene.case(number))) if e.kind == "open"
        )
        told = {name: line.facts[name] for name in ("service", "hours", "calendar", "urgent")}
        assert told == {"service": "light-out", "hours": 16, "calendar": sha256, "urgent": False}
        assert "days" not in line.facts


def test_every_calendar_of_the_demo_is_the_same_after_it_was_written() -> None:
    for calendar in city_file.load(DEFAULT_CITY).calendars.values():
        assert calendars.calendar_of(calendars.written(calendar)) == calendar
