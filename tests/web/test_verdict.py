"""Fixed, or not fixed? Two links of a letter, each to a page whose one button says it."""

import re
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage

import letterbox
import pytest
from factories import Town
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from wording import messages, resident, shared, shown

from city.cases import batches, transitions
from city.cases.transitions import Closing
from city.db.models import Event, Report, SecretLink
from city.notifications import fan_out, outbox
from city.people import accounts
from city.reports import closing_feedback, intake
from city.settings import Settings
from pwa.messages import report_messages


@pytest.fixture
def told(town: Town, settings: Settings) -> Callable[..., Report]:
    """A report whose link this instance would have made, with a confirmed address for news."""

    def tell(email: str = "ana@example.com", lang: str = "en", **changes: object) -> Report:
        with town.at_work() as scene:
            report = scene.report(**changes)
            token = intake.token_for(settings.secret_key, report.key)
            link = SecretLink(token_hash=intake.hashed(token), report_id=report.id, made_at=town.now)
            scene.s.add(link)
            wish = intake.subscribe(scene.s, report, email, lang=lang, at=town.now)
            intake.confirm(scene.s, wish, at=town.now)
            assert report.case.number
            return report

    return tell


@pytest.fixture
def letters(town: Town, app: Flask) -> Callable[..., list[EmailMessage]]:
    """What the worker sends after so many days."""

    def send(days: float = 0) -> list[EmailMessage]:
        sent: list[EmailMessage] = []

        class Box:
            def send(self, message: EmailMessage) -> None:
                sent.append(message)

        at = town.now + timedelta(days=days)
        with town.at_work() as scene:
            fan_out.process_events(scene.s, at)
        outbox.send_due(town.engine, {"email": Box()}, report_messages.render(app), at)
        return sent

    return send


def close(town: Town, number: str = "26-000001", days: float = 0) -> None:
    with town.at_work() as scene:
        by, at = scene.actor("dispatcher"), town.now + timedelta(days=days)
        transitions.close(scene.s, scene.case(number), Closing("fixed", no_photo="dark"), by=by, at=at)


def reopen(town: Town, number: str = "26-000001") -> None:
    with town.at_work() as scene:
        transitions.reopen(scene.s, scene.case(number), by=scene.actor("dispatcher"), at=town.now)


def merge(town: Town, number: str, into: str) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        transitions.merge(scene.s, scene.case(number), scene.case(into), by=by, at=town.now)


def kinds(town: Town, number: str = "26-000001") -> list[str]:
    with town.looking() as scene:
        subject = f"case:{scene.case(number).id}"
        told = scene.s.scalars(select(Event).where(Event.subject == subject).order_by(Event.seq))
        return [e.kind for e in told if e.kind not in ("open", "report", "subscribe", "confirm news")]


def links(letter: EmailMessage) -> tuple[str, str]:
    """The two links: fixed, not fixed."""
    found = re.findall(r"http://[^/]+(\S+/(?:not-)?fixed)\b", letterbox.text(letter))
    assert len(found) == 2, letterbox.text(letter)
    return found[0], found[1]


def asked(client: FlaskClient, link: str) -> str:
    """Opens a link of a letter; gives the address of the page it leads to."""
    answer = client.get(link)
    assert answer.status_code == 303
    return answer.headers["Location"]


def press(client: FlaskClient, address: str, **typed: str) -> object:
    """Presses the one button of a page, as a browser without JavaScript does."""
    page = client.get(address).text
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    return client.post(address, data=hidden | typed)


def closing(letters: Callable[..., list[EmailMessage]], days: float = 0) -> EmailMessage:
    return next(letter for letter in letters(days) if messages.SEE_WHAT_WAS_DONE in letterbox.text(letter))


def test_one_button_says_that_it_is_fixed_once(town: Town, client: FlaskClient, told, letters) -> None:
    told()
    close(town)
    yes, _no = links(closing(letters))
    page = asked(client, yes)
    assert page == "/case/26-000001-A/fixed", "no secret stays in the address"
    assert f"{resident.YES_FIXED_BUTTON}</button>" in shown(client.get(page))
    assert kinds(town) == ["close"], "opening it says nothing"
    first = client.get(page).text
    for _ in range(2):  # the second from another tab, which shows the page as it was
        csrf, closing_shown = re.findall(r'name="(?:csrf_token|closing)" value="([^"]*)"', first)
        answer = client.post(page, data={"csrf_token": csrf, "closing": closing_shown})
        assert answer.headers["Location"] == page
    assert resident.THANKS_FIXED in shown(client.get(page))
    assert kinds(town) == ["close", "fixed confirmed"]
    assert resident.SAID_FIXED in shown(client.get("/case/26-000001"))


def test_one_button_sends_it_back(
    town: Town, client: FlaskClient, told, letters, log_in: Callable[..., FlaskClient]
) -> None:
    told()
    close(town)
    _yes, no = links(closing(letters))
    page = asked(client, no)
    assert page == "/case/26-000001-A/not-fixed"
    assert f"{resident.NO_NOT_FIXED_BUTTON}</button>" in shown(client.get(page))
    assert kinds(town) == ["close"]
    answer = press(client, page, words="still dark")
    assert answer.headers["Location"] == "/case/26-000001?said=reopened"
    assert kinds(town) == ["close", "not fixed", "reopen"]
    again = client.get(page).text
    assert resident.REPORT_REOPENED in again
    assert "<button" not in again.partition("<main")[2].partition("</main>")[0]
    assert log_in("dispatcher").get("/dispatch/cases/26-000001").text.count("still dark") == 1


def test_the_links_are_in_the_reader_s_language(town: Town, client: FlaskClient, told, letters) -> None:
    told(lang="es")
    close(town)
    (letter,) = (each for each in letters() if "/fixed" in letterbox.text(each))
    yes, no = links(letter)
    assert yes.startswith("/es/s/")
    assert f"{resident.YES_FIXED_BUTTON.es}</button>" in client.get(asked(client, yes)).text
    assert f"{resident.NO_NOT_FIXED_BUTTON.es}</button>" in client.get(asked(client, no)).text


def test_a_scanner_that_keeps_no_cookie_is_led_to_the_public_page(
    town: Town, app: Flask, told, letters
) -> None:
    told()
    close(town)
    for link in links(closing(letters)):
        scanner = app.test_client(use_cookies=False)
        answer = scanner.get(asked(scanner, link))
        assert (answer.status_code, answer.headers["Location"]) == (303, "/case/26-000001")


def test_the_link_of_another_case_says_nothing_of_this_one(
    town: Town, client: FlaskClient, told, letters, token: Callable[[], str]
) -> None:
    told()
    told("bea@example.com")
    close(town, "26-000001")
    close(town, "26-000002")
    to_bea = [each for each in letters() if each["To"] == "bea@example.com"]
    asked(client, links(next(each for each in to_bea if "/fixed" in letterbox.text(each)))[0])
    for verb in ("fixed", "not-fixed"):
        answer = client.post(f"/case/26-000001/{verb}", data={"csrf_token": token(), "cycle": "1"})
        assert answer.status_code == 404
    assert kinds(town) == ["close"]


@pytest.mark.parametrize("number", ["26-000001", "26-000001-A", "26-000001-B", "26-000002-A"])
@pytest.mark.parametrize("verb", ["fixed", "not-fixed"])
def test_of_a_private_case_strangers_learn_no_number(
    client: FlaskClient, told, number: str, verb: str
) -> None:
    told(service_code="nuisance")
    assert client.get(f"/case/{number}/{verb}").status_code == 404


def test_a_revoked_link_opens_nothing(town: Town, client: FlaskClient, told, letters) -> None:
    told()
    close(town)
    pressed = links(closing(letters))
    page = asked(client, pressed[0])
    with town.at_work() as scene:
        for link in scene.s.scalars(select(SecretLink)):
            link.revoked_at = town.now
    assert [client.get(link).status_code for link in pressed] == [404, 404]
    assert client.get(page).headers["Location"] == "/case/26-000001"


def test_nobody_confirms_a_closing_they_did_not_see(town: Town, client: FlaskClient, told, letters) -> None:
    told()
    close(town)
    page = asked(client, links(closing(letters))[0])
    csrf, closing_shown = re.findall(r'name="(?:csrf_token|closing)" value="([^"]*)"', client.get(page).text)
    reopen(town)
    for _ in range(2):
        answer = client.post(page, data={"csrf_token": csrf, "closing": closing_shown})
        assert answer.status_code == 422
        assert shared.REPORT_CHANGED in answer.text
        if "fixed confirmed" not in kinds(town):
            close(town)
    assert "fixed confirmed" not in kinds(town)
    assert resident.NOTHING_TO_CONFIRM not in shown(client.get(page))


def test_nobody_sends_back_a_closing_they_did_not_see(town: Town, client: FlaskClient, told, letters) -> None:
    told()
    close(town)
    page = asked(client, links(closing(letters))[1])
    form = dict(re.findall(r'name="(csrf_token|closing)" value="([^"]*)"', client.get(page).text))
    for _tap in (1, 2):
        assert client.post(page, data=form).headers["Location"].endswith("?said=reopened")
    close(town, days=1)
    answer = client.post(page, data=form)  # the same page in another tab
    assert answer.headers["Location"].endswith("?said=reopened"), "what it led to then"
    assert kinds(town) == ["close", "not fixed", "reopen", "close"]
    reopen(town)
    close(town, days=2)
    stale = form | {"closing": form["closing"].replace("1 ", "2 ", 1), "words": "dark again"}
    answer = client.post(page, data=stale)
    assert answer.status_code == 422
    assert shared.REPORT_CHANGED in answer.text
    assert "dark again" in answer.text
    assert kinds(town)[-2:] == ["reopen", "close"]
    assert press(client, page).headers["Location"].endswith("?said=review")


@pytest.mark.parametrize("closing_shown", ["", "x", "1", "9" * 5000])
def test_a_form_that_names_no_closing_confirms_none(
    town: Town, client: FlaskClient, told, letters, token: Callable[[], str], closing_shown: str
) -> None:
    told()
    close(town)
    page = asked(client, links(closing(letters))[0])
    for each in (page, page.replace("/fixed", "/not-fixed")):
        assert client.post(each, data={"csrf_token": token(), "closing": closing_shown}).status_code == 422
    assert kinds(town) == ["close"]


def test_what_was_said_of_a_closing_that_staff_took_back_is_not_said_of_the_next(
    town: Town, app: Flask, client: FlaskClient, told, letters
) -> None:
    told()

    def closed_by_batch(minutes: int, *, undo: bool) -> None:
        at = app.config["NOW"] = town.now + timedelta(minutes=minutes)
        with town.at_work() as scene:
            by, what = scene.actor("dispatcher"), {"outcome": "not found"}
            batch = batches.act(scene.s, ["26-000001"], "close", what, by=by, at=at, sent=f"form {minutes}")
        letters(minutes / 1440)
        if undo:
            seen.append(client.get(page).text)
            press(client, page)
            with town.at_work() as scene:
                batches.undo(scene.s, batch.id, by=scene.actor("dispatcher"), at=at)

    close(town)
    page = asked(client, links(closing(letters))[0])
    reopen(town)
    seen: list[str] = []
    closed_by_batch(1, undo=True)
    closed_by_batch(2, undo=False)
    assert resident.THANKS_FIXED not in shown(client.get(page))
    csrf, closing_shown = re.findall(r'name="(?:csrf_token|closing)" value="([^"]*)"', seen[0])
    assert client.post(page, data={"csrf_token": csrf, "closing": closing_shown}).status_code == 422, (
        "another one"
    )
    press(client, page)
    assert resident.THANKS_FIXED in shown(client.get(page))
    assert kinds(town).count("fixed confirmed") == 2


def test_a_case_opened_again_meanwhile_takes_one_more_word(
    town: Town, client: FlaskClient, told, letters
) -> None:
    told()
    close(town)
    page = asked(client, links(closing(letters))[1])
    reopen(town)
    assert resident.OPEN_AGAIN_ALREADY in shown(client.get(page))
    assert press(client, page, words="still dark").headers["Location"] == "/case/26-000001?said=joined"
    assert kinds(town) == ["close", "reopen", "not fixed"]


def test_who_was_told_of_the_own_closing_still_speaks_after_a_merge_into_an_open_case(
    town: Town, client: FlaskClient, told, letters
) -> None:
    told()
    told("bea@example.com")
    close(town, "26-000001")
    yes, no = links(closing(letters))
    merge(town, "26-000001", "26-000002")
    assert resident.NOTHING_TO_CONFIRM in shown(client.get(asked(client, yes)))
    answer = press(client, asked(client, no), words="still dark")
    assert answer.headers["Location"] == "/case/26-000001?said=joined"
    assert kinds(town, "26-000002") == ["merged in", "not fixed"]


def test_the_link_of_a_merged_case_speaks_of_the_one_that_carries_on(
    town: Town, client: FlaskClient, told, letters
) -> None:
    told()
    told("bea@example.com")
    merge(town, "26-000002", "26-000001")
    close(town)
    letter = next(x for x in letters() if x["To"] == "bea@example.com" and "/fixed" in letterbox.text(x))
    page = asked(client, links(letter)[0])
    assert page == "/case/26-000002-A/fixed"
    press(client, page)
    assert kinds(town) == ["merged in", "close", "fixed confirmed"]


def test_fourteen_days_count_from_that_person_s_letter(
    town: Town, app: Flask, client: FlaskClient, told, letters
) -> None:
    told()
    close(town)
    _yes, no = links(closing(letters, days=5))  # the mail server was down
    app.config["NOW"] = town.now + timedelta(days=18)
    page = asked(client, no)
    assert resident.REOPEN_UNTIL(day="Sunday, May\u00a031") in client.get(page).text
    assert press(client, page).headers["Location"].endswith("said=reopened")


def test_a_letter_of_fifteen_days_ago_opens_a_new_case(
    town: Town, app: Flask, client: FlaskClient, told, letters
) -> None:
    told()
    close(town)
    _yes, no = links(closing(letters))
    app.config["NOW"] = town.now + timedelta(days=15)
    page = asked(client, no)
    assert resident.OPENS_NEW_REPORT in shown(client.get(page))
    assert press(client, page).headers["Location"] == "/case/26-000002?said=new-case"


def test_words_that_are_too_long_are_kept_to_be_shortened(
    town: Town, client: FlaskClient, told, letters
) -> None:
    told()
    close(town)
    answer = press(client, asked(client, links(closing(letters))[1]), words="w" * 5000)
    assert answer.status_code == 422
    assert "w" * 5000 in answer.text
    assert kinds(town) == ["close"]


def test_words_about_a_case_that_ended_otherwise_are_kept_to_be_copied(
    town: Town, client: FlaskClient, told, letters, token: Callable[[], str]
) -> None:
    told()
    close(town)
    page = asked(client, links(closing(letters))[1])
    csrf = token()
    with town.at_work() as scene:
        case, by = scene.case("26-000001"), scene.actor("dispatcher")
        transitions.reopen(scene.s, case, by=by, at=town.now)
        transitions.cancel(scene.s, case, "test", by=by, at=town.now)
    answer = client.post(page, data={"csrf_token": csrf, "words": "still dark"})
    assert answer.status_code == 422
    assert "still dark" in answer.text


def test_two_reports_of_one_browser_at_one_case_speak_each_for_itself(
    town: Town, client: FlaskClient, told, letters
) -> None:
    told()
    told("bea@example.com", join="26-000001")
    close(town)
    for letter in [x for x in letters() if "/fixed" in letterbox.text(x)]:
        press(client, asked(client, links(letter)[0]))
    assert kinds(town) == ["join", "close", "fixed confirmed", "fixed confirmed"]


def test_staff_read_who_confirmed(
    town: Town, client: FlaskClient, told, letters, log_in: Callable[..., FlaskClient]
) -> None:
    report = told()
    close(town)
    with town.at_work() as scene:
        mine = scene.s.get_one(Report, report.id)
        by, ended = accounts.reporter(mine.id), closing_feedback.closing_of(mine.case)
        assert closing_feedback.fixed(scene.s, mine, ended, by=by, at=town.now)
    page = shown(log_in("dispatcher").get("/dispatch/cases/26-000001"))
    assert re.search(rf"{shared.STEP_FIXED_CONFIRMED}</b>\s*<span class=\"num\">26-000001-A", page)


def test_everybody_reads_a_ready_reply_in_the_own_language(
    town: Town, client: FlaskClient, told, letters, log_in: Callable[..., FlaskClient], token
) -> None:
    told()
    told("bea@example.com", lang="es", join="26-000001")
    letters()
    board = log_in("dispatcher")
    form = {"csrf_token": token(), "reply": "new-lamp", "no_photo": "dark", "words": "Pole 20-118."}
    assert "New lamp" in board.get("/dispatch/cases/26-000001?do=close").text
    assert board.post("/dispatch/cases/26-000001/closure", data=form).status_code == 303
    said = {letter["To"]: " ".join(letterbox.text(letter).split()) for letter in letters()}
    assert "We put in a new lamp, and the light is working again. Pole 20-118." in said["ana@example.com"]
    assert "Pusimos una lámpara nueva y la luz ya funciona. Pole 20-118." in said["bea@example.com"]
    assert "We put in a new lamp" in board.get("/dispatch/cases/26-000001").text


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"reply": "no such"}, shared.UNKNOWN_REPLY),
        ({"reply": "new-lamp", "outcome": "not ours"}, shared.REPLY_MISFITS),
        ({"reply": "private-tree"}, shared.REPLY_MISFITS),
    ],
)
def test_a_reply_that_does_not_fit_is_told_and_what_was_typed_is_kept(
    town: Town, told, log_in: Callable[..., FlaskClient], token, typed: dict[str, str], said: str
) -> None:
    told()
    board = log_in("dispatcher")
    form = {"csrf_token": token(), "words": "My own words.", "no_photo": "dark"} | typed
    answer = board.post("/dispatch/cases/26-000001/closure", data=form)
    assert answer.status_code == 422
    assert said in answer.text
    assert "My own words." in answer.text
    assert kinds(town) == []
