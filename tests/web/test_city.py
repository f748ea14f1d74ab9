"""What pages take from the city file: hours, colours, logo, routing; and new versions as they run."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from factories import Town
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from wording import shared

from city.config import city_file
from city.config import versions as config_versions
from city.db import engine as db
from city.db.models import Area, Crew, Service
from city.people import accounts
from city.settings import DEFAULT_CITY, Settings
from pwa.app import create_app
from pwa.web import access

TEXT = DEFAULT_CITY.read_text("utf-8")
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9v9z" fill="#a00"/></svg>'
HERE = ZoneInfo("America/New_York")
PUBLIC = ("/", "/report", "/login", "/nowhere")


@pytest.fixture
def apply(app: Flask, town: Town, now: datetime) -> Callable[[str], None]:
    """Makes a text the newest version and lets the seconds pass until the server looks."""

    def done(words: str) -> None:
        with db.transaction(town.engine) as s:
            config_versions.publish(s, words, "city.toml", by=accounts.THE_SYSTEM, at=now)
        app.config["NOW"] = app.config.get("NOW", now) + timedelta(seconds=4)

    return done


def words_of(client: FlaskClient, address: str, within: str = "html") -> str:
    page = client.get(address).get_data(as_text=True)
    found = re.search(rf"<{within}[^>]*>(.*)</{within}>", page, re.DOTALL)
    assert found
    return " ".join(re.sub(r"<[^>]+>", " ", found[1]).replace("\u00a0", " ").split())


def at(app: Flask, words: str) -> None:
    app.config["NOW"] = datetime.fromisoformat(words).replace(tzinfo=HERE)


class TestHours:
    @pytest.mark.parametrize(
        ("when", "says", "is_open"),
        [
            ("2026-05-12 09:30", shared.OPEN_UNTIL(time="7 pm"), True),
            ("2026-05-16 13:59", shared.OPEN_UNTIL(time="2 pm"), True),
            ("2026-05-12 05:00", shared.LINE_OPENS_TODAY(time="7 am"), False),
            ("2026-05-12 19:00", shared.LINE_OPENS_TOMORROW(time="7 am"), False),
            ("2026-05-16 14:00", shared.LINE_OPENS_ON(day="Monday", time="7 am"), False),
            # Monday is Memorial Day.
            ("2026-05-24 12:00", shared.LINE_OPENS_ON(day="Tuesday", time="7 am"), False),
        ],
    )
    def test_every_public_page_says_whether_somebody_answers(
        self, app: Flask, client: FlaskClient, when: str, says: str, is_open: bool
    ) -> None:
        at(app, when)
        for address in PUBLIC:
            foot = words_of(client, address, "footer")
            assert says in foot, address
            assert (shared.IN_AN_EMERGENCY(number=911) in foot) is not is_open

    def test_while_nobody_answers_a_page_offers_to_call_once(self, app: Flask, client: FlaskClient) -> None:
        for when, calls in (("2026-05-12 09:30", 2), ("2026-05-16 14:00", 1)):
            at(app, when)
            assert client.get("/answers?q=zeppelin").text.count('href="tel:311"') == calls

    def test_spanish_pages_name_the_day_in_spanish(self, app: Flask, client: FlaskClient) -> None:
        at(app, "2026-05-16 14:00")
        assert "lunes" in words_of(client, "/es/", "footer")

    def test_a_copy_that_is_kept_on_the_phone_has_no_hours(self, app: Flask, client: FlaskClient) -> None:
        assert shared.OPEN_UNTIL(time="7 pm") not in words_of(client, "/offline", "footer")

    def test_a_city_without_hours_says_nothing_of_them(
        self, client: FlaskClient, apply: Callable[[str], None]
    ) -> None:
        text = re.sub(r"\[calendars\.line\.hours\].*?(?=\n# Who)", "", TEXT, flags=re.DOTALL)
        apply(text.replace('hours = "line"\n', ""))
        foot = words_of(client, "/", "footer")
        assert shared.CALL(number=311) in foot
        assert shared.OPEN_UNTIL(time="7 pm") not in foot

    def test_a_line_that_never_closes_says_so(
        self, client: FlaskClient, apply: Callable[[str], None]
    ) -> None:
        week = "".join(f'{day} = "00:00-24:00"\n' for day in ("monday", "tuesday", "wednesday", "thursday",
                                                             "friday", "saturday", "sunday"))  # fmt: skip
        apply(re.sub(r"(\[calendars\.line\.hours\]\n).*?(?=\n# Who)", rf"\1{week}", TEXT, flags=re.DOTALL))
        assert shared.OPEN_ALWAYS in words_of(client, "/", "footer")


class TestVersions:
    def test_a_new_version_is_taken_up_without_a_restart(
        self, client: FlaskClient, apply: Callable[[str], None]
    ) -> None:
        assert "Larkhaven" in words_of(client, "/")
        apply(TEXT.replace('name = "Larkhaven"', 'name = "Tern Bay"', 1))
        assert "Tern Bay" in words_of(client, "/")
        assert "Larkhaven" not in words_of(client, "/")

    def test_between_two_looks_the_database_is_not_asked(
        self, app: Flask, client: FlaskClient, apply: Callable[[str], None], now: datetime
    ) -> None:
        client.get("/")
        apply(TEXT.replace('name = "Larkhaven"', 'name = "Tern Bay"', 1))
        app.config["NOW"] = now + timedelta(seconds=2)
        assert "Larkhaven" in words_of(client, "/")

    def test_languages_stay_until_the_next_start(
        self, client: FlaskClient, apply: Callable[[str], None]
    ) -> None:
        apply(_english_only(TEXT))
        assert 'hreflang="es"' in client.get("/").get_data(as_text=True)
        assert client.get("/es/").status_code == 200
        assert "Streetlight" in words_of(client, "/es/report")

    def test_a_file_that_is_broken_later_harms_nobody(
        self, town: Town, settings: Settings, tmp_path: Path, now: datetime
    ) -> None:
        path = tmp_path / "city.toml"
        path.write_text(TEXT.replace("# logo =", "logo ="), "utf-8")
        (tmp_path / "logo.svg").write_text(LOGO, "utf-8")
        with db.transaction(town.engine) as s:
            config_versions.publish(
                s, city_file.read_with_logo(path), path.name, by=accounts.THE_SYSTEM, at=now
            )
        path.write_text("name = ", "utf-8")
        (tmp_path / "logo.svg").unlink()
        app = create_app(Settings(**{**vars(settings), "city": path}), now=lambda: now)
        page = app.test_client().get("/").get_data(as_text=True)
        assert "Larkhaven" in page
        logo = re.search(r'rel="icon" href="([^"]+)"', page)
        assert logo
        assert app.test_client().get(logo[1]).get_data(as_text=True) == LOGO
        app.extensions["cityline"].engine.dispose()

    def test_a_version_that_cannot_be_read_changes_nothing_and_is_told_once(
        self,
        app: Flask,
        client: FlaskClient,
        town: Town,
        apply: Callable[[str], None],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        apply(TEXT.replace('name = "Larkhaven"', 'name = "Tern Bay"', 1))
        client.get("/")
        apply(TEXT)
        with db.transaction(town.engine) as s:
            s.execute(text("UPDATE city_versions SET text = 'name = ' WHERE number = 2"))
        assert "Tern Bay" in words_of(client, "/")
        app.config["NOW"] += timedelta(seconds=4)
        assert "Tern Bay" in words_of(client, "/")
        assert len([told for told in caplog.messages if told.startswith("version 2, line 1: ")]) == 1

    def test_the_setting_wins_over_what_the_file_publishes(
        self, app: Flask, client: FlaskClient, apply: Callable[[str], None], settings: Settings
    ) -> None:
        held: access.Cityline = app.extensions["cityline"]
        assert held.publish == "staff"
        apply(TEXT.replace('publish = "staff"', 'publish = "at_once"', 1))
        client.get("/")
        assert held.publish == "at_once"
        held.settings = Settings(**{**vars(settings), "publish": "on_accept"})
        assert held.publish == "on_accept"


class TestLook:
    def test_the_citys_colours_are_in_every_sheet_and_change_its_address(
        self, client: FlaskClient, apply: Callable[[str], None]
    ) -> None:
        before = _sheet_of(client)
        assert "#7a1f5c" not in client.get(before).get_data(as_text=True)
        apply(TEXT.replace("#0e4a86", "#7A1F5C", 1).replace("#ffb81c", "#8fe388", 1))
        after = _sheet_of(client)
        assert after != before
        sheet = client.get(after).get_data(as_text=True)
        assert "--brand:var(--day,#7a1f5c) var(--night,#" in sheet
        assert "--lamp:var(--day,#8fe388)" in sheet
        assert client.get("/manifest.webmanifest").json["theme_color"] == "#7a1f5c"
        assert " style=" not in client.get("/").get_data(as_text=True)

    def test_a_city_that_keeps_our_colours_pays_nothing(self, client: FlaskClient) -> None:
        sheet = client.get(_sheet_of(client)).get_data(as_text=True)
        assert "--brand:" in sheet
        assert "var(--day,#" not in sheet  # as the city's own are written

    def test_the_citys_logo_stands_where_ours_does(
        self, client: FlaskClient, apply: Callable[[str], None]
    ) -> None:
        assert "own-mark" not in client.get("/").get_data(as_text=True)
        apply(f"{TEXT.replace('# logo =', 'logo =')}\n[files]\n\"logo.svg\" = '{LOGO}'\n")
        page = client.get("/").get_data(as_text=True)
        found = re.search(r'<img class="own-mark" src="([^"]+)" alt="">', page)
        assert found
        logo = client.get(found[1])
        assert (logo.mimetype, logo.get_data(as_text=True)) == ("image/svg+xml", LOGO)
        assert "default-src 'self'" in logo.headers["Content-Security-Policy"]
        assert client.get("/favicon.ico").get_data(as_text=True) == LOGO
        assert [icon["src"] for icon in client.get("/manifest.webmanifest").json["icons"]] == [found[1]]

    @pytest.mark.parametrize(("prefix", "lang"), [("", "en"), ("/es", "es")])
    def test_each_language_has_its_own_manifest(self, client: FlaskClient, prefix: str, lang: str) -> None:
        page = client.get(f"{prefix}/").get_data(as_text=True)
        assert f'rel="manifest" href="{prefix}/manifest.webmanifest"' in page
        manifest = client.get(f"{prefix}/manifest.webmanifest").json
        assert manifest["lang"] == lang
        assert manifest["start_url"] == manifest["id"] == f"{prefix}/"
        assert (manifest["scope"], manifest["short_name"]) == ("/", "Larkhaven")

    def test_a_crew_s_app_opens_at_its_jobs(self, client: FlaskClient) -> None:
        manifest = client.get("/es/manifest.webmanifest?for=crew").json
        assert manifest["start_url"] == manifest["id"] == "/es/crew"
        assert client.get("/manifest.webmanifest?for=nonsense").json["start_url"] == "/"
        for icon in manifest["icons"]:
            assert client.get(icon["src"], buffered=True).status_code == 200


class TestRouting:
    @pytest.fixture
    def drawer(self, log_in: Callable[[str], FlaskClient], town: Town) -> Callable[[], list[str]]:
        with town.at_work() as scene:
            number = scene.report().case.number
            clean = Crew(name="clean", department_code="works")
            scene.s.add(clean)

        def crews() -> list[str]:
            page = log_in("dispatcher").get(f"/dispatch/cases/{number}?do=assign").get_data(as_text=True)
            listed = page.partition('id="do-assign"')[2].partition("</ol>")[0]
            return re.findall(r"<span>(\w+)", listed)

        return crews

    def test_without_a_rule_the_departments_crew_stands_first(
        self, town: Town, drawer: Callable[[], list[str]]
    ) -> None:
        with db.transaction(town.engine) as s:
            s.get_one(Service, "light-out").department_code = "works"
        assert drawer() == ["clean", "lights", "trees"]

    def test_a_rule_for_an_area_puts_its_crew_first(
        self, town: Town, drawer: Callable[[], list[str]], apply: Callable[[str], None]
    ) -> None:
        rule = '[[routing]]\narea = "North"\ndepartment = "trees"\ncrew = "trees"\n'
        apply(TEXT.replace("[[routing]]", f"{rule}\n[[routing]]", 1))
        assert drawer()[0] != "trees"
        with db.transaction(town.engine) as s:
            s.add(Area(kind="ward", name="North", geometry=_square(39.5, 39.7)))
            s.add(Area(kind="ward", name="South", geometry=_square(39.3, 39.5)))
        assert drawer()[0] == "trees"


def _square(south: float, north: float) -> dict[str, object]:
    corners = [[-71.3, south], [-71.1, south], [-71.1, north], [-71.3, north], [-71.3, south]]
    return {"type": "Polygon", "coordinates": [corners]}


def _sheet_of(client: FlaskClient) -> str:
    found = re.search(r'rel="stylesheet" href="([^"]+)"', client.get("/").get_data(as_text=True))
    assert found
    return found[1]


def _english_only(words: str) -> str:
    return re.sub(r', es = "[^"]*"', "", words).replace('languages = ["en", "es"]', 'languages = ["en"]')
