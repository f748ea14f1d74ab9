"""Questions without an answer: counted, nobody's, and open until an owner has seen to them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from threading import Barrier

import pytest
from factories import Town
from sqlalchemy import func, select

from city.answers import articles, unanswered
from city.answers.articles import Draft, Text
from city.db.models import FailedSearch, Topic
from city.lifecycle import Refused


@pytest.fixture
def answer_id(town: Town) -> int:
    with town.at_work() as scene:
        scene.s.add(Topic(code="taxes", names={"en": "Taxes"}, department_code="works"))
        scene.s.flush()
        draft = Draft("works", "taxes", date(2027, 1, 1), {"en": Text("Pay your tax", "Twice.", "Twice.")})
        return articles.publish(scene.s, "pay-tax", draft, by=scene.actor("manager"), at=town.now).id


def ask(town: Town, typed: str, answer_id: int | None = None, *, days: int = 0) -> bool:
    with town.at_work() as scene:
        answer = scene.s.get_one(articles.Article, answer_id) if answer_id else None
        return unanswered.record(scene.s, typed, "en", town.now + timedelta(days=days), answer)


def listed(town: Town, department: str = "") -> list[tuple[str, int, str]]:
    with town.looking() as scene:
        rows, total = unanswered.open_questions(scene.s, department)
        assert total == len(rows)
        return [(row.words, row.asked, row.slug) for row in rows]


def test_the_same_question_is_one_however_it_is_written(town: Town) -> None:
    assert ask(town, "Where is the  ZOO?")
    assert ask(town, "the zoo, where is")
    assert ask(town, "swimming pool")
    assert listed(town) == [("Where is the ZOO?", 2, ""), ("swimming pool", 1, "")]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("call me at (860) 555-0123 about trees", "call me at … about trees"),
        ("my number is +1 860.555.0123", "my number is …"),
        ("ssn 078-05-1120 lost", "ssn … lost"),
        ("write to rosa.v@town.test please", "write to … please"),
        ("permit 2026", "permit 2026"),
        ("a" * 500, "a" * 120),
        ("line\nbreaks\tand   tabs", "line breaks and tabs"),
    ],
)
def test_nothing_that_looks_like_somebodys_number_or_address_is_kept(typed: str, kept: str) -> None:
    assert unanswered.redact_personal_data(typed) == kept


def test_what_holds_nothing_else_is_not_kept_at_all(town: Town) -> None:
    assert not ask(town, "860-555-0123")
    assert not ask(town, "rosa@town.test")
    assert not ask(town, "?!")
    assert listed(town) == []


def test_a_department_sees_what_its_answers_did_not_help_with_and_what_nobody_answers(
    town: Town, answer_id: int
) -> None:
    ask(town, "tax for boats", answer_id)
    ask(town, "tax for boats")
    assert sorted(listed(town, "works")) == [("tax for boats", 1, ""), ("tax for boats", 1, "pay-tax")]
    assert listed(town, "parks") == [("tax for boats", 1, "")]


def test_what_an_owner_has_seen_to_is_listed_again_only_when_it_is_asked_again(town: Town) -> None:
    ask(town, "zoo")
    with town.at_work() as scene:
        number = scene.s.scalars(select(FailedSearch.id)).one()
        assert unanswered.resolve(scene.s, number, by=scene.actor("manager"), at=town.now)
        assert not unanswered.resolve(scene.s, number, by=scene.actor("manager"), at=town.now)
    assert listed(town) == []
    ask(town, "zoo", days=3)
    assert listed(town) == [("zoo", 2, "")]


def test_two_who_ask_the_same_at_once_are_both_counted(town: Town) -> None:
    together = Barrier(4, timeout=30)

    def one(_: int) -> bool:
        together.wait()
        return ask(town, "zoo")

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(one, range(4)))
    assert listed(town) == [("zoo", 4, "")]


def test_only_those_who_keep_answers_may_put_a_question_away(town: Town) -> None:
    ask(town, "zoo")
    with town.at_work() as scene, pytest.raises(Refused, match="not_allowed"):
        unanswered.resolve(scene.s, 1, by=scene.actor("rosa"), at=town.now)


def test_a_program_that_asks_nonsense_pushes_out_the_oldest_and_no_more(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unanswered, "MOST_KEPT", 3)
    for n in range(5):
        ask(town, f"nonsense number {n}", days=n)
    with town.looking() as scene:
        assert scene.s.scalar(select(func.count()).select_from(FailedSearch)) == 3
        assert set(scene.s.scalars(select(FailedSearch.words))) == {f"nonsense number {n}" for n in (2, 3, 4)}


def test_what_many_asked_outlasts_nonsense(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unanswered, "MOST_KEPT", 3)
    for _person in range(2):
        ask(town, "where is the zoo")
    for n in range(1, 6):
        ask(town, f"nonsense number {n}", days=n)
    with town.looking() as scene:
        kept = set(scene.s.scalars(select(FailedSearch.words)))
        assert kept == {"where is the zoo", "nonsense number 4", "nonsense number 5"}


def test_what_helped_is_counted_by_version(town: Town, answer_id: int) -> None:
    with town.at_work() as scene:
        answer = scene.s.get_one(articles.Article, answer_id)
        for helpful in (True, True, False):
            articles.vote(scene.s, answer, 1, helpful=helpful)
        articles.vote(scene.s, answer, 2, helpful=True)
    with town.looking() as scene:
        assert articles.votes(scene.s) == {(answer_id, 1): (2, 1), (answer_id, 2): (1, 0)}
