"""Whatever is refused is a line of JSON with network, person and request, and no secret."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import Town
from filled import KEY, Fill
from flask import Flask
from flask.testing import FlaskClient

from city import security_log
from city.operations import doctor
from city.settings import Settings
from pwa.app import create_app

FIELDS = {"time", "what", "reason", "status", "page", "method", "network", "person", "request"}


@pytest.fixture
def lines(settings: Settings) -> Callable[[], list[dict[str, Any]]]:
    def read() -> list[dict[str, Any]]:
        file = settings.var / security_log.NAME
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    return read


Lines = Callable[[], list[dict[str, Any]]]


def test_what_goes_well_leaves_no_line(client: FlaskClient, lines: Lines) -> None:
    for path in ("/", "/report", "/login", "/cases", "/dispatch", "/nothing-here"):
        client.get(path)
    assert lines() == []


def test_a_wrong_code_is_a_line_without_code_or_address(
    client: FlaskClient, lines: Lines, token: Callable[[], str], settings: Settings
) -> None:
    form = {"csrf_token": token(), "email": "rosa@town.test", "code": "123456"}
    answer = client.post("/login/code", data=form, environ_base={"REMOTE_ADDR": "203.0.113.77"})
    [line] = lines()
    assert set(line) == FIELDS
    assert (line["what"], line["reason"], line["page"]) == (
        "log-in refused",
        "wrong_code",
        "account.use_code",
    )
    assert (line["network"], line["person"]) == ("203.0.113.0/24", "")
    assert line["request"] == answer.headers["X-Request-Id"]
    told = (settings.var / security_log.NAME).read_text()
    assert not re.search(r"rosa|123456|203\.0\.113\.77", told)
    assert (settings.var / security_log.NAME).stat().st_mode & 0o777 == 0o600


def test_each_kind_of_refusal_says_what_it_is(
    client: FlaskClient,
    log_in: Callable[..., FlaskClient],
    lines: Lines,
    token: Callable[[], str],
    post: Fill,
    town: Town,
) -> None:
    def said() -> tuple[str, str]:
        line = lines()[-1]
        return line["what"], line["reason"]

    client.post("/logout")
    assert said() == ("forged request", "token")
    client.post("/logout", headers={"Origin": "https://evil.example"}, data={"csrf_token": token()})
    assert said() == ("forged request", "another site")
    client.get("/s/not-a-link-of-anybody")
    assert (said()[0], "not-a-link" in str(lines()[-1])) == ("unknown link", False)
    client.get("/login/link/not-a-link-of-anybody")
    assert said()[0] == "unknown link"
    client.post("/report/photos", data={
        "csrf_token": token(), "key": KEY, "photo": (io.BytesIO(b"GIF89a"), "x.gif"),
    })  # fmt: skip
    assert said() == ("odd upload", "not_a_photo")
    client.post("/open311/v2/requests.json", data={"api_key": "wrong"})
    assert said() == ("key refused", "unknown")
    client.get("/report?x=%00")
    assert said()[0] == "odd request"
    client.post("/sync/v1/enrol", json={"code": "AAAA3333"}, headers={"X-Cityline": "1"})
    assert said() == ("forged request", "another site")
    ours = {"X-Cityline": "1", "Sec-Fetch-Site": "same-origin"}
    client.post("/sync/v1/enrol", json={"code": "AAAA3333"}, headers=ours)
    assert said() == ("log-in refused", "wrong_code")
    log_in("rosa").get("/admin")
    assert said()[0] == "forbidden"
    assert lines()[-1]["person"] == f"person:{town.ids['rosa']}"
    for _ in range(21):
        client.post("/login/code", data={"csrf_token": token(), "email": "x@town.test"})
    assert said()[0] == "limit hit"


def test_the_proxys_name_of_a_request_is_kept_where_it_is_trusted(
    town: Town, settings: Settings, client: FlaskClient, lines: Lines
) -> None:
    told = {"X-Request-Id": "8f2c-41aa-9d1e"}
    client.post("/logout", headers=told)
    assert lines()[-1]["request"] != "8f2c-41aa-9d1e"
    app = create_app(replace(settings, trusted_proxies=1), now=lambda: town.now)
    app.test_client().post("/logout", headers=told)
    assert lines()[-1]["request"] == "8f2c-41aa-9d1e"
    app.test_client().post("/logout", headers={"X-Request-Id": '"} forged'})
    assert lines()[-1]["request"] != '"} forged'
    app.extensions["cityline"].engine.dispose()


def test_doctor_counts_the_last_day(town: Town, settings: Settings) -> None:
    def finding() -> doctor.Finding:
        return doctor._refused(settings.var, town.now)

    assert (finding().mark, finding().words) == (doctor.OK, "None in the last day.")
    for hours, what, many in ((1, "log-in refused", 99), (2, "limit hit", 500), (25, "log-in refused", 300)):
        at = (town.now - timedelta(hours=hours)).isoformat()
        for _ in range(many):
            security_log.write(settings.var, {"time": at, "what": what})
    assert finding().mark == doctor.OK
    assert finding().words == "In the last day: limit hit 500 times, log-in refused 99 times."
    security_log.write(settings.var, {"time": town.now.isoformat(), "what": "forged request"})
    assert finding().mark == doctor.LOOK


def test_the_file_does_not_grow_for_ever_and_half_a_line_spoils_none(
    settings: Settings, now: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security_log, "MOST_BYTES", 1000)
    for _ in range(100):
        security_log.write(settings.var, {"time": now.isoformat(), "what": "limit hit"})
    files = sorted(settings.var.glob("security.log*"))
    assert [file.name for file in files] == ["security.log", "security.log.1"]
    assert sum(file.stat().st_size for file in files) < 2200
    with files[0].open("ab") as file:
        file.write(b'{"time": "2026')
    assert security_log.counts(settings.var, now)["limit hit"] > 15


def test_a_disk_that_is_full_refuses_nobody(
    client: FlaskClient, settings: Settings, tmp_path: Path, app: Flask
) -> None:
    (settings.var / security_log.NAME).mkdir()
    assert client.post("/logout").status_code == 400
