"""Reports by field sync: a crew's, with work on them before they have a number; and a resident's."""

import io
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from phones import (
    DANA,
    Clock,
    Desk,
    Phone,
    Resident,
    case_of,
    declare,
    dispatch,
    make_lamp,
    picture,
    report,
    story,
)  # fmt: skip
from sqlalchemy import Engine, func, select

from city.audit import events
from city.cases import queries, transitions
from city.cases.transitions import Closing
from city.config.retention_schedule import Period, Schedule
from city.db.engine import read_session, transaction
from city.db.models import (
    Address,
    Asset,
    Case,
    Device,
    Epoch,
    ExpectedPhoto,
    Intersection,
    Photo,
    Report,
    Service,
    SyncOperation,
)
from city.lifecycle import DISPATCHER
from city.people import accounts
from city.photos import photos
from city.places.lookup import Place
from city.privacy import retention
from city.questions import Choice, Question
from city.reports import intake
from sync import residents, review
from sync.reporting import key_of

pytestmark = pytest.mark.both_databases


@pytest.fixture
def nia(app: Flask, clock: Clock) -> Resident:
    return Resident(app, clock)


def on(phone: Phone, t: str, op: dict[str, Any], **told: Any) -> dict[str, Any]:
    """Work on what a report operation is about."""
    return phone.op(t, {"ref": op["id"], "cycle": 1, "version": None}, **told)


def test_the_receipt_of_a_phone_opens_the_case_at_the_desk(
    app: Flask, engine: Engine, clock: Clock, nia: Resident
) -> None:
    op = report(nia, words="Dark since Monday.")
    [told] = nia.exchange(op)["results"]
    receipt = f"{op['id'][:4]}-{op['id'][4:8]}"  # as the phone shows it, until there is a number
    with transaction(engine) as s:
        person_id = accounts.add(s, "dana@city.test", "Dana", [DISPATCHER]).id
    desk = Desk(app, clock, person_id)
    opened = desk.http.get("/dispatch", query_string={"words": f" {receipt} "})
    assert opened.location == f"/dispatch/cases/{told['to']}"
    assert desk.http.get("/dispatch", query_string={"words": "0000-0000"}).status_code == 200
    twin = report(nia) | {"id": op["id"][:8] + "-0000-4000-8000-000000000000"}
    nia.exchange(twin)
    with read_session(engine) as s:
        assert queries.by_receipt(s, receipt.upper()) is None


def test_a_crews_report_opens_a_case(engine: Engine, luis: Phone) -> None:
    op = report(luis, words="Hanging by its wire.", photos=[luis.upload(picture())])
    [told] = luis.exchange(op)["results"]
    assert (told["result"], told["report"]) == ("applied", f"{told['to']}-A")
    with read_session(engine) as s:
        case = case_of(s, told["to"])
        [row] = case.reports
        assert (case.state, row.channel, row.words, row.key) == (
            "new",
            "crew",
            "Hanging by its wire.",
            op["id"].replace("-", ""),
        )
        assert (row.lat, row.place_source) == (39.6, "gps")
        assert len(row.photos) == 1
        assert events.verify(s) == []
    assert luis.exchange(op)["results"] == [told]


@pytest.mark.parametrize("ticked", ["rain,cold", ["rain", "cold"]])
def test_a_crew_s_report_keeps_every_choice(engine: Engine, luis: Phone, ticked: Any) -> None:
    choices = tuple(Choice(code, {"en": code}) for code in ("rain", "wind", "cold"))
    asked = Question("when", "multivaluelist", {"en": "When does it flicker?"}, choices=choices)
    with transaction(engine) as s:
        s.get_one(Service, "light-out").questions = (asked,)
    [told] = luis.exchange(report(luis, answers={"when": ticked}))["results"]
    with read_session(engine) as s:
        assert case_of(s, told["to"]).reports[0].answers == {"when": "rain,cold"}
    op = report(luis, answers={"when": "rain,hail"})
    assert luis.exchange(op)["results"][0]["why"] == "answer_unknown"


def test_a_crew_reports_and_closes_before_it_knows_the_number(engine: Engine, luis: Phone) -> None:
    op = report(luis)
    done = on(luis, "close", op, outcome="fixed", photos=[declare(picture())])
    answer = luis.exchange(op, done)
    assert [r["result"] for r in answer["results"]] == ["applied", "applied"]
    assert answer["want"] == [done["photos"][0]["id"]]
    with read_session(engine) as s:
        case = case_of(s, answer["results"][0]["to"])
        assert (case.state, case.outcome, case.review) == ("closed", "fixed", None)
        assert [event.kind for event, _ in story(s, case.number)] == ["open", "report", "take on", "close"]
        closing = case.closures[-1]
        assert case.assignments[-1].given_at <= closing.done_at <= closing.closed_at


@pytest.mark.parametrize(("hours", "is_doubted"), [(0, False), (6, False), (80, True), (-80, True)])
def test_nobody_doubts_the_clock_of_a_crew_whose_report_came_later_with_its_closing(
    engine: Engine, luis: Phone, clock: Clock, hours: int, is_doubted: bool
) -> None:
    op = report(luis)
    done = on(luis, "close", op, outcome="not found")
    for each in (op, done):
        each["device_time"] = (clock() - timedelta(hours=hours)).isoformat()
    [told, _] = luis.exchange(op, done)["results"]
    with read_session(engine) as s:
        facts = story(s, told["to"])[-1][0].facts
        assert facts["bounded"] is is_doubted
        assert case_of(s, told["to"]).closures[-1].done_at == clock(), "not before it was a case"


def test_a_reports_photo_that_came_after_it_reaches_the_crew(
    engine: Engine, luis: Phone, toni: Phone, clock: Clock
) -> None:
    """The other phones of the crew had the job already; and what was closed may still be taken back."""
    op = report(luis, photos=[declare(picture())])
    number = luis.exchange(op, on(luis, "start", op))["results"][0]["to"]
    luis.exchange()
    close = luis.op("close", luis.job(number), outcome="not found")
    luis.exchange(close)
    luis.upload(picture(), op["photos"][0]["id"])
    [job] = [row for news in luis.exchange()["changes"].values() for row in news["set"]]
    assert (job["ref"], len(job["told"][0]["photos"])) == (number, 1)
    back = luis.op("withdraw", job, op=close["id"])
    assert [r["result"] for r in luis.exchange(back)["results"]] == ["applied"]


def test_work_on_a_report_that_is_not_here_yet_is_held(engine: Engine, luis: Phone) -> None:
    op = report(luis)
    start = on(luis, "start", op)
    note = on(luis, "note", op, words="Ladder.", prev=start["id"])
    answer = luis.exchange(start, note)
    assert [(r["result"], r["why"]) for r in answer["results"]] == [("held", "case")] * 2
    [told] = luis.exchange(op)["results"]
    with read_session(engine) as s:
        assert [event.kind for event, _ in story(s, told["to"])][-2:] == ["start", "note"]


def test_work_that_still_waits_takes_no_case_on(engine: Engine, luis: Phone) -> None:
    op = report(luis)
    start = on(luis, "start", op)
    pause = on(luis, "pause", op, prev=start["id"])
    told, held = luis.exchange(op, pause)["results"]
    assert (held["result"], held["why"]) == ("held", "prev")
    with read_session(engine) as s:
        assert (case_of(s, told["to"]).state, case_of(s, told["to"]).assignments) == ("new", [])
    luis.exchange(start)
    with read_session(engine) as s:
        kinds = [event.kind for event, _ in story(s, told["to"])]
        assert kinds == ["open", "report", "take on", "start", "pause"]


def test_a_crews_report_may_join_a_case_and_work_on_it_is_its_own_job(
    engine: Engine, luis: Phone, toni: Phone, clock: Clock
) -> None:
    number = make_lamp(engine, clock)
    op = report(luis, join=number)
    answer = luis.exchange(op, on(luis, "start", op))
    assert [(r["result"], r.get("why"), r.get("to")) for r in answer["results"]] == [
        ("applied", None, number),
        ("applied", None, None),
    ]
    other = report(toni, join=number)
    told = toni.exchange(other, on(toni, "close", other, outcome="not found"))["results"]
    assert [(r["result"], r.get("why")) for r in told] == [
        ("applied", "joined"),
        ("recorded", "not_your_job"),
    ]
    with read_session(engine) as s:
        assert case_of(s, number).state == "underway"


def test_a_job_tells_its_crew_what_to_mind_there(engine: Engine, luis: Phone) -> None:
    """What the city says of such things, and that somebody spoke of danger."""
    op = report(luis, service="wire-down", danger=True)
    answer = luis.exchange(op, on(luis, "start", op))
    number = answer["results"][0]["to"]
    [job] = [job for job in news(answer) if job["ref"] == number]
    assert job["hazard"]["en"].startswith("Treat every wire as live.")
    assert (job["danger"], job["urgent"], set(job["hazard"])) == (True, True, {"en", "es"})
    plain = report(luis)
    answer = luis.exchange(plain, on(luis, "start", plain))
    [job] = [job for job in news(answer) if job["ref"] == answer["results"][0]["to"]]
    assert not {"hazard", "danger"} & set(job)


def news(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The jobs that an answer tells of."""
    return [row for told in answer["changes"].values() for row in told["set"] if row["kind"] == "job"]


def test_what_it_would_join_may_be_gone(engine: Engine, luis: Phone) -> None:
    [told] = luis.exchange(report(luis, join="26-999999"))["results"]
    assert told["result"] == "applied"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"service": "ufo"}, "unknown_service"),
        ({"lat": "north"}, "malformed"),
        ({"lat": 400.0}, "malformed"),
        ({"answers": ["a"]}, "malformed"),
        ({"words": "x" * 4001}, "words_too_long"),
    ],
)
def test_a_report_that_cannot_be_taken_is_set_aside(
    engine: Engine, luis: Phone, data: dict[str, Any], why: str
) -> None:
    [told] = luis.exchange(report(luis, **data))["results"]
    assert (told["result"], told["why"]) == ("quarantined", why)
    with read_session(engine) as s:
        assert s.scalar(select(func.count(Case.id))) == 0


def test_a_report_without_a_known_place_keeps_what_was_said(engine: Engine, luis: Phone) -> None:
    [told] = luis.exchange(report(luis, lat=None, lon=None, address="Behind the old mill", words="Dark."))[
        "results"
    ]
    with read_session(engine) as s:
        row = s.scalars(select(Report)).one()
        assert (row.place_source, row.words) == ("unknown", "Dark.\nBehind the old mill")
    assert told["result"] == "applied"


@pytest.mark.parametrize(
    ("written", "words", "address"),
    [
        ("Nia Brook, 555-0147, ring twice", "Dark.\nNia Brook, 555-0147, ring twice", "214 Tansy Street"),
        ("216 tansy st.", "Dark.", "216 Tansy Street"),
        ("pell street & Tansy St", "Dark.", "Tansy Street & Pell Street"),
        ("900 Tansy Street", "Dark.\n900 Tansy Street", "214 Tansy Street"),  # known, and far away
        ("pole 20-118", "Dark.", "218 Tansy Street"),
        ("4711", "Dark.\n4711", "214 Tansy Street"),
        ("", "Dark.", "214 Tansy Street"),
    ],
)
def test_what_a_phone_wrote_beside_its_point_is_an_address_only_where_the_city_knows_it(
    engine: Engine, nia: Resident, written: str, words: str, address: str
) -> None:
    with transaction(engine) as s:
        for label, north in (("214 Tansy Street", 0), ("216 Tansy Street", 20), ("900 Tansy Street", 600)):
            lat = 39.6 + north / 111_000
            s.add(Address(label=label, lat=lat, lon=-71.2, cell=""))
        s.add(
            Intersection(
                label="Tansy Street & Pell Street", lat=39.6005, lon=-71.2,
            )
        )  # fmt: skip
        s.add(
            Asset(kind="pole", number="20-118", address="218 Tansy Street", lat=39.6004, lon=-71.2, cell="")
        )
    [told] = nia.exchange(report(nia, words="Dark.", address=written))["results"]
    with read_session(engine) as s:
        row = s.scalars(select(Report)).one()
        assert (row.words, row.address, row.case.address) == (words, address, address)
        assert (row.lat, row.place_source) == (39.6, "gps")
        [seen] = queries.public(s, now=nia.clock(), publish="at_once", number=told["to"])
        assert "555" not in seen.address


def test_an_address_takes_no_room_of_the_words(engine: Engine, nia: Resident) -> None:
    words, address = "x" * 4000, "Behind the old mill, by the red gate"
    [told] = nia.exchange(report(nia, words=words, address=address))["results"]
    assert told["result"] == "applied"
    [whole] = nia.exchange(report(nia, words=words, address="y" * 4000))["results"]
    assert whole["result"] == "applied"
    with read_session(engine) as s:
        assert s.scalars(select(Report.words)).first() == f"{words}\n{address}"
        [kept] = [said["words"] for line, said in story(s, told["to"]) if line.kind == "report"]
        assert kept == f"{words}\n{address}"


def test_a_poles_number_leaves_the_words_beside_it_with_the_report(engine: Engine, nia: Resident) -> None:
    with transaction(engine) as s:
        pole = Asset(kind="pole", number="20-118", address="218 Tansy Street", lat=39.6, lon=-71.2, cell="")
        s.add(pole)
    nia.exchange(report(nia, words="Dark.", asset="20-118", address="20-118"))
    nia.exchange(report(nia, words="Dark.", asset="20-118", address="Ask for Nia"))
    with read_session(engine) as s:
        rows = s.scalars(select(Report).order_by(Report.id)).all()
        assert [row.words for row in rows] == ["Dark.", "Dark.\nAsk for Nia"]
        assert {row.address for row in rows} == {"218 Tansy Street"}


@pytest.mark.parametrize(("source", "kept"), [("photo", "photo"), ("satellite", "gps"), ("", "gps")])
def test_a_point_may_be_that_of_the_photo(engine: Engine, nia: Resident, source: str, kept: str) -> None:
    nia.exchange(report(nia, accuracy=4.0, source=source))
    with read_session(engine) as s:
        [told] = s.scalars(select(Report))
        assert (told.place_source, told.case.place_source, told.accuracy_m) == (kept, kept, 4.0)


@pytest.mark.parametrize("accuracy", [4.0, 80.0, None])
def test_a_point_chooses_no_pole_by_itself_however_near_one_stands(
    engine: Engine, nia: Resident, accuracy: float | None
) -> None:
    with transaction(engine) as s:
        for kind in ("basket", "pole"):
            s.add(Asset(kind=kind, number="20-118", address="218 Tansy Street", lat=39.6, lon=-71.2, cell=""))
    nia.exchange(report(nia, accuracy=accuracy))
    nia.exchange(report(nia, accuracy=accuracy, asset="20-118"))
    with read_session(engine) as s:
        alone, chosen = (row.case for row in s.scalars(select(Report).order_by(Report.id)))
        assert (alone.place_source, alone.accuracy_m) == ("pin" if accuracy is None else "gps", accuracy)
        assert alone.asset is None
        assert (chosen.place_source, chosen.accuracy_m) == ("asset", None)
        assert chosen.asset
        assert chosen.asset.kind == "pole", "a lamp's report means the pole of that number, not the basket"


def test_an_accuracy_below_nothing_is_one_that_nobody_measured(engine: Engine, nia: Resident) -> None:
    [told] = nia.exchange(report(nia, accuracy=-1))["results"]
    assert told["result"] == "applied"
    with read_session(engine) as s:
        row = s.scalars(select(Report)).one()
        assert (row.place_source, row.accuracy_m, row.case.accuracy_m) == ("gps", None, None)


def test_a_number_that_stands_across_town_stays_words(engine: Engine, luis: Phone) -> None:
    with transaction(engine) as s:
        for kind, lat in (("tree", 39.63), ("pole", 39.64)):
            s.add(Asset(kind=kind, number="12", address="9 Far Street", lat=lat, lon=-71.2, cell=""))
    luis.exchange(report(luis, words="Dark.", asset="12", address="12"))
    with read_session(engine) as s:
        row = s.scalars(select(Report)).one()
        assert (row.words, row.lat, row.place_source) == ("Dark.\n12", 39.6, "gps")
        assert row.case.asset is None


@pytest.mark.parametrize(
    ("address", "owner", "words"),
    [
        ("214 Tansy Street", "", "Dark."),
        ("900 Tansy Street", "Harbor Electric", "Dark."),
        ("400 Tansy Street", None, "Dark.\n20-118"),  # neither stands there
    ],
)
def test_a_number_that_was_chosen_for_an_address_means_the_one_that_stands_there(
    engine: Engine, nia: Resident, address: str, owner: str | None, words: str
) -> None:
    with transaction(engine) as s:
        for label, north in (("214 Tansy Street", 0), ("400 Tansy Street", 1000), ("900 Tansy Street", 2000)):
            s.add(Address(label=label, lat=39.6 + north / 111_000, lon=-71.2, cell=""))
        for whose, label, north in (
            ("", "214 Tansy Street", 20),
            ("Harbor Electric", "900 Tansy Street", 2020),
        ):
            told = {"kind": "pole", "number": "20-118", "owner": whose, "address": label}
            s.add(Asset(**told, lat=39.6 + north / 111_000, lon=-71.2, cell=""))
    nia.exchange(report(nia, lat=None, lon=None, words="Dark.", asset="20-118", address=address))
    with read_session(engine) as s:
        row = s.scalars(select(Report)).one()
        asset = row.case.asset
        assert (row.words, asset.owner if asset else None) == (words, owner)


def test_of_two_poles_with_one_number_the_one_beside_the_phone_is_meant(
    engine: Engine, nia: Resident
) -> None:
    with transaction(engine) as s:
        for owner, lat in (("", 39.61), ("Harbor Electric", 39.6)):
            s.add(Asset(kind="pole", number="1", owner=owner, address="", lat=lat, lon=-71.2, cell=""))
    nia.exchange(report(nia, lat=39.6001, lon=-71.2, asset="1"))
    with read_session(engine) as s:
        asset = s.scalars(select(Report)).one().case.asset
        assert asset
        assert asset.owner == "Harbor Electric"


def test_a_crew_takes_its_closing_back(engine: Engine, luis: Phone, lamp: str, clock: Clock) -> None:
    job = luis.job(lamp)
    start = luis.op("start", job)
    close = luis.op("close", job, outcome="fixed", photos=[declare(picture())], prev=start["id"])
    luis.exchange(start, close)
    clock.tick(minutes=2)
    back = luis.op("withdraw", job, op=close["id"])
    assert [r["result"] for r in luis.exchange(back)["results"]] == ["applied"]
    with read_session(engine) as s:
        case = case_of(s, lamp)
        assert (case.state, case.closures, case.outcome, case.closed_at) == ("underway", [], None, None)
        assert all(p.ended_at for p in case.pauses)
        assert s.scalars(select(ExpectedPhoto.case_id)).one() == case.id
        assert events.verify(s) == []
    luis.upload(picture(), close["photos"][0]["id"])
    again = luis.op("close", luis.job(lamp), outcome="not found")
    assert [r["result"] for r in luis.exchange(back, again)["results"]] == ["applied", "applied"]


@pytest.mark.parametrize("t", ["make_safe", "needs_parts"])
def test_a_crew_takes_other_endings_back(engine: Engine, luis: Phone, lamp: str, t: str) -> None:
    job = luis.job(lamp)
    op = luis.op(t, job)
    luis.exchange(op)
    assert [r["result"] for r in luis.exchange(luis.op("withdraw", job, op=op["id"]))["results"]] == [
        "applied"
    ]
    assert luis.job(lamp)["state"] == "assigned"
    with read_session(engine) as s:
        assert not case_of(s, lamp).follow_on


@pytest.mark.parametrize("meanwhile", ["time", "note"])
def test_what_has_moved_on_is_not_taken_back(
    engine: Engine, luis: Phone, lamp: str, clock: Clock, meanwhile: str
) -> None:
    job = luis.job(lamp)
    close = luis.op("close", job, outcome="not found")
    luis.exchange(close)
    if meanwhile == "time":
        clock.tick(minutes=16)
    else:
        luis.exchange(luis.op("note", job, words="Wait."))
    [told] = luis.exchange(luis.op("withdraw", job, op=close["id"]))["results"]
    assert (told["result"], told["why"]) == ("recorded", "too_late")
    with read_session(engine) as s:
        assert (case_of(s, lamp).state, case_of(s, lamp).review) == ("closed", "too_late")


def test_nobody_takes_back_what_another_did(luis: Phone, toni: Phone, lamp: str) -> None:
    job = luis.job(lamp)
    close = luis.op("close", job, outcome="not found")
    luis.exchange(close)
    [told] = toni.exchange(toni.op("withdraw", job, op=close["id"]))["results"]
    assert (told["result"], told["why"]) == ("quarantined", "unknown_operation")


def test_taking_back_comes_before_what_it_takes_back(engine: Engine, luis: Phone, lamp: str) -> None:
    job = luis.job(lamp)
    close = luis.op("close", job, outcome="not found")
    back = luis.op("withdraw", job, op=close["id"])
    assert [r["result"] for r in luis.exchange(back)["results"]] == ["held"]
    assert [r["result"] for r in luis.exchange(close, back)["results"]] == ["applied", "applied"]
    assert luis.job(lamp)["state"] == "assigned"


def test_a_closing_under_a_job_that_was_taken_away_is_not_taken_back(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    """The crew has no job that could be theirs again: that is too late, and no entry that nobody can read."""
    job = luis.job(lamp)
    dispatch(engine, lamp, transitions.unassign, clock)
    dispatch(engine, lamp, transitions.assign, clock, crew="Lights 1")
    close = luis.op("close", job, outcome="not found")
    back = luis.op("withdraw", job, op=close["id"])
    told = luis.exchange(close, back)["results"]
    assert [(r["result"], r["why"]) for r in told] == [("applied", "reassigned"), ("recorded", "too_late")]
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "closed"


def test_a_residents_report_needs_no_account(engine: Engine, nia: Resident) -> None:
    op = report(nia, words="Out since Monday.", lang="es", photos=[declare(picture())])
    answer = nia.exchange(op)
    [told] = answer["results"]
    assert (answer["auth"], answer["scopes"], told["result"]) == ("ok", [], "applied")
    assert answer["want"] == [op["photos"][0]["id"]]
    nia.upload(picture(), op["photos"][0]["id"])
    with read_session(engine) as s:
        [row] = case_of(s, told["to"]).reports
        assert (row.channel, row.lang, len(row.photos)) == ("web", "es", 1)
        assert row.photos[0].stored_at
        assert told["link"][3:] not in str(s.get_one(SyncOperation, op["id"]).result)
    mine = nia.http.get(told["link"], follow_redirects=True)
    assert "Out since Monday." in mine.text
    assert nia.exchange(op)["results"] == [told]


def test_a_form_that_did_arrive_and_its_operation_are_one_report(engine: Engine, nia: Resident) -> None:
    op = report(nia, photos=[declare(picture())])
    key = op["id"].replace("-", "")
    csrf = nia.http.get("/report").text.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {
        "csrf_token": csrf, "key": key, "do": "send", "lat": "39.6", "lon": "-71.2", "accuracy": "8",
        "group": "streetlight", "service-streetlight": "light-out",
        "photo": (io.BytesIO(picture()), "lamp.jpg"),
    }  # fmt: skip
    assert "/sent/" in nia.http.post("/report", data=form).headers["Location"]
    answer = nia.exchange(op)
    [told] = answer["results"]
    assert (told["result"], told["report"], answer["want"]) == ("applied", f"{told['to']}-A", [])
    assert nia.piece(op["photos"][0], 0, picture()).headers["Upload-Complete"] == "?1"
    assert "/case/" in nia.http.get(told["link"]).headers["Location"]
    with read_session(engine) as s:
        [row] = case_of(s, told["to"]).reports
        assert len(row.photos) == 1
        assert s.scalar(select(func.count()).select_from(Photo)) == 1


def test_a_phone_that_lost_its_token_still_sends_its_photo(
    app: Flask, engine: Engine, clock: Clock, nia: Resident
) -> None:
    op = report(nia, photos=[declare(picture())])
    [told] = nia.exchange(op)["results"]
    again = Resident(app, clock)
    answer = again.exchange(op)
    assert (answer["results"], answer["want"]) == ([told], [op["photos"][0]["id"]])
    again.upload(picture(), op["photos"][0]["id"])
    with read_session(engine) as s:
        [row] = case_of(s, told["to"]).reports
        assert len(row.photos) == 1
    assert again.http.get(f"/sync/v1/receipts/{op['id']}").status_code == 303


def test_a_receipt_leads_to_the_case_on_that_phone_only(app: Flask, clock: Clock, nia: Resident) -> None:
    op = report(nia)
    url = f"/sync/v1/receipts/{op['id']}"
    assert nia.http.get(url).status_code == 404
    nia.exchange(op)
    seen = nia.http.get(url)
    assert (seen.status_code, seen.headers["Location"][:3]) == (303, "/s/")
    assert Resident(app, clock).http.get(url).status_code == 404
    assert app.test_client().get(url).status_code == 404
    assert nia.http.get("/sync/v1/receipts/nonsense").status_code == 404


def test_a_residents_phone_hears_that_the_citys_memory_went_back(
    engine: Engine, nia: Resident, clock: Clock
) -> None:
    answer = nia.exchange(report(nia))
    heard = {"epoch": answer["epoch"], "upto": answer["log"]}
    assert "back" not in nia.exchange(heard=heard)
    with transaction(engine) as s:
        s.add(Epoch(id="again", first_seq=answer["log"], at=clock.tick(minutes=1)))
    assert nia.exchange(heard=heard)["back"] == answer["log"]


def test_a_resident_may_do_nothing_else(engine: Engine, nia: Resident, luis: Phone, lamp: str) -> None:
    job = luis.job(lamp)
    ops = [nia.op(t, job, outcome="not found", words="x") for t in ("close", "note", "withdraw")]
    answer = nia.exchange(*ops)
    assert [(r["result"], r["why"]) for r in answer["results"]] == [("quarantined", "not_allowed")] * 3
    assert answer["changes"] == {}
    assert nia.piece(declare(picture()), 0, picture()).status_code == 404
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "assigned"


def test_too_many_reports_are_refused_before_anything_is_stored(
    app: Flask, engine: Engine, nia: Resident, clock: Clock
) -> None:
    kept = [report(nia) for _ in range(10)]
    assert {r["result"] for r in nia.exchange(*kept)["results"]} == {"applied"}
    more = nia.post(nia.body(report(nia), kept[0]))
    assert (more.status_code, int(more.headers["Retry-After"]) > 3000) == (429, True)
    with read_session(engine) as s:
        assert s.scalar(select(func.count()).select_from(SyncOperation)) == 10
    assert nia.post(nia.body(*kept)).status_code == 200  # what is here already costs nothing
    clock.tick(hours=1, seconds=1)
    assert nia.post(nia.body(report(nia))).status_code == 200


def test_a_network_has_its_limit_too(app: Flask, engine: Engine, clock: Clock) -> None:
    held = app.extensions["cityline"]
    held.settings = replace(held.settings, reports_an_hour=2)
    assert [
        (phone := Resident(app, clock)).post(phone.body(report(phone))).status_code for _ in range(3)
    ] == [200, 200, 429]


def test_a_resident_may_not_fill_the_disk(nia: Resident, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.uploads.MAX_UNFINISHED_RESIDENT", 1_000)
    data = picture() * 3
    op = report(nia, photos=[declare(data)])
    nia.exchange(op)
    assert nia.piece(op["photos"][0], 0, data[:900]).status_code == 200
    assert nia.piece(op["photos"][0], 900, data[900:1100]).status_code == 429, "another time, and not never"


def test_an_erased_report_takes_no_late_photo(
    app: Flask, engine: Engine, nia: Resident, clock: Clock
) -> None:
    from phones import DANA

    from city.reports import intake

    op = report(nia, photos=[declare(picture())])
    nia.exchange(op)
    held = app.extensions["cityline"]
    with transaction(engine) as s:
        intake.erase(s, s.scalars(select(Report)).one(), held.store, held.settings.var, by=DANA, at=clock())
    assert nia.exchange()["want"] == []
    assert nia.piece(op["photos"][0], 0, picture()).status_code == 404
    with read_session(engine) as s:
        assert s.scalars(select(Photo)).all() == []


@pytest.mark.parametrize("odd", [{"service": "gone"}, {"words": "x" * 5_000}])
def test_the_photo_of_a_report_that_was_set_aside_waits_with_it(
    engine: Engine, nia: Resident, odd: dict[str, Any]
) -> None:
    shot = declare(picture())
    answer = nia.exchange(report(nia, photos=[shot], **odd))
    assert (answer["results"][0]["result"], answer["want"]) == ("quarantined", [shot["id"]])
    assert nia.piece(shot, 0, picture()).status_code == 200
    with read_session(engine) as s:
        assert len(review.to_look_at(s, 9)[0].photos) == 1


@pytest.mark.parametrize("erased", [True, False])
def test_a_photo_that_nobody_waits_for_is_no_reason_to_sign_in(
    app: Flask, engine: Engine, nia: Resident, clock: Clock, erased: bool
) -> None:
    """Its phone would take the city to have forgotten it, and send no other photo either."""
    held, shot = app.extensions["cityline"], declare(picture())
    op = report(nia, photos=[shot])
    nia.exchange(op if erased else op | {"device_time": "yesterday"})
    with transaction(engine) as s:
        for told in s.scalars(select(Report)).all():
            intake.erase(s, told, held.store, held.settings.var, by=DANA, at=clock())
    for data in (b"", picture()):
        answer = nia.piece(shot, 0, data)
        assert (answer.status_code, answer.json["error"]) == (404, "unknown")


def test_a_photo_that_was_declared_under_a_lost_token_is_a_reason_to_sign_in(
    app: Flask, nia: Resident, clock: Clock
) -> None:
    """Its phone then sends the report again, by which the city knows whose photo it is."""
    op = report(nia, photos=[declare(picture())])
    nia.exchange(op)
    again = Resident(app, clock)
    assert again.piece(op["photos"][0], 0, b"").status_code == 401
    again.exchange(op)
    assert again.piece(op["photos"][0], 0, picture()).status_code == 200


@pytest.mark.parametrize("shut_out", [True, False])
def test_a_crews_phone_that_may_not_send_holds_up_no_residents_photo(
    engine: Engine, nia: Resident, luis: Phone, lamp: str, clock: Clock, shut_out: bool
) -> None:
    """Somebody of a crew may report with that phone, and of both only what was declared is taken."""
    wanted, odd = declare(picture(9)), declare(picture())
    luis.exchange(luis.op("photo", luis.job(lamp), photos=[wanted]))
    nia.exchange(report(nia, photos=[odd]) | {"device_time": "yesterday"})
    [token] = [each for each in luis.http._cookies.values() if each.key.endswith("device")]
    nia.http.set_cookie(token.key, token.value, path="/sync")
    if shut_out:
        with transaction(engine) as s:
            s.get_one(Device, luis.device).revoked_at = clock()
    clock.tick(hours=24 * 31)
    assert nia.piece(odd, 0, b"").status_code == 404
    assert nia.piece(wanted, 0, b"").status_code == 200


@pytest.mark.parametrize("form_first", [True, False])
def test_photos_of_what_was_set_aside_go_with_the_report_of_that_name(
    app: Flask, engine: Engine, nia: Resident, clock: Clock, form_first: bool
) -> None:
    held, shot = app.extensions["cityline"], declare(picture())
    op = report(nia, photos=[shot], words="x" * 5_000)
    form = intake.NewReport(
        key=key_of(op["id"]), service_code="light-out", channel="web", words="canary",
        place=Place(39.6, -71.2, "pin", "Tansy Street"),
    )  # fmt: skip
    if not form_first:
        nia.exchange(op)
        nia.upload(picture(), shot["id"])
    with transaction(engine) as s:
        intake.submit(s, form, at=clock(), token="t")
    nia.exchange(op)
    with transaction(engine) as s:
        told = s.scalars(select(Report)).one()
        intake.erase(s, told, held.store, held.settings.var, by=DANA, at=clock())
    assert nia.exchange()["want"] == []
    assert nia.piece(shot, 0, b"").status_code == (404 if form_first else 200)
    photos.sweep(engine, held.settings.var, clock.tick(hours=25))
    with read_session(engine) as s:
        assert (s.scalars(select(Photo.id)).all(), s.scalars(select(ExpectedPhoto.id)).all()) == ([], [])


@pytest.mark.parametrize(("t", "many"), [("report", 6), ("note", 1)])
def test_a_resident_fills_no_disk_with_photos_of_what_is_set_aside(nia: Resident, t: str, many: int) -> None:
    op = report(nia, photos=[declare(picture(n)) for n in range(many)]) | {"t": t, "case": str(uuid.uuid4())}
    answer = nia.exchange(op)
    assert (answer["results"][0]["result"], answer["want"]) == ("quarantined", [])


def test_work_that_is_given_up_brings_no_words_to_an_erased_case(
    app: Flask, engine: Engine, luis: Phone, nia: Resident, clock: Clock
) -> None:
    held, shot = app.extensions["cityline"], declare(picture())
    number = nia.exchange(report(nia, words="canary"))["results"][0]["to"]
    dispatch(engine, number, transitions.assign, clock, crew="Lights 2")
    note = luis.op("note", luis.job(number), words="canary", prev=str(uuid.uuid4()), photos=[shot])
    luis.exchange(note)
    luis.exchange(luis.op("close", luis.job(number), outcome="not found"))
    with transaction(engine) as s:
        told = s.scalars(select(Report)).one()
        intake.erase(s, told, held.store, held.settings.var, by=DANA, at=clock())
    with transaction(engine) as s:
        assert review.overdue(s, clock.tick(hours=73)) == 1
    assert luis.exchange()["want"] == []
    with read_session(engine) as s:
        row = s.get_one(SyncOperation, note["id"])
        assert (row.code, row.result["why"], row.review, row.raw) == ("recorded", "erased", "erased", None)
        assert "canary" not in str(story(s, number))


@pytest.mark.parametrize("cleared", [False, True])
def test_other_words_under_the_same_id_go_with_the_report(
    app: Flask, engine: Engine, nia: Resident, clock: Clock, cleared: bool
) -> None:
    op = report(nia, words="A lamp is out")
    unreadable = op | {"data": op["data"] | {"words": "canary " * 1000}}
    assert [told["result"] for told in nia.exchange(op)["results"]] == ["applied"]
    for other in (op | {"data": op["data"] | {"words": "canary"}}, unreadable):
        assert [told["result"] for told in nia.exchange(other)["results"]] == ["quarantined"]
    with read_session(engine) as s:
        assert sum("canary" in (raw or "") for raw in s.scalars(select(SyncOperation.raw))) == 2
    held = app.extensions["cityline"]
    with transaction(engine) as s:
        told = s.scalars(select(Report)).one()
        # Who has seen it lets it go: it is found by nothing any more.
        assert review.dismiss(s, review.to_look_at(s, 1)[0].row, by=DANA, at=clock())
        if cleared:
            transitions.close(s, told.case, Closing("fixed", no_photo="dark"), by=DANA, at=clock())
        else:
            intake.erase(s, told, held.store, held.settings.var, by=DANA, at=clock())
    if cleared:
        at = clock.tick(hours=24 * 40)
        retention.carry_out(engine, held.settings.var, Schedule(words=Period(days=30)), at)
    with read_session(engine) as s:
        assert list(s.scalars(select(SyncOperation.raw))) == [None, None, None]
        assert list(s.scalars(select(SyncOperation.review))) == [None, None, None]
    late = op | {"data": op["data"] | {"words": "canary again"}}
    unreadable = late | {"device_time": "yesterday"}
    for other, why in ((late, "another_body"), (late, "another_body"), (unreadable, "malformed")):
        [told] = nia.exchange(other)["results"]
        assert (told["id"], told["result"], told["why"]) == (op["id"], "quarantined", why)
    with read_session(engine) as s:
        assert list(s.scalars(select(SyncOperation.raw))) == [None, None, None]


@pytest.mark.parametrize("at_that_moment", [False, True])
def test_what_a_phone_sends_of_a_form_that_was_erased_is_nothing_any_more(
    app: Flask, engine: Engine, nia: Resident, clock: Clock, at_that_moment: bool
) -> None:
    op = report(nia, words="canary", photos=[declare(picture())])
    form = intake.NewReport(
        key=key_of(op["id"]), service_code="light-out", channel="web", words="canary",
        place=Place(39.6, -71.2, "pin", "Tansy Street"),
    )  # fmt: skip
    nia.exchange()  # the phone gets its name
    held, answers = app.extensions["cityline"], list[dict[str, Any]]()
    phone = threading.Thread(target=lambda: answers.append(nia.exchange(op)))
    with transaction(engine) as s:
        intake.submit(s, form, at=clock(), token="t")
    with transaction(engine) as s:
        told = s.scalars(select(Report)).one()
        intake.erase(s, told, held.store, held.settings.var, by=DANA, at=clock())
        s.flush()
        if at_that_moment:
            phone.start()
            phone.join(1)  # it waits for us, and goes as far as it may meanwhile
    if not at_that_moment:
        phone.start()
    phone.join()
    [answer] = answers
    assert [(each["result"], each["why"]) for each in answer["results"]] == [("recorded", "erased")]
    assert answer["want"] == []
    with read_session(engine) as s:
        assert list(s.scalars(select(SyncOperation.raw))) == [None]
        assert list(s.scalars(select(ExpectedPhoto.id))) == []


@pytest.mark.postgresql  # SQLite lets nobody erase while another writes
def test_whether_a_report_was_erased_is_asked_of_what_it_is_now(
    app: Flask, engine: Engine, clock: Clock
) -> None:
    held = app.extensions["cityline"]
    form = intake.NewReport(
        key="k" * 32, service_code="light-out", channel="web", place=Place(39.6, -71.2, "pin", "Tansy Street")
    )
    with transaction(engine) as s:
        intake.submit(s, form, at=clock(), token="t")

    def erase() -> None:
        with transaction(engine) as other:
            report = other.scalars(select(Report)).one()
            intake.erase(other, report, held.store, held.settings.var, by=DANA, at=clock())

    with transaction(engine) as s:
        read = s.scalars(select(Report)).one()
        with ThreadPoolExecutor(1) as eraser:
            eraser.submit(erase).result()
        assert read.erased_at is None
        assert intake.is_erased(s, form.key)


def test_what_was_set_aside_of_a_case_that_is_known_by_its_report_alone_goes_when_the_case_is_cleared(
    app: Flask, engine: Engine, luis: Phone, clock: Clock
) -> None:
    op = report(luis)
    shot, never = declare(picture()), declare(picture(200))
    long = on(luis, "note", op, words="canary " * 700)
    odd = on(luis, "note", op) | {"device_time": "canary"}
    waits = on(luis, "note", op, words="canary", prev=str(uuid.uuid4()), photos=[shot])
    told = luis.exchange(op, long, odd, waits)["results"]
    assert [each["result"] for each in told] == ["applied", "quarantined", "quarantined", "held"]
    first = on(luis, "start", op)
    refused = on(luis, "close", op, outcome="canary", prev=first["id"], photos=[never])
    assert [each["result"] for each in luis.exchange(refused)["results"]] == ["held"]
    assert luis.exchange(first)["want"] == [shot["id"], never["id"]]
    luis.upload(picture(), shot["id"])
    with transaction(engine) as s:
        case = s.scalars(select(Report)).one().case
        transitions.close(s, case, Closing("fixed", no_photo="dark"), by=DANA, at=clock())
    at = clock.tick(hours=24 * 40)
    retention.carry_out(engine, app.extensions["cityline"].settings.var, Schedule(words=Period(days=30)), at)
    with read_session(engine) as s:
        assert s.get_one(SyncOperation, refused["id"]).code == "quarantined"
        assert list(s.scalars(select(SyncOperation.raw))) == [None] * 6
        assert list(s.scalars(select(SyncOperation.review))) == [None] * 6
        assert list(s.scalars(select(ExpectedPhoto.id))) == []


def test_phones_that_send_nothing_are_forgotten(
    engine: Engine, nia: Resident, clock: Clock, app: Flask
) -> None:
    Resident(app, clock)
    nia.exchange(report(nia))
    with transaction(engine) as s:
        assert residents.sweep(s, clock.tick(hours=25)) == 1
        assert s.scalars(select(Device.id)).one() == nia.device


def test_a_photo_of_a_crews_report_keeps_its_place_when_it_comes_late(engine: Engine, luis: Phone) -> None:
    op = report(luis, photos=[declare(picture())])
    [told] = luis.exchange(op)["results"]
    luis.upload(picture(), op["photos"][0]["id"])
    with read_session(engine) as s:
        case = case_of(s, told["to"])
        assert len(case.reports[0].photos) == 1
        assert queries.evidence(s, case, 1) == []
        assert transitions.live(case) is None
