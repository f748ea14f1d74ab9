"""The demo city: the same seed makes the same city, every state occurs, and the log of it is whole."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from pictures import assert_clean, opened
from PIL import ImageChops, ImageStat
from sqlalchemy import Engine, delete, func, select

from city.answers import articles, unanswered
from city.audit import events
from city.cases import board_index, sla
from city.config import business_hours, city_file
from city.db import engine as db
from city.db.models import (
    Address,
    Area,
    Article,
    Asset,
    Assignment,
    Base,
    Case,
    Closure,
    Contact,
    Event,
    ExpectedPhoto,
    Intersection,
    Message,
    Person,
    Photo,
    Report,
    Service,
    Street,
    SyncFeedRow,
    SyncOperation,
    Topic,
)
from city.demo import comparison, fill
from city.demo import desk as demo_desk
from city.demo import ground as demo_ground
from city.demo import photos as demo_photos
from city.geo import Point, distance
from city.lifecycle import CLOSED, OPEN, STATES, Refused
from city.notifications import fan_out
from city.people import accounts, callers, contacts
from city.photos import orphans, photos, storage
from city.photos.storage import FolderStore
from city.places import lookup
from city.settings import DEFAULT_CITY, Settings
from city.settings import read as read_settings
from sync import devices, operations, review
from sync.demo import field_work

SALTED = {"event_details.salt", "events.detail", "events.prev", "events.hash", "chain_tips.hash"}
NOW = datetime(2026, 5, 12, 13, 30, tzinfo=UTC)

pytestmark = pytest.mark.both_databases


@dataclass(frozen=True)
class City:
    """A filled database that no test changes."""

    engine: Engine
    settings: Settings


@pytest.fixture(scope="module")
def larkhaven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    settings = read_settings({"CITYLINE_VAR": str(tmp_path_factory.mktemp("larkhaven"))})
    db.migrate(settings.database_url)
    engine = db.connect(settings.database_url)
    fill.fill(engine, settings, 200, 311, NOW)
    field_work.fill(engine, settings, 311, NOW)
    yield City(engine, settings)
    engine.dispose()


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """Larkhaven with a fifth of its usual past."""
    settings = read_settings({"CITYLINE_VAR": str(tmp_path_factory.mktemp("years"))})
    db.migrate(settings.database_url)
    engine = db.connect(settings.database_url)
    fill.fill(engine, settings, 4000, 311, NOW)
    yield City(engine, settings)
    engine.dispose()


def test_the_ground_has_what_a_city_has(engine: Engine) -> None:
    with db.transaction(engine) as s:
        fill.ground(s)
        kinds = Counter(s.scalars(select(Area.kind)))
        assert (kinds["boundary"], kinds["area"], kinds["park"], kinds["water"]) == (1, 5, 1, 1)
        assert len(set(s.scalars(select(Street.name).where(Street.kind == "bridge")))) == 3
        assert (s.scalar(select(func.count()).select_from(Address)) or 0) > 4000
        assert Counter(s.scalars(select(Asset.kind))).keys() == {"pole", "tree", "basket"}
        assert len(set(s.scalars(select(Address.label)))) == s.scalar(
            select(func.count()).select_from(Address)
        )


def test_places_are_found_by_address_crossing_and_number(engine: Engine) -> None:
    with db.transaction(engine) as s:
        fill.ground(s)
        (address,) = lookup.find(s, "214 tansy st.")
        assert address.label == "214 Tansy Street"
        assert lookup.describe(s, address.point) == "214 Tansy Street"
        there, back = lookup.find(s, "Tansy St & Pell St"), lookup.find(s, "pell street and tansy street")
        assert there == back != []
        (pole,) = lookup.find(s, "pole 20-118")
        assert pole.source == "asset"
        assert not lookup.outside(s, address.point)
        assert lookup.outside(s, Point(40.71, -74.0))


def test_places_are_suggested_as_one_types(engine: Engine) -> None:
    with db.transaction(engine) as s:
        fill.ground(s)
        (mine,) = lookup.find(s, "214 Tansy Street")
        assert mine in lookup.suggest(s, "214 ta")
        assert lookup.suggest(s, "2", near=mine.point, limit=3)[0].label.startswith("2")
        assert lookup.suggest(s, " ") == lookup.suggest(s, "no such street") == []


def test_a_number_that_no_door_bears_lies_between_its_neighbours(engine: Engine) -> None:
    with db.transaction(engine) as s:
        fill.ground(s)
        assert not s.scalar(select(Address.id).where(Address.label == "212 Tansy Street"))
        for number in (212, 213):
            (place,) = lookup.find(s, f"{number} tansy street")
            (door,) = lookup.find(s, f"{number + 2} tansy street")
            assert 5 < distance(place.point, door.point) < 40
        assert [place.label for place in lookup.find(s, "city hall")] == ["City Hall"]
        assert lookup.find(s, "Tannery Hill")[0].vague
        addresses = s.execute(
            select(Address.label, Address.lat, Address.lon).where(Address.id % 50 == 0)
        ).all()
        s.execute(delete(Address))
        for label, lat, lon in addresses:
            by_range = [distance(Point(lat, lon), place.point) for place in lookup.find(s, label)]
            assert by_range, label
            assert min(by_range) < 30, label


@pytest.mark.slow
def test_everything_lies_inside_the_boundary(engine: Engine) -> None:
    with db.transaction(engine) as s:
        fill.ground(s)
        things: list[Address | Asset | Intersection] = [
            *s.scalars(select(Address).where(Address.id % 40 == 0)),
            *s.scalars(select(Asset).where(Asset.id % 40 == 0)),
            *s.scalars(select(Intersection)),
        ]
        assert not [thing for thing in things if lookup.outside(s, Point(thing.lat, thing.lon))]


@pytest.mark.slow
def test_the_same_seed_draws_the_same_city_and_another_one_other_trees() -> None:
    one, same, other = demo_ground.draw(311), demo_ground.draw(311), demo_ground.draw(312)
    assert one.things == same.things
    assert one.addresses == same.addresses == other.addresses
    assert one.things != other.things


@pytest.mark.slow
@pytest.mark.one_database  # PostgreSQL names a crew's jobs otherwise, as several may write there at once
def test_the_same_seed_tells_the_same_stories(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'twin.db'}"
    db.migrate(url)
    twin = db.connect(url)
    for each in (engine, twin):
        fill.fill(each, settings, 260, 7, NOW)
        field_work.fill(each, settings, 7, NOW)
    assert _stories(engine) == _stories(twin) != []
    assert _digests(engine) == _digests(twin)
    twin.dispose()


@pytest.mark.slow
def test_another_seed_tells_other_stories(larkhaven: City, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}"
    db.migrate(url)
    other = db.connect(url)
    fill.fill(other, larkhaven.settings, 200, 312, NOW)
    assert _stories(other) != _stories(larkhaven.engine)
    other.dispose()


@pytest.mark.slow
def test_two_hundred_cases_in_every_state_and_standing(larkhaven: City) -> None:
    with db.read_session(larkhaven.engine) as s:
        cases = s.scalars(select(Case)).all()
        assert sum(not case.service.office for case in cases) == 200
        assert {case.state for case in cases} == set(STATES)
        standings = Counter(sla.sla_status(case, NOW) for case in cases)
        assert min(standings[kind] for kind in ("ok", "risk", "late", "wait", "done")) >= 10
        assert sum(case.state in OPEN for case in cases) >= 100
        assert any(case.cycle > 1 for case in cases)
        assert all(case.opened_at <= NOW for case in cases)


def test_offices_have_some_to_answer_and_have_answered_more(larkhaven: City) -> None:
    with db.read_session(larkhaven.engine) as s:
        cases = s.scalars(select(Case).join(Service).where(Service.office)).all()
        assert {case.service_code for case in cases} == {"tax-question", "birth-record", "permit-status"}
        assert {case.state for case in cases} == {"new", "accepted", "waiting", "closed"}
        assert {"answered", "not ours", "no action"} == {case.outcome for case in cases if case.outcome}
        assert {"late", "wait", "done"} <= {sla.sla_status(case, NOW) for case in cases}
        assert all(case.lat is None and case.closures for case in cases if case.state == CLOSED)
        wishes = callers.contact_preferences(s, [case.reports[0].key for case in cases])
        assert len(wishes) == len(cases)


def test_reports_come_in_both_languages_and_a_third_with_a_photo(larkhaven: City) -> None:
    with db.read_session(larkhaven.engine) as s:
        reports = s.scalars(select(Report)).all()
        assert {report.lang for report in reports} == {"en", "es"}
        assert {report.channel for report in reports} == {"web", "phone", "crew", "api"}
        assert 0.25 < sum(bool(report.photos) for report in reports) / len(reports) < 0.6
        assert any(len(case.reports) > 1 for case in s.scalars(select(Case)))


def test_every_repair_has_evidence_and_every_photo_its_bytes(larkhaven: City) -> None:
    store = storage.open_store(larkhaven.settings)
    with db.read_session(larkhaven.engine) as s:
        proven = {(p.case_id, p.cycle) for p in s.scalars(select(Photo).where(Photo.cycle.is_not(None)))}
        awaited = set(s.scalars(select(ExpectedPhoto.closure_id).where(ExpectedPhoto.photo_id.is_(None))))
        for closing in s.scalars(select(Closure).where(Closure.outcome == "fixed")):
            shown = (closing.case_id, closing.cycle) in proven or closing.id in awaited
            assert shown != (closing.no_photo is not None)
        assert proven
        for photo in s.scalars(select(Photo).limit(12)):
            assert photo.case_id
            assert photos.read(store, larkhaven.settings.var, photo, "thumb")


@pytest.mark.slow
def test_no_bytes_are_in_the_store_that_no_photo_of_the_demo_needs(
    engine: Engine, settings: Settings
) -> None:
    fill.fill(engine, settings, 100, 311, NOW)
    later = datetime.now(UTC) + orphans.AGE + timedelta(minutes=1)
    found, names = orphans.count(engine, storage.open_store(settings), later)
    assert found == 0
    assert names > 50


@pytest.mark.slow
def test_the_log_is_whole_and_each_story_runs_forward(engine: Engine, settings: Settings) -> None:
    fill.fill(engine, settings, 60, 311, NOW)
    field_work.fill(engine, settings, 311, NOW)
    with db.read_session(engine) as s:
        assert events.verify(s) == []
        lines = s.execute(select(Event.subject, Event.at).order_by(Event.subject, Event.n)).all()
        assert list(lines) == sorted(lines, key=lambda line: (line.subject, line.at))
        assert max(line.at for line in lines if line.subject.startswith("case:")) <= NOW


@pytest.mark.slow
def test_the_cast_has_every_role_and_crew(larkhaven: City) -> None:
    with db.read_session(larkhaven.engine) as s:
        cast = {person.email: person for person in s.scalars(select(Person))}
        assert {role.role for person in cast.values() for role in person.roles} == {
            "dispatcher", "supervisor", "call-taker", "manager", "administrator", "crew",
        }  # fmt: skip
        assert [crew.name for crew in cast["crew1@demo.test"].crews] == ["Lights 2"]
        assert {crew.name for crew in cast["crew2@demo.test"].crews} == {"Trees 3", "Clean 1"}
        assert {crew.name for crew in cast["crew3@demo.test"].crews} == {"Wardens 4", "Works 5"}
        assert accounts.is_demo(s)


def test_a_database_with_people_is_left_alone(larkhaven: City) -> None:
    with pytest.raises(Refused, match="not_empty"):
        fill.fill(larkhaven.engine, larkhaven.settings)


def test_an_empty_database_is_no_demo(engine: Engine) -> None:
    with db.read_session(engine) as s:
        assert not accounts.is_demo(s)


@pytest.mark.slow
def test_two_years_look_like_those_of_real_cities(years: City) -> None:
    with db.read_session(years.engine) as s:
        measured = list(comparison.lines(s))
        assert len(measured) > 52
        assert [line for line in measured if not line.fits] == []
        assert "| measure | real | demo | tolerance |" in comparison.markdown(measured)


@pytest.mark.slow
def test_most_of_two_years_is_over_and_the_board_stays_in_sight(years: City) -> None:
    with db.read_session(years.engine) as s:
        cases = s.scalars(select(Case)).all()
        assert sum(not case.service.office for case in cases) == 4000
        still_open = [case for case in cases if case.state in OPEN]
        assert 120 <= len(still_open) <= 250
        assert min(Counter(sla.sla_status(case, NOW) for case in still_open).values()) >= 10
        assert any(case.lat is None for case in still_open)
        assert min(case.opened_at for case in cases) < NOW - timedelta(days=700)
        assert all(case.closed_at <= NOW for case in cases if case.closed_at)
        assert sorted(case.number for case in cases) == [
            case.number for case in sorted(cases, key=lambda case: (case.opened_at, case.id))
        ]
        assert events.verify(s) == []


@pytest.mark.slow
def test_a_crews_phone_is_not_told_of_jobs_done_long_ago(years: City) -> None:
    with db.read_session(years.engine) as s:
        shown = set(s.scalars(select(SyncFeedRow.ref).where(SyncFeedRow.present)))
        done = s.scalars(select(Case).where(Case.number.in_(shown), Case.state == CLOSED)).all()
        assert 0 < len(shown) < 400
        assert all(case.closed_at and case.closed_at > NOW - timedelta(days=1) for case in done)


def test_a_crews_phone_is_told_of_every_job_that_the_crew_has(years: City) -> None:
    """Also of those that came back after they were closed."""
    with db.read_session(years.engine) as s:
        given = select(Assignment.crew_id, Case.number, Case.cycle).join(Case, Case.id == Assignment.case_id)
        rows = s.execute(given.where(Assignment.ended_at.is_(None), Case.state.in_(OPEN)))
        jobs = {(f"crew:{crew_id}", number, cycle) for crew_id, number, cycle in rows}
        shown = {(row.scope, row.ref) for row in s.scalars(select(SyncFeedRow).where(SyncFeedRow.present))}
        assert {job for job in jobs if job[:2] not in shown} == set()
        assert any(cycle > 1 for _, _, cycle in jobs)


@pytest.mark.slow
def test_every_report_by_phone_has_its_conversation(years: City) -> None:
    with db.read_session(years.engine) as s:
        first = (NOW - timedelta(days=demo_desk.DAYS)).date().replace(day=1)
        since = datetime.combine(first, time(), city_file.load(DEFAULT_CITY).time_zone)
        calls = select(Report.case_id).where(Report.channel == "phone", Report.taken_at >= since)
        ended = select(Contact.case_id).where(Contact.outcome == "case")
        assert Counter(s.scalars(ended)) == Counter(s.scalars(calls)) != Counter()


def test_the_desk_has_answers_in_both_languages_and_contacts_of_every_kind(years: City) -> None:
    with db.read_session(years.engine) as s:
        known = articles.published(s)
        assert len(known) == 16
        for answer in known:
            said = articles.texts(s, answer)
            assert said.keys() == {"en", "es"}
            assert said["en"] != said["es"]
            assert len({words for text in said.values() for words in vars(text).values()}) == 6
        assert sorted(answer.version for answer in known) == [1] * 15 + [2]
        assert any(answer.review_on < NOW.date() for answer in known)
        rows = s.scalars(select(Contact)).all()
        assert {row.outcome for row in rows} == set(contacts.OUTCOMES)
        assert {row.channel for row in rows} == set(contacts.SPOKEN)
        assert {row.topic_code for row in rows} == set(s.scalars(select(Topic.code)))
        assert {row.origin for row in rows} == {"demo"}
        assert all(row.began_at + timedelta(seconds=row.seconds) <= NOW for row in rows)
        read = {row.answer_id for row in rows if row.outcome == "answered" and row.answer_id}
        assert read == {answer.id for answer in known}


def test_readers_found_answers_helpful_and_some_questions_have_none(years: City) -> None:
    with db.read_session(years.engine) as s:
        versions = {(answer.id, answer.version) for answer in articles.published(s)}
        assert articles.votes(s).keys() == versions
        questions, total = unanswered.open_questions(s)
        assert total == len(questions) == len(demo_desk.UNANSWERED)
        assert {question.lang for question in questions} == {"en", "es"}
        assert {bool(question.slug) for question in questions} == {True, False}
        assert all(question.first_at <= question.last_at <= NOW for question in questions)


def test_nobody_speaks_with_a_closed_line(years: City) -> None:
    line = city_file.load(years.settings.city).line
    assert line is not None
    with db.read_session(years.engine) as s:
        for channel, by_people in (("phone", True), ("counter", True), ("voicemail", False)):
            began = s.scalars(select(Contact.began_at).where(Contact.channel == channel).limit(150)).all()
            assert {business_hours.is_open(line, at) for at in began} == {by_people}


def test_every_figure_of_the_desk_can_be_had_from_the_log(years: City) -> None:
    with db.read_session(years.engine) as s:
        numbers = dict(s.execute(select(Case.id, Case.number)).all())
        slugs = dict(s.execute(select(Article.id, Article.slug)).all())
        lines = s.scalars(select(Event).where(Event.subject.like("contact:%"))).all()
        told = {int(line.subject.removeprefix("contact:")): (line.actor, line.facts) for line in lines}
        rows = s.scalars(select(Contact)).all()
        assert len(rows) == len(told) == len(lines) > 1000
        for row in rows:
            optional = {
                "case": row.case_id and numbers[row.case_id],
                "answer": row.answer_id and slugs[row.answer_id],
                "to": row.transferred_to,
                "instead": row.instead_of,
                "reply_by": row.reply_by if row.reply_by != "none" else None,
            }  # fmt: skip
            assert told[row.id] == (
                f"person:{row.person_id}",
                {
                    "channel": row.channel, "began_at": row.began_at.isoformat(), "seconds": row.seconds,
                    "topic": row.topic_code, "lang": row.lang, "outcome": row.outcome,
                }
                | {name: value for name, value in optional.items() if value},
            )  # fmt: skip


def test_the_crews_phones_sync_lie_silent_and_are_shut_out(larkhaven: City) -> None:
    with db.read_session(larkhaven.engine) as s:
        phones = devices.of_crews(s)
        assert {person.email for _, person in phones} == {f"crew{n}@demo.test" for n in (1, 2, 3)}
        in_use = [device for device, _ in phones if device.revoked_at is None]
        assert len(phones) == len(in_use) + 1 == 5
        assert sum(device.seen_at > NOW - timedelta(hours=2) for device in in_use) == 3
        (silent,) = [device for device in in_use if devices.is_silent(device, NOW)]
        assert silent.seen_at < NOW - timedelta(days=2)
        assert all(device.enrolled_at <= device.seen_at <= NOW for device, _ in phones)
        assert sum(devices.packed_at(device) == device.seen_at for device in in_use) == 3


def test_field_work_waits_for_somebody_to_look(larkhaven: City) -> None:
    with db.read_session(larkhaven.engine) as s:
        sent = review.to_look_at(s, 100)
        reasons = {each.row.review for each in sent}
        assert reasons >= {"revoked", "closed", "reassigned", "cancelled", "reopened", "quarantined"}
        assert any(each.may_count for each in sent)
        assert any(each.may_release for each in sent)
        assert any(each.photos for each in sent)
        assert all(each.case and each.row.received_at <= NOW for each in sent)
        assert all(each.entered_at <= each.row.received_at for each in sent if each.entered_at)
        assert s.scalar(select(SyncOperation.id).where(SyncOperation.code == "applied").limit(1))
        assert not set(s.scalars(select(ExpectedPhoto.fault))) - {None}


def test_two_crews_closed_one_case_differently(larkhaven: City) -> None:
    with db.read_session(larkhaven.engine) as s:
        (sent,) = [each for each in review.to_look_at(s, 100) if each.row.review == "closed"]
        case = sent.case
        assert case
        assert (case.outcome, sent.said["outcome"]) == ("not found", "fixed")
        assert case.closures[-1].crew
        assert sent.crew in ("Trees 3", "Clean 1")
        assert case.closures[-1].crew.name == "Works 5"
        assert sent.entered_at
        assert sent.entered_at < case.closures[-1].done_at < sent.row.received_at
        assert case.review == "closed"


def test_work_that_was_let_in_and_counted_is_done(engine: Engine, settings: Settings) -> None:
    """What is shown to be decided can be: each by its own button."""
    fill.fill(engine, settings, 200, 311, NOW)
    field_work.fill(engine, settings, 311, NOW)
    with db.transaction(engine) as s:
        supervisor = next(
            actor for actor in map(accounts.actor, s.scalars(select(Person))) if "supervisor" in actor.roles
        )
        for sent in review.to_look_at(s, 100):
            row = operations.locked(s, sent.row.id)
            assert row
            if sent.may_release:
                review.release(s, row, by=supervisor, at=NOW)
                assert row.code == "applied"
            elif sent.may_count:
                assert review.count_as_done(s, row, by=supervisor, at=NOW)
            else:
                assert review.dismiss(s, row, by=supervisor, at=NOW)
        assert review.count(s) == 0
    with db.read_session(engine) as s:
        assert events.verify(s) == []
        assert board_index.differences(s) == []


def test_residents_thank_and_send_back_with_words_and_a_photo(larkhaven: City) -> None:
    with db.read_session(larkhaven.engine) as s:
        kinds = Counter(s.scalars(select(Event.kind)))
        assert kinds["fixed confirmed"] >= 3
        said = s.scalars(select(Event).where(Event.kind == "not fixed")).all()
        assert any(line.photos for line in said)
        assert {line.facts["led_to"] for line in said} == {"reopened", "review"}
        (case,) = s.scalars(select(Case).where(Case.review == "sent back"))
        assert (case.state, case.cycle) == (CLOSED, 3)
        assert case.reports[0].channel in ("web", "phone")
        assert {line.origin for line in said} == {"demo"}


def test_the_log_says_who_reported_and_when_a_due_date_passed(larkhaven: City) -> None:
    with db.read_session(larkhaven.engine) as s:
        told = s.scalars(select(Event).where(Event.kind.in_(("report", "join")))).all()
        by_crews = {line.actor for line in told if line.facts["channel"] == "crew"}
        assert by_crews
        assert accounts.A_RESIDENT.name not in by_crews
        late = select(Case).where(Case.standing == "late", Case.due_at < NOW - timedelta(days=1))
        cases = s.scalars(late).all()
        assert cases
        for case in cases:
            lines = select(Event.at).where(
                Event.subject == events.of_case(case.id), Event.kind == "late", Event.origin == "demo"
            )
            assert s.scalars(lines).all() == [case.due_at]


def test_ready_replies_answer_residents_in_their_language(larkhaven: City) -> None:
    with db.read_session(larkhaven.engine) as s:
        known = {reply.code for reply in city_file.load(larkhaven.settings.city).replies}
        replies = [done.reply for done in s.scalars(select(Closure)) if done.reply]
        codes = {reply["code"] for reply in replies}
        assert {"record-sent", "permit-told", "tax-told", "not-reached", "nothing-there"} <= codes <= known
        assert all(reply["words"].keys() == {"en", "es"} and reply["policy"] == 1 for reply in replies)


def test_letters_went_out_and_two_did_not_arrive(larkhaven: City) -> None:
    with db.read_session(larkhaven.engine) as s:
        letters = s.scalars(select(Message)).all()
        assert {letter.kind for letter in letters} == {"confirmed", "closed", "reopened"}
        assert all(letter.sent_at <= NOW for letter in letters if letter.sent_at)
        waits, gone = sorted(
            (letter for letter in letters if not letter.sent_at),
            key=lambda letter: letter.next_try_at is None,
        )
        assert waits.next_try_at
        assert waits.next_try_at > NOW
        assert waits.fault
        assert gone.fault
        assert "550" in gone.fault
        assert all(letter.subscription.address.endswith("@mail.test") for letter in letters)


def test_the_worker_writes_to_nobody_about_the_invented_past(engine: Engine, settings: Settings) -> None:
    fill.fill(engine, settings, 200, 311, NOW)
    field_work.fill(engine, settings, 311, NOW)
    with db.transaction(engine) as s:
        known = s.scalar(select(func.count(Message.id)))
        while fan_out.process_events(s, NOW):
            pass
        s.flush()
        assert s.scalar(select(func.count(Message.id))) == known


def _digests(engine: Engine) -> dict[str, str]:
    """What every table holds, but for the salts of the log and what is hashed from them."""
    found = {}
    with db.read_session(engine) as s:
        for table in Base.metadata.sorted_tables:
            columns = [column for column in table.columns if f"{table.name}.{column.name}" not in SALTED]
            rows = sorted(str(tuple(row)) for row in s.execute(select(*columns)))
            found[table.name] = hashlib.sha256("".join(rows).encode()).hexdigest()
    return found


def _stories(engine: Engine) -> list[Any]:
    with db.read_session(engine) as s:
        told = s.execute(
            select(Event.subject, Event.kind, Event.at, Event.facts, Event.photos, Event.actor).order_by(
                Event.seq
            )
        )
        return [tuple(map(str, row)) for row in told]


@pytest.mark.slow
def test_a_picture_has_many_photos_that_no_eye_tells_apart(tmp_path: Path) -> None:
    store, album = FolderStore(tmp_path), demo_photos.Album()
    drawn = [path.stem for path in demo_photos.PICTURES.glob("*.jpg")]
    for name in drawn:
        made = [album.take(name) for _ in range(demo_photos.VARIANTS)]
        assert len({photo.jpegs["full"] for photo in made}) == demo_photos.VARIANTS
        first, last = opened(made[0].jpegs["full"]), opened(made[-1].jpegs["full"])
        assert max(ImageStat.Stat(ImageChops.difference(first, last)).mean) < 0.5
        assert_clean(made[-1].jpegs["full"])
    album.put(store)
    assert len(list(store.names())) >= len(drawn) * demo_photos.VARIANTS
