"""A crew says that a case is of another type or lies elsewhere: kept, taken, left or withdrawn."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from phones import DANA, Clock, Phone, case_of, dispatch, make_lamp, person, picture, story
from sqlalchemy import Engine

from city.audit.events import Actor
from city.cases import batches, corrections, queries, transitions
from city.db.engine import read_session, transaction
from city.db.models import Area, Case, Service, SyncOperation
from city.geo import Point
from city.lifecycle import DISPATCHER, WAIT_OVER
from city.places.lookup import Place
from city.reports import proposals

pytestmark = pytest.mark.both_databases

TREE = {"service": "stump"}
THERE = {"lat": 39.605, "lon": -71.205, "accuracy": 8.5}


def told(answer: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(each["result"], each.get("why")) for each in answer["results"]]


def proposed(engine: Engine, number: str) -> list[proposals.Proposal]:
    with read_session(engine) as s:
        return proposals.pending(case_of(s, number), story(s, number))


def stands(engine: Engine, number: str) -> tuple[Any, ...]:
    """All of a case that a proposal must not change."""
    with read_session(engine) as s:
        case = case_of(s, number)
        return (
            case.service_code,
            case.lat,
            case.lon,
            case.address,
            case.state,
            case.due_at,
            case.corrected_version,
        )


def mark(engine: Engine, number: str) -> str | None:
    with read_session(engine) as s:
        return case_of(s, number).review


@pytest.mark.parametrize("said", [TREE, THERE, TREE | THERE])
def test_a_proposal_changes_nothing_but_asks_staff(
    engine: Engine, luis: Phone, lamp: str, said: dict[str, Any]
) -> None:
    before = stands(engine, lamp)
    op = luis.op("propose", luis.job(lamp), words="No lamp here. Canary.", **said)
    assert told(luis.exchange(op)) == [("applied", None)]
    assert stands(engine, lamp) == before
    assert mark(engine, lamp) == "proposed"
    [one] = proposed(engine, lamp)
    assert (one.operation, one.service, one.words) == (op["id"], said.get("service"), "No lamp here. Canary.")
    assert one.point == (Point(39.605, -71.205) if "lat" in said else None)
    assert one.accuracy_m == said.get("accuracy")
    assert told(luis.exchange(op)) == [("applied", None)]
    assert len(proposed(engine, lamp)) == 1


def test_no_resident_reads_of_it(engine: Engine, luis: Phone, lamp: str, clock: Clock) -> None:
    luis.exchange(luis.op("propose", luis.job(lamp), words="Canary.", **TREE | THERE))
    with read_session(engine) as s:
        [seen] = queries.public(s, now=clock(), number=lamp, publish="all")
        assert "proposed" not in repr(seen)
        assert "Canary" not in repr(seen)


def test_photos_go_with_it(engine: Engine, luis: Phone, lamp: str) -> None:
    photo = luis.upload(picture())
    assert told(luis.exchange(luis.op("propose", luis.job(lamp), photos=[photo], **TREE))) == [
        ("applied", None)
    ]
    with read_session(engine) as s:
        [line] = [event for event, _ in story(s, lamp) if event.kind == "proposed"]
        assert len(line.photos) == 1


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "malformed"),
        ({"words": "Something is wrong."}, "malformed"),
        ({"service": "no-such"}, "unknown_service"),
        ({"service": "tax-question"}, "unknown_service"),
        ({"service": 5}, "malformed"),
        ({"lat": 45.0, "lon": -71.2}, "outside_city"),
        ({"lat": 39.6}, "malformed"),
        ({"lat": True, "lon": 1}, "malformed"),
        ({"lat": 95.0, "lon": 1.0}, "malformed"),
        (TREE | {"words": "x" * 4001}, "words_too_long"),
    ],
)
def test_what_cannot_be_proposed_is_set_aside_whole(
    engine: Engine, luis: Phone, lamp: str, said: dict[str, Any], why: str
) -> None:
    with transaction(engine) as s:
        square = [[-71.3, 39.5], [-71.1, 39.5], [-71.1, 39.7], [-71.3, 39.7], [-71.3, 39.5]]
        s.add(Area(kind="boundary", name="T", geometry={"type": "Polygon", "coordinates": [square]}))
    job = luis.job(lamp)
    op = luis.op("propose", job, **said)
    assert told(luis.exchange(op, luis.op("note", job, words="Still here."))) == [
        ("quarantined", why), ("applied", None),
    ]  # fmt: skip
    assert (mark(engine, lamp), proposed(engine, lamp)) == (None, [])
    with read_session(engine) as s:
        row = s.get_one(SyncOperation, op["id"])
        assert row.review == "quarantined"
        assert row.raw


def test_taking_it_reaches_the_phone(engine: Engine, luis: Phone, lamp: str, clock: Clock) -> None:
    op = luis.op("propose", luis.job(lamp), **TREE)
    place = luis.op("propose", luis.job(lamp), **THERE)
    luis.exchange(op, place)
    clock.tick(minutes=5)
    taken(engine, lamp, clock)
    assert [one.operation for one in proposed(engine, lamp)] == [place["id"]]
    assert mark(engine, lamp) == "proposed"
    answer = luis.exchange(cursors={})
    rows = [row for news in answer["changes"].values() for row in news["set"]]
    [heard] = [row for row in rows if row["kind"] == "result"]
    assert (heard["id"], heard["result"], heard["why"]) == (op["id"], "applied", "taken")
    with transaction(engine) as s:
        case = case_of(s, lamp)
        corrections.relocate(s, case, Place(39.6051, -71.205, "pin"), by=DANA, at=clock())
        proposals.take(s, case)
    assert (mark(engine, lamp), proposed(engine, lamp)) == (None, [])


def taken(engine: Engine, number: str, clock: Clock) -> None:
    with transaction(engine) as s:
        case = case_of(s, number)
        corrections.reclassify(s, case, s.get_one(Service, "stump"), by=DANA, at=clock())
        proposals.take(s, case)


def test_leaving_it_reaches_the_phone_once(engine: Engine, luis: Phone, lamp: str, clock: Clock) -> None:
    op = luis.op("propose", luis.job(lamp), **TREE)
    luis.exchange(op)
    dispatch(engine, lamp, proposals.reviewed, clock)
    assert (mark(engine, lamp), proposed(engine, lamp)) == (None, [])
    assert told(luis.exchange(op)) == [("applied", "left")]
    again = luis.op("propose", luis.job(lamp), **TREE)
    luis.exchange(again)
    taken(engine, lamp, clock)
    assert told(luis.exchange(op, again)) == [("applied", "left"), ("applied", "taken")]


def test_what_the_case_is_already_asks_nobody(engine: Engine, luis: Phone, lamp: str) -> None:
    at_home = {"lat": 39.6, "lon": -71.2, "accuracy": 4.0}
    op = luis.op("propose", luis.job(lamp), words="Look.", service="light-out", **at_home)
    assert told(luis.exchange(op)) == [("merged", "done")]
    assert (mark(engine, lamp), proposed(engine, lamp)) == (None, [])
    with read_session(engine) as s:
        assert [words["words"] for event, words in story(s, lamp) if event.kind == "proposed"] == ["Look."]


MEANWHILE: dict[str, tuple[Callable[[Any, Case, Clock], object], str]] = {
    "closed": (
        lambda s, case, clock: transitions.close(
            s, case, transitions.Closing("no action"), by=DANA, at=clock()
        ),
        "closed",
    ),
    "cancelled": (
        lambda s, case, clock: transitions.cancel(s, case, "test", by=DANA, at=clock()),
        "cancelled",
    ),
}


@pytest.mark.parametrize("name", MEANWHILE)
def test_of_a_case_that_is_over_it_is_a_fact(
    engine: Engine, luis: Phone, lamp: str, clock: Clock, name: str
) -> None:
    job = luis.job(lamp)
    verb, why = MEANWHILE[name]
    with transaction(engine) as s:
        verb(s, case_of(s, lamp), clock)
    before = stands(engine, lamp)
    assert told(luis.exchange(luis.op("propose", job, words="Here.", **TREE | THERE))) == [("recorded", why)]
    assert stands(engine, lamp) == before
    assert (mark(engine, lamp), proposed(engine, lamp)) == (why, [])
    with read_session(engine) as s:
        [(line, words)] = [(e, w) for e, w in story(s, lamp) if e.kind == "proposed"]
        assert (line.facts["service"], line.facts["why"]) == ("stump", why)
        assert (words["lat"], words["words"]) == (39.605, "Here.")


def test_of_a_merged_case_it_is_a_fact_of_the_other(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    job, other = luis.job(lamp), make_lamp(engine, clock)
    with transaction(engine) as s:
        transitions.merge(s, case_of(s, lamp), case_of(s, other), by=DANA, at=clock())
    answer = luis.exchange(luis.op("propose", job, **TREE))
    assert told(answer) == [("recorded", "merged")]
    assert answer["results"][0]["to"] == other
    assert (mark(engine, other), proposed(engine, other)) == ("merged", [])


def test_a_crew_that_lost_the_job_was_there_all_the_same(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    job = luis.job(lamp)
    dispatch(engine, lamp, transitions.unassign, clock)
    assert told(luis.exchange(luis.op("propose", job, **TREE))) == [("applied", None)]
    assert len(proposed(engine, lamp)) == 1


def test_a_crew_that_never_had_it_asks_nobody_to_change_it(
    engine: Engine, toni: Phone, luis: Phone, lamp: str
) -> None:
    job = luis.job(lamp) | {"assignment": None}
    assert told(toni.exchange(toni.op("propose", job, **TREE))) == [("recorded", "not_your_job")]
    assert (mark(engine, lamp), proposed(engine, lamp)) == ("not_your_job", [])


def test_it_is_withdrawn_until_it_is_decided(engine: Engine, luis: Phone, lamp: str, clock: Clock) -> None:
    job = luis.job(lamp)
    first, second = luis.op("propose", job, **TREE), luis.op("propose", job, **THERE)
    luis.exchange(first, second)
    luis.exchange(luis.op("start", luis.job(lamp)))  # and other things may happen meanwhile
    assert told(luis.exchange(luis.op("withdraw", job, op=first["id"]))) == [("applied", None)]
    assert [one.operation for one in proposed(engine, lamp)] == [second["id"]]
    assert mark(engine, lamp) == "proposed"
    assert told(luis.exchange(luis.op("withdraw", job, op=second["id"]))) == [("applied", None)]
    assert (mark(engine, lamp), proposed(engine, lamp)) == (None, [])
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "underway"
    third = luis.op("propose", job, **TREE)
    both = luis.exchange(third, luis.op("withdraw", job, op=third["id"]))
    assert told(both) == [("applied", None), ("applied", None)]
    assert mark(engine, lamp) is None
    fourth = luis.op("propose", job, **TREE)
    luis.exchange(fourth)
    clock.at += timedelta(minutes=16)
    assert told(luis.exchange(luis.op("withdraw", job, op=fourth["id"]))) == [("recorded", "too_late")]
    assert len(proposed(engine, lamp)) == 1


def test_undo_of_the_correction_asks_again(engine: Engine, luis: Phone, lamp: str, clock: Clock) -> None:
    dana = Actor("person:1", frozenset({DISPATCHER}), person(engine, "luis@city.test"))
    op = luis.op("propose", luis.job(lamp), **TREE)
    luis.exchange(op)
    with transaction(engine) as s:
        case = case_of(s, lamp)
        was = batches.snapshot(case, "reclassify")
        corrections.reclassify(s, case, s.get_one(Service, "stump"), by=DANA, at=clock())
        proposals.take(s, case)
        kept = batches.keep_single(s, case, "reclassify", {"service": "stump"}, was, by=dana, at=clock())
    assert proposed(engine, lamp) == []
    with transaction(engine) as s:
        batches.undo(s, kept.id, by=dana, at=clock())
    assert [one.operation for one in proposed(engine, lamp)] == [op["id"]]
    assert mark(engine, lamp) == "proposed"


def test_what_waits_for_a_person_already_stays_so(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    job = luis.job(lamp)
    with transaction(engine) as s:
        case_of(s, lamp).review = "late"
    luis.exchange(luis.op("propose", job, **TREE))
    assert (mark(engine, lamp), len(proposed(engine, lamp))) == ("late", 1)
    taken(engine, lamp, clock)
    assert (mark(engine, lamp), proposed(engine, lamp)) == ("late", [])


def test_taken_back_it_leaves_the_mark_of_a_hold_that_is_over(engine: Engine, luis: Phone, lamp: str) -> None:
    job = luis.job(lamp)
    with transaction(engine) as s:
        case_of(s, lamp).review = WAIT_OVER
    op = luis.op("propose", job, **TREE)
    luis.exchange(op)
    assert mark(engine, lamp) == "proposed"
    luis.exchange(luis.op("withdraw", job, op=op["id"]))
    assert mark(engine, lamp) == WAIT_OVER


def test_each_persons_last_word_counts_of_type_and_of_place(engine: Engine, luis: Phone, lamp: str) -> None:
    job = luis.job(lamp)
    both, only = luis.op("propose", job, **TREE, **THERE), luis.op("propose", job, **TREE)
    luis.exchange(both, only)
    shown = proposals.newest(proposed(engine, lamp))
    assert [(one.operation, one.service is None, one.point is None) for one in shown] == [
        (both["id"], True, False),
        (only["id"], False, True),
    ]
