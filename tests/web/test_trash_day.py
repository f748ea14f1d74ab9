"""When is my trash day? What the page says by an address, from a phone, and where nobody knows."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from factories import LAMP, Town
from flask import Flask
from flask.testing import FlaskClient
from icalendar import Calendar
from wording import resident, shared, shown

from city.config.collection_schedule import Collection
from city.db.models import Address, Area, Street

THANKSGIVING_EVE = datetime(2026, 11, 25, 17, tzinfo=UTC)
HERE = {"lat": LAMP.lat, "lon": LAMP.lon, "accuracy": "8"}
FRIDAY, SATURDAY = "Friday, November\u00a027", "Saturday, November\u00a028"


@pytest.fixture
def zone(town: Town, app: Flask) -> None:
    """The west bank lies at the west of the town; the rest has no zone. Thanksgiving is tomorrow."""
    app.config["NOW"] = THANKSGIVING_EVE
    ring = [[-71.25, 39.55], [-71.15, 39.55], [-71.15, 39.65], [-71.25, 39.65], [-71.25, 39.55]]
    with town.at_work() as scene:
        shape = {"type": "Polygon", "coordinates": [ring]}
        scene.s.add(Area(kind="collection", name="West bank", geometry=shape))
        for label, lon in (("12 Elm Street", -71.2), ("9 Far Street", -71.12)):
            scene.s.add(Address(label=label, lat=39.6, lon=lon, cell="x"))


@pytest.mark.usefixtures("zone")
def test_an_address_is_answered_in_sentences(client: FlaskClient) -> None:
    page = words(client, "/trash-day?place=12+elm+street")
    trash = resident.PICKUP_AT(place="12 Elm Street", what=resident.TRASH, days=resident.THURSDAYS)
    yard = resident.PICKUP(what=resident.YARD_WASTE.capitalize(), days=resident.FRIDAYS)
    recycling = {"what": resident.RECYCLING.capitalize(), "days": resident.THURSDAYS}
    assert f"{trash} {shifted(FRIDAY, 'Thursday')}" in page
    assert f"{resident.PICKUP_EVERY_OTHER_WEEK(**recycling)} " in page
    assert f"{yard} {shifted(SATURDAY, 'Friday')}" in page


@pytest.mark.usefixtures("zone")
def test_it_says_so_in_spanish(client: FlaskClient) -> None:
    page = words(client, "/es/trash-day?place=12+elm+street")
    trash = {"place": "12 Elm Street", "what": resident.TRASH.es, "days": resident.THURSDAYS.es}
    moved = {
        "holiday": resident.HOLIDAY_ON.es(day="jueves, 26\u00a0de\u00a0noviembre"),
        "when": resident.PICKUP_ON.es(day="viernes, 27\u00a0de\u00a0noviembre"),
        "usual": "jueves",
    }
    assert f"{resident.PICKUP_AT.es(**trash)} {resident.NEXT_PICKUP_HOLIDAY.es(**moved)}" in page


@pytest.mark.usefixtures("zone")
def test_a_phone_is_answered_where_it_is_and_nothing_is_kept(client: FlaskClient) -> None:
    answer = client.get("/trash-day", query_string=HERE)
    assert resident.PICKUP(what="Trash", days=resident.THURSDAYS) in answer.get_data(as_text=True)
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.usefixtures("zone")
def test_a_phone_that_may_be_streets_away_is_asked_for_the_address(client: FlaskClient) -> None:
    answer = client.get("/trash-day", query_string=HERE | {"accuracy": "3000"})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert shared.FIX_UNSURE(distance="1.9\u00a0mi") in page
    assert resident.THURSDAYS not in page
    spanish = client.get("/es/trash-day", query_string=HERE | {"accuracy": "101"}).get_data(as_text=True)
    assert shared.FIX_UNSURE.es(distance="330\u00a0ft") in spanish
    for unsaid in ("", "-5", "nan", "1e308"):
        answer = client.get("/trash-day", query_string=HERE | {"accuracy": unsaid})
        assert shared.FIX_UNSAID in shown(answer)
    assert resident.THURSDAYS in words(client, f"/trash-day?lat={LAMP.lat}&lon={LAMP.lon}&accuracy=100")


@pytest.mark.usefixtures("zone")
def test_a_number_that_is_only_somewhere_on_a_long_block_is_given_no_day(
    town: Town, client: FlaskClient
) -> None:
    with town.at_work() as scene:
        for name, east in (("Mill Road", -71.182), ("Short Road", -71.199)):
            line = [[-71.2, 39.6], [east, 39.6]]
            scene.s.add(Street(name=name, line=line, left_from=1, left_to=999))
    answer = client.get("/trash-day?place=401+mill+road")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert shared.HOUSE_UNSURE(distance="0.3\u00a0mi") in shown(answer)
    assert resident.THURSDAYS not in page
    spanish = client.get("/es/trash-day?place=401+mill+road").get_data(as_text=True)
    assert shared.HOUSE_UNSURE.es(distance="0.3\u00a0mi") in spanish
    assert resident.THURSDAYS in words(client, "/trash-day?place=401+short+road")


@pytest.mark.parametrize(
    ("now", "when"),
    [
        (
            datetime(2026, 12, 3, 17, tzinfo=UTC),
            resident.PICKUP_TODAY(day="Thursday, December\u00a03"),
        ),
        (
            datetime(2026, 12, 3, 4, 30, tzinfo=UTC),
            resident.PICKUP_TOMORROW(day="Thursday, December\u00a03"),
        ),
        (
            datetime(2026, 12, 4, 17, tzinfo=UTC),
            resident.PICKUP_ON(day="Thursday, December\u00a010"),
        ),
    ],
)
@pytest.mark.usefixtures("zone")
def test_today_is_the_citys_own_day(app: Flask, client: FlaskClient, now: datetime, when: str) -> None:
    app.config["NOW"] = now
    assert resident.NEXT_PICKUP(when=when) in words(client, "/trash-day?place=12+elm+street")


@pytest.mark.usefixtures("zone")
def test_where_nobody_knows_it_says_what_to_do(client: FlaskClient) -> None:
    page = words(client, "/trash-day?place=9+far+street")
    assert resident.NO_PICKUP_HERE in page
    assert resident.PRIVATE_HAULER(number=311) in page
    assert resident.PLACE_OUTSIDE(city="Larkhaven") in words(client, "/trash-day?lat=41&lon=-72&accuracy=8")


@pytest.mark.usefixtures("zone")
def test_an_unknown_address_is_told_at_its_field(client: FlaskClient) -> None:
    answer = client.get("/trash-day?place=1+nowhere+lane")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert 'value="1 nowhere lane"' in page
    assert 'aria-invalid="true"' in page


@pytest.mark.usefixtures("zone")
def test_of_several_places_one_is_picked(town: Town, client: FlaskClient) -> None:
    with town.at_work() as scene:
        scene.s.add(Address(label="12 Elm Street", lat=39.6, lon=-71.12, cell="x"))
    page = words(client, "/trash-day?place=12+elm+street")
    assert shared.WHICH_ONE in page
    assert resident.THURSDAYS not in page
    answers = [words(client, f"/trash-day?place=12+elm+street&pick={n}") for n in (0, 1)]
    assert sum(resident.THURSDAYS in answer for answer in answers) == 1
    assert shared.WHICH_ONE in words(client, "/trash-day?place=12+elm+street&pick=7")


def test_home_and_the_trash_tile_lead_there(client: FlaskClient) -> None:
    for path in ("/", "/report", "/es/report"):
        assert client.get(path).get_data(as_text=True).count('/trash-day"') == 1


def test_a_city_without_zones_has_no_such_page(app: Flask, client: FlaskClient) -> None:
    held = app.extensions["cityline"]
    held.city = replace(held.city, collection=Collection())
    assert client.get("/trash-day").status_code == 404
    assert "/trash-day" not in client.get("/").get_data(as_text=True)


@pytest.mark.usefixtures("zone")
def test_an_answer_costs_few_questions(client: FlaskClient, asked: list[str]) -> None:
    client.get("/trash-day", query_string=HERE)
    asked.clear()
    client.get("/trash-day", query_string=HERE)
    assert len(asked) <= 3


def words(client: FlaskClient, path: str) -> str:
    """What is read on a page."""
    return re.sub(r"</?b>", "", shown(client.get(path)))


def shifted(day: str, usual: str) -> str:
    """What is said of a pickup that Thanksgiving puts off to another day."""
    when = resident.PICKUP_ON(day=day)
    return resident.NEXT_PICKUP_HOLIDAY(holiday="Thanksgiving Day", when=when, usual=usual)


@pytest.mark.usefixtures("zone")
def test_the_coming_days_stand_as_cards_and_in_a_calendar(client: FlaskClient) -> None:
    page = client.get("/trash-day?place=12+elm+street")
    assert page.text.count('<li class="card">') >= 4
    assert resident.MOVED_BY_HOLIDAY in page.text
    answer = client.get("/trash-day.ics?place=12+elm+street")
    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("text/calendar", "no-store")
    events = Calendar.from_ical(answer.data).walk("VEVENT")
    first = events[0]
    assert first.decoded("dtstart") == date(2026, 11, 27)  # Thanksgiving moved it
    assert str(first["location"]) == "12 Elm Street"
    assert first.walk("VALARM")[0].decoded("trigger") == timedelta(hours=-6)
    assert len({str(each["uid"]) for each in events}) == len(events) > 26
    again = Calendar.from_ical(client.get("/trash-day.ics?place=12+elm+street").data).walk("VEVENT")
    assert [str(each["uid"]) for each in again] == [str(each["uid"]) for each in events]
    assert "SUMMARY:La basura" in client.get("/es/trash-day.ics?place=12+elm+street").text


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("query", ["", "?place=nowhere", "?place=9+far+street", "?lat=1&lon=1&accuracy=5"])
def test_where_nobody_knows_there_is_no_calendar(client: FlaskClient, query: str) -> None:
    assert client.get(f"/trash-day.ics{query}").status_code == 404
