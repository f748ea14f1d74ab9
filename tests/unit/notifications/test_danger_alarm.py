"""Danger that nobody has accepted rings for those on duty, once a turn, until somebody has."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import Scene, Town
from sqlalchemy import func, select

from city.audit import events
from city.cases import batches, transitions
from city.cases.transitions import Closing
from city.channels import PUSH, SMS
from city.config import city_file
from city.db import engine as db
from city.db.models import Batch, Case, DutyShift, Event, Message, Person, Subscription
from city.lifecycle import Refused
from city.notifications import danger_alarm, digests, fan_out
from city.operations import doctor
from city.people import accounts, duty
from city.reports import intake

pytestmark = pytest.mark.both_databases

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
HALF = 30 * MINUTE
NEW_YORK = ZoneInfo("America/New_York")
ENDPOINT = "https://updates.push.services.mozilla.com/"


def on_duty(scene: Scene, name: str = "dispatcher", hours: int = 20, channel: str = SMS) -> Subscription:
    """On duty, and rung: by text, or on a browser."""
    person, now = scene.s.get_one(Person, scene.town.ids[name]), scene.town.now
    duty.begin(scene.s, person, now + hours * HOUR, by=scene.actor(name), at=now)
    address = f"+1202555{person.id:04}" if channel == SMS else f"{ENDPOINT}{person.id}"
    way = Subscription(
        place=danger_alarm.place(person.id), channel=channel, address=address, lang="en", asked_at=now,
        confirmed_at=now,
    )  # fmt: skip
    scene.s.add(way)
    scene.s.flush()
    return way


def dangerous(town: Town, **more: Any) -> str:
    with town.at_work() as scene:
        return scene.report(danger=True, **more).case.number


def sweep(town: Town, after: timedelta, turn: timedelta = HALF, again: timedelta = HALF) -> int:
    return danger_alarm.sweep(town.engine, town.now + after, turn, again)


def rings(town: Town) -> list[int]:
    """For how many people each line of the log says that it rang."""
    with town.looking() as scene:
        asked = select(Event.facts).where(Event.kind == danger_alarm.RING).order_by(Event.seq)
        return [facts["people"] for facts in scene.s.scalars(asked)]


def messages(town: Town) -> int:
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
        asked = select(func.count()).select_from(Message).where(Message.kind == danger_alarm.KIND)
        return scene.s.scalar(asked) or 0


def test_it_rings_after_half_an_hour_and_again_until_somebody_accepts_it(town: Town) -> None:
    with town.at_work() as scene:
        on_duty(scene)
        scene.report()  # without danger: nobody is rung
    number = dangerous(town)
    found = [sweep(town, minutes * MINUTE) for minutes in (29, 30, 31, 59, 60, 61)]
    assert found == [0, 1, 0, 0, 1, 0]
    with town.at_work() as scene:
        at = town.now + 62 * MINUTE
        transitions.accept(scene.s, scene.case(number), by=scene.actor("dispatcher"), at=at)
    assert sweep(town, 5 * HOUR) == 0
    assert rings(town) == [1, 1]
    with town.looking() as scene:
        assert events.verify(scene.s) == []


def test_the_city_file_may_switch_it_off(town: Town) -> None:
    dangerous(town)
    assert sweep(town, 9 * HOUR, turn=timedelta(0)) == 0
    assert rings(town) == []


def test_two_workers_write_the_line_once(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    with town.at_work() as scene:
        on_duty(scene)
        for _ in range(12):
            scene.report(danger=True)
    both, look, calls = Barrier(2), danger_alarm._due, list[int]()

    def at_once(*asked: Any) -> Any:
        found = look(*asked)
        if len(asked) == 5:  # without ids: both have found the same cases before either holds one
            calls.append(len(found))
            both.wait(30)
        return found

    monkeypatch.setattr(danger_alarm, "_due", at_once)
    engines = [db.connect(town.settings.database_url) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        swept = list(
            pool.map(lambda engine: danger_alarm.sweep(engine, town.now + HOUR, HALF, HALF), engines)
        )
    for engine in engines:
        engine.dispose()
    assert (calls, sum(swept), len(rings(town))) == ([12, 12], 12, 12)


def _close(scene: Scene, case: Case, at: datetime) -> None:
    transitions.close(scene.s, case, Closing("not found"), by=scene.actor("dispatcher"), at=at)


def _merge(scene: Scene, case: Case, at: datetime) -> None:
    by = scene.actor("dispatcher")
    root = scene.report(at=at).case
    transitions.accept(scene.s, root, by=by, at=at)
    transitions.merge(scene.s, case, root, by=by, at=at)


def _assign(scene: Scene, case: Case, at: datetime) -> None:
    transitions.assign(scene.s, case, scene.crew("lights"), by=scene.actor("dispatcher"), at=at)


def _cancel(scene: Scene, case: Case, at: datetime) -> None:
    transitions.cancel(scene.s, case, "spam", by=scene.actor("dispatcher"), at=at)


def _wait(scene: Scene, case: Case, at: datetime) -> None:
    transitions.wait(scene.s, case, "parts", by=scene.actor("supervisor"), at=at)


@pytest.mark.parametrize("ends", [_close, _merge, _assign, _cancel, _wait])
def test_whatever_takes_it_on_or_ends_it_stops_it_and_what_is_on_its_way(town: Town, ends: Any) -> None:
    with town.at_work() as scene:
        on_duty(scene)
    number = dangerous(town)
    assert (sweep(town, HALF), messages(town)) == (1, 1)
    with town.looking() as scene:
        message = scene.s.scalars(select(Message).where(Message.kind == "danger")).one()
        assert fan_out.is_still_valid(scene.s, message)
    with town.at_work() as scene:
        ends(scene, scene.case(number), town.now + 31 * MINUTE)
    with town.looking() as scene:
        message = scene.s.scalars(select(Message).where(Message.kind == "danger")).one()
        assert not fan_out.is_still_valid(scene.s, message)
    assert sweep(town, 9 * HOUR) == 0


def test_what_a_resident_sends_back_rings_again_until_somebody_has_looked(town: Town) -> None:
    with town.at_work() as scene:
        on_duty(scene)
    number, at = dangerous(town), town.now + MINUTE
    with town.at_work() as scene:
        case = scene.case(number)
        transitions.accept(scene.s, case, by=scene.actor("dispatcher"), at=at)
        _close(scene, case, at)
        by = accounts.reporter(case.reports[0].id)
        transitions.reopen(scene.s, case, by=by, at=at + HOUR)
    assert [sweep(town, MINUTE + HOUR + minutes * MINUTE) for minutes in (29, 30, 40)] == [0, 1, 0]
    with town.at_work() as scene:
        at = town.now + 2 * HOUR
        transitions.reviewed(scene.s, scene.case(number), by=scene.actor("dispatcher"), at=at)
    assert sweep(town, 9 * HOUR) == 0
    with town.at_work() as scene:  # a person at the city reopens it: that one knows
        case, by = scene.case(number), scene.actor("dispatcher")
        _close(scene, case, town.now + 10 * HOUR)
        transitions.reopen(scene.s, case, by=by, at=town.now + 10 * HOUR)
    assert sweep(town, 12 * HOUR) == 0


def test_danger_told_of_an_accepted_case_counts_from_when_it_was_told(town: Town) -> None:
    with town.at_work() as scene:
        on_duty(scene)
        case = scene.report().case
        transitions.accept(scene.s, case, by=scene.actor("dispatcher"), at=town.now)
        number = case.number
    with town.at_work() as scene:
        scene.report(danger=True, join=number, at=town.now + HOUR)
        assert scene.case(number).urgent
    assert [sweep(town, HOUR + minutes * MINUTE) for minutes in (29, 30)] == [0, 1]


def test_an_acceptance_that_is_taken_back_rings_from_then_on(town: Town) -> None:
    with town.at_work() as scene:
        on_duty(scene)
    number = dangerous(town)
    with town.at_work() as scene:
        case, by = scene.case(number), scene.actor("dispatcher")
        was, at = transitions.snapshot(case), town.now + HOUR
        transitions.accept(scene.s, case, by=by, at=at)
        batches.keep_single(scene.s, case, "accept", {}, was, by=by, at=at)
        batch_id = scene.s.scalar(select(func.max(Batch.id))) or 0
        batches.undo(scene.s, batch_id, by=by, at=at + MINUTE)
        assert case.state == "new"
    assert [sweep(town, HOUR + minutes * MINUTE) for minutes in (30, 31)] == [0, 1]


def test_with_nobody_on_duty_it_is_said_once_and_whoever_comes_is_rung_at_once(town: Town) -> None:
    dangerous(town)
    assert [sweep(town, minutes * MINUTE) for minutes in (30, 60, 90)] == [1, 0, 0]
    assert (rings(town), messages(town)) == ([0], 0)
    with town.looking() as scene:
        found = doctor._danger(scene.s)
    assert (found.mark, found.words.startswith("No one could be alerted of 1 dangerous case: ")) == (
        "look",
        True,
    )
    with town.at_work() as scene:
        on_duty(scene, channel=PUSH)
    assert [sweep(town, minutes * MINUTE) for minutes in (91, 92, 121)] == [1, 0, 1]
    assert (rings(town), messages(town)) == ([0, 1, 1], 2)
    with town.looking() as scene:
        assert doctor._danger(scene.s).mark == "ok"


def test_only_those_on_duty_are_rung_each_on_all_they_set_up(town: Town) -> None:
    with town.at_work() as scene:
        way = on_duty(scene)
        scene.s.add(Subscription(
            place=way.place, channel=PUSH, address=f"{ENDPOINT}x", lang="en", asked_at=town.now,
            confirmed_at=town.now,
        ))  # fmt: skip
        unconfirmed, stopped = on_duty(scene, "supervisor"), on_duty(scene, "call-taker")
        unconfirmed.confirmed_at, stopped.stopped_at = None, town.now
        manager = scene.s.get_one(Person, town.ids["manager"])
        with pytest.raises(Refused, match="not_allowed"):
            duty.begin(scene.s, manager, town.now + HOUR, by=scene.actor("manager"), at=town.now)
    dangerous(town)
    assert (sweep(town, HALF), rings(town), messages(town)) == (1, [1], 2)


def test_a_duty_ends_by_itself_by_a_word_and_with_account_or_role(town: Town) -> None:
    with town.at_work() as scene:
        for name in ("dispatcher", "supervisor", "call-taker"):
            on_duty(scene, name)
        assert danger_alarm.reachable(scene.s, town.now + 19 * HOUR) == 3
        assert danger_alarm.reachable(scene.s, town.now + 20 * HOUR) == 0
        scene.s.get_one(Person, town.ids["dispatcher"]).disabled_at = town.now
        scene.s.get_one(Person, town.ids["call-taker"]).roles = []
        scene.s.flush()
        assert [person.id for person, _until in duty.listed(scene.s, town.now)] == [town.ids["supervisor"]]
        person = scene.s.get_one(Person, town.ids["supervisor"])
        assert duty.end(scene.s, person, by=scene.actor("supervisor"), at=town.now)
        assert not duty.end(scene.s, person, by=scene.actor("supervisor"), at=town.now)
        assert danger_alarm.reachable(scene.s, town.now) == 0
    with town.at_work() as scene:
        assert duty.sweep(scene.s, town.now + 21 * HOUR) == 2
        assert scene.s.scalars(select(DutyShift)).all() == []


def test_until_is_the_next_time_that_the_citys_clocks_say_so() -> None:
    noon = datetime(2026, 12, 2, 12, tzinfo=NEW_YORK)
    assert duty.read_until("18:00", noon, NEW_YORK) == noon + 6 * HOUR
    assert duty.read_until("06:30", noon, NEW_YORK) == noon + 18.5 * HOUR
    assert duty.read_until("12:00", noon, NEW_YORK) == noon + 24 * HOUR
    before_winter = datetime(2026, 10, 31, 18, tzinfo=NEW_YORK)
    found = duty.read_until("18:00", before_winter, NEW_YORK)
    assert found - before_winter <= 24 * HOUR
    for words in ("", "six", "25:00", "18:00+05:00", "99", "٦:٠٠"):
        with pytest.raises(Refused, match="bad_duty_time"):
            duty.read_until(words, noon, NEW_YORK)
    assert duty.proposed(noon, NEW_YORK) == noon + 6 * HOUR
    assert duty.proposed(noon + 5.5 * HOUR, NEW_YORK) == noon + 13 * HOUR


def test_an_imported_past_rings_nobody_and_a_digest_is_none_of_it(town: Town) -> None:
    with town.at_work() as scene:
        on_duty(scene)
        scene.report(danger=True).case.origin = "import"
    assert sweep(town, HOUR) == 0
    assert digests.queue_due(town.engine, town.now + 24 * HOUR, NEW_YORK) == 0


def test_a_number_counts_once_it_is_confirmed_and_the_one_before_it_is_forgotten(town: Town) -> None:
    with town.at_work() as scene:
        me = town.ids["dispatcher"]
        for words in ("", "12"):
            with pytest.raises(Refused, match="bad_phone"):
                danger_alarm.set_number(scene.s, me, words, "US", lang="en", at=town.now)
        row = danger_alarm.set_number(scene.s, me, "(202) 555-0142", "US", lang="en", at=town.now)
        assert (row.address, row.confirmed_at) == ("+12025550142", None)
        intake.confirm(scene.s, row, at=town.now)
        assert [way.id for way in danger_alarm.ways_of(scene.s, me)] == [row.id]
        intake.stop(scene.s, row, at=town.now)
        assert danger_alarm.ways_of(scene.s, me) == []
        assert danger_alarm.wish_ids(scene.s, me) == [row.id]


def test_the_switch_is_read_from_the_city_file(settings: Any, town: Town) -> None:
    whole = settings.city.read_text()
    read = city_file.parse(whole, "x.toml")
    assert (read.ring_after, read.ring_again) == (HALF, HALF)
    off = city_file.parse(whole.replace("ring_after = 30", "ring_after = 0"), "x.toml")
    assert off.ring_after == timedelta(0)
    assert replace(read, ring_after=HOUR).ring_after == HOUR
    for was, now in (("ring_after = 30", "ring_after = -1"), ("ring_again = 30", "ring_again = 4")):
        with pytest.raises(city_file.CityFileError, match=r"danger\.ring_"):
            city_file.parse(whole.replace(was, now), "x.toml")
