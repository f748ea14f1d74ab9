"""What the city knows, as everybody finds and reads it."""

import re
from collections.abc import Callable
from datetime import date

import pytest
from factories import Town
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse
from wording import resident, shown

from city.answers import articles
from city.answers.articles import Draft, Text
from city.db.models import ArticleText, FailedSearch
from pwa.web import markdown

NASTY = """
# Heading

<script>alert(1)</script> **bold** <b onclick="x()">raw</b>

<javascript:alert(1)>

[bad](javascript:alert(1)) [data](data:text/html;base64,xx) [good](https://example.org/a)

![picture](https://example.org/p.png)

| a | b |
| --- | --- |
| 1 | <img src=x onerror=alert(1)> |
"""
MOST_QUERIES = 12


@pytest.fixture
def knowing(app: Flask, town: Town) -> Town:
    """The town with three answers."""
    with town.at_work() as scene:
        for slug, topic, services, en, es in (
            ("dog-license", "dogs", (), "License your dog", "Licencia para su perro"),
            ("trash-day", "trash", ("missed-collection",), "When is my trash day?", "¿Qué día hay basura?"),
            ("nasty", "taxes", (), "A nasty one", ""),
        ):
            texts = {"en": Text(en, f"{en}: *ask* at the counter.", f"{en}. Ask at the counter.")}
            if es:
                texts["es"] = Text(es, f"{es}: *pregunte*.", f"{es}. Pregunte.")
            draft = Draft("clerk", topic, date(2027, 1, 1), texts, services)
            articles.publish(scene.s, slug, draft, by=scene.actor("manager"), at=town.now)
        # No editor takes it any more; a database of another program may hold it all the same.
        scene.s.execute(update(ArticleText).where(ArticleText.title == "A nasty one").values(body=NASTY))
    return town


def heard(town: Town) -> list[tuple[str, int, int | None]]:
    with town.looking() as scene:
        rows = scene.s.execute(select(FailedSearch.words, FailedSearch.asked, FailedSearch.answer_id))
        return sorted((words, asked, answer_id) for words, asked, answer_id in rows)


@pytest.mark.usefixtures("knowing")
def test_an_answer_is_found_read_and_leads_to_the_report(client: FlaskClient) -> None:
    found = client.get("/answers?q=trahs+day")
    assert found.status_code == 200
    assert 'href="/answers/trash-day?q=trahs+day"' in found.text
    assert found.headers["Cache-Control"] == "no-store", "what somebody asks is theirs"
    page = client.get("/answers/trash-day?q=trahs+day").text
    assert "<em>ask</em>" in page
    assert 'href="/report?service=missed-collection"' in page
    assert resident.LAST_CHECKED(day="Tue,\u00a0May\u00a012") in page
    assert 'action="/trash-day"' in page
    assert re.search(r'name="service-trash"[^>]*value="missed-collection"[^>]*checked', client.get(
        "/report?service=missed-collection").text)  # fmt: skip


@pytest.mark.usefixtures("knowing")
def test_a_spanish_page_shows_spanish_words_and_says_where_there_are_none(client: FlaskClient) -> None:
    assert "Licencia para su perro" in client.get("/es/answers?q=dog").text
    page = client.get("/es/answers/nasty").text
    assert '<article class="article stack" lang="en">' in page
    assert resident.NOT_IN_YOUR_LANGUAGE.es(number=311) in page


@pytest.mark.usefixtures("knowing")
def test_without_a_question_the_topics_are_there(client: FlaskClient) -> None:
    page = client.get("/answers").text
    assert 'href="/answers?topic=dogs"' in page
    assert "noindex" not in page
    assert "License your dog" in client.get("/answers?topic=dogs").text
    assert client.get("/answers?topic=nonsense").status_code == 200
    emptied = client.get("/answers?q=", headers={"HX-Request": "true"}).text
    assert 'href="/answers?topic=dogs"' in emptied, "an emptied box shows them again"


@pytest.mark.usefixtures("knowing")
def test_nothing_that_was_written_runs_in_a_browser(client: FlaskClient) -> None:
    page = client.get("/answers/nasty").text
    article = page.partition("<article")[2].partition("</article>")[0]
    assert "<script" not in article
    assert "<b " not in article
    assert "onerror" not in re.sub(r"&lt;.*?&gt;", "", article)
    assert not re.search(r'href="(?!https://example\.org/)', article)
    assert "<img" not in article
    assert "<table>" in article
    assert "<h2>Heading</h2>" in article


def test_a_question_without_an_answer_is_counted_as_its_page_is_shown(
    knowing: Town, client: FlaskClient
) -> None:
    for typed in ("zeppelin+moorings", "zeppelin+moorings", "zeppelin+moorings+call+860-555-0123"):
        page = client.get(f"/answers?q={typed}").text
        form = re.search(r'<form [^>]*hx-post="([^"]+)" hx-trigger="load"[^>]*>(.*?)</form>', page, re.DOTALL)
        assert form, "the page posts it by itself"
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[2]))
        assert "<noscript><button" in form[2], "or somebody does, where no script runs"
        answer = client.post(form[1], data=fields, headers={"HX-Request": "true"})
        assert (answer.status_code, resident.THANKS_UNANSWERED in shown(answer)) == (200, True)
    assert heard(knowing) == [("zeppelin moorings", 2, None), ("zeppelin moorings call …", 1, None)]
    sent = client.post("/answers/unanswered", data=fields)
    thanked = shown(client.get(sent.headers["Location"]))
    assert resident.THANKS_UNANSWERED in thanked
    assert 'hx-trigger="load"' not in thanked, "what was said once is not said again"


def test_no_look_at_a_question_counts_it_and_no_letter_of_one(knowing: Town, client: FlaskClient) -> None:
    client.get("/answers?q=zeppelin")
    client.head("/answers?q=zeppelin")
    for ahead in ({"Sec-Purpose": "prefetch"}, {"Sec-Fetch-Site": "cross-site"}):
        client.get("/answers?q=zeppelin", headers=ahead)
    half = client.get("/answers?q=zepp", headers={"HX-Request": "true"}).text
    assert "hx-trigger" not in half
    assert resident.MISSING_BUTTON in half
    assert heard(knowing) == []


def test_what_does_not_help_is_counted_once_a_browser_and_version(
    knowing: Town, app: Flask, client: FlaskClient, token: Callable[[], str]
) -> None:
    def say(browser: FlaskClient, helpful: str) -> TestResponse:
        csrf = browser.get("/login").text.partition('name="csrf_token" value="')[2].partition('"')[0]
        form = {"csrf_token": csrf, "helpful": helpful, "q": "dog tags"}
        return browser.post("/answers/dog-license/helpful", data=form)

    assert say(client, "no").headers["Location"] == "/answers/dog-license?q=dog+tags#helpful"
    assert resident.THANKS_NOT_HELPFUL in shown(client.get("/answers/dog-license"))
    say(client, "yes")
    say(app.test_client(), "yes")
    with knowing.looking() as scene:
        answer = articles.by_slug(scene.s, "dog-license")
        assert answer is not None
        assert articles.votes(scene.s) == {(answer.id, 1): (1, 1)}
        assert heard(knowing) == [("dog tags", 1, answer.id)]


def test_none_of_these_helps_is_kept_and_thanked_for(
    knowing: Town, client: FlaskClient, token: Callable[[], str]
) -> None:
    answer = client.post("/answers/unanswered", data={"csrf_token": token(), "q": "dog swimming"})
    assert answer.status_code == 303
    assert heard(knowing) == [("dog swimming", 1, None)]
    assert resident.THANKS_UNANSWERED in shown(client.get("/answers?q=dog&thanked=1"))


@pytest.mark.usefixtures("knowing")
def test_a_foreign_page_can_vote_for_nobody(client: FlaskClient) -> None:
    assert client.post("/answers/dog-license/helpful", data={"helpful": "yes"}).status_code == 400


def test_what_is_retired_is_no_page(knowing: Town, client: FlaskClient) -> None:
    with knowing.at_work() as scene:
        answer = articles.by_slug(scene.s, "dog-license")
        assert answer is not None
        articles.retire(scene.s, answer, by=scene.actor("manager"), at=knowing.now)
    assert client.get("/answers/dog-license").status_code == 404
    assert client.get("/answers/never-was").status_code == 404


@pytest.mark.usefixtures("knowing")
def test_pages_ask_the_database_little(client: FlaskClient, asked: list[str]) -> None:
    for address in ("/answers", "/answers?q=dog", "/answers?topic=dogs", "/answers/trash-day"):
        client.get(address)
        asked.clear()
        client.get(address)
        assert len(asked) <= MOST_QUERIES, (address, asked)


@pytest.mark.parametrize(
    ("address", "leads"),
    [
        ("//evil.test", False),
        ("///evil.test", False),
        ("&#47;&#47;evil.test", False),
        ("/answers", True),
        ("https://example.org//page", True),
    ],
)
def test_an_address_that_hides_its_host_leads_nowhere(address: str, leads: bool) -> None:
    assert (" href=" in markdown.html(f"[words]({address})")) == leads
