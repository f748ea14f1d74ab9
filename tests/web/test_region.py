"""The same pages in a city of the United States and in one of Great Britain: one key of the city file."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html import unescape
from itertools import chain
from pathlib import Path
from typing import Any

import letterbox
import pytest
from factories import LAMP, Town
from filled import Tell
from flask.testing import FlaskClient
from wording import resident

from city.cases import transitions
from city.cases.transitions import Closing
from city.reports import intake
from city.settings import DEFAULT_CITY, Settings

# What nobody writes in the other place: feet and miles, meters; a clock of twelve hours, one of twenty-four.
AMERICAN = re.compile(r"\b\d+ (ft|mi)\b|\b\d{1,2}(:\d\d)? [ap]m\b|\b(May|June) \d{1,2}\b(?!\d)")
BRITISH = re.compile(r"\b\d+ (m|km)\b|\b([01]\d|2[0-3]):\d\d\b(?! [ap]m)|\b\d{1,2} (May|June)\b")
PUBLIC = (
    "/", "/?lat=39.6&lon=-71.2", "/cases", "/case/26-000001", "/case/26-000002", "/trash-day",
    "/report?lat=39.6&lon=-71.2&accuracy=40",
)  # fmt: skip
DAYS = {"US": "Friday, May 15", "GB": "Friday 15 May"}
STAFF = ("/dispatch", "/dispatch/cases/26-000001", "/dispatch/cases/26-000002", "/desk")


@pytest.fixture(params=["US", "GB"])
def region(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, smtp: Any, region: str) -> Settings:
    """A city of its own: Larkhaven's file with another region."""
    text = DEFAULT_CITY.read_text("utf-8")
    file = tmp_path / "city.toml"
    file.write_text(text.replace('\nregion = "US"', f'\nregion = "{region}"'), "utf-8")
    return replace(settings, city=file, smtp_url=smtp.url)


@pytest.fixture
def told(town: Town) -> None:
    """A case that is open, one near it that was closed, and one that is late, each with its story."""
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        first = scene.report(key="open", taken=[scene.photo()])
        wish = intake.subscribe(scene.s, first, "rosa@town.test", lang="en", at=town.now)
        intake.confirm(scene.s, wish, at=town.now)
        transitions.accept(scene.s, first.case, by=by, at=town.now)
        beside = replace(LAMP, lat=LAMP.lat + 0.0005)
        second = scene.report(key="closed", place=beside).case
        later = town.now + timedelta(hours=3, minutes=12)
        transitions.close(
            scene.s, second, Closing("fixed", no_photo="dark", words="It works again."), by=by, at=later
        )
        scene.report(key="late", place=beside, at=town.now - timedelta(days=90))


def read(page: str) -> str:
    """What a person reads on a page: no markup, no attributes, no scripts."""
    body = re.sub(
        r"<(script|style|template)\b.*?</\1>", " ", page.partition("<body")[2] or page, flags=re.DOTALL
    )
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).replace("\u00a0", " ").split())


def foreign(words: str, region: str) -> list[str]:
    return [found[0] for found in (BRITISH if region == "US" else AMERICAN).finditer(words)]


def test_pages_write_as_the_region_does(
    client: FlaskClient, log_in: Callable[..., FlaskClient], told: None, region: str
) -> None:
    own = AMERICAN if region == "US" else BRITISH
    seen = {path: read(client.get(path).text) for path in PUBLIC}
    log_in("dispatcher")
    seen |= {path: read(client.get(path).text) for path in STAFF}
    assert {path: found for path, words in seen.items() if (found := foreign(words, region))} == {}
    assert [path for path, words in seen.items() if not own.search(words)] == []
    assert resident.FIX_BY(day=DAYS[region]) in seen["/case/26-000001"]


def test_spanish_writes_as_the_region_does(client: FlaskClient, told: None, region: str) -> None:
    words = read(client.get("/es/case/26-000002").text)
    assert bool(re.search(r"\b\d{1,2}:\d\d [ap]\.m\.", words)) == (region == "US")
    assert bool(re.search(r"\b([01]?\d|2[0-3]):\d\d\b(?! [ap]\.m\.)", words)) == (region == "GB")


def test_mails_write_as_the_region_does(told: None, tell: Tell, smtp: Any, region: str) -> None:
    tell()
    assert smtp.messages
    letters = [(letterbox.text(letter), read(letterbox.html(letter))) for letter in smtp.messages]
    for words in chain.from_iterable(letters):
        assert foreign(words.replace("\u00a0", " "), region) == []
        assert resident.FIX_BY(day=DAYS[region]) in words.replace("\u00a0", " ")


def test_a_crews_phone_is_told_how_to_write(client: FlaskClient, region: str) -> None:
    found = re.search(r"<template id=\"words\" data-formats='([^']*)'", client.get("/crew").text)
    assert found
    formats = json.loads(unescape(found[1]))
    assert (formats["row"], formats["units"][0]["words"]["other"]) == {
        "US": ("E, MMM d", "{n}\u00a0ft"), "GB": ("E d MMM", "{n}\u00a0m"),
    }[region]  # fmt: skip
