"""The city file: Larkhaven's own is whole, and a wrong one says on which line, what and how."""

import re
import tomllib
from collections.abc import Callable
from datetime import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from city.config import branding, city_file, toml_table
from city.config import versions as config_versions
from city.config.branding import Look
from city.config.city_file import CityFile, CityFileError
from city.demo import ground as demo_ground
from city.settings import DEFAULT_CITY

ROOT = Path(__file__).parents[3]
STEPS = ("00", "33", "66", "99", "cc", "ff")
PROMISE = "promise_days = 3"
CHOICES = """values = [
  { code = "yes", words = { en = "Yes", es = "Sí" } },
  { code = "partly", words = { en = "Partly", es = "En parte" } },
  { code = "no", words = { en = "No", es = "No" } },
]"""


@pytest.fixture(scope="module")
def larkhaven() -> CityFile:
    return city_file.load(DEFAULT_CITY)


def test_larkhaven_says_who_and_where_it_is(larkhaven: CityFile) -> None:
    assert (larkhaven.name, larkhaven.phone, larkhaven.emergency) == ("Larkhaven", "311", "911")
    assert larkhaven.time_zone == ZoneInfo("America/New_York")
    assert larkhaven.languages == ("en", "es")
    assert larkhaven.centre == demo_ground.CENTRE


def test_every_tile_has_one_default_and_three_to_six_chips(larkhaven: CityFile) -> None:
    groups = [group.code for group in larkhaven.groups_for_residents]
    assert groups == ["streetlight", "tree", "trash", "other"]
    for group in larkhaven.groups_for_residents:
        assert larkhaven.default_of(group.code).group == group.code
        assert 3 <= len(larkhaven.of_group(group.code)) <= 6


def test_danger_and_privacy_are_marked(larkhaven: CityFile) -> None:
    assert {s.code for s in larkhaven.services if s.urgent} == {"wire-down", "tree-on-wire"}
    assert [s.code for s in larkhaven.for_residents if s.private] == ["home-nuisance"]


def test_no_report_needs_typed_words(larkhaven: CityFile) -> None:
    assert not any(question.required for service in larkhaven.services for question in service.questions)


def test_the_drawn_city_lies_within_its_bounds(larkhaven: CityFile) -> None:
    for xy in demo_ground.BOUNDARY.exterior.coords:
        point = demo_ground.on_earth(*xy)
        assert larkhaven.bounds.south < point.lat < larkhaven.bounds.north
        assert larkhaven.bounds.west < point.lon < larkhaven.bounds.east


WORDS_KEPT = 'words = "3 years"'
WRONG = [
    ('name = "Larkhaven"', 'name = "Larkhaven', "line 4: this line: Illegal character"),
    ('name = "Larkhaven"', "name = 'x'\nname = 'y'", "line 5: this line: Cannot overwrite a value"),
    ('name = "Larkhaven"', "", 'city.toml: name: is missing. Example: name = "Larkhaven"'),
    ('name = "Larkhaven"', "name = 311", "line 4: name: 311 isn't text in quotes"),
    ('"America/New_York"', '"America/Larkhaven"', "line 5: time_zone: 'America/Larkhaven' isn't a time zone"),
    ('"America/New_York"', '"../etc"', "line 5: time_zone: '../etc' isn't a time zone"),
    ('time_zone = "America/New_York"', "", "city.toml: time_zone: is missing"),
    ('languages = ["en", "es"]', 'languages = "en"', "line 6: languages: 'en' isn't a list of text in"),
    ('languages = ["en", "es"]', 'languages = ["en", "en"]', "line 6: languages: 'en' isn't a language, or"),
    ('languages = ["en", "es"]', 'languages = ["en", "es-MX"]', "languages: 'es-MX' isn't a language"),
    ('phone = "311"', "phone = 311", "line 7: phone: 311 isn't text in quotes"),
    ("[39.60, -71.20]", "[-71.20, 39.60]", "line 11: centre: is outside bounds"),
    ("[39.60, -71.20]", "[39.60, true]", "line 11: centre: [39.6, True] isn't a list of 2 numbers"),
    ("[39.583, -71.222, 39.617, -71.178]", "[39.617, 0, 39.5, 1]", "line 12: bounds: must be in the order"),
    ('publish = "staff"', 'publish = "soon"', "line 13: publish: 'soon' isn't one of at_once, on_accept"),
    ('primary = "#0e4a86"', 'primary = "#ffb81c"', "primary: #ffb81c has a contrast of 1.5 against light"),
    ('primary = "#0e4a86"', 'primary = "blue"', "look.primary: 'blue' isn't a color with six"),
    ('accent = "#ffb81c"', 'accent = "#0e4a86"', "look.accent: #0e4a86 has a contrast of 1.8 against dark"),
    ('accent = "#ffb81c"', 'acent = "#ffb81c"', "line 18: look.acent: isn't a known key"),
    ('# logo = "logo.svg"', 'logo = "gone.svg"', "line 19: look.logo: 'gone.svg' can't be read"),
    ('# logo = "logo.svg"', 'logo = "../logo.svg"', "look.logo: '../logo.svg' isn't next to"),
    ('monday = "07:00-19:00"', 'monday = "7-19"', "line 24: calendars.line.hours.monday: '7-19' isn't a"),
    ('monday = "07:00-19:00"', 'monday = "19:00-07:00"', "hours.monday: '19:00-07:00' isn't in order"),
    ('monday = "07:00-19:00"', 'monday = "07:00-24:30"', "hours.monday: '07:00-24:30' isn't a time range"),
    ('monday = "07:00-19:00"', 'monday = ["13:00-24:00", "08:00-12:00"]', "'08:00-12:00' isn't in order"),
    ('monday = "07:00-19:00"', 'mon = "07:00-19:00"', "calendars.line.hours.mon: isn't a known key"),
    ('country = "US"', 'country = "USA!"', "holidays.country: there are no known holidays for 'USA!'"),
    ('state = "NY"', 'state = "New York"', "calendars.line.holidays.state: 'New York' isn't one of AK, AL"),
    ('"Election Day"]', '"Pie Day"]', "holidays.worked: 'Pie Day' isn't one of its holidays: Christ"),
    ("own = [2026-12-24,", 'own = ["2026-12-24",', "holidays.own: isn't a list of dates without quotes"),
    ("own = [2026-12-24,", "own = [2026-12-24T08:00:00,", "holidays.own: isn't a list of dates without"),
    ("[calendars.line.holidays]", "[calendars.line.holiday]", "calendars.line.holiday: isn't a known key"),
    ("[calendars.line.hours]", "[calendars.line.times]", "calendars.line.times: isn't a known key"),
    (PROMISE, "promise_days = 0", "light-out.promise_days: 0 isn't a whole number from 1 to 365"),
    (PROMISE, "promise_days = true", "services.light-out.promise_days: True isn't a whole number"),
    (PROMISE, "promise_days = 1.5", "services.light-out.promise_days: 1.5 isn't a whole number"),
    (PROMISE, "promise_day = 3", "services.light-out.promise_days: is missing, but line 124 has promise"),
    (PROMISE, f"{PROMISE}\nprivat = true", "services.light-out.privat: isn't a known key"),
    (PROMISE, f'{PROMISE}\nprivate = "yes"', "services.light-out.private: 'yes' isn't true or false"),
    (PROMISE, f'{PROMISE}\ncalendar = "desk"', "calendar: 'desk' isn't one of collection, field"),
    ("late_days = 10", "late_days = 0", "escalation.late_days: 0 isn't a whole number from 1 to 365"),
    ("late_days = 10", "late_hours = 10", "escalation.late_hours: isn't a known key"),
    (PROMISE, "promise_hours = -8", "light-out.promise_hours: -8 isn't a whole number from 1 to 2000"),
    (PROMISE, f"{PROMISE}\npromise_hours = 8", "light-out.promise_hours: promise_days is set too"),
    ('calendar = "field" ', 'calendar = "fields"', "departments.clean.calendar: 'fields' isn't one of co"),
    (PROMISE, f"{PROMISE}\npromise_hours = 0", "promise_hours: 0 isn't a whole number from 1 to 2000"),
    (PROMISE, f"{PROMISE}\nprecision_m = -1", "precision_m: -1 isn't a whole number from 0 to 5000"),
    ('department = "lights"', 'department = "light"', "light-out.department: 'light' isn't one of"),
    ('es = "Luz de la calle apagada"', 'pt = "Poste apagado"', "services.light-out.names.es: is missing"),
    ('{ en = "Out", es = "Apagada" }', '{ en = "Out", es = " " }', "light-out.chips.es: ' ' isn't"),
    ('{ en = "Out", es = "Apagada" }', '"Out"', "light-out.chips: 'Out' isn't text by language"),
    ('asset_kind = "pole"', 'asset_kind = "lamp"', "services.light-out.asset_kind: 'lamp' isn't one of"),
    ("default = true", "default = false", "groups.streetlight: has 0 default services and needs exactly one"),
    (CHOICES, "values = []", "pole-damaged.questions[1].datatype: a singlevaluelist needs values"),
    ('datatype = "singlevaluelist"', 'datatype = "text"', "datatype: a text can't have values"),
    ('datatype = "singlevaluelist"', 'datatype = "words"', "pole-damaged.questions[1].datatype: 'words'"),
    ("[[services.limb-down.questions]]", "[services.limb-down.questions]", "questions: isn't a list"),
    ('{ code = "partly",', '{ cod = "partly",', "pole-damaged.questions[1].values[2].code: is missing"),
    (CHOICES, f'only_if = {{ question = "where", choices = ["x"] }}\n{CHOICES}', "only_if.question: 'where'"),
    ('service = "tree-on-wire"', 'service = "tree"', "routing[1].service: 'tree' isn't one of basket"),
    ('service = "tree-on-wire"', 'group = "trees"', "routing[1].group: 'trees' isn't one of office, other"),
    ('crew = "Lights 2"', "crew = 2", "routing[1].crew: 2 isn't text in quotes"),
    ('crew = "Lights 2"', 'person = "Luis"', "routing[1].person: isn't a known key"),
    ('service = "tree-on-wire"', 'department = "lights"\n[[routing]]', "every case matches it"),
    ("[departments.lights]", "[department.lights]", "'lights' isn't one of clean, clerk, finance"),
    ('region = "US"', 'area_code = "20 3"', "line 9: area_code: '20 3' isn't one to six digits"),
    ('region = "US"', 'region = "USA"', "line 9: region: 'USA' isn't a two-letter country code"),
    ('services = ["bulky-item", "dumping"]', 'services = ["sofa"]', "bulky-waste.services: 'sofa' isn't a s"),
    (WORDS_KEPT, 'words = "3"', "retention.words: '3' isn't a period from 30 days to 100 years. Ex"),
    (WORDS_KEPT, 'words = "29 days"', "retention.words: '29 days' isn't a period from 30 days to 100 years"),
    (WORDS_KEPT, 'words = "101 years"', "retention.words: '101 years' isn't a period from 30 days"),
    (WORDS_KEPT, 'words = "0 years"', "retention.words: '0 years' isn't a period"),
    (WORDS_KEPT, 'words = "99999 days"', "retention.words: '99999 days' isn't a period"),
    (WORDS_KEPT, "words = 3", "retention.words: 3 isn't text in quotes"),
    (WORDS_KEPT, 'photos = "3 years"', "retention.photos: isn't a known key. Example: one of ca"),
    (WORDS_KEPT, 'places = "street"', "retention.places: only works with words or private"),
    (WORDS_KEPT, 'words = "1 year"\nplaces = "town"', "retention.places: 'town' isn't one of exact, street"),
    ('phones = "3 years"', 'phones = "60 days"', "retention.phones: '60 days' isn't a period from 90 days"),
    ("[topics.taxes]", "[topics.taxes]\nnote = 1", "topics.taxes.note: isn't a known key"),
    (
        'es = "Impuestos" }\ndepartment = "finance"',
        'es = "Impuestos" }\ndepartment = "money"',
        "topics.taxes.department: 'money' isn't one of clean",
    ),
    ('es = "Impuestos" }', 'es = "" }', "topics.taxes.names.es: '' isn't text"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), WRONG)
def test_a_wrong_file_says_where_what_and_how(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = _changed(tmp_path, old, new)
    with pytest.raises(CityFileError, match=re.escape(says)) as fault:
        city_file.load(path)
    assert "Example: " in str(fault.value)
    missing_from_the_top = says.startswith("city.toml: ")
    assert str(fault.value).startswith("city.toml: " if missing_from_the_top else "city.toml, line ")


@pytest.mark.parametrize(("old", "new", "says"), [row for row in WRONG if "is missing" not in row[2]])
def test_the_line_that_is_named_holds_the_fault(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = _changed(tmp_path, old, new)
    with pytest.raises(CityFileError) as fault:
        city_file.load(path)
    assert fault.value.line is not None
    if fault.value.key != "this line":
        key = re.sub(r"\[\d+\]$", "", fault.value.key).rpartition(".")[2]
        assert key in path.read_text("utf-8").splitlines()[fault.value.line - 1]


def test_a_key_that_is_missing_is_missed_where_its_table_begins(tmp_path: Path) -> None:
    path = _changed(tmp_path, PROMISE, "")
    with pytest.raises(CityFileError) as fault:
        city_file.load(path)
    assert fault.value.line is not None
    assert path.read_text("utf-8").splitlines()[fault.value.line - 1] == "[services.light-out]"


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "city.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CityFileError, match="can't be read"):
        city_file.load(path)


SMALL = """
name = "Tinyville"
time_zone = "America/Chicago"
bounds = [41.0, -88.0, 42.0, -87.0]
[departments.works]
names = { en = "Works" }
[groups.street]
names = { en = "Street" }
[services.pothole]
group = "street"
default = true
names = { en = "Pothole" }
department = "works"
promise_days = 5
"""


SELDOM = """
[calendars.line.hours]
{}
[calendars.line.holidays]
country = "US"
"""


@pytest.mark.parametrize("hours", ['sunday = "08:00-08:30"', 'monday = "00:00-00:01"'])
def test_a_promise_that_its_calendar_cannot_hold_is_refused_where_it_stands(hours: str) -> None:
    text = SMALL.replace("promise_days = 5", "promise_hours = 2000") + SELDOM.format(hours)
    with pytest.raises(CityFileError, match="isn't open for 2000 hours within 25 years") as fault:
        city_file.parse(text, "small.toml")
    line = text.splitlines().index("promise_hours = 2000") + 1
    assert str(fault.value).startswith(f"small.toml, line {line}: services.pothole.promise_hours: ")
    assert str(fault.value).endswith("Example: promise_hours = 16")


def test_a_promise_that_takes_its_calendar_years_is_kept() -> None:
    text = SMALL.replace("promise_days = 5", "promise_hours = 500") + SELDOM.format('sunday = "08:00-08:30"')
    assert city_file.parse(text, "small.toml").services[0].promise_hours == 500


def test_a_small_file_is_enough() -> None:
    city = city_file.parse(SMALL, "small.toml")
    assert (city.languages, city.phone, city.emergency, city.publish) == (("en",), "311", "911", "staff")
    assert city.centre == (41.5, -87.5)
    assert (city.line, city.routing, city.look) == (None, (), Look())
    assert city.services[0].chips == {"en": "Pothole"}


@pytest.mark.parametrize(
    ("change", "name"), [('\ncalendar = "collection"', "collection"), ("", "line")]
)  # fmt: skip
def test_working_hours_are_those_of_the_service_or_else_of_the_line(
    tmp_path: Path, change: str, name: str
) -> None:
    city = city_file.load(_changed(tmp_path, PROMISE, f"promise_hours = 16{change}"))
    service = city.services[0]
    assert (service.promise_days, service.promise_hours) == (0, 16)
    assert city.working(service) == city.calendars[name]


def test_a_department_has_working_hours_and_a_city_without_calendars_the_ordinary_ones() -> None:
    city = city_file.load(DEFAULT_CITY)
    basket = next(service for service in city.services if service.code == "basket-full")
    assert city.working(basket) == city.calendars["field"]
    small = city_file.parse(SMALL.replace("promise_days = 5", "promise_hours = 20"), "small.toml")
    office = small.working(small.services[0])
    assert [len(day) for day in office.hours] == [1, 1, 1, 1, 1, 0, 0]
    assert office.hours[0] == ((time(8), time(17)),)


def test_words_for_a_crew_stand_in_every_language(tmp_path: Path) -> None:
    kept = f'{PROMISE}\nhazard = {{ en = "Live wire.", es = "Con corriente." }}'
    assert city_file.load(_changed(tmp_path, PROMISE, kept)).services[0].hazard == {
        "en": "Live wire.", "es": "Con corriente."
    }  # fmt: skip
    with pytest.raises(CityFileError, match="hazard"):
        city_file.load(_changed(tmp_path, PROMISE, f'{PROMISE}\nhazard = {{ en = "Live wire." }}'))


LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9v9z" fill="#a00"/></svg>'


def test_a_version_carries_its_logo_so_that_nothing_else_is_needed(tmp_path: Path) -> None:
    path = _changed(tmp_path, '# logo = "logo.svg"', 'logo = "arms of «L».svg"')
    (tmp_path / "arms of «L».svg").write_text(LOGO, "utf-8")
    text = city_file.read_with_logo(path)
    (tmp_path / "arms of «L».svg").unlink()
    assert city_file.parse(text, "city.toml").look.logo == LOGO
    path.write_text(text, "utf-8")
    assert city_file.load(path).look.logo == LOGO


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        ("<script>alert(1)</script>", "has <script>"),
        ('<path onclick="alert(1)"/>', "has a handler, onclick"),
        ('<path ONLOAD="alert(1)"/>', "has a handler, onload"),
        ("<foreignObject/>", "has <foreignObject>"),
        ('<a href="#x"/>', "has <a>"),
        ('<image href="https://elsewhere.example/x.png"/>', "has <image>"),
        ('<animate attributeName="href" to="javascript:alert(1)"/>', "has <animate>"),
        ('<use href="https://elsewhere.example/x.svg#a"/>', "points to something outside"),
        ('<use href="data:image/svg+xml,x"/>', "points to something outside"),
        ('<path fill="url(https://elsewhere.example/x)"/>', "points to something outside"),
        ('<path style="fill:u\\72l(//elsewhere.example)"/>', "points to something outside"),
        ("<style>@import 'https://elsewhere.example/x.css';</style>", "style that points outside"),
        ("<style>path{fill:url(//elsewhere.example/x)}</style>", "style that points outside"),
        ("<style><g/>@import 'https://elsewhere.example/x.css';</style>", "style that points outside"),
        ('<g id="b"><use href="#a"/></g><use href="#b"/>', "<use> inside a <use>"),
        ("<path>", "isn't an SVG (mismatched tag"),
        (f"<desc>{'x' * 64_000}</desc>", "is larger than 64 kB"),
    ],
)
def test_a_logo_that_is_more_than_a_drawing_is_refused(tmp_path: Path, inside: str, says: str) -> None:
    path = _changed(tmp_path, '# logo = "logo.svg"', 'logo = "logo.svg"')
    (tmp_path / "logo.svg").write_text(LOGO.replace("<path d", f"{inside}<path d"), "utf-8")
    with pytest.raises(CityFileError, match=re.escape(says)) as fault:
        city_file.load(path)
    assert "look.logo: logo.svg " in str(fault.value)


@pytest.mark.parametrize(
    "before",
    [
        '<!DOCTYPE svg [<!ENTITY a "aaaa">]>',
        '<?xml-stylesheet href="https://elsewhere.example/x.css"?>',
        "<html>",
    ],
)
def test_a_logo_with_anything_before_its_drawing_is_refused(tmp_path: Path, before: str) -> None:
    path = _changed(tmp_path, '# logo = "logo.svg"', 'logo = "logo.svg"')
    (tmp_path / "logo.svg").write_text(before + LOGO, "utf-8")
    with pytest.raises(CityFileError, match=re.escape("look.logo: logo.svg ")):
        city_file.load(path)


def test_our_own_marks_would_be_taken() -> None:
    for mark in (ROOT / "pwa" / "static" / "icons").glob("*.svg"):
        assert branding.fault_of_logo(mark.read_text()) is None, mark.name


def test_contrast_is_what_others_measure() -> None:
    assert round(branding.contrast("#000000", "#ffffff"), 2) == 21
    assert round(branding.contrast("#ffffff", "#767676"), 2) == 4.54  # the well known lightest grey on white
    assert branding.contrast("#0e4a86", "#0e4a86") == 1


def test_every_colour_that_is_taken_can_be_read_by_night_too() -> None:
    taken = [
        c
        for c in (f"#{r}{g}{b}" for r in STEPS for g in STEPS for b in STEPS)
        if not branding.fault_of_primary(c)
    ]
    assert len(taken) > 20
    for colour in taken:
        assert branding.contrast(branding.at_night(colour), branding.NIGHT_GROUND) >= 7


def test_every_key_of_the_file_is_found_on_its_line() -> None:
    text = """# a comment with [a.table] and key = 1
title = "a # b = [c]"
'quoted key' = 1
site."with dot.s".deep = { x = 1, y = { z = "}" } }   # a comment

[ plain . "quo ted" ]
long = \"\"\"
not = "a key"
[not.a.table]
\"\"\"
raw = '''
also = not
'''
list = [
  1, # one
  { code = "a" }, { code = "b",
    more = [ "x", "]" ] },
]
at = 2026-12-24T08:00:00Z
[[rows]]
n = 1
[[rows.cells]]
m = 1
[[rows.cells]]
m = 2
[[rows]]
n = 2
[rows.under]
u = 1
[[rows.cells]]
m = 3
"""
    text = text.replace('{ code = "b",\n    more', '\n{ code = "b", more')  # an inline table is one line
    found = toml_table.lines(text)
    rows = text.splitlines()
    for key, starts in {
        "title": "title", "quoted key": "'quoted",
        "site.with dot.s.deep.y.z": "site.", "plain.quo ted": "[ plain",
        "plain.quo ted.long": "long", "plain.quo ted.raw": "raw", "plain.quo ted.list[1]": "  1,",
        "plain.quo ted.list[2].code": "  { code", "plain.quo ted.list[3].more[2]": '{ code = "b"',
        "plain.quo ted.at": "at",
    }.items():  # fmt: skip
        assert rows[found[key] - 1].startswith(starts), key
    last = len(rows)
    numbers = {"rows[1].n": 10, "rows[1].cells[2].m": 6, "rows[2].n": 4, "rows[2].under.u": 2}
    assert {key: last - found[key] for key in numbers} == numbers
    assert found["rows[2].cells[1].m"] == last
    assert "not" not in found
    assert toml_table.lines(text.replace("\n", "\r\n")) == found


def test_every_key_that_tomllib_knows_has_a_line() -> None:
    text = DEFAULT_CITY.read_text("utf-8")
    found = toml_table.lines(text)
    missing = [key for key, _value in config_versions._leaves("", tomllib.loads(text)) if key not in found]
    assert missing == []


def test_the_page_about_the_city_file_names_every_key_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[str] = set()
    for name in ("has", "take", "table"):
        monkeypatch.setattr(toml_table.Table, name, _noting(asked, getattr(toml_table.Table, name)))
    kept = 'promise_hours = 16\ncalendar = "line"'
    path = _changed(tmp_path, PROMISE, kept)
    path.write_text(path.read_text("utf-8").replace("# logo =", "logo ="), "utf-8")
    (tmp_path / "logo.svg").write_text(LOGO, "utf-8")
    city_file.load(path)
    page = (ROOT / "docs" / "reference" / "city-file.md").read_text("utf-8")
    told = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert sorted(told) == sorted(set(told))
    assert set(told) == {key for key in map(_general, asked) if not GROUPS.fullmatch(key)}


def test_the_example_on_the_page_can_be_used() -> None:
    page = (ROOT / "docs" / "reference" / "city-file.md").read_text("utf-8")
    for example in re.findall(r"```toml\n(.*?)```", page, re.DOTALL):
        city_file.parse(example, "cityfile.md")


# Tables that only hold others, and the words of one language below their key.
GROUPS = re.compile(
    r"departments|groups|services|topics|costs|costs\.departments|costs\.years|owners|elsewhere|collection|waits|escalation|danger|news|open_data|retention|calendars|look|files|routing|replies|priority|calendars\.\*\.(hours|holidays)"
    r"|collection\.zones(\.\*\.(trash|recycling|yard))?|services\.\*\.questions(\[\]\.(values|only_if))?|.*\.(names|chips|ask|words|hazard|hint)\.(en|es)"
)
NAMED = re.compile(
    r"^(departments|groups|services|topics|owners|waits|elsewhere|calendars|files|collection\.zones|costs\.departments|costs\.years)\.(?:logo\.svg|[^.]+)"
)


def _general(key: str) -> str:
    """`services.light-out.questions[1].words` as the page writes it: `services.*.questions[].words`."""
    return re.sub(r"\[\d+\]", "[]", NAMED.sub(r"\1.*", key))


def _noting(asked: set[str], method: Callable[..., Any]) -> Callable[..., Any]:
    def noted(table: toml_table.Table, name: str, *args: Any) -> Any:
        asked.add(f"{table.key}{name}")
        return method(table, name, *args)

    return noted


def _changed(folder: Path, old: str, new: str) -> Path:
    words = DEFAULT_CITY.read_text("utf-8")
    assert old in words
    path = folder / "city.toml"
    path.write_text(words.replace(old, new, 1), "utf-8")
    return path


@pytest.mark.parametrize("text", ["x = " + "[" * 20_000, "x = " + "9" * 5_000])
def test_a_file_made_to_hurt_is_refused_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "city.toml"
    path.write_text(text)
    with pytest.raises(CityFileError, match=re.escape("city.toml, line 1: the file")):
        city_file.load(path)


def test_a_bound_too_large_for_a_number_is_refused(tmp_path: Path) -> None:
    path = _changed(tmp_path, "bounds = [39.583", "bounds = [" + "9" * 400)
    with pytest.raises(CityFileError, match="bounds: has a number that's too large"):
        city_file.load(path)


@pytest.mark.parametrize(
    ("waits", "fault"),
    [
        ("[waits.zeal]\ndays = 1", "zeal"),
        ("[waits.parts]\ndays = 40", "days"),
        ("[waits.parts]\nmost = 0", "most"),
        ("[waits.parts]\nfor = 3", "for"),
    ],
)
def test_waits_are_of_known_reasons_and_no_longer_than_they_may_be(
    tmp_path: Path, waits: str, fault: str
) -> None:
    path = _changed(tmp_path, "[waits.parts]\ndays = 5\nmost = 30", waits)
    with pytest.raises(CityFileError, match=fault):
        city_file.load(path)
