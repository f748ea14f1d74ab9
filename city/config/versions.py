"""The versions of the city file: numbered, in the log, with what each of them changed."""

import hashlib
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.config import city_file
from city.config.business_hours import Calendar
from city.config.calendars import written
from city.config.city_file import CityFile, CityFileError
from city.db import models
from city.db.models import CityVersion
from city.lifecycle import Refused

SUBJECT = "policy"  # the log's
# Tables whose order is seen: tiles and chips stand as the file has them.
IN_ORDER = ("groups", "services")

Change = dict[str, Any]  # {key, was, now}; None where the key was not there, or is no more


def publish(s: Session, text: str, name: str, *, by: Actor, at: datetime) -> CityVersion | None:
    """Makes these words the city's newest version; None where they are that already.

    `text` is what city_file.read_with_logo() gives, `name` what faults call the file. Raises CityFileError,
    also where a service with cases would become other work, or Refused `applied_meanwhile`.
    Promises that were given stay as they are: a case keeps its own days.
    """
    city = city_file.parse(text, name)
    last, sha256 = current(s), hashlib.sha256(text.encode()).hexdigest()
    if last and last.sha256 == sha256:
        return None
    _keep_work(s, city, name)
    policy = CityVersion(
        number=last.number + 1 if last else 1, applied_at=at, applied_by=by.name, sha256=sha256, text=text,
        changes=difference(last.text if last else "", text),
    )  # fmt: skip
    try:
        with s.begin_nested():
            s.add(policy)
    except IntegrityError:  # another one was applied in the same moment: look at it before you apply yours
        raise Refused("applied_meanwhile", number=policy.number) from None
    activate(s, city)
    events.record(s, SUBJECT, "apply", by=by, at=at, facts={"number": policy.number, "sha256": sha256})
    return policy


def active(s: Session, file: Path) -> CityFile:
    """The city as its newest version says, or as `file` does where none was applied. Raises CityFileError."""
    newest = current(s)
    return city_file.parse(newest.text, f"version {newest.number}") if newest else city_file.load(file)


def activate(s: Session, city: CityFile) -> None:
    """Writes departments, services with their calendars, topics and owners as the file has them.

    A service or topic that left the file keeps its row, since old cases and contacts name it; it is offered
    no more.
    """
    for department in city.departments:
        s.merge(models.Department(code=department.code, names=department.names, time_zone=city.time_zone.key))
    s.flush()
    columns = models.Service.__table__.columns.keys()
    for service in city.services:
        told = {name: value for name, value in vars(service).items() if name in columns}
        calendar_id = _calendar_id(s, city.working(service)) if service.promise_hours else None
        s.merge(models.Service(**told, calendar_id=calendar_id))
    for topic in city.topics:
        s.merge(models.Topic(code=topic.code, names=topic.names, department_code=topic.department_code))
    s.execute(delete(models.Owner))  # nothing points at one: assets hold what their register says
    s.add_all(models.Owner(code=owner.code, names=list(owner.names)) for owner in city.owners)
    s.flush()


def _keep_work(s: Session, city: CityFile, name: str) -> None:
    """A crew may hold the cases of a service: they do not become an office's, nor an office's theirs.

    The services stay locked, so that no case is opened meanwhile: see intake.submit().
    """
    offices = {service.code: service.office for service in city.services}
    known = select(models.Service).where(models.Service.code.in_(offices)).order_by(models.Service.code)
    for row in s.scalars(known.with_for_update()):
        has_cases = select(models.Case.id).where(models.Case.service_code == row.code).limit(1)
        if row.office != offices[row.code] and s.scalar(has_cases):
            fault = "can't change, because the service already has cases"
            raise CityFileError(name, None, f"services.{row.code}.work", fault, "a new service next to it")


def _calendar_id(s: Session, calendar: Calendar) -> int:
    """The id of the row that has this calendar: cases that count by it keep it whatever later files say."""
    rules = written(calendar)
    sha256 = hashlib.sha256(rules.encode()).hexdigest()
    row = s.scalars(select(models.Calendar).where(models.Calendar.sha256 == sha256)).first()
    if row is None:
        row = models.Calendar(sha256=sha256, rules=rules)
        s.add(row)
        s.flush()
    return row.id


def current(s: Session) -> CityVersion | None:
    """The newest version; None where none was ever applied."""
    return s.scalars(select(CityVersion).order_by(CityVersion.number.desc()).limit(1)).first()


def newest(s: Session) -> int:
    """The number of the newest version, 0 where there is none; cheap enough to ask every few seconds."""
    return s.scalar(select(func.max(CityVersion.number))) or 0


def versions(s: Session) -> list[CityVersion]:
    """All versions, newest first."""
    return list(s.scalars(select(CityVersion).order_by(CityVersion.number.desc())))


def difference(old: str, new: str) -> list[Change]:
    """What differs between two city files, key by key, in the order of the new one; comments do not count."""
    before, after = (tomllib.loads(text) for text in (old, new))
    was, now = dict(_leaves("", before)), dict(_leaves("", after))
    changed = [
        {"key": key, "was": was.get(key), "now": value} for key, value in now.items() if was.get(key) != value
    ]
    gone = [{"key": key, "was": value, "now": None} for key, value in was.items() if key not in now]
    return [*changed, *gone, *_moved(before, after)]


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _leaves(f"{path}.{key}" if path else key, below)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for n, item in enumerate(value, start=1):
            yield from _leaves(f"{path}[{n}]", item)
    else:
        yield path, _written(value)


def _written(value: Any) -> Any:
    """As JSON keeps it: days and times become words."""
    if isinstance(value, list):
        return [_written(item) for item in value]
    return value if isinstance(value, str | int | float) else str(value)


def _moved(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for table in IN_ORDER:
        was = [key for key in before.get(table, {}) if key in after.get(table, {})]
        now = [key for key in after.get(table, {}) if key in before.get(table, {})]
        if was != now:
            yield {"key": f"{table} (their order)", "was": was, "now": now}
