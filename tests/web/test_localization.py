"""How the same instant, length and number read by language and region."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from flask import Flask
from flask_babel import gettext, ngettext
from wording import shared

from pwa.web import localization

JS = Path(__file__).parents[2] / "pwa" / "static" / "js" / "lib" / "localized.js"
AT = datetime(2026, 12, 4, 22, 12, tzinfo=UTC)  # 5:12 in the afternoon in Larkhaven
NOON = datetime(2026, 12, 5, 1, 0, tzinfo=UTC)  # 8 in the evening
LAST_YEAR = datetime(2025, 12, 4, 22, 12, tzinfo=UTC)
METERS = (3, 12, 40, 180, 200, 290, 304, 305, 650, 1_150, 1_234, 40_000)
Reader = Callable[[str, str], AbstractContextManager[None]]


@pytest.fixture
def reader(app: Flask) -> Reader:
    """Somebody who reads a language in a city of a region: `with reader("es", "US"):`."""
    held = app.extensions["cityline"]

    @contextmanager
    def reading(lang: str, region: str) -> Iterator[None]:
        own, held.city = held.city, replace(held.city, region=region)
        try:
            with app.test_request_context(environ_overrides={"cityline.lang": lang}):
                yield
        finally:
            held.city = own

    return reading


def plain(words: str) -> str:
    return words.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("lang", "region", "row", "sentence", "clock", "hour", "number"),
    [
        ("en", "US", "Fri, Dec 4", "Friday, December 4", "5:12 pm", "8 pm", "16,494"),
        ("es", "US", "vie, 4 de dic", "viernes, 4 de diciembre", "5:12 p.m.", "8 p.m.", "16,494"),
        ("en", "GB", "Fri 4 Dec", "Friday 4 December", "17:12", "20:00", "16,494"),
        ("es", "ES", "vie, 4 dic", "viernes, 4 de diciembre", "17:12", "20:00", "16.494"),
        ("es", "GB", "vie, 4 dic", "viernes, 4 de diciembre", "17:12", "20:00", "16.494"),
        ("fr", "US", "ven. 4 déc.", "vendredi 4 décembre", "5:12 pm", "8 pm", "16\u202f494"),
        ("en", "CA", "Fri, Dec 4", "Friday, December 4", "5:12 p.m.", "8 p.m.", "16,494"),
    ],
)
def test_a_region_has_its_own_days_clocks_and_numbers(
    reader: Reader,
    lang: str, region: str, row: str, sentence: str, clock: str, hour: str, number: str,
) -> None:  # fmt: skip
    with reader(lang, region):
        assert plain(localization.day(AT)) == row
        assert plain(localization.long_day(AT)) == sentence
        assert [plain(localization.clock(at)) for at in (AT, NOON)] == [clock, hour]
        assert localization.figure(16_494) == number


def test_another_year_is_named(reader: Reader) -> None:
    with reader("en", "US"):
        assert plain(localization.day(LAST_YEAR)) == "Dec 4, 2025"
        assert plain(localization.long_day(LAST_YEAR)) == "Thursday, December 4, 2025"
    with reader("en", "GB"):
        assert plain(localization.day(LAST_YEAR)) == "4 Dec 2025"


@pytest.mark.parametrize(
    ("region", "told"),
    [
        ("US", ["10 ft", "40 ft", "130 ft", "600 ft", "650 ft", "950 ft", "0.2 mi", "0.2 mi", "0.4 mi",
                "0.7 mi", "0.8 mi", "24.9 mi"]),
        ("GB", ["3 m", "12 m", "40 m", "180 m", "200 m", "290 m", "300 m", "300 m", "650 m",
                "1.2 km", "1.2 km", "40 km"]),
    ],
)  # fmt: skip
def test_lengths_are_feet_and_miles_in_the_us(reader: Reader, region: str, told: list[str]) -> None:
    with reader("en", region):
        assert [plain(localization.distance(meters)) for meters in METERS] == told


def test_lengths_that_no_place_has_are_written_all_the_same(reader: Reader) -> None:
    for lang, region in (("en", "US"), ("es", "GB")):
        with reader(lang, region):
            for meters in (-1, 10**40, float("inf"), float("-inf"), float("nan")):
                assert plain(localization.distance(meters)) in ("0 ft", "24,854.8 mi", "0 m", "40.000 km")
            assert localization.figure(10**26).startswith("1")


def test_a_region_or_language_that_the_cldr_lacks_breaks_no_page(reader: Reader) -> None:
    for lang, region in (("en", "AS"), ("es", "WS"), ("en", "TK"), ("hmn", "US"), ("sm", "AS")):
        with reader(lang, region):
            assert localization.day(AT)
            assert localization.long_day(AT)
            assert localization.clock(AT)
            assert localization.for_scripts()


def test_a_long_day_breaks_after_its_comma_only(reader: Reader) -> None:
    with reader("en", "US"):
        assert localization.long_date(date(2026, 12, 4)) == "Friday, December\u00a04"
    with reader("es", "US"):
        assert localization.long_date(date(2026, 12, 4)) == "viernes, 4\u00a0de\u00a0diciembre"


def test_a_clock_that_ends_with_a_point_ends_its_sentence(app: Flask, reader: Reader) -> None:
    with reader("es", "US"):
        said = gettext("Open now until %(time)s.", time=localization.clock(NOON))
        assert plain(said) == plain(shared.OPEN_UNTIL.es(time="8 p.m."))
        page = app.jinja_env.from_string('{{ _("Open now until %(time)s.", time=at|clock) }}').render(at=NOON)
        assert page == said
        assert localization.stopped(localization.clock(NOON)) == localization.clock(NOON)
    with reader("en", "US"):
        said = gettext("Open now until %(time)s.", time=localization.clock(NOON))
        assert plain(said) == shared.OPEN_UNTIL(time="8 pm")


def test_a_count_in_a_sentence_is_grouped(app: Flask, reader: Reader) -> None:
    with reader("en", "US"):
        assert gettext("Version %(number)d", number=1234) == "Version 1,234"
        assert ngettext("%(num)d photo", "%(num)d photos", 16494) == "16,494 photos"
        words = app.jinja_env.from_string('{{ ngettext("%(num)d <b>", "%(num)d <b>s", 1234) }}').render()
        assert words == "1,234 <b>s"
    with reader("es", "US"):
        assert "1,234" in app.jinja_env.from_string('{{ _("Version %(number)d", number=1234) }}').render()


@pytest.mark.parametrize(
    ("lang", "region"),
    [
        ("en", "US"),
        ("es", "US"),
        ("en", "GB"),
        ("es", "ES"),
        ("fr", "FR"),
        ("ru", "RU"),
        ("pl", "US"),
        ("ar", "US"),
        ("pt", "US"),
        ("fi", "FI"),
        ("fa", "IR"),
        ("de", "DE"),
        ("uk", "UA"),
        ("ja", "US"),
    ],
)
def test_a_crews_phone_writes_what_a_page_writes(app: Flask, reader: Reader, lang: str, region: str) -> None:
    with reader(lang, region):
        formats = localization.for_scripts()
        wanted = [localization.day(at) for at in (AT, NOON, LAST_YEAR)]
        wanted += [localization.clock(at) for at in (AT, NOON)]
        # crew/phrases.js sets a length apart by itself, where a page runs from right to left.
        wanted += [localization.distance(meters).strip("\u2068\u2069") for meters in METERS]
        zone = app.extensions["cityline"].city.time_zone.key
        today = localization.access.now()
    days = [at.timestamp() for at in (AT, NOON, LAST_YEAR)]
    script = f"""
        import {{ localized }} from {json.dumps(JS.as_uri())};
        const {{ day, clock, distance }} = localized({json.dumps(formats)}, {json.dumps(zone)});
        const ms = (at) => at * 1000;
        console.log(JSON.stringify([
          ...{days}.map((at) => day(ms(at), ms({today.timestamp()}))),
          ...{days[:2]}.map((at) => clock(ms(at))),
          ...{list(METERS)}.map(distance),
        ]));
    """
    said = subprocess.run(
        ["node", "--input-type=module", "-"], input=script, capture_output=True, text=True, check=True
    )
    assert json.loads(said.stdout) == wanted
