"""Many cases are of another type, or lie elsewhere: asked once, done, told once, and taken back."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from factories import Town
from flask.testing import FlaskClient
from sqlalchemy import func, select
from test_batch_pages import html_of
from test_batch_pages import post as post
from test_batch_pages import three as three
from werkzeug.test import TestResponse
from wording import city, shared, staff

from city.cases import transitions
from city.db.models import Address, Event, EventDetail, Service
from city.geo import Point, cell

pytestmark = pytest.mark.both_databases
THERE = Point(39.61, -71.19)


@pytest.fixture
def elm(town: Town) -> str:
    """Two addresses that begin alike; the first one's label."""
    with town.at_work() as scene:
        for label, lat in (("9 Elm Street", THERE.lat), ("9 Elm Court", 39.605)):
            here = Point(lat, THERE.lon)
            scene.s.add(Address(label=label, lat=here.lat, lon=here.lon, cell=cell(here)))
    return "9 Elm Street"


def types(town: Town, numbers: list[str]) -> list[str]:
    with town.looking() as scene:
        return [scene.case(number).service_code for number in numbers]


def places(town: Town, numbers: list[str]) -> list[str | None]:
    with town.looking() as scene:
        return [scene.case(number).address for number in numbers]


def of(numbers: list[str], act: str, **more: Any) -> dict[str, Any]:
    """The form of the board's bar for these cases."""
    return {"key": "k", "act": act, "cases": " ".join(numbers), **more}


def undo_of(page: str) -> str:
    return re.findall(r'action="(/dispatch/batch/\d+/undo)"', page)[0]


def test_the_type_is_asked_once_changed_and_put_back(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    with town.at_work() as scene:
        crew = scene.crew("lights")
        crew.department_code = "lights"
        transitions.assign(scene.s, scene.case(three[0]), crew, by=scene.actor("dispatcher"), at=town.now)
    order = of(three, "reclassify pothole")
    page = html_of(post("/dispatch/batch", **order))
    assert staff.CHANGE_CASES_TO(3, type=city.POTHOLE) in page
    assert staff.LOSE_CREW(1) in page
    assert types(town, three) == ["light-out", "light-out", "limb-down"]
    page = html_of(post("/dispatch/batch", sure="3", why="Seen on the photo", **order))
    assert shared.CASES_CHANGED_TO(3, type=city.POTHOLE) in page
    assert types(town, three) == ["pothole"] * 3
    with town.looking() as scene:
        assert scene.case(three[0]).state == "accepted"
        told = (
            select(EventDetail.text)
            .join(Event, Event.seq == EventDetail.seq)
            .where(Event.kind == "reclassify")
        )
        assert ["Seen on the photo" in words for words in scene.s.scalars(told)] == [True] * 3
    assert shared.CASES_PUT_BACK(3) in html_of(post(undo_of(page)))
    assert types(town, three) == ["light-out", "light-out", "limb-down"]
    with town.looking() as scene:
        assert scene.case(three[0]).state == "assigned"


def test_the_same_order_sent_twice_is_done_once(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    order = of(three, "reclassify pothole", sure="3")
    first = html_of(post("/dispatch/batch", **order))
    again = html_of(post("/dispatch/batch", **order))
    assert undo_of(first) == undo_of(again)
    with town.looking() as scene:
        assert scene.s.scalar(select(func.count()).where(Event.kind == "reclassify")) == 3


def test_they_move_to_one_place_by_its_address(
    town: Town, three: list[str], elm: str, post: Callable[..., TestResponse]
) -> None:
    order = of(three, "relocate", place=elm)
    page = html_of(post("/dispatch/batch", **order))
    assert staff.MOVE_CASES_TO(3, place=elm) in page
    page = html_of(post("/dispatch/batch", sure="3", **order))
    assert shared.CASES_MOVED(3) in page
    assert places(town, three) == [elm] * 3
    assert shared.CASES_PUT_BACK(3) in html_of(post(undo_of(page)))
    assert elm not in places(town, three)


def test_of_several_places_one_is_chosen(
    town: Town, three: list[str], elm: str, post: Callable[..., TestResponse]
) -> None:
    answer = post("/dispatch/batch", key="k", act="relocate", place="9 Elm", cases=" ".join(three))
    assert answer.status_code == 422
    page = html_of(answer)
    picks = re.findall(r'name="act" value="(relocate [^"]+)".*?<span>([^<]+)</span>', page)
    assert elm in [label for _act, label in picks]
    act = next(act for act, label in picks if label == elm)
    order = of(three, act, place="9 Elm")
    assert staff.MOVE_CASES_TO(3, place=elm) in html_of(post("/dispatch/batch", **order))
    assert shared.CASES_MOVED(3) in html_of(post("/dispatch/batch", sure="3", **order))
    assert places(town, three) == [elm] * 3


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"act": "reclassify no-such-type"}, "service"),
        ({"act": "reclassify"}, "service"),
        ({"act": "relocate", "place": ""}, "place"),
        ({"act": "relocate", "place": "Nowhere at all 999"}, "place"),
    ],
)
def test_what_is_wrong_is_said_and_the_form_comes_back_with_its_words(
    town: Town, three: list[str], post: Callable[..., TestResponse], asked: dict[str, str], field: str
) -> None:
    answer = post(
        "/dispatch/batch", fragment=False, key="k", cases=" ".join(three), why="Seen on the photo", **asked
    )
    assert answer.status_code == 422
    page = html_of(answer)
    assert f'id="bulk-{field}-fault"' in page
    assert "Seen on the photo" in page
    assert asked.get("place", "") in page
    assert types(town, three) == ["light-out", "light-out", "limb-down"]


def test_too_many_words_are_refused(town: Town, three: list[str], post: Callable[..., TestResponse]) -> None:
    order = of(three, "reclassify pothole", sure="3")
    assert post("/dispatch/batch", why="x" * 20_000, **order).status_code == 422
    assert types(town, three) == ["light-out", "light-out", "limb-down"]


def test_field_work_does_not_become_an_offices(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    with town.at_work() as scene:
        scene.s.get_one(Service, "limb-down").office = True
    order = of(three, "reclassify pothole")
    page = html_of(post("/dispatch/batch", **order))
    assert staff.MISFITS(1) in page
    page = html_of(post("/dispatch/batch", sure="3", **order))
    assert shared.CASES_CHANGED_TO(2, type=city.POTHOLE) in page
    assert types(town, three) == ["pothole", "pothole", "limb-down"]


def test_between_the_sentences_of_the_question_are_spaces(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    with town.at_work() as scene:
        scene.s.get_one(Service, "pothole").private = True
        scene.s.get_one(Service, "limb-down").office = True
    order = of(three, "reclassify pothole")
    page = html_of(post("/dispatch/batch", **order))
    assert f"{staff.NOW_PRIVATE(2)} {staff.MISFITS(1)}" in " ".join(page.split())


def test_a_private_type_hides_them_and_says_so_first(
    town: Town, three: list[str], post: Callable[..., TestResponse], client: FlaskClient
) -> None:
    with town.at_work() as scene:
        scene.s.get_one(Service, "pothole").private = True
    order = of(three, "reclassify pothole")
    assert staff.NOW_PRIVATE(3) in html_of(post("/dispatch/batch", **order))
    assert post("/dispatch/batch", sure="3", **order).status_code == 200
    listed = client.get("/open311/v2/requests.json").get_data(as_text=True)
    assert not [number for number in three if number in listed]


def test_what_changed_since_the_page_was_read_stays(
    town: Town, three: list[str], post: Callable[..., TestResponse], log_in: Callable[[str], FlaskClient]
) -> None:
    board = log_in("dispatcher").get("/dispatch").get_data(as_text=True)
    since = re.findall(r'name="since"[^>]* value="([^"]+)"', board)[0]
    with town.at_work() as scene:
        scene.report(join=three[0], danger=True)
    order = of(three, "reclassify pothole", sure="3", since=since)
    page = html_of(post("/dispatch/batch", **order))
    assert three[0] in page
    assert types(town, three) == ["light-out", "pothole", "pothole"]


def test_a_manager_only_reads(town: Town, three: list[str], post: Callable[..., TestResponse]) -> None:
    order = of(three, "reclassify pothole", sure="3")
    assert post("/dispatch/batch", by="manager", **order).status_code == 403
    assert types(town, three) == ["light-out", "light-out", "limb-down"]


def test_a_call_taker_leaves_a_crews_jobs_alone(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        transitions.assign(scene.s, scene.case(three[0]), scene.crew("lights"), by=by, at=town.now)
    order = of(three, "reclassify pothole", sure="3")
    page = html_of(post("/dispatch/batch", by="call-taker", **order))
    assert shared.CASES_CHANGED_TO(2, type=city.POTHOLE) in page
    assert shared.CREW_HAS_IT in page
    assert types(town, three) == ["light-out", "pothole", "pothole"]


@pytest.mark.parametrize("words", ["<script>alert(1)</script>", "%_'\"--", "x" * 5000])
@pytest.mark.parametrize("act", ["relocate", "relocate no such key"])
def test_hostile_words_of_a_place_move_nothing(
    town: Town, three: list[str], elm: str, post: Callable[..., TestResponse], act: str, words: str
) -> None:
    answer = post("/dispatch/batch", key="k", act=act, place=words, cases=" ".join(three), sure="3")
    assert answer.status_code in (200, 422)
    assert "<script>alert" not in answer.get_data(as_text=True)


def test_a_case_that_was_merged_meanwhile_stays_and_is_named(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    with town.at_work() as scene:
        into = scene.case(three[1])
        transitions.merge(scene.s, scene.case(three[0]), into, by=scene.actor("dispatcher"), at=town.now)
    order = of(three, "reclassify pothole", sure="3")
    page = html_of(post("/dispatch/batch", **order))
    assert shared.CASES_CHANGED_TO(2, type=city.POTHOLE) in page
    assert three[0] in page
    assert types(town, three) == ["light-out", "pothole", "pothole"]


def test_two_tabs_correct_the_same_cases_one_after_the_other(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    """Each tab has a key of its own; the second finds them as it wants them, or changes them anew."""
    order = of(three, "reclassify pothole", sure="3")
    first = html_of(post("/dispatch/batch", **order | {"key": "one"}))
    second = html_of(post("/dispatch/batch", **order | {"key": "two"}))
    assert 'id="undo-batch"' not in second
    assert shared.CASES_PUT_BACK(3) in html_of(post(undo_of(first)))
    assert types(town, three) == ["light-out", "light-out", "limb-down"]


def test_an_offices_work_has_no_place_to_correct(
    town: Town, three: list[str], elm: str, post: Callable[..., TestResponse]
) -> None:
    with town.at_work() as scene:
        scene.s.get_one(Service, "limb-down").office = True
    order = of(three, "relocate", place=elm, sure="3")
    page = html_of(post("/dispatch/batch", **order))
    assert three[2] in page
    assert [place == elm for place in places(town, three)] == [True, True, False]


def test_a_supervisor_gives_many_a_new_date(
    town: Town, three: list[str], post: Callable[..., TestResponse]
) -> None:
    order = of(three, "reschedule weather")
    order["day"] = f"{town.now + timedelta(days=20):%Y-%m-%d}"
    page = html_of(post("/dispatch/batch", by="supervisor", **order))
    assert staff.NEW_DATE_FOR(3) in page
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    assert (hidden["reason"], hidden["day"]) == ("weather", order["day"])
    page = html_of(post("/dispatch/batch", by="supervisor", sure="3", **order))
    assert shared.NEW_DATE_GIVEN(3) in page
    with town.looking() as scene:
        assert all(scene.case(number).rescheduled_to for number in three)
    assert shared.CASES_PUT_BACK(3) in html_of(post(undo_of(page), by="supervisor"))
    with town.looking() as scene:
        assert not any(scene.case(number).rescheduled_to for number in three)


@pytest.mark.parametrize("day", ["2020-01-01", "2099-01-01", "soon", "20991220", "2099-W51-1"])
def test_a_day_that_cannot_be_is_said_beside_its_field(
    town: Town, three: list[str], post: Callable[..., TestResponse], day: str
) -> None:
    order = of(three, "reschedule weather", day=day, sure="3")
    answer = post("/dispatch/batch", by="supervisor", fragment=False, **order)
    assert answer.status_code == 422
    assert 'id="bulk-day-fault"' in html_of(answer)
    assert f'value="{day}"' in html_of(answer)


def test_a_dispatcher_gives_no_new_date(
    three: list[str], post: Callable[..., TestResponse], log_in: Callable[[str], FlaskClient]
) -> None:
    order = of(three, "reschedule weather", sure="3")
    assert post("/dispatch/batch", **order).status_code in (403, 422)
    assert 'id="bulk-date"' not in log_in("dispatcher").get("/dispatch").get_data(as_text=True)
    assert 'id="bulk-date"' in log_in("supervisor").get("/dispatch").get_data(as_text=True)


def test_too_long_a_reason_blames_no_other_field(three: list[str], post: Callable[..., TestResponse]) -> None:
    order = of(three, "reclassify pothole", sure="3")
    page = html_of(post("/dispatch/batch", fragment=False, why="x" * 20_000, **order))
    assert 'id="bulk-words-fault" role="alert" hidden' in page
