"""The map's tiles over HTTP: who may see them, what they hold, and what an idle map costs."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from factories import LAMP, Town, counted
from flask import Flask
from flask.testing import FlaskClient
from wording import city

from city import geo
from city.audit import epochs
from city.cases import transitions
from city.db.models import Address, Asset
from pwa.web import access

pytestmark = pytest.mark.both_databases

TILE = "/tiles/cases/16/{}/{}".format(*geo.tile_at(LAMP.point, 16))


@pytest.fixture
def board(client: FlaskClient, log_in: Callable[[str], FlaskClient]) -> FlaskClient:
    """The browser of a dispatcher."""
    return log_in("dispatcher")


def test_only_staff_see_tiles(client: FlaskClient, log_in: Callable[[str], FlaskClient]) -> None:
    assert client.get(TILE).status_code == 302
    assert client.get("/tiles/cases/count").status_code == 302
    log_in("rosa")
    assert client.get(TILE).status_code == 403


def test_a_tile_has_the_cases_of_the_view(board: FlaskClient, town: Town) -> None:
    with town.at_work() as scene:
        lamp = scene.report().case.number
        scene.report(service_code="limb-down", place=None)
    point = [lamp, LAMP.lat, LAMP.lon, "ok", city.STREETLIGHT_OUT]
    assert board.get(TILE).get_json() == {"clusters": [], "points": [point], "total": 1, "placed": 1}
    assert board.get(f"/es{TILE}").get_json()["points"][0][4] == city.STREETLIGHT_OUT_ES
    assert board.get(f"{TILE}?group=tree").get_json()["points"] == []
    told = board.get("/tiles/cases/count").get_json()
    assert told == {
        "total": 2, "unlocated": 1, "hidden": 0, "box": [LAMP.lat, LAMP.lon, LAMP.lat, LAMP.lon],
        "outside": 0, "dangers": [],
    }  # fmt: skip


def test_what_lies_far_outside_the_city_is_counted_and_drawn_only_when_asked_for(
    board: FlaskClient, town: Town
) -> None:
    far = replace(LAMP, lat=LAMP.lat + 1)
    with town.at_work() as scene:
        case, by = scene.report().case, scene.actor("dispatcher")
        near, service = case.number, case.service
        # As an import brings them: nobody can report from there.
        away = transitions.open_case(scene.s, service, far, by=by, at=town.now).number
        transitions.open_case(scene.s, service, far, by=by, at=town.now)
    for view in ("", "?since=2000-01-01", "?crew=none&state=new"):
        told = board.get(f"/tiles/cases/count{view}").get_json()
        assert (told["outside"], told["box"]) == (2, [LAMP.lat, LAMP.lon, LAMP.lat, LAMP.lon]), view
        also = f"{view}{'&' if view else '?'}outside=yes"
        told = board.get(f"/tiles/cases/count{also}").get_json()
        assert told["outside"] == 0, view
        assert told["box"][2] == pytest.approx(far.lat, abs=0.01), view
        assert [point[0] for point in board.get(f"/tiles/cases/4/4/6{view}").get_json()["points"]] == [near]
        points = board.get(f"/tiles/cases/4/4/6{also}").get_json()["points"]
        assert away in [point[0] for point in points], view


def test_no_cluster_hides_where_somebody_can_be_hurt(board: FlaskClient, town: Town) -> None:
    with town.at_work() as scene:
        scene.report()
        wire = scene.report(service_code="limb-down", danger=True, place=LAMP).case.number
        nowhere = scene.report(service_code="limb-down", danger=True, place=None).case.number
    told = board.get("/tiles/cases/count").get_json()
    assert [each[0] for each in told["dangers"]] == [wire]
    assert nowhere not in str(told)
    assert board.get("/tiles/cases/count?group=streetlight").get_json()["dangers"] == []
    assert board.get("/tiles/cases/count?state=closed").get_json()["dangers"] == []
    assert board.get("/tiles/cases/count?group=other").get_json()["box"] is None


@pytest.mark.parametrize("address", ["/tiles/cases/16/1/70000", "/tiles/cases/30/1/1", "/tiles/cases/x/1/1"])
def test_an_address_of_no_tile_is_not_found(board: FlaskClient, address: str) -> None:
    assert board.get(address).status_code == 404


def test_nonsense_in_the_view_is_left_out(board: FlaskClient, town: Town) -> None:
    with town.at_work() as scene:
        scene.report()
    for nonsense in ("?crew=%27--", "?area=x", "?standing=blue&service=%27--"):
        assert board.get(TILE + nonsense).get_json()["total"] == 1


def test_what_a_browser_has_is_not_sent_again_until_something_changes(
    board: FlaskClient, town: Town, app: Flask
) -> None:
    with town.at_work() as scene:
        case = scene.report().case
    first = board.get(TILE)
    assert first.headers["Cache-Control"] == "private, no-cache"
    asked = {"If-None-Match": first.headers["ETag"]}
    with counted(app) as sent:
        again = board.get(TILE, headers=asked)
    assert (again.status_code, again.data) == (304, b"")
    assert not any("cases" in statement or "cell_counts" in statement for statement in sent)
    assert board.get(f"/es{TILE}", headers=asked).status_code == 200
    with town.at_work() as scene:
        held = scene.case(case.number)
        transitions.assign(scene.s, held, scene.crew("lights"), by=scene.actor("dispatcher"), at=town.now)
    assert board.get(TILE, headers=asked).status_code == 200


def test_after_a_restore_nothing_that_a_browser_has_is_taken_for_the_present(
    board: FlaskClient, town: Town
) -> None:
    with town.at_work() as scene:
        scene.report()
    asked = {"If-None-Match": board.get(TILE).headers["ETag"]}
    epochs.start_epoch(
        town.engine, town.now
    )  # the log of what was put back is as long, and the server has started
    assert board.get(TILE, headers=asked).status_code == 200


def test_how_long_a_case_has_been_open_is_read_anew_as_time_goes_by(
    board: FlaskClient, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    with town.at_work() as scene:
        scene.report(at=town.now - timedelta(days=1) + timedelta(minutes=5))
    old = board.get(f"{TILE}?age=1")
    assert old.get_json()["total"] == 0
    later = town.now + timedelta(minutes=10)
    monkeypatch.setattr(access, "now", lambda: later)
    asked = {"If-None-Match": old.headers["ETag"]}
    assert board.get(f"{TILE}?age=1", headers=asked).get_json()["total"] == 1


def test_a_close_look_shows_poles_and_doors(board: FlaskClient, town: Town) -> None:
    stands = LAMP.point
    near, far = geo.Point(stands.lat + 0.0005, stands.lon), geo.Point(stands.lat + 0.02, stands.lon)
    with town.at_work() as scene:
        pole = Asset(
            kind="pole", number="20-118", lat=stands.lat, lon=stands.lon, cell=geo.cell(stands), address=""
        )
        gone = Asset(
            kind="pole", number="20-119", lat=near.lat, lon=near.lon, cell=geo.cell(near), address="",
            retired_at=town.now,
        )  # fmt: skip
        scene.s.add_all([pole, gone])
        for label, at in (("12 Elm Street", near), ("90 Elm Street", far), ("Elm House", near)):
            scene.s.add(Address(label=label, lat=at.lat, lon=at.lon, cell=geo.cell(at)))
    told = board.get(f"/tiles/cases/ground?lat={stands.lat}&lon={stands.lon}&metres=300").get_json()
    assert [thing[0] for thing in told["things"]] == ["20-118"]
    assert [door[0] for door in told["doors"]] == ["12"]
    for nonsense in ("", "?lat=x&lon=1", "?lat=91&lon=0", "?lat=nan&lon=0"):
        assert board.get(f"/tiles/cases/ground{nonsense}").status_code == 404
    whole = board.get(f"/tiles/cases/ground?lat={stands.lat}&lon={stands.lon}&metres=inf").get_json()
    assert [door[0] for door in whole["doors"]] == ["12"]
