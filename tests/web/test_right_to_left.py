"""A language is one folder: one that nobody speaks, from right to left, read on every page.

The city's own words are in it too, and people write Cyrillic here: whatever stands in Latin letters is a
sentence that was forgotten.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path

import letterbox
import pseudo
import pytest
from factories import LAMP, Town
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse
from wording import resident

from city import settings as city_settings
from city.answers import articles
from city.answers.articles import Draft, Text
from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Area, Crew, Department, Person, Report, Service, Subscription
from city.notifications import fan_out, outbox
from city.people import contacts
from city.people.contacts import Conversation
from city.photos import photos, storage
from city.reports import intake
from city.settings import Settings, WrongSetting
from pwa.messages import report_messages
from pwa.web import access

pytestmark = pytest.mark.one_database

OURS = "Темно с воскресенья"
SECRET = "right to left"
ROLES = ("rosa", "dispatcher", "supervisor", "call-taker", "manager", "administrator")
# Names and units that are so in every language, and what is written for machines.
AS_IT_IS = re.compile(
    r"\{\w+\}|[\w.+-]+@[\w.-]+|https?://\S+|/[\w/.-]+|\b\d{2}-\d{6}(-[A-Z])?\b|\b[0-9a-f-]{16,}\b|"
    r"\b(Cityline|Open311|GeoJSON|JSON|CSV|GPS|SMS|KB|MB|km|min|English|Español)\b"
)
WORD = re.compile(r"[A-Za-z]{2,}")
SPOKEN = ("aria-label", "title", "placeholder", "alt", "label", "content", "value")
VOID = ("area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr", "use")
PHYSICAL = (
    r"(?<![\w.-])(?:(?:margin|padding|border)-)?(?:left|right)(?:-\w+)?: |text-align: (?:left|right)|float: "
)
DIRECTED = r'icon\("(?:arrow-left|chevron-right|send|undo-2)"[^)]*\)'
KEYS = ("data-word", "data-outcome")
# For machines: what it holds is chosen, sent or looked up, and seen by nobody.
SILENT = {"script", "style", "code", "kbd", "pre"}


@dataclass
class Full:
    """What stands in an address: of a town in which everything has happened once."""

    number: str = "26-000001"
    photo_id: str = "x"
    slug: str = "x"
    token: str = "x"


class Read(HTMLParser):
    """What a page says: its language, and each piece of text in Latin letters with where it stands."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.root: dict[str, str | None] = {}
        self._silent: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "html":
            self.root = told
        silent = self._is_silent or tag in SILENT or told.get("lang") not in (None, pseudo.CODE)
        for name, value in attrs:
            spoken = name in SPOKEN and not (name == "value" and told.get("type") != "submit")
            spoken = spoken and not (name == "content" and told.get("name") != "description")
            sentence = (
                name.startswith("data-")
                and name not in KEYS
                and re.search(r"[a-z]{2,} [a-z]{2,}", value or "")
            )
            if (spoken or sentence) and not silent:
                self._say(f"{tag} {name}", value or "")
        if tag not in VOID:
            self._silent.append((tag, silent))

    def handle_endtag(self, tag: str) -> None:
        while self._silent and self._silent.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not self._is_silent:
            self._say(self._silent[-1][0] if self._silent else "", data)

    @property
    def _is_silent(self) -> bool:
        return bool(self._silent) and self._silent[-1][1]

    def _say(self, where: str, words: str) -> None:
        if WORD.search(AS_IT_IS.sub("", words)) or re.search(r"%\(\w+\)|%[sd]\b", words):
            self.found.append(f"{where}: {' '.join(words.split())[:90]}")


@pytest.fixture(scope="session")
def translations(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(pseudo.catalogue(tmp_path_factory.mktemp("languages") / "translations"))


@pytest.fixture
def settings(settings: Settings, translations: str, tmp_path: Path) -> Settings:
    """A city that speaks it, by its folder and its city file alone."""
    file = tmp_path / "city.toml"
    file.write_text(pseudo.city(settings.city.read_text()))
    return replace(settings, city=file, translations=translations)


@pytest.fixture
def town(town: Town) -> Town:
    """The town whose people write Cyrillic."""
    with town.at_work() as scene:
        for named in (Person, Crew, Area):
            for each in scene.s.query(named):
                each.name = "".join(chr(0x430 + ord(letter) % 32) for letter in each.name)
        for called in (Service, Department):
            for each in scene.s.query(called):
                each.names = each.names | {pseudo.CODE: OURS}
    return town


@pytest.fixture
def full(town: Town, app: Flask, settings: Settings) -> Full:
    """Cases in every state, a photo, notes, an answer and a call."""
    place = replace(LAMP, label="Садовая 12")
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        told = scene.report(words=OURS, place=place, taken=[scene.photo()], key="full")
        intake.subscribe(scene.s, told, "reader@town.test", lang=pseudo.CODE, at=town.now)
        transitions.note(scene.s, told.case, OURS, by=by, at=town.now)
        transitions.accept(scene.s, told.case, by=by, at=town.now)
        scene.assigned(words=OURS, place=place)
        waits = scene.report(words=OURS, place=place).case
        transitions.wait(scene.s, waits, "utility", by=by, at=town.now)
        closed = scene.report(words=OURS, place=place).case
        transitions.close(
            scene.s,
            closed,
            Closing("fixed", words=OURS, photos=[scene.photo("gold", "person:1")]),
            by=by,
            at=town.now,
        )
        merged = scene.report(words=OURS, place=place).case
        transitions.merge(scene.s, merged, told.case, by=by, at=town.now)
        cancelled = scene.report(words=OURS, place=place).case
        transitions.cancel(scene.s, cancelled, "spam", by=by, at=town.now)
        text = {lang: Text(OURS, OURS, OURS) for lang in ("en", pseudo.CODE)}
        draft = Draft("clerk", "dogs", town.now.date(), text, ())
        articles.publish(scene.s, "d-1", draft, by=scene.actor("call-taker"), at=town.now)
        contacts.log(
            scene.s,
            Conversation("a" * 32, "phone", town.now - timedelta(minutes=2), 60, "dogs", "answered"),
            by=by,
            at=town.now,
        )
        found = Full(told.case.number, slug="d-1", token=intake.token_for(SECRET, "full"))
        report_id = told.id
    photos.move_staged_to_storage(town.engine, storage.open_store(settings), settings.var, town.now)
    with town.looking() as scene:
        found.photo_id = scene.s.get_one(Report, report_id).photos[0].id
    return found


def test_the_folder_alone_makes_the_language(client: FlaskClient, translations: str) -> None:
    page = client.get("/ar/").text
    assert '<html lang="ar" dir="rtl"' in page
    assert pseudo.words(resident.HOME_TITLE) in page
    for code, path in (("en", "/"), ("es", "/es/")):
        assert f'href="{path}" lang="{code}" hreflang="{code}"' in page
    assert 'href="/ar/" lang="ar" hreflang="ar"' in client.get("/").text
    manifest = client.get("/ar/manifest.webmanifest").json
    assert manifest is not None
    assert (manifest["lang"], manifest["dir"], manifest["start_url"]) == ("ar", "rtl", "/ar/")
    assert all(each["url"].startswith("/ar/") for each in manifest["shortcuts"])
    worker = client.get("/sw.js").text
    assert all(path in worker for path in ('"/ar/"', '"/ar/report"', '"/ar/crew"', '"/ar/share"'))


def test_a_folder_without_a_language_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match=r"CITYLINE_TRANSLATIONS: there's no .*messages\.mo"):
        city_settings.read({"CITYLINE_VAR": str(tmp_path), "CITYLINE_TRANSLATIONS": str(tmp_path)})


def test_every_plural_of_the_language_reaches_the_crew_s_phone(client: FlaskClient) -> None:
    page = client.get("/ar/crew").text
    for form in ("zero", "one", "two", "few", "many", "other"):
        assert f'data-word="jobs.{form}"' in page


def test_nothing_in_the_code_names_a_language_but_its_source() -> None:
    """In the other places where "en" stands it is a database's default, or data of the demo."""
    named = re.compile(r"""lang(uage)?(\(\))? ?[=!]=+ ?["'][a-z]{2}["']|["']/es/""")
    for folder in ("pwa", "sync", "city"):
        for file in (pseudo.ROOT / folder).rglob("*.*"):
            theirs = {"vendor", "demo"} & set(file.parts)
            if file.suffix in (".py", ".js", ".html") and not theirs:
                assert not named.search(file.read_text("utf-8")), file


def test_an_icon_with_a_direction_turns_with_the_language() -> None:
    for file in (pseudo.ROOT / "pwa" / "templates").rglob("*.html"):
        for told in re.findall(DIRECTED, file.read_text("utf-8")):
            assert "true" in told, f"{file.name}: {told}"


def test_no_style_knows_left_from_right() -> None:
    """But for the map's own corners, which Leaflet calls so."""
    for file in (pseudo.ROOT / "pwa" / "static" / "css").rglob("*.css"):
        styles = file.read_text("utf-8")
        assert not re.findall(PHYSICAL, styles), file.name
        for name, values in re.findall(r"(?<![\w-])(padding|margin|inset): ([^;{}]+);", styles):
            while "(" in values:  # a function is one value, however many words it has
                values = re.sub(r"[\w-]*\(([^()]*)\)", lambda found: found[1].replace(" ", "_"), values)
            sides = values.split()
            assert len(sides) < 4 or sides[1] == sides[3], f"{file.name}: {name}: {values}"


def test_the_reader_finds_what_was_forgotten() -> None:
    page = Read()
    page.feed('<p>Send</p><p lang="en">Send</p><a title="Send now">\u0627</a>')
    page.feed("<b>26-000001 \u0627 40 km</b><i>%(n)s</i>")
    assert page.found == ["p: Send", "a title: Send now", "i: %(n)s"]


@pytest.mark.parametrize("state", ["empty", "full"])
@pytest.mark.slow
def test_every_page_speaks_it(
    state: str, request: pytest.FixtureRequest, app: Flask, town: Town, log_in: Callable[..., FlaskClient]
) -> None:
    full = request.getfixturevalue("full") if state == "full" else Full()
    wrong: dict[str, str] = {}
    read = 0
    for name in (None, *ROLES):
        client = log_in(name) if name else app.test_client()
        for address in addresses(app, full, town, name):
            response = client.get(f"/{pseudo.CODE}{address}", buffered=True)
            read += judged(response, f"{address} as {name}", wrong)
    assert not wrong, "\n".join(f"{told} ({where})" for told, where in wrong.items())
    assert read > 100


@pytest.mark.slow
def test_every_fault_is_told_in_it(
    app: Flask, town: Town, full: Full, log_in: Callable[..., FlaskClient], token: Callable[[], str]
) -> None:
    """Each form, sent with nothing in it."""
    wrong: dict[str, str] = {}
    read = 0
    for name in ("dispatcher", "administrator"):
        client = log_in(name)
        for rule in app.url_map.iter_rules():
            if "POST" not in (rule.methods or ()) or rule.endpoint.startswith(("account", "open311", "sync")):
                continue
            if may(town, name, rule.endpoint):
                path = filled(rule, full)
                sent = client.post(f"/{pseudo.CODE}{path}", data={"csrf_token": token()}, buffered=True)
                read += judged(sent, f"POST {path} as {name}", wrong)
    for path in ("/no-such-page", "/case/none"):
        missing = client.get(f"/{pseudo.CODE}{path}")
        assert missing.status_code == 404
        read += judged(missing, path, wrong)
    assert not wrong, "\n".join(f"{told} ({where})" for told, where in wrong.items())
    assert read > 40


def test_every_letter_speaks_it(app: Flask, town: Town, full: Full) -> None:
    """What a reporter is told: that it has come, what came, that it is done, and that it is open again."""
    sent: list[EmailMessage] = []

    class Box:
        def send(self, message: EmailMessage) -> None:
            sent.append(message)

    def told() -> None:
        with town.at_work() as scene:
            fan_out.process_events(scene.s, town.now)
        outbox.send_due(town.engine, {"email": Box()}, report_messages.render(app), town.now)

    told()
    with town.at_work() as scene:
        [wish] = scene.s.query(Subscription)
        intake.confirm(scene.s, wish, at=town.now)
        case, by = scene.case(full.number), scene.actor("dispatcher")
        transitions.close(scene.s, case, Closing("fixed", no_photo="dark", words=OURS), by=by, at=town.now)
    told()
    with town.at_work() as scene:
        transitions.reopen(scene.s, scene.case(full.number), by=scene.actor("dispatcher"), at=town.now)
    told()
    assert len(sent) == 4
    for letter in sent:
        for told_there in (f"<p>{letter['Subject']}\n{letterbox.text(letter)}</p>", letterbox.html(letter)):
            page = Read()
            page.feed(told_there)
            assert page.found == []
        assert page.root
        assert (page.root["lang"], page.root["dir"]) == (pseudo.CODE, "rtl")


def judged(response: TestResponse, where: str, wrong: dict[str, str]) -> int:
    """Notes what is wrong with a page; 1 where it was one."""
    if response.mimetype != "text/html" or not response.text.strip():
        return 0
    page = Read()
    page.feed(response.text)
    if page.root and (page.root.get("lang"), page.root.get("dir")) != (pseudo.CODE, "rtl"):
        wrong[f"{page.root}"] = where
    for each in page.found:
        wrong.setdefault(each, where)
    return 1


def addresses(app: Flask, full: Full, town: Town, name: str | None) -> Iterator[str]:
    """Every page that this person may open; what anybody may, for nobody in particular and one of staff."""
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.endpoint.startswith(("open311", "sync")):
            continue
        if rule.endpoint in ("shell.static", "shell.readyz", "account.use_link"):
            continue
        anybody = access.roles_for(rule.endpoint) == access.PUBLIC
        if name in (None, "dispatcher") if anybody else name and may(town, name, rule.endpoint):
            yield filled(rule, full)
    if name is None:
        yield from (
            f"/s/{full.token}",
            "/answers?q=цеппелин",
            "/cases?state=closed",
            "/trash-day?lat=39.6&lon=-71.2",
        )
    if name == "dispatcher":
        yield from ("/dispatch?words=цеппелин", *(f"/dispatch/cases/{full.number}?do={do}" for do in DEEDS))


DEEDS = ("assign", "wait", "close", "merge", "cancel", "note", "unassign", "resume")


def may(town: Town, name: str, endpoint: str) -> bool:
    roles = access.roles_for(endpoint)
    with town.looking() as scene:
        return roles == access.PUBLIC or bool(scene.actor(name).roles.intersection(roles))


def filled(rule: Rule, full: Full) -> str:
    known = vars(full) | {"size": "page", "name": "x", "path": "x"}
    parts = [known.get(part, "1") if is_argument else part for is_argument, part in rule._trace]
    return "".join(parts).lstrip("|")
