"""What becomes of a request at another owner's endpoint, and of the case here that goes with it.

A case is passed on once they have taken it, not when somebody presses the button: until then its clock runs
(decision 0034). Who sends and asks is in sending.py, following.py and pulling.py.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from city.audit import events
from city.audit.events import Actor
from city.cases import locks, sla, transitions, waits
from city.cases.transitions import Closing
from city.db.models import Case, CaseHop, Endpoint, RemoteRequest
from city.forwarding import endpoints
from city.forwarding.client import ID, MOST_HOPS, Found
from city.lifecycle import FIELD_OUTCOMES, MAX_WORDS, OPEN, WAITING, Refused, may
from city.people.accounts import THE_SYSTEM

# Queued: nothing went out yet. Sending: something did, and nobody knows whether it arrived. Numbering: they
# have it and owe its number. Unclear: only a person can find out. Refused: they said no. Followed, ended.
QUEUED, SENDING, NUMBERING, UNCLEAR, REFUSED, FOLLOWED, ENDED = (
    "queued", "sending", "numbering", "unclear", "refused", "followed", "ended",
)  # fmt: skip
UNDER_WAY: Final = (QUEUED, SENDING, NUMBERING, UNCLEAR, FOLLOWED)
MAY_BE_THERE: Final = (SENDING, NUMBERING, UNCLEAR)
# The marks of a case that somebody must look at.
MARK_UNCLEAR, MARK_REFUSED, MARK_BACK, MARK_CLOSED = (
    "forward unclear", "forward refused", "handed back", "closed elsewhere",
)  # fmt: skip
FIRST_LOOK: Final = timedelta(minutes=1)  # at how it goes over there, after they took it
# What endpoints answer beside "closed" where it is over, as FixMyStreet and others name it.
CLOSED_WORDS: Final = frozenset(("closed", "fixed", "resolved", "completed", "done"))
NOT_OURS_WORDS: Final = frozenset(
    ("not_councils_responsibility", "not ours", "not_ours", "rejected", "invalid", "declined", "duplicate")
)
# Said of a closing, and no closing of ours: somebody here has to find whose it is.
NOT_OURS_PHRASES: Final = (
    "not our", "isn't the city's", "not the city", "not responsible", "not in our", "outside our",
    "rejected", "other agency", "another agency", "no es nuestr", "no corresponde",
)  # fmt: skip


def forward(
    s: Session,
    case: Case,
    endpoint: Endpoint,
    words: str,
    *,
    here: str,
    secret: str,
    by: Actor,
    at: datetime,
) -> RemoteRequest:
    """Lets the worker send the case to an endpoint, with `words` beside its kind and place.

    `here` is this city's own address. A case goes to one owner at a time. Raises Refused `not_allowed`,
    `wrong_state`, `private_forward`, `forward_unknown` where they do not take its kind, `forward_placeless`,
    `forwarded` where it is on its way or there, and `forward_loop` where it came from there.
    """
    may("forward", by.roles)
    transitions.check_words(words)
    locks.lock(s, case)
    if case.state not in OPEN:
        raise Refused("wrong_state", move="forward", state=case.state)
    if case.service.private or case.service.office:
        raise Refused("private_forward")
    if not endpoint.is_active or case.service_code not in endpoint.services:
        raise Refused("forward_unknown", name=endpoint.name)
    if case.lat is None and not case.address:
        raise Refused("forward_placeless")
    earlier = of_case(s, case.id)
    if any(each.is_ours and each.state in UNDER_WAY for each in earlier):
        raise Refused("forwarded")
    been = {hop.partition("/")[0] for hop in hops_of(s, case.id)}
    if endpoints.host(endpoint.url) in been or len(been) >= MOST_HOPS:
        raise Refused("forward_loop", name=endpoint.name)
    # The same after a restore that lost this row: over there it is then the same request.
    turn = sum(each.endpoint_id == endpoint.id and each.is_ours for each in earlier)
    told = f"forward:{endpoints.host(here)}:{endpoint.id}:{case.number}:{turn}"
    row = RemoteRequest(
        endpoint=endpoint, case_id=case.id, is_ours=True, state=QUEUED, words=words.strip(), made_at=at,
        key=hmac.new(secret.encode(), told.encode(), hashlib.sha256).hexdigest()[:48],
        person_id=by.person_id, next_try_at=at,
    )  # fmt: skip
    s.add(row)
    s.flush()
    _say(s, case, "forward", row, by=by, at=at)
    return row


def take_back(s: Session, row: RemoteRequest, *, by: Actor, at: datetime) -> bool:
    """Nothing is sent any more, or what is there is followed no longer. False where it had ended."""
    may("forward", by.roles)
    case = hold(s, row)
    if row.state == ENDED:
        return False
    if row.state in (SENDING, NUMBERING):  # it is on the wire: let us first hear of it
        raise Refused("forward_under_way")
    _end(row, at)
    _come_back(s, case, by=by, at=at)
    _settle(case)
    _say(s, case, "forward ended", row, by=by, at=at)
    return True


def arrived(s: Session, row: RemoteRequest, number: str, *, by: Actor, at: datetime) -> bool:
    """Somebody looked over there: it is there under this number. Raises Refused `forward_number`."""
    may("forward", by.roles)
    if not ID.fullmatch(number.strip()):
        raise Refused("forward_number")
    case = hold(s, row)
    if row.state not in (UNCLEAR, NUMBERING):
        raise Refused("forward_moved")
    _settle(case)
    return taken(s, row, number.strip(), at=at)


def send_again(s: Session, row: RemoteRequest, *, by: Actor, at: datetime) -> bool:
    """Somebody looked over there: it is not there, or they will take it now. It is sent once more."""
    may("forward", by.roles)
    case = hold(s, row)
    if row.state not in (UNCLEAR, REFUSED):
        raise Refused("forward_moved")
    if case.state not in OPEN:
        raise Refused("wrong_state", move="forward", state=case.state)
    row.state, row.sent_at, row.fault, row.tries, row.next_try_at = QUEUED, None, None, 0, at
    row.ended_at = None
    _settle(case)
    _say(s, case, "forward", row, by=by, at=at)
    return True


def taken(s: Session, row: RemoteRequest, number: str, *, at: datetime) -> bool:
    """They have it under their number: the case waits for them from now on. False where that was known.

    Danger waits for nobody, and a case that a crew holds or that waits for something else goes on with that.
    """
    case = hold(s, row)
    if row.state in (FOLLOWED, ENDED, REFUSED):
        return False
    try:
        with events.savepoint(s):
            row.their_id = number
            s.flush()
    except IntegrityError:  # another case of ours has that number: they joined the two, or are mistaken
        s.refresh(row)
        _ask_staff(s, row, case, f"number {number} belongs to another case", at)
        return False
    row.state, row.taken_at, row.fault, row.tries = FOLLOWED, at, None, 0
    row.next_try_at = at + FIRST_LOOK
    if case.state not in OPEN:
        _end(row, at)
    elif not sla.in_danger(case) and transitions.live(case) is None and sla.waits_for(case) != "resident":
        transitions.wait(
            s, case, "utility", until=waits.latest_end(case, "utility", at), passed_to=row.endpoint.name,
            by=THE_SYSTEM, at=at,
        )  # fmt: skip
    _say(s, case, "passed on", row, at=at, number=number)
    return True


def refused(s: Session, row: RemoteRequest, why: str, *, at: datetime) -> bool:
    """They said no: somebody here must look."""
    case = hold(s, row)
    if row.state not in (QUEUED, SENDING, NUMBERING):
        return False
    row.state, row.fault, row.next_try_at = REFUSED, why, None
    if case.state in OPEN:
        case.review = case.review or MARK_REFUSED
    _say(s, case, "forward refused", row, at=at)
    return True


def unclear(s: Session, row: RemoteRequest, why: str, *, at: datetime) -> bool:
    """Nobody but a person can find out whether it arrived; it is never sent again by itself."""
    case = hold(s, row)
    if row.state not in (SENDING, NUMBERING):
        return False
    _ask_staff(s, row, case, why, at)
    return True


def seen(s: Session, row: RemoteRequest, told: Found, *, at: datetime) -> bool:
    """Keeps how it stands over there; what has ended there ends here, or comes back. True where that was."""
    case = hold(s, row)
    if row.state != FOLLOWED:
        return False
    changed = (row.status, row.notes) != (told.status, told.notes)
    row.status, row.notes, row.their_update_at = told.status, told.notes, told.updated_at
    row.seen_at, row.tries, row.fault = at, 0, None
    if case.state not in OPEN:
        _end(row, at)
        return True
    if told.status in NOT_OURS_WORDS or told.outcome == "not ours":
        return _handed_back(s, row, case, at)
    if told.status in CLOSED_WORDS:
        if not told.outcome and any(phrase in told.notes.casefold() for phrase in NOT_OURS_PHRASES):
            return _handed_back(s, row, case, at)
        return _closed_there(s, row, case, told, at)
    if changed:
        transitions.bump_version(s, case)
    return False


def lost(s: Session, row: RemoteRequest, *, at: datetime) -> bool:
    """They know of it no more, and said nothing of its end."""
    case = hold(s, row)
    return row.state == FOLLOWED and _handed_back(s, row, case, at)


def overtaken(s: Session, row: RemoteRequest, case: Case, *, at: datetime) -> None:
    """The case has ended before anything went out."""
    _end(row, at)
    _say(s, case, "forward ended", row, at=at)


def of_case(s: Session, case_id: int) -> list[RemoteRequest]:
    """What went out of a case and what it came in by, the oldest first."""
    asked = select(RemoteRequest).where(RemoteRequest.case_id == case_id).order_by(RemoteRequest.id)
    return list(s.scalars(asked.options(joinedload(RemoteRequest.endpoint))))


def shown(s: Session, case: Case) -> RemoteRequest | None:
    """Where the case is or was dealt with, for anybody who may see it: the last that another owner took."""
    if case.service.private or case.cleared_at:
        return None
    rows = [each for each in of_case(s, case.id) if each.is_ours and each.taken_at]
    return rows[-1] if rows else None


def for_case(s: Session, case: Case) -> list[Endpoint]:
    """The endpoints that take such a case, by name."""
    if case.service.private or case.service.office:
        return []
    asked = select(Endpoint).where(Endpoint.is_active).order_by(Endpoint.name)
    return [each for each in s.scalars(asked) if case.service_code in each.services]


def hops_of(s: Session, case_id: int) -> list[str]:
    """The machines where a case has been before, with its number there."""
    return list(s.scalars(select(CaseHop.hop).where(CaseHop.case_id == case_id).order_by(CaseHop.hop)))


def hops_of_many(s: Session, case_ids: Sequence[int]) -> dict[int, list[str]]:
    """hops_of() of many cases, those with none left out."""
    found: dict[int, list[str]] = {}
    rows = s.scalars(select(CaseHop).where(CaseHop.case_id.in_(case_ids)).order_by(CaseHop.hop))
    for row in rows:
        found.setdefault(row.case_id, []).append(row.hop)
    return found


def add_hops(s: Session, case: Case, hops: Iterable[str]) -> None:
    """Notes where a case came from; twice is once."""
    known = set(hops_of(s, case.id))
    s.add_all(CaseHop(case_id=case.id, hop=hop) for hop in dict.fromkeys(hops) if hop not in known)
    s.flush()


def hold(s: Session, row: RemoteRequest) -> Case:
    """The root of its case, locked, and the row as it is by now."""
    case = transitions.root_of(s, s.get_one(Case, row.case_id))
    locks.lock(s, case)
    s.refresh(row, with_for_update={"of": RemoteRequest})
    return case


def _closed_there(s: Session, row: RemoteRequest, case: Case, told: Found, at: datetime) -> bool:
    """Their end is ours, in their words. Where a crew of ours is at it too, a person decides."""
    _end(row, at)
    _say(s, case, "forward ended", row, at=at, status=told.status)
    if transitions.live(case) is not None:
        case.review = case.review or MARK_CLOSED
        return True
    outcome = told.outcome if told.outcome in FIELD_OUTCOMES else "fixed"
    closing = Closing(outcome, words=told.notes[:MAX_WORDS], elsewhere=True)
    transitions.close(s, case, closing, by=THE_SYSTEM, at=at)
    return True


def _handed_back(s: Session, row: RemoteRequest, case: Case, at: datetime) -> bool:
    _end(row, at)
    _come_back(s, case, by=THE_SYSTEM, at=at)
    case.review = case.review or MARK_BACK
    _say(s, case, "handed back", row, at=at)
    return True


def _come_back(s: Session, case: Case, *, by: Actor, at: datetime) -> None:
    """It waits for them no more."""
    pause = sla.open_pause(case)
    if case.state == WAITING and pause and pause.passed_to:
        transitions.resume(s, case, by=by, at=at)


def _ask_staff(s: Session, row: RemoteRequest, case: Case, why: str, at: datetime) -> None:
    row.state, row.fault, row.next_try_at = UNCLEAR, why, None
    if case.state in OPEN:
        case.review = case.review or MARK_UNCLEAR
    _say(s, case, "forward unclear", row, at=at)


def _settle(case: Case) -> None:
    if case.review in (MARK_UNCLEAR, MARK_REFUSED, MARK_BACK):
        case.review = None


def _end(row: RemoteRequest, at: datetime) -> None:
    row.state, row.ended_at, row.next_try_at = ENDED, at, None


def _say(
    s: Session,
    case: Case,
    kind: str,
    row: RemoteRequest,
    *,
    by: Actor = THE_SYSTEM,
    at: datetime,
    **more: Any,
) -> None:
    facts = {"endpoint": row.endpoint_id, "name": row.endpoint.name, **more}
    events.record(s, transitions.subject(case), kind, by=by, at=at, facts=facts)
    transitions.bump_version(s, case)
