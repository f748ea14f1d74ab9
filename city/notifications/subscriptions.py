"""Following a case, an area or a street without a report of one's own: what may be followed, and the wish.

Confirming and stopping is the same for all: reports/intake.py. What a place's followers read: digests.py.
When they are forgotten: retention.py.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session, joinedload

from city.audit import events
from city.cases import queries
from city.channels import CHANNELS
from city.db.models import Case, Event, Subscription
from city.geo import Point, rounded
from city.lifecycle import OPEN, UNDONE, Refused
from city.people import accounts
from city.places import areas, lookup, reverse_geocoder, streets
from city.places.index import numbered

PICKUPS: Final = "pickups:"  # before a zone's code: its days of collection, pickup_reminders.py's
DUTY: Final = "duty:"  # before a person's id: danger while they are on duty, danger_alarm.py's
MOST_OPEN_QUESTIONS: Final = 5  # letters within the hour that ask one address whether it wants news
MOST_FOLLOWS: Final = 30  # of one address
# Browsers of one push service that follow one case: anybody can make addresses up, and each is to be told.
MOST_BROWSERS: Final = 500
MOST_LIKE: Final = 5
HOUR: Final = timedelta(hours=1)
ASK_AGAIN_AFTER: Final = timedelta(minutes=10)


@dataclass(frozen=True)
class Target:
    """What somebody follows. `name` is as people read it; `place` makes two names one, "" for a case."""

    kind: str  # case, area, street, pickups, duty
    name: str
    case_id: int | None = None
    place: str = ""


class Preview(NamedTuple):
    """What of a case says whose followers hear of it."""

    id: int
    state: str
    address: str
    area_id: int | None
    lat: float | None
    lon: float | None
    precision_m: int


def case(s: Session, number: str) -> Target | None:
    """A case that strangers may know of; none that was cleared and is over: an address there would stay."""
    lives = Case.cleared_at.is_(None) | Case.state.in_(OPEN)
    asked = queries.public_cases().where(Case.number == number, Case.state != UNDONE, lives)
    found = s.scalars(asked).first()
    return Target("case", found.number, found.id) if found else None


def area(s: Session, name: str) -> Target | None:
    """One of the areas by which cases are counted."""
    return _area(name) if name and name in area_names(s) else None


def street(s: Session, words: str) -> Target | None:
    """The street that the words name for sure: a slip of the finger follows nothing else."""
    if not words.strip() or len(words) > lookup.MOST_LETTERS:
        return None
    match = lookup.gazetteer(s).atlas.directory.find(words)
    if len(match.streets) != 1 or match.slips:
        return None
    label = match.streets[0].label
    return Target("street", label, place=street_key(label))


def search_streets(s: Session, words: str) -> list[str]:
    """Streets that somebody may mean whose words name none for sure; a few."""
    if not words.strip() or len(words) > lookup.MOST_LETTERS:
        return []
    match = lookup.gazetteer(s).atlas.directory.find(words)
    return sorted(found.label for found in match.streets)[:MOST_LIKE]


def streets_of(s: Session, address: str) -> list[str]:
    """Streets that a house's address or a corner names for sure: "214 Tansy Street", "Elm St at Oak St"."""
    if len(address) > lookup.MOST_LETTERS:
        return []
    return sorted({about.name for name in _named(address) if (about := street(s, name))})


def streets_near(s: Session, of: Target) -> list[Target]:
    """The streets and the area of a case as strangers know them, to be followed instead."""
    asked = queries.public_cases().where(Case.id == of.case_id).options(joinedload(Case.service))
    found = s.scalars(asked).one()
    seen = Preview(
        found.id, found.state, found.address, found.area_id, found.lat, found.lon, found.service.precision_m
    )
    near = {about.place: about for name in _named(found.address) if (about := street(s, name))}
    inside = areas.names(s).get(str(area_id(areas.known(s), seen)))
    return [*near.values(), *([_area(inside)] if inside else [])]


def area_names(s: Session) -> list[str]:
    """What areas there are to be followed, in order."""
    return sorted(set(areas.names(s).values()))


def places_of(address: str, area_name: str | None) -> set[str]:
    """The places whose followers hear of a case with this address in this area."""
    found = {street_key(name) for name in _named(address)}
    return found | ({_area(area_name).place} if area_name else set())


def area_id(ground: areas.Areas, seen: Preview) -> int | None:
    """In which area strangers see the case: an edge may run between a house and its coarse place."""
    if not seen.precision_m or seen.lat is None or seen.lon is None:
        return seen.area_id
    return ground.of(rounded(Point(seen.lat, seen.lon), seen.precision_m))


def street_key(name: str) -> str:
    """What makes two ways to write a street one: "N. Main St", "Main Street North"."""
    parts = streets.parse(name)
    return f"street:{' '.join(filter(None, (parts.joined, parts.type, parts.direction)))}"[:200]


def subscribe(
    s: Session,
    about: Target,
    address: str,
    *,
    channel: str = "email",
    keys: dict[str, str] | None = None,
    lang: str,
    weekly: bool = False,
    at: datetime,
) -> Subscription:
    """Keeps the wish; the same one twice is one. A browser's counts at once, others are asked to confirm.

    Raises Refused `bad_email`, `bad_phone`; `too_many_follows` for an address that follows MOST_FOLLOWS;
    `too_many_followers` where MOST_BROWSERS follow the case; and `asked_too_often` where the hour brought it
    MOST_OPEN_QUESTIONS questions already: nobody's mailbox is to be filled by somebody else.
    """
    address, needs_confirmation = normal_address(channel, address), CHANNELS[channel].needs_confirmation
    found = wish(s, about, address)
    if found and needs_confirmation and _was_asked(found, at):
        found.weekly = weekly if found.confirmed_at is None else found.weekly
        return found
    _refuse_too_many(s, address, found, channel, at)
    if not needs_confirmation and about.case_id and (found is None or found.stopped_at):
        _refuse_too_many_browsers(s, about.case_id, address)
    row = found or _made(s, about, address, channel=channel, lang=lang, at=at)
    if row is None:  # a second tap, at the same instant, was first
        return s.scalars(_wished(about, address)).one()
    begins = found is None or found.stopped_at is not None or found.confirmed_at is None
    row.lang, row.weekly, row.asked_at, row.keys = lang, weekly, at, keys
    if not needs_confirmation:  # only that very browser can have made its address
        row.confirmed_at, row.stopped_at = row.confirmed_at or at, None
    if begins:
        row.told_seq = newest(s)
        record_event(s, row, "subscribe", at=at)
    s.flush()
    return row


def normal_address(channel: str, address: str) -> str:
    """The address as it is kept; a number comes from callers.normal().

    Raises Refused `bad_email`, `bad_phone`.
    """
    if CHANNELS[channel].address == "mailbox":
        return accounts.address(address)
    if not address:
        raise Refused("bad_phone")
    return address


def record_event(s: Session, row: Subscription, kind: str, *, at: datetime) -> None:
    """A line of the log about a subscription without a report; who it is stands in no line."""
    events.record(
        s, f"subscription:{row.id}", kind, by=accounts.A_RESIDENT, at=at, facts={"subscription": row.id}
    )


def newest(s: Session) -> int:
    """The last line of the log: what is followed from now on begins behind it."""
    return s.scalar(select(func.max(Event.seq))) or 0


def wish(s: Session, about: Target, address: str) -> Subscription | None:
    """What this address wants to hear about that, if anything."""
    return s.scalars(_wished(about, address)).first()


def code(secret: str, row: Subscription) -> str:
    """What only a reader of that mailbox knows: it opens the page with all that is written there."""
    told = f"follows:{row.channel}:{row.address}"
    return hmac.new(secret.encode(), told.encode(), hashlib.sha256).hexdigest()[:32]


def of_address(s: Session, row: Subscription) -> list[Subscription]:
    """All that this address wanted and has not stopped, the newest first; reports' own news too."""
    same = Subscription.channel == row.channel, Subscription.address == row.address
    asked = select(Subscription).where(*same, Subscription.stopped_at.is_(None))
    return list(
        s.scalars(
            asked.options(joinedload(Subscription.report), joinedload(Subscription.case)).order_by(
                Subscription.id.desc()
            )
        )
    )


def is_of_pickups(row: Subscription) -> bool:
    """Whether it wants reminders of the days when trash is collected."""
    return bool(row.place and row.place.startswith(PICKUPS))


def is_of_duty(row: Subscription) -> bool:
    """Whether it wants to hear of danger while its person is on duty."""
    return bool(row.place and row.place.startswith(DUTY))


def _area(name: str) -> Target:
    return Target("area", name, place=f"area:{name}"[:200])


def _named(address: str) -> list[str]:
    """The streets that an address names: "214 Tansy Street", "Elm St at Oak St", "near 12 Elm St"."""
    found = reverse_geocoder.read(address.partition(",")[0])  # what follows is a flat, or the city
    names = [part for name in (found.name, found.other) for part in name.split(" & ") if part]
    return [name for name in map(_without_number, names) if streets.parse(name).joined]


def _without_number(name: str) -> str:
    parts = numbered(name)
    return parts[1] if parts else name


def _wished(about: Target, address: str) -> Select[Subscription]:
    which = Subscription.place == about.place if about.place else Subscription.case_id == about.case_id
    return select(Subscription).where(which, Subscription.address == address)


def _made(
    s: Session, about: Target, address: str, *, channel: str, lang: str, at: datetime
) -> Subscription | None:
    """A new wish; None where there is one already."""
    make = postgresql_insert if s.get_bind().dialect.name == "postgresql" else sqlite_insert
    values = {
        "case_id": about.case_id, "place": about.place or None, "channel": channel, "address": address,
        "place_name": about.name[:200] if about.place else "", "lang": lang, "asked_at": at, "weekly": False,
        "told_seq": 0,
    }  # fmt: skip
    new = make(Subscription).values(values).on_conflict_do_nothing().returning(Subscription.id)
    row_id = s.scalar(new)
    return s.get(Subscription, row_id) if row_id is not None else None


def _was_asked(row: Subscription, at: datetime) -> bool:
    """Whether it is wanted already, or was asked just now. Later it is asked again: letters get lost."""
    return row.stopped_at is None and (row.confirmed_at is not None or at - row.asked_at < ASK_AGAIN_AFTER)


def _refuse_too_many(
    s: Session, address: str, found: Subscription | None, channel: str, at: datetime
) -> None:
    mine = select(func.count()).select_from(Subscription)
    mine = mine.where(Subscription.address == address, Subscription.report_id.is_(None))
    if found is None and (s.scalar(mine.where(Subscription.stopped_at.is_(None))) or 0) >= MOST_FOLLOWS:
        raise Refused("too_many_follows", most=MOST_FOLLOWS)
    lately = s.scalar(mine.where(Subscription.asked_at > at - HOUR)) or 0
    if CHANNELS[channel].needs_confirmation and lately >= MOST_OPEN_QUESTIONS:
        raise Refused("asked_too_often")


def _refuse_too_many_browsers(s: Session, case_id: int, address: str) -> None:
    parts = urlsplit(address)
    there = Subscription.address.startswith(f"{parts.scheme}://{parts.netloc}/", autoescape=True)
    live = Subscription.case_id == case_id, Subscription.stopped_at.is_(None), there
    if (s.scalar(select(func.count()).select_from(Subscription).where(*live)) or 0) >= MOST_BROWSERS:
        raise Refused("too_many_followers")
