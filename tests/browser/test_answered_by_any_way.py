"""A question goes out by real mail and text; the answer by mail, text, page or link reaches the crew."""

import hashlib
import hmac
import json
import re
import smtplib
import socket
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage, Message
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import textgateway
from aiosmtpd.controller import Controller
from closings import CREW, wait_for
from live import PHONE, Site, log_in
from playwright.sync_api import BrowserContext, expect
from sqlalchemy import select
from textgateway import FakeGateway

from city.cases import transitions
from city.config import city_file
from city.config import versions as config_versions
from city.db import engine as db
from city.db.models import Case, Person
from city.people import accounts
from city.places.lookup import Place
from city.reports import conversation, intake
from city.reports.intake import NewReport
from city.settings import DEFAULT_CITY

pytestmark = pytest.mark.one_database
Open = Callable[..., BrowserContext]
OURS, SECRET = "311@larkhaven.test", "0123456789abcdef0123456789abcdef"
QUIET = 'quiet = "21:30-07:30"'
NUMBER, MAILBOX = "+18605550142", "ana@example.org"


class Post:
    """A mail server that keeps what it took."""

    def __init__(self) -> None:
        self.letters: list[Message] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:
        self.letters.append(message_from_bytes(envelope.content))  # type: ignore[attr-defined]
        return "250 OK"


@pytest.fixture(autouse=True)
def post(monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    """Before the site starts: what it sends mail to, and where it takes mail in."""
    taken = Post()
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        out, into = one.getsockname()[1], other.getsockname()[1]
    server = Controller(taken, hostname="127.0.0.1", port=out, server_hostname="post.test")
    server.start()
    monkeypatch.setenv("CITYLINE_SMTP_URL", f"smtp://127.0.0.1:{out}")
    monkeypatch.setenv("CITYLINE_MAIL_IN", f"smtp://127.0.0.1:{into}")
    monkeypatch.setenv("CITYLINE_MAIL_ADDRESS", OURS)
    monkeypatch.setenv("CITYLINE_TEXTS_IN", f"json:{SECRET}")
    taken.into = into  # type: ignore[attr-defined]
    yield taken
    server.stop()


@pytest.fixture(autouse=True)
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    with textgateway.running() as made:
        monkeypatch.setenv("CITYLINE_SMS_URL", made.url + textgateway.GAPS)
        yield made


def let_texts_out_now(site: Site, folder: Path) -> None:
    """Quiet hours are half a day away, whenever this runs."""
    hour = (datetime.now(ZoneInfo("America/New_York")).hour + 12) % 24
    words = DEFAULT_CITY.read_text()
    assert QUIET in words
    file = folder / "larkhaven.toml"
    file.write_text(words.replace(QUIET, f'quiet = "{hour:02}:00-{hour:02}:01"'))
    with db.transaction(site.engine) as s:
        told = city_file.read_with_logo(file)
        config_versions.publish(s, told, "test", by=accounts.THE_SYSTEM, at=datetime.now(UTC))


def token_of(site: Site, key: str) -> str:
    return intake.token_for(site.settings.secret_key, key * 32)


def asked(site: Site, key: str, **wishes: str) -> str:
    """A question about a job of the first crew, by these channels; the case's number."""
    with db.transaction(site.engine) as s:
        place = Place(39.6, -71.2, "pin", "100 Tansy Street")
        now, dana = datetime.now(UTC), accounts.actor(accounts.by_email(s, "dispatcher@demo.test"))
        telling = NewReport(key * 32, "light-out", "web", "en", f"Dark, {key}", place)
        report = intake.submit(s, telling, at=now, token=token_of(site, key))
        for channel, address in wishes.items():
            wish = intake.subscribe(s, report, address, channel=channel, lang="en", at=now)
            intake.confirm(s, wish, at=now)
        worker = s.scalars(select(Person).where(Person.email == CREW)).one()
        transitions.assign(s, report.case, worker.crews[0], by=dana, at=now)
        conversation.ask(s, report, f"Which pole, {key}?", by=dana, at=now)
        return report.case.number


def case_of(site: Site, number: str) -> tuple[str, datetime | None]:
    with db.read_session(site.engine) as s:
        case = s.scalars(select(Case).where(Case.number == number)).one()
        return case.state, case.due_at


def plain(letter: Message) -> str:
    part = next(each for each in letter.walk() if each.get_content_type() == "text/plain")
    body = part.get_payload(decode=True)
    assert isinstance(body, bytes)
    return body.decode()


def by_mail(post: Post, letter: Message, words: str) -> None:
    sent = EmailMessage()
    sent["From"], sent["To"], sent["Subject"] = MAILBOX, letter["Reply-To"], f"Re: {letter['Subject']}"
    sent["Message-ID"] = "<answer@example.org>"
    quoted = "\n".join(f"> {line}" for line in plain(letter).splitlines())
    sent.set_content(f"{words}\n\nOn Tue, May 12, 2026 at 9:00 AM Larkhaven wrote:\n{quoted}\n")
    with smtplib.SMTP("127.0.0.1", post.into, "home.test") as smtp:  # type: ignore[attr-defined]
        smtp.send_message(sent)


def by_text(site: Site, words: str) -> None:
    body = json.dumps({"id": "SM1", "from": NUMBER, "text": words}).encode()
    signed = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    heads = {"Content-Type": "application/json", "X-Signature": f"sha256={signed}"}
    told = urllib.request.Request(site.path("/texts/json"), body, heads, method="POST")
    with urllib.request.urlopen(told, timeout=60) as answer:
        assert answer.status == 200


def on_the_page(open_context: Open, address: str, words: str) -> None:
    """Answers without JavaScript."""
    page = open_context(**PHONE, java_script_enabled=False).new_page()
    page.goto(address)
    page.locator(".answer textarea").fill(words)
    page.locator(".answer .button--act").tap()
    expect(page.locator(".says--you").last).to_contain_text(words)


def test_an_answer_by_any_way_reaches_the_crews_phone(
    site: Site, open_context: Open, post: Post, gateway: FakeGateway, tmp_path: Path
) -> None:
    let_texts_out_now(site, tmp_path)
    page = open_context().new_page()

    def letter(key: str) -> Message:
        found = lambda: [each for each in post.letters if f"Which pole, {key}?" in plain(each)]  # noqa: E731
        wait_for(lambda: bool(found()), page)
        return found()[0]

    numbers = {
        "m": asked(site, "a", email=MAILBOX), "t": asked(site, "b", sms=NUMBER),
        "l": asked(site, "c", email="bob@example.org"), "p": asked(site, "d"),
    }  # fmt: skip
    due = {key: case_of(site, number)[1] for key, number in numbers.items()}

    first = letter("a")
    wait_for(lambda: case_of(site, numbers["m"])[0] == "waiting", page)  # the clock stands
    by_mail(post, first, "By the gate, I mean")
    wait_for(lambda: any("Which pole, b?" in text for _to, text in gateway.told), page)
    wait_for(lambda: case_of(site, numbers["t"])[0] == "waiting", page)
    by_text(site, "By the bench, I text")
    link = re.findall(r"https?://\S+/s/\S+#answer", plain(letter("c")))
    on_the_page(open_context, link[0], "By the tree, I tap")
    on_the_page(open_context, site.path(f"/s/{token_of(site, 'd')}"), "By the door, I write")

    phone = open_context(**PHONE).new_page()
    log_in(phone, site, CREW, "/crew")
    said = {"m": "By the gate, I mean", "t": "By the bench, I text", "l": "By the tree, I tap",
            "p": "By the door, I write"}  # fmt: skip
    for key, number in numbers.items():
        wait_for(lambda number=number: case_of(site, number)[0] == "assigned", page)  # type: ignore[misc]
        assert case_of(site, number)[1] > due[key], "the clock stood and runs again"
        phone.goto(site.path("/crew"))
        phone.locator(f'a.job[href*="{number}"]').click()
        expect(phone.locator("main")).to_contain_text(said[key])
