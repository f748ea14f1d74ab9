"""What the board's head and somebody's own page say of being on duty, and of danger for which nobody is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import g
from sqlalchemy.orm import Session

from city.channels import PUSH, SMS
from city.lifecycle import DISPATCHER
from city.notifications import danger_alarm, webpush
from city.people import duty
from pwa.web import access, localization


@dataclass(frozen=True)
class OnDuty:
    """`until` is when the own shift ends, None off duty; `proposed` when one would that begins now.

    `waiting` are the numbers of dangerous cases that ring for nobody; `anybody` says that somebody is on duty
    all the same, and cannot be rung.
    """

    until: datetime | None
    proposed: datetime
    waiting: tuple[str, ...] = ()
    anybody: bool = False


def on_board(s: Session) -> OnDuty | None:
    """For the board; None for those who are never on duty. Of waiting danger hears who sends crews."""
    if not g.actor.roles.intersection(duty.ROLES):
        return None
    at, city = access.now(), access.current_city().city
    shifts = {row.person_id: row.until for row in s.execute(duty.on_duty(at))}
    waiting: tuple[str, ...] = ()
    if city.ring_after and DISPATCHER in g.actor.roles and not (shifts and danger_alarm.reachable(s, at)):
        rings = (each for each in danger_alarm.unaccepted(s) if each.since + city.ring_after <= at)
        waiting = tuple(each.number for each in rings)
    return OnDuty(shifts.get(g.person.id), duty.proposed(at, city.time_zone), waiting, bool(shifts))


def own_page(
    s: Session, *, typed: dict[str, str] | None = None, fault: tuple[str, str] | None = None
) -> dict[str, Any]:
    """What account/me.html shows. `typed` are the fields of a form that came back, `fault` whose and why."""
    held = access.current_city()
    told: dict[str, Any] = {"person": g.person, "typed": typed or {}, "fault": fault, "duty": None}
    if not g.actor.roles.intersection(duty.ROLES):
        return told
    at = access.now()
    shift, ways = duty.current(s, g.person.id, at), danger_alarm.ways_of(s, g.person.id)
    proposed = shift.until if shift else duty.proposed(at, held.city.time_zone)
    return told | {
        "duty": OnDuty(shift.until if shift else None, proposed),
        "proposed": localization.local(proposed).strftime("%H:%M"),
        "ring_after": int(held.city.ring_after.total_seconds() // 60),
        "number": next((way for way in ways if way.channel == SMS), None),
        "browsers": sum(way.channel == PUSH for way in ways),
        "is_reached": any(way.confirmed_at for way in ways),
        "push_key": webpush.public_key(held.settings),
        "texts": bool(held.settings.sms_url),
    }
