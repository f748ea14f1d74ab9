"""Sends what was passed on to the endpoints: each case exactly once, whenever either side is killed.

What goes out is noted before it does. Where the answer is lost, the other end is asked whether it has it: by
the token that went along, or by our number among what was told there. An endpoint that takes a token once
only is sent it again. Where neither helps nothing is sent again, and somebody is asked to look.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from city.cases import queries
from city.db import engine as db
from city.db.models import Case, Endpoint, RemoteRequest
from city.forwarding import endpoints, forwards
from city.forwarding.client import Address, Client, Found, NotSent, Sending, Turned, Unclear
from city.forwarding.forwards import NUMBERING, QUEUED, SENDING
from city.geo import distance
from city.lifecycle import OPEN

AT_ONCE: Final = 50  # in one round
LOOKS: Final = 4  # for what may have arrived, before somebody is asked
NUMBER_WITHIN: Final = timedelta(days=14)  # in which who took it says its number
CLOCKS: Final = timedelta(hours=1)  # by which theirs may be off
NEAR_METRES: Final = 500.0  # within which what bears our number may be ours


@dataclass(frozen=True)
class Here:
    """What goes out of this city: its address, whose words strangers may see, and where photos are."""

    base_url: str
    publish: str
    photo_url: Callable[[str], str]

    @property
    def host(self) -> str:
        """What other machines call this one."""
        return endpoints.host(self.base_url)


@dataclass(frozen=True)
class _Step:
    """What is to be done for one row, read in one transaction and done outside of it."""

    row_id: int
    at: Address
    state: str
    told: Sending
    mark: str
    sent_at: datetime
    their_token: str
    repeats: bool


def send_due(engine: Engine, client: Client, here: Here, now: datetime) -> int:
    """Goes one step further with all that is due; returns how many are over there now or were turned away."""
    ready = RemoteRequest.is_ours & RemoteRequest.state.in_((QUEUED, SENDING, NUMBERING))
    asked = (
        select(RemoteRequest.id)
        .join(Endpoint)
        .where(RemoteRequest.next_try_at <= now, ready, Endpoint.is_active)
        .order_by(RemoteRequest.id)
        .limit(AT_ONCE)
    )
    with db.read_session(engine) as s:
        due = list(s.scalars(asked))
    return sum(_go_on(engine, client, here, row_id, now) for row_id in due)


def mark(number: str, host: str) -> str:
    """By what our request is found among others: our number, and whose it is."""
    return f"{number} · {host}"


def _go_on(engine: Engine, client: Client, here: Here, row_id: int, now: datetime) -> bool:
    with db.transaction(engine) as s:
        step = _begin(s, row_id, here, now)
    if step is None:
        return False
    try:
        number, token = _ask(client, step)
    except (NotSent, Unclear, Turned) as wrong:
        with db.transaction(engine) as s:
            return _failed(s, step, wrong, now)
    with db.transaction(engine) as s:
        row = s.get_one(RemoteRequest, row_id)
        endpoints.answered(row.endpoint, at=now)
        if number:
            return forwards.taken(s, row, number, at=now)
        return _later(s, row, token, now)


def _begin(s: Session, row_id: int, here: Here, now: datetime) -> _Step | None:
    """What comes next. Before anything goes out that is noted: a kill after it leaves `sending`."""
    row = s.get_one(RemoteRequest, row_id)
    case = forwards.hold(s, row)
    if row.state not in (QUEUED, SENDING, NUMBERING):
        return None
    state = row.state
    if state == QUEUED:
        if case.state not in OPEN:
            forwards.overtaken(s, row, case, at=now)
            return None
        row.state, row.sent_at, row.tries = SENDING, now, 0
    # Without an answer it is looked at again after a while, also where this process ends here.
    row.next_try_at = now + endpoints.pause(row.tries + 1)
    told = _sending(s, s.get_one(Case, row.case_id), row, here, now)
    return _Step(
        row.id, endpoints.address(row.endpoint), state, told, told.hops[-1], row.sent_at or now,
        row.their_token or "", row.endpoint.repeats,
    )  # fmt: skip


def _sending(s: Session, case: Case, row: RemoteRequest, here: Here, now: datetime) -> Sending:
    """What strangers may know of it, the words that were written for them, and our number."""
    seen = queries.public(s, now=now, publish=here.publish, number=case.number)
    sight = seen[0] if seen else None
    answers: dict[str, str] = {}
    for report in case.reports:
        if queries.is_public(report, case, here.publish):
            answers |= {code: str(answer) for code, answer in report.answers.items()}
    shots = [photo for telling in (sight.tellings if sight else ()) for photo in telling.photos]
    return Sending(
        service_code=row.endpoint.services.get(case.service_code, case.service_code),
        token=row.key,
        point=sight.point if sight else None,
        address=sight.address if sight else "",
        words="\n\n".join(filter(None, (row.words, mark(case.number, here.host)))),
        media=[here.photo_url(photo) for photo in shots[:5]],
        answers=answers,
        hops=[*forwards.hops_of(s, case.id), f"{here.host}/{case.number}"],
    )


def _ask(client: Client, step: _Step) -> tuple[str, str]:
    """Their number, or the token by which to ask for it; ("", "") where there is nothing to know yet."""
    if step.state == NUMBERING:
        return client.by_token(step.at, step.their_token) or "", step.their_token
    if step.state == SENDING and (number := client.by_token(step.at, step.told.token)):
        return number, ""
    if step.state == QUEUED or step.repeats:
        return client.post(step.at, _fitting(client, step))
    return _by_mark(client, step), ""


def _fitting(client: Client, step: _Step) -> Sending:
    """Of the answers those that they ask for too. Without a list of these none goes along."""
    told = step.told
    if not told.answers:
        return told
    try:
        asked = client.asked(step.at, told.service_code)
    except (NotSent, Unclear, Turned):
        asked = {}
    fits = {
        code: answer
        for code, answer in told.answers.items()
        if code in asked and (not asked[code] or set(answer.split(",")) <= asked[code])
    }
    return Sending(
        told.service_code, told.token, told.point, told.address, told.words, told.media, fits, told.hops
    )


def _by_mark(client: Client, step: _Step) -> str:
    """The number of what bears ours, of what was told there since; "" for none or several."""
    since = step.sent_at - CLOCKS
    found = client.listed(
        step.at, since, max(step.sent_at + 24 * CLOCKS, since), codes=[step.told.service_code]
    )
    ours = {each.id for each in found if _is_ours(each, step)}
    return ours.pop() if len(ours) == 1 else ""


def _is_ours(each: Found, step: _Step) -> bool:
    host, _, number = step.mark.rpartition("/")
    if step.mark not in each.hops and mark(number, host) not in each.words:
        return False
    if each.point is None or step.told.point is None:
        return True
    return distance(each.point, step.told.point) <= NEAR_METRES


def _later(s: Session, row: RemoteRequest, token: str, now: datetime) -> bool:
    """They have it without a number yet, or nobody knows: another look, or a person's."""
    forwards.hold(s, row)
    row.tries += 1
    row.next_try_at = now + endpoints.pause(row.tries)
    if token:
        row.state, row.their_token = NUMBERING, token
        if row.sent_at and now - row.sent_at > NUMBER_WITHIN:
            return forwards.unclear(s, row, "they took it and gave no number", at=now)
        return False
    if row.state == SENDING and row.tries >= LOOKS:
        return forwards.unclear(s, row, row.fault or "no answer", at=now)
    return False


def _failed(s: Session, step: _Step, wrong: NotSent | Unclear | Turned, now: datetime) -> bool:
    row = s.get_one(RemoteRequest, step.row_id)
    forwards.hold(s, row)
    row.tries += 1
    row.next_try_at, row.fault = now + endpoints.pause(row.tries), endpoints.fault_of(wrong)
    first = step.state == QUEUED
    if isinstance(wrong, Turned) and not wrong.passing:
        if step.state == NUMBERING or not (first or step.repeats):  # a look was turned away, nothing else
            return forwards.unclear(s, row, row.fault, at=now) if row.tries >= LOOKS else False
        if first or row.tries >= LOOKS:  # sent again it may be there all the same: it is asked for first
            return forwards.refused(s, row, row.fault, at=now)
        return False
    if not isinstance(wrong, Turned):
        endpoints.failed(row.endpoint, wrong, at=now)
    if first and not isinstance(wrong, Unclear):
        row.state, row.sent_at = QUEUED, None  # nothing arrived
    elif step.state == SENDING and not step.repeats and row.tries >= LOOKS:
        return forwards.unclear(s, row, row.fault, at=now)
    return False


def is_settled(s: Session, endpoint_id: int) -> bool:
    """Whether of all that went to an endpoint is known whether it is there."""
    open_ = select(RemoteRequest.id).where(
        RemoteRequest.endpoint_id == endpoint_id, RemoteRequest.state.in_(forwards.MAY_BE_THERE)
    )
    return s.scalar(open_.limit(1)) is None
