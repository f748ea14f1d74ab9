"""What a crew says is wrong stands in the case's drawer, where it is taken or left with one button."""

import html
import re
from collections.abc import Callable

import pytest
from factories import LAMP, Town
from flask.testing import FlaskClient
from werkzeug.test import TestResponse
from wording import city, staff

from city.cases import transitions
from city.geo import Point
from city.reports import proposals
from city.reports.proposals import Proposal

pytestmark = pytest.mark.both_databases
FRAGMENT = {"HX-Request": "true"}
THERE = Point(39.6005, -71.2005)
Post = Callable[..., TestResponse]


@pytest.fixture
def lamp(town: Town) -> str:
    """A crew's job, of which it said that it is a pothole, and a bit away."""
    with town.at_work() as scene:
        case = scene.report(words="Dark since Sunday").case
        transitions.assign(scene.s, case, scene.crew("lights"), by=scene.actor("dispatcher"), at=town.now)
        for n, said in enumerate((Proposal("pothole"), Proposal(point=THERE, accuracy_m=8))):
            told = Proposal(**vars(said) | {"words": f"Canary {n} <b>", "operation": str(n)})
            proposals.propose(scene.s, case, told, by=scene.actor("rosa"), at=town.now)
        return case.number


@pytest.fixture
def dispatcher(log_in: Callable[[str], FlaskClient]) -> FlaskClient:
    return log_in("dispatcher")


def posted(client: FlaskClient, token: str, page: str, words: str) -> TestResponse:
    """The form whose button says so, sent as a browser does."""
    forms = [each for each in re.findall(r"<form.*?</form>", page, re.DOTALL) if words in html.unescape(each)]
    assert len(forms) == 1
    url = re.search(r'action="([^"]+)"', forms[0])
    assert url
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', forms[0]))
    return client.post(html.unescape(url[1]), data=fields | {"csrf_token": token}, headers=FRAGMENT)


def drawer(client: FlaskClient, number: str) -> str:
    return client.get(f"/dispatch/cases/{number}").get_data(as_text=True)


def test_type_and_place_are_taken_one_after_the_other(
    town: Town, lamp: str, dispatcher: FlaskClient, token: Callable[[], str]
) -> None:
    page = drawer(dispatcher, lamp)
    assert staff.CREW_PROPOSES in html.unescape(page)
    assert "Canary 0 &lt;b&gt;" in page
    answer = posted(dispatcher, token(), page, staff.CHANGE_TYPE_TO(type=city.POTHOLE))
    assert answer.status_code == 200
    page = answer.get_data(as_text=True)
    assert staff.CHANGE_TYPE_TO(type=city.POTHOLE) not in page
    with town.looking() as scene:
        assert (scene.case(lamp).service_code, scene.case(lamp).review) == ("pothole", "proposed")
    assert posted(dispatcher, token(), page, staff.MOVE_IT_HERE).status_code == 200
    with town.looking() as scene:
        case = scene.case(lamp)
        assert ((case.lat, case.lon), case.review) == (THERE, None)
    assert staff.CREW_PROPOSES not in drawer(dispatcher, lamp).split("<h3>")[0]


def test_it_is_left_as_it_is(
    town: Town, lamp: str, dispatcher: FlaskClient, token: Callable[[], str]
) -> None:
    answer = posted(dispatcher, token(), drawer(dispatcher, lamp), staff.LEAVE_AS_IT_IS)
    assert answer.status_code == 200
    with town.looking() as scene:
        case = scene.case(lamp)
        assert (case.service_code, case.lat, case.review) == ("light-out", LAMP.lat, None)
    assert staff.MOVE_IT_HERE not in drawer(dispatcher, lamp)


def test_it_stands_among_what_needs_review(lamp: str, dispatcher: FlaskClient) -> None:
    assert lamp in dispatcher.get("/dispatch?review=yes").get_data(as_text=True)


def test_a_call_taker_reads_it_and_decides_nothing(lamp: str, log_in: Callable[[str], FlaskClient]) -> None:
    page = drawer(log_in("call-taker"), lamp)
    assert staff.CREW_PROPOSES in html.unescape(page)
    for words in (staff.CHANGE_TYPE_TO(type=city.POTHOLE), staff.MOVE_IT_HERE, staff.LEAVE_AS_IT_IS):
        assert words not in page


def test_someone_changed_it_first(
    town: Town, lamp: str, dispatcher: FlaskClient, token: Callable[[], str]
) -> None:
    page = drawer(dispatcher, lamp)
    with town.at_work() as scene:
        transitions.close(
            scene.s, scene.case(lamp), transitions.Closing("no action"), by=scene.actor("dispatcher"),
            at=town.now,
        )  # fmt: skip
    answer = posted(dispatcher, token(), page, staff.MOVE_IT_HERE)
    assert answer.status_code in (409, 422)
    with town.looking() as scene:
        assert (scene.case(lamp).state, scene.case(lamp).lat) == ("closed", LAMP.lat)
    assert staff.MOVE_IT_HERE not in drawer(dispatcher, lamp)


@pytest.mark.parametrize(
    "path", ["/case/{}", "/es/case/{}", "/cases.atom", "/open311/v2/requests/{}.json", "/cases"]
)
def test_no_resident_reads_of_it(lamp: str, client: FlaskClient, path: str) -> None:
    page = client.get(path.format(lamp), follow_redirects=True)
    assert page.status_code == 200
    text = page.get_data(as_text=True)
    assert "Canary" not in text
    assert "proposed" not in text
