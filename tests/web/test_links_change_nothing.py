"""Mail scanners press every link, browsers fetch ahead: whatever a letter's links lead to, no row changes."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import letterbox
import pytest
from factories import Scene, Town
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Base, Case, Message, Report, SecretLink, Subscription
from city.notifications import fan_out
from city.people import accounts
from city.reports import closing_feedback, intake
from city.settings import Settings
from pwa.messages import report_messages

KINDS = ("receipt", "closed", "reopened")
LANGUAGES = ("en", "es")
ASKED: tuple[tuple[str, dict[str, str]], ...] = (
    ("GET", {}),
    ("HEAD", {}),
    ("GET", {"Sec-Purpose": "prefetch", "Purpose": "prefetch"}),
)


def by(scene: Scene) -> Any:
    return scene.actor("dispatcher")


def closed(scene: Scene, case: Case) -> None:
    transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=by(scene), at=scene.town.now)


def reopened(scene: Scene, case: Case) -> None:
    closed(scene, case)
    transitions.reopen(scene.s, case, by=by(scene), at=scene.town.now)


def merged(scene: Scene, case: Case) -> None:
    transitions.merge(scene.s, case, scene.report().case, by=by(scene), at=scene.town.now)


def merged_into_closed(scene: Scene, case: Case) -> None:
    root = scene.report().case
    closed(scene, root)
    transitions.merge(scene.s, case, root, by=by(scene), at=scene.town.now)


def waiting(scene: Scene, case: Case) -> None:
    transitions.wait(scene.s, case, "utility", by=by(scene), at=scene.town.now)


def underway(scene: Scene, case: Case) -> None:
    transitions.assign(scene.s, case, scene.crew("lights"), by=by(scene), at=scene.town.now)
    transitions.start(scene.s, case, by=scene.actor("rosa"), at=scene.town.now)


def confirmed(scene: Scene, case: Case) -> None:
    closed(scene, case)
    report = case.reports[0]
    closing_feedback.fixed(
        scene.s, report, closing_feedback.closing_of(case), by=accounts.reporter(report.id), at=scene.town.now
    )


STATES: dict[str, Callable[[Scene, Case], object]] = {
    "new": lambda _scene, _case: None,
    "accepted": lambda scene, case: transitions.accept(scene.s, case, by=by(scene), at=scene.town.now),
    "assigned": lambda scene, case: transitions.assign(
        scene.s, case, scene.crew("lights"), by=by(scene), at=scene.town.now
    ),
    "underway": underway,
    "waiting": waiting,
    "closed": closed,
    "confirmed": confirmed,
    "reopened": reopened,
    "merged": merged,
    "merged into a closed one": merged_into_closed,
    "cancelled": lambda scene, case: transitions.cancel(
        scene.s, case, "spam", by=by(scene), at=scene.town.now
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "stopped", [False, pytest.param(True, marks=pytest.mark.full)], ids=["wanted", "stopped"]
)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.slow
def test_no_link_of_any_letter_changes_a_row(
    town: Town, settings: Settings, app: Flask, client: FlaskClient, state: str, stopped: bool
) -> None:
    with town.at_work() as scene:
        report = scene.report(words="dark since Sunday")
        token = intake.token_for(settings.secret_key, report.key)
        scene.s.add(SecretLink(token_hash=intake.hashed(token), report_id=report.id, made_at=town.now))
        wish = intake.subscribe(scene.s, report, "ana@example.com", lang="en", at=town.now)
        intake.confirm(scene.s, wish, at=town.now)
        STATES[state](scene, report.case)
        report_id, wish_id = report.id, wish.id
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
    found = {
        link
        for kind in KINDS
        for lang in LANGUAGES
        for sure in (True, False)
        for link in links(town, app, kind, lang, wish_id, sure)
    }
    with town.at_work() as scene:
        if stopped:
            intake.stop(scene.s, scene.s.get_one(Subscription, wish_id), at=town.now)
    assert len(found) == 2 * (4 + 2 + 5), (
        "own and public page, fixed, not fixed, confirm, stop; each score; twice"
    )
    before = rows(town.engine)
    for days in (0, 15):
        app.config["NOW"] = town.now + timedelta(days=days)
        for browser in (client, app.test_client(use_cookies=False)):
            for link in sorted(found):
                for method, headers in ASKED:
                    answer = browser.open(link, method=method, headers=headers, follow_redirects=True)
                    assert answer.status_code == 200, (method, link)
                    assert token not in answer.request.path, "no secret stays in the address"
    assert rows(town.engine) == before
    with town.looking() as scene:
        assert scene.s.get_one(Report, report_id).number == "26-000001-A"


def links(town: Town, app: Flask, kind: str, lang: str, wish_id: int, sure: bool) -> list[str]:
    """All addresses of ours in a letter of that kind, as it would be written now, true or overtaken.

    A receipt is another one where the address was confirmed.
    """
    with town.looking() as scene:
        wish = scene.s.get_one(Subscription, wish_id)
        scene.s.expunge(wish)
        wish.lang = lang
        if kind == "receipt" and not sure:
            wish.confirmed_at = None
        message = Message(kind=kind, subscription=wish, event_seq=1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fan_out, "is_still_valid", lambda _s, _message: True)
            letter = report_messages.render(app)(scene.s, message)
    assert letter is not None
    told = letterbox.text(letter) + letter["List-Unsubscribe"]
    return re.findall(r"http://127\.0\.0\.1:8311(/[^\s>]+)", told)


def rows(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that the database holds."""
    with engine.connect() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(select(table))))
            for table in Base.metadata.sorted_tables
        }
