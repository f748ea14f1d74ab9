"""The records schedule: what is over goes, for good and everywhere, and no figure changes by it."""

import os
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factories import LAMP, SECRET, Town, texts
from sqlalchemy import event, func, select

from city.audit import counters, erasure_ledger, events
from city.cases import board_index, legal_holds, queries, tags, transitions
from city.cases import search as case_search
from city.cases.transitions import Closing
from city.config import city_file
from city.config.retention_schedule import Period, Schedule
from city.db import engine as db
from city.db.models import (
    Area,
    Caller,
    Case,
    Contact,
    Device,
    Erasure,
    Event,
    EventDetail,
    Message,
    Photo,
    Report,
    Subscription,
    SyncFeedRow,
    SyncOperation,
    Topic,
)
from city.lifecycle import Refused
from city.metrics import metrics, periods, publications
from city.notifications import fan_out, subscriptions
from city.operations import backup, restore
from city.people import callers, contacts
from city.people.contacts import Conversation
from city.photos import orphans, photos, storage
from city.photos.processing import Box
from city.privacy import caller_erasure, data_subjects, erasure, redaction, retention
from city.reports import calls, intake
from city.reports.calls import Call
from city.reports.intake import NewReport
from city.settings import Settings
from pwa import worker
from pwa.app import create_app

pytestmark = pytest.mark.both_databases

WORDS, MAIL, PHONE = "canary words", "canary@town.test", "+12035550142"
THREE_YEARS = Schedule(words=Period(years=3))
LATER = timedelta(days=4 * 366)


def half(west: float, east: float) -> dict[str, object]:
    ring = [[west, 39.5], [east, 39.5], [east, 39.7], [west, 39.7], [west, 39.5]]
    return {"type": "Polygon", "coordinates": [ring]}


@pytest.fixture(autouse=True)
def ground(town: Town) -> None:
    """Two neighborhoods that meet a few steps from LAMP; and what calls are about."""
    with town.at_work() as scene:
        scene.s.add(Topic(code="taxes", names={"en": "Taxes"}, department_code="works"))
        scene.s.add(Area(kind="area", name="West", geometry=half(-71.3, -71.20005)))
        scene.s.add(Area(kind="area", name="East", geometry=half(-71.20005, -71.1)))


def ended(town: Town, *, words: str = WORDS, outcome: str = "fixed", **changes: object) -> str:
    """A case that was told with words, photo and address, mended with a photo, and closed; its number."""
    with town.at_work() as scene:
        key = uuid.uuid4().hex
        by, crew = scene.actor("dispatcher"), scene.actor("rosa")
        sent = scene.photo(f"#{key[:6]}", f"form:{key}")
        case = scene.assigned(words=words, taken=[sent], key=key, **changes)
        told = case.reports[0]
        intake.confirm(scene.s, intake.subscribe(scene.s, told, MAIL, lang="en", at=town.now), at=town.now)
        intake.show(scene.s, told, by=by, at=town.now)
        tags.tag(scene.s, case, "canary tag", by=by, at=town.now)
        transitions.note(scene.s, case, f"{words} noted", by=by, at=town.now)
        transitions.close(
            scene.s,
            case,
            Closing(outcome, words=f"{words} told", photos=[scene.photo(f"#{key[-6:]}", f"person:{key}")]),
            by=crew,
            at=town.now,
        )
    photos.move_staged_to_storage(town.engine, storage.open_store(town.settings), town.settings.var, town.now)
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
    return case.number


def called(town: Town, words: str = "canary call", about: str | None = None) -> str:
    """A call that ended, `about` a case or a question; its key."""
    key = uuid.uuid4().hex
    said = Conversation(
        key, "phone", town.now - timedelta(minutes=1), 60, "taxes", "case" if about else "answered",
        words=words, case=about,
    )  # fmt: skip
    with town.at_work() as scene:
        caller = callers.record_call(scene.s, PHONE, lang="en", at=town.now)
        scene.s.flush()
        told = replace(said, caller_id=caller.id)
        contacts.log(scene.s, told, by=scene.actor("call-taker"), at=town.now)
    return key


def go(town: Town, schedule: Schedule = THREE_YEARS, after: timedelta = LATER) -> dict[str, int]:
    """How much went of each class that the schedule names."""
    at = town.now + after
    done = retention.carry_out(town.engine, town.settings.var, schedule, at)
    photos.purge_owed(town.engine, storage.open_store(town.settings), at)
    return {name: count for name, count in done.gone.items() if name != retention.FOLLOWERS}


def holding(town: Town, canary: str) -> list[str]:
    with town.looking() as scene:
        return sorted({name for name, value in texts(scene.s) if canary in value})


def facts(case: Case) -> tuple[object, ...]:
    return case.state, case.outcome, case.opened_at, case.due_at, case.closed_at, case.area_id


def test_a_tombstone_is_left_and_nothing_that_anybody_told(town: Town) -> None:
    number = ended(town)
    with town.looking() as scene:
        before = scene.case(number)
        told = facts(before)
    assert go(town) == {"words": 1}
    assert holding(town, "canary") == []
    assert not list(town.settings.var.rglob("*.jpg"))
    with town.looking() as scene:
        case = scene.case(number)
        assert facts(case) == told
        assert (case.address, case.lat, case.lon) == (LAMP.label, LAMP.lat, LAMP.lon)
        assert case.cleared_at == town.now + LATER
        assert scene.s.scalars(select(Photo)).all() == []
        for word in ("canary", "noted"):
            assert scene.s.scalars(case_search.ids(scene.s, case_search.terms(word), live=False)).all() == []
        assert [line.kind for line, _words in events.of(scene.s, transitions.subject(case))][-1] == "clear"
    with town.at_work() as scene:  # whoever only looks may not lock
        assert case_search.recompute(scene.s) == 0
    assert go(town) == {"words": 0}


def test_every_figure_is_the_same_before_and_after(town: Town) -> None:
    for outcome in ("fixed", "not found"):
        ended(town, outcome=outcome)
    called(town)
    city = city_file.load(town.settings.city)

    def figures() -> object:
        with town.looking() as scene:
            table = counters.Tally.__table__
            sums = scene.s.execute(select(table).order_by(*table.c)).all()
            year = periods.period("2026", town.now.date())
            pages = (metrics.line_metrics(scene.s, city, year), metrics.sla_metrics(scene.s, city, year))
            return sums, publications.of_month(scene.s, city, "2026-05"), [page.cells for page in pages]

    before = figures()
    go(town, Schedule(*[Period(days=30)] * 6, places="street"))
    assert figures() == before
    with db.transaction(town.engine) as s:
        assert board_index.recompute(s) == 0
    with town.looking() as scene:
        assert events.verify(scene.s) == board_index.differences(scene.s) == []
        assert events.erased(scene.s) > 0


def test_what_is_not_over_stays(town: Town) -> None:
    number = ended(town)
    with town.at_work() as scene:
        scene.report(words=WORDS)  # open: however old it is
    assert go(town, after=timedelta(days=3 * 365 - 2)) == {"words": 0}
    assert go(town) == {"words": 1}
    with town.looking() as scene:
        assert [r.words for r in scene.s.scalars(select(Report).order_by(Report.id))] == ["", WORDS]
        assert scene.case(number).cleared_at


def test_what_was_merged_ends_with_its_root(town: Town) -> None:
    number = ended(town)
    with town.at_work() as scene:
        twin, still = scene.report(words=WORDS).case, scene.report(words=WORDS).case
        open_root = scene.report(words=WORDS).case
        transitions.merge(scene.s, twin, scene.case(number), by=scene.actor("dispatcher"), at=town.now)
        transitions.merge(scene.s, still, open_root, by=scene.actor("dispatcher"), at=town.now)
        ids = twin.id, still.id
    assert go(town) == {"words": 2}
    with town.looking() as scene:
        assert scene.s.get_one(Case, ids[0]).cleared_at
        assert scene.s.get_one(Case, ids[1]).cleared_at is None


@pytest.mark.parametrize("name", ["words", "contacts"])
def test_whoever_follows_a_case_without_a_report_goes_with_it(town: Town, name: str) -> None:
    with town.at_work() as scene:
        case = scene.report(words=WORDS).case
        subscriptions.subscribe(
            scene.s, subscriptions.Target("case", case.number, case.id), MAIL, lang="en", at=town.now
        )
        transitions.cancel(scene.s, case, "test", by=scene.actor("dispatcher"), at=town.now)
    assert go(town, Schedule(**{name: Period(years=3)})) == {name: 1}
    assert holding(town, MAIL) == []


def test_a_cancelled_case_is_over_when_it_was_cancelled(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report(words=WORDS).case
        transitions.cancel(scene.s, case, "test", by=scene.actor("dispatcher"), at=town.now)
    assert go(town, after=timedelta(days=3 * 365)) == {"words": 0}
    assert go(town) == {"words": 1}


def test_private_cases_have_a_period_of_their_own(town: Town) -> None:
    ended(town)
    private = ended(town, service_code="nuisance")
    schedule = Schedule(words=Period(years=10), private=Period(years=1))
    assert go(town, schedule) == {"words": 0, "private": 1}
    with town.looking() as scene:
        assert scene.case(private).cleared_at
    assert go(town, Schedule(words=Period(years=3))) == {"words": 1}


def test_places_become_the_street_and_a_square_in_the_same_area(town: Town) -> None:
    number = ended(town, place=LAMP)
    with town.looking() as scene:
        was = scene.case(number)
    go(town, Schedule(words=Period(years=3), places="street"))
    with town.looking() as scene:
        case = scene.case(number)
        assert was.area_id
        assert (case.address, case.asset_id, case.area_id) == ("Tansy Street", None, was.area_id)
        assert (case.lat, case.lon) != (was.lat, was.lon)
        assert abs((case.lat or 0) - LAMP.lat) < 0.01
        assert board_index.differences(scene.s) == []
    assert holding(town, "214 Tansy") == []


@pytest.mark.parametrize(
    ("address", "left"),
    [
        ("214 Tansy Street", "Tansy Street"),
        ("Elm Street & Oak Avenue", "Elm Street & Oak Avenue"),
        ("14B 5th Street", "5th Street"),
        ("Rear of 12 Elm", ""),
        ("", ""),
    ],
)
def test_no_house_number_is_left(address: str, left: str) -> None:
    assert retention._street(address) == left


def test_a_case_on_hold_loses_nothing_until_it_is_lifted(town: Town) -> None:
    number = ended(town)
    key = called(town, about=number)
    schedule = Schedule(*[Period(days=30)] * 6)
    with town.at_work() as scene:
        assert scene.hold(scene.case(number))
        twin = scene.report(words=WORDS).case
        transitions.merge(scene.s, twin, scene.case(number), by=scene.actor("dispatcher"), at=town.now)
    assert sum(go(town, schedule).values()) == 0
    with town.at_work() as scene:
        told = scene.case(number).reports[0]
        with pytest.raises(Refused, match="on_hold"):
            intake.erase(
                scene.s, told, storage.open_store(town.settings), town.settings.var,
                by=scene.actor("dispatcher"), at=town.now,
            )  # fmt: skip
    with town.at_work() as scene:
        done = caller_erasure.forget(
            scene.s, (PHONE,), storage.open_store(town.settings), town.settings.var,
            by=scene.actor("administrator"), at=town.now,
        )  # fmt: skip
        assert done
        assert (done.calls, done.held) == (0, (number,))
    with town.at_work() as scene:
        assert callers.sweep(scene.s, town.now + LATER) == 0
        assert scene.s.scalars(select(Contact.caller_id).where(Contact.key == key)).one()
        assert legal_holds.lift(
            scene.s, scene.case(number), town.settings.var, by=scene.actor("manager"), at=town.now
        )
        assert not legal_holds.lift(
            scene.s, scene.case(number), town.settings.var, by=scene.actor("manager"), at=town.now
        )
    gone = go(town, schedule)
    assert (gone["contacts"], gone["words"], gone["calls"]) == (1, 2, 1)
    assert holding(town, "canary") == holding(town, PHONE) == []


def test_a_hold_that_is_placed_in_this_very_moment_counts(town: Town) -> None:
    number = ended(town)
    with town.at_work() as scene:
        twin = scene.report(words=WORDS).case
        transitions.merge(scene.s, twin, scene.case(number), by=scene.actor("dispatcher"), at=town.now)
    with ThreadPoolExecutor(1) as hands:
        with town.at_work() as scene:
            scene.hold(scene.case(number))
            scene.s.flush()
            clearing = hands.submit(go, town)
            town.await_waiting()
        assert clearing.result() == {"words": 0}
    assert holding(town, WORDS)


def _erase_report(town: Town, number: str) -> object:
    store, var = storage.open_store(town.settings), town.settings.var
    with town.at_work() as scene:
        told, by = scene.case(number).reports[0], scene.actor("dispatcher")
        return intake.erase(scene.s, told, store, var, by=by, at=town.now)


def _erase_person(town: Town, _number: str) -> object:
    city, store = city_file.load(town.settings.city), storage.open_store(town.settings)
    with town.at_work() as scene:
        found, by = data_subjects.find(scene.s, MAIL, city), scene.actor("administrator")
        return erasure.erase(scene.s, found, store, town.settings.var, by=by, at=town.now).held


def _forget_number(town: Town, _number: str) -> object:
    store, var = storage.open_store(town.settings), town.settings.var
    with town.at_work() as scene:
        by = scene.actor("administrator")
        done = caller_erasure.forget(scene.s, (PHONE,), store, var, by=by, at=town.now)
        return done and done.held


def _cover_photo(town: Town, number: str) -> object:
    store, var = storage.open_store(town.settings), town.settings.var
    with town.looking() as scene:
        photo, by = scene.case(number).reports[0].photos[0], scene.actor("dispatcher")
    covered = redaction.redact_copy(photo, [Box(0, 0, 50, 50)], store, var)
    return redaction.redact(town.engine, store, var, covered, by=by, at=town.now)


@pytest.mark.parametrize("way", [_erase_report, _erase_person, _forget_number, _cover_photo])
def test_a_hold_that_is_placed_on_its_root_in_this_very_moment_keeps_a_merged_case(
    town: Town, way: Callable[[Town, str], object]
) -> None:
    root, number = ended(town, words="Another's"), ended(town)
    key = called(town, about=number)
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        for each in (number, root):
            transitions.reopen(scene.s, scene.case(each), by=by, at=town.now)
        transitions.merge(scene.s, scene.case(number), scene.case(root), by=by, at=town.now)
        own = scene.s.scalars(select(Subscription).join(Report).where(Report.number == f"{root}-A"))
        own.one().address = "another@town.test"
    with ThreadPoolExecutor(1) as hands:
        with town.at_work() as scene:
            by, var = scene.actor("manager"), town.settings.var
            legal_holds.place(scene.s, scene.case(root), "Lawsuit", var, by=by, at=town.now)
            scene.s.flush()
            going = hands.submit(way, town, number)
            town.await_waiting()
        fault = going.exception(20)
        assert (fault.code if isinstance(fault, Refused) else going.result()) in ("on_hold", (number,))
    with town.looking() as scene:
        assert scene.case(number).reports[0].words == WORDS
        assert scene.s.scalars(select(Contact.caller_id).where(Contact.key == key)).one()


def test_a_hold_covers_what_its_case_took_in_before_it_was_merged_itself(town: Town) -> None:
    number = ended(town)
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        first, second = scene.report().case, scene.report().case
        transitions.merge(scene.s, first, second, by=by, at=town.now)
        scene.hold(second)
        transitions.merge(scene.s, second, scene.case(number), by=by, at=town.now)
        ids = [first.id, second.id, scene.case(number).id]
    with town.looking() as scene:
        assert legal_holds.held_case_ids(scene.s, ids) == set(ids[:2])
    assert go(town) == {"words": 1}


def test_what_is_taken_out_of_a_case_on_hold_stays_on_hold(town: Town) -> None:
    number, other = ended(town), ended(town)
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        apart, moved = scene.report(words=WORDS).case, scene.report(words=WORDS).case
        for twin in (apart, moved):
            transitions.merge(scene.s, twin, scene.case(number), by=by, at=town.now)
        scene.hold(scene.case(number))
        transitions.unmerge(scene.s, apart, by=by, at=town.now)
        transitions.merge(scene.s, moved, scene.case(other), by=by, at=town.now)
        transitions.unmerge(scene.s, moved, by=by, at=town.now)
        for twin in (apart, moved):
            with pytest.raises(Refused, match="on_hold"):
                intake.erase(
                    scene.s, twin.reports[0], storage.open_store(town.settings), town.settings.var,
                    by=by, at=town.now,
                )  # fmt: skip
            assert legal_holds.lift(scene.s, twin, town.settings.var, by=scene.actor("manager"), at=town.now)
    with town.looking() as scene:
        assert events.verify(scene.s) == []


def test_what_was_taken_out_since_the_backup_is_on_hold_after_a_restore(
    town: Town, tmp_path: Path, elsewhere: Settings
) -> None:
    number, bystander, var = ended(town), ended(town), town.settings.var
    with town.at_work() as scene:
        by, manager = scene.actor("dispatcher"), scene.actor("manager")
        twin = scene.report(words=WORDS).case.number
        transitions.merge(scene.s, scene.case(twin), scene.case(number), by=by, at=town.now)
        legal_holds.place(scene.s, scene.case(number), "Lawsuit", var, by=manager, at=town.now)
        legal_holds.place(scene.s, scene.case(bystander), "Another", var, by=manager, at=town.now)
    store = storage.open_store(town.settings)
    folder, _manifest = backup.make(town.engine, town.settings, store, tmp_path / "backups", at=town.now)
    later = town.now + timedelta(hours=1)
    with town.at_work() as scene:
        transitions.unmerge(scene.s, scene.case(twin), by=by, at=later)
    with town.at_work() as scene:
        legal_holds.lift(scene.s, scene.case(number), var, by=manager, at=later + timedelta(hours=1))
    kept_list = var / erasure_ledger.NAME
    assert len(kept_list.read_text().splitlines()) == 4
    restore.restore(
        elsewhere, folder, storage.open_store(elsewhere), over=False, lists=[kept_list], at=town.now + LATER
    )
    engine = db.connect(elsewhere.database_url)
    with db.read_session(engine) as s:
        found = {hold.case.number: hold.placed_at for hold in legal_holds.listed(s, 10)[0]}
        assert found == {bystander: town.now, twin: later}
    engine.dispose()


def test_a_hold_keeps_messages_that_were_about_to_go(town: Town) -> None:
    number = ended(town)
    schedule = Schedule(messages=Period(days=30))
    work, *_ = retention._works(schedule, town.settings.var, town.now + LATER)
    with town.at_work() as scene:
        for message in scene.s.scalars(select(Message)):
            message.next_try_at, message.sent_at = None, town.now
    with town.looking() as scene:
        found = retention._old_messages(scene.s, work)
    assert found
    with town.at_work() as scene:
        scene.hold(scene.case(number))
    with town.at_work() as scene:
        assert retention._forget_messages(scene.s, found, work) == 0


def test_a_number_told_at_what_was_merged_into_a_case_on_hold_stays(town: Town) -> None:
    number, twin = ended(town), ended(town)
    key = called(town, about=twin)
    with town.at_work() as scene:
        transitions.reopen(scene.s, scene.case(twin), by=scene.actor("dispatcher"), at=town.now)
        transitions.merge(
            scene.s, scene.case(twin), scene.case(number), by=scene.actor("dispatcher"), at=town.now
        )
        scene.hold(scene.case(number))
    with town.at_work() as scene:
        assert callers.sweep(scene.s, town.now + LATER) == 0
        assert scene.s.scalars(select(Contact.caller_id).where(Contact.key == key)).one()


def test_no_photo_of_a_case_on_hold_is_covered(town: Town) -> None:
    number = ended(town)
    store, var = storage.open_store(town.settings), town.settings.var
    with town.at_work() as scene:
        scene.hold(scene.case(number))
    with town.looking() as scene:
        photo, by = scene.case(number).reports[0].photos[0], scene.actor("dispatcher")
    covered = redaction.redact_copy(photo, [Box(0, 0, 50, 50)], store, var)
    with pytest.raises(Refused, match="on_hold"):
        redaction.redact(town.engine, store, var, covered, by=by, at=town.now)
    with town.looking() as scene:
        assert photos.read(store, var, scene.s.get_one(Photo, photo.id), "full")


@pytest.mark.parametrize(
    ("reason", "code"), [("", "hold_unnamed"), (" ​ ", "hold_unnamed"), ("x" * 501, "hold_too_long")]
)
def test_a_hold_needs_a_reason(town: Town, reason: str, code: str) -> None:
    with town.at_work() as scene, pytest.raises(Refused, match=code):
        legal_holds.place(
            scene.s, scene.report().case, reason, town.settings.var, by=scene.actor("manager"), at=town.now
        )


def test_only_managers_and_administrators_place_holds(town: Town) -> None:
    for name in ("dispatcher", "call-taker", "supervisor"):
        with town.at_work() as scene, pytest.raises(Refused, match="not_allowed"):
            legal_holds.place(
                scene.s, scene.report().case, "Lawsuit", town.settings.var, by=scene.actor(name), at=town.now
            )


def test_addresses_numbers_messages_and_phones_each_have_their_time(town: Town) -> None:
    number = ended(town)
    called(town)
    with town.at_work() as scene:
        scene.s.add(
            Device(id="d", token_hash="x", enrolled_at=town.now, seen_at=town.now, release="canary release")
        )
        for message in scene.s.scalars(select(Message)):
            message.next_try_at, message.sent_at = None, town.now
        assert scene.s.scalar(select(func.count()).select_from(Message))
    after = timedelta(days=200)
    assert go(town, Schedule(messages=Period(days=100)), after)["messages"] > 0
    assert go(town, Schedule(phones=Period(days=100)), after) == {"phones": 1}
    assert go(town, Schedule(calls=Period(days=100)), after) == {"calls": 1}
    assert go(town, Schedule(contacts=Period(days=100)), after) == {"contacts": 1}
    with town.looking() as scene:
        for table in (Message, Subscription, Caller):
            assert scene.s.scalars(select(table)).all() == []
        assert scene.case(number).reports[0].words == WORDS
        assert events.verify(scene.s) == []
    with town.at_work() as scene:  # whoever only looks may not lock
        assert case_search.recompute(scene.s) == 0
    assert holding(town, MAIL) == holding(town, "canary call") == holding(town, "canary release") == []


def test_a_dry_run_says_the_same_and_changes_nothing(town: Town) -> None:
    ended(town)
    called(town)
    schedule = Schedule(*[Period(days=30)] * 6)
    with town.looking() as scene:
        lines = scene.s.scalar(select(func.count()).select_from(Event))
        told = retention.due(scene.s, schedule, town.now + LATER)
        assert scene.s.scalar(select(func.count()).select_from(Event)) == lines
    assert holding(town, "canary")
    # An address that goes with its time is not there any more when the words go.
    assert go(town, schedule) | {"followers": 0} == told


def test_two_at_once_and_one_that_is_killed_do_each_case_once(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [ended(town) for _ in range(5)]
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    seen = []

    def killed(done: int, of: int) -> None:
        seen.append(done)
        raise KeyboardInterrupt

    at = town.now + LATER
    with pytest.raises(KeyboardInterrupt):
        retention.carry_out(town.engine, town.settings.var, THREE_YEARS, at, told=killed)
    assert seen == [2]
    together = threading.Barrier(2)

    def work(_n: int) -> int:
        together.wait()
        return retention.carry_out(town.engine, town.settings.var, THREE_YEARS, at).gone["words"]

    with ThreadPoolExecutor(2) as hands:
        assert sum(hands.map(work, range(2))) == 3
    photos.purge_owed(town.engine, storage.open_store(town.settings), at)
    assert holding(town, "canary") == []
    with town.looking() as scene:
        lines = scene.s.scalars(select(Event.subject).where(Event.kind == "clear")).all()
        assert len(lines) == len(set(lines)) == len(numbers)
        assert scene.s.scalars(select(Erasure).where(Erasure.gone_at.is_(None))).all() == []


def test_so_many_in_one_go_and_the_rest_in_the_next(town: Town) -> None:
    for _ in range(3):
        ended(town)
    done = retention.carry_out(town.engine, town.settings.var, THREE_YEARS, town.now + LATER, most=2)
    assert (done.gone["words"], done.left) == (2, 1)
    done = retention.carry_out(town.engine, town.settings.var, THREE_YEARS, town.now + LATER, most=2)
    assert (done.gone["words"], done.left) == (1, 0)


def test_a_phone_that_was_away_hears_that_it_is_done_with(town: Town) -> None:
    number = ended(town)
    go(town)
    with town.looking() as scene:
        row = scene.s.scalars(select(SyncFeedRow).where(SyncFeedRow.ref == number)).one()
        assert (row.present, row.why) == (False, "done")


@pytest.mark.parametrize(
    ("code", "review"), [("deposited", "author"), ("held", None), ("quarantined", "quarantined")]
)
def test_what_a_phone_sent_and_nobody_has_taken_goes_too(town: Town, code: str, review: str | None) -> None:
    number = ended(town)
    with town.at_work() as scene:
        scene.s.add(Device(id="d", token_hash="x", enrolled_at=town.now, seen_at=town.now))
        scene.s.flush()
        scene.s.add_all(
            SyncOperation(
                id=str(uuid.uuid4()), device_id="d", n=1, t="note", case_ref=ref, body_hash="", result={},
                raw="canary raw", code=code, review=review, received_at=town.now,
            )
            for ref in (number, "26-999999")
        )  # fmt: skip
    go(town)
    with town.looking() as scene:
        kept_raw = select(SyncOperation.case_ref).where(SyncOperation.raw.is_not(None))
        assert scene.s.scalars(kept_raw).all() == ["26-999999"]


def test_a_picture_that_another_case_shows_stays(town: Town) -> None:
    with town.at_work() as scene:
        scene.report(words="another", taken=[scene.photo("navy", "form:a")])
    with town.at_work() as scene:
        case = scene.assigned(taken=[scene.photo("navy", "form:b")])
        transitions.close(
            scene.s, case, Closing("fixed", no_photo="dark"), by=scene.actor("rosa"), at=town.now
        )
    store = storage.open_store(town.settings)
    photos.move_staged_to_storage(town.engine, store, town.settings.var, town.now)
    assert go(town) == {"words": 1}
    with town.looking() as scene:
        left = scene.s.scalars(select(Photo)).one()
        assert photos.read(store, town.settings.var, left, "full")


def test_a_restored_backup_is_cleared_again(town: Town, tmp_path: Path, elsewhere: Settings) -> None:
    ended(town)
    folder, _manifest = backup.make(
        town.engine, town.settings, storage.open_store(town.settings), tmp_path / "backups", at=town.now
    )
    go(town, Schedule(words=Period(years=3), places="street"))
    kept_list = town.settings.var / erasure_ledger.NAME
    assert "canary" not in kept_list.read_text()
    done = restore.restore(
        elsewhere, folder, storage.open_store(elsewhere), over=False, lists=[kept_list], at=town.now + LATER
    )
    assert done.erased_again == 1
    engine = db.connect(elsewhere.database_url)
    with db.read_session(engine) as s:
        assert not [name for name, value in texts(s) if "canary" in value or "214 Tansy" in value]
        assert events.verify(s) == board_index.differences(s) == []
    engine.dispose()
    assert not list(elsewhere.var.rglob("*.jpg"))


@pytest.mark.slow
def test_holds_of_after_the_backup_are_placed_and_lifted_again(
    town: Town, tmp_path: Path, elsewhere: Settings
) -> None:
    first, second, third, lifted = (ended(town) for _ in range(4))
    with town.at_work() as scene:
        by, var = scene.actor("manager"), town.settings.var
        legal_holds.place(scene.s, scene.case(lifted), "Lawsuit", var, by=by, at=town.now)
    folder, _manifest = backup.make(
        town.engine, town.settings, storage.open_store(town.settings), tmp_path / "backups", at=town.now
    )
    hour = timedelta(hours=1)
    with town.at_work() as scene:
        for number in (first, second, third):
            legal_holds.place(scene.s, scene.case(number), "canary Doe", var, by=by, at=town.now + hour)
        legal_holds.lift(scene.s, scene.case(lifted), var, by=by, at=town.now + hour)
        for number in (second, third):
            legal_holds.lift(scene.s, scene.case(number), var, by=by, at=town.now + 2 * hour)
        legal_holds.place(scene.s, scene.case(third), "canary Doe", var, by=by, at=town.now + 3 * hour)
    kept_list = var / erasure_ledger.NAME
    assert "canary" not in kept_list.read_text()
    for _again in range(2):  # it is no harm to be told twice
        done = restore.restore(
            elsewhere,
            folder,
            storage.open_store(elsewhere),
            over=True,
            lists=[kept_list],
            at=town.now + LATER,
        )
        assert (done.erased_again, done.held_again) == (0, 3)
    engine = db.connect(elsewhere.database_url)
    with db.read_session(engine) as s:
        found = {hold.case.number: hold for hold in legal_holds.listed(s, 10)[0]}
        assert set(found) == {first, third}
        assert (found[first].reason, found[first].placed_at) == ("", town.now + hour)
        assert found[first].placed_by_id is None
        assert events.verify(s) == []
    retention.carry_out(engine, elsewhere.var, THREE_YEARS, town.now + LATER)
    with db.read_session(engine) as s:
        cleared = s.scalars(select(Case.number).where(Case.cleared_at.is_not(None)))
        assert set(cleared) == {second, lifted}
    engine.dispose()
    assert len(erasure_ledger.read([elsewhere.var / erasure_ledger.NAME])) == 8 + 2  # for the next restore


def test_a_hold_that_came_to_nothing_is_in_no_list(town: Town) -> None:
    number, var = ended(town), town.settings.var

    def place_and_fail() -> None:
        with town.at_work() as scene:
            by = scene.actor("manager")
            assert legal_holds.place(scene.s, scene.case(number), "Lawsuit", var, by=by, at=town.now)
            raise KeyError

    with pytest.raises(KeyError):
        place_and_fail()
    assert not (var / erasure_ledger.NAME).exists()


def test_a_lift_whose_commit_fails_is_in_no_list(town: Town) -> None:
    number, var = ended(town), town.settings.var
    with town.at_work() as scene:
        by = scene.actor("manager")
        legal_holds.place(scene.s, scene.case(number), "Lawsuit", var, by=by, at=town.now)

    def fail(_session: object) -> None:
        raise KeyError

    def lift_and_fail() -> None:
        with town.at_work() as scene:
            assert legal_holds.lift(scene.s, scene.case(number), var, by=by, at=town.now + LATER)
            event.listen(scene.s, "before_commit", fail)

    with pytest.raises(KeyError):
        lift_and_fail()
    with town.looking() as scene:
        assert legal_holds.listed(scene.s, 10)[1] == 1
    assert [line.placed for line in erasure_ledger.read([var / erasure_ledger.NAME])] == [True]


def test_a_hold_is_lifted_though_the_list_cannot_say_so(
    town: Town, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    number, var = ended(town), town.settings.var
    with town.at_work() as scene:
        by = scene.actor("manager")
        legal_holds.place(scene.s, scene.case(number), "Lawsuit", var, by=by, at=town.now)

    def full(*_told: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as broken, town.at_work() as scene:
        broken.setattr(erasure_ledger, "append", full)
        assert legal_holds.lift(scene.s, scene.case(number), var, by=by, at=town.now + LATER)
    with town.looking() as scene:
        assert legal_holds.listed(scene.s, 10) == ([], 0)
    assert f"Lifting the hold of {number} couldn't be noted" in caplog.text


def test_no_other_case_that_has_the_number_is_put_on_hold_after_a_restore(town: Town) -> None:
    line = erasure_ledger.Held(ended(town), erasure_ledger.hashed("not its key"), True, town.now.isoformat())
    with town.at_work() as scene:
        assert not legal_holds.reapply_after_restore(scene.s, line, town.settings.var, at=town.now)
        assert legal_holds.listed(scene.s, 10) == ([], 0)


def test_no_other_case_that_has_the_number_is_cleared_after_a_restore(town: Town) -> None:
    number = ended(town, words="Another problem")
    line = erasure_ledger.Cleared(number, erasure_ledger.hashed("not its key"), "exact", town.now.isoformat())
    assert not retention.clear_again(town.engine, town.settings.var, [line], at=town.now)
    with town.looking() as scene:
        assert scene.case(number).cleared_at is None


def test_strangers_read_that_it_was_removed(town: Town) -> None:
    number = ended(town)
    go(town)
    with town.looking() as scene:
        sight = queries.public(scene.s, now=town.now + LATER, number=number)[0]
        assert (sight.cleared_at, sight.tellings) == (town.now + LATER, [])
        assert sight.proof
        assert sight.proof.words == ""


def test_a_case_that_lives_again_is_over_when_it_is_closed_again(town: Town) -> None:
    number = ended(town)
    go(town)
    later = town.now + LATER
    with town.at_work() as scene:
        by, case = scene.actor("dispatcher"), scene.case(number)
        transitions.reopen(scene.s, case, by=by, at=later, words="canary again")
        transitions.close(
            scene.s,
            case,
            Closing("not found", words="canary told again"),
            by=by,
            at=later + timedelta(hours=1),
        )
    assert go(town) == {"words": 0}
    assert go(town, after=2 * LATER) == {"words": 1}
    assert holding(town, "canary") == []


@pytest.mark.parametrize(
    ("words", "now", "before"),
    [
        (Period(years=3), datetime(2028, 2, 29, tzinfo=UTC), datetime(2025, 2, 28, tzinfo=UTC)),
        (Period(years=4), datetime(2028, 2, 28, tzinfo=UTC), datetime(2024, 2, 28, tzinfo=UTC)),
        (Period(days=90), datetime(2028, 3, 30, tzinfo=UTC), datetime(2027, 12, 31, tzinfo=UTC)),
    ],
)
def test_years_are_those_of_the_calendar(words: Period, now: datetime, before: datetime) -> None:
    assert words.before(now) == before


def test_a_call_and_its_report_are_forgotten_each_in_their_time(town: Town) -> None:
    key = uuid.uuid4().hex
    said = Conversation(key, "phone", town.now - timedelta(minutes=1), 60, "taxes", "case")
    with town.at_work() as scene:
        call = Call(said, PHONE, NewReport(key, "light-out", "phone", "en", WORDS, LAMP))
        calls.finish_call(scene.s, call, by=scene.actor("call-taker"), at=town.now, secret=SECRET)
        case = scene.s.scalars(select(Case)).one()
        transitions.close(scene.s, case, Closing("not found"), by=scene.actor("dispatcher"), at=town.now)
    assert go(town) == {"words": 1}
    assert holding(town, PHONE) == holding(town, "canary") == []
    with town.looking() as scene:
        assert scene.s.scalars(select(Contact)).one().caller_id is None
        assert scene.s.scalars(select(EventDetail)).all() == []


def test_what_the_backup_has_as_open_is_not_cleared_after_a_restore(town: Town) -> None:
    with town.at_work() as scene:
        told = scene.report(words=WORDS)
        line = erasure_ledger.Cleared(
            told.case.number, erasure_ledger.hashed(told.key), "exact", town.now.isoformat()
        )
    assert retention.clear_again(town.engine, town.settings.var, [line], at=town.now) == 0
    assert "reports.words" in holding(town, WORDS)


def test_the_worker_goes_on_by_the_minute_and_then_by_the_day(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        ended(town)
    monkeypatch.setattr(worker, "MOST_RECORDS", 2)
    app = create_app(town.settings)
    held = app.extensions["cityline"]
    held.city = replace(held.city, retention=THREE_YEARS)
    job, at = worker._Records(app), town.now + LATER
    left = []
    for minute in range(3):
        job(at + timedelta(minutes=minute))
        with town.looking() as scene:
            left.append(scene.s.scalar(select(func.count()).where(Case.cleared_at.is_(None))))
    assert left == [1, 0, 0]
    assert job.next_at == at + timedelta(days=1, minutes=1)
    held.engine.dispose()


def test_after_a_restore_there_is_time_to_place_again_the_holds_that_it_lost(town: Town) -> None:
    number = ended(town)
    app = create_app(town.settings)
    held = app.extensions["cityline"]
    held.city = replace(held.city, retention=THREE_YEARS)
    job, restored = worker._Records(app), town.now + LATER
    orphans.hold(town.settings.var)
    os.utime(town.settings.var / orphans.RESTORED, (restored.timestamp(), restored.timestamp()))
    for days, is_cleared in ((6, False), (8, True)):
        job(restored + timedelta(days=days))
        with town.looking() as scene:
            assert bool(scene.case(number).cleared_at) is is_cleared
    held.engine.dispose()
