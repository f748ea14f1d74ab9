"""Logging in: codes sent by e-mail, one-time links, and the sessions that follow.

There are no passwords. Of links and sessions only hashes are kept, and of a code nothing that tells it to
whoever has the database and not the city's secret: six digits are tried in a moment.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import bindparam, delete, func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from city.audit import erasure_ledger, events
from city.audit.erasure_ledger import ShutOut
from city.audit.events import Actor
from city.db.models import Device, Event, LoginCode, Person, PersonRole
from city.db.models import Session as Row
from city.lifecycle import ADMINISTRATOR, Refused
from city.people import account_letters, accounts

CODE_MINUTES = 10
DAY = timedelta(days=1)
GUESSES_A_CODE = 5
# Wrong ones at an address within a day, in browsers where it was logged in before (True) and in all others
# (False); then codes are closed there until the day is over. Of six digits: 1 chance in 50,000 a day for
# somebody who guesses at an address.
GUESSES_A_DAY = {True: 100, False: 20}
# What the browsers of an address may ask for, and what each network may: so a stranger who asks for many uses
# up nobody's but their own. All strangers together: nobody's mailbox is flooded.
CODES_AN_HOUR = 10
STRANGERS_CODES_AN_HOUR = 30
# Whoever adds a colleague at five expects the link to work next morning.
LINK_HOURS = 24
LINK = "link"  # stands where a code has its browser
CLOSED = "close codes"  # in the log
SESSION_HOURS = 12

# Asked in nearly every request, so roles, crews and departments come along in one statement.
_WHOSE = (
    select(Person, Row.device_id)
    .join(Row, Row.person_id == Person.id)
    .where(Row.token_hash == bindparam("hashed"), Row.until > bindparam("at"))
    .options(joinedload(Person.roles), joinedload(Person.crews), joinedload(Person.departments))
)
_WHOSE_LOCKED = _WHOSE.with_for_update(of=Row)


def ask_code(
    s: Session, email: str, at: datetime, *, browser: str, source: str, known: bool, lang: str
) -> LoginCode:
    """A new log-in code for this address, of somebody or of nobody: mail_code() sends it to people only.

    `browser` is a secret that the asking browser keeps: the code works there only, so nobody else can use
    up its guesses. `source` names the network it is in, and `known` says that this address was logged in in
    that browser before: such browsers have codes and guesses of their own, so a stranger who asks for many or
    guesses locks them out of nothing (OWASP's device cookies). Raises Refused `too_many_codes` or
    `codes_closed`, alike for people and for strangers.
    """
    email = email.strip().lower()
    today = _of_today(s, email, known, at)
    _check_open(today, known)
    lately = [row for row in today if row.made_at > at - timedelta(hours=1)]
    mine = [row for row in lately if known or row.source == source]
    if len(mine) >= CODES_AN_HOUR or len(lately) >= STRANGERS_CODES_AN_HOUR:
        raise Refused("too_many_codes")
    made = LoginCode(
        email=email, seed=secrets.token_hex(32), asked_by=_hashed(browser), source=source, known=known,
        made_at=at,
    )  # fmt: skip
    s.add(made)
    s.flush()
    account_letters.add(s, email, account_letters.CODE, lang=lang, at=at, facts={"code": made.id})
    return made


def code_of(row: LoginCode, secret: str) -> str:
    """The six digits of a code: of what the database holds, and of the city's secret, which it does not."""
    told = f"login code:{row.email}:{row.seed}"
    made = hmac.new(secret.encode(), told.encode(), hashlib.sha256)
    return f"{int(made.hexdigest(), 16) % 1_000_000:06d}"


def is_good(row: LoginCode, at: datetime) -> bool:
    """Whether a code may still be typed, or sent."""
    fresh = row.made_at > at - timedelta(minutes=CODE_MINUTES)
    return fresh and row.used_at is None and row.tries < GUESSES_A_CODE


def use_code(
    s: Session, email: str, code: str, at: datetime, *, browser: str, known: bool, secret: str
) -> Person:
    """The person who logs in with `code`; raises Refused `wrong_code` or `codes_closed`. A code works once.

    A wrong guess is counted in the caller's transaction, which must therefore commit either way.
    """
    email = email.strip().lower()
    today = _of_today(s, email, known, at)
    _check_open(today, known)
    mine = [row for row in today if row.asked_by == _hashed(browser) and row.used_at is None]
    if not mine or not is_good(mine[-1], at):
        raise Refused("wrong_code")
    row = mine[-1]
    if not hmac.compare_digest(code_of(row, secret).encode(), "".join(code.split()).encode()):
        row.tries += 1
        raise Refused("wrong_code")
    return _used(s, row, at, "wrong_code")


def tell_of_guesses(s: Session, at: datetime) -> int:
    """Notes and mails, once, that codes are closed for somebody: to them and to all administrators.

    Not as it happens: so the last guess takes no longer at an address of somebody than at one of nobody.
    Returns how many people.
    """
    lately = LoginCode.made_at > at - DAY
    closed = select(LoginCode.email).where(LoginCode.asked_by != LINK, lately)
    closed = closed.group_by(LoginCode.email, LoginCode.known)
    many = func.sum(LoginCode.tries)
    closed = closed.having(
        or_(*[(LoginCode.known == known) & (many >= most) for known, most in GUESSES_A_DAY.items()])
    )
    told = select(Event.seq).where(Event.kind == CLOSED, Event.at > at - DAY)
    found = 0
    for person in s.scalars(select(Person).where(Person.email.in_(closed), Person.disabled_at.is_(None))):
        if s.scalar(told.where(Event.subject == accounts.subject(person)).limit(1)):
            continue
        found += 1
        events.record(s, accounts.subject(person), CLOSED, by=accounts.THE_SYSTEM, at=at)
        administrators = select(Person).join(PersonRole, PersonRole.person_id == Person.id)
        administrators = administrators.where(
            PersonRole.role == ADMINISTRATOR, Person.disabled_at.is_(None), Person.id != person.id
        )
        for reader in [person, *s.scalars(administrators.order_by(Person.id))]:
            facts = {"person": person.id}
            account_letters.add(s, reader.email, account_letters.CLOSED, lang=reader.lang, at=at, facts=facts)
    return found


def make_link(s: Session, person: Person, at: datetime, *, by: Actor) -> str:
    """The token of a link that logs this person in once, within a day: for a system without mail.

    Whoever makes it could log in as them. So it is a line of the log, they get a mail, and the session that
    comes of it names its maker. Raises Refused `shut_out` for somebody who is disabled.
    """
    if person.disabled_at:
        raise Refused("shut_out")
    token = secrets.token_urlsafe(24)
    seed = _hashed(LINK, token)
    s.add(LoginCode(email=person.email, seed=seed, asked_by=LINK, made_by=by.name, made_at=at))
    events.record(s, accounts.subject(person), "make link", by=by, at=at)
    facts = {"by": by.name}
    account_letters.add(s, person.email, account_letters.LINK, lang=person.lang, at=at, facts=facts)
    return token


def is_link(s: Session, token: str, at: datetime) -> bool:
    """Whether it is one that still lets somebody in; changes nothing."""
    row = _link(s, token, at)
    person = accounts.by_email(s, row.email) if row else None
    return person is not None and person.disabled_at is None


def use_link(s: Session, token: str, email: str, at: datetime) -> tuple[Person, str]:
    """The person of an unused link, and who made it as the log names them. A link works once.

    Whoever opens it says whose it is, by `email`: one that went astray, or stands in a log, opens to nobody
    who only found it. Raises Refused `wrong_link`, or `not_your_link` for another's address, which is counted
    in the caller's transaction: that must therefore commit either way.
    """
    row = _link(s, token, at, locked=True)
    if row is None:
        raise Refused("wrong_link")
    if row.email != email.strip().lower():
        row.tries += 1
        raise Refused("not_your_link")
    return _used(s, row, at, "wrong_link"), row.made_by


def begin(
    s: Session, person: Person, at: datetime, *, how: str, device: Device | None = None, made_by: str = ""
) -> str:
    """A new session's token. `how` ("code", "link", "phone code", "phone") goes into the log.

    `device` is the phone that shows itself for its person, where it does; `made_by` who made the link.
    """
    token = secrets.token_urlsafe(32)
    until = at + timedelta(hours=SESSION_HOURS)
    device_id = device.id if device else None
    s.add(Row(token_hash=_hashed(token), person_id=person.id, device_id=device_id, began_at=at, until=until))
    facts = {"how": how} | ({"made_by": made_by} if made_by else {})
    events.record(s, accounts.subject(person), "log in", by=accounts.actor(person), at=at, facts=facts)
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
    asked = {"hashed": _hashed(token or ""), "at": at}
    found = s.execute(_WHOSE_LOCKED if locked else _WHOSE, asked).unique().one_or_none()
    return (found[0], found[1]) if found else (None, None)


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
    erasure_ledger.append(var, ShutOut(device.id, at.isoformat()))
    device.revoked_at = at
    if device.person_id:
        end_all(s, s.get_one(Person, device.person_id))
    events.record(s, f"device:{device.id}", "revoke device", by=by, at=at)
    return True


def shut_out_again(s: Session, line: ShutOut, var: Path, *, at: datetime) -> int:
    """Does what a line of the list says, after a restore. Returns how many phones it was."""
    device = s.get(Device, line.device)
    return int(bool(device and shut_out(s, device, var, by=accounts.THE_SYSTEM, at=at)))


def sweep(s: Session, at: datetime) -> int:
    """Forgets sessions, codes and links that are over; returns how many."""
    old = at - timedelta(hours=LINK_HOURS)
    gone = [
        s.execute(delete(Row).where(Row.until < at)),
        s.execute(delete(LoginCode).where(LoginCode.made_at < old)),
    ]
    return sum(int(getattr(result, "rowcount", 0)) for result in gone)


def _of_today(s: Session, email: str, known: bool, at: datetime) -> Sequence[LoginCode]:
    """What such browsers asked for at an address within a day, the newest last; one at a time may look.

    Otherwise many who guess in the same moment would all find room.
    """
    if s.get_bind().dialect.name == "postgresql":
        s.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"login:{email}"))))
    asked = select(LoginCode).where(LoginCode.email == email, LoginCode.known == known)
    asked = asked.where(LoginCode.asked_by != LINK, LoginCode.made_at > at - DAY)
    return s.scalars(asked.order_by(LoginCode.id).with_for_update()).all()


def _check_open(today: Sequence[LoginCode], known: bool) -> None:
    if sum(row.tries for row in today) >= GUESSES_A_DAY[known]:
        raise Refused("codes_closed")


def _link(s: Session, token: str, at: datetime, *, locked: bool = False) -> LoginCode | None:
    unused = (
        select(LoginCode)
        .where(LoginCode.asked_by == LINK, LoginCode.seed == _hashed(LINK, token))
        .where(LoginCode.used_at.is_(None), LoginCode.made_at > at - timedelta(hours=LINK_HOURS))
        .where(LoginCode.tries < GUESSES_A_CODE)
    )
    return s.scalars(unused.with_for_update() if locked else unused).first()


def _used(s: Session, row: LoginCode, at: datetime, fault: str) -> Person:
    person = accounts.by_email(s, row.email)
    if person is None or person.disabled_at:
        raise Refused(fault)
    row.used_at = at
    return person


def _hashed(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
