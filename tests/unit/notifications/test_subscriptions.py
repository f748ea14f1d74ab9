"""Following without a report: what may be followed, who hears of what, and what a morning's digest costs."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import LAMP, Scene, Town, statements
from sqlalchemy import select

from city.cases import legal_holds, transitions
from city.cases.transitions import Closing
from city.config import city_file
from city.config.retention_schedule import Period, Schedule
from city.db.models import Area, Case, Event, Message, Street, Subscription
from city.geo import Point, rounded
from city.lifecycle import Refused
from city.notifications import digests, fan_out, subscriptions
from city.notifications.subscriptions import Target
from city.photos import storage
from city.places import areas
from city.privacy import data_subjects, erasure, record_export, retention
from city.reports import intake
from pwa import worker
from pwa.app import create_app

pytestmark = pytest.mark.both_databases

ZONE = ZoneInfo("America/New_York")
# A Wednesday, eight in the morning by the city's clocks.
MORNING = datetime(2026, 5, 13, 12, tzinfo=UTC)
WEST = {
    "type": "Polygon",
    "coordinates": [[[-71.3, 39.5], [-71.15, 39.5], [-71.15, 39.7], [-71.3, 39.7], [-71.3, 39.5]]],
}
ELSEWHERE = replace(LAMP, lat=39.6, lon=-71.12, label="7 Elm Avenue")


@pytest.fixture(autouse=True)
def ground(town: Town) -> None:
    """Two streets, and an area in which LAMP lies."""
    with town.at_work() as scene:
        for name, lon in (("Tansy Street", -71.2), ("Elm Avenue", -71.12)):
            scene.s.add(Street(name=name, line=[[lon, 39.59], [lon, 39.61]], kind="street"))
        scene.s.add(Area(kind="area", name="Old Mill", geometry=WEST))


def wanted(town: Town, kind: str, name: str, email: str = "ana@town.test", **how: Any) -> Subscription:
    """A confirmed wish."""
    with town.at_work() as scene:
        about = found(scene, kind, name)
        assert about, name
        row = subscriptions.subscribe(scene.s, about, email, lang="en", at=town.now, **how)
        row.confirmed_at = town.now
        return row


def found(scene: Scene, kind: str, name: str) -> Target | None:
    return {"case": subscriptions.case, "area": subscriptions.area, "street": subscriptions.street}[kind](
        scene.s, name
    )


def reported(town: Town, **told: Any) -> Case:
    with town.at_work() as scene:
        return scene.report(**told).case


def do(town: Town, verb: Any, case: Case, *also: Any, **how: Any) -> None:
    with town.at_work() as scene:
        mine = scene.s.get_one(Case, case.id)
        verb(scene.s, mine, *also, by=scene.actor("dispatcher"), at=town.now, **how)


def close(town: Town, case: Case, **how: Any) -> None:
    do(town, transitions.close, case, closing=Closing("fixed", no_photo="dark"), **how)


def listen(town: Town) -> list[tuple[str, str]]:
    """Whom the worker tells of what, by its reading of the log."""
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
    return waiting(town)


def waiting(town: Town) -> list[tuple[str, str]]:
    with town.looking() as scene:
        rows = select(Message).where(Message.kind != "receipt").order_by(Message.id)
        return [(each.subscription.address, each.kind) for each in scene.s.scalars(rows)]


def forgotten(town: Town, days: int, contacts: Period | None = None) -> int:
    """How many addresses the worker forgets so many days later, beside what the records schedule names."""
    schedule, at = Schedule(contacts=contacts), town.now + timedelta(days=days)
    return retention.carry_out(town.engine, town.settings.var, schedule, at).gone[retention.FOLLOWERS]


def digest(town: Town, at: datetime = MORNING) -> list[dict[str, Any]]:
    """What this morning's letters tell of."""
    with town.looking() as scene:
        last = scene.s.scalars(select(Message.id).order_by(Message.id.desc())).first() or 0
    digests.queue_due(town.engine, at, ZONE)
    with town.looking() as scene:
        return [m.cases for m in scene.s.scalars(select(Message).where(Message.id > last)) if m.cases]


def test_a_follower_of_a_case_hears_of_its_steps_in_one_letter_and_of_its_end(town: Town) -> None:
    case = reported(town)
    wanted(town, "case", case.number)
    do(town, transitions.accept, case)
    with town.at_work() as scene:
        mine, crew = scene.s.get_one(Case, case.id), scene.crew("lights")
        transitions.assign(scene.s, mine, crew, by=scene.actor("dispatcher"), at=town.now)
    assert listen(town) == [("ana@town.test", "changed")]
    with town.looking() as scene:
        (message,) = scene.s.scalars(select(Message).where(Message.kind == "changed"))
        assert message.next_try_at == town.now + fan_out.SETTLES
    close(town, case)
    assert listen(town)[1:] == [("ana@town.test", "closed")]
    with town.looking() as scene:
        held = {m.kind: fan_out.is_still_valid(scene.s, m) for m in scene.s.scalars(select(Message))}
    assert not held["changed"], "its closing has a letter of its own"
    assert held["closed"]


def test_whoever_reported_it_and_follows_it_too_hears_once(town: Town) -> None:
    case = reported(town)
    with town.at_work() as scene:
        (report,) = scene.s.get_one(Case, case.id).reports
        intake.subscribe(scene.s, report, "ana@town.test", lang="en", at=town.now).confirmed_at = town.now
    wanted(town, "case", case.number)
    close(town, case)
    assert listen(town) == [("ana@town.test", "closed")]


def test_followers_of_a_merged_case_follow_the_one_that_carries_on_until_it_is_separated(town: Town) -> None:
    case, root = reported(town), reported(town)
    wanted(town, "case", case.number)
    with town.at_work() as scene:
        mine, into = scene.s.get_one(Case, case.id), scene.s.get_one(Case, root.id)
        transitions.merge(scene.s, mine, into, by=scene.actor("dispatcher"), at=town.now)
    assert listen(town) == [("ana@town.test", "changed")]
    close(town, root)
    assert listen(town)[1:] == [("ana@town.test", "closed")]
    do(town, transitions.unmerge, case)
    do(town, transitions.reopen, root)
    assert listen(town)[2:] == [], "the other case is another one again"


def test_an_imported_past_tells_no_follower(town: Town) -> None:
    case = reported(town)
    wanted(town, "case", case.number)
    wanted(town, "street", "Tansy Street")
    do(town, transitions.accept, case, origin="import")
    close(town, case, origin="import")
    assert listen(town) == []
    assert digest(town) == []


def test_a_private_case_is_not_followed_and_no_place_tells_of_it(town: Town) -> None:
    private = reported(town, service_code="nuisance")
    with town.looking() as scene:
        assert subscriptions.case(scene.s, private.number) is None
    wanted(town, "area", "Old Mill")
    reported(town, service_code="nuisance")
    assert digest(town) == []


def test_the_same_wish_twice_is_one_and_asks_once(town: Town) -> None:
    case = reported(town)
    with town.at_work() as scene:
        about = subscriptions.case(scene.s, case.number)
        assert about
        rows = [
            subscriptions.subscribe(scene.s, about, a, lang="en", at=town.now)
            for a in ("a@b.test", "A@B.test")
        ]
        assert rows[0] is rows[1]
    with town.looking() as scene:
        assert len(scene.s.scalars(select(Event).where(Event.kind == "subscribe")).all()) == 1


def test_two_taps_at_once_are_one_wish(town: Town) -> None:
    def tap(scene: Scene) -> None:
        about = subscriptions.area(scene.s, "Old Mill")
        assert about
        subscriptions.subscribe(scene.s, about, "ana@town.test", lang="en", at=town.now)

    def another() -> None:
        with town.at_work() as scene:
            tap(scene)

    with ThreadPoolExecutor(1) as pool:
        with town.at_work() as scene:
            tap(scene)
            second = pool.submit(another)
            town.await_waiting()
        second.result(60)
    with town.looking() as scene:
        assert len(scene.s.scalars(select(Subscription)).all()) == 1
        assert len(scene.s.scalars(select(Event).where(Event.kind == "subscribe")).all()) == 1


def test_nobody_fills_somebody_elses_mailbox_with_questions(town: Town) -> None:
    for _ in range(subscriptions.MOST_OPEN_QUESTIONS):
        case = reported(town)
        with town.at_work() as scene:
            about = subscriptions.case(scene.s, case.number)
            assert about
            subscriptions.subscribe(scene.s, about, "victim@town.test", lang="en", at=town.now)
    last = reported(town)
    with town.at_work() as scene:
        about = subscriptions.case(scene.s, last.number)
        assert about
        with pytest.raises(Refused, match="asked_too_often"):
            subscriptions.subscribe(scene.s, about, "victim@town.test", lang="en", at=town.now)
        later = town.now + timedelta(hours=2)
        assert subscriptions.subscribe(scene.s, about, "victim@town.test", lang="en", at=later)


@pytest.mark.parametrize("name", ["Tansy Street", "tansy st", "TANSY ST."])
def test_a_street_is_followed_by_any_way_to_write_it(town: Town, name: str) -> None:
    assert wanted(town, "street", name).place == "street:tansy street"
    case = reported(town)
    assert digest(town) == [{"opened": [case.id], "closed": [], "all": 1}]


@pytest.mark.parametrize(
    ("address", "streets"),
    [
        ("214 Tansy Street", ["tansy street"]),
        ("214-216 Tansy St, Apt 2", ["tansy street"]),
        ("near 214 Tansy Street", ["tansy street"]),
        ("about 40 m from 12 Elm Ave", ["elm avenue"]),
        ("Tansy Street at Elm Avenue", ["elm avenue", "tansy street"]),
        ("Tansy Street & Elm Avenue", ["elm avenue", "tansy street"]),
        ("", []),
    ],
)
def test_an_address_is_on_the_streets_that_it_names(address: str, streets: list[str]) -> None:
    assert sorted(subscriptions.places_of(address, None)) == [f"street:{name}" for name in streets]


@pytest.mark.parametrize("name", ["", "Tanzy Street", "Street", "x" * 5000, "Old Mill"])
def test_no_other_street_is_followed_for_one_that_is_not_there(town: Town, name: str) -> None:
    with town.looking() as scene:
        assert subscriptions.street(scene.s, name) is None


def test_a_morning_tells_of_the_area_what_is_new_and_what_was_closed(town: Town) -> None:
    old = reported(town)
    wanted(town, "area", "Old Mill")
    new, both, again = reported(town), reported(town), reported(town)
    reported(town, place=ELSEWHERE)
    close(town, old)
    close(town, both)
    close(town, again)
    do(town, transitions.reopen, again)
    assert digest(town) == [{"opened": [again.id, new.id], "closed": [both.id, old.id], "all": 4}]
    assert digest(town) == [], "once a morning"
    assert digest(town, MORNING + timedelta(days=1)) == [], "nothing on empty days"


def test_nothing_goes_out_before_seven_and_weekly_ones_on_mondays_only(town: Town) -> None:
    wanted(town, "area", "Old Mill")
    wanted(town, "street", "Tansy Street", weekly=True)
    reported(town)
    assert digest(town, MORNING - timedelta(hours=2)) == []
    assert len(digest(town)) == 1
    assert len(digest(town, MORNING + timedelta(days=5))) == 1


def test_who_stopped_or_never_confirmed_gets_none(town: Town) -> None:
    with town.at_work() as scene:
        about = subscriptions.area(scene.s, "Old Mill")
        assert about
        subscriptions.subscribe(scene.s, about, "never@town.test", lang="en", at=town.now)
    row = wanted(town, "area", "Old Mill")
    with town.at_work() as scene:
        intake.stop(scene.s, scene.s.get_one(Subscription, row.id), at=town.now)
    reported(town)
    assert digest(town) == []
    with town.at_work() as scene:
        intake.confirm(scene.s, scene.s.get_one(Subscription, row.id), at=town.now)
    assert digest(town) == [], "what happened before it was confirmed is past"


def test_a_case_names_the_street_and_area_around_it(town: Town) -> None:
    case = reported(town)
    with town.looking() as scene:
        about = subscriptions.case(scene.s, case.number)
        assert about
        near = subscriptions.streets_near(scene.s, about)
    assert [(each.kind, each.name) for each in near] == [("street", "Tansy Street"), ("area", "Old Mill")]


def test_a_coarse_place_is_told_in_the_area_where_strangers_see_it(town: Town) -> None:
    edge = subscriptions.Preview(1, "new", "", 7, 39.6, -71.1501, 5000)
    with town.looking() as scene:
        ground = areas.known(scene.s)
        there = ground.of(rounded(Point(39.6, -71.1501), 5000))
        assert subscriptions.area_id(ground, edge) == there
        assert subscriptions.area_id(ground, edge._replace(precision_m=0)) == 7


@pytest.mark.slow
def test_a_thousand_followers_cost_no_more_statements_than_one(town: Town) -> None:
    def run(followers: range, at: datetime) -> int:
        with town.at_work() as scene:
            about = subscriptions.area(scene.s, "Old Mill")
            assert about
            scene.s.add_all(
                Subscription(
                    place=about.place, place_name=about.name, address=f"ana{n}@town.test", lang="en",
                    asked_at=town.now, confirmed_at=town.now, told_seq=subscriptions.newest(scene.s),
                )
                for n in followers
            )  # fmt: skip
        with town.at_work() as scene:
            for _ in range(5):
                scene.report()
        with statements(town.engine) as sent:
            made = digests.queue_due(town.engine, at, ZONE)
        assert made == followers.stop
        return len([each for each in sent if not each.startswith(("BEGIN", "SAVEPOINT"))])

    one = run(range(1), MORNING)
    many = run(range(1, 1000), MORNING + timedelta(days=1))
    print(f"{many} statements for 1000 followers, {one} for one")
    assert many <= one + 3
    assert many <= 15


def test_forgotten_a_month_after_nobody_confirmed_it(town: Town) -> None:
    case = reported(town)
    with town.at_work() as scene:
        for about in (
            subscriptions.street(scene.s, "Tansy Street"),
            subscriptions.case(scene.s, case.number),
        ):
            assert about
            subscriptions.subscribe(scene.s, about, "never@town.test", lang="en", at=town.now)
    wanted(town, "case", case.number)
    listen(town)
    assert [forgotten(town, days) for days in (29, 31)] == [0, 2]
    with town.looking() as scene:
        assert [row.address for row in scene.s.scalars(select(Subscription))] == ["ana@town.test"]


@pytest.mark.parametrize(("contacts", "days"), [(None, 30), (Period(days=100), 100)])
def test_who_follows_a_place_no_more_is_forgotten_when_the_city_file_says(
    town: Town, contacts: Period | None, days: int
) -> None:
    row = wanted(town, "area", "Old Mill")
    wanted(town, "street", "Tansy Street")
    with town.at_work() as scene:
        intake.stop(scene.s, scene.s.get_one(Subscription, row.id), at=town.now)
    listen(town)
    assert [forgotten(town, days - 1, contacts), forgotten(town, days + 1, contacts)] == [0, 1]
    with town.looking() as scene:
        assert [row.place_name for row in scene.s.scalars(select(Subscription))] == ["Tansy Street"]


def test_whoever_stopped_long_ago_and_asks_again_may_still_say_yes(town: Town) -> None:
    row = wanted(town, "area", "Old Mill")
    with town.at_work() as scene:
        intake.stop(scene.s, scene.s.get_one(Subscription, row.id), at=town.now)
        about = subscriptions.area(scene.s, "Old Mill")
        assert about
        subscriptions.subscribe(scene.s, about, row.address, lang="en", at=town.now + timedelta(days=400))
    assert [forgotten(town, days) for days in (401, 429, 431)] == [0, 0, 1]


def test_who_follows_a_case_is_kept_for_as_long_as_who_told_of_it(town: Town) -> None:
    case = reported(town)
    row = wanted(town, "case", case.number)
    with town.at_work() as scene:
        told = scene.case(case.number).reports[0]
        intake.confirm(
            scene.s, intake.subscribe(scene.s, told, "bo@town.test", lang="en", at=town.now), at=town.now
        )
    close(town, case)
    listen(town)
    with town.at_work() as scene:
        intake.stop(scene.s, scene.s.get_one(Subscription, row.id), at=town.now)
    assert forgotten(town, 10_000) == 0

    def left(days: int) -> list[str]:
        schedule, at = Schedule(contacts=Period(days=days)), town.now + timedelta(days=200)
        retention.carry_out(town.engine, town.settings.var, schedule, at)
        with town.looking() as scene:
            return sorted(row.address for row in scene.s.scalars(select(Subscription)))

    assert left(days=201) == ["ana@town.test", "bo@town.test"]
    assert left(days=199) == []


def test_a_hold_keeps_the_addresses_of_those_who_follow(town: Town) -> None:
    case, root = reported(town), reported(town)
    wanted(town, "case", case.number)
    with town.at_work() as scene:
        about = subscriptions.case(scene.s, case.number)
        assert about
        subscriptions.subscribe(scene.s, about, "never@town.test", lang="en", at=town.now)
        by, manager = scene.actor("dispatcher"), scene.actor("manager")
        legal_holds.place(
            scene.s, scene.case(root.number), "Lawsuit", town.settings.var, by=manager, at=town.now
        )
        transitions.merge(scene.s, scene.case(case.number), scene.case(root.number), by=by, at=town.now)
        transitions.close(scene.s, scene.case(root.number), Closing("not found"), by=by, at=town.now)
    listen(town)
    schedule = Schedule(contacts=Period(days=30), words=Period(days=30))
    city, store = city_file.load(town.settings.city), storage.open_store(town.settings)

    def left() -> int:
        forgotten(town, 100)
        retention.carry_out(town.engine, town.settings.var, schedule, town.now + timedelta(days=100))
        with town.looking() as scene:
            return len(scene.s.scalars(select(Subscription)).all())

    assert left() == 2
    with town.at_work() as scene:
        found, by = data_subjects.find(scene.s, "ana@town.test", city), scene.actor("administrator")
        gone = erasure.erase(scene.s, found, store, town.settings.var, by=by, at=town.now)
        assert gone.held == (case.number,)
    assert left() == 2
    with town.at_work() as scene:
        legal_holds.lift(
            scene.s, scene.case(root.number), town.settings.var, by=scene.actor("manager"), at=town.now
        )
    assert left() == 0


def test_a_hold_that_is_placed_in_this_very_moment_keeps_who_never_confirmed(town: Town) -> None:
    case = reported(town)
    with town.at_work() as scene:
        about = subscriptions.case(scene.s, case.number)
        assert about
        subscriptions.subscribe(scene.s, about, "never@town.test", lang="en", at=town.now)
    with ThreadPoolExecutor(1) as hands:
        with town.at_work() as scene:
            by, var = scene.actor("manager"), town.settings.var
            legal_holds.place(scene.s, scene.case(case.number), "Lawsuit", var, by=by, at=town.now)
            scene.s.flush()
            forgetting = hands.submit(forgotten, town, 31)
            town.await_waiting()
        assert forgetting.result() == 0


def test_a_flood_of_them_goes_some_at_a_time(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    with town.at_work() as scene:
        about = subscriptions.area(scene.s, "Old Mill")
        assert about
        for n in range(5):
            subscriptions.subscribe(scene.s, about, f"never{n}@town.test", lang="en", at=town.now)
    at = town.now + timedelta(days=31)
    with town.looking() as scene:
        assert retention.due(scene.s, Schedule(), at) == {"followers": 5}
    monkeypatch.setattr(worker, "MOST_RECORDS", 2)
    app = create_app(town.settings)
    job, left = worker._Records(app), []
    for minute in range(4):
        job(at + timedelta(minutes=minute))
        with town.looking() as scene:
            left.append(len(scene.s.scalars(select(Subscription)).all()))
    app.extensions["cityline"].engine.dispose()
    assert left == [3, 1, 0, 0]
    assert job.next_at == at + timedelta(days=1, minutes=2)


def test_the_worker_forgets_them_once_a_day(town: Town) -> None:
    with town.at_work() as scene:
        about = subscriptions.area(scene.s, "Old Mill")
        assert about
        subscriptions.subscribe(scene.s, about, "never@town.test", lang="en", at=town.now)
    app = create_app(town.settings)
    worker._Records(app)(town.now + timedelta(days=31))
    app.extensions["cityline"].engine.dispose()
    with town.looking() as scene:
        assert scene.s.scalars(select(Subscription)).all() == []


def test_a_case_that_was_cleared_is_followed_again_only_when_it_lives_again(town: Town) -> None:
    case = reported(town)
    close(town, case)
    at = town.now + timedelta(days=31)
    retention.carry_out(town.engine, town.settings.var, Schedule(words=Period(days=30)), at)
    with town.at_work() as scene:
        assert subscriptions.case(scene.s, case.number) is None
        transitions.reopen(
            scene.s, scene.case(case.number), by=scene.actor("dispatcher"), at=at, words="Again"
        )
        assert subscriptions.case(scene.s, case.number)


def test_what_is_followed_elsewhere_is_erased_though_one_case_is_on_hold(town: Town) -> None:
    case = reported(town)
    for kind, name in (("case", case.number), ("area", "Old Mill"), ("case", reported(town).number)):
        wanted(town, kind, name)
    city, store = city_file.load(town.settings.city), storage.open_store(town.settings)
    with town.at_work() as scene:
        legal_holds.place(
            scene.s,
            scene.case(case.number),
            "Lawsuit",
            town.settings.var,
            by=scene.actor("manager"),
            at=town.now,
        )
    with town.at_work() as scene:
        found, by = data_subjects.find(scene.s, "ana@town.test", city), scene.actor("administrator")
        erasure.erase(scene.s, found, store, town.settings.var, by=by, at=town.now)
    with town.looking() as scene:
        assert [row.case_id for row in scene.s.scalars(select(Subscription))] == [case.id]


def test_whoever_asks_reads_what_they_follow_and_is_forgotten_there(town: Town) -> None:
    case = reported(town)
    wanted(town, "case", case.number)
    wanted(town, "area", "Old Mill")
    city, store = city_file.load(town.settings.city), storage.open_store(town.settings)
    with town.at_work() as scene:
        found, by = data_subjects.find(scene.s, "ana@town.test", city), scene.actor("administrator")
        told = record_export.of_person(scene.s, found, by=by, at=town.now).sections["addresses"]
        assert [(each["case"], each["place"]) for each in told] == [(case.number, None), (None, "Old Mill")]
        told = record_export.of_case(scene.s, scene.case(case.number), by=by, at=town.now).sections[
            "addresses"
        ]
        assert "ana@town.test" in [each["address"] for each in told if each["case"] == case.number]
        erasure.erase(scene.s, found, store, town.settings.var, by=by, at=town.now)
    with town.looking() as scene:
        assert scene.s.scalars(select(Subscription)).all() == []
