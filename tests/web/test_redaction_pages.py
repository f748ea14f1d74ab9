"""Covering parts of a photo on its page, with plain forms, and what strangers and the reporter see then."""

from collections.abc import Callable
from typing import Any

import pytest
from factories import SECRET, Town, counted
from flask import Flask
from flask.testing import FlaskClient
from pictures import BLUE, about, encoded, opened, quarters
from sqlalchemy import select
from werkzeug.test import TestResponse
from wording import shared, shown, staff

from city.db.models import Photo
from city.photos import photos, storage
from city.reports import intake

PAINT = (0x20, 0x24, 0x2B)
BLUE_QUARTER = {"left": "0", "top": "50", "width": "50", "height": "50"}


@pytest.fixture
def case(town: Town) -> tuple[str, str, str]:
    """Number and photo of a public case, and its secret link."""
    with town.at_work() as scene:
        photo = photos.stage(
            scene.s, town.settings.var, encoded(quarters(), quality=95), staged_for="form:a", at=town.now
        )
        report = scene.report(taken=[photo])
        intake.show(scene.s, report, by=scene.actor("dispatcher"), at=town.now)
        number, photo_id = report.case.number, photo.id
        token = intake.token_for(SECRET, report.key)
    photos.move_staged_to_storage(
        town.engine, storage.open_store(town.settings), town.settings.var, town.now, only=[photo_id]
    )
    return number, photo_id, token


@pytest.fixture
def cover(
    log_in: Callable[[str], FlaskClient], token: Callable[[], str], case: tuple[str, str, str]
) -> Callable[..., TestResponse]:
    """Sends the form as a dispatcher."""

    def send(prefix: str = "", **fields: Any) -> TestResponse:
        number, photo_id, _token = case
        url = f"{prefix}/dispatch/cases/{number}/photos/{photo_id}/redaction"
        return log_in("dispatcher").post(url, data={"csrf_token": token()} | fields)

    return send


def html_of(response: TestResponse) -> str:
    return shown(response)


def test_the_drawer_leads_to_the_form_and_the_form_says_what_happens(
    log_in: Callable[[str], FlaskClient], case: tuple[str, str, str]
) -> None:
    number, photo_id, _token = case
    url = f"/dispatch/cases/{number}/photos/{photo_id}/redaction"
    board = log_in("dispatcher")
    assert url in html_of(board.get(f"/dispatch/cases/{number}"))
    page = html_of(board.get(url))
    assert f"/photos/{photo_id}/page.jpg" in page
    assert staff.CANNOT_UNDO in page
    assert page.count('name="left"') == 3
    assert "<rect x=" not in page


def test_without_javascript_it_shows_where_the_parts_lie_before_anything_goes(
    cover: Callable[..., TestResponse], town: Town, case: tuple[str, str, str]
) -> None:
    page = html_of(cover(do="look", **BLUE_QUARTER | {"top": "50,5", "height": "49.5"}))
    assert '<rect x="0" y="50.5" width="50" height="49.5">' in page
    with town.looking() as scene:
        assert scene.s.scalars(select(Photo.id)).one() == case[1]


def test_covered_is_what_everybody_sees_and_the_old_address_leads_nowhere(
    cover: Callable[..., TestResponse], client: FlaskClient, town: Town, case: tuple[str, str, str]
) -> None:
    number, old, secret = case
    stranger = client.get(f"/case/{number}")
    assert f"/photos/{old}/" in html_of(stranger)
    assert about(opened(client.get(f"/photos/{old}/page.jpg").data).getpixel((100, 350)), BLUE, 12)

    answer = cover(do="cover", **BLUE_QUARTER)

    assert answer.status_code == 303
    page = html_of(client.get(answer.location))
    assert staff.COVERED in page
    assert shared.STEP_COVERED in page
    with town.looking() as scene:
        new = scene.s.scalars(select(Photo.id)).one()
    client.get("/logout")
    with client.session_transaction() as session:
        session.clear()
    public, own = client.get(f"/case/{number}"), client.get(f"/s/{secret}", follow_redirects=True)
    for seen in (public, own):
        assert old not in html_of(seen)
        assert f"/photos/{new}/" in html_of(seen)
    for size in ("full", "page", "thumb"):
        assert client.get(f"/photos/{old}/{size}.jpg").status_code == 404
    assert about(opened(client.get(f"/photos/{new}/page.jpg").data).getpixel((100, 350)), PAINT, 4)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, shared.NO_BOXES),
        (BLUE_QUARTER | {"width": ""}, shared.BAD_BOX(nth=1)),
        (BLUE_QUARTER | {"width": "all"}, shared.BAD_BOX(nth=1)),
        (BLUE_QUARTER | {"left": "60"}, shared.BAD_BOX(nth=1)),
        (BLUE_QUARTER | {"left": "nan"}, shared.BAD_BOX(nth=1)),
        (BLUE_QUARTER | {"left": f"{0:016}50"}, shared.BAD_BOX(nth=1)),
        ({name: [value] * 25 for name, value in BLUE_QUARTER.items()}, shared.TOO_MANY_BOXES(most=20)),
    ],
)
def test_numbers_that_are_none_are_told_and_kept_and_nothing_is_covered(
    cover: Callable[..., TestResponse], town: Town, case: tuple[str, str, str], fields: Any, told: str
) -> None:
    answer = cover(do="cover", **fields)
    assert answer.status_code == 422
    assert told in html_of(answer)
    assert 'id="errors" role="alert"' in html_of(answer)
    assert not fields or 'value="50"' in html_of(answer)
    with town.looking() as scene:
        assert scene.s.scalars(select(Photo.id)).one() == case[1]


def test_a_fault_is_told_in_spanish(cover: Callable[..., TestResponse]) -> None:
    assert shared.BAD_BOX.es(nth=1) in html_of(cover("/es", do="cover", **BLUE_QUARTER | {"left": "60"}))


@pytest.mark.parametrize(
    ("method", "told", "is_left"),
    [("put", shared.STORE_DOWN, True), ("delete", staff.COVERED_DELETE_LATER, False)],
)
def test_while_the_store_is_down_it_says_what_was_done(
    cover: Callable[..., TestResponse],
    town: Town,
    client: FlaskClient,
    case: tuple[str, str, str],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    told: str,
    is_left: bool,
) -> None:
    def down(*_: object) -> None:
        raise storage.StoreDown("the store is down")

    monkeypatch.setattr(storage.FolderStore, method, down)
    answer = cover(do="cover", **BLUE_QUARTER)
    page = html_of(client.get(answer.location) if answer.location else answer)
    assert told in page
    with town.looking() as scene:
        assert (scene.s.get(Photo, case[1]) is not None) == is_left


def test_a_photo_that_was_damaged_where_it_is_kept_is_told_and_the_numbers_kept(
    cover: Callable[..., TestResponse], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage.FolderStore, "get", lambda *_: b"no photo")
    answer = cover(do="cover", **BLUE_QUARTER)
    assert (answer.status_code, 'value="50"' in html_of(answer)) == (422, True)
    assert shared.PHOTO_DAMAGED in html_of(answer)


def test_who_covers_what_somebody_covered_a_moment_before_is_led_to_the_photo_as_it_is(
    cover: Callable[..., TestResponse], client: FlaskClient, case: tuple[str, str, str]
) -> None:
    first, second = (cover(do="cover", **BLUE_QUARTER) for _dispatcher in range(2))
    assert (first.status_code, second.status_code) == (303, 303)
    assert second.location == f"/dispatch/cases/{case[0]}"
    client.get(first.location)
    cover(do="cover", **BLUE_QUARTER)
    assert shared.PHOTO_GONE in html_of(client.get(second.location))


def test_a_photo_of_another_case_is_not_found(
    log_in: Callable[[str], FlaskClient], town: Town, case: tuple[str, str, str]
) -> None:
    with town.at_work() as scene:
        other = scene.report().case.number
    url = f"/dispatch/cases/{other}/photos/{case[1]}/redaction"
    assert log_in("dispatcher").get(url).status_code == 404


def test_nobody_else_is_asked(log_in: Callable[[str], FlaskClient], case: tuple[str, str, str]) -> None:
    browser = log_in("call-taker")
    assert "redaction" not in html_of(browser.get(f"/dispatch/cases/{case[0]}"))
    assert browser.get(f"/dispatch/cases/{case[0]}/photos/{case[1]}/redaction").status_code == 403


def test_the_form_needs_as_many_queries_for_ten_twins_as_for_none(
    log_in: Callable[[str], FlaskClient], app: Flask, town: Town, case: tuple[str, str, str]
) -> None:
    board, sent = log_in("dispatcher"), []
    url = f"/dispatch/cases/{case[0]}/photos/{case[1]}/redaction"
    for many in (0, 10):
        with town.at_work() as scene:
            for n in range(many):
                data = encoded(quarters(), quality=95)
                twin = photos.stage(scene.s, town.settings.var, data, staged_for=f"form:{n}", at=town.now)
                scene.report(taken=[twin])
        with counted(app) as statements:
            page = html_of(board.get(url))
        sent.append(len(statements))
    assert staff.SAME_PHOTO_SENT(10) in page
    assert sent[0] == sent[1]
