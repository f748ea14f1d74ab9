"""Other owners' endpoints: added and changed by an administrator, tested before anything goes there."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from city import safe_http
from city.audit import events
from city.audit.events import Actor
from city.db.models import Endpoint
from city.forwarding.client import Address, Client, NotSent, Turned, Unclear
from city.lifecycle import ADMINISTRATOR, Refused
from city.safe_http import PrivateAddressError
from city.text import is_blank

FIRST_WAIT: Final = timedelta(seconds=15)
LONGEST_WAIT: Final = timedelta(hours=1)
MOST_NAME: Final = 80  # letters


def save(
    s: Session,
    row: Endpoint | None,
    *,
    name: str,
    url: str,
    jurisdiction: str = "",
    api_key: str | None = None,
    services: Mapping[str, str] | None = None,
    is_active: bool = True,
    pulls: bool = False,
    loopback: bool,
    by: Actor,
    at: datetime,
) -> Endpoint:
    """Adds an endpoint, or changes `row`. An `api_key` of None keeps the one that is there.

    Raises Refused `not_allowed`, `empty_name`, `known_endpoint`, `not_public`.
    """
    if ADMINISTRATOR not in by.roles:
        raise Refused("not_allowed", move="endpoint")
    name, url = " ".join(name.split())[:MOST_NAME], _base(url, loopback)
    if is_blank(name):
        raise Refused("empty_name")
    other = s.scalars(select(Endpoint).where(Endpoint.name == name)).first()
    if other is not None and other is not row:
        raise Refused("known_endpoint", name=name)
    act = "change endpoint" if row else "add endpoint"
    if row is None:
        row = Endpoint(name=name, url=url, made_at=at, next_try_at=at, services={}, offered=[])
        s.add(row)
    elif (row.url, row.jurisdiction) != (url, jurisdiction.strip()):
        row.offered, row.repeats, row.tested_at, row.format = [], False, None, "json"
    row.name, row.url, row.jurisdiction = name, url, jurisdiction.strip()[:100]
    row.api_key = row.api_key if api_key is None else api_key.strip()[:200]
    row.services = {ours: theirs.strip()[:64] for ours, theirs in (services or {}).items() if theirs.strip()}
    if pulls and not row.pulls:
        row.pulled_until = at  # what was told there before is theirs alone
    row.is_active, row.pulls = is_active, pulls
    row.tries, row.next_try_at, row.fault = 0, at, None
    s.flush()
    facts = {"active": row.is_active, "pulls": row.pulls, "services": row.services}
    events.record(s, f"endpoint:{row.id}", act, by=by, at=at, facts=facts)
    return row


def try_out(client: Client, where: Address) -> tuple[list[tuple[str, str]], bool, str, str]:
    """What they take, whether a token is taken once only, in which format they speak, and what was wrong.

    Asks outside of any transaction; tested() keeps it.
    """
    fault = ""
    for form in ("json", "xml"):
        try:
            found, repeats = client.services(
                Address(where.url, where.jurisdiction, where.api_key, format=form)
            )
        except (NotSent, Unclear, Turned) as wrong:
            fault = fault or fault_of(wrong)
            if isinstance(wrong, NotSent):
                break
            continue
        if found:
            return found, repeats, form, ""
        fault = fault or "no services"
    return [], False, "json", fault


def tested(row: Endpoint, done: tuple[list[tuple[str, str]], bool, str, str], *, at: datetime) -> bool:
    """Keeps what try_out() found; False where it found a fault."""
    found, repeats, form, fault = done
    if fault:
        row.fault = fault
        return False
    row.offered, row.repeats, row.format = [list(each) for each in found], repeats, form
    row.tested_at = at
    answered(row, at=at)
    return True


def answered(row: Endpoint, *, at: datetime) -> None:
    """It gave a good answer."""
    row.tries, row.fault, row.next_try_at = 0, None, at


def failed(row: Endpoint, wrong: Exception, *, at: datetime) -> None:
    """It did not, and is asked again later and later."""
    row.tries, row.fault = row.tries + 1, fault_of(wrong)
    row.next_try_at = at + pause(row.tries)


def pause(tries: int) -> timedelta:
    """How long to wait after so many tries in a row."""
    doubled: int = 2 ** min(max(tries - 1, 0), 20)
    return min(FIRST_WAIT * doubled, LONGEST_WAIT)


def fault_of(wrong: Exception) -> str:
    """What went wrong, for staff: their words where they said any."""
    if isinstance(wrong, Turned):
        return f"{wrong.status}: {wrong.words}" if wrong.words else f"it answered {wrong.status}"
    return f"no answer: {wrong}"


def address(row: Endpoint) -> Address:
    """How the endpoint is asked."""
    return Address(row.url, row.jurisdiction, row.api_key, row.format)


def host(url: str) -> str:
    """What a machine is called on the way of a request: its name, with a port that is not the usual one."""
    return urlsplit(url).netloc.casefold()


def _base(url: str, loopback: bool) -> str:
    url = url.strip().rstrip("/")
    try:
        safe_http.validate_url(url, loopback=loopback)
    except PrivateAddressError:
        raise Refused("not_public", url=url) from None
    if urlsplit(url).query or urlsplit(url).fragment:
        raise Refused("not_public", url=url)
    return url
