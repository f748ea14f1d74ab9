"""Under https: cookies that no sister domain can set, TLS only for a year. And what a log-out takes along."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from factories import SECRET, Town
from flask import Flask
from flask.testing import FlaskClient

from city.db import engine as db
from city.db.models import Person, SecretLink
from city.people import accounts, sessions
from city.reports import intake
from city.settings import Settings
from pwa.app import create_app

BASE = "https://311.town.test"


@pytest.fixture
def secure(town: Town, settings: Settings) -> Iterator[Flask]:
    made = create_app(replace(settings, base_url=BASE, secret_key=SECRET), now=lambda: town.now)
    yield made
    made.extensions["cityline"].engine.dispose()


def told(town: Town) -> tuple[str, str]:
    """A report's number and the token of its private link."""
    with town.at_work() as scene:
        report = scene.report(words="Dark since Sunday")
        token = intake.token_for(SECRET, report.key)
        scene.s.merge(SecretLink(token_hash=intake.hashed(token), report_id=report.id, made_at=town.now))
        return report.number, token


def test_every_cookie_is_this_hosts_alone(secure: Flask, town: Town) -> None:
    browser = secure.test_client()
    number, secret = told(town)
    set_ = browser.get(f"/s/{secret}", base_url=BASE).headers.getlist("Set-Cookie")
    page = browser.get("/login", base_url=BASE)
    set_ += page.headers.getlist("Set-Cookie")
    csrf = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    with db.transaction(town.engine) as s:
        link = sessions.make_link(s, s.get_one(Person, town.ids["rosa"]), town.now, by=accounts.THE_SYSTEM)
    form = {"csrf_token": csrf, "email": "rosa@town.test"}
    done = browser.post(f"/login/link/{link}", data=form, base_url=BASE, headers={"Origin": BASE})
    assert done.status_code == 303
    set_ += done.headers.getlist("Set-Cookie")
    names = {each.partition("=")[0] for each in set_}
    assert names == {"__Host-cl_session", "__Host-cl_known", f"__Host-cl_report_{number}"}
    for each in set_:
        assert "Secure" in each
        assert "HttpOnly" in each
        assert "Path=/;" in f"{each};"
        assert "Domain" not in each
    assert "Dark since Sunday" in browser.get(f"/case/{number}", base_url=BASE, follow_redirects=True).text
    assert browser.get("/me", base_url=BASE).status_code == 200


def test_a_private_link_that_was_kept_before_the_prefix_still_opens(secure: Flask, town: Town) -> None:
    number, secret = told(town)
    browser = secure.test_client(use_cookies=False)
    for name in (f"cl_report_{number}", f"__Host-cl_report_{number}"):
        case, held = number.rpartition("-")[0], {"Cookie": f"{name}={secret}"}
        page = browser.get(f"/case/{case}", base_url=BASE, headers=held)
        assert "Dark since Sunday" in page.text


def test_tls_only_is_said_under_https_and_nowhere_else(secure: Flask, client: FlaskClient) -> None:
    answer = secure.test_client().get("/", base_url=BASE)
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    plain = client.get("/login")
    assert "Strict-Transport-Security" not in plain.headers
    assert {each.partition("=")[0] for each in plain.headers.getlist("Set-Cookie")} == {"cl_session"}


def test_a_log_out_empties_the_cache_and_nothing_that_holds_work(
    log_in: Callable[..., FlaskClient], token: Callable[[], str]
) -> None:
    """What a crew has not sent lies in the browser's storage, and so does the app that will send it."""
    answer = log_in("rosa").post("/logout", data={"csrf_token": token()})
    assert answer.headers["Clear-Site-Data"] == '"cache"'
