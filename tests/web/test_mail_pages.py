"""Emails: text and HTML say the same; an address that nobody confirmed reads no words and sees no photo."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from factories import Scene, Town
from flask import Flask
from flask.testing import FlaskClient
from letterbox import html, text
from pictures import assert_clean, encoded, opened
from PIL import Image
from sqlalchemy import select
from wording import messages

import city
from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Case, Message, Person, Photo, Report, SecretLink, Street, Subscription
from city.notifications import account_email, digests, email, fan_out, outbox, subscriptions
from city.photos import photos, processing
from city.photos.processing import BadPhoto
from city.photos.storage import StoreDown
from city.reports import intake
from city.settings import Settings
from pwa import worker
from pwa.messages import report_messages

LAMPS = Path(city.__file__).parent / "demo" / "photo_files"
WORDS = "It flickered for a week.\nNow the corner is dark."
HEAVIEST = 60_000  # bytes of text and HTML together
BASE = "http://127.0.0.1:8311"


@dataclass
class Read(HTMLParser):
    """What a reader of the HTML sees and can press."""

    html: str
    words: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    pictures: list[dict[str, str]] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    root: dict[str, str] = field(default_factory=dict)
    acts: int = 0

    def __post_init__(self) -> None:
        super().__init__()
        self._unseen = 0
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self._unseen += tag in ("style", "title")
        if tag == "html":
            self.root = given
        if tag == "a":
            self.links.append(given["href"])
            self.acts += given.get("class") == "act"
        if tag == "img":
            self.pictures.append(given)
        if tag not in ("a", "b", "span", "bdi"):
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in ("style", "title")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.words.append(data)

    @property
    def said(self) -> str:
        return " ".join("".join(self.words).split())


def page(letter: EmailMessage) -> Read:
    return Read(html(letter))


def enclosed(letter: EmailMessage) -> dict[str, bytes]:
    """The pictures that lie in it, by the name that its HTML uses."""
    return {
        f"cid:{part['Content-ID'].strip('<>')}": part.get_content()
        for part in letter.walk()
        if part.get_content_maintype() == "image"
    }


@dataclass
class Post:
    """The worker, and what it sent."""

    town: Town
    app: Flask
    sent: list[EmailMessage] = field(default_factory=list)

    def send(self, message: EmailMessage) -> None:
        self.sent.append(message)

    def round(self, after: timedelta = timedelta(0)) -> list[EmailMessage]:
        """What goes out in a round of the worker so much later."""
        before, now = len(self.sent), self.town.now + after
        with self.town.at_work() as scene:
            fan_out.process_events(scene.s, now)
        outbox.send_due(self.town.engine, {"email": self}, report_messages.render(self.app), now)
        return self.sent[before:]


@pytest.fixture(autouse=True)
def ground(town: Town) -> None:
    with town.at_work() as scene:
        scene.s.add(Street(name="Tansy Street", line=[[-71.2, 39.59], [-71.2, 39.61]], kind="street"))


@pytest.fixture
def post(town: Town, app: Flask) -> Post:
    return Post(town, app)


@pytest.fixture
def secret(app: Flask) -> str:
    return str(app.extensions["cityline"].settings.secret_key)


def staged(scene: Scene, name: str) -> Photo:
    jpeg = (LAMPS / name).read_bytes()
    return photos.stage(scene.s, scene.town.settings.var, jpeg, staged_for=f"form:{name}", at=scene.town.now)


def stored(town: Town, app: Flask) -> None:
    held = app.extensions["cityline"]
    photos.move_staged_to_storage(town.engine, held.store, held.settings.var, town.now)


def told(town: Town, app: Flask, secret: str, *, lang: str = "en", **changes: Any) -> int:
    """A report with a photo, and an address that asked for news of it; the id of the wish."""
    with town.at_work() as scene:
        taken = [] if "taken" in changes else [staged(scene, "lamp-before.jpg")]
        report = scene.report(**({"taken": taken, "words": WORDS, "lang": lang} | changes))
        token = intake.token_for(secret, report.key)
        scene.s.add(SecretLink(token_hash=intake.hashed(token), report_id=report.id, made_at=town.now))
        wish = intake.subscribe(scene.s, report, "ana@mail.test", lang=lang, at=town.now).id
    stored(town, app)
    return wish


def confirm(town: Town, wish: int) -> None:
    with town.at_work() as scene:
        intake.confirm(scene.s, scene.s.get_one(Subscription, wish), at=town.now)


def close(town: Town, app: Flask, number: str = "26-000001", **facts: Any) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        if not facts:
            facts = {
                "outcome": "fixed", "photos": [staged(scene, "lamp-after.jpg")],
                "words": "New lamp driver. Checked after dark.",
            }  # fmt: skip
        transitions.close(scene.s, scene.case(number), Closing(**facts), by=by, at=town.now)
    stored(town, app)


def reopen(town: Town, number: str = "26-000001") -> None:
    with town.at_work() as scene:
        transitions.reopen(scene.s, scene.case(number), by=scene.actor("dispatcher"), at=town.now)


def every(town: Town, app: Flask, post: Post, secret: str, lang: str) -> dict[str, EmailMessage]:
    """One letter of every kind, by its kind."""
    found: dict[str, EmailMessage] = {}
    wish = told(town, app, secret, lang=lang)
    (found["receipt"],) = post.round()
    confirm(town, wish)
    (found["confirmed"],) = post.round()
    close(town, app)
    (found["closed"],) = post.round()
    reopen(town)
    (found["reopened"],) = post.round()
    with town.at_work() as scene:
        mine = scene.s.scalars(select(Report)).one()
        intake.show(scene.s, mine, by=scene.actor("dispatcher"), at=town.now)
        about = subscriptions.case(scene.s, "26-000001")
        assert about
        follower = subscriptions.subscribe(scene.s, about, "bea@mail.test", lang=lang, at=town.now).id
        area = subscriptions.street(scene.s, "Tansy Street")
        assert area
        place = subscriptions.subscribe(scene.s, area, "cy@mail.test", lang=lang, at=town.now).id
    found["follow"], found["follow street"] = post.round()
    confirm(town, follower)
    confirm(town, place)
    with town.at_work() as scene:
        by, case = scene.actor("dispatcher"), scene.case("26-000001")
        transitions.accept(scene.s, case, by=by, at=town.now)
        transitions.wait(scene.s, case, "parts", by=by, at=town.now)
    assert post.round() == []
    (found["changed"],) = post.round(fan_out.SETTLES)
    with town.at_work() as scene:
        transitions.resume(scene.s, scene.case("26-000001"), by=scene.actor("dispatcher"), at=town.now)
    close(town, app)
    (found["followed"],) = (each for each in post.round() if each["To"] == "bea@mail.test")
    with town.at_work() as scene:
        scene.report(words="canary")
    later = timedelta(days=1)
    digests.queue_due(town.engine, town.now + later, app.extensions["cityline"].city.time_zone)
    (found["digest"],) = (each for each in post.round(later) if each["To"] == "cy@mail.test")
    return found


@pytest.fixture
def office(
    town: Town, app: Flask, post: Post, secret: str, log_in: Callable[[str], FlaskClient],
    token: Callable[[], str],
) -> Callable[[str], dict[str, EmailMessage]]:  # fmt: skip
    """The letters about a tax question that a call-taker took, in a language."""

    def letters(lang: str) -> dict[str, EmailMessage]:
        call = {
            "csrf_token": token(), "key": "a" * 32, "do": "save", "channel": "phone", "ends": "case",
            "service": "tax-question", "note": "When is the second half due?", "reply_by": "email",
            "email": "dee@mail.test", "lang": lang, "answer-tax-question-when": "After five",
        }  # fmt: skip
        assert log_in("call-taker").post("/desk/calls", data=call).status_code == 303
        found: dict[str, EmailMessage] = {}
        (found["office receipt"],) = post.round()
        with town.looking() as scene:
            wish = scene.s.scalars(select(Subscription)).one().id
        confirm(town, wish)
        (found["office confirmed"],) = post.round()
        with town.at_work() as scene:
            number = scene.s.scalars(select(Case.number)).one()
        close(town, app, number, outcome="answered", words="The second half is due on Jan 31.")
        (found["office closed"],) = post.round()
        reopen(town, number)
        (found["office reopened"],) = post.round()
        return found

    return letters


def staff(town: Town, app: Flask, post: Post, lang: str) -> EmailMessage:
    """The late cases of the morning."""
    with town.at_work() as scene:
        for _n in range(3):
            scene.report(words="canary").case.standing = "late"
        person = scene.s.get_one(Person, town.ids["dispatcher"])
        person.wants_late, person.lang = True, lang
    worker._tell_staff(app, post, datetime(2026, 5, 12, 11, 30, tzinfo=UTC))
    return post.sent[-1]


@pytest.fixture
def code(
    town: Town, app: Flask, client: FlaskClient, token: Callable[[], str], post: Post
) -> Callable[[str], EmailMessage]:
    """The letter with a code to log in, in a language."""

    def letter(lang: str) -> EmailMessage:
        where = "" if lang == "en" else f"/{lang}"
        asked = {"csrf_token": token(), "email": "dispatcher@town.test"}
        assert client.post(f"{where}/login", data=asked).status_code == 200
        account_email.send_due(town.engine, post, report_messages.account(app), town.now)
        return post.sent[-1]

    return letter


@pytest.mark.parametrize("lang", ["en", "es"])
def test_text_and_html_of_every_letter_say_the_same(
    town: Town, app: Flask, post: Post, secret: str, code: Callable[[str], EmailMessage], lang: str
) -> None:
    found = every(town, app, post, secret, lang)
    found |= {"late": staff(town, app, post, lang), "code": code(lang)}
    for letter in found.values():
        judge(letter, lang)


@pytest.mark.parametrize("lang", ["en", "es"])
def test_office_work_has_words_of_its_own(
    office: Callable[[str], dict[str, EmailMessage]], lang: str
) -> None:
    found = office(lang)
    for letter in found.values():
        judge(letter, lang)
        assert not re.search("crew|cuadrilla|fix(?!ed$)|arregl", page(letter).said, re.IGNORECASE)
    news = messages.ANSWERED if lang == "en" else messages.ANSWERED.es
    assert text(found["office closed"]).startswith(news)
    assert "The second half is due on Jan 31." in text(found["office closed"])
    assert "After five" in text(found["office confirmed"])
    assert "After five" not in found["office receipt"].as_string()


def test_an_address_that_nobody_confirmed_reads_no_words_and_sees_no_photo(
    town: Town, app: Flask, post: Post, secret: str
) -> None:
    told(town, app, secret)
    (receipt,) = post.round()
    assert text(receipt).startswith(messages.REPORT_RECEIVED)
    assert "214 Tansy Street" in text(receipt)
    assert f"{BASE}/case/26-000001" in page(receipt).links
    whole = text(receipt) + page(receipt).html
    assert "flickered" not in whole
    assert "/s/" not in whole
    assert enclosed(receipt) == {}
    assert page(receipt).pictures == []


def test_of_a_private_place_an_unconfirmed_address_learns_nothing(
    town: Town, app: Flask, post: Post, secret: str
) -> None:
    told(town, app, secret, service_code="nuisance")
    (receipt,) = post.round()
    whole = text(receipt) + page(receipt).html
    assert "Nuisance" in whole
    assert "Tansy" not in whole
    assert "/case/" not in whole


def test_once_confirmed_the_reporter_gets_all_that_was_told(
    town: Town, app: Flask, post: Post, secret: str, client: FlaskClient
) -> None:
    wish = told(town, app, secret)
    post.round()
    confirm(town, wish)
    (letter,) = post.round()
    said = page(letter).said
    assert text(letter).startswith(messages.ALL_SET)
    assert " ".join(WORDS.split()) in said
    assert messages.PHOTOS_SENT(1) in said
    assert len(enclosed(letter)) == 1
    [link] = [each for each in page(letter).links if "/s/" in each]
    assert client.get(link.removeprefix(BASE)).status_code == 303
    confirm(town, wish)
    assert post.round() == [], "once"


def test_who_follows_or_wants_texts_gets_no_whole_receipt(
    town: Town, app: Flask, post: Post, secret: str
) -> None:
    told(town, app, secret)
    with town.at_work() as scene:
        report = scene.s.scalars(select(Report)).one()
        number = intake.subscribe(scene.s, report, "+15550100142", channel="sms", lang="en", at=town.now).id
        about = subscriptions.case(scene.s, "26-000001")
        assert about
        follower = subscriptions.subscribe(scene.s, about, "bea@mail.test", lang="en", at=town.now).id
    post.round()
    confirm(town, number)
    confirm(town, follower)
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
        assert len(scene.s.scalars(select(Message).where(Message.kind == "receipt")).all()) == 3


def test_a_closing_shows_the_light_before_and_after(town: Town, app: Flask, post: Post, secret: str) -> None:
    confirm(town, told(town, app, secret))
    post.round()
    close(town, app)
    (letter,) = post.round()
    assert text(letter).startswith(messages.FIXED)
    before, after = (enclosed(letter)[each["src"]] for each in page(letter).pictures)
    assert before != after
    for jpeg in (before, after):
        assert_clean(jpeg)
        assert opened(jpeg).size == (560, 420)
    assert "/photos/" not in page(letter).html, "nothing is loaded"


def test_a_photo_that_cannot_be_packed_well_is_made_smaller() -> None:
    noise = Image.effect_noise((1200, 900), 120).convert("RGB")
    assert len(processing.small(encoded(noise), 25_000)) <= 25_000


def test_a_follower_sees_photos_only_once_they_are_shown_and_as_a_stranger(
    town: Town, app: Flask, post: Post, secret: str
) -> None:
    told(town, app, secret)
    with town.at_work() as scene:
        about = subscriptions.case(scene.s, "26-000001")
        assert about
        wish = subscriptions.subscribe(scene.s, about, "bea@mail.test", lang="en", at=town.now).id
    confirm(town, wish)
    post.round()
    close(town, app)
    (hidden,) = (letter for letter in post.round() if letter["To"] == "bea@mail.test")
    assert page(hidden).pictures == []
    assert "New lamp driver" not in hidden.as_string()
    reopen(town)
    with town.at_work() as scene:
        report = scene.s.scalars(select(Report)).one()
        intake.show(scene.s, report, by=scene.actor("dispatcher"), at=town.now)
    close(town, app)
    shown = [letter for letter in post.round() if letter["To"] == "bea@mail.test"][-1]
    addresses = [each["src"].removeprefix(BASE) for each in page(shown).pictures]
    assert len(addresses) == 2
    stranger = app.test_client()
    assert [stranger.get(each).status_code for each in addresses] == [200, 200]
    with town.at_work() as scene:
        report = scene.s.scalars(select(Report)).one()
        intake.hide(scene.s, report, by=scene.actor("dispatcher"), at=town.now)
    assert [stranger.get(each).status_code for each in addresses] == [404, 404], "old letters too"


@pytest.mark.parametrize(("where", "fault"), [(photos, StoreDown), (processing, processing.Busy)])
def test_the_news_does_not_wait_for_a_photo_that_cannot_be_had(
    town: Town, app: Flask, post: Post, secret: str, monkeypatch: pytest.MonkeyPatch,
    where: Any, fault: type[Exception],
) -> None:  # fmt: skip
    confirm(town, told(town, app, secret))
    close(town, app)

    def down(*_args: object, **_how: object) -> bytes:
        raise fault

    monkeypatch.setattr(where, "read" if where is photos else "small", down)
    (letter,) = (each for each in post.round() if "Fixed" in each["Subject"])
    assert page(letter).pictures == []


def test_what_somebody_wrote_is_never_markup(town: Town, app: Flask, post: Post, secret: str) -> None:
    wish = told(town, app, secret, words="<script>alert(1)</script> & <b>bold</b>")
    confirm(town, wish)
    letter = post.round()[-1]
    assert "<script>alert(1)</script> & <b>bold</b>" in text(letter)
    assert "<script>alert(1)</script> & <b>bold</b>" in page(letter).said
    assert "script" not in page(letter).tags


def test_a_letter_in_its_file_can_be_read(
    town: Town, app: Flask, post: Post, secret: str, tmp_path: Path
) -> None:
    wish = told(town, app, secret, lang="es", words="Se apagó. " * 40)
    confirm(town, wish)
    letter = post.round()[-1]
    email.open_mailer(f"file:{tmp_path / 'mail'}").send(letter)
    [file] = (tmp_path / "mail" / "new").iterdir()
    told_there = file.read_text()
    assert "Se apagó. " * 39 in told_there
    for address in page(letter).links:
        assert address in told_there
    kept = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert isinstance(kept, EmailMessage)
    judge(kept, "es")


def judge(letter: EmailMessage, lang: str) -> None:
    """What holds of every letter."""
    assert letter.get_content_type() == "multipart/alternative"
    assert letter["Content-Language"] == lang
    shown, words = page(letter), text(letter)
    for line in filter(None, (" ".join(line.split()) for line in words.splitlines())):
        if line.startswith(BASE):
            assert line in shown.links
        else:
            assert line in shown.said
    assert {each for each in shown.links if not each.startswith("tel:")} == set(
        re.findall(rf"{BASE}\S+", words)
    )
    first = words.splitlines()[0]
    assert first in shown.said
    assert shown.root == {"lang": lang, "dir": "ltr"}
    assert shown.acts <= 1
    assert "table" not in shown.tags
    assert "script" not in shown.tags
    assert all(each["alt"] for each in shown.pictures)
    assert len(words.encode()) + len(shown.html.encode()) < HEAVIEST
    assert "\n\n\n" not in words
    assert "Cityline" in words.splitlines()[-1]
    inside = enclosed(letter)
    assert {each["src"] for each in shown.pictures if each["src"].startswith("cid:")} == set(inside)
    assert all(len(jpeg) <= 25_000 for jpeg in inside.values())


def test_what_a_neighbor_sent_is_linked_and_not_enclosed(
    town: Town, app: Flask, post: Post, secret: str
) -> None:
    told(town, app, secret)
    with town.at_work() as scene:
        first = scene.s.scalars(select(Report)).one()
        intake.show(scene.s, first, by=scene.actor("dispatcher"), at=town.now)
        second = scene.report(words="Me too", join="26-000001")
        wish = intake.subscribe(scene.s, second, "joe@mail.test", lang="en", at=town.now).id
        photo = first.photos[0].id
    confirm(town, wish)
    post.round()
    close(town, app)
    (letter,) = [each for each in post.round() if each["To"] == "joe@mail.test"]
    before, after = page(letter).pictures
    assert before["src"] == f"{BASE}/photos/{photo}/page.jpg"
    assert list(enclosed(letter)) == [after["src"]]


def test_letters_with_one_name_say_the_same_whenever_they_go(town: Town, app: Flask, secret: str) -> None:
    class Flaky(Post):
        def send(self, message: EmailMessage) -> None:
            super().send(message)
            if len(self.sent) == 1:
                raise TimeoutError("taken, but the answer was lost")

    post = Flaky(town, app)
    wish = told(town, app, secret)
    post.round()
    confirm(town, wish)
    post.round(timedelta(minutes=2))
    assert len({each["Subject"] for each in post.sent}) == 2
    assert len({(each["Message-ID"], text(each)) for each in post.sent}) == 2


def test_a_line_break_in_a_name_of_the_city_breaks_no_head(
    town: Town, app: Flask, post: Post, secret: str
) -> None:
    told(town, app, secret)
    with town.at_work() as scene:
        scene.s.scalars(select(Report)).one().service.names = {"en": "Streetlight\nis\u2028out", "es": "Luz"}
    (letter,) = post.round()
    assert letter["Subject"].startswith("Streetlight is out: ")


def test_a_damaged_photo_costs_the_picture_and_not_the_letter() -> None:
    whole = processing.small((LAMPS / "lamp-before.jpg").read_bytes(), 25_000)
    frame = whole.index(b"\xff\xc2") + 5  # where the frame says its height and width
    for broken in (whole[:frame] + b"\xff\xff\xff\xff" + whole[frame + 4 :], b"", whole[:200], b"no photo"):
        with pytest.raises(BadPhoto):
            processing.small(broken, 25_000)


class TestOnAnOrdinaryHost:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, base_url="https://311.springfield.example.gov")

    def test_a_mail_program_can_read_where_the_news_ends(
        self, town: Town, app: Flask, post: Post, secret: str
    ) -> None:
        told(town, app, secret)
        (letter,) = post.round()
        heads = letter.as_bytes().partition(b"\n\n")[0].decode("ascii")
        (line,) = [line for line in heads.splitlines() if line.startswith("List-Unsubscribe:")]
        assert line.startswith("List-Unsubscribe: <https://311.springfield.example.gov/news/")
        assert line.endswith(">")
