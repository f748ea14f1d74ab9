"""A call-taker corrects a case's type or place while somebody is on the line, and takes it back."""

import re
from collections.abc import Callable

import pytest
from factories import Town
from flask.testing import FlaskClient
from test_bulk_corrections import elm as elm
from test_corrections_pages import sender as sender
from werkzeug.test import TestResponse
from wording import city, shared, shown, staff

from city.cases import batches, corrections, transitions
from city.db.models import Crew, Service

pytestmark = pytest.mark.both_databases


@pytest.fixture
def lamp(town: Town) -> str:
    with town.at_work() as scene:
        return scene.report(words="Dark since Sunday").case.number


@pytest.fixture
def post(sender: Callable[[str], Callable[..., TestResponse]]) -> Callable[..., TestResponse]:
    return sender("call-taker")


def undo_of(page: str) -> str:
    return re.findall(r'action="(/desk/cases/[^"]+/undo/\d+)"', page)[0]


def test_the_type_is_changed_and_put_back(town: Town, lamp: str, post: Callable[..., TestResponse]) -> None:
    page = shown(post(f"/desk/cases/{lamp}/type", service="pothole"))
    assert shared.CASE_CHANGED_TO(number=lamp, type=city.POTHOLE) in page
    assert staff.BACK_TO_CALL in page
    with town.looking() as scene:
        assert scene.case(lamp).service_code == "pothole"
    assert post(undo_of(page)).status_code == 200
    with town.looking() as scene:
        assert scene.case(lamp).service_code == "light-out"


def test_the_place_is_found_by_its_words(
    town: Town, lamp: str, elm: str, post: Callable[..., TestResponse]
) -> None:
    answer = post(f"/desk/cases/{lamp}/place", place="9 Elm")
    assert answer.status_code == 422
    page = shown(answer)
    assert 'value="9 Elm"' in page
    picks = dict(re.findall(r'name="pick" value="([^"]+)".*?<span>([^<]+)</span>', page))
    pick = next(key for key, label in picks.items() if label == elm)
    page = shown(post(f"/desk/cases/{lamp}/place", place="9 Elm", pick=pick))
    assert shared.CASE_MOVED(number=lamp) in page
    with town.looking() as scene:
        assert scene.case(lamp).address == elm


@pytest.mark.parametrize("what", ["type", "place"])
def test_without_javascript_it_is_a_page(lamp: str, log_in: Callable[[str], FlaskClient], what: str) -> None:
    page = shown(log_in("call-taker").get(f"/desk/cases/{lamp}/{what}"))
    assert "<html" in page
    assert f'action="/desk/cases/{lamp}/{what}"' in page


def test_a_case_with_a_crew_is_the_dispatchers(
    town: Town, lamp: str, post: Callable[..., TestResponse]
) -> None:
    with town.at_work() as scene:
        crew = scene.s.get_one(Crew, town.ids["lights"])
        transitions.assign(scene.s, scene.case(lamp), crew, by=scene.actor("dispatcher"), at=town.now)
    answer = post(f"/desk/cases/{lamp}/type", service="pothole")
    assert answer.status_code == 422
    assert shown(answer).count(shared.CREW_HAS_IT) == 1
    with town.looking() as scene:
        assert scene.case(lamp).service_code == "light-out"


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("type", {"service": "no-such-type"}),
        ("type", {}),
        ("place", {"place": "Nowhere at all 999"}),
        ("place", {"place": ""}),
        ("type", {"service": "pothole", "seen": "0"}),
    ],
)
def test_what_cannot_be_is_said_and_changes_nothing(
    town: Town, lamp: str, post: Callable[..., TestResponse], what: str, fields: dict[str, str]
) -> None:
    answer = post(f"/desk/cases/{lamp}/{what}", **fields)
    assert answer.status_code == 422
    page = shown(answer)
    assert 'id="change-fault"' in page
    assert fields.get("place", "") in page
    with town.looking() as scene:
        assert (scene.case(lamp).service_code, scene.case(lamp).version) == ("light-out", 1)


def test_an_undo_too_late_or_of_another_case_changes_nothing(
    town: Town, lamp: str, post: Callable[..., TestResponse]
) -> None:
    undo = undo_of(shown(post(f"/desk/cases/{lamp}/type", service="pothole")))
    with town.at_work() as scene:
        other = scene.report().case.number
    assert post(undo.replace(lamp, other)).status_code == 404
    with town.at_work() as scene:
        transitions.cancel(scene.s, scene.case(lamp), "test", by=scene.actor("dispatcher"), at=town.now)
    assert shared.NOT_UNDONE in shown(post(undo))
    with town.looking() as scene:
        assert (scene.case(lamp).service_code, scene.case(lamp).state) == ("pothole", "cancelled")


def test_only_who_may_correct_gets_in(
    lamp: str, sender: Callable[[str], Callable[..., TestResponse]]
) -> None:
    assert sender("manager")(f"/desk/cases/{lamp}/type", service="pothole").status_code == 403
    assert sender("call-taker")("/desk/cases/26-999999/type", service="pothole").status_code == 404


@pytest.mark.parametrize(
    ("what", "fields"), [("type", {"service": "pothole"}), ("place", {"place": "9 Elm Street"})]
)
def test_a_form_sent_twice_is_done_once_and_not_refused(
    town: Town, lamp: str, elm: str, post: Callable[..., TestResponse], what: str, fields: dict[str, str]
) -> None:
    first, again = (post(f"/desk/cases/{lamp}/{what}", seen="1", **fields) for _ in range(2))
    assert (first.status_code, again.status_code) == (200, 200)
    assert undo_of(shown(first)) == undo_of(shown(again))
    with town.looking() as scene:
        assert scene.case(lamp).version == 2


def test_a_case_that_was_merged_meanwhile_is_left_alone(
    town: Town, lamp: str, post: Callable[..., TestResponse]
) -> None:
    with town.at_work() as scene:
        into = scene.report().case
        transitions.merge(scene.s, scene.case(lamp), into, by=scene.actor("dispatcher"), at=town.now)
    answer = post(f"/desk/cases/{lamp}/type", service="pothole", seen="1")
    assert answer.status_code == 422
    assert 'id="change-fault"' in shown(answer)
    with town.looking() as scene:
        assert scene.case(lamp).service_code == "light-out"


@pytest.mark.parametrize(
    "words", ["<script>alert(1)</script>", "%_'\"--", "\u202e9 Elm", "x" * 5000, "9 " * 2000, "\U0001f600"]
)
def test_hostile_words_of_a_place_find_none(
    town: Town, lamp: str, elm: str, post: Callable[..., TestResponse], words: str
) -> None:
    answer = post(f"/desk/cases/{lamp}/place", place=words)
    assert answer.status_code in (200, 422)
    assert "<script>alert" not in answer.get_data(as_text=True)


def test_an_offices_work_has_no_place_to_correct(
    town: Town, lamp: str, elm: str, post: Callable[..., TestResponse]
) -> None:
    with town.at_work() as scene:
        scene.s.get_one(Service, "light-out").office = True
        was = scene.case(lamp).address
    assert post(f"/desk/cases/{lamp}/place", place=elm).status_code == 422
    with town.looking() as scene:
        assert scene.case(lamp).address == was


@pytest.mark.parametrize("assigned", ["before", "after"])
def test_no_call_taker_undoes_what_a_crew_has(
    town: Town,
    lamp: str,
    sender: Callable[[str], Callable[..., TestResponse]],
    assigned: str,
) -> None:
    with town.at_work() as scene:
        if assigned == "before":
            crew = scene.s.get_one(Crew, town.ids["lights"])
            transitions.assign(scene.s, scene.case(lamp), crew, by=scene.actor("dispatcher"), at=town.now)
        case = scene.case(lamp)
        was = batches.snapshot(case, "reclassify")
        pothole = scene.s.get_one(Service, "pothole")
        by = scene.actor("dispatcher")
        corrections.reclassify(scene.s, case, pothole, by=by, at=town.now)
        batch = batches.keep_single(
            scene.s, case, "reclassify", {"service": "pothole"}, was, by=by, at=town.now
        ).id
        if assigned == "after":
            transitions.assign(scene.s, case, scene.crew("lights"), by=by, at=town.now)
    answer = sender("call-taker")(f"/desk/cases/{lamp}/undo/{batch}")
    assert "put back" not in shown(answer)
    with town.looking() as scene:
        assert scene.case(lamp).service_code == "pothole"


def test_the_desk_takes_no_batch_of_many_back(
    town: Town, lamp: str, sender: Callable[[str], Callable[..., TestResponse]]
) -> None:
    with town.at_work() as scene:
        numbers = [lamp, scene.report().case.number]
        batch = batches.act(
            scene.s, numbers, "reclassify", {"service": "pothole"}, by=scene.actor("dispatcher"),
            at=town.now, sent="x",
        ).id  # fmt: skip
    assert sender("call-taker")(f"/desk/cases/{lamp}/undo/{batch}").status_code == 404
