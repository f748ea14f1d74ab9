"""What a resident sees of a case, as a stranger and as its reporter, on its page and by e-mail."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any

import letterbox
import pytest
from factories import LAMP, Town
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from wording import city, messages, resident, shared, shown

from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Case, Event, Report, Subscription
from city.notifications import fan_out, outbox
from city.reports import closing_feedback, intake
from city.settings import Settings
from pwa.messages import report_messages

Opened = Callable[[Report], FlaskClient]


@pytest.fixture
def opened(client: FlaskClient, settings: Settings) -> Opened:
    """The browser after the report's secret link was opened. The town's own secret is replaced first."""

    def open_link(report: Report) -> FlaskClient:
        answer = client.get(f"/s/{intake.token_for(settings.secret_key, report.key)}")
        assert answer.status_code == 303
        return client

    return open_link


def told(town: Town, settings: Settings, **changes: object) -> Report:
    """A report whose link this instance would have made."""
    with town.at_work() as scene:
        report = scene.report(**{"place": LAMP, "words": "dark since Sunday"} | changes)
        token = intake.token_for(settings.secret_key, report.key)
        scene.s.add(intake.SecretLink(token_hash=intake.hashed(token), report_id=report.id, made_at=town.now))
        assert report.case.number
        return report


def closed(
    town: Town, number: str, at: datetime, *, at_device: datetime | None = None, **changes: Any
) -> None:
    with town.at_work() as scene:
        case, by = scene.case(number), scene.actor("dispatcher")
        closing = replace(Closing("fixed", no_photo="dark", words="New lamp put in."), **changes)
        transitions.close(scene.s, case, closing, by=by, at=at, at_device=at_device)


def sent_back(town: Town, csrf: str, **more: str) -> dict[str, str]:
    """The form "not fixed" as the case's page has it now."""
    with town.looking() as scene:
        return {"csrf_token": csrf, "closing": closing_feedback.closing_of(scene.case("26-000001"))} | more


def kinds(town: Town, number: str) -> list[str]:
    with town.looking() as scene:
        subject = f"case:{scene.case(number).id}"
        return [
            e.kind for e in scene.s.scalars(select(Event).where(Event.subject == subject).order_by(Event.seq))
        ]


def test_a_stranger_sees_the_promise_and_not_the_words(
    town: Town, settings: Settings, client: FlaskClient
) -> None:
    told(town, settings)
    page = client.get("/case/26-000001").get_data(as_text=True)
    assert resident.FIX_BY(day="Friday, May\u00a015") in shown(page)
    assert "dark since Sunday" not in page
    assert resident.CANCEL_REPORT_BUTTON not in page


def test_the_reporter_sees_the_own_words_and_may_withdraw(
    town: Town, settings: Settings, opened: Opened, token: Callable[[], str]
) -> None:
    browser = opened(told(town, settings))
    page = browser.get("/case/26-000001")
    assert "dark since Sunday" in page.text
    assert resident.YOU_REPORTED in page.text
    assert page.headers["Cache-Control"] == "no-store"
    answer = browser.post("/case/26-000001/withdraw", data={"csrf_token": token()})
    assert answer.headers["Location"] == "/case/26-000001"
    assert resident.CANCELED_TITLE in browser.get("/case/26-000001").text


def test_nobody_else_may_withdraw_or_say_not_fixed(
    town: Town, settings: Settings, client: FlaskClient, token: Callable[[], str]
) -> None:
    told(town, settings)
    for verb in ("withdraw", "not-fixed"):
        answer = client.post(f"/case/26-000001/{verb}", data={"csrf_token": token()})
        assert answer.status_code == 404
    assert kinds(town, "26-000001") == ["open", "report"]


def test_a_private_case_exists_for_its_reporter_only(
    town: Town, settings: Settings, app: Flask, opened: Opened
) -> None:
    browser = opened(told(town, settings, service_code="nuisance"))
    assert browser.get("/case/26-000001").status_code == 200
    for number in ("26-000001", "26-000001-A"):
        assert app.test_client().get(f"/case/{number}").status_code == 404


def test_a_report_number_leads_to_its_case(town: Town, settings: Settings, client: FlaskClient) -> None:
    told(town, settings)
    answer = client.get("/es/case/26-000001-A")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/es/case/26-000001")


def test_a_revoked_link_opens_nothing(town: Town, settings: Settings, client: FlaskClient) -> None:
    report = told(town, settings)
    with town.at_work() as scene:
        for link in scene.s.scalars(select(intake.SecretLink)):
            link.revoked_at = town.now
    assert client.get(f"/s/{intake.token_for(settings.secret_key, report.key)}").status_code == 404


def test_fixed_shows_how_the_promise_was_kept(town: Town, settings: Settings, opened: Opened) -> None:
    browser = opened(told(town, settings))
    closed(town, "26-000001", town.now + timedelta(hours=3))
    page = browser.get("/case/26-000001").text
    assert resident.FIXED_TITLE in shown(page)
    assert shared.DAYS_EARLY(3) in page
    assert "New lamp put in." in page
    assert resident.NO_PHOTO_DARK in page
    assert resident.SEND_BACK_UNTIL(day="Tuesday, May\u00a026") in page


@pytest.mark.parametrize(
    ("later", "by_the_phone", "said"),
    [(4, 0, False), (3000, 0, True), (3000, -90_000, False)],  # the last one's clock cannot be right
)
def test_a_closing_that_came_late_says_when_the_crew_was_done(
    town: Town, settings: Settings, opened: Opened, later: int, by_the_phone: int, said: bool
) -> None:
    browser, done = opened(told(town, settings)), town.now + timedelta(days=1)
    at_device = done + timedelta(minutes=by_the_phone)
    closed(town, "26-000001", done + timedelta(minutes=later), at_device=at_device)
    assert (resident.CREW_FINISHED(moment="Wed") in browser.get("/case/26-000001").text) == said
    assert (resident.CREW_FINISHED.es(moment="mié") in browser.get("/es/case/26-000001").text) == said


def test_a_closing_that_the_crew_took_back_does_not_stand_last(town: Town, client: FlaskClient) -> None:
    with town.at_work() as scene:
        case, rosa = scene.assigned(), scene.actor("rosa")
        transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=rosa, at=town.now)
        transitions.undo_own_completion(scene.s, case, "close", by=rosa, at=town.now + timedelta(minutes=1))
        number = case.number
    page = client.get(f"/case/{number}").text
    assert page.index(shared.PUBLIC_STEP_TAKEN_BACK) < page.index(shared.FIXED)


def test_a_closing_that_was_undone_with_others_does_not_stand_last(town: Town, client: FlaskClient) -> None:
    with town.at_work() as scene:
        case, by = scene.assigned(), scene.actor("dispatcher")
        was = transitions.snapshot(case)
        transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=by, at=town.now)
        transitions.undo_batch(
            scene.s, case, "close", was, by=by, at=town.now + timedelta(minutes=1), batch=1
        )
        number = case.number
    page = client.get(f"/case/{number}").text
    assert page.index(shared.PUBLIC_STEP_BATCH_UNDONE) < page.index(shared.FIXED)


def test_not_fixed_opens_the_case_again_once(
    town: Town, settings: Settings, opened: Opened, token: Callable[[], str]
) -> None:
    browser = opened(told(town, settings))
    closed(town, "26-000001", town.now)
    form = sent_back(town, token(), words="still dark")
    assert f'name="closing" value="{form["closing"]}"' in browser.get("/case/26-000001").text
    for _tap in (1, 2):
        answer = browser.post("/case/26-000001/not-fixed", data=form)
        assert answer.headers["Location"] == "/case/26-000001?said=reopened"
    page = browser.get(answer.headers["Location"]).text
    assert resident.REPORT_REOPENED in page
    assert resident.SAID_NOT_FIXED in shown(page)
    assert kinds(town, "26-000001") == ["open", "report", "close", "not fixed", "reopen"]
    receipt = shown(browser.get("/sent/26-000001-A").text)
    assert resident.OPEN_AGAIN in receipt
    assert resident.REVIEWED_IT in receipt
    assert "We'll fix it by" not in receipt


def test_too_many_words_about_it_are_kept_to_be_shortened(
    town: Town, settings: Settings, client: FlaskClient, opened: Opened, token: Callable[[], str]
) -> None:
    link = told(town, settings)
    with town.at_work() as scene:
        case = scene.case("26-000001")
        transitions.close(scene.s, case, Closing("not found"), by=scene.actor("dispatcher"), at=town.now)
    form = sent_back(town, token(), words="w" * 5000)
    assert client.post("/case/26-000001/not-fixed", data=form).status_code == 404
    answer = opened(link).post("/case/26-000001/not-fixed", data=form)
    assert answer.status_code == 422
    assert "w" * 5000 in answer.text
    assert "4,000" in answer.text
    assert kinds(town, "26-000001")[-1] == "close"


def test_after_two_weeks_not_fixed_is_a_new_case(
    town: Town, settings: Settings, app: Flask, opened: Opened, token: Callable[[], str]
) -> None:
    browser = opened(told(town, settings))
    closed(town, "26-000001", town.now)
    app.config["NOW"] = town.now + timedelta(days=15)
    form = sent_back(town, token())
    assert resident.OPENS_NEW_REPORT in shown(browser.get("/case/26-000001"))
    for _tap in (1, 2):
        answer = browser.post("/case/26-000001/not-fixed", data=form)
        assert answer.headers["Location"] == "/case/26-000002?said=new-case"
    assert resident.YOU_REPORTED in browser.get(answer.headers["Location"]).text
    with town.looking() as scene:
        assert len(scene.s.scalars(select(Case)).all()) == 2


def test_a_merged_case_says_which_one_carries_on(
    town: Town, settings: Settings, app: Flask, opened: Opened
) -> None:
    told(town, settings)
    second = told(town, settings)
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        transitions.merge(scene.s, scene.case("26-000002"), scene.case("26-000001"), by=by, at=town.now)
    stranger = app.test_client().get("/case/26-000002").text
    assert resident.GO_TO_REPORT(number="26-000001") in stranger
    mine = opened(second).get("/case/26-000002").text
    assert resident.COMBINED_WITH_ANOTHER(number="26-000002") in mine
    assert resident.FIX_BY(day="Friday, May\u00a015") in shown(mine)


def test_neighbors_who_joined_are_counted_in_one_line(town: Town, settings: Settings, opened: Opened) -> None:
    report = told(town, settings)
    for _neighbor in range(2):
        told(town, settings, join="26-000001")
    page = opened(report).get("/case/26-000001").text
    assert resident.NEIGHBORS_JOINED(2) in page
    assert resident.CANCEL_REPORT_BUTTON not in page  # it is not the reporter's alone any more


@pytest.mark.parametrize("state", ["accepted", "assigned", "waiting", "cancelled"])
def test_every_state_has_its_page(town: Town, settings: Settings, client: FlaskClient, state: str) -> None:
    told(town, settings)
    with town.at_work() as scene:
        case, by, at = scene.case("26-000001"), scene.actor("dispatcher"), town.now
        if state == "accepted":
            transitions.accept(scene.s, case, by=by, at=at)
        elif state == "assigned":
            transitions.assign(scene.s, case, scene.crew("lights"), by=by, at=at)
        elif state == "waiting":
            transitions.wait(scene.s, case, "utility", by=by, at=at)
        else:
            transitions.cancel(scene.s, case, "spam", by=by, at=at)
    for lang in ("", "/es"):
        assert client.get(f"{lang}/case/26-000001").status_code == 200


def letters(town: Town, app: Flask, settings: Settings) -> list[EmailMessage]:
    """What the worker would send now."""
    sent: list[EmailMessage] = []

    class Box:
        def send(self, message: EmailMessage) -> None:
            sent.append(message)

    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
    outbox.send_due(town.engine, {"email": Box()}, report_messages.render(app), town.now)
    return sent


def link_in(letter: EmailMessage, path: str) -> str:
    found = re.search(rf"http://[^/]+(\S*{path}\S*)", letterbox.text(letter))
    assert found, letterbox.text(letter)
    return found[1]


def test_the_receipt_confirms_and_what_was_sent_comes_when_its_reader_asks(
    town: Town, settings: Settings, app: Flask, client: FlaskClient, opened: Opened, token: Callable[[], str]
) -> None:
    report = told(town, settings)
    browser = opened(report)
    asked = browser.post("/sent/26-000001-A/news", data={"csrf_token": token(), "email": "Ana@Example.com"})
    assert shared.CHECK_EMAIL in browser.get(asked.headers["Location"]).text

    (receipt,) = letters(town, app, settings)
    assert receipt["To"] == "ana@example.com"
    assert receipt["Auto-Submitted"] == "auto-generated"
    assert receipt["Content-Language"] == "en"
    assert "26-000001" in letterbox.text(receipt)
    assert "/s/" not in letterbox.text(receipt), "a mistyped address gives no stranger the report"

    closed(town, "26-000001", town.now)
    (done,) = letters(town, app, settings)
    assert done["To"] == "ana@example.com"
    assert done["Reply-To"] is None, "a stranger does not write for a reporter"

    confirm = link_in(receipt, "/news/")
    assert resident.YES_MY_REPORT in shown(client.get(confirm))
    with town.looking() as scene:
        assert scene.s.scalars(select(Subscription)).one().confirmed_at is None  # looking changes nothing
    client.post(confirm, data={"do": "confirm"})
    (whole,) = letters(town, app, settings)
    assert client.get(link_in(whole, "/s/")).status_code == 303
    browser.post("/case/26-000001/not-fixed", data=sent_back(town, token()))
    (reopened,) = letters(town, app, settings)
    closed(town, "26-000001", town.now)
    (done,) = letters(town, app, settings)
    assert reopened["Subject"] == messages.REOPENED_SUBJECT(what=city.STREETLIGHT_OUT, number="26-000001")
    assert "New lamp put in." in letterbox.text(done)
    assert client.get(link_in(done, "/s/")).status_code == 303

    stop = done["List-Unsubscribe"].strip("<>").partition("8311")[2]
    assert resident.STOP_EMAILS_BUTTON in client.get(stop).text
    assert client.post(stop, data={"List-Unsubscribe": "One-Click"}).status_code == 200, (
        "RFC 8058: no redirect"
    )
    browser.post("/case/26-000001/not-fixed", data=sent_back(town, token()))
    assert letters(town, app, settings) == []
    assert kinds(town, "26-000001").count("stop news") == 1


def test_letters_speak_the_reader_s_language(
    town: Town, settings: Settings, app: Flask, opened: Opened, token: Callable[[], str]
) -> None:
    browser = opened(told(town, settings))
    browser.post("/es/sent/26-000001-A/news", data={"csrf_token": token(), "email": "ana@example.com"})
    (receipt,) = letters(town, app, settings)
    assert link_in(receipt, "/news/").startswith("/es/news/")
    assert city.STREETLIGHT_OUT_ES in letterbox.text(receipt)


@pytest.mark.parametrize("email", ["", "ana", "ana@", "a@b@c", "x" * 300 + "@example.com"])
def test_an_address_that_is_none_is_told(
    town: Town, settings: Settings, opened: Opened, token: Callable[[], str], email: str
) -> None:
    browser = opened(told(town, settings))
    answer = browser.post("/sent/26-000001-A/news", data={"csrf_token": token(), "email": email})
    assert answer.status_code == 422
    assert shared.BAD_EMAIL in answer.text


def test_a_guessed_code_confirms_nothing(
    town: Town, settings: Settings, client: FlaskClient, opened: Opened, token: Callable[[], str]
) -> None:
    browser = opened(told(town, settings))
    browser.post("/sent/26-000001-A/news", data={"csrf_token": token(), "email": "ana@example.com"})
    assert client.post(f"/news/1/{'0' * 32}", data={"do": "confirm"}).status_code == 404
    with town.looking() as scene:
        assert scene.s.scalars(select(Subscription)).one().confirmed_at is None


def test_however_many_links_a_browser_holds_the_page_asks_for_them_at_once(
    town: Town, settings: Settings, client: FlaskClient, opened: Opened, asked: list[str]
) -> None:
    report = told(town, settings)
    page = f"/case/{report.case.number}"
    opened(report)
    asked.clear()
    assert "dark since Sunday" in client.get(page).get_data(as_text=True)
    with_one = len(asked)

    client.delete_cookie(f"cl_report_{report.number}")
    for n in range(150):
        client.set_cookie(f"cl_report_26-9{n:05}-A", f"{n:032x}")
    opened(report)
    asked.clear()
    assert "dark since Sunday" in client.get(page).get_data(as_text=True)
    assert len(asked) == with_one


def test_links_beyond_what_a_browser_keeps_are_not_looked_up(
    app: Flask, town: Town, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = told(town, settings)
    looked_up: list[int] = []
    really = intake.by_tokens
    monkeypatch.setattr(
        intake, "by_tokens", lambda s, tokens: (looked_up.append(len(tokens)), really(s, tokens))[1]
    )
    many = "; ".join(f"cl_report_26-{n:06}-A={n:032x}" for n in range(5000))
    program = app.test_client(use_cookies=False)
    program.get(f"/case/{report.case.number}", headers={"Cookie": many})
    assert looked_up == [200]
