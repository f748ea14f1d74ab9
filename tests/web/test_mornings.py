"""The letter about late cases: once each working morning, to dispatchers and supervisors who asked."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import letterbox
import pytest
from factories import Town
from flask import Flask
from flask.testing import FlaskClient
from wording import messages, resident

from city.db.models import Person
from pwa import worker

TUESDAY = datetime(2026, 5, 12, 11, 30, tzinfo=UTC)  # half past seven in Larkhaven


class Box:
    """A mail server; `down` makes it fail."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.down = False

    def send(self, letter: EmailMessage) -> None:
        if self.down:
            raise OSError("nobody there")
        self.letters.append(letter)


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def asked(town: Town, log_in: Callable[..., FlaskClient], token: Callable[[], str]) -> FlaskClient:
    """The dispatcher has asked for the letter, and two cases are late."""
    with town.at_work() as scene:
        for words in ("canary of the words", ""):
            case = scene.report(words=words).case
            case.standing = "late"
    browser = log_in("dispatcher")
    assert resident.EMAIL_ME_BUTTON in browser.get("/me").text
    browser.post("/me/mornings", data={"csrf_token": token(), "wanted": "yes"})
    assert resident.STOP_EMAILS_BUTTON in browser.get("/me").text
    return browser


def morning(app: Flask, box: Box, now: datetime = TUESDAY) -> int:
    """How many letters went out in that minute."""
    before = len(box.letters)
    worker._tell_staff(app, box, now)
    return len(box.letters) - before


def test_it_comes_once_a_working_morning(app: Flask, asked: FlaskClient, box: Box) -> None:
    assert morning(app, box, TUESDAY - timedelta(hours=1)) == 0, "not before seven"
    assert [morning(app, box), morning(app, box, TUESDAY + timedelta(hours=2))] == [1, 0]
    days = [morning(app, box, TUESDAY + timedelta(days=days)) for days in range(1, 7)]
    assert days == [1, 1, 1, 0, 0, 1], "nobody at the weekend"
    names = [letter["Message-ID"] for letter in box.letters]
    assert len(set(names)) == len(names)


def test_it_comes_in_the_language_in_which_it_was_asked_for(
    app: Flask, asked: FlaskClient, box: Box, token: Callable[[], str]
) -> None:
    for language, told in (("/es", messages.CASES_LATE.es(2)), ("", messages.CASES_LATE(2))):
        for wanted in ("no", "yes"):
            asked.post(f"{language}/me/mornings", data={"csrf_token": token(), "wanted": wanted})
        day = TUESDAY + timedelta(days=len(box.letters))
        assert morning(app, box, day) == 1
        assert box.letters[-1]["Subject"] == told


def test_it_names_the_cases_and_nothing_that_residents_wrote(
    app: Flask, asked: FlaskClient, box: Box, town: Town
) -> None:
    with town.at_work() as scene:
        scene.s.get_one(Person, town.ids["dispatcher"]).lang = "es"
    morning(app, box)
    (letter,) = box.letters
    text = letterbox.text(letter)
    assert letter["Subject"] == messages.CASES_LATE.es(2)
    assert "26-000001" in text
    assert "26-000002" in text
    assert "/es/dispatch/cases/26-000001" in text
    assert "canary" not in text


def test_without_late_cases_there_is_no_letter(app: Flask, asked: FlaskClient, box: Box, town: Town) -> None:
    with town.at_work() as scene:
        for number in ("26-000001", "26-000002"):
            scene.case(number).standing = "ok"
    assert morning(app, box) == 0
    with town.looking() as scene:
        assert scene.s.get_one(Person, town.ids["dispatcher"]).late_told_on == TUESDAY.date()


def test_a_mail_server_that_is_down_delays_it_under_the_same_name(
    app: Flask, asked: FlaskClient, box: Box
) -> None:
    box.down = True
    with pytest.raises(OSError, match="nobody there"):
        morning(app, box)
    box.down = False
    assert morning(app, box, TUESDAY + timedelta(minutes=1)) == 1


def test_who_ended_it_or_may_not_act_any_more_gets_none(
    app: Flask, asked: FlaskClient, box: Box, town: Town, token: Callable[[], str]
) -> None:
    asked.post("/me/mornings", data={"csrf_token": token(), "wanted": "no"})
    assert morning(app, box) == 0
    with town.at_work() as scene:
        scene.s.get_one(Person, town.ids["manager"]).wants_late = True
    assert morning(app, box) == 0


def test_who_does_not_act_on_cases_is_not_offered_it(
    log_in: Callable[..., FlaskClient], token: Callable[[], str]
) -> None:
    browser = log_in("manager")
    assert "/me/mornings" not in browser.get("/me").text
    assert browser.post("/me/mornings", data={"csrf_token": token(), "wanted": "yes"}).status_code == 403
