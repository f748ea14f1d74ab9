"""The demo's cases, each changed to every other type: no page breaks, and no answer loses its question."""

import html
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select
from sqlalchemy.orm import aliased

from city.cases import batches, corrections, locks, transitions
from city.db import engine as db
from city.db.models import Case, Crew, Person, Report, SecretLink, Service
from city.demo import fill
from city.lifecycle import CANCELLED, CLOSED, OPEN, Refused
from city.people import accounts, sessions
from city.questions import Question
from city.reports import intake
from city.settings import Settings
from pwa.app import create_app
from sync import jobs

NOW = datetime(2026, 5, 12, 13, 30, tzinfo=UTC)
STEPS = (1, 8)  # of the types in their order, from a case's own: so each is left and reached twice


@dataclass
class Demo:
    """Larkhaven with so many cases, all of them open, and somebody who looks at it as each of four would."""

    engine: Engine
    settings: Settings
    staff: FlaskClient
    reporter: FlaskClient
    stranger: FlaskClient
    crew_id: int
    by: Any
    services: dict[str, Service]
    changed: int = 0
    asked: int = 0
    attributes: int = 0

    def fitting(self, code: str) -> list[str]:
        office = self.services[code].office
        return [
            other for other, service in self.services.items() if service.office == office and other != code
        ]

    def get(self, browser: FlaskClient, path: str, expected: int = 200) -> str:
        self.asked += 1
        with browser.get(path) as response:
            assert response.status_code == expected, f"{path} is {response.status_code}"
            return html.unescape(response.get_data(as_text=True))


@pytest.fixture
def demo(engine: Engine, settings: Settings, request: pytest.FixtureRequest) -> Iterator[Demo]:
    count = getattr(request, "param", 120)
    fill.fill(engine, settings, count=count, now=NOW)
    open_all(engine)
    as_fast_as_it_goes = replace(settings, reads_a_minute=0)
    made = create_app(as_fast_as_it_goes, now=lambda: NOW)
    made.config.update(TESTING=True)
    yield looked_at(made, engine, settings)
    made.extensions["cityline"].engine.dispose()


def open_all(engine: Engine) -> None:
    """What has ended is open again, since only what is open is corrected; and every answer is public."""
    with db.transaction(engine) as s:
        by = accounts.THE_SYSTEM
        staff = accounts.actor(s.scalars(select(Person).where(Person.email == "dispatcher@demo.test")).one())
        for case in s.scalars(select(Case).where(Case.state.in_((CLOSED, CANCELLED))).order_by(Case.id)):
            verb = transitions.reopen if case.state == CLOSED else transitions.restore
            verb(s, case, by=staff if case.state == CLOSED else by, at=NOW)
        for report in s.scalars(select(Report)):
            if report.answers:
                intake.show(s, report, by=staff, at=NOW)


def looked_at(app: Flask, engine: Engine, settings: Settings) -> Demo:
    with db.transaction(engine) as s:
        person = s.scalars(select(Person).where(Person.email == "dispatcher@demo.test")).one()
        token, by = sessions.begin(s, person, NOW, how="code"), accounts.actor(person)
        crew_id = s.scalars(select(Crew.id).order_by(Crew.id)).first()
        assert crew_id
        services = {each.code: each for each in s.scalars(select(Service).order_by(Service.position))}
        for each in services.values():
            s.expunge(each)
    staff = app.test_client()
    with staff.session_transaction() as session:
        session["login"] = token
    return Demo(engine, settings, staff, app.test_client(), app.test_client(), crew_id, by, services)


def replay(demo: Demo, numbers: list[str], codes: Any) -> None:
    """Changes each case to each of its `codes` in turn, looks at it everywhere, and takes it back."""
    for number in numbers:
        with db.read_session(demo.engine) as s:
            own = s.scalars(select(Case.service_code).where(Case.number == number)).one()
        link = linked(demo, number)
        for code in codes(own):
            if demo.services[code].private and has_public_duplicates(demo, number):
                with pytest.raises(Refused, match="public_duplicates"):
                    change(demo, number, code)
                continue
            batch = change(demo, number, code)
            look(demo, number, code, link)
            with db.transaction(demo.engine) as s:
                assert batches.put_back(batches.undo(s, batch, by=demo.by, at=NOW)) == 1
            demo.changed += 1
        look(demo, number, own, link)


def has_public_duplicates(demo: Demo, number: str) -> bool:
    root, twin = aliased(Case), aliased(Case)
    asked = (
        select(twin.id)
        .join(root, twin.merged_into_id == root.id)
        .join(Service, Service.code == twin.service_code)
    )
    with db.read_session(demo.engine) as s:
        return s.scalar(asked.where(root.number == number, Service.private.is_(False)).limit(1)) is not None


def change(demo: Demo, number: str, code: str) -> int:
    with db.transaction(demo.engine) as s:
        case = locks.lock_numbered(s, [number])[number]
        was, service = batches.snapshot(case, "reclassify"), s.get_one(Service, code)
        assert corrections.reclassify(s, case, service, by=demo.by, at=NOW)
        return batches.keep_single(s, case, "reclassify", {"service": code}, was, by=demo.by, at=NOW).id


def linked(demo: Demo, number: str) -> str:
    """A secret link of the case's first report."""
    with db.transaction(demo.engine) as s:
        report = s.scalars(select(Report).join(Case, Case.id == Report.case_id).where(Case.number == number))
        token = intake.token_for("the replay's", number)
        s.add(SecretLink(token_hash=intake.hashed(token), report_id=report.all()[0].id, made_at=NOW))
    return token


def look(demo: Demo, number: str, code: str, link: str) -> None:
    """At the case as its reporter, strangers, staff, a crew and a program see it."""
    service = demo.services[code]
    name = service.names["en"]
    with db.read_session(demo.engine) as s:
        case = s.scalars(select(Case).where(Case.number == number)).one()
        assert case.service_code == code
        told = [(each.answers, each.service.questions) for each in case.reports]
        job = jobs.read(s, {(demo.crew_id, number)})[demo.crew_id, number]
    hidden = service.private or service.office
    strangers = demo.get(demo.stranger, f"/case/{number}", 404 if service.private else 200)
    assert (name in strangers) != service.private
    demo.get(demo.reporter, f"/s/{link}", 303)
    assert name in demo.get(demo.reporter, f"/case/{number}")
    drawer = demo.get(demo.staff, f"/dispatch/cases/{number}")
    assert name in drawer
    row = demo.get(demo.staff, f"/dispatch?q={number}")
    assert number in row
    assert name in row
    assert job["title"] == service.names
    json.dumps(job)
    for answers, questions in told:
        assert_asked(answers, questions)
        for question in questions:
            if question.code in answers:
                assert question.words["en"] in drawer, f"{number}: nobody reads {question.code}"
    shown = demo.get(
        demo.stranger, f"/open311/v2/requests/{number}.json?extensions=true", 404 if hidden else 200
    )
    if not hidden:
        (request,) = json.loads(shown)
        assert (request["service_code"], request["service_name"]) == (code, name)
        asked = {each["code"]: each["value"] for each in request.get("attributes", [])}
        assert_asked(asked, service.questions)
        demo.attributes += len(asked)


def assert_asked(answers: dict[str, Any], questions: tuple[Question, ...]) -> None:
    """Every answer is one that its question takes."""
    by_code = {question.code: question for question in questions}
    for code, answer in answers.items():
        assert code in by_code, f"{code} was answered, and nobody asked"
        choices = {choice.code for choice in by_code[code].choices}
        assert not choices or choices.issuperset(by_code[code].chosen(answer))


@pytest.mark.slow
def test_a_case_of_each_type_is_changed_to_others(demo: Demo) -> None:
    with db.read_session(demo.engine) as s:
        rows = s.execute(select(Case.service_code, Case.number).where(Case.state.in_(OPEN)).order_by(Case.id))
        first = dict(reversed(rows.all()))

    def others(code: str) -> list[str]:
        fitting = demo.fitting(code)
        return [fitting[(list(demo.services).index(code) + step) % len(fitting)] for step in STEPS]

    replay(demo, sorted(first.values()), others)
    assert demo.changed >= 2 * 15
    assert demo.attributes


@pytest.mark.full
@pytest.mark.parametrize("demo", [1400], indirect=True)
def test_a_thousand_cases_are_changed_to_every_other_type(demo: Demo) -> None:
    """Half an hour. With `-s` it says how many changes and pages that were."""
    with db.read_session(demo.engine) as s:
        asked = select(Case.number).where(Case.state.in_(OPEN)).order_by(Case.id).limit(1000)
        numbers = list(s.scalars(asked))
    assert len(numbers) == 1000
    replay(demo, numbers, demo.fitting)
    print(demo.changed, "changes,", demo.asked, "pages,", demo.attributes, "answers by Open311")
    assert demo.changed > 10_000
