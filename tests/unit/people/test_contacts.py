"""Conversations: each ends in one of four ways, is logged once, and many at once leave what one leaves."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from threading import Barrier
from typing import Any

import pytest
from factories import Town
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from city.answers import articles
from city.answers.articles import Draft, Text
from city.audit import events
from city.db import engine as db
from city.db.models import Contact, Event, EventDetail, Topic
from city.lifecycle import Refused
from city.people import contacts
from city.people.contacts import Conversation

pytestmark = pytest.mark.usefixtures("topics")


@pytest.fixture
def topics(town: Town) -> None:
    with town.at_work() as scene:
        scene.s.add(Topic(code="taxes", names={"en": "Taxes"}, department_code="works"))
        scene.s.flush()
        draft = Draft(
            "works", "taxes", date(2027, 1, 1), {"en": Text("Pay", "Twice a year.", "Twice a year.")}
        )
        articles.publish(scene.s, "pay", draft, by=scene.actor("call-taker"), at=town.now)


def told(town: Town, **changes: Any) -> Conversation:
    """An answered call of two minutes that ended just now."""
    began = town.now - timedelta(minutes=2)
    return replace(
        Conversation(uuid.uuid4().hex, "phone", began, 120, "taxes", "answered", answer="pay"), **changes
    )


def test_an_answered_call_is_kept_with_topic_length_and_answer(town: Town) -> None:
    with town.at_work() as scene:
        call = told(town, lang="pt", words=" Her bill never came. ")
        kept = contacts.log(scene.s, call, by=scene.actor("call-taker"), at=town.now)
    with town.looking() as scene:
        row = scene.s.get_one(Contact, kept.id)
        assert (row.channel, row.seconds, row.topic_code, row.outcome) == ("phone", 120, "taxes", "answered")
        assert (row.lang, row.began_at, row.origin) == ("pt", call.began_at, "live")
        assert row.person_id == scene.town.ids["call-taker"]
        ((line, words),) = events.of(scene.s, f"contact:{kept.id}")
        assert line.facts == {
            "channel": "phone", "began_at": call.began_at.isoformat(), "seconds": 120, "topic": "taxes",
            "lang": "pt", "outcome": "answered", "answer": "pay",
        }  # fmt: skip
        assert words == {"words": "Her bill never came."}
        assert events.verify(scene.s) == []


def test_a_call_can_end_as_a_case_be_handed_on_or_break_off(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report(channel="phone").case
        by = scene.actor("call-taker")
        opened = contacts.log(scene.s, told(town, outcome="case", case=case.number), by=by, at=town.now)
        handed = contacts.log(scene.s, told(town, outcome="transferred", to="utility"), by=by, at=town.now)
        broken = contacts.log(
            scene.s, told(town, outcome="dropped", answer=None, seconds=0), by=by, at=town.now
        )
        assert (opened.case_id, handed.transferred_to) == (case.id, "utility")
        assert (broken.case_id, broken.answer_id, broken.transferred_to) == (None, None, None)


def test_whom_the_caller_would_have_called_without_the_line_stands_in_the_log(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("call-taker")
        kept = contacts.log(scene.s, told(town, instead="911"), by=by, at=town.now)
        assert (kept.instead_of, kept.transferred_to) == ("911", None)
    with town.looking() as scene:
        ((line, _words),) = events.of(scene.s, f"contact:{kept.id}")
        assert line.facts["instead"] == "911"


def test_the_words_can_be_forgotten_and_the_log_still_verifies(town: Town) -> None:
    with town.at_work() as scene:
        kept = contacts.log(
            scene.s, told(town, words="Ana Ruiz, 555-0100"), by=scene.actor("call-taker"), at=town.now
        )
    with town.at_work() as scene:
        seqs = select(Event.seq).where(Event.subject == f"contact:{kept.id}")
        scene.s.execute(delete(EventDetail).where(EventDetail.seq.in_(seqs)))
    with town.looking() as scene:
        rows = [
            str(vars(row)) for kind in (Contact, Event, EventDetail) for row in scene.s.scalars(select(kind))
        ]
        assert not [row for row in rows if "Ruiz" in row]
        assert (events.verify(scene.s), events.erased(scene.s)) == ([], 1)


def test_sending_a_call_again_keeps_it_once(town: Town) -> None:
    call = told(town)
    ids = set()
    for _ in range(3):
        with town.at_work() as scene:
            ids.add(contacts.log(scene.s, call, by=scene.actor("call-taker"), at=town.now).id)
    with town.looking() as scene:
        assert len(ids) == scene.s.scalar(select(func.count()).select_from(Contact)) == 1
        assert len(events.of(scene.s, f"contact:{ids.pop()}")) == 1


def test_a_call_sent_six_times_in_one_moment_is_kept_once(town: Town) -> None:
    call, together = told(town), Barrier(6)

    def send(_: int) -> int:
        together.wait()
        with town.at_work() as scene:
            return contacts.log(scene.s, call, by=scene.actor("call-taker"), at=town.now).id

    with ThreadPoolExecutor(6) as pool:
        ids = set(pool.map(send, range(6)))
    assert len(ids) == 1
    with town.looking() as scene:
        assert len(events.of(scene.s, f"contact:{ids.pop()}")) == 1
        assert events.verify(scene.s) == []


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("unknown_value", {"channel": "pigeon"}),
    ("unknown_value", {"outcome": "won"}),
    ("unknown_value", {"lang": "Español"}),
    ("unknown_value", {"lang": ""}),
    ("unknown_topic", {"topic": "love"}),
    ("unknown_answer", {"answer": "gone"}),
    ("unknown_case", {"outcome": "case", "case": "26-999999"}),
    ("unknown_office", {"outcome": "transferred", "to": "mars"}),
    ("ending_unfit", {"outcome": "case"}),
    ("ending_unfit", {"outcome": "transferred"}),
    ("ending_unfit", {"case": "26-000001"}),
    ("ending_unfit", {"outcome": "dropped", "to": "works"}),
    ("unknown_office", {"instead": "mars"}),
    ("ending_unfit", {"outcome": "transferred", "to": "works", "instead": "911"}),
    ("bad_time", {"seconds": -1}),
    ("bad_time", {"seconds": 121}),  # it would end after now
    ("bad_time", {"seconds": 10**15}),
    ("words_too_long", {"words": "x" * 4001}),
]


def test_what_is_wrong_is_refused_alone_and_among_many(town: Town) -> None:
    for code, changes in REFUSED:
        call = told(town, **changes)
        with pytest.raises(Refused, match=code), town.at_work() as scene:
            contacts.log(scene.s, call, by=scene.actor("call-taker"), at=town.now)
        if changes.get("seconds") == 121:  # many are each logged as they ended
            continue
        calls = [told(town), call]
        with pytest.raises(Refused, match=code), town.at_work() as scene:
            contacts.bulk_log(scene.s, [(c, scene.actor("call-taker")) for c in calls], origin="import")
    with town.looking() as scene:
        assert scene.s.scalar(select(func.count()).select_from(Contact)) == 0
        assert scene.s.scalar(select(func.count()).where(Event.subject.like("contact:%"))) == 0


def test_only_who_answers_the_line_logs_a_call(town: Town) -> None:
    for name in ("rosa", "manager", "administrator"):
        with pytest.raises(Refused, match="not_allowed"), town.at_work() as scene:
            contacts.log(scene.s, told(town), by=scene.actor(name), at=town.now)


def test_many_at_once_leave_what_one_after_the_other_leaves(town: Town) -> None:
    with town.at_work() as scene:
        number = scene.report(channel="phone").case.number
    calls = [
        told(town, words="Twice."), told(town, channel="counter", answer=None, lang="es"),
        told(town, outcome="case", case=number), told(town, outcome="transferred", to="works", answer=None),
        told(town, channel="voicemail", outcome="dropped", answer=None, seconds=7),
    ]  # fmt: skip
    hands = ["call-taker", "dispatcher", "call-taker", "supervisor", "call-taker"]
    with town.at_work() as scene:
        for call, hand in zip(calls, hands, strict=True):
            contacts.log(scene.s, call, by=scene.actor(hand), at=call.ended_at, origin="demo")
    with town.at_work() as scene:
        again = [
            (replace(call, key=uuid.uuid4().hex), scene.actor(hand))
            for call, hand in zip(calls, hands, strict=True)
        ]
        ids = contacts.bulk_log(scene.s, again, origin="demo")
    with db.read_session(town.engine) as s:
        every = list(s.scalars(select(Contact.id).order_by(Contact.id)))
        assert every[5:] == ids
        assert [_told(s, contact_id) for contact_id in every[:5]] == [
            _told(s, contact_id) for contact_id in ids
        ]
        assert events.verify(s) == []
    with town.at_work() as scene:  # and the next one alone goes on from there
        assert contacts.log(scene.s, told(town), by=scene.actor("call-taker"), at=town.now).id > ids[-1]


def _told(s: Session, contact_id: int) -> list[Any]:
    """Everything that the database holds of a contact but its key and its place in the log."""
    row = s.get_one(Contact, contact_id)
    columns = [
        getattr(row, column.name) for column in Contact.__table__.columns if column.name not in ("id", "key")
    ]
    lines = [
        (e.n, e.kind, e.was, e.now, e.actor, e.at, e.at_device, e.origin, e.facts, e.photos, words)
        for e, words in events.of(s, f"contact:{contact_id}")
    ]
    return [columns, lines]
