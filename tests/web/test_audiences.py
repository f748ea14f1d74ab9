"""Residents and staff each read their own words for the same case."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from factories import Town
from flask import Flask, g
from flask.testing import FlaskClient
from wording import resident, shared, shown

from city.cases import transitions
from city.cases.queries import PUBLIC_STEPS
from city.db.models import Person, SecretLink
from city.lifecycle import Refused
from city.reports import intake
from city.settings import Settings
from pwa.web import errors, formatting


@pytest.fixture
def told(town: Town, settings: Settings) -> str:
    """A report that waits for its reporter's answer; the token of its private link."""
    with town.at_work() as scene:
        report = scene.report(words="It hums.")
        token = intake.token_for(settings.secret_key, report.key)
        scene.s.add(SecretLink(token_hash=intake.hashed(token), report_id=report.id, made_at=town.now))
        transitions.wait(scene.s, report.case, "resident", by=scene.actor("dispatcher"), at=town.now)
    return token


def words_of(page: str) -> str:
    return re.sub(r"<[^>]+>", " ", shown(page))


def test_only_the_reporter_reads_your_answer(client: FlaskClient, told: str) -> None:
    for path in ("/", "/cases", "/case/26-000001"):
        page = shown(client.get(path))
        assert shared.WAITING_FOR_RESIDENT in page, path
        assert shared.WAITING_FOR_YOUR_ANSWER not in page, path
    client.get(f"/s/{told}")
    for path in ("/mine", "/case/26-000001", "/sent/26-000001-A"):
        page = shown(client.get(path))
        assert shared.WAITING_FOR_YOUR_ANSWER in page, path
        assert shared.WAITING_FOR_RESIDENT not in page, path


def test_residents_read_one_number(client: FlaskClient, told: str) -> None:
    client.get(f"/s/{told}")
    for path in ("/mine", "/case/26-000001", "/sent/26-000001-A", f"/s/{told}/not-fixed"):
        assert "26-000001-A" not in words_of(client.get(path, follow_redirects=True).text), path


def test_every_step_that_strangers_may_see_has_words_for_them(app: Flask) -> None:
    with app.test_request_context():
        for office in (False, True):
            assert [
                kind for kind in PUBLIC_STEPS if formatting.public_step(kind, office=office) == kind
            ] == []
        # What only staff may read has none.
        assert formatting.public_step("escalate") == "escalate"


def test_residents_read_of_reports_and_staff_of_cases(app: Flask, log_in: Callable[..., FlaskClient]) -> None:
    refused = Refused("wrong_state", move="reopen", state="closed")
    with app.test_request_context():
        assert errors.words(refused) == resident.WRONG_STATE(state="closed")
        g.person = Person(name="Dana")
        assert errors.words(refused) == shared.WRONG_STATE(state="closed")


def test_an_error_names_the_number_of_the_city(app: Flask) -> None:
    held = app.extensions["cityline"]
    held.city = replace(held.city, phone="555-0199")
    with app.test_request_context("/report"):
        page = shown(errors._busy(RuntimeError()))
    assert shared.NOTHING_SAVED(number="555-0199") in page
