"""Following a case, an area or a street: the pages, the letters, and how each of them ends."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import letterbox
import pushservice
import pytest
from factories import LAMP, Town
from filled import Tell
from flask import Flask
from flask.testing import FlaskClient
from pushservice import PushService
from sqlalchemy import select
from wording import Sentence, city, messages, resident, shared, shown

from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Area, Case, Message, Street, Subscription
from city.notifications import digests, fan_out, subscriptions
from city.reports import intake
from city.settings import Settings

TANSY, MILL = "/follow/street/Tansy%20Street", "/follow/area/Old%20Mill"
SETTLED = fan_out.SETTLES + timedelta(minutes=1)


@pytest.fixture
def settings(settings: Settings, smtp: Any) -> Settings:
    return replace(settings, smtp_url=smtp.url, outward="loopback")


@pytest.fixture(autouse=True)
def ground(town: Town) -> None:
    with town.at_work() as scene:
        scene.s.add(Street(name="Tansy Street", line=[[-71.2, 39.59], [-71.2, 39.61]], kind="street"))
        west = [[-71.3, 39.5], [-71.15, 39.5], [-71.15, 39.7], [-71.3, 39.7], [-71.3, 39.5]]
        scene.s.add(Area(kind="area", name="Old Mill", geometry={"type": "Polygon", "coordinates": [west]}))


@pytest.fixture
def case(town: Town) -> Case:
    with town.at_work() as scene:
        return scene.report(words="canary-words", lang="en").case


@pytest.fixture
def ask(client: FlaskClient, token: Callable[[], str]) -> Callable[..., Any]:
    """Sends the form of a page as a browser does."""

    def post(where: str, **fields: str) -> Any:
        return client.post(where, data={"csrf_token": token(), **fields})

    return post


def test_so_many_browsers_of_one_push_service_follow_a_case_and_others_leave_an_address(
    case: Case, client: FlaskClient, token: Callable[[], str], town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "MOST_BROWSERS", 2)
    where, csrf = f"/follow/case/{case.number}", token()

    def notify(service: PushService, name: str, way: str = "") -> Any:
        told = service.browser(name).told
        return client.post(f"{where}/notifications{way}", json=told, headers={"X-CSRFToken": csrf})

    one, another = PushService(port=9001), PushService(port=9002)
    assert [notify(one, name).status_code for name in ("ana", "bea")] == [200, 200]
    refused = notify(one, "cy")
    assert (refused.status_code, refused.json["fault"]) == (422, shared.TOO_MANY_FOLLOWERS)
    assert notify(one, "ana").status_code == 200, "who follows already may say so again"
    assert notify(another, "cy").status_code == 200, "another service's are counted apart"
    assert notify(one, "bea", "/stopped").status_code == 200
    assert notify(one, "cy").status_code == 200, "who stopped made room"
    assert notify(one, "bea").status_code == 422


def close(town: Town, case: Case) -> None:
    with town.at_work() as scene:
        mine, by = scene.s.get_one(Case, case.id), scene.actor("dispatcher")
        transitions.close(
            scene.s, mine, Closing("fixed", no_photo="dark", words="canary-closing"), by=by, at=town.now
        )


def link(letter: EmailMessage, path: str) -> str:
    found = re.search(rf"http://[^/]+(\S*{path}\S*)", letterbox.text(letter))
    assert found, letterbox.text(letter)
    return found[1]


def wish(town: Town) -> Subscription:
    with town.looking() as scene:
        return scene.s.scalars(select(Subscription)).one()


def test_a_case_is_followed_from_its_page_and_nothing_that_was_not_shown_is_told(
    town: Town, app: Flask, client: FlaskClient, case: Case, ask: Callable[..., Any], tell: Tell, smtp: Any
) -> None:
    where = f"/follow/case/{case.number}"
    assert f'href="{where}"' in client.get(f"/case/{case.number}").text
    page = client.get(where).text
    assert "Tansy Street" in page
    assert "Old Mill" in page
    assert "canary" not in page
    asked = ask(f"/es{where}", email="Ana@town.test")
    assert shared.CHECK_EMAIL.es in client.get(asked.headers["Location"]).text
    assert tell() == 1
    (receipt,) = smtp.messages
    assert case.number in receipt["Subject"]
    close(town, case)
    assert tell() == 0, "not confirmed: nothing more"
    other = app.test_client()
    assert "confirm" in other.get(link(receipt, "/news/")).text
    other.post(link(receipt, "/news/"), data={"do": "confirm"})
    with town.at_work() as scene:
        mine = scene.s.get_one(Case, case.id)
        transitions.reopen(scene.s, mine, by=scene.actor("dispatcher"), at=town.now)
    close(town, case)
    assert tell() == 1
    told = smtp.messages[-1]
    assert city.STREETLIGHT_OUT_ES in letterbox.text(told)
    assert other.get(link(told, "/case/")).status_code == 200
    whole = told.as_string() + receipt.as_string()
    assert "canary" not in whole
    assert "/s/" not in whole, "no reporter's secret link"
    assert told["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_a_step_is_told_as_it_stands_when_it_has_settled(
    town: Town, case: Case, ask: Callable[..., Any], tell: Tell, smtp: Any
) -> None:
    ask(f"/follow/case/{case.number}", email="ana@town.test")
    with town.at_work() as scene:
        scene.s.scalars(select(Subscription)).one().confirmed_at = town.now
        mine = scene.s.get_one(Case, case.id)
        transitions.accept(scene.s, mine, by=scene.actor("dispatcher"), at=town.now)
        transitions.assign(scene.s, mine, scene.crew("lights"), by=scene.actor("dispatcher"), at=town.now)
    assert tell() == 1  # the receipt
    assert tell(SETTLED) == 1
    told = smtp.messages[-1]
    assert shared.STEP_ASSIGNED in told["Subject"]
    assert messages.CREW_ASSIGNED in letterbox.text(told)


def test_one_letter_a_morning_names_what_is_new_and_what_was_closed(
    town: Town, app: Flask, case: Case, ask: Callable[..., Any], tell: Tell, smtp: Any
) -> None:
    ask(f"/es{MILL}", email="ana@town.test")
    with town.at_work() as scene:
        scene.s.scalars(select(Subscription)).one().confirmed_at = town.now
        new = scene.report(words="canary-words").case.number
    close(town, case)
    held, later = app.extensions["cityline"], town.now + timedelta(days=1)
    assert tell() == 1
    digests.queue_due(town.engine, later, held.city.time_zone)
    assert tell(timedelta(days=1)) == 1
    letter = smtp.messages[-1]
    counts = f"{messages.DIGEST_NEW.es(1)}, {messages.DIGEST_CLOSED.es(1)}"
    assert letter["Subject"] == messages.DIGEST_SUBJECT.es(place="Old Mill", counts=counts)
    words = letterbox.text(letter)
    assert f"/es/case/{new}" in words
    assert f"/es/case/{case.number}" in words
    assert f"{city.STREETLIGHT_OUT_ES}, 214 Tansy Street" in words
    assert "canary" not in words


def test_what_became_private_before_it_goes_out_is_not_told(
    town: Town, app: Flask, case: Case, ask: Callable[..., Any], tell: Tell
) -> None:
    ask(TANSY, email="ana@town.test")
    with town.at_work() as scene:
        scene.s.scalars(select(Subscription)).one().confirmed_at = town.now
        scene.report()
    tell()
    digests.queue_due(town.engine, town.now + timedelta(days=1), app.extensions["cityline"].city.time_zone)
    with town.at_work() as scene:
        for each in scene.s.scalars(select(Case)):
            each.service_code = "nuisance"
    assert tell(timedelta(days=1)) == 0


def test_a_mail_program_ends_one_of_them_by_itself_and_a_page_ends_the_others(
    town: Town, app: Flask, case: Case, ask: Callable[..., Any], tell: Tell, smtp: Any,
    client: FlaskClient, token: Callable[[], str],
) -> None:  # fmt: skip
    for where in (TANSY, MILL, f"/follow/case/{case.number}"):
        ask(where, email="ana@town.test")
    assert tell() == 3
    with town.at_work() as scene:
        for each in scene.s.scalars(select(Subscription)):
            each.confirmed_at = town.now
    close(town, case)
    tell()
    letter = smtp.messages[-1]
    stop = letter["List-Unsubscribe"].strip("<>").partition("8311")[2]
    assert app.test_client().post(stop, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    mine = link(letter, "/follows/")
    page = client.get(mine)
    assert page.headers["Cache-Control"] == "no-store"
    assert "Tansy Street" in page.text
    assert shared.FOLLOWED_REPORT(number=case.number) not in page.text
    first = re.search(r'name="end" value="(\d+)"', page.text)
    assert first
    client.post(mine, data={"csrf_token": token(), "end": first[1]})
    client.post(mine, data={"csrf_token": token(), "end": "all"})
    assert resident.FOLLOWING_NOTHING in shown(client.get(mine))
    with town.looking() as scene:
        assert all(each.stopped_at for each in scene.s.scalars(select(Subscription)))
    assert client.get(mine[:-1] + ("0" if mine[-1] != "0" else "1")).status_code == 404


def test_who_stopped_and_asks_again_is_asked_again(
    town: Town, app: Flask, ask: Callable[..., Any], tell: Tell, smtp: Any
) -> None:
    for first in (True, False):
        ask(TANSY, email="ana@town.test")
        assert tell() == 1
        browser = app.test_client()
        browser.post(link(smtp.messages[-1], "/news/"), data={"do": "confirm"})
        assert wish(town).stopped_at is None
        if first:
            browser.post(link(smtp.messages[-1], "/news/"), data={"do": "stop"})
            assert wish(town).stopped_at is not None


def test_opening_a_link_changes_nothing(
    town: Town, client: FlaskClient, ask: Callable[..., Any], tell: Tell, smtp: Any
) -> None:
    ask(TANSY, email="ana@town.test")
    tell()
    client.get(link(smtp.messages[-1], "/news/"))
    assert wish(town).confirmed_at is None


@pytest.mark.parametrize("email", ["", "ana", "ana@", "x" * 2000 + "@town.test"])
def test_what_is_no_address_is_told_and_kept(town: Town, ask: Callable[..., Any], email: str) -> None:
    answer = ask(f"/es{TANSY}", email=email, often="week")
    assert answer.status_code == 422
    assert 'href="#email"' in answer.text
    assert f'value="{email}"' in answer.text
    assert re.search(r'value="week" checked', answer.text)
    with town.looking() as scene:
        assert scene.s.scalars(select(Subscription)).all() == []


@pytest.mark.parametrize(
    "where",
    ["/follow/case/26-999999", "/follow/area/Nowhere", "/follow/street/No%20Such%20Way", "/follow/x/y"],
)
def test_nobody_follows_what_is_not_there(client: FlaskClient, ask: Callable[..., Any], where: str) -> None:
    assert client.get(where).status_code == 404
    assert ask(where, email="ana@town.test").status_code == 404


def test_a_private_case_cannot_be_followed(town: Town, client: FlaskClient) -> None:
    with town.at_work() as scene:
        number = scene.report(service_code="nuisance").case.number
    assert client.get(f"/follow/case/{number}").status_code == 404


def test_an_area_or_a_street_is_chosen_by_its_name(client: FlaskClient) -> None:
    page = client.get("/follow")
    assert 'href="/follow/area/Old%20Mill"' in page.text
    assert client.get("/follow?place=old mill").headers["Location"].endswith(MILL)
    assert client.get("/follow?place=tansy st").headers["Location"].endswith(TANSY)
    slip = client.get("/follow?place=Tamsy Street")
    assert slip.status_code == 422
    assert f'href="{TANSY}"' in slip.text
    wrong = client.get("/es/follow?place=Tanzania")
    assert wrong.status_code == 422
    assert 'value="Tanzania"' in wrong.text


@pytest.mark.parametrize("typed", ["214 Tansy Street", "214 tansy st, Apt 2", "Tansy St at Nowhere Road"])
def test_of_an_address_its_street_is_offered(client: FlaskClient, typed: str) -> None:
    page = client.get("/follow", query_string={"place": typed})
    assert page.status_code == 200
    assert f'href="{TANSY}"' in page.text
    assert "aria-invalid" not in page.text


@pytest.mark.parametrize(
    ("often", "asks", "says"),
    [
        ("day", resident.ASK_MORNINGS, resident.CONFIRMED_MORNINGS),
        ("week", resident.ASK_MONDAYS, resident.CONFIRMED_MONDAYS),
    ],
)
def test_who_confirms_reads_how_often_we_write(
    town: Town, client: FlaskClient, ask: Callable[..., Any], often: str, asks: Sentence, says: Sentence
) -> None:
    asked = ask(TANSY, email="ana@town.test", often=often)
    assert shared.CLICK_LINK_MORNINGS in shown(client.get(asked.headers["Location"]))
    with town.looking() as scene:
        row = scene.s.scalars(select(Subscription)).one()
        address = f"/news/{row.id}/{intake.news_code(town.settings.secret_key, row)}"
    assert asks(email="ana@town.test") in shown(client.get(address))
    assert says(email="ana@town.test") in shown(
        client.post(address, data={"do": "confirm"}, follow_redirects=True)
    )


@pytest.fixture
def service() -> Iterator[PushService]:
    with pushservice.running() as service:
        yield service


def test_a_browser_follows_without_an_address_and_ends_it(
    town: Town, app: Flask, client: FlaskClient, token: Callable[[], str], tell: Tell, service: PushService
) -> None:
    phone, headers = service.browser("ana"), {"X-CSRFToken": token()}
    assert f'data-to="{TANSY}/notifications"' in client.get(TANSY).text
    for _ in range(2):
        assert client.post(f"{TANSY}/notifications", json=phone.told, headers=headers).status_code == 200
    assert wish(town).confirmed_at == town.now
    with town.at_work() as scene:
        number = scene.report().case.number
    digests.queue_due(town.engine, town.now + timedelta(days=1), app.extensions["cityline"].city.time_zone)
    assert tell(timedelta(days=1)) == 1
    ((_path, _headers, body),) = service.taken
    note = phone.opens(body)["notification"]
    assert note["title"] == messages.DIGEST_SUBJECT(place="Tansy Street", counts=messages.DIGEST_NEW(1))
    assert "214 Tansy Street" in note["body"]
    assert note["navigate"].endswith(f"/case/{number}")
    stopped = client.post(
        f"{TANSY}/notifications/stopped", json={"endpoint": phone.endpoint}, headers=headers
    )
    assert stopped.status_code == 200
    assert wish(town).stopped_at is not None
    assert client.post(f"{TANSY}/notifications", json={"x": 1}, headers=headers).status_code == 422


def test_pages_ask_the_database_little(client: FlaskClient, case: Case, asked: list[str]) -> None:
    for where, most in (("/follow", 3), (TANSY, 4), (f"/follow/case/{case.number}", 16)):
        client.get(where)
        asked.clear()
        client.get(where)
        assert len(asked) <= most, (where, asked)


def test_the_letter_of_many_cases_costs_no_statement_each(
    town: Town, app: Flask, ask: Callable[..., Any], asked: list[str], tell: Tell
) -> None:
    def cost(n: int, day: int) -> int:
        with town.at_work() as scene:
            for step in range(n):
                scene.report(place=replace(LAMP, lat=39.6 + step / 100))
        at = timedelta(days=day)
        digests.queue_due(town.engine, town.now + at, app.extensions["cityline"].city.time_zone)
        asked.clear()
        assert tell(at) == 1
        return len(asked)

    ask(MILL, email="ana@town.test")
    tell()
    with town.at_work() as scene:
        scene.s.scalars(select(Subscription)).one().confirmed_at = town.now
    few = cost(2, 1)
    assert cost(9, 2) == few
    with town.looking() as scene:
        assert len(scene.s.scalars(select(Message).where(Message.kind == "digest")).all()) == 2
