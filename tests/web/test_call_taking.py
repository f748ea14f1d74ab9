"""The call desk: a call is kept once with what it became, and nothing that was typed is lost."""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from factories import Town, counted
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse
from wording import resident, shared, shown, staff

from city.answers import articles
from city.answers.articles import Draft, Text
from city.audit import events
from city.cases import transitions
from city.db.models import Address, Caller, Contact, Event, Report, Subscription
from city.lifecycle import MAX_WORDS
from city.people.contacts import MAX_SECONDS, Conversation
from city.reports import calls
from city.reports.calls import Call

PHONE = "(555) 010-0142"
PLACE = "214 Tansy Street"
Ask = Callable[..., TestResponse]
FRAGMENT = {"HX-Request": "true"}
MOST_QUERIES = 9
MOST_QUERIES_OF_PARTS = 18


@pytest.fixture
def desk(app: Flask, town: Town, log_in: Callable[[str], FlaskClient]) -> FlaskClient:
    """The browser of a call-taker; one answer is known."""
    texts = {
        "en": Text("Pay your property tax", "Twice a year.", "It is due in January."),
        "es": Text("Pagar el impuesto", "Dos veces al año.", "Se paga en enero."),
    }
    with town.at_work() as scene:
        scene.s.add(Address(label=PLACE, lat=39.6, lon=-71.2, cell="x"))
        draft = Draft("finance", "taxes", date(2027, 1, 1), texts)
        articles.publish(scene.s, "pay-tax", draft, by=scene.actor("call-taker"), at=town.now)
    return log_in("call-taker")


@pytest.fixture
def send(desk: FlaskClient, token: Callable[[], str]) -> Callable[..., TestResponse]:
    """Saves a call: send(key=…, ends=…)."""

    def save(*, fragment: bool = False, **fields: Any) -> TestResponse:
        data = {"csrf_token": token(), "key": "a" * 32, "do": "save", "channel": "phone", **fields}
        return desk.post("/desk/calls", data=data, headers=FRAGMENT if fragment else {})

    return save


@pytest.fixture
def ask(desk: FlaskClient, token: Callable[[], str]) -> Callable[..., TestResponse]:
    """Asks for what follows from a form: ask("/desk/parts", {…})."""
    return lambda path, fields: desk.post(path, data={"csrf_token": token(), **fields}, headers=FRAGMENT)


LAMP_CALL = {
    "phone": PHONE, "ends": "case", "service": "light-out", "place": PLACE, "note": "Dark since Sunday",
    "lang": "es",
}  # fmt: skip


def html_of(response: TestResponse) -> str:
    return response.get_data(as_text=True)


def contacts(town: Town) -> list[Contact]:
    with town.looking() as scene:
        return list(scene.s.scalars(select(Contact).order_by(Contact.id)))


class TestSaving:
    def test_a_call_becomes_a_case(
        self, send: Callable[..., TestResponse], desk: FlaskClient, town: Town
    ) -> None:
        sent = send(**LAMP_CALL)
        assert sent.status_code == 303, re.findall(r"<li><a href=.#.*?</li>", html_of(sent))
        page = html_of(desk.get(sent.headers["Location"]))
        with town.looking() as scene:
            report = scene.s.scalars(select(Report)).one()
            (contact,) = contacts(town)
            assert (report.words, report.channel, report.lang) == ("Dark since Sunday", "phone", "es")
            assert report.address == PLACE
            assert (contact.case_id, contact.topic_code, contact.lang) == (
                report.case_id,
                "streetlights",
                "es",
            )
            assert scene.s.scalars(select(Caller)).one().phone == "+15550100142"
            assert report.case.number in page
        assert 'name="phone" type="tel" value=""' in page  # ready for the next call

    def test_an_answer_is_kept_with_what_was_read_out(
        self, send: Callable[..., TestResponse], town: Town
    ) -> None:
        assert (
            send(ends="answered", answer="pay-tax", topic="taxes", note=" Will pay in July. ").status_code
            == 303
        )
        (contact,) = contacts(town)
        assert (contact.outcome, contact.topic_code, contact.case_id) == ("answered", "taxes", None)
        assert contact.answer_id is not None
        with town.looking() as scene:
            ((_line, words),) = events.of(scene.s, events.of_contact(contact.id))
            assert words == {"words": "Will pay in July."}

    def test_a_call_is_transferred_or_dropped(self, send: Callable[..., TestResponse], town: Town) -> None:
        assert send(ends="transferred", topic="neighbors", to="911").status_code == 303
        assert send(key="b" * 32, ends="dropped", channel="voicemail").status_code == 303
        one, other = contacts(town)
        assert (one.outcome, one.transferred_to) == ("transferred", "911")
        assert (other.outcome, other.topic_code, other.channel) == ("dropped", "other", "voicemail")

    def test_whom_they_would_have_called_is_kept_where_they_say_it(
        self, send: Callable[..., TestResponse], town: Town
    ) -> None:
        assert send(ends="answered", topic="neighbors", instead="police").status_code == 303
        assert (
            send(key="b" * 32, ends="transferred", topic="neighbors", to="911", instead="police").status_code
            == 303
        )
        told, handed_on = contacts(town)
        assert (told.instead_of, told.transferred_to) == ("police", None)
        assert (handed_on.instead_of, handed_on.transferred_to) == (None, "911")
        page = send(key="c" * 32, ends="answered", topic="neighbors", instead="mars")
        assert (page.status_code, shared.UNKNOWN_VALUE in html_of(page)) == (422, True)

    def test_the_same_form_twice_is_one_call(self, send: Callable[..., TestResponse], town: Town) -> None:
        first, second = (html_of(send(fragment=True, **LAMP_CALL)) for _time in range(2))
        number = re.compile(r'<b class="num">([^<]+)</b>')
        assert number.findall(first) == number.findall(second) != []
        assert len(contacts(town)) == 1
        with town.looking() as scene:
            assert len(scene.s.scalars(select(Report)).all()) == 1

    def test_a_caller_joins_the_case_that_is_there(
        self, send: Callable[..., TestResponse], town: Town
    ) -> None:
        with town.at_work() as scene:
            known = scene.report().case.number
        send(**LAMP_CALL, join=known)
        with town.looking() as scene:
            assert [r.number for r in scene.case(known).reports] == [f"{known}-A", f"{known}-B"]

    def test_who_wants_a_letter_gets_one_to_confirm(
        self, send: Callable[..., TestResponse], town: Town
    ) -> None:
        send(**LAMP_CALL, reply_by="email", email="ana@mail.test")
        with town.looking() as scene:
            assert scene.s.scalars(select(Subscription)).one().address == "ana@mail.test"
        assert contacts(town)[0].reply_by == "email"

    def test_its_length_is_what_the_page_counted_and_no_longer_than_the_page_is_old(
        self, app: Flask, send: Callable[..., TestResponse], town: Town, now: datetime
    ) -> None:
        told = {"ends": "answered", "topic": "taxes"}
        drawn = now - timedelta(seconds=90)
        for n, (began, counted_there, seconds) in enumerate(
            (
                (drawn, "30.4", 30),
                (drawn, "", 90),
                (drawn, "1000", 90),
                (drawn, "-5", 0),
                (drawn, "1e300", 90),
                (drawn, "nan", 90),
                (now + timedelta(hours=1), "30", 0),
                (now - timedelta(days=30), "", MAX_SECONDS),
                (now - timedelta(days=3), "45", 45),
            )
        ):
            sent = send(key=f"{n:032x}", began=began.isoformat(), seconds=counted_there, **told)
            assert sent.status_code == 303
            assert contacts(town)[-1].seconds == seconds, counted_there
        send(key="c" * 32, began="yesterday", seconds="30", **told)
        assert contacts(town)[-1].seconds == 0

    def test_who_wants_to_be_called_is_named_to_those_who_speak_with_callers(
        self, send: Callable[..., TestResponse], town: Town, log_in: Callable[[str], FlaskClient]
    ) -> None:
        send(**LAMP_CALL, reply_by="call")
        with town.looking() as scene:
            number = scene.s.scalars(select(Report)).one().case.number
        for name, told in (("dispatcher", True), ("call-taker", True), ("manager", False)):
            page = html_of(log_in(name).get(f"/dispatch/cases/{number}"))
            assert (staff.WANTS_CALL(number=PHONE) in page) == told, name


class TestMending:
    @pytest.mark.parametrize(
        ("changes", "field", "words"),
        [
            ({"phone": "12"}, "phone", shared.BAD_PHONE),
            ({"ends": ""}, "ends", staff.CHOOSE_ENDING),
            ({"ends": "nonsense"}, "ends", staff.CHOOSE_ENDING),
            ({"service": ""}, "sought", staff.CHOOSE_PROBLEM),
            ({"service": "nonsense"}, "sought", staff.CHOOSE_PROBLEM),
            ({"place": ""}, "place", shared.PLACE_MISSING),
            ({"place": "Atlantis 9"}, "place", shared.PLACE_UNKNOWN),
            ({"ends": "transferred"}, "to", staff.CHOOSE_TRANSFER),
            ({"ends": "answered"}, "topic", staff.CHOOSE_ABOUT),
            ({"ends": "answered", "topic": "nonsense"}, "topic", staff.CHOOSE_ABOUT),
            ({"note": "x" * (MAX_WORDS + 1)}, "note", shared.TOO_LONG(most="4,000")),
            ({"reply_by": "sms", "phone": ""}, "phone", shared.CALLER_PHONE_MISSING),
            ({"reply_by": "email", "email": "nobody"}, "email", shared.BAD_EMAIL),
            ({"ends": "transferred", "topic": "taxes", "to": "nonsense"}, "to", shared.UNKNOWN_VALUE),
            ({"channel": "pigeon"}, "save", shared.UNKNOWN_VALUE),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_said_and_nothing_is_lost(
        self, send: Callable[..., TestResponse], town: Town, changes: dict[str, str], field: str, words: str
    ) -> None:
        typed = {**LAMP_CALL, "sought": "light out", **changes}
        for fragment in (False, True):
            answer = send(fragment=fragment, **typed)
            page = html_of(answer)
            assert answer.status_code == 422
            assert f'href="#{field}"' in page
            assert words in shown(page)
            for kept in (typed["phone"], typed["place"], "light out"):
                assert kept in page
            assert 'value="' + "a" * 32 in page  # the same call
        assert contacts(town) == []
        with town.looking() as scene:
            assert scene.s.scalars(select(Report)).all() == []

    def test_a_page_of_long_ago_gets_a_key_and_keeps_its_words(
        self, send: Callable[..., TestResponse], town: Town
    ) -> None:
        answer = send(**{**LAMP_CALL, "key": "nonsense"})
        assert answer.status_code == 422
        assert LAMP_CALL["note"] in html_of(answer)
        assert contacts(town) == []

    def test_who_may_not_take_calls_sees_no_desk(
        self, app: Flask, client: FlaskClient, log_in: Callable[[str], FlaskClient]
    ) -> None:
        assert client.get("/desk").status_code == 302
        for name, status in (("manager", 403), ("dispatcher", 200), ("supervisor", 200), ("rosa", 403)):
            assert log_in(name).get("/desk").status_code == status, name


class TestWithoutJavaScript:
    def test_a_call_is_found_taken_and_saved_by_buttons(
        self, send: Callable[..., TestResponse], town: Town
    ) -> None:
        page = html_of(send(do="find", sought="tax"))
        assert 'value="take answer pay-tax"' in page
        page = html_of(send(do="take answer pay-tax", sought="tax"))
        assert "It is due in January." in page
        assert re.search(r'name="ends" value="answered" checked', page)
        page = html_of(send(do="take service light-out", sought="light"))
        assert 'name="service" value="light-out"' in page
        assert re.search(r'name="ends" value="case" checked', page)
        assert contacts(town) == []
        for nonsense in ("take", "take service", "take service x", "take answer x", "take x y"):
            assert send(do=nonsense).status_code == 200


class TestWhatIsTaken:
    def test_an_answer_that_was_retired_is_not_read_out(self, ask: Ask, town: Town) -> None:
        asked = {"answer": "pay-tax", "ends": "answered"}
        assert "It is due in January." in html_of(ask("/desk/script", asked))
        with town.at_work() as scene:
            known = articles.by_slug(scene.s, "pay-tax")
            assert known is not None
            articles.retire(scene.s, known, by=scene.actor("call-taker"), at=town.now)
        assert "It is due in January." not in html_of(ask("/desk/script", asked))

    def test_an_answer_takes_the_place_of_a_problem_without_scripts_too(
        self, send: Callable[..., TestResponse]
    ) -> None:
        page = html_of(send(do="take answer pay-tax", **LAMP_CALL))
        assert 'name="service" value=""' in page
        assert re.search(r'name="ends" value="answered" checked', page)


class TestParts:
    def test_a_known_caller_is_spoken_to_in_their_language(self, ask: Ask, town: Town) -> None:
        with town.at_work() as scene:
            said = Conversation(
                "k" * 32, "phone", town.now - timedelta(minutes=2), 60, "taxes", "answered", lang="es"
            )
            calls.finish_call(
                scene.s, Call(said, "+15550100142"), by=scene.actor("call-taker"), at=town.now, secret="s"
            )
        asked = {"phone": PHONE, "service": "light-out", "place": PLACE, "ends": "case"}
        page = html_of(ask("/desk/parts", asked))
        assert staff.HAS_CALLED_BEFORE(1) in page
        assert staff.HAVE_LOCATION.es(place=PLACE) in page
        page = html_of(ask("/desk/parts", {**asked, "lang": "en"}))
        assert staff.HAVE_LOCATION(place=PLACE) in page

    def test_what_is_near_and_what_was_here_before_is_shown(self, ask: Ask, town: Town) -> None:
        with town.at_work() as scene:
            number = scene.report().case.number
        page = html_of(ask("/desk/parts", {"service": "light-out", "place": PLACE}))
        assert page.count(f'name="join" value="{number}"') == 1
        assert staff.EARLIER_HERE in page

    def test_of_several_places_one_is_chosen(self, ask: Ask) -> None:
        page = html_of(ask("/desk/parts", {"place": "Nowhere Street 5"}))
        assert shared.PLACE_UNKNOWN in shown(page)

    def test_danger_is_asked_about_first(self, ask: Ask) -> None:
        page = html_of(ask("/desk/parts", {"service": "wire-down", "ends": "case"}))
        assert staff.ASK_FIRST in page

    def test_a_line_can_be_read_without_being_taken(self, ask: Ask) -> None:
        page = html_of(ask("/desk/script", {"answer": "pay-tax", "ends": "answered", "lang": "es"}))
        assert "Se paga en enero." in page
        assert 'id="about"' not in page

    @pytest.mark.parametrize("typed", ["", "zzzzqqq", "<script>", "%", "'", "\u202e", "x" * 3000])
    def test_nonsense_finds_nothing_and_breaks_nothing(self, desk: FlaskClient, ask: Ask, typed: str) -> None:
        for path in ("/desk/found", "/desk/parts", "/desk/script"):
            asked = dict.fromkeys(
                ("q", "phone", "place", "service", "answer", "lang", "ends", "seconds"), typed
            )
            answer = desk.get(path, query_string=asked) if path.endswith("found") else ask(path, asked)
            assert answer.status_code == 200
            assert "<script>" not in html_of(answer)

    def test_problems_and_answers_stand_in_one_list(self, desk: FlaskClient) -> None:
        page = html_of(desk.get("/desk/found", query_string={"q": "light out"}))
        assert page.index('data-service="light-out"') > 0
        page = html_of(desk.get("/desk/found", query_string={"q": "property taks", "lang": "es"}))
        assert 'data-answer="pay-tax"' in page
        assert "Pagar el impuesto" in page


def test_the_cost_of_the_desk_is_known(
    app: Flask, desk: FlaskClient, town: Town, token: Callable[[], str]
) -> None:
    with town.at_work() as scene:
        for n in range(12):
            said = Conversation(
                f"{n:032x}", "phone", town.now - timedelta(minutes=2), 60, "taxes", "answered"
            )
            calls.finish_call(
                scene.s, Call(said, "+15550100142"), by=scene.actor("call-taker"), at=town.now, secret="s"
            )
    desk.get("/desk")
    with counted(app) as page:
        desk.get("/desk")
    assert len(page) <= MOST_QUERIES
    asked = {"phone": PHONE, "service": "light-out", "place": PLACE, "ends": "case"}
    asked["csrf_token"] = token()
    desk.post("/desk/parts", data=asked)
    with counted(app) as parts:
        desk.post("/desk/parts", data=asked)
    assert len(parts) <= MOST_QUERIES_OF_PARTS


def test_every_kind_of_problem_has_its_script_and_questions(app: Flask, ask: Ask) -> None:
    for service in app.extensions["cityline"].city.services:
        asked = {"service": service.code, "ends": "case", "lang": "es"}
        page = html_of(ask("/desk/parts", asked))
        assert page.count('class="say"') == 1, service.code
        for question in service.questions:
            assert (question.words["es"] in page) == (question.only_if is None)  # not led to yet
            assert page.count(f'name="answer-{service.code}-{question.code}"') == max(
                1, len(question.choices)
            )


def test_who_joins_a_case_hears_its_own_day_or_why_it_waits(town: Town, ask: Ask) -> None:
    with town.at_work() as scene:
        case = scene.report(at=town.now - timedelta(days=1)).case
        number, due = case.number, case.due_at
    asked = {"service": "light-out", "ends": "case", "lang": "en", "place": PLACE}

    def says(**more: str) -> str:
        return shown(ask("/desk/parts", asked | more).text)

    assert staff.TAKE_CARE_BY(day="Friday, May\u00a015") in says()
    assert due.day == 14
    by_then = resident.FIX_BY(day="Thursday, May\u00a014")
    assert staff.JOINS_REPORTED(stands=by_then) in says(join=number)
    assert staff.TAKE_CARE_BY(day="Friday, May\u00a015") not in says(join=number)
    with town.at_work() as scene:
        transitions.wait(scene.s, scene.case(number), "parts", by=scene.actor("dispatcher"), at=town.now)
    assert staff.JOINS_REPORTED(stands=shared.ON_HOLD_FOR(why=shared.WAITING_FOR_PARTS)) in says(join=number)
    assert staff.TAKE_CARE_BY(day="Friday, May\u00a015") in says(join="26-999999")


def test_who_was_shown_what_a_caller_called_about_before_is_in_the_log(
    ask: Ask, town: Town, app: Flask
) -> None:
    def looked() -> list[tuple[str, str]]:
        with town.looking() as scene:
            lines = scene.s.scalars(select(Event).where(Event.kind == "look up").order_by(Event.seq))
            return [(line.subject, line.actor) for line in lines]

    ask("/desk/parts", {"phone": PHONE})
    assert looked() == [], "nobody has called from there"
    said = Conversation("k" * 32, "phone", town.now - timedelta(minutes=2), 60, "taxes", "answered")
    with town.at_work() as scene:
        by = scene.actor("call-taker")
        calls.finish_call(scene.s, Call(said, "+15550100142"), by=by, at=town.now, secret="s")
    with town.looking() as scene:
        caller = scene.s.scalars(select(Caller)).one()
    line = f"caller:{caller.id}", f"person:{town.ids['call-taker']}"
    for phone in (PHONE, PHONE, "(555) 010-0199", PHONE):
        ask("/desk/parts", {"phone": phone})
    assert looked() == [line], "once, though the form is asked at every letter"
    app.config["NOW"] = town.now + timedelta(hours=1)
    ask("/desk/parts", {"phone": PHONE})
    assert looked() == [line] * 2
    with town.looking() as scene:
        assert events.verify(scene.s) == []
