"""Brings in what is told at an endpoint as our reports: each once, and nothing that has been here before."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from city.db import engine as db
from city.db.models import Endpoint, RemoteRequest, Service
from city.forwarding import endpoints, forwards, sending
from city.forwarding.client import Client, Found, NotSent, Turned, Unclear
from city.forwarding.forwards import FOLLOWED
from city.lifecycle import MAX_WORDS, Refused
from city.places import lookup
from city.places.resolve import Fix, Whereabouts, resolve_unasked
from city.reports import intake

EVERY: Final = timedelta(minutes=5)
OVERLAP: Final = timedelta(days=1)  # who looks over what comes in may list it only then
MOST_PAGES: Final = 20
CHANNEL: Final = "api"


def pull_due(
    engine: Engine, client: Client, here: sending.Here, now: datetime, *, secret: str, lang: str
) -> int:
    """Asks each endpoint from which requests come in; returns how many came.

    Where nobody knows yet whether one of ours arrived there, it may be among them: that waits.
    """
    asked = select(Endpoint).where(
        Endpoint.is_active, Endpoint.pulls, Endpoint.next_try_at <= now,
        Endpoint.pulled_until <= now - EVERY,
    )  # fmt: skip
    with db.read_session(engine) as s:
        due = [each for each in s.scalars(asked.order_by(Endpoint.id)) if sending.is_settled(s, each.id)]
        s.expunge_all()
    return sum(_pull(engine, client, here, each, now, secret, lang) for each in due)


def _pull(
    engine: Engine,
    client: Client,
    here: sending.Here,
    endpoint: Endpoint,
    now: datetime,
    secret: str,
    lang: str,
) -> int:
    since = (endpoint.pulled_until or now) - OVERLAP
    codes, came, before = sorted(set(endpoint.services.values())), 0, frozenset[str]()
    if not codes:
        return 0
    for page in range(1, MOST_PAGES + 1):
        try:
            found = client.listed(endpoints.address(endpoint), since, now, codes=codes, page=page)
        except (NotSent, Unclear, Turned) as wrong:
            with db.transaction(engine) as s:
                endpoints.failed(s.get_one(Endpoint, endpoint.id), wrong, at=now)
            return came
        ids = frozenset(each.id for each in found)
        if not ids or ids == before:  # past the end some give the last page again, and some know no pages
            break
        before = ids
        came += _take(engine, here, endpoint.id, found, now, secret, lang)
    with db.transaction(engine) as s:
        row = s.get_one(Endpoint, endpoint.id)
        endpoints.answered(row, at=now)
        row.pulled_until = now
    return came


def _take(
    engine: Engine,
    here: sending.Here,
    endpoint_id: int,
    found: Sequence[Found],
    now: datetime,
    secret: str,
    lang: str,
) -> int:
    """A transaction each: who is killed between two goes on with the next."""
    with db.read_session(engine) as s:
        known = set(
            s.scalars(
                select(RemoteRequest.their_id).where(
                    RemoteRequest.endpoint_id == endpoint_id,
                    RemoteRequest.their_id.in_([each.id for each in found]),
                )
            )
        )
    came = 0
    for told in reversed(found):
        if told.id in known or _was_here(told, here) or told.status != "open":
            continue
        try:
            with db.transaction(engine) as s:
                came += _bring_in(s, s.get_one(Endpoint, endpoint_id), told, here, now, secret, lang)
        except Refused:
            continue  # outside of the city, or of a kind that is gone: it is no report of ours
    return came


def _was_here(told: Found, here: sending.Here) -> bool:
    """Whether it came from here, by whatever way: it bears our name."""
    return any(hop.startswith(f"{here.host}/") for hop in told.hops) or f" · {here.host}" in told.words


def _bring_in(
    s: Session, endpoint: Endpoint, told: Found, here: sending.Here, now: datetime, secret: str, lang: str
) -> bool:
    ours = next((code for code, theirs in endpoint.services.items() if theirs == told.service_code), None)
    service = s.get(Service, ours) if ours else None
    if service is None or service.office or not (told.point or told.address):
        return False
    key = f"pull-{hashlib.sha256(f'{endpoint.id}:{told.id}'.encode()).hexdigest()[:48]}"
    said = Whereabouts(
        told.address, Fix(told.point, None, "pin") if told.point else None, kind=service.asset_kind
    )
    place, about = resolve_unasked(s, said)
    if place and lookup.outside(s, place.point):
        raise Refused("outside_city")
    new = intake.NewReport(
        key=key, service_code=service.code, channel=CHANNEL, lang=lang, words=told.words[:MAX_WORDS],
        place=place, about_place=about, unasked=True,
    )  # fmt: skip
    report = intake.submit(s, new, at=now, token=intake.token_for(secret, key))
    if told.media:
        intake.want_picture(s, report, told.media, at=now)
    number = re.sub(r"[^A-Za-z0-9-]", "-", told.id)[:40]
    forwards.add_hops(s, report.case, (*told.hops, f"{endpoints.host(endpoint.url)}/{number}"))
    s.add(
        RemoteRequest(
            endpoint=endpoint,
            case_id=report.case_id,
            is_ours=False,
            key=key,
            state=FOLLOWED,
            their_id=told.id,
            made_at=now,
            taken_at=now,
            seen_at=now,
            status=told.status,
            notes=told.notes,
            their_update_at=told.updated_at,
            next_try_at=now + forwards.FIRST_LOOK,
        )
    )
    s.flush()
    return True
