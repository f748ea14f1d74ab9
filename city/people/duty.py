"""Who is on duty: a person says so, until a time of their choice. What rings for them: danger_alarm.py."""

from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Select, delete, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.db.models import DutyShift, Person, PersonRole
from city.lifecycle import CALL_TAKER, DISPATCHER, SUPERVISOR, Refused
from city.people import accounts

# Who may accept a case, and so may be rung for one.
ROLES: Final = (DISPATCHER, SUPERVISOR, CALL_TAKER)
LONGEST: Final = timedelta(hours=24)
EVENING: Final = time(18)
SHIFT: Final = 8  # hours that are proposed once the evening is near


def begin(s: Session, person: Person, until: datetime, *, by: Actor, at: datetime) -> bool:
    """The person is on duty until then; a second time moves the end. False where it was so already.

    Raises Refused `not_allowed` without one of ROLES, and `bad_duty_time` for an end that is over, or more
    than LONGEST from now.
    """
    if not by.roles.intersection(ROLES):
        raise Refused("not_allowed", move="begin duty")
    if not at < until <= at + LONGEST:
        raise Refused("bad_duty_time")
    shift = current(s, person.id, at)
    if shift and shift.until == until:
        return False
    make = postgresql_insert if s.get_bind().dialect.name == "postgresql" else sqlite_insert
    began_at = shift.began_at if shift else at
    row = make(DutyShift).values(person_id=person.id, began_at=began_at, until=until)
    row = row.on_conflict_do_update(
        index_elements=[DutyShift.person_id], set_={"began_at": began_at, "until": until}
    )
    s.execute(row)
    s.expire_all()
    facts = {"until": until.isoformat()}
    events.record(s, accounts.subject(person), "begin duty", by=by, at=at, facts=facts)
    return True


def end(s: Session, person: Person, *, by: Actor, at: datetime) -> bool:
    """The person is on duty no more; False where they were not."""
    was = current(s, person.id, at) is not None
    s.execute(delete(DutyShift).where(DutyShift.person_id == person.id))
    if was:
        events.record(s, accounts.subject(person), "end duty", by=by, at=at)
    return was


def current(s: Session, person_id: int, at: datetime) -> DutyShift | None:
    """The person's shift, if they are on duty."""
    return s.scalars(select(DutyShift).where(DutyShift.person_id == person_id, DutyShift.until > at)).first()


def on_duty(at: datetime) -> Select[int, datetime]:
    """Ids of all who are on duty, and until when. Whoever lost account or roles is not."""
    may = Person.roles.any(PersonRole.role.in_(ROLES))
    asked = select(DutyShift.person_id, DutyShift.until).join(Person, Person.id == DutyShift.person_id)
    return asked.where(DutyShift.until > at, Person.disabled_at.is_(None), may)


def listed(s: Session, at: datetime) -> list[tuple[Person, datetime]]:
    """Everybody on duty by name, and until when."""
    found = dict[int, datetime]((row.person_id, row.until) for row in s.execute(on_duty(at)))
    people = s.scalars(select(Person).where(Person.id.in_(found)).order_by(Person.name, Person.id))
    return [(person, found[person.id]) for person in people]


def proposed(at: datetime, zone: ZoneInfo) -> datetime:
    """Until when somebody who begins now is likely on duty: six in the evening, or a shift in full hours."""
    here = at.astimezone(zone)
    evening = datetime.combine(here.date(), EVENING, zone)
    if here + timedelta(hours=1) <= evening:
        return evening
    return (here + timedelta(hours=SHIFT)).replace(minute=0, second=0, microsecond=0)


def read_until(words: str, at: datetime, zone: ZoneInfo) -> datetime:
    """The next time that the city's clocks say "18:00"; raises Refused `bad_duty_time` for no such words."""
    try:
        clock = time.fromisoformat(words.strip())
    except ValueError:
        raise Refused("bad_duty_time") from None
    if clock.tzinfo is not None:
        raise Refused("bad_duty_time")
    today = at.astimezone(zone).date()
    found = datetime.combine(today, clock, zone)
    if found <= at:
        found = datetime.combine(today + timedelta(days=1), clock, zone)
    return min(found, at + LONGEST)  # on the day that has an hour more


def sweep(s: Session, now: datetime) -> int:
    """Removes what is over; returns how many that were."""
    over = delete(DutyShift).where(DutyShift.until <= now).returning(DutyShift.person_id)
    return len(s.scalars(over).all())
