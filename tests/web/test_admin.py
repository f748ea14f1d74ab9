"""Administration: people come in, change and are shut out; crews, phones, keys, undelivered mail."""

import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest
from factories import Town, counted
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse
from wording import shared, shown, staff

from city.audit import events
from city.db.models import ApiKey, Crew, CrewMember, Device, Message, Person, Report, Webhook
from city.people import accounts
from city.reports import intake

Send = Callable[..., TestResponse]
MOST_QUERIES_OF_PHONES = 10


@pytest.fixture
def office(log_in: Callable[..., FlaskClient]) -> FlaskClient:
    """The browser of an administrator."""
    return log_in("administrator")


@pytest.fixture
def send(office: FlaskClient, token: Callable[[], str]) -> Send:
    def send(path: str, **fields: object) -> TestResponse:
        """Sends a form; one that changes a person or crew says what it showed of them, as the page does."""
        if re.fullmatch(r"/(people|crews)/\d+", path) and "seen" not in fields:
            fields["seen"] = seen_on(office.get(f"/admin{path}").text)
        return office.post(f"/admin{path}", data={"csrf_token": token(), **fields})

    return send


def seen_on(page: str) -> str:
    found = re.search(r'name="seen" value="([^"]*)"', page)
    assert found
    return unescape(found[1])


def person(town: Town, email: str) -> Person:
    with town.looking() as scene:
        found = accounts.by_email(scene.s, email)
        assert found
        return found


def test_somebody_new_gets_a_link_that_logs_in_once(
    app: Flask, town: Town, send: Send, settings: object
) -> None:
    page = send("/people", email="Nia@town.test", name="Nia", role=["crew"], crew=[town.ids["lights"]]).text
    nia = person(town, "nia@town.test")
    assert (accounts.actor(nia).roles, [crew.name for crew in nia.crews]) == ({"crew"}, ["lights"])
    found = re.search(r'value="http[^"]*(/login/link/[^"]+)"', page)
    assert found
    hers = app.test_client()
    form = hers.get(found[1])
    assert "Nia" not in form.text, "whoever finds a link does not learn whose it is"
    csrf = form.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    assert (
        hers.post(found[1], data={"csrf_token": csrf, "email": "nia@town.test"}).headers["Location"]
        == "/crew"
    )
    assert hers.get("/me").status_code == 200
    assert app.test_client().get(found[1]).status_code == 404, "it works once"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"email": "no address"}, shared.BAD_EMAIL),
        ({"email": "rosa@town.test"}, shared.KNOWN_EMAIL),
        ({"email": "x@town.test", "role": "king"}, shared.UNKNOWN_VALUE),
    ],
)
def test_what_cannot_be_added_is_told_and_kept(send: Send, fields: dict[str, str], words: str) -> None:
    answer = send("/people", **{"name": "Kept As Typed", "role": "manager"} | fields)
    assert answer.status_code == 422
    assert words in answer.text
    assert 'value="Kept As Typed"' in answer.text
    assert f'value="{fields["email"]}"' in answer.text


def test_roles_change_and_the_log_says_who_did_it(town: Town, send: Send) -> None:
    number = town.ids["rosa"]
    answer = send(f"/people/{number}", name="Rosa", lang="es", role=["crew", "dispatcher"])
    assert answer.headers["Location"] == f"/admin/people/{number}?said=saved"
    rosa = person(town, "rosa@town.test")
    assert (accounts.actor(rosa).roles, rosa.lang, rosa.crews) == ({"crew", "dispatcher"}, "es", [])
    with town.looking() as scene:
        event, _ = events.of(scene.s, accounts.subject(rosa))[-1]
        assert (event.kind, event.actor) == ("change person", f"person:{town.ids['administrator']}")


def test_whoever_is_shut_out_is_out_at_once(
    app: Flask, town: Town, send: Send, log_in: Callable[..., FlaskClient], token: Callable[[], str]
) -> None:
    cookie = log_in("dispatcher").get_cookie("cl_session")
    assert cookie
    other = app.test_client()
    other.set_cookie("cl_session", cookie.value)
    assert other.get("/dispatch").status_code == 200
    log_in("administrator")
    send(f"/people/{town.ids['dispatcher']}/disabled", disabled="yes")
    assert other.get("/dispatch").status_code == 302
    send(f"/people/{town.ids['dispatcher']}/disabled", disabled="no")
    assert other.get("/dispatch").status_code == 302, "let in again means logging in again"
    assert accounts.actor(person(town, "dispatcher@town.test")).roles == {"dispatcher"}


def test_the_last_administrator_can_neither_leave_nor_be_shut_out(town: Town, send: Send) -> None:
    number = town.ids["administrator"]
    for answer in (
        send(f"/people/{number}", name="A", role="manager"),
        send(f"/people/{number}/disabled", disabled="yes"),
    ):
        assert answer.status_code == 422
        assert shared.LAST_ADMINISTRATOR in answer.text


def test_a_crew_is_made_and_manned(town: Town, send: Send, office: FlaskClient) -> None:
    answer = send("/crews", name="Lamps 4", department="works")
    with town.looking() as scene:
        crew = scene.s.scalars(select(Crew).where(Crew.name == "Lamps 4")).one()
    assert answer.headers["Location"] == f"/admin/crews/{crew.id}"
    send(f"/crews/{crew.id}", name="Lamps Four", department="", member=[town.ids["tom"]])
    page = office.get(f"/admin/crews/{crew.id}").text
    assert 'value="Lamps Four"' in page
    assert re.search(rf'name="member" value="{town.ids["tom"]}" checked', page)
    assert send("/crews", name="Lamps Four").status_code == 422


def test_the_number_of_queries_does_not_grow_with_the_phones(
    town: Town, office: FlaskClient, app: Flask
) -> None:
    sent = []
    for more in (1, 5):
        with town.at_work() as scene:
            for n in range(more):
                person = accounts.add(
                    scene.s,
                    f"{more}-{n}@city.test",
                    f"Crew {more} {n}",
                    ["crew"],
                    crews=[scene.crew("lights")],
                )
                told = {"id": str(uuid.uuid4()), "token_hash": f"{more} {n}", "enrolled_at": town.now}
                scene.s.add(Device(person_id=person.id, seen_at=town.now, **told))
        with counted(app) as statements:
            page = office.get("/admin/phones").text
        sent.append(len(statements))
    assert staff.SHOWING(shown=6, hidden=0) in page
    assert sent[0] == sent[1] <= MOST_QUERIES_OF_PHONES


def test_a_lost_phone_is_shut_out(town: Town, send: Send, office: FlaskClient) -> None:
    with town.at_work() as scene:
        scene.s.add(
            Device(
                id="0f" * 18, person_id=town.ids["rosa"], token_hash="x", enrolled_at=town.now,
                seen_at=town.now, release="a1b2", waiting={"ops": 3, "photos": 1, "oldest": 1_778_500_000},
            )
        )  # fmt: skip
    page = office.get("/admin/phones").text
    assert all(
        told in page
        for told in ("Rosa", f"{staff.UPDATES(3)}, {staff.PHOTOS(1)}", "a1b2", staff.SINCE(moment=""))
    )
    for head in ("Last synced", "Unsent work", "App"):  # on a narrow screen each line says what it is
        assert f'data-head="{head}"' in page
    assert send(f"/phones/{'0f' * 18}/revoked").headers["Location"] == "/admin/phones?said=revoked"
    with town.looking() as scene:
        assert scene.s.get_one(Device, "0f" * 18).revoked_at == town.now


def test_a_key_is_shown_once_and_revoked(town: Town, send: Send, office: FlaskClient) -> None:
    page = send("/keys", name="City app").text
    found = re.search(r'value="([A-Za-z0-9_-]{32})"', page)
    assert found
    assert found[1] not in office.get("/admin/keys").text
    with town.looking() as scene:
        row = accounts.by_key(scene.s, found[1])
        assert row
        assert row.name == "City app"
    send(f"/keys/{row.id}/revoked")
    with town.looking() as scene:
        assert scene.s.get_one(ApiKey, row.id).revoked_at == town.now
    assert send("/keys", name=" ").status_code == 422


def test_a_key_says_what_it_may_do_and_how_often(town: Town, send: Send, office: FlaskClient) -> None:
    assert not re.search('name="update"[^>]*checked', office.get("/admin/keys").text), "more is asked for"
    send("/keys", name="Works", update="1", hourly="20")
    page = office.get("/admin/keys").text
    assert f"{shared.MAY_SEND_REPORTS}, {shared.MAY_UPDATE_STATUS}" in page
    assert staff.TIMES_PER_HOUR(20) in page
    again = send("/keys", name="Another", hourly="many")
    assert again.status_code == 422
    assert 'value="Another"' in again.text, "nothing is lost"
    assert 'value="many"' in again.text
    assert re.search('name="update"[^>]*checked', send("/keys", name=" ", update="1").text)


def test_undelivered_mail_can_be_tried_again(town: Town, send: Send, office: FlaskClient) -> None:
    assert staff.ALL_SENT in office.get("/admin/mail").text
    with town.at_work() as scene:
        report: Report = scene.report()
        wish = intake.subscribe(scene.s, report, "gone@town.test", lang="en", at=town.now)
        scene.s.add(
            Message(
                event_seq=1, subscription_id=wish.id, kind="closed", tries=18, fault="550 no such box"
            )
        )  # fmt: skip
    page = office.get("/admin/mail").text
    assert "gone@town.test" in page
    assert "550 no such box" in page
    assert f"<small>{staff.FAILED}</small>" in page
    with town.looking() as scene:
        number = scene.s.scalars(select(Message.id)).one()
    send(f"/mail/{number}/again")
    with town.looking() as scene:
        message = scene.s.get_one(Message, number)
        assert (message.tries, message.next_try_at) == (0, town.now)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("it answered 503", shared.HOOK_OVERLOADED.es(status=503)),
        ("it answered 404", shared.HOOK_GONE.es(status=404)),
        ("it answered 302", shared.HOOK_REDIRECTS.es(status=302)),
        ("it answered 418", shared.HOOK_NOT_UNDERSTOOD.es(status=418)),
        ("no answer: ReadTimeout", shared.HOOK_TOO_SLOW.es),
        ("no answer: NotPublic", shared.HOOK_PRIVATE.es),
        ("no answer: ConnectionError", shared.HOOK_SILENT.es),
    ],
)
def test_what_another_system_said_is_a_sentence_with_the_raw_words_behind_it(
    town: Town, office: FlaskClient, fault: str, said: str
) -> None:
    with town.at_work() as scene:
        scene.s.add(
            Webhook(
                url="https://x.example/1", secret="s", made_at=town.now, seq=0, next_try_at=town.now,
                failing_since=town.now, fault=fault, tries=3,
            )
        )  # fmt: skip
    page = office.get("/es/admin/webhooks").text
    assert said in page
    assert re.search(f"<details.*{re.escape(fault)}.*</details>", page, re.DOTALL)


def test_all_that_was_given_up_can_be_sent_again_at_once(town: Town, send: Send, office: FlaskClient) -> None:
    later = town.now + timedelta(hours=12)
    with town.at_work() as scene:
        wish = intake.subscribe(scene.s, scene.report(), "ana@town.test", lang="en", at=town.now)
        for seq, waits in enumerate((None, None, later)):
            scene.s.add(
                Message(
                    event_seq=seq, subscription_id=wish.id, kind="closed", tries=18, fault="451 no disk",
                    next_try_at=waits,
                )
            )  # fmt: skip
    assert staff.RESEND_ALL_BUTTON in office.get("/admin/mail").text
    send("/mail/again")
    with town.looking() as scene:
        tries = scene.s.scalars(select(Message.next_try_at).order_by(Message.id)).all()
    assert tries == [town.now, town.now, later]
    assert staff.RESEND_ALL_BUTTON not in office.get("/admin/mail").text


@pytest.mark.parametrize("path", ["/people/999", "/crews/999", "/people/99999999999", "/people/x"])
def test_nobody_is_not_found(office: FlaskClient, path: str) -> None:
    assert office.get(f"/admin{path}").status_code == 404


def test_the_list_of_people_asks_no_more_when_there_are_many(
    town: Town, office: FlaskClient, asked: list[str]
) -> None:
    def queries() -> int:
        asked.clear()
        office.get("/admin")
        return len(asked)

    few = queries()
    with town.at_work() as scene:
        for n in range(40):
            accounts.add(scene.s, f"p{n}@town.test", f"P{n}", ["crew"], crews=[scene.crew("lights")])
    assert queries() == few > 0


def test_two_tabs_lose_no_change(town: Town, send: Send, office: FlaskClient) -> None:
    path = f"/people/{town.ids['rosa']}"
    old = seen_on(office.get(f"/admin{path}").text)
    send(path, name="Rosa", lang="en", role=["crew", "manager"])
    late = send(path, name="Rosa Medina", lang="en", role=["crew"], seen=old)
    assert late.status_code == 422
    assert shared.CHANGED_MEANWHILE in late.text
    assert "manager" in {row.role for row in person(town, "rosa@town.test").roles}
    again = send(path, name="Rosa Medina", lang="en", role=["crew"], seen=seen_on(late.text))
    assert again.status_code == 303


def test_two_tabs_lose_no_change_of_a_crew(town: Town, send: Send, office: FlaskClient) -> None:
    path = f"/crews/{town.ids['lights']}"
    old = seen_on(office.get(f"/admin{path}").text)
    send(path, name="Lights", department="works", member=[town.ids["rosa"], town.ids["tom"]])
    late = send(path, name="Lights 9", department="works", member=[town.ids["rosa"]], seen=old)
    assert late.status_code == 422
    assert shared.CHANGED_MEANWHILE in late.text
    assert 'value="Lights 9"' in late.text, "what was typed stays"
    with town.looking() as scene:
        assert scene.s.get_one(Crew, town.ids["lights"]).name == "Lights"
        members = scene.s.scalars(
            select(CrewMember.person_id).where(CrewMember.crew_id == town.ids["lights"])
        )
        assert set(members) == {town.ids["rosa"], town.ids["tom"]}
    again = send(
        path, name="Lights 9", department="works", member=[town.ids["rosa"]], seen=seen_on(late.text)
    )
    assert again.status_code == 303


def test_a_double_tap_makes_one_key(town: Town, send: Send, office: FlaskClient) -> None:
    def once() -> str:
        found = re.search(r'name="once" value="([0-9a-f]{32})"', office.get("/admin/keys").text)
        assert found
        return found[1]

    first = once()
    keys = [
        re.search(r'value="([A-Za-z0-9_-]{32})" readonly', send("/keys", name=name, once=sent).text)[1]  # type: ignore[index]
        for name, sent in (
            ("City app", first),
            ("City app", first),
            ("Another app", first),
            ("City app", once()),
        )
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    with town.looking() as scene:
        assert [row.name for row in scene.s.scalars(select(ApiKey).order_by(ApiKey.id))] == [
            "City app", "Another app", "City app",
        ]  # fmt: skip
        revoked = accounts.by_key(scene.s, keys[0])
        assert revoked
    send(f"/keys/{revoked.id}/revoked")
    assert send("/keys", name="City app", once=first).status_code == 422


@pytest.mark.parametrize("name", ["x" * 101, " ", "\u200b\ufffe", "\t\n"])
def test_a_name_is_short_and_can_be_seen(town: Town, send: Send, name: str) -> None:
    rooms: list[tuple[str, dict[str, object]]] = [
        ("/crews", {}), ("/keys", {}), (f"/people/{town.ids['rosa']}", {"role": "crew"}),
    ]  # fmt: skip
    for path, fields in rooms:
        assert send(path, name=name, **fields).status_code == 422, path


def test_somebody_shut_out_gets_no_link(town: Town, send: Send) -> None:
    send(f"/people/{town.ids['rosa']}/disabled", disabled="yes")
    answer = send(f"/people/{town.ids['rosa']}/link")
    assert answer.status_code == 422
    assert shared.SHUT_OUT in shown(answer)


@pytest.mark.parametrize("name", ["administrator", "dispatcher", "supervisor"])
def test_staff_make_a_code_for_a_crews_phone(
    name: str, town: Town, log_in: Callable[..., FlaskClient], token: Callable[[], str]
) -> None:
    browser = log_in(name)
    form = {"csrf_token": token(), "person": town.ids["rosa"]}
    page = browser.post("/admin/phones/codes", data=form).text
    found = re.search(r'id="phone-code">([A-Z0-9]{4} [A-Z0-9]{4})<', page)
    assert found
    assert "Rosa" in page
    assert found[1] not in browser.get("/admin/phones").text
    assert ('href="/admin/crews"' in page) == (name == "administrator")
    form["person"] = town.ids["manager"]
    assert browser.post("/admin/phones/codes", data=form).status_code == 422
