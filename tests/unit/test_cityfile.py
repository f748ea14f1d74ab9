"""The city file: Larkhaven's own is whole, a wrong one says where and how, applying it twice is harmless."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, select

from city import cityfile, db, demo_ground
from city.cityfile import CityFile, CityFileError
from city.schema import Department, Service
from city.settings import DEFAULT_CITY

PROMISE = "promise_days = 3"


@pytest.fixture(scope="module")
def larkhaven() -> CityFile:
    return cityfile.load(DEFAULT_CITY)


def test_larkhaven_says_who_and_where_it_is(larkhaven: CityFile) -> None:
    assert (larkhaven.name, larkhaven.phone, larkhaven.emergency) == ("Larkhaven", "311", "911")
    assert larkhaven.time_zone == ZoneInfo("America/New_York")
    assert larkhaven.languages == ("en", "es")
    assert larkhaven.centre == demo_ground.CENTRE


def test_every_tile_has_one_default_and_three_to_six_chips(larkhaven: CityFile) -> None:
    assert [group.code for group in larkhaven.groups] == ["streetlight", "tree", "trash", "other"]
    for group in larkhaven.groups:
        assert larkhaven.default_of(group.code).group == group.code
        assert 3 <= len(larkhaven.of_group(group.code)) <= 6


def test_danger_and_privacy_are_marked(larkhaven: CityFile) -> None:
    assert {s.code for s in larkhaven.services if s.urgent} == {"wire-down", "tree-on-wire"}
    assert [s.code for s in larkhaven.services if s.private] == ["home-nuisance"]


def test_no_report_needs_typed_words(larkhaven: CityFile) -> None:
    assert not any(question["required"] for service in larkhaven.services for question in service.questions)


def test_the_drawn_city_lies_within_its_bounds(larkhaven: CityFile) -> None:
    for xy in demo_ground.BOUNDARY.exterior.coords:
        point = demo_ground.on_earth(*xy)
        assert larkhaven.bounds.south < point.lat < larkhaven.bounds.north
        assert larkhaven.bounds.west < point.lon < larkhaven.bounds.east


def test_applying_twice_is_harmless_and_takes_changes(engine: Engine, tmp_path: Path) -> None:
    for path in (DEFAULT_CITY, DEFAULT_CITY, _changed(tmp_path, PROMISE, "promise_days = 6")):
        with db.transaction(engine) as s:
            cityfile.apply(s, cityfile.load(path))
    with db.reading(engine) as s:
        services = {service.code: service for service in s.scalars(select(Service))}
        assert len(services) == 21
        assert services["light-out"].promise_days == 6
        assert services["light-out"].chips == {"en": "Out", "es": "Apagado"}
        assert services["light-out"].questions[0]["code"] == "pole-number"
        lights = s.get_one(Department, "lights")
        assert (lights.names["es"], lights.time_zone) == ("Alumbrado público", "America/New_York")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "Larkhaven"', 'name = "Larkhaven', "line 4"),
        ('name = "Larkhaven"', "", 'name: is missing. Example: name = "Larkhaven"'),
        ('"America/New_York"', '"America/Larkhaven"', "time_zone: 'America/Larkhaven' is no time zone"),
        ('"America/New_York"', '"../etc"', "time_zone: '../etc' is no time zone"),
        ('languages = ["en", "es"]', 'languages = "en"', "languages: 'en' is not a list of words"),
        ("[39.60, -71.20]", "[-71.20, 39.60]", "centre: lies outside bounds"),
        ("[39.583, -71.222, 39.617, -71.178]", "[39.617, 0, 39.5, 1]", "bounds: is not south, west"),
        (PROMISE, "promise_days = 0", "light-out.promise_days: 0 is not a whole number from 1 to 365"),
        (PROMISE, "promise_days = true", "services.light-out.promise_days: True is not a whole number"),
        (PROMISE, "promise_day = 3", "services.light-out.promise_days: is missing"),
        (PROMISE, f"{PROMISE}\nprivat = true", "services.light-out.privat: is not a key known here"),
        ('department = "lights"', 'department = "light"', "light-out.department: 'light' is none of"),
        ('es = "Farol apagado"', 'pt = "Poste apagado"', "services.light-out.names.es: is missing"),
        ('{ en = "Out", es = "Apagado" }', '{ en = "Out", es = " " }', "light-out.chips.es: ' ' is not"),
        ('asset_kind = "pole"', 'asset_kind = "lamp"', "services.light-out.asset_kind: 'lamp' is none of"),
        ("default = true", "default = false", "groups.streetlight: has 0 default services, and needs one"),
        ('datatype = "string"', 'datatype = "singlevaluelist"', "questions[1].values: a singleval"),
        ('datatype = "string"', 'datatype = "words"', "light-out.questions[1].datatype: 'words'"),
    ],
)  # fmt: skip
def test_a_wrong_file_says_where_what_and_how(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(CityFileError, match=re.escape(says)) as fault:
        cityfile.load(_changed(tmp_path, old, new))
    assert str(fault.value).startswith("city.toml: ")
    assert "Example: " in str(fault.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "city.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CityFileError, match="cannot be read"):
        cityfile.load(path)


def _changed(folder: Path, old: str, new: str) -> Path:
    words = DEFAULT_CITY.read_text("utf-8")
    assert old in words
    path = folder / "city.toml"
    path.write_text(words.replace(old, new, 1), "utf-8")
    return path
