"""What the city and a reporter write each other: the clock, who reads what, and what is refused."""

from datetime import timedelta

import pytest
from factories import Town
from sqlalchemy import select

from city.audit import events
from city.cases import corrections, transitions
from city.cases.transitions import Closing
from city.db.models import CaseMessage, Event, EventDetail, Message, Photo, Report, Subscription
from city.lifecycle import ASSIGNED, REPLIED, WAITING, Refused
from city.notifications import fan_out, outbox
from city.people import accounts
from city.photos.storage import FolderStore
from city.reports import conversation, intake
from city.settings import Settings

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def told(town: Town, **changes: object) -> str:
    """The number of a report about an assigned case."""
    with town.at_work() as scene:
        return scene.assigned(**changes).reports[0].number


def report_of(scene, number: str) -> Report:
    return scene.s.scalars(select(Report).where(Report.number == number)).one()


def ask(town: Town, number: str, words: str = "One light or more?", *choices: str, at=None) -> int:
    with town.at_work() as scene:
        report = report_of(scene, number)
        by = scene.actor("dispatcher")
        return conversation.ask(scene.s, report, words, choices, by=by, at=at or town.now).id


def open_page(town: Town, number: str, at=None) -> int:
    with town.at_work() as scene:
        return conversation.seen(scene.s, report_of(scene, number).id, at=at or town.now)


def reply(town: Town, number: str, words: str = "", at=None, **more) -> int:
    with town.at_work() as scene:
        report = report_of(scene, number)
        by = accounts.reporter(report.id)
        return conversation.reply(scene.s, report, words, by=by, at=at or town.now, **more).id


def wants_mail(town: Town, number: str, address: str = "ana@example.org") -> None:
    with town.at_work() as scene:
        row = intake.subscribe(scene.s, report_of(scene, number), address, lang="en", at=town.now)
        intake.confirm(scene.s, row, at=town.now)


def test_the_clock_stands_from_when_it_can_be_read_until_the_answer(town: Town) -> None:
    number = told(town)
    with town.looking() as scene:
        due = report_of(scene, number).case.due_at
    question = ask(town, number)
    with town.looking() as scene:
        case = report_of(scene, number).case
        assert (case.state, case.due_at) == (ASSIGNED, due)  # nobody has read it yet

    assert open_page(town, number, town.now + HOUR) == 1
    assert open_page(town, number, town.now + 2 * HOUR) == 0
    with town.looking() as scene:
        assert report_of(scene, number).case.state == WAITING

    reply(town, number, "Three of them.", to=question, at=town.now + HOUR + DAY)
    with town.looking() as scene:
        case = report_of(scene, number).case
        assert (case.state, case.due_at, case.review) == (ASSIGNED, due + DAY, REPLIED)
        asked, answered = conversation.thread(scene.s, [case.id])
        assert asked.handed_over_at == town.now + HOUR
        assert (answered.words, answered.answers_id) == ("Three of them.", asked.id)


def test_a_letter_that_went_out_hands_a_question_over(town: Town, settings: Settings) -> None:
    number = told(town, channel="phone")
    with pytest.raises(Refused, match="unreachable"):
        ask(town, number)
    wants_mail(town, number)
    ask(town, number)
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
    assert conversation.settle(town.engine, town.now) == 0
    sent: list[object] = []
    outbox.send_due(town.engine, {"email": Sends(sent)}, lambda _s, message: message.kind, town.now)
    assert "question" in sent
    assert conversation.settle(town.engine, town.now) == 1
    assert conversation.settle(town.engine, town.now) == 0
    with town.looking() as scene:
        assert report_of(scene, number).case.state == WAITING


def test_who_has_not_answered_is_asked_once_more(town: Town) -> None:
    number = told(town, channel="web")
    wants_mail(town, number)
    question = ask(town, number)
    open_page(town, number, town.now)
    soon, later = town.now + conversation.REMIND_AFTER - HOUR, town.now + conversation.REMIND_AFTER
    assert conversation.remind(town.engine, soon) == 0
    assert [conversation.remind(town.engine, later), conversation.remind(town.engine, later + DAY)] == [1, 0]
    with town.at_work() as scene:
        fan_out.process_events(scene.s, later)
        letters = scene.s.scalars(select(Message).where(Message.case_message_id == question)).all()
        assert [each.kind for each in letters] == ["question", "question"], "asked, and asked again"


def test_who_has_answered_is_reminded_of_nothing(town: Town) -> None:
    number = told(town, channel="web")
    wants_mail(town, number)
    question = ask(town, number)
    open_page(town, number, town.now)
    reply(town, number, "Three.", to=question, at=town.now + HOUR)
    assert conversation.remind(town.engine, town.now + conversation.REMIND_AFTER + DAY) == 0


def test_a_question_that_nothing_could_carry_comes_before_staff(town: Town) -> None:
    number = told(town, channel="phone")
    wants_mail(town, number)
    ask(town, number)
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
    outbox.send_due(town.engine, {"email": Nobody()}, lambda _s, message: message.kind, town.now)
    assert conversation.settle(town.engine, town.now) == 1
    with town.looking() as scene:
        case = report_of(scene, number).case
        assert (case.state, case.review) == (ASSIGNED, "undelivered")
        assert [line.kind for line, _ in events.of(scene.s, transitions.subject(case))][-1] == "undelivered"


class Sends:
    def __init__(self, sent: list[object]) -> None:
        self.sent = sent

    def send(self, what: object) -> None:
        self.sent.append(what)


class Nobody:
    def send(self, what: object) -> None:
        raise outbox.PermanentFailure("no such mailbox")


def test_danger_waits_for_no_answer(town: Town) -> None:
    number = told(town, danger=True)
    question = ask(town, number)
    open_page(town, number)
    with town.looking() as scene:
        assert report_of(scene, number).case.state == ASSIGNED
    reply(town, number, "It's down.", to=question)
    with town.looking() as scene:
        assert report_of(scene, number).case.review == REPLIED


def test_what_waits_for_something_else_goes_on_doing_that(town: Town) -> None:
    number = told(town)
    with town.at_work() as scene:
        case = report_of(scene, number).case
        transitions.wait(scene.s, case, "parts", by=scene.actor("dispatcher"), at=town.now)
        due = case.due_at
    question = ask(town, number)
    open_page(town, number)
    reply(town, number, "Yes", to=question, at=town.now + DAY)
    with town.looking() as scene:
        case = report_of(scene, number).case
        assert (case.state, case.due_at) == (WAITING, due)


def test_a_hold_without_a_question_lets_the_clock_run(town: Town) -> None:
    number = told(town)
    with town.at_work() as scene:
        case = report_of(scene, number).case
        due = case.due_at
        by = scene.actor("dispatcher")
        transitions.wait(scene.s, case, "resident", by=by, at=town.now)
        transitions.resume(scene.s, case, by=by, at=town.now + DAY)
        assert case.due_at == due


def test_whoever_writes_back_has_read_it(town: Town) -> None:
    number = told(town)
    reply(town, number, "It's worse now.")
    with town.looking() as scene:
        assert report_of(scene, number).case.review == REPLIED
    ask(town, number)
    with town.looking() as scene:
        assert report_of(scene, number).case.review is None


def test_the_same_form_twice_is_one(town: Town) -> None:
    number = told(town)
    question = ask(town, number, "Which?", "This", "That")
    first = reply(town, number, to=question, choice="That", key="k")
    assert reply(town, number, to=question, choice="That", key="k") == first
    with town.looking() as scene:
        lines = conversation.thread(scene.s, [report_of(scene, number).case_id])
        assert [line.words for line in lines] == ["Which?", "That"]
        assert conversation.unanswered(lines) == []


@pytest.mark.parametrize(
    ("code", "more"),
    [
        ("empty_answer", {}),
        ("empty_answer", {"words": "  \n "}),
        ("unknown_question", {"words": "x", "to": 99}),
        ("words_too_long", {"words": "x" * 4001}),
    ],
)
def test_what_cannot_be_written(town: Town, code: str, more: dict[str, object]) -> None:
    number = told(town)
    with pytest.raises(Refused, match=code):
        reply(town, number, **more)


def test_an_answer_is_one_of_those_offered_and_its_reporters_own(town: Town) -> None:
    number, other = told(town), told(town, key="o" * 32)
    question = ask(town, number, "Which?", "This", "That")
    with pytest.raises(Refused, match="unknown_choice"):
        reply(town, number, to=question, choice="Neither")
    with pytest.raises(Refused, match="unknown_question"):
        reply(town, other, "Mine", to=question)


def test_so_much_may_be_written_a_day(town: Town) -> None:
    number = told(town)
    for n in range(conversation.MOST_A_DAY):
        reply(town, number, f"{n}")
    with pytest.raises(Refused, match="too_many_messages"):
        reply(town, number, "more")
    reply(town, number, "more", at=town.now + DAY + HOUR)


@pytest.mark.parametrize("ends", ["close", "cancel"])
def test_two_weeks_after_the_end_it_is_over(town: Town, ends: str) -> None:
    number = told(town)
    with town.at_work() as scene:
        case, by = report_of(scene, number).case, scene.actor("dispatcher")
        if ends == "close":
            transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=by, at=town.now)
        else:
            transitions.cancel(scene.s, case, "test", by=by, at=town.now)
    reply(town, number, "It came back.", at=town.now + 14 * DAY)
    with town.looking() as scene:
        assert report_of(scene, number).case.review == REPLIED
    with pytest.raises(Refused, match="too_late_to_write"):
        reply(town, number, "Again.", at=town.now + 14 * DAY + HOUR)
    with pytest.raises(Refused, match="wrong_state"):
        ask(town, number, at=town.now + DAY)


def test_a_question_is_asked_in_few_words(town: Town) -> None:
    number = told(town)
    for words, choices, code in (
        (" ", (), "empty_question"),
        ("x" * 501, (), "question_long"),
        ("x", ("y",) * 7, "too_many_choices"),
        ("x", ("y" * 61,), "too_many_choices"),
    ):
        with pytest.raises(Refused, match=code):
            ask(town, number, words, *choices)


def test_an_update_goes_to_reporters_and_where_it_is_public_to_followers(town: Town) -> None:
    number = told(town)
    wants_mail(town, number)
    with town.at_work() as scene:
        case = report_of(scene, number).case
        follows = Subscription(
            case_id=case.id, channel="email", address="bo@example.org", lang="en", asked_at=town.now,
            confirmed_at=town.now,
        )  # fmt: skip
        scene.s.add(follows)
    for public, wanted in ((False, ["ana@example.org"]), (True, ["ana@example.org", "bo@example.org"])):
        with town.at_work() as scene:
            case = report_of(scene, number).case
            by = scene.actor("dispatcher")
            words = "The part comes on Friday."
            new = conversation.update(scene.s, case, words, public=public, by=by, at=town.now, lang="en").id
        with town.at_work() as scene:
            fan_out.process_events(scene.s, town.now)
        with town.looking() as scene:
            asked = select(Subscription.address).join(Message, Message.subscription_id == Subscription.id)
            asked = asked.where(Message.case_message_id == new)
            assert sorted(scene.s.scalars(asked)) == wanted


def test_a_private_case_has_no_public_update(town: Town) -> None:
    number = told(town)
    with town.at_work() as scene:
        case = report_of(scene, number).case
        case.service.private = True
        with pytest.raises(Refused, match="private_update"):
            conversation.update(
                scene.s, case, "x", public=True, by=scene.actor("dispatcher"), at=town.now, lang="en"
            )


def test_others_read_nothing_of_it(town: Town) -> None:
    number = told(town)
    with town.at_work() as scene:
        case = report_of(scene, number).case
        other = intake.join(
            scene.s, case, key="j" * 32, token="t", lang="en", at=town.now
        )  # fmt: skip
        assert other.case_id == case.id
        theirs = other.number
    ask(town, number)
    reply(town, number, "At my door")
    with town.looking() as scene:
        mine, other = report_of(scene, number), report_of(scene, theirs)
        assert len(conversation.thread(scene.s, [mine.case_id], mine)) == 2
        assert conversation.thread(scene.s, [mine.case_id], other) == []


def test_an_erased_report_takes_its_words_and_photos_along(town: Town, settings: Settings) -> None:
    number = told(town)
    question = ask(town, number, "Which door?", "Mine")
    with town.at_work() as scene:
        report = report_of(scene, number)
        taken = [scene.photo()]
        conversation.reply(
            scene.s, report, "The red one", to=question, taken=taken, by=accounts.reporter(report.id),
            at=town.now, key="k",
        )  # fmt: skip
    with town.at_work() as scene:
        store = FolderStore(settings.var / "store")
        by = scene.actor("dispatcher")
        intake.erase(scene.s, report_of(scene, number), store, settings.var, by=by, at=town.now)
    with town.looking() as scene:
        rows = scene.s.scalars(select(CaseMessage)).all()
        assert [(row.words, row.choices, row.key) for row in rows] == [("", None, None)] * 2
        assert scene.s.scalars(select(Photo)).all() == []
        lines = scene.s.scalars(select(Event).where(Event.kind.in_(("ask", "answer")))).all()
        kept = scene.s.scalars(select(EventDetail.seq)).all()
        assert len(lines) == 2
        assert not {line.seq for line in lines} & set(kept)
    town.is_right()


def test_a_report_that_is_split_takes_its_conversation_along(town: Town) -> None:
    number = told(town)
    with town.at_work() as scene:
        case = report_of(scene, number).case
        intake.join(scene.s, case, key="j" * 32, token="t", lang="en", at=town.now)
    question = ask(town, f"{number[:-1]}B")
    with town.at_work() as scene:
        report = report_of(scene, f"{number[:-1]}B")
        by = scene.actor("dispatcher")
        own = corrections.split(scene.s, report.case, report, by=by, at=town.now)
        assert scene.s.get_one(CaseMessage, question).case_id == own.id
