"""Office work on pages: asked for at the desk, worked on the board, and nowhere for strangers."""

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import letterbox
import pytest
from factories import SECRET, Town, counted
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse
from wording import messages, resident, shared, shown, staff

from city.db.models import Case, Closure, Contact, Message, Report, Subscription
from city.reports import intake
from pwa.messages import report_messages

PHONE = "(555) 010-0142"
KEY = "a" * 32
WORDS = "canary of an office"
FRAGMENT = {"HX-Request": "true"}


def html_of(response: TestResponse) -> str:
    return shown(response)


@pytest.fixture
def send(log_in: Callable[[str], FlaskClient], token: Callable[[], str]) -> Callable[..., TestResponse]:
    """Saves a call of a call-taker about a tax question: send(phone=…)."""
    desk = log_in("call-taker")

    def save(**fields: Any) -> TestResponse:
        data = {
            "csrf_token": token(), "key": KEY, "do": "save", "channel": "phone", "ends": "case",
            "service": "tax-question", "note": WORDS, "phone": PHONE, **fields,
        }  # fmt: skip
        return desk.post("/desk/calls", data=data)

    return save


@pytest.fixture
def number(send: Callable[..., TestResponse], town: Town) -> str:
    """A case for an office that a call has opened."""
    send(**{"answer-tax-question-when": "After five"})
    with town.looking() as scene:
        return str(scene.s.scalars(select(Case.number)).one())


@pytest.fixture
def act(client: FlaskClient, token: Callable[[], str], number: str) -> Callable[..., TestResponse]:
    """Presses a button of the drawer: act("closure", outcome=…)."""
    return lambda verb, **fields: client.post(
        f"/dispatch/cases/{number}/{verb}", data={"csrf_token": token(), **fields}, headers=FRAGMENT
    )


class TestTheDesk:
    def test_a_call_becomes_a_follow_up_with_its_topic(self, number: str, town: Town) -> None:
        with town.looking() as scene:
            report, contact = scene.s.scalars(select(Report)).one(), scene.s.scalars(select(Contact)).one()
            assert (report.words, report.answers) == (WORDS, {"when": "After five"})
            assert (report.case.number, report.case.lat) == (number, None)
            assert (contact.outcome, contact.topic_code, contact.reply_by) == ("case", "taxes", "call")

    def test_an_address_is_kept_with_the_words(self, send: Callable[..., TestResponse], town: Town) -> None:
        assert send(place="Somewhere that no map knows").status_code == 303
        with town.looking() as scene:
            assert scene.s.scalars(select(Report.words)).one() == f"{WORDS}\nSomewhere that no map knows"

    def test_without_a_way_back_it_is_asked_for_and_nothing_is_lost(
        self, send: Callable[..., TestResponse], town: Town
    ) -> None:
        answer = send(phone="")
        assert answer.status_code == 422
        assert 'href="#way-back"' in html_of(answer)
        assert '<fieldset id="way-back" tabindex="-1"' in html_of(answer)
        assert 'aria-describedby="way-back-e"' in html_of(answer)
        assert 'id="way-back-e"' in html_of(answer)
        assert shared.WAY_BACK_MISSING in html_of(answer)
        assert WORDS in html_of(answer)
        assert send(phone="", reply_by="again").status_code == 303
        with town.looking() as scene:
            assert scene.s.scalars(select(Contact.reply_by)).one() == "again"

    @pytest.mark.parametrize(
        ("way", "fault"),
        [
            ("call", shared.CALLER_PHONE_MISSING),
            ("sms", shared.CALLER_PHONE_MISSING),
            ("email", shared.BAD_EMAIL),
        ],
    )
    def test_a_way_without_its_address_is_said(
        self, send: Callable[..., TestResponse], way: str, fault: str
    ) -> None:
        answer = send(phone="", reply_by=way, email="")
        assert answer.status_code == 422
        assert fault in html_of(answer)

    @pytest.mark.parametrize(
        ("path", "words", "name"),
        [
            ("/desk", "tax call", "Tax question (call back)"),
            ("/es/desk", "consulta impuestos", "Consulta de impuestos"),
            ("/es/desk", "acta nacimiento", "Copia de un acta de nacimiento"),
        ],
    )
    def test_words_of_both_languages_find_it(
        self, log_in: Callable[[str], FlaskClient], path: str, words: str, name: str
    ) -> None:
        page = html_of(log_in("call-taker").get(f"{path}/found", query_string={"q": words}))
        assert name in page
        assert "data-office" in page

    def test_the_script_asks_its_questions_and_promises_an_answer(
        self, log_in: Callable[[str], FlaskClient], token: Callable[[], str]
    ) -> None:
        desk = log_in("call-taker")
        data = {
            "csrf_token": token(), "service": "tax-question", "ends": "case", "lang": "es", "phone": PHONE,
            "place": "214 Tansy Street",
        }  # fmt: skip
        page = html_of(desk.post("/desk/parts", data=data, headers=FRAGMENT))
        assert "¿Cuándo podemos devolverle la llamada?" in page
        assert staff.ANSWER_BY.es(day="miércoles, 13\u00a0de\u00a0mayo") in page
        assert re.search(r'value="call" checked', page)
        assert 'value="none"' not in page
        assert staff.SIMILAR_NEARBY not in page


class TestTheBoard:
    def test_the_view_lists_it_with_its_department(
        self, client: FlaskClient, number: str, app: Flask
    ) -> None:
        with counted(app) as sent:
            page = html_of(client.get("/dispatch?work=office"))
        assert number in page
        assert "Taxes and payments" in page
        assert f"<title>{staff.OFFICE_WORK}" in page
        assert len(sent) <= 13
        assert number not in html_of(client.get("/dispatch?place=none"))
        assert number not in html_of(client.get("/dispatch?crew=none"))

    def test_the_drawer_has_the_number_the_question_and_what_can_be_done(
        self, client: FlaskClient, number: str
    ) -> None:
        page = html_of(client.get(f"/dispatch/cases/{number}"))
        for words in (
            staff.WANTS_CALL(number="(555) 010-0142"),
            WORDS,
            "After five",
            "Answered by phone",
            shared.ANSWERED,
        ):
            assert words in page, words
        for words in (
            staff.WHICH_CREW,
            staff.NO_PHOTO_BECAUSE,
            "close-photos",
            'id="public"',
            shared.NOT_FOUND,
        ):
            assert words not in page, words

    def test_a_call_taker_works_it_to_its_end(self, act: Callable[..., TestResponse], town: Town) -> None:
        assert act("acceptance").status_code == 200
        assert act("wait", reason="resident").status_code == 200
        assert act("resume").status_code == 200
        refused = act("closure", outcome="answered")
        assert refused.status_code == 422
        assert shared.ANSWER_NEEDED in html_of(refused)
        assert act("closure", reply="tax-told").status_code == 200
        with town.looking() as scene:
            assert scene.s.scalars(select(Case.outcome)).one() == "answered"

    @pytest.mark.parametrize(
        ("outcome", "reply"), [("fixed", ""), ("not found", ""), ("answered", "new-lamp"), ("", "by-policy")]
    )
    def test_it_does_not_end_as_a_lamp_does(
        self, act: Callable[..., TestResponse], outcome: str, reply: str
    ) -> None:
        assert act("closure", outcome=outcome, reply=reply, words="x").status_code == 422

    def test_a_call_taker_closes_nothing_of_the_field(
        self, client: FlaskClient, token: Callable[[], str], number: str, town: Town
    ) -> None:
        with town.at_work() as scene:
            lamp = scene.report().case.number
        data = {"csrf_token": token(), "outcome": "not ours"}
        assert client.post(f"/dispatch/cases/{lamp}/closure", data=data).status_code == 422

    def test_other_words_of_a_second_tab_are_a_conflict_and_the_same_ones_none(
        self, number: str, client: FlaskClient, act: Callable[..., TestResponse], town: Town
    ) -> None:
        drawer = html_of(client.get(f"/dispatch/cases/{number}"))
        seen = re.findall(r'name="seen" value="(\d+)"', drawer)[0]
        sent = {"seen": seen, "outcome": "answered", "words": "You owe 100."}
        assert [act("closure", **sent).status_code for _tap in range(2)] == [200, 200]
        for other in ({"words": "You owe 1000."}, {"outcome": "no action"}):
            answer = act("closure", **sent | other)
            assert answer.status_code == 409
            assert (sent | other)["words"] in html_of(answer)
            assert staff.WHEN_YOU_OPENED_IT in html_of(answer)
        with town.looking() as scene:
            assert [done.words for done in scene.case(number).closures] == ["You owe 100."]

    def test_weeks_later_it_comes_back_with_its_way_and_its_old_case(
        self, number: str, act: Callable[..., TestResponse], app: Flask, now: datetime, town: Town,
        log_in: Callable[..., FlaskClient],
    ) -> None:  # fmt: skip
        act("closure", outcome="answered", words="Told.")
        later = app.config["NOW"] = now + timedelta(days=20)
        stranger = app.test_client()
        stranger.get(f"/s/{intake.token_for(app.extensions['cityline'].settings.secret_key, KEY)}")
        page = stranger.get(f"/case/{number}").text
        sent = {
            name: unescape(re.findall(rf'name="{name}" value="(.*?)"', page)[0])
            for name in ("closing", "csrf_token")
        }
        assert (
            stranger.post(f"/case/{number}/not-fixed", data=sent | {"words": "Still waiting"}).status_code
            == 303
        )
        with town.looking() as scene:
            new = scene.s.scalars(select(Case.number).order_by(Case.id.desc())).first()
        assert new != number
        drawer = html_of(log_in("call-taker", later).get(f"/dispatch/cases/{new}"))
        assert staff.WANTS_CALL(number=PHONE) in drawer
        assert "After five" in drawer
        follows = staff.FOLLOW_UP_TO(number=number)
        assert re.search(rf'href="/dispatch/cases/{number}[^"]*">{follows}</a>', drawer)

    def test_a_batch_names_it_as_not_possible(
        self, number: str, log_in: Callable[[str], FlaskClient], token: Callable[[], str], town: Town
    ) -> None:
        with town.at_work() as scene:
            lamp = scene.report().case.number
        board = log_in("dispatcher")
        data = {
            "csrf_token": token(), "key": "b" * 32, "act": f"assign {town.ids['lights']}",
            "cases": f"{number} {lamp}", "crew": town.ids["lights"],
        }  # fmt: skip
        page = html_of(board.post("/dispatch/batch", data=data, headers=FRAGMENT))
        assert number in page
        assert shared.NO_CREW_FOR_OFFICE in page


class TestTheWayBack:
    def test_an_address_that_nobody_confirmed_is_said_where_it_is_closed(
        self, send: Callable[..., TestResponse], client: FlaskClient, town: Town
    ) -> None:
        send(reply_by="email", email="ana@mail.test")
        unreached = staff.EMAIL_UNREACHED
        page = html_of(client.get("/dispatch/cases/26-000001"))
        assert staff.EMAIL_UNCONFIRMED in page
        assert unreached in page
        with town.at_work() as scene:
            intake.confirm(scene.s, scene.s.scalars(select(Subscription)).one(), at=town.now)
        page = html_of(client.get("/dispatch/cases/26-000001"))
        assert staff.EMAIL_UNCONFIRMED not in page
        assert unreached not in page

    def test_the_wish_of_a_merged_case_stands_at_the_one_that_goes_on(
        self,
        number: str,
        send: Callable[..., TestResponse],
        client: FlaskClient,
        token: Callable[[], str],
    ) -> None:
        send(key="b" * 32, reply_by="sms")
        send(key="c" * 32, phone="(555) 010-0143")
        again, other = "26-000002", "26-000003"
        data = {"csrf_token": token(), "into": number}
        assert client.post(f"/dispatch/cases/{again}/merge", data=data, headers=FRAGMENT).status_code == 200
        refused = client.post(f"/dispatch/cases/{other}/merge", data=data, headers=FRAGMENT)
        assert refused.status_code == 422
        assert shared.MERGE_CALLER in html_of(refused)
        page = html_of(client.get(f"/dispatch/cases/{number}"))
        assert staff.WANTS_CALL(number="(555) 010-0142") in page
        assert f"{again}-A</span> <b>{staff.WANTS_TEXT(number='(555) 010-0142')}" in page


class TestTheEnd:
    def test_it_is_told_in_the_words_of_an_office(
        self, number: str, act: Callable[..., TestResponse], client: FlaskClient
    ) -> None:
        assert act("closure", outcome="not ours").status_code == 200
        for page in ("/dispatch?state=closed", f"/dispatch/cases/{number}"):
            html = html_of(client.get(page))
            assert shared.NOT_A_CITY_QUESTION in html, page
            assert shared.NOT_OURS not in html.partition('id="bulk"')[0], page

    def test_whoever_took_the_call_opens_it_again(self, act: Callable[..., TestResponse], town: Town) -> None:
        act("closure", reply="tax-told")
        assert act("reopening", words="She calls again").status_code == 200
        with town.looking() as scene:
            assert scene.s.scalars(select(Case.state)).one() == "accepted"

    def test_several_are_closed_with_what_offices_say(
        self, number: str, log_in: Callable[[str], FlaskClient], token: Callable[[], str]
    ) -> None:
        board = log_in("dispatcher")
        bar = html_of(board.get("/dispatch?work=office")).partition('id="bulk"')[2].partition("</form>")[0]
        assert 'value="tax-told"' in bar
        assert staff.REQUIRED_WITHOUT_REPLY in bar
        for foreign in (
            'value="new-lamp"',
            staff.FIXED_NO_PHOTO_BECAUSE,
            'name="no_photo"',
            shared.NOT_OURS,
            "bulk-assign",
        ):
            assert foreign not in bar, foreign
        field = html_of(board.get("/dispatch")).partition('id="bulk"')[2].partition("</form>")[0]
        assert 'value="new-lamp"' in field
        assert 'value="tax-told"' not in field
        data = {
            "csrf_token": token(), "key": "b" * 32, "act": "close", "cases": number, "outcome": "no action",
        }  # fmt: skip
        asked = html_of(board.post("/dispatch/batch?work=office", data=data, headers=FRAGMENT))
        assert shared.CLOSED_WITHOUT_ANSWER in asked
        done = html_of(board.post("/dispatch/batch?work=office", data=data | {"sure": "1"}, headers=FRAGMENT))
        assert shared.CASE_CLOSED(number=number, outcome=shared.CLOSED_WITHOUT_ANSWER) in done


class TestWhoAsked:
    """They hear of answers, and never of crews and repairs."""

    @pytest.fixture
    def page(self, number: str, client: FlaskClient, app: Flask) -> Callable[..., str]:
        """Their own page of the case, or a verdict's: page("/fixed"); its button is pressed with `press`."""
        client.get(f"/s/{intake.token_for(app.extensions['cityline'].settings.secret_key, KEY)}")

        def see(path: str = "", *, press: bool = False) -> str:
            address = f"/case/{number}{path}"
            html = html_of(client.get(address))
            if press:
                hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html))
                html = html_of(client.post(address, data=hidden, follow_redirects=True))
            text = html.partition("<main")[2].partition("</main>")[0]
            assert not re.search('crew|repair|fixed[^-"]', re.sub(r"<[^>]+>", "", text), re.IGNORECASE), text
            return text

        return see

    def test_not_answered_opens_it_again(
        self, page: Callable[..., str], act: Callable[..., TestResponse]
    ) -> None:
        act("closure", reply="tax-told")
        assert resident.QUESTION_REOPENED in page("/not-fixed", press=True)
        assert resident.SAID_NOT_ANSWERED in page()
        act("closure", outcome="no action")
        assert shared.CLOSED_WITHOUT_ANSWER in page("/fixed")
        assert resident.THANKS_ANSWERED in page("/fixed", press=True)
        assert resident.SAID_ANSWERED in page()

    def test_long_after_it_is_a_new_case(
        self, page: Callable[..., str], act: Callable[..., TestResponse], town: Town
    ) -> None:
        act("closure", reply="tax-told")
        with town.at_work() as scene:
            scene.s.execute(update(Closure).values(closed_at=town.now - timedelta(days=40)))
        assert resident.NEW_QUESTION_OPENED in page("/not-fixed", press=True)

    @pytest.mark.parametrize(
        ("lang", "words"), [("en", messages.QUESTION_REOPENED), ("es", messages.QUESTION_REOPENED.es)]
    )
    def test_the_letter_says_so_too(
        self, number: str, act: Callable[..., TestResponse], town: Town, app: Flask, lang: str, words: str
    ) -> None:
        act("closure", reply="tax-told")
        act("reopening")
        with town.at_work() as scene:
            report = scene.s.scalars(select(Report)).one()
            row = intake.subscribe(scene.s, report, "ana@mail.test", lang=lang, at=town.now)
            intake.confirm(scene.s, row, at=town.now)
            letter = report_messages.render(app)(
                scene.s, Message(kind="reopened", subscription=row, event_seq=1)
            )
            scene.s.rollback()
        assert letter
        assert words in letterbox.text(letter)
        assert not re.search("crew|cuadrilla", letterbox.text(letter))


class TestStrangers:
    @pytest.fixture
    def stranger(self, app: Flask) -> FlaskClient:
        return app.test_client()

    @pytest.mark.parametrize(
        "path",
        ["/", "/report", "/cases", "/cases?group=office", "/cases?state=closed", "/cases/points", "/crew",
         "/answers", "/report?service=tax-question", "/es/report"],
    )  # fmt: skip
    def test_no_page_knows_of_it(self, number: str, stranger: FlaskClient, path: str) -> None:
        page = html_of(stranger.get(path))
        assert WORDS not in page
        assert number not in page
        assert "Tax question" not in page
        assert "Consulta de impuestos" not in page
        assert "Questions and records" not in page

    @pytest.mark.parametrize(
        "path",
        ["/performance?period=2026-05", "/performance.csv?period=2026-05", "/es/performance?period=2026-05",
         "/value?period=2026-05", "/value.csv?period=2026-05", "/data", "/data/roots.csv",
         "/data/dictionary", "/cases.atom", "/cases.atom?state=closed"],
    )  # fmt: skip
    def test_figures_name_neither_it_nor_its_words(
        self, number: str, act: Callable[..., TestResponse], stranger: FlaskClient, app: Flask, path: str
    ) -> None:
        act("closure", reply="tax-told")
        app.config["NOW"] = datetime(2026, 6, 3, 15, tzinfo=UTC)
        answer = stranger.get(path)
        assert answer.status_code == 200
        assert WORDS not in html_of(answer)
        assert number not in html_of(answer)

    def test_figures_hide_the_only_case_of_its_kind(
        self, number: str, act: Callable[..., TestResponse], stranger: FlaskClient, app: Flask
    ) -> None:
        act("closure", reply="tax-told")
        app.config["NOW"] = datetime(2026, 6, 3, 15, tzinfo=UTC)
        page = html_of(stranger.get("/performance?period=2026-05"))
        for row in ("Tax question (call back)", "Taxes and payments"):
            told = re.findall("<td[^>]*>([^<]*)</td>", page.partition(f'<th scope="row">{row}</th>')[2])[:5]
            assert told == [resident.FIGURE_HIDDEN] * 5, row
        file = csv.DictReader(io.StringIO(html_of(stranger.get("/performance.csv?period=2026-05"))))
        lines = {line["figure"]: line for line in file}
        for row in ("service.tax-question", "department.finance"):
            for what in ("opened", "closed", "on_time", "median_days", "p90_days"):
                assert (lines[f"{row}.{what}"]["value"], lines[f"{row}.{what}"]["hidden"]) == ("", "true")
        assert (lines["city.opened"]["value"], lines["city.opened"]["hidden"]) == ("1", "")

    def test_neither_does_its_own_address(self, number: str, stranger: FlaskClient) -> None:
        assert stranger.get(f"/case/{number}").status_code == 404

    def test_nobody_reports_one_on_the_web(
        self, stranger: FlaskClient, town: Town, post: Callable[..., TestResponse]
    ) -> None:
        answer = post(group="office", **{"service-office": "tax-question"})
        assert answer.status_code == 422
        with town.looking() as scene:
            assert scene.s.scalar(select(Case.id)) is None

    def test_who_asked_reads_the_day_and_the_answer(
        self, number: str, stranger: FlaskClient, act: Callable[..., TestResponse], app: Flask
    ) -> None:
        secret = app.extensions["cityline"].settings.secret_key
        stranger.get(f"/s/{intake.token_for(secret, KEY)}")
        page = html_of(stranger.get(f"/case/{number}"))
        assert resident.ANSWER_BY(day="Wednesday, May\u00a013 at 1:30\u00a0pm") in page
        assert WORDS in page
        act("closure", reply="tax-told")
        page = html_of(stranger.get(f"/case/{number}"))
        assert f"{shared.ANSWERED}." in page
        assert "We called you" in page
        assert resident.IS_IT_ANSWERED in page
        assert SECRET not in page
