"""Webhooks: every public change of a case told to other systems, signed, in order, at least once.

Signatures are those of Standard Webhooks 1.0 (https://www.standardwebhooks.com): HMAC-SHA256 over name, time
and body.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from city import safe_http
from city.audit import events
from city.audit.events import Actor
from city.cases import queries
from city.cases.queries import PUBLIC_STEPS, PublicCase
from city.db import engine as db
from city.db.models import Event, Webhook
from city.lifecycle import Refused
from city.safe_http import PrivateAddressError

PREFIX: Final = "whsec_"
KEY_BYTES: Final = range(24, 65)  # how long a secret may be (Standard Webhooks)
# Of what the log tells; the rest changes nothing that strangers see.
TOLD: Final = (*PUBLIC_STEPS, "merge", "unmerge")
LINES, AT_ONCE = 5_000, 50  # read, and told, in one round of one webhook
TURN = 5.0  # seconds of one webhook, whose machine may be slow, before the next one has its turn
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=15), timedelta(hours=4)
DEAD_AFTER = timedelta(days=5)  # without one answer: nobody is there any more

Post = Callable[[str, bytes, dict[str, str]], int]  # url, body, headers → status


@dataclass(frozen=True)
class Call:
    """One request as it goes out."""

    seq: int
    body: bytes
    headers: dict[str, str]


def add(s: Session, url: str, secret: str, *, loopback: bool, by: Actor, at: datetime) -> Webhook:
    """Somebody who hears of what happens from now on; twice gives the same row, with the newer secret.

    Without a secret one is made. Raises Refused `not_public`, `bad_secret`.
    """
    try:
        safe_http.validate_url(url, loopback=loopback)
    except PrivateAddressError:
        raise Refused("not_public", url=url) from None
    secret = _checked(secret) if secret else PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    row = s.scalars(select(Webhook).where(Webhook.url == url)).first()
    if row is None:
        newest = s.scalar(select(func.max(Event.seq))) or 0
        row = Webhook(url=url, secret=secret, made_at=at, seq=newest, next_try_at=at)
        s.add(row)
        s.flush()
        events.record(s, f"webhook:{row.id}", "add webhook", by=by, at=at)
    row.secret = secret
    return row


def remove(s: Session, row: Webhook, *, by: Actor, at: datetime) -> None:
    """Nothing is told there any more."""
    events.record(s, f"webhook:{row.id}", "remove webhook", by=by, at=at)
    s.delete(row)


def begin_again(row: Webhook, *, at: datetime) -> None:
    """Goes on where it stopped, at once."""
    row.tries, row.next_try_at, row.failing_since, row.fault, row.dead_at = 0, at, None, None, None


def send_due(engine: Engine, post: Post, now: datetime, publish: str) -> int:
    """Tells everybody who is due what comes next for them; returns how many calls were taken.

    How far somebody was told is kept after each call: whoever is killed in between tells one line twice.
    """
    with db.read_session(engine) as s:
        due = list(s.scalars(select(Webhook.id).where(Webhook.dead_at.is_(None), Webhook.next_try_at <= now)))
    return sum(_tell(engine, post, row_id, now, publish) for row_id in due)


def open_post(*, loopback: bool) -> Post:
    """The way out to webhooks."""
    session = safe_http.SafeSession(loopback=loopback)
    return lambda url, body, headers: session.post(url, data=body, headers=headers).status_code


def signed(secret: str, name: str, at: int, body: bytes) -> str:
    """The signature that the other end compares; `at` is seconds since 1970."""
    told = f"{name}.{at}.".encode() + body
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.new(key, told, hashlib.sha256).digest()).decode()


def _checked(secret: str) -> str:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        raise Refused("bad_secret") from None
    if len(key) not in KEY_BYTES:
        raise Refused("bad_secret")
    return PREFIX + secret.removeprefix(PREFIX)


def _tell(engine: Engine, post: Post, row_id: int, now: datetime, publish: str) -> int:
    with db.read_session(engine) as s:
        row = s.get(Webhook, row_id)
        if row is None:
            return 0
        url = row.url
        calls, until = _next(s, row, now, publish)
    began = time.monotonic()
    for taken, call in enumerate(calls):
        if taken and time.monotonic() - began > TURN:
            return taken
        fault = _fault(post, url, call)
        with db.transaction(engine) as s:
            if (kept := s.get(Webhook, row_id)) is None:  # removed meanwhile
                return taken
            _record_attempt(kept, call.seq, fault, now)
        if fault:
            return taken
    if until > (calls[-1].seq if calls else -1):
        with db.transaction(engine) as s:
            if kept := s.get(Webhook, row_id):
                kept.seq = max(kept.seq, until)
    return len(calls)


def _next(s: Session, row: Webhook, now: datetime, publish: str) -> tuple[list[Call], int]:
    """What is to be told next, and up to which line of the log that goes."""
    until = min(row.seq + LINES, s.scalar(select(func.max(Event.seq))) or 0)
    if until <= row.seq:
        return [], -1
    lines = [
        line
        for line in events.since(s, row.seq, LINES, live_until=until)
        if line.kind in TOLD and line.subject.startswith("case:")
    ]
    if len(lines) > AT_ONCE:
        lines = lines[:AT_ONCE]
        until = lines[-1].seq
    ids = {int(line.subject.partition(":")[2]) for line in lines}
    seen = {}
    if ids:
        sights = queries.public(s, now=now, publish=publish, ids=sorted(ids), limit=len(ids))
        seen = {sight.id: sight for sight in sights}
    found = [(line, seen.get(int(line.subject.partition(":")[2]))) for line in lines]
    return [_call(row, line, sight, now) for line, sight in found if sight], until


def _call(row: Webhook, line: Event, sight: PublicCase, now: datetime) -> Call:
    """What happened, and how the case stands by now, as any stranger may see it."""
    told = {
        "type": f"case.{line.kind.replace(' ', '_')}",
        "timestamp": line.at.isoformat(),
        "seq": line.seq,
        "data": _public(sight),
    }
    body = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    name, at = f"line_{line.seq}", int(now.timestamp())
    headers = {
        "Content-Type": "application/json", "webhook-id": name, "webhook-timestamp": str(at),
        "webhook-signature": signed(row.secret, name, at, body),
    }  # fmt: skip
    return Call(line.seq, body, headers)


def _public(sight: PublicCase) -> dict[str, Any]:
    return {
        "number": sight.number, "service": sight.service.code, "state": sight.state,
        "standing": sight.standing, "opened_at": sight.opened_at.isoformat(),
        "due_at": sight.due_at.isoformat(),
        "new_date": sight.rescheduled_to.isoformat() if sight.rescheduled_to else None,
        "closed_at": sight.closed_at.isoformat() if sight.closed_at else None,
        "outcome": sight.proof.outcome if sight.proof else None,
        "address": sight.address, "lat": sight.point.lat if sight.point else None,
        "lon": sight.point.lon if sight.point else None, "reports": sight.reports,
        "merged_into": sight.merged_into,
    }  # fmt: skip


def _fault(post: Post, url: str, call: Call) -> str | None:
    """What went wrong; None where the other end took it."""
    try:
        status = post(url, call.body, call.headers)
    except Exception as problem:  # whatever the other end does
        return f"no answer: {type(problem).__name__}"
    return None if 200 <= status < 300 else f"it answered {status}"


def _record_attempt(row: Webhook, seq: int, fault: str | None, now: datetime) -> None:
    if fault is None:
        row.seq = max(row.seq, seq)
        begin_again(row, at=now)
        return
    row.tries, row.fault, row.failing_since = row.tries + 1, fault, row.failing_since or now
    row.next_try_at = now + min(FIRST_WAIT * 2 ** min(row.tries - 1, 20), LONGEST_WAIT)
    if now - row.failing_since > DEAD_AFTER:
        row.dead_at = now
