"""Who calls the line, known by their number alone, and what they called about before. Staff's alone."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, ValidationResult
from sqlalchemy import Select, delete, func, select, update
from sqlalchemy import case as when
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from city.audit import events
from city.audit.events import Actor
from city.db.models import Caller, Case, Contact, LegalHold
from city.lifecycle import OPEN, Refused

# A number that has been silent for so long is forgotten: nobody means last year's call by "as I told you".
FORGET_AFTER = timedelta(days=400)
AT_ONCE = 500  # ids in one statement
# Of a town's own seven figures too: that is how its people say their number.
_POSSIBLE = (ValidationResult.IS_POSSIBLE, ValidationResult.IS_POSSIBLE_LOCAL_ONLY)


@dataclass(frozen=True)
class Earlier:
    """One conversation of before, with the case that came of it."""

    contact: Contact
    case: Case | None


def normal(typed: str, region: str, area_code: str = "") -> str:
    """The number as it is kept, E.164; `region` is where one without a country lies ("US").

    One of a town's own figures alone lies in the city's `area_code`, where there is one. Nothing typed, or a
    number that is withheld, is "". Raises Refused `bad_phone`.
    """
    if not any(letter.isdigit() for letter in typed):
        if typed.strip():
            raise Refused("bad_phone")
        return ""
    try:
        number = phonenumbers.parse(typed, region)
    except NumberParseException:
        raise Refused("bad_phone") from None
    possible = phonenumbers.is_possible_number_with_reason(number)
    if possible not in _POSSIBLE:
        raise Refused("bad_phone")
    # Who says a country says all of it: what lacks there is anybody's guess.
    if possible == ValidationResult.IS_POSSIBLE_LOCAL_ONLY and "+" not in typed:
        number = _within(area_code, number, region) or number
    number.extension = None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def number_in(words: str, region: str) -> str:
    """The first telephone number that stands among these words, as it is kept; "" where none does."""
    found = phonenumbers.PhoneNumberMatcher(words, region, leniency=phonenumbers.Leniency.POSSIBLE)
    first = next(iter(found), None)
    return phonenumbers.format_number(first.number, PhoneNumberFormat.E164) if first else ""


def kept_as(typed: str, region: str, area_code: str) -> list[str]:
    """All forms in which this number may be kept: before the city had an area code, a town's own figures were
    kept alone. Raises Refused `bad_phone`."""
    whole = normal(typed, region, area_code)
    if not whole:
        return []
    own = phonenumbers.national_significant_number(phonenumbers.parse(whole, region)).removeprefix(area_code)
    with suppress(Refused):
        if normal(own, region, area_code) == whole:
            return sorted({whole, normal(own, region)})
    return [whole]


def format_number(phone: str, region: str) -> str:
    """A kept number as people there write it; of another country with its code."""
    number = phonenumbers.parse(phone, region)
    home = number.country_code == phonenumbers.country_code_for_region(region)
    return phonenumbers.format_number(
        number, PhoneNumberFormat.NATIONAL if home else PhoneNumberFormat.INTERNATIONAL
    )


def known(s: Session, phone: str) -> Caller | None:
    """Who has called from this number, in its normal form."""
    return s.scalars(_with(phone)).first()


def record_call(s: Session, phone: str, *, lang: str, at: datetime) -> Caller:
    """The caller of this number, who has just been spoken with in `lang`; held, so that nobody forgets them
    before the call that names them is kept."""
    caller = s.scalars(_with(phone).with_for_update()).first()
    if caller is None:
        caller = Caller(phone=phone, lang=lang, called_at=at)
        try:
            with s.begin_nested():
                s.add(caller)
        except IntegrityError:  # two desks at once
            caller = s.scalars(_with(phone).with_for_update()).one()
    caller.lang, caller.called_at = lang, max(caller.called_at, at)
    return caller


def earlier(s: Session, caller: Caller, limit: int = 5) -> tuple[Sequence[Earlier], int]:
    """What they called about before, open cases first, then the newest; and how many there are in all."""
    open_first = when((Case.state.in_(OPEN), 0), else_=1)
    asked = (
        select(Contact, Case)
        .outerjoin(Case, Case.id == Contact.case_id)
        .options(joinedload(Case.service))
        .where(Contact.caller_id == caller.id)
        .order_by(open_first, Contact.began_at.desc(), Contact.id.desc())
        .limit(limit)
    )
    found = [Earlier(contact, case) for contact, case in s.execute(asked)]
    if len(found) < limit:
        return found, len(found)
    many = select(func.count()).select_from(Contact).where(Contact.caller_id == caller.id)
    return found, s.scalar(many) or 0


def looked_up(s: Session, caller: Caller, *, by: Actor, at: datetime) -> None:
    """Notes in the log that somebody was shown what this caller called about before. It names no number."""
    events.record(s, f"caller:{caller.id}", "look up", by=by, at=at)


def contact_preferences(s: Session, keys: Iterable[str]) -> dict[str, tuple[str, str]]:
    """By the key of a report, how its caller wants to hear of it, "call", "sms", "email" or "again", and the
    number; who wants a letter or calls again may have left none: ""."""
    asked = select(Contact.key, Contact.reply_by, Caller.phone).outerjoin(
        Caller, Caller.id == Contact.caller_id
    )
    rows = s.execute(asked.where(Contact.key.in_(list(keys)), Contact.reply_by != "none"))
    return {key: (how, phone or "") for key, how, phone in rows if phone or how in ("email", "again")}


def reported_by_same_caller(s: Session, keys: Iterable[str]) -> bool:
    """Whether one known caller told the reports with these keys, all of them."""
    wanted = set(keys)
    asked = select(Contact.key, Contact.caller_id).where(Contact.caller_id.is_not(None))
    told = dict(s.execute(asked.where(Contact.key.in_(wanted))).all())
    return told.keys() == wanted and len(set(told.values())) == 1


def hold(s: Session, ids: Collection[int]) -> None:
    """Keeps these callers as they are, without another call, until the transaction ends.

    Ascending, and before any of their contacts: whoever forgets numbers comes in this order, so nobody
    deadlocks.
    """
    s.execute(select(Caller.id).where(Caller.id.in_(ids)).order_by(Caller.id).with_for_update()).all()


def forget(s: Session, key: str) -> bool:
    """Takes the number off the contact with this key; without others it goes. False where it had none."""
    contact = s.scalars(select(Contact).where(Contact.key == key)).first()
    if contact is None or contact.caller_id is None:
        return False
    hold(s, [contact.caller_id])
    caller_id, contact.caller_id = contact.caller_id, None
    s.flush()
    if s.scalar(select(Contact.id).where(Contact.caller_id == caller_id).limit(1)) is None:
        s.execute(delete(Caller).where(Caller.id == caller_id))
    return True


def sweep(s: Session, now: datetime) -> int:
    """Forgets the numbers that have been silent for FORGET_AFTER; their contacts stay without them.

    Not those of whoever called about a case on hold, or about one that was merged into such.
    """
    held = select(LegalHold.case_id).cte("held", recursive=True)
    held = held.union(select(Case.id).join(held, Case.merged_into_id == held.c.case_id))
    wanted = select(Contact.caller_id).where(Contact.case_id.in_(select(held.c.case_id)))
    kept = Caller.id.in_(wanted.where(Contact.caller_id.is_not(None)))
    silent = select(Caller.id).where(Caller.called_at < now - FORGET_AFTER, ~kept)
    ids = list(s.scalars(silent.order_by(Caller.id).with_for_update()))  # as hold() does
    for start in range(0, len(ids), AT_ONCE):
        part = ids[start : start + AT_ONCE]
        s.execute(update(Contact).where(Contact.caller_id.in_(part)).values(caller_id=None))
        s.execute(delete(Caller).where(Caller.id.in_(part)))
    return len(ids)


def _within(area_code: str, number: PhoneNumber, region: str) -> PhoneNumber | None:
    """The number of a town's own figures within an area code; None where that makes no number."""
    if not area_code:
        return None
    whole = phonenumbers.parse(f"{area_code}{phonenumbers.national_significant_number(number)}", region)
    return whole if phonenumbers.is_possible_number(whole) else None


def _with(phone: str) -> Select[Caller]:
    return select(Caller).where(Caller.phone == phone).execution_options(populate_existing=True)
