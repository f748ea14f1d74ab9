"""What staff read of one pole, tree or basket and of one address: all its cases, and how often it fails."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from factories import LAMP, Scene, Town, counted
from flask import Flask
from flask.testing import FlaskClient
from wording import shared, shown, staff

from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Asset, Case, Street
from city.geo import Point, cell
from city.photos.storage import open_store
from city.places.lookup import Place
from city.reports import intake

pytestmark = pytest.mark.both_databases

PAGE = "/dispatch/asset/20-118"
DAY = timedelta(days=1)
NORTH = 90.0 / 111_320  # degrees of 90 m


@pytest.fixture
def pole(town: Town) -> Place:
    with town.at_work() as scene:
        place = scene.pole()
        scene.s.get_one(Asset, place.asset_id).cell = cell(Point(39.6, -71.2))
        return place


def another(scene: Scene, number: str, **facts: Any) -> Asset:
    lat = facts.pop("lat", 39.6)
    told = {"kind": "pole", "lat": lat, "lon": -71.2, "address": "Tansy Street"} | facts
    thing = Asset(number=number, cell=cell(Point(lat, -71.2)), **told)
    scene.s.add(thing)
    scene.s.flush()
    return thing


def closed(scene: Scene, place: Place, outcome: str = "fixed", **told: Any) -> Case:
    at = told.get("at", scene.town.now)
    case = scene.report(place=place, **told).case
    closing = Closing(outcome, no_photo="dark" if outcome == "fixed" else None, words="New lamp")
    transitions.close(scene.s, case, closing, by=scene.actor("dispatcher"), at=at)
    return case


def listed(page: str) -> list[str]:
    return re.findall(r'<small><span class="num">(\d\d-\d+)</span> ·', page)


def test_the_story_is_whole_and_only_cases_of_their_own_count(
    log_in: Callable[[str], FlaskClient], town: Town, pole: Place
) -> None:
    with town.at_work() as scene:
        old = [closed(scene, pole, at=town.now - n * DAY).number for n in (900, 500, 30)]
        still = scene.report(place=pole).case
        twin = scene.report(place=pole).case
        by = {"by": scene.actor("dispatcher"), "at": town.now}
        transitions.merge(scene.s, twin, still, **by)
        spam = scene.report(place=pole).case
        transitions.cancel(scene.s, spam, "spam", **by)
        scene.report(place=LAMP)  # beside it, and about nothing of the city's
        numbers = [spam.number, twin.number, still.number, *reversed(old)]
    page = shown(log_in("dispatcher").get(PAGE))
    assert listed(page) == numbers
    first = (town.now - 900 * DAY).year
    assert f'<data value="4">4</data><small>{staff.CASES_SINCE(4, year=str(first))}' in page
    assert f'href="/dispatch/cases/{numbers[2]}">{numbers[2]}</a>' in page, "whereto it was merged"
    assert page.count("<q>New lamp</q>") == 3
    assert staff.FAILS_AGAIN in page, "500 and 30 days ago, and now"
    assert '<data value="300">' in page, "400, 470 and 30 days lie between them"


def test_what_found_nothing_is_no_failure(
    log_in: Callable[[str], FlaskClient], town: Town, pole: Place
) -> None:
    with town.at_work() as scene:
        for n in (1, 2, 3):
            closed(scene, pole, "not found", at=town.now - n * DAY)
        scene.report(place=pole)
    page = shown(log_in("manager").get(PAGE))
    assert len(listed(page)) == 4
    assert staff.FAILS_AGAIN not in page


def test_an_asset_without_cases_says_so_and_leads_on(
    log_in: Callable[[str], FlaskClient], town: Town, pole: Place
) -> None:
    for name, to in (("dispatcher", "/desk?place=20-118"), ("manager", "/a/pole/20-118")):
        page = shown(log_in(name).get(PAGE))
        assert staff.NO_CASES_YET in page
        assert f'href="{to}"' in page, name
        assert staff.COORDINATES in page
    desk = log_in("dispatcher").get("/desk?place=20-118").text
    assert 'name="place" value="20-118"' in desk
    assert f'href="{PAGE}?of={pole.asset_id}"' in desk
    assert staff.NO_CASES_YET.es in shown(log_in("dispatcher").get(f"/es{PAGE}"))


def test_what_stands_around_is_in_the_order_of_numbers_and_tells_what_is_usual(
    log_in: Callable[[str], FlaskClient], town: Town, pole: Place
) -> None:
    with town.at_work() as scene:
        near, far = another(scene, "20-9", lat=39.6 + NORTH), another(scene, "20-119", lat=39.6 + 2 * NORTH)
        another(scene, "20-120", lat=39.6 + 20 * NORTH)
        another(scene, "T-1", kind="tree")
        another(scene, "20-117", retired_at=town.now)
        scene.report(place=Place(near.lat, near.lon, "asset", "Tansy Street", None, near.id))
        ids = near.id, pole.asset_id, far.id
    page = shown(log_in("dispatcher").get(PAGE))
    beside = re.findall(
        r'href="/dispatch/asset/[\d-]+\?of=(\d+)"( aria-current="page")?(?: data-promise="\w+")?>', page
    )
    assert [int(of) for of, _ in beside[:3]] == list(ids)
    assert [bool(here) for _, here in beside[:3]] == [False, True, False]
    assert len([of for of, _ in beside if int(of) not in ids]) == 0
    assert f'rel="prev" href="/dispatch/asset/20-9?of={near.id}"' in page
    assert f'rel="next" href="/dispatch/asset/20-119?of={far.id}"' in page
    assert "0.5" in page, "one case of two others"


def test_a_number_of_several_is_asked_about(
    log_in: Callable[[str], FlaskClient], town: Town, pole: Place
) -> None:
    with town.at_work() as scene:
        tree = another(scene, "20-118", kind="tree").id
        gone = another(scene, "20-118", retired_at=town.now - DAY, address="9 Elm Street").id
    client = log_in("dispatcher")
    page = shown(client.get(PAGE))
    assert f"<h1>{staff.ASK_WHICH_NUMBER(number='20-118')}</h1>" in page
    for one in (pole.asset_id, tree, gone):
        assert f'href="{PAGE}?of={one}"' in page
    page = shown(client.get(f"{PAGE}?of={gone}"))
    assert staff.GONE_SINCE(day="Monday, May 11") in page.replace("\xa0", " ")
    assert staff.NEW_CASE_HERE not in page
    assert f'href="{PAGE}?of={tree}"' in page, "the others stand there too"
    assert shown(client.get(f"{PAGE}?of=999999")).count(staff.ASK_WHICH_NUMBER(number="20-118"))


def test_a_retired_one_alone_is_shown_and_an_unknown_number_leads_on(
    log_in: Callable[[str], FlaskClient], town: Town, pole: Place
) -> None:
    with town.at_work() as scene:
        another(scene, "20-300", retired_at=town.now)
    client = log_in("dispatcher")
    assert staff.NEW_CASE_HERE not in shown(client.get("/dispatch/asset/20-300"))
    answer = client.get("/dispatch/asset/20-181")
    assert answer.status_code == 404
    page = shown(answer)
    assert staff.NO_SUCH_NUMBER(number="20-181") in page
    assert f'href="{PAGE}"' in page, "two figures were swapped"
    for odd in ("%00", "x" * 300, "7/12", "%F0%9F%92%A1"):
        assert client.get(f"/dispatch/asset/{odd}").status_code in (400, 404), odd
    assert shown(client.get(f"{PAGE}?page=99&of=x&from=nobody")).count("<h1>") == 1


def test_private_kinds_and_erased_words_are_as_on_the_board(
    log_in: Callable[[str], FlaskClient], town: Town, pole: Place
) -> None:
    with town.at_work() as scene:
        private = scene.report(place=pole, service_code="nuisance", words="by the blue door").case.number
        told = scene.report(place=pole, words="my name is Ann")
        kept = told.case.number
        store, by = open_store(town.settings), scene.actor("dispatcher")
        intake.erase(scene.s, told, store, town.settings.var, by=by, at=town.now)
    sealed = log_in("manager").get(PAGE)  # of another department: they know of it, and not where it lies
    assert listed(shown(sealed)) == [kept]
    assert "by the blue door" not in sealed.text
    for name in ("dispatcher", "supervisor", "call-taker", "administrator"):
        client = log_in(name)
        board, page = client.get("/dispatch").text, client.get(PAGE).text
        for number in (private, kept):
            assert (f"case-{number}" in board) == (number in listed(shown(client.get(PAGE)))), name
        assert ("by the blue door" in board) == ("by the blue door" in page), name
        assert "my name is Ann" not in page


def test_fifty_are_shown_and_the_rest_is_a_link_away_at_the_same_cost(
    log_in: Callable[[str], FlaskClient], app: Flask, town: Town, pole: Place
) -> None:
    client = log_in("dispatcher")
    pages = (PAGE, "/dispatch/address?q=Tansy+Street+%26+Nowhere")
    with town.at_work() as scene:
        closed(scene, pole)
        scene.report(place=pole)
    costs = []
    for address in pages:
        client.get(address)
        with counted(app) as few:
            client.get(address)
        costs.append(len(few))
    with town.at_work() as scene:
        for n in range(53):
            closed(scene, pole, at=town.now - n * DAY)
    for address, cost in zip(pages, costs, strict=True):
        with counted(app) as many:
            client.get(address)
        assert len(many) == cost, address
    page = shown(client.get(PAGE))
    assert len(listed(page)) == 50
    assert staff.OLDER_CASES in page
    older = re.search(r'href="([^"]*page=2[^"]*)"', page)
    assert older
    assert len(listed(shown(client.get(older[1].replace("&amp;", "&"))))) == 5


def test_an_address_has_all_its_cases_and_forgives_a_slip(
    log_in: Callable[[str], FlaskClient], town: Town, pole: Place
) -> None:
    ends = {"left_from": 1, "left_to": 99, "right_from": 2, "right_to": 98}
    with town.at_work() as scene:
        scene.s.add(Street(name="Tansy Street", line=[[-71.2, 39.599], [-71.2, 39.601]], **ends))
        scene.s.flush()
        there = closed(scene, pole).number
        near = scene.report(place=Place(39.6001, -71.2, "pin", "")).case.number
        far = scene.report(place=Place(39.61, -71.2, "pin", "")).case.number
    client = log_in("call-taker")
    page = shown(client.get("/dispatch/address?q=50+Tanzy+Street"))
    assert staff.YOU_LOOKED_FOR(words="50 Tanzy Street") in page
    assert sorted(listed(page)) == sorted([there, near])
    assert far not in page
    assert f'href="{PAGE}?of={pole.asset_id}"' in page
    answer = client.get("/dispatch/address?q=50+Zzyzx+Road")
    assert answer.status_code == 404
    assert staff.NO_ADDRESS(words="50 Zzyzx Road") in shown(answer)
    assert client.get("/dispatch/address?q=Tansy+Street").status_code == 200
    assert client.get("/dispatch/address").status_code == 200
    assert shared.WHICH_ONE not in page


def test_the_board_leads_to_both(log_in: Callable[[str], FlaskClient], town: Town, pole: Place) -> None:
    with town.at_work() as scene:
        closed(scene, pole, at=town.now - 40 * DAY)
        number = scene.report(place=pole).case.number
    client = log_in("dispatcher")
    drawer = shown(client.get(f"/dispatch/cases/{number}"))
    link = f'href="{PAGE}?of={pole.asset_id}&from={number}"'
    assert link in drawer.replace("&amp;", "&")
    assert staff.CASES_IN_TWO_YEARS(2) in drawer
    assert "/dispatch/address?q=" in drawer
    assert f'href="{PAGE}?of={pole.asset_id}"' in client.get("/dispatch?words=20-118").text
    assert f'href="{PAGE}?of={pole.asset_id}"' in client.get("/dispatch?words=pole+20-118&state=waiting").text
    back = shown(client.get(f"{PAGE}?of={pole.asset_id}&from={number}"))
    assert f'href="/dispatch/cases/{number}"' in back
