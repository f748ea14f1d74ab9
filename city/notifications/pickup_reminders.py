"""Reminders the evening before a zone's trash is collected: who subscribed, and who is due. Sends nothing.

Subscribing is in subscriptions.py, confirming and stopping in reports/intake.py, as for every subscription.
Its place is the zone and no address: where somebody lives is not kept.
"""

from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, Select, insert, or_, select, update

from city.config.collection_schedule import Collection, Zone
from city.db import engine as db
from city.db.models import Message, Subscription
from city.notifications import subscriptions
from city.notifications.subscriptions import PICKUPS, Target
from city.places import collection_days

BEGINS: Final = time(18)  # by the city's clocks; what is put out for the truck is put out in the evening
AT_ONCE: Final = 1_000  # reminders in one transaction
KIND: Final = "pickup"  # of a message, before the day that it reminds of


def target(zone: Zone) -> Target:
    """What a subscription to a zone's days is about."""
    return Target("pickups", zone.area, place=_place(zone))


def zone_of(row: Subscription, collection: Collection) -> Zone | None:
    """The zone that a subscription is about; None where the city file has dropped it."""
    return next((zone for zone in collection.zones if _place(zone) == row.place), None)


def day_of(message: Message) -> date:
    """The day of collection that a message reminds of."""
    return date.fromisoformat(message.kind.removeprefix(KIND).strip())


def queue_due(engine: Engine, now: datetime, zone: ZoneInfo, collection: Collection) -> int:
    """Writes the outbox's rows for tomorrow's collections, from six in the evening on; returns how many.

    `zone` is that of the city's clocks. The message and the day it was written for (`told_on`) are stored in
    one transaction, so two workers never write it twice. After midnight nothing is written: the day has come.
    """
    at = now.astimezone(zone)
    if at.time() < BEGINS:
        return 0
    tomorrow = at.date() + timedelta(days=1)
    coming = [each for each in collection.zones if _collects(each, collection, tomorrow)]
    if not coming:
        return 0
    made = 0
    while last := _queue(engine, [_place(each) for each in coming], tomorrow, now):
        made += last
    return made


def _queue(engine: Engine, places: list[str], day: date, now: datetime) -> int:
    with db.transaction(engine) as s:
        ids = list(s.scalars(_due(places, day).limit(AT_ONCE).with_for_update()))
        if ids:
            seq, kind = subscriptions.newest(s), f"{KIND} {day}"
            row: dict[str, Any] = {"event_seq": seq, "kind": kind, "tries": 0, "next_try_at": now}
            s.execute(insert(Message), [row | {"subscription_id": each} for each in ids])
            s.execute(update(Subscription).where(Subscription.id.in_(ids)).values(told_on=day))
    return len(ids)


def _due(places: list[str], day: date) -> Select[int]:
    untold = or_(Subscription.told_on.is_(None), Subscription.told_on < day)
    asked = select(Subscription.id).where(
        Subscription.place.in_(places), Subscription.confirmed_at.is_not(None),
        Subscription.stopped_at.is_(None), untold,
    )  # fmt: skip
    return asked.order_by(Subscription.id)


def _collects(zone: Zone, collection: Collection, day: date) -> bool:
    return bool(collection_days.days_of(zone, collection.calendar, day, day))


def _place(zone: Zone) -> str:
    return f"{PICKUPS}{zone.code}"
