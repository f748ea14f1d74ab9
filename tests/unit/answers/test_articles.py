"""Answers: published, revised and retired, each time with a line of the log, and no version is lost."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from threading import Barrier
from typing import Any

import pytest
from factories import Town
from sqlalchemy import func, select

from city.answers import articles
from city.answers.articles import Draft, Text
from city.audit import events
from city.db.models import Article, Topic
from city.lifecycle import Refused

ENGLISH = Text("Pay your tax", "Twice a year: **January** and July.", "You pay in January and in July.")
SPANISH = Text("Pagar el impuesto", "Dos veces al año: **enero** y julio.", "Se paga en enero y en julio.")
DRAFT = Draft("works", "taxes", date(2027, 1, 1), {"en": ENGLISH, "es": SPANISH}, ("light-out",))
LATER = replace(ENGLISH, body="Once a year: July.")

pytestmark = pytest.mark.usefixtures("topics")


@pytest.fixture
def topics(town: Town) -> None:
    with town.at_work() as scene:
        scene.s.add(Topic(code="taxes", names={"en": "Taxes"}, department_code="works"))


def published(town: Town) -> int:
    with town.at_work() as scene:
        return articles.publish(scene.s, "pay-tax", DRAFT, by=scene.actor("manager"), at=town.now).id


def test_a_published_answer_is_read_in_every_language(town: Town) -> None:
    published(town)
    with town.looking() as scene:
        answer = articles.by_slug(scene.s, "pay-tax")
        assert answer is not None
        assert (answer.state, answer.version, answer.department_code) == ("published", 1, "works")
        assert (answer.services, answer.review_on) == (["light-out"], date(2027, 1, 1))
        assert articles.texts(scene.s, answer) == {"en": ENGLISH, "es": SPANISH}
        assert articles.published(scene.s) == [answer]


def test_a_revision_is_a_version_and_a_line_and_the_old_words_stay(town: Town) -> None:
    answer_id = published(town)
    with town.at_work() as scene:
        answer = scene.s.get_one(Article, answer_id)
        draft = replace(DRAFT, texts={"en": LATER, "es": SPANISH}, review_on=date(2027, 6, 1))
        at = town.now + timedelta(days=1)
        assert articles.revise(scene.s, answer, draft, seen=1, by=scene.actor("call-taker"), at=at)
        assert not articles.revise(scene.s, answer, draft, seen=2, by=scene.actor("call-taker"), at=at)
    with town.looking() as scene:
        answer = scene.s.get_one(Article, answer_id)
        assert (answer.version, answer.review_on) == (2, date(2027, 6, 1))
        assert articles.texts(scene.s, answer)["en"] == LATER
        assert articles.texts(scene.s, answer, 1)["en"] == ENGLISH
        first, second = [line for line, _ in events.of(scene.s, f"answer:{answer_id}")]
        assert [(line.kind, line.facts["version"]) for line in (first, second)] == [
            ("publish", 1), ("revise", 2),
        ]  # fmt: skip
        assert first.facts["texts"] == {"en": articles.digest(ENGLISH), "es": articles.digest(SPANISH)}
        assert second.facts["texts"]["en"] == articles.digest(LATER) != articles.digest(ENGLISH)
        assert events.verify(scene.s) == []


def test_who_edits_what_somebody_else_changed_meanwhile_is_told(town: Town) -> None:
    answer_id = published(town)

    def revise(text: Text) -> None:
        with town.at_work() as scene:
            answer, draft = scene.s.get_one(Article, answer_id), replace(DRAFT, texts={"en": text})
            articles.revise(scene.s, answer, draft, seen=1, by=scene.actor("manager"), at=town.now)

    revise(LATER)
    with pytest.raises(Refused, match="changed_meanwhile"):
        revise(replace(ENGLISH, title="Taxes"))
    with town.looking() as scene:
        assert articles.texts(scene.s, scene.s.get_one(Article, answer_id)) == {"en": LATER}


def test_of_two_who_revise_in_one_moment_one_is_told(town: Town) -> None:
    answer_id, together = published(town), Barrier(2)

    def revise(text: Text) -> str:
        with town.at_work() as scene:
            answer, draft = scene.s.get_one(Article, answer_id), replace(DRAFT, texts={"en": text})
            if town.engine.dialect.name == "postgresql":  # SQLite lets them in one after the other
                together.wait()
            try:
                articles.revise(scene.s, answer, draft, seen=1, by=scene.actor("manager"), at=town.now)
            except Refused as refused:
                return refused.code
            return "revised"

    with ThreadPoolExecutor(2) as pool:
        told = pool.map(revise, (LATER, replace(ENGLISH, title="Taxes")))
        assert sorted(told) == ["changed_meanwhile", "revised"]
    with town.looking() as scene:
        assert scene.s.get_one(Article, answer_id).version == 2
        assert events.verify(scene.s) == []


def test_a_retired_answer_is_shown_no_more_until_it_is_revised(town: Town) -> None:
    answer_id = published(town)
    with town.at_work() as scene:
        answer, by = scene.s.get_one(Article, answer_id), scene.actor("manager")
        assert articles.retire(scene.s, answer, by=by, at=town.now)
        assert not articles.retire(scene.s, answer, by=by, at=town.now)
        assert articles.published(scene.s) == []
        assert articles.by_slug(scene.s, "pay-tax") is answer
        assert articles.revise(scene.s, answer, DRAFT, seen=1, by=by, at=town.now)
        assert articles.published(scene.s) == [answer]
    with town.looking() as scene:
        assert [line.kind for line, _ in events.of(scene.s, f"answer:{answer_id}")] == [
            "publish", "retire", "revise",
        ]  # fmt: skip


WRONG: list[tuple[str, str, dict[str, Any]]] = [
    ("bad_slug", "new", {}),
    ("bad_slug", "Pay tax", {}),
    ("bad_slug", "x" * 81, {}),
    ("bad_slug", "", {}),
    ("known_slug", "pay-tax", {}),
    ("unknown_department", "another", {"department": "nobody"}),
    ("unknown_topic", "another", {"topic": "love"}),
    ("unknown_service", "another", {"services": ("light-out", "moon-out")}),
    ("empty_text", "another", {"texts": {}}),
    ("empty_text", "another", {"texts": {"en": replace(ENGLISH, script=" \n")}}),
    ("unknown_value", "another", {"texts": {"English": ENGLISH}}),
    ("words_too_long", "another", {"texts": {"en": replace(ENGLISH, title="x" * 201)}}),
    ("words_too_long", "another", {"texts": {"en": replace(ENGLISH, script="x" * 2001)}}),
]


def test_a_faulty_draft_is_refused_and_leaves_nothing(town: Town) -> None:
    published(town)
    for code, slug, changes in WRONG:
        draft = replace(DRAFT, **changes)
        with pytest.raises(Refused, match=code), town.at_work() as scene:
            articles.publish(scene.s, slug, draft, by=scene.actor("manager"), at=town.now)
    with town.looking() as scene:
        assert scene.s.scalar(select(func.count()).select_from(Article)) == 1
        assert events.verify(scene.s) == []


def test_a_crew_writes_no_answers(town: Town) -> None:
    with pytest.raises(Refused, match="not_allowed"), town.at_work() as scene:
        articles.publish(scene.s, "another", DRAFT, by=scene.actor("rosa"), at=town.now)
