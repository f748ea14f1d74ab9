"""Keeping answers true: writing, preview, history, conflicts, and what nobody answers yet."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta

import pytest
from factories import Town
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse
from wording import shared, shown, staff

from city.answers import articles, unanswered
from city.answers.articles import Draft, Text

Send = Callable[..., TestResponse]
MOST_QUERIES = 14
WORDS = {
    "department": "clerk", "topic": "dogs", "review_on": "2027-01-31",
    "title-en": "License your dog", "body-en": "Every **dog** needs one.",
    "script-en": "Every dog needs one.",
    "title-es": "Licencia para su perro", "body-es": "Todo **perro** la necesita.",
    "script-es": "Todo perro la necesita.",
}  # fmt: skip


@pytest.fixture
def office(log_in: Callable[..., FlaskClient]) -> FlaskClient:
    return log_in("call-taker")


@pytest.fixture
def send(office: FlaskClient, token: Callable[[], str]) -> Send:
    def send(path: str, **fields: object) -> TestResponse:
        return office.post(f"/answers/edit{path}", data={"csrf_token": token(), **fields})

    return send


def written(send: Send, **changes: str) -> TestResponse:
    return send("/new", **{**WORDS, "slug": "dog-license", "do": "save", **changes})


def texts(town: Town, slug: str = "dog-license") -> tuple[int, str, Mapping[str, Text]]:
    with town.looking() as scene:
        answer = articles.by_slug(scene.s, slug)
        assert answer is not None
        return answer.version, answer.state, articles.texts(scene.s, answer)


def test_an_answer_is_written_read_revised_and_retired(
    town: Town, app: Flask, office: FlaskClient, send: Send
) -> None:
    assert written(send, services="light-out").headers["Location"] == "/answers/edit/dog-license?said=saved"
    page = app.test_client().get("/answers/dog-license").text
    assert "Every <strong>dog</strong> needs one." in page
    later = WORDS | {"body-en": "Every **dog** and cat needs one.", "seen": "1", "do": "save"}
    assert send("/dog-license", **later).status_code == 303
    assert texts(town)[:2] == (2, "published")
    story = office.get("/answers/edit/dog-license/history").text
    assert "<ins>and cat </ins>" in story
    assert "Call-Taker" in story
    assert story.index(staff.VERSION(number=2)) < story.index(staff.VERSION(number=1))
    send("/dog-license/retire")
    assert texts(town)[:2] == (2, "retired")
    assert "License your dog" not in office.get("/answers/edit").text
    assert "License your dog" in office.get("/answers/edit?retired=1").text
    assert send("/dog-license", **later | {"seen": "2"}).status_code == 303
    assert texts(town)[:2] == (3, "published"), "saving brings it back"


@pytest.mark.parametrize(
    ("changes", "words", "field"),
    [
        ({"slug": "Dog License"}, shared.BAD_SLUG, "slug"),
        ({"slug": "edit"}, shared.BAD_SLUG, "slug"),
        ({"department": ""}, shared.UNKNOWN_DEPARTMENT, "department"),
        ({"topic": "nonsense"}, shared.UNKNOWN_TOPIC, "topic"),
        ({"review_on": "soon"}, shared.BAD_REVIEW_DAY, "review_on"),
        ({"script-es": ""}, shared.EMPTY_TEXT, "script-es"),
        ({"title-en": "x" * 201}, shared.TOO_LONG(most=200), "title-en"),
        ({"body-es": "a <script>alert(1)</script>"}, shared.NOT_MARKDOWN(found="<script>"), "body-es"),
        ({"body-en": "[press](javascript:alert(1))"}, shared.NOT_MARKDOWN(found="javascript:"), "body-en"),
        ({"services": "nonsense"}, shared.CHOOSE_TYPE, "services"),
        ({name: "" for name in WORDS if "-e" in name}, shared.EMPTY_TEXT, "title-en"),
    ],
)
def test_what_cannot_be_published_is_told_and_nothing_is_lost(
    send: Send, changes: dict[str, str], words: str, field: str
) -> None:
    answer = written(send, **changes)
    assert answer.status_code == 422
    page = shown(answer)
    assert words in page
    assert f'href="#{field}"' in page
    for name, value in (WORDS | changes).items():
        if value and name not in ("department", "topic", "services"):
            assert value in page, name


def test_one_language_is_enough_and_the_other_may_come_later(town: Town, send: Send) -> None:
    written(send, **{"title-es": "", "body-es": "", "script-es": ""})
    assert set(texts(town)[2]) == {"en"}
    send("/dog-license", **WORDS, seen="1", do="save")
    assert set(texts(town)[2]) == {"en", "es"}


def test_a_language_is_written_large_where_it_heads_its_fields(office: FlaskClient) -> None:
    page = office.get("/es/answers/edit/new").get_data(as_text=True)
    assert '<legend class="label">Inglés</legend>' in page


def test_a_slug_is_given_once(send: Send) -> None:
    written(send)
    answer = written(send)
    assert answer.status_code == 422
    assert shared.KNOWN_SLUG in shown(answer)


def test_who_writes_while_somebody_else_does_sees_both_and_may_save_again(town: Town, send: Send) -> None:
    written(send)
    send("/dog-license", **WORDS | {"script-en": "Theirs, told by somebody else."}, seen="1", do="save")
    mine = WORDS | {"title-en": "My own title"}
    answer = send("/dog-license", **mine, seen="1", do="save")
    assert answer.status_code == 422
    page = shown(answer)
    assert staff.WHAT_SOMEONE_CHANGED in page
    assert "Theirs, told by somebody else." in page
    assert 'value="My own title"' in page
    assert 'name="seen" value="2"' in page
    assert send("/dog-license", **mine, seen="2", do="save").status_code == 303
    assert texts(town)[2]["en"].title == "My own title"


def test_a_preview_shows_it_to_its_writer_alone_and_is_clean(town: Town, app: Flask, send: Send) -> None:
    answer = written(send, **{"do": "preview", "body-en": "**Bold** <script>alert(1)</script>"})
    assert answer.status_code == 200
    assert "<strong>Bold</strong> &lt;script&gt;" in answer.text
    assert "<script>alert" not in answer.text
    assert app.test_client().get("/answers/dog-license").status_code == 404


def test_due_answers_come_first_and_questions_are_put_away(
    town: Town, office: FlaskClient, send: Send
) -> None:
    with town.at_work() as scene:
        for n, days in enumerate((400, -3, 30)):
            day = date(2026, 5, 12) + timedelta(days=days)
            draft = Draft("clerk", "dogs", day, {"en": Text(f"Number {n}", "x", "x")})
            articles.publish(scene.s, f"number-{n}", draft, by=scene.actor("manager"), at=town.now)
        unanswered.record(scene.s, "zeppelin moorings", "en", town.now)
    page = office.get("/answers/edit?department=clerk").text
    assert page.index("Number 1") < page.index("Number 2") < page.index("Number 0")
    assert staff.WAS_DUE(day="May\u00a09,\u00a02026") in page
    assert "zeppelin moorings" in page
    assert "Number 1" not in office.get("/answers/edit?department=works").text
    found = office.get("/answers/edit?q=numbre+2").text
    assert "Number 2" in found
    assert staff.NO_ANSWERS_YET not in found
    assert staff.NO_ANSWER_FOUND in shown(office.get("/answers/edit?q=zeppelin"))
    with town.looking() as scene:
        number = unanswered.open_questions(scene.s)[0][0].id
    assert send(f"/questions/{number}").status_code == 303
    assert "zeppelin moorings" not in office.get("/answers/edit").text
    assert 'value="zeppelin moorings"' in office.get("/answers/edit/new?words=zeppelin+moorings&lang=en").text


def test_crews_and_strangers_keep_no_answers(
    app: Flask, log_in: Callable[..., FlaskClient], town: Town
) -> None:
    assert app.test_client().get("/answers/edit").status_code == 302
    assert log_in("rosa").get("/answers/edit").status_code == 403


def test_the_lists_ask_the_database_little_however_long_they_are(
    town: Town, office: FlaskClient, asked: list[str]
) -> None:
    with town.at_work() as scene:
        for n in range(40):
            draft = Draft("clerk", "dogs", date(2027, 1, 1), {"en": Text(f"Number {n}", "x", "x")})
            articles.publish(scene.s, f"number-{n}", draft, by=scene.actor("manager"), at=town.now)
            unanswered.record(scene.s, f"question {n}", "en", town.now)
    for address in ("/answers/edit", "/answers/edit/number-1", "/answers/edit/number-1/history"):
        office.get(address)
        asked.clear()
        assert office.get(address).status_code == 200
        assert len(asked) <= MOST_QUERIES, (address, asked)
