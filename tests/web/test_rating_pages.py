"""The question of satisfaction: on the page, by a message's links, and what is published of it."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import letterbox
import pytest
from factories import Town
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from wording import resident, shown

from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import SatisfactionAnswer, SecretLink
from city.notifications import fan_out, outbox
from city.reports import intake
from city.settings import Settings
from pwa.messages import report_messages


@pytest.fixture
def closed(town: Town, settings: Settings) -> str:
    """The secret link's token of a report that was closed, with a confirmed address."""
    with town.at_work() as scene:
        report = scene.report(words="Ana Canary wrote this")
        token = intake.token_for(settings.secret_key, report.key)
        link = SecretLink(token_hash=intake.hashed(token), report_id=report.id, made_at=town.now)
        scene.s.add(link)
        wish = intake.subscribe(scene.s, report, "ana@example.com", lang="en", at=town.now)
        intake.confirm(scene.s, wish, at=town.now)
        done, by = Closing("fixed", no_photo="dark"), scene.actor("dispatcher")
        transitions.close(scene.s, report.case, done, by=by, at=town.now)
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
    return token


def scores(town: Town) -> list[int | None]:
    with town.looking() as scene:
        return list(scene.s.scalars(select(SatisfactionAnswer.score)))


def csrf_of(page: str) -> str:
    return page.partition('name="csrf_token" value="')[2].partition('"')[0]


def test_the_page_asks_and_takes_the_answer(closed: str, town: Town, client: FlaskClient) -> None:
    client.get(f"/s/{closed}")
    page = client.get("/case/26-000001").get_data(as_text=True)
    assert resident.HOW_SATISFIED in shown(page)
    sent = {"csrf_token": csrf_of(page), "cycle": "1", "score": "4"}
    answer = client.post("/case/26-000001/rate", data=sent, follow_redirects=True)
    assert resident.THANKS_FOR_RATING(score=4) in shown(answer)
    assert scores(town) == [4]
    assert resident.YOU_RATED(score=4) in shown(client.get("/case/26-000001"))
    client.post("/case/26-000001/rate", data=sent | {"score": "1"})
    assert scores(town) == [1]


def test_a_link_of_the_message_chooses_and_stores_nothing(
    closed: str, town: Town, client: FlaskClient
) -> None:
    answer = client.get(f"/s/{closed}/rate/2", follow_redirects=True)
    assert '<input type="radio" name="score" value="2" required checked>' in answer.get_data(as_text=True)
    assert scores(town) == [None]
    assert client.get(f"/s/{closed}/rate/9", follow_redirects=True).status_code == 200
    assert scores(town) == [None]


@pytest.mark.parametrize(
    ("cycle", "score"), [("1", ""), ("1", "6"), ("2", "3"), ("", "3"), ("1", "٤"), ("1", "9" * 30)]
)
def test_a_wrong_form_stores_nothing(
    cycle: str, score: str, closed: str, town: Town, client: FlaskClient
) -> None:
    client.get(f"/s/{closed}")
    csrf = csrf_of(client.get("/case/26-000001").get_data(as_text=True))
    sent = {"csrf_token": csrf, "cycle": cycle, "score": score}
    assert client.post("/case/26-000001/rate", data=sent).status_code == 422
    assert scores(town) == [None]


def test_a_stranger_is_not_asked_and_cannot_answer(
    closed: str, town: Town, client: FlaskClient, token: Callable[[], str]
) -> None:
    assert resident.HOW_SATISFIED not in shown(client.get("/case/26-000001"))
    assert client.get("/case/26-000001/rate").status_code == 303
    sent = {"csrf_token": token(), "cycle": "1", "score": "5"}
    assert client.post("/case/26-000001/rate", data=sent).status_code == 404
    assert scores(town) == [None]


def test_after_two_weeks_nobody_is_asked(closed: str, app: Flask, town: Town, client: FlaskClient) -> None:
    client.get(f"/s/{closed}")
    app.config["NOW"] = town.now + timedelta(days=14, seconds=1)
    assert resident.HOW_SATISFIED not in shown(client.get("/case/26-000001"))
    assert resident.NOTHING_TO_RATE in shown(client.get("/case/26-000001/rate"))


def test_the_mail_asks_with_a_link_a_score(closed: str, town: Town, app: Flask) -> None:
    sent: list[EmailMessage] = []

    class Box:
        def send(self, message: EmailMessage) -> None:
            sent.append(message)

    outbox.send_due(town.engine, {"email": Box()}, report_messages.render(app), town.now)
    letter = next(each for each in sent if "Fixed" in each["Subject"])
    page = letter.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert [n for n in range(7) if f'/s/{closed}/rate/{n}"' in page] == [1, 2, 3, 4, 5]
    assert f"/s/{closed}/rate/4\n" in letterbox.text(letter)
    assert "Canary" not in page + letterbox.text(letter)


def test_what_is_published_has_no_small_number(app: Flask, town: Town, client: FlaskClient) -> None:
    def asked(*given: int | None, month: str) -> None:
        with town.at_work() as scene:
            for score in given:
                row = SatisfactionAnswer(cycle=1, department_code="works", month=month, score=score)
                scene.s.add(row)

    with town.at_work() as scene:
        report = scene.report()
        done, by = Closing("fixed", no_photo="dark"), scene.actor("dispatcher")
        transitions.close(scene.s, report.case, done, by=by, at=town.now)
    asked(*[5] * 6, *[None] * 6, month="2026-05")
    app.config["NOW"] = datetime(2026, 6, 20, 15, tzinfo=UTC)
    page = shown(client.get("/performance?period=2026-05"))
    assert resident.RATED_ON_AVERAGE(average="5.0") in page
    file = client.get("/performance.csv?period=2026-05").get_data(as_text=True)
    rows = {row["figure"]: row["value"] for row in csv.DictReader(io.StringIO(file))}
    assert rows["city.rating_rate"] == "0.5"
    assert rows["department.works.rating_5"] == "6"
    assert rows["department_month.works.2026-05.rating_average"] == "5"
    asked(*[1] * 3, month="2026-04")
    file = client.get("/performance.csv?period=2026-04").get_data(as_text=True)
    hidden = [row for row in csv.DictReader(io.StringIO(file)) if "rating" in row["figure"]]
    assert hidden
    assert {row["value"] for row in hidden} == {""}
    assert {row["hidden"] for row in hidden} == {"true"}
