""" "I have this too", the page to share, the ways through the app, and a photo with "not fixed"."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pytest
from factories import LAMP, Town, jpeg
from flask import Flask, render_template
from flask.testing import FlaskClient
from sqlalchemy import func, select
from wording import resident

from city.cases import transitions
from city.cases.queries import ClosingEvidence
from city.cases.transitions import Closing
from city.db.models import Photo, Report
from city.reports import closing_feedback, intake
from city.settings import Settings


@pytest.fixture
def number(town: Town) -> str:
    """The number of an open case that strangers may see."""
    with town.at_work() as scene:
        return scene.report(place=LAMP, words="dark since Sunday").case.number


@pytest.fixture
def mine(town: Town, settings: Settings, client: FlaskClient) -> Report:
    """The visitor's own report, whose case is closed."""
    with town.at_work() as scene:
        report = scene.report(place=LAMP)
        token = intake.token_for(settings.secret_key, report.key)
        scene.s.add(intake.SecretLink(token_hash=intake.hashed(token), report_id=report.id, made_at=town.now))
        by, closing = scene.actor("dispatcher"), Closing("fixed", no_photo="dark")
        transitions.close(scene.s, report.case, closing, by=by, at=town.now)
        assert report.case.number
    client.get(f"/s/{token}")
    return report


def test_one_tap_joins_and_follows(
    client: FlaskClient, town: Town, number: str, token: Callable[[], str]
) -> None:
    assert resident.HAVE_THIS_TOO in client.get(f"/case/{number}").text

    answer = client.post(f"/case/{number}/join", data={"csrf_token": token()})
    client.post(f"/case/{number}/join", data={"csrf_token": token()})  # a second tap

    assert answer.headers["Location"] == f"/sent/{number}-B"
    assert client.get(f"/sent/{number}-B").status_code == 200
    assert resident.HAVE_THIS_TOO not in client.get(f"/case/{number}").text  # it is the visitor's own now
    with town.at_work() as scene:
        reports = scene.case(number).reports
        assert [report.words for report in reports] == ["dark since Sunday", ""]


def test_nobody_joins_what_is_private_or_over(
    client: FlaskClient, town: Town, number: str, token: Callable[[], str]
) -> None:
    with town.at_work() as scene:
        private = scene.report(service_code="nuisance", place=LAMP).case.number
        by = scene.actor("dispatcher")
        transitions.close(scene.s, scene.case(number), Closing("fixed", no_photo="dark"), by=by, at=town.now)

    assert client.post(f"/case/{private}/join", data={"csrf_token": token()}).status_code == 404
    assert client.post("/case/26-999999/join", data={"csrf_token": token()}).status_code == 404
    over = client.post(f"/case/{number}/join", data={"csrf_token": token()})

    assert (over.status_code, 'role="alert"' in over.text) == (422, True)
    assert resident.HAVE_THIS_TOO not in client.get(f"/case/{number}").text
    with town.at_work() as scene:
        assert scene.s.scalar(select(func.count()).select_from(Report)) == 2


def test_nobody_joins_with_a_tap_what_they_cannot_place(
    client: FlaskClient, town: Town, number: str, token: Callable[[], str]
) -> None:
    with town.at_work() as scene:
        scene.case(number).service.precision_m = 500
    assert resident.HAVE_THIS_TOO not in client.get(f"/case/{number}").text
    assert client.post(f"/case/{number}/join", data={"csrf_token": token()}).status_code == 404


def test_a_photo_is_taken_off_again(
    client: FlaskClient, town: Town, mine: Report, token: Callable[[], str]
) -> None:
    with town.at_work() as scene:
        closing = closing_feedback.closing_of(scene.case(mine.case.number))
    told = {"csrf_token": token(), "closing": closing, "key": "a" * 32, "words": "x" * 5000}
    page = client.post(f"/case/{mine.number}/not-fixed", data=told | {"photo": (BytesIO(jpeg()), "a.jpg")})
    assert (page.status_code, page.text.count('id="words-e"')) == (422, 1)
    photo = re.search(r'name="do" value="(remove [^"]+)"', page.text)
    assert photo
    after = client.post(f"/case/{mine.number}/not-fixed", data=told | {"do": photo[1], "words": "short"})
    assert (after.status_code, "short" in after.text, photo[1] in after.text) == (200, True, False)
    with town.at_work() as scene:
        assert scene.case(mine.case.number).state == "closed"


def test_a_shared_link_is_the_public_one(client: FlaskClient, mine: Report) -> None:
    number = mine.case.number
    page = client.get(f"/case/{number}/share")
    assert re.search(rf'value="https?://[^"]+/case/{number}"', page.text)
    assert "<svg" in page.text
    assert "/s/" not in page.text
    assert client.get("/case/26-999999/share").status_code == 404


@pytest.mark.parametrize(
    "path", ["/", "/mine", "/cases", "/answers", "/follow", "/trash-day", "/performance"]
)
def test_the_same_ways_lead_through_all_pages(client: FlaskClient, path: str) -> None:
    page = client.get(path).text
    ways = re.search(r'<nav class="places".*?</nav>', page, re.DOTALL)
    assert ways
    assert re.findall(r'<a href="([^"]+)"', ways[0]) == ["/", "/mine", "/cases", "/answers"]
    assert ways[0].count("aria-current") == (path not in ("/performance",))


def test_home_asks_whoever_has_not_said_whether_it_is_fixed(
    app: Flask, client: FlaskClient, town: Town, mine: Report, token: Callable[[], str]
) -> None:
    with town.at_work() as scene:
        closing = closing_feedback.closing_of(scene.case(mine.case.number))
    asked = client.get("/")
    assert resident.IS_IT_FIXED in asked.text
    assert asked.headers["Cache-Control"] == "no-store"

    client.post(f"/case/{mine.number}/fixed", data={"csrf_token": token(), "closing": closing})

    assert resident.IS_IT_FIXED not in client.get("/").text
    assert app.test_client().get("/").headers["Cache-Control"] != "no-store"


def test_not_fixed_brings_words_and_a_photo(
    client: FlaskClient, town: Town, mine: Report, token: Callable[[], str]
) -> None:
    with town.at_work() as scene:
        report = scene.s.get_one(Report, mine.id)
        intake.show(scene.s, report, by=scene.actor("dispatcher"), at=town.now + timedelta(minutes=1))
        closing = closing_feedback.closing_of(report.case)
    form = client.get(f"/case/{mine.number}/not-fixed").text
    key = re.search(r'name="key" value="([0-9a-f]{32})"', form)
    assert key
    told = {"csrf_token": token(), "closing": closing, "key": key[1], "words": "still dark"}

    bad = client.post(f"/case/{mine.number}/not-fixed", data=told | {"photo": (BytesIO(b"no"), "a.jpg")})
    assert (bad.status_code, "still dark" in bad.text, key[1] in bad.text) == (422, True, True)
    client.post(f"/case/{mine.number}/not-fixed", data=told | {"photo": (BytesIO(jpeg()), "a.jpg")})

    with town.at_work() as scene:
        case = scene.case(mine.case.number)
        assert case.state != "closed"
        assert [photo.report_id for photo in scene.s.scalars(select(Photo))] == [mine.id]
        assert case.reports[0].shown_at is None  # somebody looks at the photo before strangers see it


def test_the_story_says_which_crew_unless_the_city_keeps_it(
    app: Flask, client: FlaskClient, town: Town, number: str
) -> None:
    with town.at_work() as scene:
        crew = scene.crew("lights")
        transitions.assign(scene.s, scene.case(number), crew, by=scene.actor("dispatcher"), at=town.now)
        name = crew.name
    assert name in client.get(f"/case/{number}").text

    held = app.extensions["cityline"]
    held.city = replace(held.city, name_crews=False)
    assert name not in client.get(f"/case/{number}").text


def test_letters_keep_to_it_too(app: Flask, town: Town) -> None:
    proof = ClosingEvidence("fixed", town.now, 60.0, None, "New lamp put in.", crew="Lights 2")
    held = app.extensions["cityline"]
    for named in (True, False):
        held.city = replace(held.city, name_crews=named)
        with app.test_request_context("/"):
            plain = render_template("email/_closing.txt", proof=proof, excuse="")
            pretty = app.jinja_env.from_string(
                '{% from "email/_parts.html" import closing with context %}{{ closing(proof, "") }}'
            ).render(proof=proof, city=held.city)
        for letter in (plain, pretty):
            assert ("Lights 2" in letter, "New lamp put in." in letter) == (named, True)
