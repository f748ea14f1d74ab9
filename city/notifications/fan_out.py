"""Tails the log and decides who should hear of what. Writes outbox rows; sends nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import CompoundSelect, and_, func, or_, select, union, union_all
from sqlalchemy.orm import Session

from city.audit import events
from city.cases.queries import family_of, root_of
from city.channels import CHANNELS, LETTER
from city.db.models import Case, CaseMessage, Closure, Event, Follower, Message, Report, Subscription
from city.lifecycle import CANCELLED, CLOSED, OPEN
from city.notifications import danger_alarm, satisfaction

NAME = "notices"
NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # seen, since the database was put back
AT_ONCE = 20_000  # lines that are read in one transaction; few of them are to be told, or those end it
SEEN_EVERY = timedelta(seconds=20)  # a sign of life for /readyz, not a write a second
# What a reporter hears of, and the kind of message it makes.
TOLD = {"close": "closed", "reopen": "reopened"}
# What reporters and followers hear of besides: every other step that strangers see.
CHANGES = ("accept", "assign", "start", "wait", "resume", "make safe", "needs parts", "cancel", "merge")
# And of this reporters read how it is by now: theirs is another type, elsewhere or due on another day now.
CORRECTIONS = ("reclassify", "relocate", "reschedule")
# Once a promise is broken reporters hear that it is, by the log's word for it: cases/sla_sweep.py.
LATE = "late"
SETTLED = (*CHANGES, *CORRECTIONS, LATE)
# What somebody at the city writes to reporters, and the kind of message it makes: reports/conversation.py.
CONVERSED = {"ask": "question", "remind": "question", "update": "update"}
# What the desk writes to somebody whose words are no case yet, and the kind of message: inbox/entries.py.
WRITE_BACK, REPLY = "write back", "reply"
# What SETTLED names waits so long: a step that is taken back at once is none, several are one letter.
SETTLES = timedelta(minutes=10)


def process_events(s: Session, now: datetime, limit: int = 500) -> int:
    """Reads the next lines of the log and queues the messages of `limit` at most; returns how many were read.

    Nobody is mailed about an imported or invented past, and such lines are passed over as they stand.

    Reading a line twice makes no second message: one an address and line, and of a closing one an address,
    by whatever lines and reports it comes to be told.
    """
    place = s.get(Follower, NAME) or Follower(name=NAME, seq=0, seen_at=now)
    s.add(place)
    since = place.seq
    until = min(since + AT_ONCE, s.scalar(select(func.max(Event.seq))) or 0)
    lines = events.since(s, since, limit, live_until=until)
    wished = _wished(s, lines)
    for line in lines:
        _queue(s, line, now)
        if line.kind in SETTLED and line.subject in wished:
            _tell_of_change(s, line, now)
    place.seq = lines[-1].seq if len(lines) == limit else max(since, until)
    if place.seq > since or now - place.seen_at > SEEN_EVERY:
        place.seen_at = now
    return place.seq - since


def forget_seen(s: Session) -> None:
    """After a restore: what the worker was seen at is the backup's time, and says nothing of now."""
    place = s.get(Follower, NAME)
    if place:
        place.seen_at = NEVER


def is_still_valid(s: Session, message: Message) -> bool:
    """Whether what a message says is still so. One that waited long may have been overtaken."""
    if message.kind == danger_alarm.KIND:
        return danger_alarm.is_still_valid(s, message)
    case = case_for_subscription(s, message.subscription)
    if message.kind in CONVERSED.values():
        return case is not None and _is_still_meant(s, case, message)
    if case is None or message.kind not in ("changed", "corrected", LATE, *TOLD.values()):
        return True
    if message.kind == LATE:
        return case.state in OPEN and case.standing == LATE
    if message.kind == "corrected" and not _is_corrected(s, case, message.event_seq):
        return False
    if message.kind in ("changed", "corrected"):  # its closing has a letter of its own
        return case.state in (*OPEN, CANCELLED)
    if message.kind == "reopened":
        return case.state != CLOSED
    return case.state == CLOSED and message.closure_id == case.closures[-1].id


def case_for_subscription(s: Session, subscription: Subscription) -> Case | None:
    """The case that a wish is about by now: what it was merged into; None where it is about a place."""
    own = subscription.report.case if subscription.report else subscription.case
    return root_of(s, own) if own else None


def _is_still_meant(s: Session, case: Case, message: Message) -> bool:
    """Whether the words are still there, and the question was not answered while the case was open.

    An update that had to wait is told though the case was closed meanwhile: it is somebody's words.
    """
    written = s.get_one(CaseMessage, message.case_message_id)
    answered = select(CaseMessage.id).where(CaseMessage.answers_id == written.id).limit(1)
    states = (*OPEN, CLOSED) if message.kind == "update" else OPEN
    return case.state in states and bool(written.words) and s.scalar(answered) is None


def _queue(s: Session, line: Event, now: datetime) -> None:
    if line.kind == "subscribe":
        asked = s.get(Subscription, line.facts["subscription"])
        confirms = asked is not None and CHANNELS[asked.channel].needs_confirmation
        _tell(s, line, "receipt", [asked] if asked and confirms else [], None, now)
        return
    if line.kind == "confirm news":
        # Only now the mailbox may read what its reporter wrote, so only now it gets the whole receipt.
        # A text has no room for it, and who follows something told nothing.
        asked = s.get(Subscription, line.facts["subscription"])
        whole = asked is not None and asked.report_id is not None and CHANNELS[asked.channel].takes == LETTER
        _tell(s, line, "confirmed", [asked] if asked and whole else [], None, now)
        return
    if line.kind == danger_alarm.RING:
        _tell(s, line, danger_alarm.KIND, danger_alarm.recipients(s, now), None, now)
        return
    if line.kind in CONVERSED:
        _tell_what_was_written(s, line, now)
        return
    if line.kind == WRITE_BACK:
        asked = s.get(Subscription, line.facts["subscription"])
        _tell(s, line, REPLY, [asked] if asked else [], None, now)
        return
    if _corrects(line.kind, line.facts):
        reporters = [each for each in _subscribers(s, _case_id(line)) if each.report_id is not None]
        _tell_settled(s, line, "corrected", reporters, now)
    kind = TOLD.get(line.kind)
    if line.kind == "merge" and line.facts.get("closed"):  # what it was merged into is done already
        kind = "closed"
    if line.kind in ("take back", "undo batch") and line.was == CLOSED:
        _tell(s, line, "reopened", _who_think_it_closed(s, _case_id(line)), None, now)
    if kind is None:
        return
    closing = _closing(s, line) if kind == "closed" else None
    if kind == "reopened" or (
        closing and _stays(s, closing)
    ):  # a closing that was taken back meanwhile is none
        if closing:
            satisfaction.ask(s, closing)
        _tell(s, line, kind, _subscribers(s, _case_id(line)), closing, now)


def _tell_what_was_written(s: Session, line: Event, now: datetime) -> None:
    """A question goes to the one who is asked; an update to all reporters, and where it is public to all."""
    written = s.get(CaseMessage, line.facts["message"])
    if written is None:
        return
    wanted = [
        each
        for each in _subscribers(s, _case_id(line))
        if (each.report_id == written.report_id if written.report_id else each.report_id or written.is_public)
    ]
    _tell(s, line, CONVERSED[line.kind], wanted, None, now, written)


def _wished(s: Session, lines: Sequence[Event]) -> set[str]:
    """Of the lines' subjects the cases that changed and of which somebody hears; one statement for all."""
    ids = {_case_id(line) for line in lines if line.kind in SETTLED and line.subject.startswith("case:")}
    if not ids:
        return set()
    family = select(Case.id, Case.id.label("top")).where(Case.id.in_(ids)).cte(recursive=True)
    family = family.union(select(Case.id, family.c.top).join(family, Case.merged_into_id == family.c.id))
    followed = select(family.c.top).join(Subscription, Subscription.case_id == family.c.id)
    told = select(family.c.top).join(Report, Report.case_id == family.c.id)
    told = told.join(Subscription, Subscription.report_id == Report.id)
    return {events.of_case(case_id) for case_id in s.scalars(union(followed, told))}


def _tell_of_change(s: Session, line: Event, now: datetime) -> None:
    if line.kind == "merge" and line.facts.get("closed"):
        return  # told as its closing
    everybody = _subscribers(s, _case_id(line))
    reporters = [each for each in everybody if each.report_id is not None]
    followers = [each for each in everybody if each.report_id is None]
    if line.kind == LATE:
        _tell_settled(s, line, LATE, reporters, now)
    elif line.kind in CORRECTIONS:
        _tell_settled(s, line, "changed", followers, now)
    else:
        _tell_settled(s, line, "changed", everybody, now)


def _tell_settled(
    s: Session, line: Event, kind: str, subscriptions: Sequence[Subscription], now: datetime
) -> None:
    """One letter each that says how the case stands when it goes out; none beside one that waits."""
    waiting = set(
        s.scalars(
            select(Message.subscription_id).where(
                Message.subscription_id.in_([each.id for each in subscriptions]),
                Message.kind == kind,
                Message.next_try_at.is_not(None),
            )
        )
    )
    _tell(s, line, kind, [each for each in subscriptions if each.id not in waiting], None, now + SETTLES)


def _is_corrected(s: Session, case: Case, since: int) -> bool:
    """Whether more was corrected from that line of the log on than undone again."""
    rows = s.execute(
        select(Event.kind, Event.facts).where(Event.subject == events.of_case(case.id), Event.seq >= since)
    )
    balance = 0
    for kind, facts in rows:
        balance += _corrects(kind, facts)
        balance -= kind == "undo batch" and facts.get("what") in CORRECTIONS
    return balance > 0


def _corrects(kind: str, facts: dict[str, Any]) -> bool:
    """Whether its reporters hear of this line: a report that was split has a case of its own now."""
    return kind in CORRECTIONS or (kind == "open" and "split_from" in facts)


def _closing(s: Session, line: Event) -> Closure | None:
    """The closing that a line tells of: its own, or how what it was merged into had ended."""
    asked = select(Closure).order_by(Closure.cycle.desc()).limit(1)
    if line.kind == "close":
        own = Closure.case_id == _case_id(line), Closure.cycle == line.facts["cycle"]
        return s.scalars(asked.where(*own)).first()
    into = select(Case.id).where(Case.number == line.facts["into"]).scalar_subquery()
    return s.scalars(asked.where(Closure.case_id == into)).first()


def _case_id(line: Event) -> int:
    return int(line.subject.partition(":")[2])


def _tell(
    s: Session,
    line: Event,
    kind: str,
    subscriptions: list[Subscription],
    closing: Closure | None,
    due: datetime,
    written: CaseMessage | None = None,
) -> None:
    """One message an address, also when the line is read again after a restore of the follower's place."""
    known = Message.event_seq == line.seq
    if closing:
        # Told, or about to be; one that was overtaken before it went out told nobody.
        gone_out = or_(Message.sent_at.is_not(None), Message.next_try_at.is_not(None))
        known |= (Message.closure_id == closing.id) & gone_out
    told = set(
        s.scalars(
            select(Subscription.address)
            .join(Message, Message.subscription_id == Subscription.id)
            .where(Message.kind == kind, known)
        )
    )
    for subscription in subscriptions:
        if subscription.address not in told and _stays(s, subscription):
            told.add(subscription.address)
            s.add(
                Message(
                    event_seq=line.seq, subscription_id=subscription.id, kind=kind, next_try_at=due,
                    closure_id=closing.id if closing else None,
                    case_message_id=written.id if written else None,
                )
            )  # fmt: skip


def _stays(s: Session, row: Subscription | Closure) -> bool:
    """Whether it is still there, and will be until our transaction ends: what is about to be erased or undone
    must not be named by a letter."""
    held = select(type(row).id).where(type(row).id == row.id)
    return s.scalar(held.with_for_update(read=True, key_share=True)) is not None


def _who_think_it_closed(s: Session, case_id: int) -> list[Subscription]:
    """The subscribers whose last letter says that it is closed.

    A closing's letters that still lie in the outbox when it is undone go no more: see is_still_valid().
    """
    on_its_way = and_(Message.kind == "reopened", Message.next_try_at.is_not(None))
    letters = s.execute(
        select(Subscription.address, Message.kind)
        .join(Message, Message.subscription_id == Subscription.id)
        .where(Subscription.id.in_(_about(family_of(s, case_id))), Message.kind.in_(TOLD.values()))
        .where(or_(Message.sent_at.is_not(None), on_its_way))
        .order_by(Message.id)
    )
    last: dict[str, str] = dict(letters.all())
    return [each for each in _subscribers(s, case_id) if last.get(each.address) == "closed"]


def _subscribers(s: Session, case_id: int) -> list[Subscription]:
    """Everybody at this case or at one merged into it whose address is confirmed, or had the receipt.

    Of one address with several wishes a report's comes first, that at the case itself: its view tells most.
    """
    return list(
        s.scalars(
            select(Subscription)
            .outerjoin(Report, Report.id == Subscription.report_id)
            .where(Subscription.id.in_(_about(family_of(s, case_id))))
            .where(or_(Subscription.confirmed_at.is_not(None), Subscription.receipt_at.is_not(None)))
            .where(Subscription.stopped_at.is_(None))
            .order_by(Subscription.report_id.is_(None), (Report.case_id != case_id), Subscription.id)
        )
    )


def _about(case_ids: Sequence[int]) -> CompoundSelect[int]:
    """The ids of all wishes about these cases: of their reports', and of those who follow them."""
    told = select(Subscription.id).join(Report, Report.id == Subscription.report_id)
    followed = select(Subscription.id).where(Subscription.case_id.in_(case_ids))
    return union_all(told.where(Report.case_id.in_(case_ids)), followed)
