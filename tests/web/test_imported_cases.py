"""What an old system's number opens, and who sees it; the list of runs."""

from collections.abc import Callable
from pathlib import Path

import letterbox
import pytest
from factories import Town, counted
from flask import Flask
from flask.testing import FlaskClient
from rivertown import MAPPING, put
from sqlalchemy import select, update
from wording import shared, shown, staff

from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Message, SecretLink
from city.imports import runs as import_runs
from city.notifications import fan_out
from city.reports import intake
from pwa.messages import report_messages

OLD = {"ID": "r1-55012", "MAIL": "ann@town.test", "NEWS": "yes", "TEAM": "Bulbs"}


@pytest.fixture
def imported(town: Town, tmp_path: Path) -> str:
    """An open case that came from rivertown as r1-55012."""
    put(town, tmp_path, OLD, {"ID": "7"}, {"ID": "99001", "CLASS": "Homes", "TYPE": "Noise"})
    return "26-000001"


@pytest.mark.parametrize("old", ["r1-55012", "7"])
def test_the_old_number_leads_to_the_case_and_stands_on_its_page(
    client: FlaskClient, imported: str, old: str
) -> None:
    answer = client.get(f"/case/{old}")
    assert (answer.status_code, answer.location) == (303, f"/case/26-00000{1 if old != '7' else 2}")
    page = client.get(answer.location).text
    assert shared.OLD_NUMBER(number=old) in page
    assert shared.OLD_NUMBER.es(number=old) in client.get(f"/es{answer.location}").text


def test_an_old_number_may_have_a_slash_in_it(town: Town, client: FlaskClient, tmp_path: Path) -> None:
    put(town, tmp_path, {"ID": "2026/8"})
    assert client.get("/case/2026/8").location == "/case/26-000001"


@pytest.mark.parametrize("old", ["99001", "r1-5501", "55012", "1"])
def test_a_private_case_and_a_number_that_nobody_had_are_the_same(
    client: FlaskClient, imported: str, old: str
) -> None:
    answer = client.get(f"/case/{old}")
    assert (answer.status_code, "26-0000" in answer.text) == (404, False)


@pytest.mark.parametrize(
    ("link", "led"), [("", (404, False)), ("joiner", (404, False)), ("opener", (303, True))]
)
def test_the_old_number_of_a_case_whose_place_is_coarse_is_its_reporters_alone(
    client: FlaskClient, town: Town, imported: str, link: str, led: tuple[int, bool]
) -> None:
    with town.at_work() as scene:
        case = scene.case(imported)
        case.service.precision_m = 200
        opener, joiner = case.reports[0], scene.report(join=imported)
        scene.s.add_all(
            SecretLink(token_hash=intake.hashed(token), report_id=report.id, made_at=town.now)
            for token, report in (("opener", opener), ("joiner", joiner))
        )
    client.get(f"/s/{link}")
    page = client.get(f"/case/{imported}")
    assert page.status_code == 200
    assert (
        client.get(f"/case/{OLD['ID']}").status_code,
        shared.OLD_NUMBER(number=OLD["ID"]) in page.text,
    ) == led


def test_a_number_of_two_systems_leads_nowhere(
    client: FlaskClient, town: Town, tmp_path: Path, imported: str
) -> None:
    put(town, tmp_path, OLD, text=MAPPING.replace('name = "rivertown"', 'name = "hilltown"'))
    assert client.get("/case/r1-55012").status_code == 404


def test_after_a_run_was_undone_neither_number_leads_anywhere(
    client: FlaskClient, town: Town, imported: str
) -> None:
    with town.at_work() as scene:
        import_runs.undo(scene.s, 1, at=town.now)
    for number in (imported, "r1-55012", "undone/1", "undone%2F1"):
        assert client.get(f"/case/{number}").status_code == 404
    assert "26-0000" not in client.get("/cases").text


def test_residents_see_nothing_of_what_an_undone_run_had_told(
    client: FlaskClient, town: Town, tmp_path: Path, imported: str
) -> None:
    put(town, tmp_path, OLD | {"STATE": "Closed", "CLOSED": "2026-05-01"})
    assert shared.FIXED in shown(client.get(f"/case/{imported}"))
    with town.at_work() as scene:
        import_runs.undo(scene.s, 2, at=town.now)
    page = client.get(f"/case/{imported}").text
    assert shared.STEP_ASSIGNED in page
    assert shared.CLOSED not in page


def test_the_board_finds_and_shows_the_old_number(log_in: Callable[..., FlaskClient], imported: str) -> None:
    board = log_in("dispatcher")
    found = board.get("/dispatch?words=r1-55012")
    assert found.location == f"/dispatch/cases/{imported}"
    assert shared.OLD_NUMBER(number="r1-55012") in board.get(found.location).text
    assert "26-000002" in board.get("/dispatch?words=7").text, "also one as short as a house number"


def test_the_board_says_that_somebody_asked_for_news_only_where_they_did(
    town: Town, tmp_path: Path, log_in: Callable[..., FlaskClient]
) -> None:
    put(town, tmp_path, OLD, OLD | {"ID": "102", "NEWS": ""})
    board = log_in("dispatcher")
    assert staff.WANTS_UPDATES in board.get("/dispatch/cases/26-000001").text
    assert staff.WANTS_UPDATES not in board.get("/dispatch/cases/26-000002").text


def test_the_letter_names_both_numbers_and_its_link_opens_the_case(
    app: Flask, client: FlaskClient, town: Town, imported: str
) -> None:
    secret = app.extensions["cityline"].settings.secret_key
    with town.at_work() as scene:
        case = scene.case(imported)
        token = intake.token_for(secret, case.reports[0].key)
        scene.s.execute(update(SecretLink).values(token_hash=intake.hashed(token)))
        transitions.close(scene.s, case, Closing("not found"), by=scene.actor("dispatcher"), at=town.now)
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
        (message,) = scene.s.scalars(select(Message))
        letter = report_messages.render(app)(scene.s, message)
    assert letter is not None
    text = letterbox.text(letter)
    assert (letter["To"], shared.OLD_NUMBER(number="r1-55012") in text) == ("ann@town.test", True)
    assert f"/s/{token}" in text
    assert client.get(f"/s/{token}").status_code == 303


def test_runs_are_listed_for_administrators(
    town: Town, tmp_path: Path, imported: str, log_in: Callable[..., FlaskClient], app: Flask
) -> None:
    put(town, tmp_path, OLD | {"TEAM": "trees"}, {"ID": "8"}, {"ID": ""})
    office = log_in("administrator")
    with counted(app) as before:
        page = office.get("/admin/imports").text
    assert staff.IMPORT_NEW(num=3) in page
    parts = (staff.IMPORT_NEW, staff.IMPORT_UPDATED, staff.IMPORT_REJECTED)
    assert " · ".join(part(num=1) for part in parts) in page
    assert staff.IMPORT_UNDONE(time="") not in page
    with town.at_work() as scene:
        import_runs.undo(scene.s, 2, at=town.now)
    with counted(app) as after:
        assert staff.IMPORT_UNDONE(time="") in office.get("/admin/imports").text
    assert len(before) == len(after) <= 5
    assert staff.IMPORT_NEW.es(num=3) in office.get("/es/admin/imports").text
    assert log_in("dispatcher").get("/admin/imports").status_code == 403


def test_without_a_run_the_list_says_so(log_in: Callable[..., FlaskClient]) -> None:
    assert staff.NO_IMPORTS in log_in("administrator").get("/admin/imports").text
