"""What followers of an area or a street read in the morning: what was told and what closed. Sends nothing."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, Select, func, insert, or_, select, update
from sqlalchemy.orm import Session

from city.cases import queries
from city.db import engine as db
from city.db.models import Case, Event, Message, Service, Subscription
from city.lifecycle import CLOSED, OPEN
from city.notifications import subscriptions
from city.notifications.subscriptions import Preview
from city.places import areas

BEGINS: Final = time(7)  # by the city's clocks
MONDAY: Final = 0
AT_ONCE: Final = 1_000  # followers in one transaction, and cases in one statement
MOST: Final = 20  # cases of each sort that are named; the rest is counted
OPENED, ENDED = "opened", "closed"  # the two sorts; for Message.cases and the pages' words


class News(NamedTuple):
    """One case and the line of the log that tells of it. `sort` is one of the two above."""

    seq: int
    sort: str
    case_id: int


def queue_due(engine: Engine, now: datetime, zone: ZoneInfo) -> int:
    """Writes the outbox's rows for all whose morning it is; returns how many letters that makes.

    The log is read once for all of them, and the places of its cases with it: a follower costs no statement.
    Where nothing happened nothing is sent, and the day counts as told. Killed in between, it goes on with
    those who are left: a follower's row and letter are written in one transaction.
    """
    at = now.astimezone(zone)
    if at.time() < BEGINS:
        return 0
    with db.read_session(engine) as s:
        since, count = s.execute(
            _due(at.date()).with_only_columns(func.min(Subscription.told_seq), func.count())
        ).one()
        if not count:
            return 0
        until = subscriptions.newest(s)
        told = _by_place(s, since, until)
    made = done = 0
    while done < count:
        with db.transaction(engine) as s:
            letters, passed = _queue(s, told, until, at.date(), now)
        made, done = made + letters, done + passed
        if not passed:
            break
    return made


def _due(today: date) -> Select[Any]:
    untold = or_(Subscription.told_on.is_(None), Subscription.told_on < today)
    asked = select(Subscription).where(
        Subscription.place.is_not(None), Subscription.place.not_like(f"{subscriptions.PICKUPS}%"),
        Subscription.place.not_like(f"{subscriptions.DUTY}%"),
        Subscription.confirmed_at.is_not(None), Subscription.stopped_at.is_(None), untold,
    )  # fmt: skip
    return asked if today.weekday() == MONDAY else asked.where(Subscription.weekly.is_(False))


def _by_place(s: Session, since: int, until: int) -> dict[str, list[News]]:
    """What happened in every place between two lines of the log, in its order."""
    asked = select(Event.seq, Event.kind, Event.subject).where(Event.seq > since, Event.seq <= until)
    asked = asked.where(Event.kind.in_(("open", "close")), Event.origin == "live").order_by(Event.seq)
    lines = [(seq, kind, int(subject.partition(":")[2])) for seq, kind, subject in s.execute(asked)]
    seen = {case.id: case for case in _cases(s, sorted({case_id for _, _, case_id in lines}))}
    names, ground = areas.names(s), areas.known(s)
    found: dict[str, list[News]] = defaultdict(list)
    for case_id, news in _last(lines, seen).items():
        area = names.get(str(subscriptions.area_id(ground, seen[case_id])))
        for place in subscriptions.places_of(seen[case_id].address, area):
            found[place].append(news)
    return {place: sorted(news) for place, news in found.items()}


def _cases(s: Session, ids: Sequence[int]) -> Iterator[Preview]:
    """Of these cases those that strangers may know of."""
    columns = (
        Case.id, Case.state, Case.address, Case.area_id, Case.lat, Case.lon, Service.precision_m,
    )  # fmt: skip
    for first in range(0, len(ids), AT_ONCE):
        asked = queries.public_cases().where(Case.id.in_(ids[first : first + AT_ONCE]))
        yield from (Preview(*row) for row in s.execute(asked.with_only_columns(*columns)))


def _last(lines: Sequence[tuple[int, str, int]], seen: dict[int, Preview]) -> dict[int, News]:
    """What is to be said of each case as it stands now: what was closed and opened again is neither.

    A case that was told and closed since the last letter is told once, as closed.
    """
    found: dict[int, News] = {}
    for seq, kind, case_id in lines:
        state = seen[case_id].state if case_id in seen else ""
        if kind == "close" and state == CLOSED:
            found[case_id] = News(seq, ENDED, case_id)
        elif kind == "open" and state in OPEN:
            found[case_id] = News(seq, OPENED, case_id)
    return found


def _queue(
    s: Session, told: dict[str, list[News]], until: int, today: date, now: datetime
) -> tuple[int, int]:
    """The next followers: how many letters that makes, and how many there were."""
    asked = _due(today).with_only_columns(Subscription.id, Subscription.place, Subscription.told_seq)
    rows = s.execute(asked.order_by(Subscription.id).limit(AT_ONCE).with_for_update()).all()
    letters = [
        {
            "event_seq": until, "subscription_id": row.id, "kind": "digest", "cases": _named(news),
            "tries": 0, "next_try_at": now,
        }
        for row in rows
        if (news := _after(told.get(row.place, []), row.told_seq))
    ]  # fmt: skip
    if letters:
        s.execute(insert(Message), letters)
    if rows:
        mine = Subscription.id.in_([row.id for row in rows])
        s.execute(update(Subscription).where(mine).values(told_seq=until, told_on=today))
    return len(letters), len(rows)


def _after(news: list[News], seq: int) -> list[News]:
    return news[bisect_right(news, seq, key=lambda each: each.seq) :]


def _named(news: list[News]) -> dict[str, Any]:
    """As a message keeps it: of each sort the newest, and how many there are in all."""
    sorts = {sort: [each.case_id for each in reversed(news) if each.sort == sort] for sort in (OPENED, ENDED)}
    return {sort: ids[:MOST] for sort, ids in sorts.items()} | {"all": len(news)}
