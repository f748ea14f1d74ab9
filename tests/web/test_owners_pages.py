"""A light that the city does not own: what the resident, the mail and the dispatcher read."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import letterbox
import pytest
from factories import LAMP, SECRET, Town
from flask import Flask
from flask.testing import FlaskClient
from wording import resident, shared, shown, staff

from city.cases import transitions
from city.db.models import Asset, Message, Report, Subscription
from city.reports import intake
from pwa.messages import report_messages

NAMED = {
    "": (resident.BELONGS_TO_OWNER(name="Harbor Electric"), shared.WAITING_FOR(name="Harbor Electric")),
    "/es": (
        resident.BELONGS_TO_OWNER.es(name="Harbor Electric"),
        shared.WAITING_FOR.es(name="Harbor Electric"),
    ),
}


@pytest.mark.parametrize("prefix", NAMED)
def test_the_resident_is_told_who_mends_it_and_how_to_reach_them(
    town: Town, client: FlaskClient, app: Flask, prefix: str
) -> None:
    number, key = told(town)
    token = intake.token_for(SECRET, key)
    client.get(f"/s/{token}")
    explained, waiting = NAMED[prefix]
    for page in (f"/sent/{number}", f"/case/{number[:-2]}"):
        words = client.get(prefix + page).get_data(as_text=True)
        assert explained in words
        assert waiting in words
        assert 'href="tel:1-800-555-0100"' in words
        assert "https://harbor-electric.example/outages" in words
    assert resident.FIX_AND_PHOTO_BY(day="") not in shown(client.get(f"/sent/{number}"))


@pytest.mark.parametrize(("lang", "prefix"), [("en", ""), ("es", "/es")])
def test_the_receipt_says_it_too(town: Town, app: Flask, lang: str, prefix: str) -> None:
    number, _key = told(town)
    with town.at_work() as scene:
        report = scene.s.query(Report).one()
        intake.subscribe(scene.s, report, "ana@town.test", lang=lang, at=town.now)
        row = scene.s.query(Subscription).one()
        letter = report_messages.render(app)(scene.s, Message(kind="receipt", subscription=row, event_seq=1))
        assert letter
        words = letterbox.text(letter)
        scene.s.rollback()
    assert NAMED[prefix][0] in words
    assert "1-800-555-0100" in words
    assert number.removesuffix("-A") in words


def test_the_dispatcher_sees_whose_it_is(town: Town, log_in: Callable[[str], FlaskClient]) -> None:
    number, _key = told(town)
    page = log_in("dispatcher").get(f"/dispatch/cases/{number[:-2]}").get_data(as_text=True)
    assert staff.BELONGS_TO(name="Harbor Electric") in page
    other, _key = told(town, owner="Nobody Known", number="U-2")
    page = log_in("dispatcher").get(f"/dispatch/cases/{other[:-2]}").get_data(as_text=True)
    assert staff.BELONGS_TO(name="Nobody Known") in page
    assert staff.OWNER_UNKNOWN in shown(page)


@pytest.mark.parametrize(
    ("owner", "english", "spanish"),
    [
        ("HECO", NAMED[""][1], NAMED["/es"][1]),
        ("Nobody Known", shared.WAITING_FOR_UTILITY, shared.WAITING_FOR_UTILITY.es),
    ],
)
def test_the_history_names_whom_it_waited_for(
    town: Town,
    client: FlaskClient,
    log_in: Callable[[str], FlaskClient],
    owner: str,
    english: str,
    spanish: str,
) -> None:
    number = told(town, owner)[0][:-2]
    with town.at_work() as scene:
        case, by = scene.case(number), scene.actor("dispatcher")
        transitions.wait(scene.s, case, "utility", by=by, at=town.now)
        transitions.resume(scene.s, case, by=by, at=town.now + timedelta(hours=1))
        assert case.asset
        case.asset.owner = ""  # the city buys it
    staff = log_in("dispatcher")
    for prefix, words in (("", english), ("/es", spanish)):
        assert f"<h3>{words}</h3>" in client.get(f"{prefix}/case/{number}").text
        assert f"<b>{words}</b>" in staff.get(f"{prefix}/dispatch/cases/{number}").text


def told(town: Town, owner: str = "HECO", number: str = "U-1") -> tuple[str, str]:
    """A report about a pole: its number and key."""
    with town.at_work() as scene:
        pole = Asset(kind="pole", number=number, owner=owner, address="", lat=39.6, lon=-71.2, cell="")
        scene.s.add(pole)
        scene.s.flush()
        report = scene.report(place=replace(LAMP, source="asset", asset_id=pole.id))
        return report.number, report.key
