"""Holds and the records schedule on the pages of those who answer for them."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from factories import Town, counted
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse
from wording import resident, shared, shown, staff

from city.cases import legal_holds, transitions
from city.cases.transitions import Closing
from city.config.retention_schedule import Period, Schedule
from city.db.models import LegalHold
from city.privacy import retention

REASON = "Records request 26-118, Doe against the city"


@pytest.fixture
def lamp(town: Town) -> str:
    with town.at_work() as scene:
        return scene.report(words="Dark since Sunday", taken=[scene.photo()]).case.number


@pytest.fixture
def post(client: FlaskClient, token: Callable[[], str]) -> Callable[..., TestResponse]:
    def send(url: str, **fields: str) -> TestResponse:
        return client.post(url, data={"csrf_token": token(), **fields})

    return send


def html_of(response: TestResponse) -> str:
    return shown(response)


def hold(town: Town, number: str) -> None:
    with town.at_work() as scene:
        legal_holds.place(
            scene.s, scene.case(number), REASON, town.settings.var, by=scene.actor("manager"), at=town.now
        )


def test_a_hold_of_after_a_restore_says_that_its_reason_was_lost(
    town: Town, lamp: str, log_in: Callable[[str], FlaskClient]
) -> None:
    with town.at_work() as scene:
        scene.s.add(LegalHold(case_id=scene.case(lamp).id, reason="", placed_at=town.now))
    browser = log_in("manager")
    for url in ("/admin/records", f"/dispatch/cases/{lamp}"):
        assert staff.HOLD_REASON_LOST in html_of(browser.get(url))


@pytest.mark.parametrize("role", ["manager", "administrator"])
def test_a_case_is_put_on_hold_and_the_hold_is_lifted(
    town: Town, lamp: str, role: str, log_in: Callable[[str], FlaskClient], post: Callable[..., TestResponse]
) -> None:
    browser = log_in(role)
    assert 'id="do-hold"' in html_of(browser.get(f"/dispatch/cases/{lamp}?do=hold"))
    assert post(f"/dispatch/cases/{lamp}/hold", hold=REASON).status_code == 303
    page = html_of(browser.get(f"/dispatch/cases/{lamp}"))
    assert staff.LEGAL_HOLD in page
    assert page.count(REASON) == 2  # above the case and in its history
    assert "i-lock" in page
    assert "/erasure" not in page
    assert "/redaction" not in page
    assert post(f"/dispatch/cases/{lamp}/hold/end").status_code == 303
    page = html_of(browser.get(f"/dispatch/cases/{lamp}"))
    assert staff.LEGAL_HOLD not in page
    assert shared.STEP_HOLD_LIFTED in page


def test_a_hold_without_a_reason_is_asked_again(
    lamp: str, log_in: Callable[[str], FlaskClient], post: Callable[..., TestResponse]
) -> None:
    log_in("manager")
    for reason, words in (("", shared.HOLD_UNNAMED), ("x" * 501, shared.TOO_LONG(most=500))):
        answer = post(f"/dispatch/cases/{lamp}/hold", hold=reason)
        assert answer.status_code == 422
        assert words in html_of(answer)
        assert reason in html_of(answer)


def test_a_dispatcher_sees_the_hold_and_may_neither_lift_nor_erase(
    town: Town, lamp: str, log_in: Callable[[str], FlaskClient], post: Callable[..., TestResponse]
) -> None:
    hold(town, lamp)
    browser = log_in("dispatcher")
    page = html_of(browser.get(f"/dispatch/cases/{lamp}"))
    assert REASON in page
    assert staff.LIFT_HOLD_BUTTON not in page
    assert 'id="do-hold"' not in page
    assert post(f"/dispatch/cases/{lamp}/hold/end").status_code == 403
    answer = post(f"/dispatch/cases/{lamp}/erasure", report=f"{lamp}-A")
    assert answer.status_code == 422
    assert shared.ON_LEGAL_HOLD in html_of(answer)


def test_what_is_merged_into_a_case_on_hold_says_so(
    town: Town, lamp: str, log_in: Callable[[str], FlaskClient]
) -> None:
    hold(town, lamp)
    with town.at_work() as scene:
        twin = scene.report().case
        transitions.merge(scene.s, twin, scene.case(lamp), by=scene.actor("dispatcher"), at=town.now)
        number = twin.number
    page = html_of(log_in("dispatcher").get(f"/dispatch/cases/{number}"))
    assert staff.UNDER_HOLD_OF(number=lamp) in page
    assert "/erasure" not in page


def test_the_page_lists_holds_and_how_long_what_is_kept(
    app: Flask, town: Town, lamp: str, log_in: Callable[[str], FlaskClient]
) -> None:
    held = app.extensions["cityline"]
    browser = log_in("manager")
    assert staff.NO_HOLDS in html_of(browser.get("/admin/records"))
    held.city = replace(held.city, retention=Schedule(words=Period(years=3), calls=Period(days=90)))
    hold(town, lamp)
    page = html_of(browser.get("/admin/records"))
    assert REASON in page
    assert f"/dispatch/cases/{lamp}" in page
    for kept in (staff.YEARS(3), staff.DAYS(90), staff.FOREVER, staff.AS_LONG_AS_OTHERS):
        assert kept in page
    assert staff.UNDER_LEGAL_HOLD.es not in page
    assert shared.NONE.es not in page
    assert browser.get("/es/admin/records").status_code == 200


def test_it_asks_no_more_of_the_database_for_many_holds_than_for_one(
    app: Flask, town: Town, lamp: str, log_in: Callable[[str], FlaskClient]
) -> None:
    browser = log_in("manager")
    hold(town, lamp)
    with counted(app) as few:
        browser.get("/admin/records")
    with town.at_work() as scene:
        for _ in range(10):
            scene.s.add(LegalHold(case_id=scene.report().case.id, reason=REASON, placed_at=town.now))
    with counted(app) as many:
        browser.get("/admin/records")
    assert len(many) == len(few) <= 6


@pytest.mark.parametrize("role", ["dispatcher", "call-taker", "supervisor", "rosa"])
def test_nobody_else_opens_it(role: str, log_in: Callable[[str], FlaskClient]) -> None:
    assert log_in(role).get("/admin/records").status_code == 403


def test_everybody_reads_that_it_was_removed(
    town: Town, lamp: str, client: FlaskClient, log_in: Callable[[str], FlaskClient]
) -> None:
    with town.at_work() as scene:
        transitions.close(
            scene.s,
            scene.case(lamp),
            Closing("fixed", no_photo="dark", words="New lamp"),
            by=scene.actor("dispatcher"),
            at=town.now,
        )
    at = town.now.replace(year=town.now.year + 4)
    assert f"/follow/case/{lamp}" in html_of(client.get(f"/case/{lamp}"))
    retention.carry_out(town.engine, town.settings.var, Schedule(words=Period(years=3)), at)
    page = html_of(client.get(f"/case/{lamp}"))
    assert resident.DETAILS_REMOVED(day="Sunday, May\u00a012, 2030") in page
    assert "/follow/" not in page
    assert client.get(f"/follow/case/{lamp}").status_code == 404
    assert "New lamp" not in page
    spanish = html_of(client.get(f"/es/case/{lamp}"))
    assert resident.DETAILS_REMOVED.es(day="domingo, 12\u00a0de\u00a0mayo\u00a0de\u00a02030") in spanish
    drawer = html_of(log_in("dispatcher").get(f"/dispatch/cases/{lamp}"))
    assert staff.REMOVED_ON(day="May\u00a012,\u00a02030") in drawer
    assert shared.STEP_CLEARED in drawer
    assert "Dark since Sunday" not in drawer
