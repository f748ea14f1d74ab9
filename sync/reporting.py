"""A report that a phone wrote down without signal: a crew's, or a resident's without an account."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.db.models import Case, ExpectedPhoto, Report, Service
from city.lifecycle import CREW, Refused
from city.photos import photos
from city.places.resolve import Whereabouts, resolve_unasked
from city.reports import intake
from sync import expected_photos, operations
from sync.protocol import APPLIED, RECORDED, Operation, result

LANGUAGE = 10  # letters at most, as the column has it


def key_of(operation_id: str) -> str:
    """The report's key: that of the form it was written in, by which a phone names its operation.

    So a form that did arrive and the operation that followed it are one report.
    """
    return operation_id.replace("-", "")


def submit(
    s: Session, op: Operation, rows: Sequence[ExpectedPhoto], *, secret: str, by: Actor, at: datetime
) -> tuple[dict[str, Any], Case | None]:
    """Takes the report by the same door as every other, under the operation's id; its result and its case.

    `to` is the case's number, `report` the report's; `why` is `joined` where it joined a case that was there.
    One that was erased, also where a restore lost it, is `recorded` without anything of it, and has no case.
    Raises Refused as intake.submit() does, `too_many` for more photos than a report may have, or `malformed`.
    """
    if len(op.photos) > photos.MAX_PHOTOS:
        raise Refused("too_many")
    try:
        report = _taken(s, op, expected_photos.arrived(s, rows), secret, by, at)
    except Refused as refused:
        if refused.code != "erased":
            raise
        return _of_erased(s, op)
    if intake.is_erased(s, key_of(op.id)):  # the form that it was written in came first
        return _of_erased(s, op)
    case = report.case
    came_before = {photo.upload_sha256: photo.id for photo in report.photos}  # with the form itself
    for row in rows:
        row.photo_id = row.photo_id or came_before.get(row.sha256)
    missing = [row for row in rows if row.photo_id is None]
    expected_photos.attach_to(missing, case_id=case.id, report_id=report.id)
    why = "joined" if len(case.reports) > 1 else None
    return result(op.id, APPLIED, why, to=case.number, report=report.number), case


def _of_erased(s: Session, op: Operation) -> tuple[dict[str, Any], None]:
    expected_photos.drop(s, op.id)
    return result(op.id, RECORDED, "erased"), None


def _taken(s: Session, op: Operation, arrived: Sequence[Any], secret: str, by: Actor, at: datetime) -> Report:
    telling = _telling(s, op, by)
    # Nobody follows a crew's report by a secret link, so nobody can work out what its token is.
    token = intake.token_for(secret, key_of(op.id)) if CREW not in by.roles else secrets.token_hex(16)
    if telling.join:
        try:
            with events.savepoint(s):
                return intake.submit(s, telling, by=by, at=at, token=token, taken=arrived)
        except Refused as refused:
            if refused.code != "unknown_case":
                raise
    # What looked the same on a phone without signal may be gone by now, and is a case of its own then.
    alone = intake.NewReport(**{**vars(telling), "join": None})
    return intake.submit(s, alone, by=by, at=at, token=token, taken=arrived)


def _telling(s: Session, op: Operation, by: Actor) -> intake.NewReport:
    answers = op.data.get("answers") or {}
    if not isinstance(answers, dict) or not all(_is_answer(value) for value in answers.values()):
        raise Refused("malformed")
    service = s.get(Service, operations.text(op, "service"))
    kept = {
        each.code: each.join([given] if isinstance(given := answers[each.code], str) else given)
        for each in (service.questions if service else ())
        if each.code in answers
    }
    # The city's own layers only: nobody waits for another server inside a transaction.
    place, about = resolve_unasked(s, _whereabouts(s, op))
    return intake.NewReport(
        key=key_of(op.id),
        service_code=operations.text(op, "service"),
        channel="crew" if CREW in by.roles else "web",
        lang=(operations.text(op, "lang") or "en")[:LANGUAGE],
        words=operations.words_of(op),
        place=place,
        answers=kept,
        danger=op.data.get("danger") is True,
        join=operations.text(op, "join") or None,
        at_device=op.device_time,
        about_place=about,
    )


def _whereabouts(s: Session, op: Operation) -> Whereabouts:
    service = s.get(Service, operations.text(op, "service"))
    kind = service.asset_kind if service else None
    return Whereabouts(operations.text(op, "address"), operations.fix(op), operations.text(op, "asset"), kind)


def _is_answer(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(each, str) for each in value)
    )
