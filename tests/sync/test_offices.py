"""An office's private cases and the phones of the field, which know nothing of them."""

from typing import Any

import pytest
from factories import SECRET
from flask import Flask
from phones import DANA, Clock, Phone, case_of, crew_named, person, picture, report, story
from sqlalchemy import Engine, func, select

from city.audit.events import Actor
from city.cases import transitions
from city.db.engine import read_session, transaction
from city.db.models import Photo, SyncOperation
from city.lifecycle import CALL_TAKER, CREW, Refused
from city.people import accounts
from city.reports import intake
from sync import review
from sync.protocol import QUARANTINED, RECORDED

pytestmark = pytest.mark.both_databases

CARA = Actor("person:98", frozenset({CALL_TAKER}))
OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    ("note", {"words": "a word of the crew's"}),
    ("time", {"minutes": 10}),
    ("start", {}),
    ("pause", {}),
    ("resume", {}),
    ("wait", {"reason": "resident"}),
    ("make_safe", {}),
    ("needs_parts", {}),
    ("close", {"outcome": "no action", "words": "nobody at home"}),
    ("close", {"outcome": "fixed", "no_photo": "dark"}),
    ("propose", {"service": "stump"}),
]


@pytest.fixture
def follow_up(app: Flask, engine: Engine, clock: Clock) -> dict[str, Any]:
    """An office's case that a call has opened, as a phone would name it."""
    with transaction(engine) as s:
        telling = intake.NewReport("f" * 32, "tax-question", "phone", words="canary of an office")
        token = intake.token_for(SECRET, telling.key)
        number = intake.submit(s, telling, by=CARA, at=clock(), token=token).case.number
    return {"ref": number, "cycle": 1, "version": 1}


@pytest.mark.parametrize(("t", "said"), OPERATIONS)
def test_it_is_answered_like_a_number_that_never_was(
    engine: Engine, luis: Phone, follow_up: dict[str, Any], t: str, said: dict[str, Any]
) -> None:
    before = _stood(engine, follow_up["ref"])
    answers = [
        luis.exchange(luis.op(t, follow_up | {"ref": ref}, **said))["results"][0]
        for ref in (follow_up["ref"], "26-999999")
    ]
    named, unknown = ({**answer, "id": ""} for answer in answers)
    assert named == unknown
    assert (named["result"], named["why"]) == (QUARANTINED, "unknown_case")
    assert _stood(engine, follow_up["ref"]) == before


def test_a_phone_brings_none_though_its_owner_takes_calls_too(
    app: Flask, engine: Engine, clock: Clock
) -> None:
    with transaction(engine) as s:
        crew = crew_named(s, "Lights 1")
        accounts.add(s, "both@city.test", "Both", [CREW, CALL_TAKER], crews=[crew])
    phone = Phone(app, clock, person(engine, "both@city.test"))
    answer = phone.exchange(report(phone, service="tax-question", words="from a van"))["results"][0]
    assert (answer["result"], answer["why"]) == (QUARANTINED, "unknown_service")


def test_no_photo_comes_to_it(engine: Engine, luis: Phone, follow_up: dict[str, Any]) -> None:
    declared = luis.upload(picture())
    answer = luis.exchange(luis.op("photo", follow_up, photos=[declared]))
    assert answer["results"][0]["result"] == QUARANTINED
    with read_session(engine) as s:
        case_id = case_of(s, follow_up["ref"]).id
        assert s.scalar(select(func.count()).select_from(Photo).where(Photo.case_id == case_id)) == 0


def test_what_was_recorded_before_never_closes_it(
    engine: Engine, luis: Phone, clock: Clock, lamp: str, follow_up: dict[str, Any]
) -> None:
    with transaction(engine) as s:
        transitions.unassign(s, case_of(s, lamp), by=DANA, at=clock())
    luis.exchange(luis.op("close", {"ref": lamp, "cycle": 1, "version": 1}, outcome="no action"))
    with transaction(engine) as s:
        row = s.scalars(select(SyncOperation)).one()
        assert (row.code, row.review) == (RECORDED, "not_your_job")
        row.case_id = case_of(s, follow_up["ref"]).id
        with pytest.raises(Refused) as refused:
            review.count_as_done(s, row, by=DANA, at=clock())
        assert refused.value.code == "nothing_to_count"
        assert [sent.may_count for sent in review.to_look_at(s, 9)] == [False]


def _stood(engine: Engine, number: str) -> tuple[str, int, str | None, list[str]]:
    with read_session(engine) as s:
        case = case_of(s, number)
        return case.state, case.version, case.review, [line.kind for line, _words in story(s, number)]
