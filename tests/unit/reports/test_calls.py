"""A call that ends: its report and its conversation are kept together, once; and who calls is known again."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from factories import LAMP, Town
from sqlalchemy import func, select

from city.audit import events
from city.cases import transitions
from city.db.models import Caller, Case, Contact, Report, Subscription, Topic
from city.lifecycle import Refused
from city.people import callers, contacts
from city.people.contacts import Conversation
from city.photos.storage import FolderStore
from city.reports import calls, intake
from city.reports.calls import Call
from city.reports.intake import NewReport

SECRET = "s" * 32
PHONE = "+15550100142"


@pytest.fixture(autouse=True)
def topics(town: Town) -> None:
    with town.at_work() as scene:
        scene.s.add(Topic(code="streetlights", names={"en": "Streetlights"}, department_code="works"))


def ended(town: Town, **changes: Any) -> Call:
    """A call of a minute that became a case about a dark lamp."""
    key = uuid.uuid4().hex
    said = Conversation(key, "phone", town.now - timedelta(minutes=1), 60, "streetlights", "case", lang="es")
    telling = NewReport(key, "light-out", "phone", "es", "Dark since Sunday", LAMP)
    return replace(Call(said, PHONE, telling), **changes)


def end(town: Town, call: Call, at: Any = None, by: str = "call-taker") -> tuple[str, str]:
    """The numbers of the case and the report that came of it."""
    with town.at_work() as scene:
        contact, report = calls.finish_call(
            scene.s, call, by=scene.actor(by), at=at or town.now, secret=SECRET
        )
        return str(contact.case_id or ""), report.number if report else ""


def test_a_call_becomes_a_case_and_a_contact_that_names_it(town: Town) -> None:
    _case, number = end(town, ended(town))
    with town.looking() as scene:
        contact = scene.s.scalars(select(Contact)).one()
        report = scene.s.scalars(select(Report)).one()
        assert (report.number, report.channel, report.lang) == (number, "phone", "es")
        assert contact.case_id == report.case_id
        assert contact.person_id == town.ids["call-taker"]  # entered by
        assert scene.s.get_one(Caller, contact.caller_id).phone == PHONE  # reported by
        ((told, _words),) = [
            each for each in events.of(scene.s, f"case:{report.case_id}") if each[0].kind == "report"
        ]
        assert told.actor == f"person:{town.ids['call-taker']}"
        ((line, _words),) = events.of(scene.s, f"contact:{contact.id}")
        assert line.facts["case"] == report.case.number
        assert PHONE not in str(line.facts)


def test_the_same_key_twice_gives_the_first_call(town: Town) -> None:
    call = ended(town)
    assert end(town, call) == end(town, call)
    with town.looking() as scene:
        counted = [
            scene.s.scalar(select(func.count()).select_from(kind)) for kind in (Contact, Report, Case, Caller)
        ]
        assert counted == [1, 1, 1, 1]


def test_what_is_refused_leaves_nothing_behind(town: Town) -> None:
    call = ended(town)
    for wrong, code in (
        (replace(call, telling=None), "unknown_service"),
        (replace(call, said=replace(call.said, reply_by="sms"), phone=""), "phone_missing"),
        (replace(call, said=replace(call.said, reply_by="email")), "bad_email"),
        (replace(call, said=replace(call.said, reply_by="email"), email="nobody"), "bad_email"),
        (replace(call, said=replace(call.said, topic="sport")), "unknown_topic"),
        (replace(call, said=replace(call.said, reply_by="pigeon")), "unknown_value"),
    ):
        with pytest.raises(Refused) as refused:
            end(town, wrong)
        assert refused.value.code == code
    with pytest.raises(Refused, match="not_allowed"):
        end(town, call, by="manager")
    with town.looking() as scene:
        assert [
            scene.s.scalar(select(func.count()).select_from(kind)) for kind in (Contact, Report, Caller)
        ] == [0, 0, 0]


def test_who_wants_news_by_mail_is_asked_to_confirm_it(town: Town) -> None:
    call = ended(town)
    end(town, replace(call, said=replace(call.said, reply_by="email"), email="ana@mail.test"))
    with town.looking() as scene:
        wish = scene.s.scalars(select(Subscription)).one()
        assert (wish.address, wish.lang, wish.confirmed_at) == ("ana@mail.test", "es", None)
        assert scene.s.scalars(select(Contact)).one().reply_by == "email"


def test_who_wants_texts_is_asked_to_confirm_them_where_the_city_can_send_any(town: Town) -> None:
    call = ended(town)
    end(town, replace(call, said=replace(call.said, reply_by="sms"), texts=True))
    with town.looking() as scene:
        wish = scene.s.scalars(select(Subscription)).one()
        assert (wish.channel, wish.address, wish.confirmed_at) == ("sms", PHONE, None)


def test_without_a_gateway_somebody_at_the_city_writes_the_texts(town: Town) -> None:
    call = ended(town)
    end(town, replace(call, said=replace(call.said, reply_by="sms")))
    with town.looking() as scene:
        assert scene.s.scalars(select(Subscription)).all() == []
        assert scene.s.scalars(select(Contact)).one().reply_by == "sms"


def test_a_caller_who_joins_a_case_is_another_report_of_it(town: Town) -> None:
    with town.at_work() as scene:
        known = scene.report().case.number
    call = ended(town)
    _case, number = end(town, replace(call, telling=replace(call.telling, join=known)))
    assert number == f"{known}-B"


def test_what_somebody_called_about_before_stands_open_first(town: Town) -> None:
    numbers = [
        end(town, ended(town, said=replace(call.said, began_at=began)))[1]
        for call in [ended(town)]
        for began in [call.said.began_at]
    ]
    with town.at_work() as scene:
        first = scene.case(numbers[0][:-2])
        for minutes in (9, 8, 7, 6, 5):
            said = Conversation(
                uuid.uuid4().hex,
                "phone",
                town.now - timedelta(minutes=minutes),
                60,
                "streetlights",
                "answered",
            )
            calls.finish_call(
                scene.s, Call(said, PHONE), by=scene.actor("call-taker"), at=town.now, secret=SECRET
            )
        caller = callers.known(scene.s, PHONE)
        assert caller is not None
        found, many = callers.earlier(scene.s, caller)
        assert (many, len(found)) == (6, 5)
        assert [each.case for each in found] == [first, None, None, None, None]
        assert found[1].contact.began_at == town.now - timedelta(minutes=5)
        transitions.cancel(scene.s, first, "spam", by=scene.actor("dispatcher"), at=town.now)
        found, _many = callers.earlier(scene.s, caller)
        assert found[0].case == first  # the newest of all, and no longer open


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("555-0142", "+15550142"),
        ("(555) 010-0142", PHONE),
        ("+34 600 123 456", "+34600123456"),
        ("", ""),
        (" ", ""),
    ],
)
def test_a_number_is_known_however_it_is_written(typed: str, kept: str) -> None:
    assert callers.normal(typed, "US") == kept


@pytest.mark.parametrize(
    ("typed", "region", "area_code", "kept"),
    [
        ("555-0142", "US", "203", "+12035550142"),
        ("(203) 555-0142", "US", "203", "+12035550142"),
        ("1 203 555 0142", "US", "203", "+12035550142"),
        ("+1 555 0142", "US", "203", "+15550142"),  # who says a country says all of it
        ("555-0142", "US", "", "+15550142"),  # nobody says in which area
        ("(860) 555-0142", "US", "203", "+18605550142"),
        ("555-0142", "US", "20", "+15550142"),  # no number comes of it
        ("555-0142", "CA", "613", "+16135550142"),
        ("123456", "DE", "711", "+49123456"),  # its length does not say that it is one within a town
        ("+34 600 123 456", "US", "203", "+34600123456"),
    ],
)
def test_a_towns_own_figures_lie_in_the_citys_area(
    typed: str, region: str, area_code: str, kept: str
) -> None:
    assert callers.normal(typed, region, area_code) == kept


def test_a_number_may_be_kept_as_it_was_before_there_was_an_area_code() -> None:
    both = ["+12035550142", "+15550142"]
    assert callers.kept_as("555-0142", "US", "203") == callers.kept_as("203 555 0142", "US", "203") == both
    assert callers.kept_as("860 555 0142", "US", "203") == ["+18605550142"]
    assert callers.kept_as("555-0142", "US", "") == ["+15550142"]
    assert callers.kept_as("", "US", "203") == []


@pytest.mark.parametrize("typed", ["12", "withheld", "0" * 40, "555-01", "++", "１２"])
def test_what_is_no_number_is_said_to_be_none(typed: str) -> None:
    with pytest.raises(Refused, match="bad_phone"):
        callers.normal(typed, "US")


def test_a_number_that_is_silent_for_long_is_forgotten_and_its_contacts_stay(town: Town) -> None:
    end(town, ended(town))
    later = town.now + callers.FORGET_AFTER
    end(town, ended(town, phone="+15550100199"), at=later)
    with town.at_work() as scene:
        assert callers.sweep(scene.s, later) == 0
        assert callers.sweep(scene.s, later + timedelta(seconds=1)) == 1
    with town.looking() as scene:
        assert [row.caller_id is None for row in scene.s.scalars(select(Contact).order_by(Contact.id))] == [
            True,
            False,
        ]
        assert scene.s.scalar(select(func.count()).select_from(Caller)) == 1


def test_the_words_of_how_to_answer_stand_in_the_log(town: Town) -> None:
    call = ended(town)
    end(town, replace(call, said=replace(call.said, reply_by="sms")))
    with town.looking() as scene:
        contact = scene.s.scalars(select(Contact)).one()
        ((line, _words),) = events.of(scene.s, events.of_contact(contact.id))
        assert line.facts["reply_by"] == contact.reply_by == "sms"
        assert contacts.REPLIES_BY[0] == "none"


def test_what_is_erased_takes_the_number_along(town: Town) -> None:
    first, second = ended(town), ended(town)
    for each in (first, second):
        end(town, each)
    for left, call in ((2, None), (1, first), (0, second)):
        with town.at_work() as scene:
            if call:
                report = scene.s.scalars(select(Report).where(Report.key == call.said.key)).one()
                store = FolderStore(town.settings.var / "photos")
                intake.erase(
                    scene.s, report, store, town.settings.var, by=scene.actor("dispatcher"), at=town.now
                )
        with town.looking() as scene:
            joined = [row for row in scene.s.scalars(select(Contact)) if row.caller_id]
            assert (len(joined), len(scene.s.scalars(select(Caller)).all())) == (left, min(left, 1))


def test_the_same_key_with_other_words_is_another_call_and_is_said_to_be(town: Town) -> None:
    call = ended(town)
    end(town, call)
    other = replace(call.said, outcome="answered")
    changed = (
        replace(call, said=other, telling=None),
        replace(call, telling=replace(call.telling, words="Live wire")),
        replace(call, said=replace(call.said, reply_by="sms")),
        replace(call, said=replace(call.said, lang="pl")),
        replace(call, said=replace(call.said, channel="counter")),
        replace(call, phone="+15550109999"),
        replace(call, telling=replace(call.telling, place=replace(call.telling.place, lat=39.6005))),
    )
    for each in changed:
        with pytest.raises(Refused, match="kept_already"):
            end(town, each)
    with pytest.raises(Refused, match="kept_already"):
        end(town, call, by="dispatcher")
    with town.looking() as scene:
        assert len(scene.s.scalars(select(Contact)).all()) == 1


def test_a_call_by_a_way_that_there_is_not_is_refused_before_anything_is_kept(town: Town) -> None:
    call = ended(town)
    with pytest.raises(Refused, match="unknown_value"):
        end(town, replace(call, said=replace(call.said, channel="x" * 200)))
    with town.looking() as scene:
        assert scene.s.scalars(select(Report)).all() == []
