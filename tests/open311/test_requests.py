"""Lists of requests and single ones: what is asked for, in which order, and what they tell."""

import csv
import io
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from factories import Town, counted
from flask import Flask
from flask.testing import FlaskClient
from wording import shared

from city.audit import events
from city.cases import queries, transitions
from city.cases.transitions import Closing
from city.db.models import Case, Report, Service
from city.opendata import case_summaries
from city.places.lookup import Place
from city.reports import intake
from pwa.open311 import serializers
from pwa.web import formatting

pytestmark = pytest.mark.both_databases

Get = Callable[..., Any]
DAY = timedelta(days=1)


def numbers(found: list[dict[str, Any]]) -> list[str]:
    return [each["service_request_id"] for each in found]


@pytest.fixture
def told(town: Town) -> dict[str, str]:
    """A fresh one, one of 30 days ago, one of 100 days ago, one closed; by these names."""
    with town.at_work() as scene:
        old = scene.report(at=town.now - 100 * DAY).case
        month = scene.report(at=town.now - 30 * DAY, service_code="limb-down").case
        closed = scene.report(at=town.now - 2 * DAY).case
        transitions.close(
            scene.s,
            closed,
            Closing("fixed", no_photo="nothing to see", words="A new lamp."),
            by=scene.actor("dispatcher"),
            at=town.now - DAY,
        )
        fresh = scene.report(words="It is dark here.").case
        return {"old": old.number, "month": month.number, "closed": closed.number, "fresh": fresh.number}


def test_the_last_ninety_days_newest_first(told: dict[str, str], get: Get) -> None:
    assert numbers(get("/v2/requests")) == [told["fresh"], told["closed"], told["month"]]


def test_a_request_has_the_members_of_the_standard_and_no_others(told: dict[str, str], get: Get) -> None:
    fresh = get("/v2/requests")[0]
    assert set(fresh) == {
        "service_request_id", "status", "service_name", "service_code", "description", "agency_responsible",
        "requested_datetime", "updated_datetime", "expected_datetime", "address", "address_id", "zipcode",
        "lat", "long", "media_url",
    }  # fmt: skip
    assert fresh["status"] == "open"
    assert fresh["address"] == "214 Tansy Street"
    assert fresh["description"] is None, "nobody has shown its words"


def test_empty_members_are_left_out_or_null_as_each_is_meant(told: dict[str, str], get: Get) -> None:
    fresh, closed, *_ = get("/v2/requests")
    for member in ("status_notes", "service_notice"):
        assert member not in fresh
    assert "expected_datetime" not in closed
    assert closed["status_notes"] == shared.FIXED
    assert (fresh["media_url"], fresh["zipcode"], fresh["address_id"]) == (None, None, None)


def test_how_it_ended_and_what_was_said_of_it_are_sentences_of_their_own(
    told: dict[str, str], town: Town, get: Get
) -> None:
    with town.at_work() as scene:
        closed = scene.case(told["closed"])
        closed.closures[-1].reply = {"code": "lit", "words": {"en": "It is lit again."}}
        intake.show(scene.s, closed.reports[0], by=scene.actor("dispatcher"), at=town.now)
    assert (
        get(f"/v2/requests/{told['closed']}")[0]["status_notes"]
        == f"{shared.FIXED}. It is lit again. A new lamp."
    )


def test_times_have_a_zone_and_updated_is_always_filled(told: dict[str, str], get: Get, town: Town) -> None:
    for each in get("/v2/requests"):
        for member in ("requested_datetime", "updated_datetime"):
            assert datetime.fromisoformat(each[member]).tzinfo is not None
    closed = get(f"/v2/requests/{told['closed']}")[0]
    assert datetime.fromisoformat(closed["updated_datetime"]) == town.now - DAY


def test_ids_override_everything_else_and_unknown_ones_are_left_out(told: dict[str, str], get: Get) -> None:
    wanted = f"{told['old']}, {told['closed']},26-999999"
    found = get("/v2/requests", service_request_id=wanted, status="open", service_code="limb-down")
    assert numbers(found) == [told["old"], told["closed"]]


def test_by_service_comma_joined_and_repeated(told: dict[str, str], get: Get) -> None:
    assert numbers(get("/v2/requests", service_code="limb-down")) == [told["month"]]
    assert len(get("/v2/requests", service_code="limb-down,light-out")) == 3
    assert len(get("/v2/requests", service_code=["limb-down", "light-out"])) == 3
    [fault] = get("/v2/requests", expect=404, service_code="light-out,nothing")
    assert "nothing" in fault["description"]


def test_by_status_in_any_letters(told: dict[str, str], get: Get) -> None:
    assert numbers(get("/v2/requests", status="CLOSED")) == [told["closed"]]
    assert len(get("/v2/requests", status="open,closed")) == 3
    [fault] = get("/v2/requests", expect=400, status="reopened")
    assert "reopened" in fault["description"]


def test_dates_bound_the_list_and_ninety_days_before_the_end_are_the_most(
    told: dict[str, str], get: Get, town: Town
) -> None:
    def between(since: datetime | None, until: datetime | None) -> list[str]:
        dates = {"start_date": since, "end_date": until}
        return numbers(get("/v2/requests", **{n: d.isoformat() for n, d in dates.items() if d}))

    now = town.now
    assert between(now - 101 * DAY, now - 99 * DAY) == [told["old"]]
    assert between(now - 3 * DAY, None) == [told["fresh"], told["closed"]]
    assert between(None, now - 20 * DAY) == [told["month"], told["old"]]
    assert between(now - 365 * DAY, now - 1 * DAY) == [told["closed"], told["month"]], "clamped"


@pytest.mark.parametrize(
    "written",
    [
        "2026-05-12T13:30:00Z", "2026-05-12T13:30:00.000Z", "2026-05-12T13:30:00",
        "2026-05-12T15:30:00+02:00", "2026-05-12T15:30:00 02:00", "2026-05-12T09:30:00-04:00",
        "2026-05-12T13:30:00.123456+00:00",
    ],
)  # fmt: skip
def test_every_way_to_write_a_time_is_read(told: dict[str, str], get: Get, written: str) -> None:
    found = get("/v2/requests", start_date="2026-05-11T00:00:00Z", end_date=written)
    assert numbers(found) == [told["fresh"]]


@pytest.mark.parametrize(
    "args",
    [
        {"start_date": "yesterday"}, {"end_date": "2026-13-01"},
        {"updated_after": "0001-01-01T00:00:00+09:00"}, {"page": "one"}, {"page_size": "-1"},
        {"start_date": "2026-05-02T00:00:00Z", "end_date": "2026-05-01"},
    ],
)  # fmt: skip
def test_nonsense_is_400_and_said(get: Get, args: dict[str, str]) -> None:
    [fault] = get("/v2/requests", expect=400, **args)
    assert next(iter(args)) in fault["description"]


def test_pages_hold_exactly_so_many_and_past_the_end_is_nothing(told: dict[str, str], get: Get) -> None:
    pages = [numbers(get("/v2/requests", page=page, page_size=2)) for page in (0, 1, 2, 3, 999_999)]
    assert pages == [
        [told["fresh"], told["closed"]], [told["fresh"], told["closed"]], [told["month"]], [], [],
    ]  # fmt: skip
    assert len(get("/v2/requests", page_size=5000)) == 3


def test_by_what_has_changed_however_old_the_case_is(told: dict[str, str], get: Get, town: Town) -> None:
    since = (town.now - 1.5 * DAY).isoformat()
    assert numbers(get("/v2/requests", updated_after=since)) == [told["fresh"], told["closed"]]
    until = (town.now - 0.5 * DAY).isoformat()
    assert numbers(get("/v2/requests", updated_after=since, updated_before=until)) == [told["closed"]]
    with town.at_work() as scene:
        transitions.accept(scene.s, scene.case(told["old"]), by=scene.actor("dispatcher"), at=town.now)
    assert told["old"] in numbers(get("/v2/requests", updated_after=since))


def test_what_changed_inside_changes_nothing_here(told: dict[str, str], get: Get, town: Town) -> None:
    with town.at_work() as scene:
        transitions.note(scene.s, scene.case(told["old"]), "Hm.", by=scene.actor("dispatcher"), at=town.now)
    assert told["old"] not in numbers(get("/v2/requests", updated_after=(town.now - DAY).isoformat()))


def test_extensions_tell_answers_photos_and_the_story(
    town: Town, get: Get, xml: Callable[..., Element]
) -> None:
    with town.at_work() as scene:
        report = scene.report(
            service_code="pole-damaged", answers={"blocked": "yes"}, words="Bent.", taken=[scene.photo()]
        )
        intake.show(scene.s, report, by=scene.actor("dispatcher"), at=town.now)
        transitions.accept(scene.s, report.case, by=scene.actor("dispatcher"), at=town.now)
        number, photo = report.case.number, report.photos[0].id
    [found] = get(f"/v2/requests/{number}", extensions="true")
    assert found["description"] == "Bent."
    assert found["media_url"].endswith(f"/photos/{photo}/page.jpg")
    assert found["media_url"].startswith("http://")
    assert found["attributes"] == [{"code": "blocked", "label": "Is the sidewalk blocked?", "value": "yes"}]
    assert found["extended_attributes"]["photos"] == [{"media_url": found["media_url"]}]
    assert [note["type"] for note in found["notes"]] == ["open", "accept"]
    assert set(found["notes"][0]) == {"datetime", "type", "summary", "description"}
    assert "notes" not in get(f"/v2/requests/{number}")[0]
    assert len(list(xml("/v2/requests", extensions="true").iter("note"))) == 2


def test_a_report_answers_with_its_own_number_and_its_cases_state(town: Town, get: Get) -> None:
    with town.at_work() as scene:
        first = scene.report()
        joined = scene.report(join=first.case.number, words="mine", at=town.now + DAY)
        transitions.close(
            scene.s,
            first.case,
            Closing("fixed", no_photo="dark"),
            by=scene.actor("dispatcher"),
            at=town.now + 2 * DAY,
        )
        case, number = first.case.number, joined.number
    [found] = get(f"/v2/requests/{number}")
    assert (found["service_request_id"], found["status"]) == (number, "closed")
    assert numbers(get("/v2/requests", service_request_id=f"{number},{case}")) == [number, case]
    assert numbers(get("/v2/requests")) == [case], "a list names each case once"


def test_what_was_merged_is_listed_once_and_answers_with_the_state_of_the_other(town: Town, get: Get) -> None:
    with town.at_work() as scene:
        root, merged = scene.report(), scene.report(place=Place(39.61, -71.2, "pin"))
        transitions.merge(scene.s, merged.case, root.case, by=scene.actor("dispatcher"), at=town.now)
        transitions.accept(scene.s, root.case, by=scene.actor("dispatcher"), at=town.now)
        asked = [root.case.number, merged.case.number, merged.number]
    assert numbers(get("/v2/requests")) == asked[:1]
    for number in asked:
        [found] = get(f"/v2/requests/{number}")
        assert (found["service_request_id"], found["status"]) == (number, "open")
        assert found["status_notes"] == shared.STEP_ACCEPTED


def test_ids_cannot_be_mistaken_for_numbers(told: dict[str, str], get: Get) -> None:
    for number in told.values():
        assert "-" in number
        assert number.replace("-", "").isalnum()


def test_a_private_case_is_nowhere(town: Town, get: Get) -> None:
    with town.at_work() as scene:
        scene.s.get_one(Service, "limb-down").private = True
        report = scene.report(service_code="limb-down")
        number, case = report.number, report.case.number
    assert get("/v2/requests") == []
    for each in (number, case):
        get(f"/v2/requests/{each}", expect=404)
        assert get("/v2/requests", service_request_id=each) == []


def test_a_coarse_place_stays_coarse(town: Town, get: Get) -> None:
    with town.at_work() as scene:
        scene.s.get_one(Service, "light-out").precision_m = 500
        number = scene.report().number
    for found in (get("/v2/requests")[0], get(f"/v2/requests/{number}")[0]):
        assert found["address"] == "Tansy Street"
        assert (found["lat"], found["long"]) != (39.6, -71.2)


def test_a_list_tells_of_cases_what_their_pages_do(town: Town, told: dict[str, str]) -> None:
    with town.at_work() as scene:
        for n, report in enumerate(scene.s.query(Report).all()):
            if n % 2:
                intake.show(scene.s, report, by=scene.actor("dispatcher"), at=town.now)
    for publish in ("staff", "on_accept", "at_once"):
        with town.looking() as scene:
            kinds = case_summaries.kinds(scene.s)
            found = case_summaries.listed(scene.s, case_summaries.Asked(), kinds, publish=publish)
            sights = queries.public(
                scene.s, now=town.now, publish=publish, states=case_summaries.LISTED, limit=100
            )
            pages = {sight.number: sight for sight in sights}
            assert len(found) == len(pages) == 4
            for each in found:
                page = pages[each.number]
                words = page.tellings[0].words if page.tellings else ""
                assert (each.words, each.address, each.point) == (words, page.address, page.point)
                assert each.closing == (page.proof.words if page.proof else "")


@pytest.mark.parametrize("publish", ["staff", "on_accept", "at_once"])
def test_what_is_shown_is_one_rule_in_both_its_forms(town: Town, publish: str) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        shown, spam, merged, read, _new = (scene.report() for _ in range(5))
        intake.show(scene.s, shown, by=by, at=town.now)
        transitions.cancel(scene.s, spam.case, "spam", by=by, at=town.now)
        transitions.accept(scene.s, read.case, by=by, at=town.now)
        transitions.merge(scene.s, merged.case, read.case, by=by, at=town.now)
        scene.s.flush()
        asked = scene.s.query(Report).join(Case).filter(queries.shown_column(publish))
        told = {report.number for report in asked}
        assert told == {
            each.number for each in scene.s.query(Report) if queries.is_public(each, each.case, publish)
        }


def test_a_list_costs_seven_statements_however_long_it_is(town: Town, app: Flask, get: Get) -> None:
    costs = []
    for count in (2, 20):
        with town.at_work() as scene:
            for _ in range(count):
                report = scene.report(words="Dark.", place=Place(39.61, -71.21, "pin"))
                intake.show(scene.s, report, by=scene.actor("dispatcher"), at=town.now)
        get("/v2/requests")
        with counted(app) as sent:
            get("/v2/requests", extensions="true")
        costs.append(len([each for each in sent if each.startswith("SELECT")]))
    assert costs[0] == costs[1]
    assert costs[0] <= 7


@pytest.mark.slow
def test_the_story_of_each_costs_at_most_twice_as_much_again(
    town: Town, app: Flask, client: FlaskClient
) -> None:
    with town.at_work() as scene:
        for _ in range(100):
            case = scene.report(words="Dark.").case
            for n in range(5):
                events.record(
                    scene.s, transitions.subject(case), "accept", by=scene.actor("dispatcher"), at=town.now,
                    facts={"step": n},
                )  # fmt: skip
    app.config["RATELIMIT_ENABLED"] = False

    def cost(address: str) -> float:
        client.get(address)
        return min(_seconds(lambda: client.get(address)) for _ in range(5))

    plain = "/open311/v2/requests.json"
    ratio = cost(f"{plain}?extensions=true") / cost(plain)
    assert ratio <= 3


def test_sentences_are_looked_up_once_however_long_a_list_is(
    town: Town, app: Flask, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    step = formatting.public_step
    monkeypatch.setattr(formatting, "public_step", lambda kind: said.append(kind) or step(kind))
    with town.at_work() as scene:
        for _ in range(20):
            transitions.accept(scene.s, scene.report().case, by=scene.actor("dispatcher"), at=town.now)
    for path in ("/v2/requests", "/v2/servicerequestupdates"):
        said.clear()
        get(path, extensions="true")
        assert len(said) <= 3, path


def _seconds(does: Callable[[], object]) -> float:
    """Of the processor."""
    began = time.process_time()
    does()
    return time.process_time() - began


def test_the_bulk_table_has_its_columns_and_the_same_requests(
    told: dict[str, str], client: FlaskClient, town: Town
) -> None:
    with town.at_work() as scene:
        scene.s.get_one(Service, "light-out").names = {"en": "=1+1"}
    response = client.get("/open311/v2/requests.csv", query_string={"status": "closed"})
    assert response.content_type == "text/csv; charset=utf-8"
    [row] = csv.DictReader(io.StringIO(response.get_data(as_text=True)))
    assert tuple(row) == serializers.BULK
    assert row["service_request_id"] == told["closed"]
    assert (row["status_description"], row["lat"]) == ("closed", "39.6")
    assert datetime.fromisoformat(row["closed_date"]) == town.now - DAY
    assert row["service_name"] == "'=1+1", "no spreadsheet calculates it"
    assert client.get("/open311/v2/requests.csv?status=nonsense").status_code == 400
