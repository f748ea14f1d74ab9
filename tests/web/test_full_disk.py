"""A disk that takes nothing more: whoever writes is told, and nothing that they typed is lost."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from factories import Town, jpeg
from filled import FAR, KEY, Fill
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse
from wording import resident, shared, shown

from city.db.models import Photo, Report
from city.settings import Settings
from pwa.app import create_app

pytestmark = pytest.mark.both_databases

FillUp = Callable[[Path], Callable[[], None]]


def photo() -> tuple[BytesIO, str]:
    return BytesIO(jpeg()), "lamp.jpg"


def told_later(answer: TestResponse) -> bool:
    """Whether the page says that nothing was saved, and when to come again."""
    said = shared.NOTHING_SAVED(number="311") in shown(answer)
    return (answer.status_code, answer.headers["Retry-After"], said) == (503, "60", True)


def test_a_report_whose_photo_finds_no_room_keeps_its_words_and_can_go_without(
    town: Town, post: Fill, settings: Settings, fill_up: FillUp
) -> None:
    fill_up(settings.var / "staging")
    page = post(photo=photo(), words="Dark corner")
    assert page.status_code == 422
    assert resident.NO_ROOM_FOR_PHOTOS in shown(page)
    assert "Dark corner" in page.text
    assert post(words="Dark corner").status_code == 303
    with town.looking() as scene:
        assert scene.s.scalars(select(Report.words)).all() == ["Dark corner"]
        assert not scene.s.scalars(select(Photo.id)).all()


def test_a_photo_that_goes_ahead_of_its_report_waits_for_it(
    client: FlaskClient, token: Callable[[], str], settings: Settings, fill_up: FillUp
) -> None:
    make_room = fill_up(settings.var / "staging")
    answer = client.post("/report/photos", data={"key": KEY, "photo": photo(), "csrf_token": token()})
    assert told_later(answer), shown(answer)
    make_room()
    answer = client.post("/report/photos", data={"key": KEY, "photo": photo(), "csrf_token": token()})
    assert answer.status_code == 200


def test_a_case_whose_closing_photo_finds_no_room_stays_as_it_was(
    town: Town,
    log_in: Callable[..., FlaskClient],
    token: Callable[[], str],
    settings: Settings,
    fill_up: FillUp,
) -> None:
    with town.at_work() as scene:
        number, before = (case := scene.assigned()).number, case.state
    client, make_room = log_in("dispatcher"), fill_up(settings.var / "staging")

    def close() -> TestResponse:
        form = {"outcome": "fixed", "photos": photo(), "csrf_token": token()}
        return client.post(f"/dispatch/cases/{number}/closure", data=form)

    assert told_later(close())
    with town.looking() as scene:
        assert scene.case(number).state == before
    make_room()
    assert close().status_code < 400
    with town.looking() as scene:
        assert scene.case(number).state == "closed"


@pytest.mark.sqlite
def test_a_database_without_room_takes_no_report_and_the_next_one_with_it(
    app: Flask, settings: Settings, tmp_path: Path, fill_up: FillUp
) -> None:
    city = app.extensions["cityline"]
    fill_up(tmp_path / "small")()
    with closing(city.engine.raw_connection()) as c:
        c.cursor().execute("VACUUM INTO ?", (str(tmp_path / "small" / "cityline.db"),))
    there = replace(settings, database_url=f"sqlite:///{tmp_path / 'small' / 'cityline.db'}")
    small = create_app(there, now=city.now)
    client = small.test_client()

    def send() -> TestResponse:
        page = client.get("/login").text
        csrf = page.partition('name="csrf_token" value="')[2].partition('"')[0]
        form = {"csrf_token": csrf, "key": KEY, "group": "streetlight", "do": "send", "words": "x" * 1000}
        return client.post("/report", data=form | FAR)

    client.get("/cases")
    make_room = fill_up(tmp_path / "small")
    assert told_later(send())
    make_room()
    assert send().status_code == 303
    with Session(small.extensions["cityline"].engine) as s:
        assert len(s.scalars(select(Report.id)).all()) == 1
    small.extensions["cityline"].engine.dispose()


@pytest.mark.sqlite
def test_a_database_that_is_gone_is_said_and_served_again_once_it_is_back(
    app: Flask, settings: Settings, tmp_path: Path, post: Fill, client: FlaskClient
) -> None:
    file = Path(settings.database_url.removeprefix("sqlite:///"))
    gone = file.rename(tmp_path / "gone.db")
    assert told_later(post())
    assert told_later(client.get("/cases"))
    assert client.get("/healthz").status_code == 200
    assert "database" in client.get("/readyz").get_json()["faults"]
    assert not file.exists()
    gone.rename(file)
    assert post().status_code == 303
