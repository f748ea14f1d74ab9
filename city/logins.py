"""Logging in: codes sent by e-mail, one-time links, and the sessions that follow.

There are no passwords. Of codes, links and sessions only hashes are kept.
"""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.orm import Session, joinedload

from city import erasures, events, people
from city.erasures import ShutOut
from city.events import Actor
from city.lifecycle import Refused
from city.lists import is_in
from city.schema import Device, LoginCode, Person
from city.schema import Session as Row

CODE_MINUTES = 10
# Six digits, five guesses, ten codes an hour: about 1 chance in 20,000 an hour for somebody who guesses.
GUESSES_A_CODE = 5
CODES_AN_HOUR = 10
# Whoever adds a colleague at five expects the link to work next morning.
LINK_HOURS = 24
LINK = "link"  # stands where a code has its browser
SESSION_HOURS = 12

# Asked in nearly every request, so roles and crews come along in one statement.
_WHOSE = (
    select(Row.token_hash, Person, Row.device_id)
    .join(Row, Row.person_id == Person.id)
    .where(is_in(Row.token_hash, "tokens"), Row.until > bindparam("at"))
    .options(joinedload(Person.roles), joinedload(Person.crews))
    .order_by(Row.token_hash)  # in one order, so nobody waits in a ring
)
_WHOSE_LOCKED = _WHOSE.with_for_update(of=Row)


def ask_code(s: Session, email: str, at: datetime, *, browser: str, known: bool) -> str | None:
    """A new log-in code for this address; None for a stranger. Raises Refused `too_many_codes`.

    `browser` is a secret that the asking browser keeps: the code works there only, so nobody else can use
    up its guesses. `known` says that this address was logged in in that browser before: such browsers have
    an hour's codes of their own, so a stranger who asks for many locks out nobody (OWASP's device cookies).
    The caller answers alike whether there is such a person or not.
    """
    email = email.strip().lower()
    asked = s.scalar(
        select(func.count())
        .select_from(LoginCode)
        .where(LoginCode.email == email, LoginCode.known == known, LoginCode.asked_by != LINK)
        .where(LoginCode.made_at > at - timedelta(hours=1))
    )
    if (asked or 0) >= CODES_AN_HOUR:
        raise Refused("too_many_codes")
    code = f"{secrets.randbelow(1_000_000):06d}"
    made = LoginCode(
        email=email, code_hash=_hashed(email, code), asked_by=_hashed(browser), known=known, made_at=at
    )
    s.add(made)
    person = people.by_email(s, email)
    return code if person and not person.disabled_at else None


def use_code(s: Session, email: str, code: str, at: datetime, *, browser: str) -> Person:
    """The person who logs in with `code`; raises Refused `wrong_code`. A code works once.

    A wrong guess is counted in the caller's transaction, which must therefore commit either way.
    """
    email = email.strip().lower()
    row = s.scalars(
        select(LoginCode)
        .where(LoginCode.email == email, LoginCode.used_at.is_(None))
        .where(LoginCode.asked_by == _hashed(browser))
        .where(LoginCode.made_at > at - timedelta(minutes=CODE_MINUTES))
        .order_by(LoginCode.id.desc())
        .limit(1)
        .with_for_update()
    ).first()
    if row is None or row.tries >= GUESSES_A_CODE:
        raise Refused("wrong_code")
    if not hmac.compare_digest(row.code_hash, _hashed(email, "".join(code.split()))):
        row.tries += 1
        raise Refused("wrong_code")
    return _used(s, row, at, "wrong_code")


def make_link(s: Session, person: Person, at: datetime) -> str:
    """The token of a link that logs this person in once, within a day: for a system without mail.

    Raises Refused `shut_out` for somebody who is disabled.
    """
    if person.disabled_at:
        raise Refused("shut_out")
    token = secrets.token_urlsafe(24)
    s.add(LoginCode(email=person.email, code_hash=_hashed(LINK, token), asked_by=LINK, made_at=at))
    return token


def by_link(s: Session, token: str, at: datetime) -> Person | None:
    """Whom an unused link would log in; changes nothing."""
    row = _link(s, token, at)
    person = people.by_email(s, row.email) if row else None
    return None if person is None or person.disabled_at else person


def use_link(s: Session, token: str, at: datetime) -> Person:
    """The person of an unused link; raises Refused `wrong_link`. A link works once."""
    row = _link(s, token, at, locked=True)
    if row is None:
        raise Refused("wrong_link")
    return _used(s, row, at, "wrong_link")


def begin(s: Session, person: Person, at: datetime, *, how: str, device: Device | None = None) -> str:
    """A new session's token. `how` ("code", "link", "phone code", "phone") goes into the log.

    `device` is the phone that shows itself for its person, where it does.
    """
    token = secrets.token_urlsafe(32)
    until = at + timedelta(hours=SESSION_HOURS)
    device_id = device.id if device else None
    s.add(Row(token_hash=_hashed(token), person_id=person.id, device_id=device_id, began_at=at, until=until))
    events.record(s, people.subject(person), "log in", by=people.actor(person), at=at, facts={"how": how})
    return token


def person_of(s: Session, token: str | None, at: datetime) -> Person | None:
    """Whose session this is; None for one that ended. May be disabled: what they did is still kept."""
    return session_of(s, token, at)[0]


def session_of(
    s: Session, token: str | None, at: datetime, *, locked: bool = False
) -> tuple[Person | None, str | None]:
    """person_of(), and the id of the phone that their session was used on: see sign_in().

    Where `locked`, nobody can end the session before our transaction does.
    """
    return sessions_of(s, [token], at, locked=locked).get(token, (None, None))


def sessions_of(
    s: Session, tokens: Collection[str | None], at: datetime, *, locked: bool = False
) -> dict[str | None, tuple[Person, str | None]]:
    """The same for many tokens, in one statement: of each that is open its person and phone."""
    hashed = {_hashed(token): token for token in tokens if token}
    if not hashed:
        return {}
    asked = {"tokens": list(hashed), "at": at}
    found = s.execute(_WHOSE_LOCKED if locked else _WHOSE, asked).unique()
    return {hashed[of]: (person, device_id) for of, person, device_id in found}


def is_open(s: Session, token: str | None, at: datetime, *, locked: bool = False) -> bool:
    """Whether the session has not ended; where `locked`, nobody can end it before our transaction does."""
    mine = select(Row.person_id).where(Row.token_hash == _hashed(token or ""), Row.until > at)
    return s.scalar(mine.with_for_update() if locked else mine) is not None


def sign_in(s: Session, device: Device, token: str | None) -> None:
    """Notes that the session's person signed in on this phone: it may show itself for them from then on.

    Whoever logs out at the same moment waits for us, or we find no session any more.
    """
    unused = select(Row).where(Row.token_hash == _hashed(token or ""), Row.device_id.is_(None))
    row = s.scalars(unused.with_for_update()).first()
    if row and row.person_id == device.person_id:
        row.device_id = device.id
        device.signed_in_at = max(row.began_at, device.signed_in_at or row.began_at)


def end(s: Session, token: str | None) -> None:
    """Logs out: a copy of the cookie is worth nothing from now on, and a phone shows itself for nobody.

    A phone first, then its sessions: so does everybody, and nobody waits in a ring.
    """
    mine = select(Row).where(Row.token_hash == _hashed(token or ""))
    row = s.scalars(mine).first()
    if row and row.device_id is None:  # unless a phone signs in with it at this moment
        row = s.scalars(mine.with_for_update().execution_options(populate_existing=True)).first()
    if row is None:
        return
    if row.device_id:
        s.execute(update(Device).where(Device.id == row.device_id).values(signed_in_at=None))
        s.execute(delete(Row).where(Row.device_id == row.device_id))
    s.execute(delete(Row).where(Row.token_hash == row.token_hash))


def hold_phones(s: Session, person_id: int) -> None:
    """Holds all of a person's phones until the transaction ends; in one order, so nobody waits in a ring."""
    mine = select(Device.id).where(Device.person_id == person_id).order_by(Device.id)
    s.execute(mine.with_for_update(key_share=True)).all()


def end_all(s: Session, person: Person) -> None:
    """Logs a person out everywhere, and makes codes and links that are on their way useless.

    All of their phones come first, before the codes: of two who do this at once the second waits there. Each
    step waits for whoever is in the middle of it, and the next ends what they began: a log-in that has its
    code, a phone that renews its session, a phone that is being enrolled by a session.
    """
    signed_in = update(Device).where(Device.person_id == person.id, Device.signed_in_at.is_not(None))
    hold_phones(s, person.id)
    s.execute(delete(LoginCode).where(LoginCode.email == person.email, LoginCode.used_at.is_(None)))
    s.execute(signed_in.values(signed_in_at=None))
    s.execute(delete(Row).where(Row.person_id == person.id))
    s.execute(signed_in.values(signed_in_at=None))


def shut_out(s: Session, device: Device, var: Path, *, by: Actor, at: datetime) -> bool:
    """A phone opens nothing any more. False where that was so already.

    Its person is logged out everywhere: the session on it would enrol it anew. It is in the list of erasures
    before it is committed: no older database lets it in again.
    """
    if device.person_id:  # their other phones are signed out too
        hold_phones(s, device.person_id)
    s.refresh(device, with_for_update={"key_share": True})
    if device.revoked_at:
        return False
    erasures.append(var, ShutOut(device.id, at.isoformat()))
    device.revoked_at = at
    if device.person_id:
        end_all(s, s.get_one(Person, device.person_id))
    events.record(s, f"device:{device.id}", "revoke device", by=by, at=at)
    return True


def shut_out_again(s: Session, line: ShutOut, var: Path, *, at: datetime) -> int:
    """Does what a line of the list says, after a restore. Returns how many phones it was."""
    device = s.get(Device, line.device)
    return int(bool(device and shut_out(s, device, var, by=people.THE_SYSTEM, at=at)))


def sweep(s: Session, at: datetime) -> int:
    """Forgets sessions, codes and links that are over; returns how many."""
    old = at - timedelta(hours=LINK_HOURS)
    gone = [
        s.execute(delete(Row).where(Row.until < at)),
        s.execute(delete(LoginCode).where(LoginCode.made_at < old)),
    ]
    return sum(int(getattr(result, "rowcount", 0)) for result in gone)


def _link(s: Session, token: str, at: datetime, *, locked: bool = False) -> LoginCode | None:
    unused = (
        select(LoginCode)
        .where(LoginCode.asked_by == LINK, LoginCode.code_hash == _hashed(LINK, token))
        .where(LoginCode.used_at.is_(None), LoginCode.made_at > at - timedelta(hours=LINK_HOURS))
    )
    return s.scalars(unused.with_for_update() if locked else unused).first()


def _used(s: Session, row: LoginCode, at: datetime, fault: str) -> Person:
    person = people.by_email(s, row.email)
    if person is None or person.disabled_at:
        raise Refused(fault)
    row.used_at = at
    return person


def _hashed(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
