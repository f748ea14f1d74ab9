"""Asks the endpoints how it goes with what is there, until it has ended."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine, select

from city.db import engine as db
from city.db.models import Endpoint, RemoteRequest
from city.forwarding import endpoints, forwards
from city.forwarding.client import Address, Client, Found, NotSent, Turned, Unclear
from city.forwarding.forwards import FOLLOWED

AT_ONCE: Final = 40  # of one endpoint, in one request
EVERY: Final = timedelta(minutes=5)
SELDOM: Final = timedelta(minutes=30)  # what nothing has happened to for days
QUIET: Final = timedelta(days=3)
LOST_AFTER: Final = timedelta(days=3)  # in which they did not know of it


def follow_due(engine: Engine, client: Client, now: datetime) -> int:
    """Asks each endpoint about what is due there; returns how many have ended. One that is down waits."""
    due: dict[int, list[tuple[int, str]]] = {}
    asked = (
        select(RemoteRequest.endpoint_id, RemoteRequest.id, RemoteRequest.their_id)
        .join(Endpoint)
        .where(RemoteRequest.next_try_at <= now, RemoteRequest.state == FOLLOWED)
        .where(Endpoint.is_active, Endpoint.next_try_at <= now)
        .order_by(RemoteRequest.next_try_at)
    )
    with db.read_session(engine) as s:
        for endpoint_id, row_id, number in s.execute(asked):
            due.setdefault(endpoint_id, []).append((row_id, number or ""))
        where = {each: endpoints.address(s.get_one(Endpoint, each)) for each in due}
    return sum(_follow(engine, client, each, where[each], rows[:AT_ONCE], now) for each, rows in due.items())


def _follow(
    engine: Engine,
    client: Client,
    endpoint_id: int,
    where: Address,
    rows: Sequence[tuple[int, str]],
    now: datetime,
) -> int:
    fault: Exception | None = None
    found: dict[str, Found] = {}
    try:
        found = {each.id: each for each in client.named(where, [number for _id, number in rows])}
        for number in [number for _id, number in rows if number not in found][:5]:
            if alone := client.one(where, number):
                found[number] = alone
    except (NotSent, Unclear, Turned) as wrong:
        fault = wrong
    with db.transaction(engine) as s:
        endpoint = s.get_one(Endpoint, endpoint_id)
        if fault:
            endpoints.failed(endpoint, fault, at=now)
        else:
            endpoints.answered(endpoint, at=now)
    if fault and not found:
        return 0
    ended = 0
    for row_id, number in rows:
        if fault and number not in found:
            continue
        with db.transaction(engine) as s:
            row = s.get_one(RemoteRequest, row_id)
            if told := found.get(number):
                ended += forwards.seen(s, row, told, at=now)
                moved = row.their_update_at or row.taken_at or now
                again = now + (EVERY if now - moved < QUIET else SELDOM)
            else:
                known = row.seen_at or row.taken_at or now
                if now - known > LOST_AFTER:
                    ended += forwards.lost(s, row, at=now)
                row.tries += 1
                again = now + SELDOM
            if row.state == FOLLOWED:
                row.next_try_at = again
    return ended
