"""What the city and a reporter write each other about a case: ask, answer, add, update.

A question stops the promise clock from the moment in which its reporter can read it, and the answer lets it
run again. Nobody answered in time: the case comes back by itself, as after any hold (cases/waits.py). What
is written stands between the city and that one reporter; an update goes to all of them, and to everybody
where staff say so. What they said in reports and closings is not here: intake.py, closing_feedback.py.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, func, or_, select
from sqlalchemy.orm import Session, selectinload

from city.audit import events
from city.audit.events import Actor
from city.cases import locks, sla, transitions
from city.channels import CHANNELS
from city.db import engine as db
from city.db.models import Case, CaseMessage, Message, Photo, Report
from city.lifecycle import MAX_WORDS, OPEN, REOPEN_DAYS, REPLIED, WAITING, Refused, may
from city.people.accounts import THE_SYSTEM
from city.photos import photos
from city.text import is_blank

ASK, ANSWER, ADD, UPDATE = "ask", "answer", "add", "update"
PAGE: Final = "page"  # beside the names of CHANNELS: the report's own page
# Whoever reported there holds the page's link in the browser; a caller and another system's user do not.
WITH_PAGE: Final = ("web",)
MOST_CHOICES: Final = 6
LONGEST_CHOICE: Final = 60  # letters
MOST_QUESTION: Final = 500  # letters: a text carries no more, and nobody reads more
REMIND_AFTER: Final = timedelta(days=3)  # a question that nobody answered is asked once more
MOST_A_DAY: Final = 20  # that one reporter may write


def ways(report: Report) -> list[str]:
    """By which channels a question would reach whoever told the report, the page last; none is told before.

    Takes the report's subscriptions as they are loaded.
    """
    if report.erased_at:
        return []
    heard = {each.channel for each in report.subscriptions if each.hears}
    return [name for name in CHANNELS if name in heard] + [PAGE] * (report.channel in WITH_PAGE)


def ask(
    s: Session,
    report: Report,
    question: str,
    choices: Sequence[str] = (),
    *,
    by: Actor,
    at: datetime,
    key: str | None = None,
) -> CaseMessage:
    """Asks whoever told the report, with ready answers to choose from; the same `key` twice asks once.

    Raises Refused `empty_question`, `question_long`, `too_many_choices`, `unreachable` where nothing can
    carry it, and `wrong_state` for a case that is over.
    """
    may("ask", by.roles)
    question, choices = question.strip(), tuple(filter(None, (each.strip() for each in choices)))
    if is_blank(question):
        raise Refused("empty_question")
    if len(question) > MOST_QUESTION:
        raise Refused("question_long", most=MOST_QUESTION)
    if len(choices) > MOST_CHOICES or any(len(each) > LONGEST_CHOICE for each in choices):
        raise Refused("too_many_choices", most=MOST_CHOICES, letters=LONGEST_CHOICE)
    case = _held(s, report)
    if known := _known(s, key):
        return known
    if case.state not in OPEN:
        raise Refused("wrong_state", move="ask", state=case.state)
    if not ways(report):
        raise Refused("unreachable")
    return _write(
        s, case, CaseMessage(kind=ASK, report=report, words=question, choices=list(choices) or None, key=key),
        by=by, at=at, lang=report.lang,
    )  # fmt: skip


def update(
    s: Session,
    case: Case,
    words: str,
    *,
    taken: Sequence[Photo] = (),
    public: bool = False,
    by: Actor,
    at: datetime,
    lang: str,
    key: str | None = None,
) -> CaseMessage:
    """Lets all who told of a case know how it goes on; where it is `public` whoever follows it and everybody.

    Raises Refused `empty_update`, `words_too_long`, `private_update` for one that no stranger may read, and
    `wrong_state` for a case that is over.
    """
    may("update", by.roles)
    if is_blank(words):
        raise Refused("empty_update")
    transitions.check_words(words)
    locks.lock(s, case)
    if known := _known(s, key):
        return known
    if case.state not in OPEN:
        raise Refused("wrong_state", move="update", state=case.state)
    if public and case.service.private:
        raise Refused("private_update")
    new = CaseMessage(kind=UPDATE, words=words.strip(), is_public=public, key=key)
    return _write(s, case, new, taken=taken, by=by, at=at, lang=lang)


def reply(
    s: Session,
    report: Report,
    words: str = "",
    *,
    to: int | None = None,
    choice: str = "",
    taken: Sequence[Photo] = (),
    channel: str = PAGE,
    by: Actor,
    at: datetime,
    key: str | None = None,
) -> CaseMessage:
    """What a reporter writes: the answer to the question of the id `to`, or of None something besides.

    A question that was answered takes more words too. The same `key` twice is one. Raises Refused
    `empty_answer`, `words_too_long`, `unknown_question`, `unknown_choice`, `too_late_to_write`,
    `too_many_messages`.
    """
    may("write", by.roles)
    transitions.check_words(words)
    case = _held(s, report)
    if known := _known(s, key):
        return known
    question = s.get(CaseMessage, to) if to is not None else None
    if to is not None and (question is None or question.kind != ASK or question.report_id != report.id):
        raise Refused("unknown_question")
    if choice and (question is None or choice not in (question.choices or ())):
        raise Refused("unknown_choice")
    words = "\n".join(filter(None, (choice, words.strip())))
    if not words and not taken:
        raise Refused("empty_answer")
    if len(words) > MAX_WORDS:
        raise Refused("words_too_long", most=MAX_WORDS)
    if not may_write(report, case, at):
        raise Refused("too_late_to_write")
    since = CaseMessage.report_id == report.id, CaseMessage.at > at - timedelta(days=1)
    mine = select(func.count()).where(*since, CaseMessage.kind.in_((ANSWER, ADD)))
    if (s.scalar(mine) or 0) >= MOST_A_DAY:
        raise Refused("too_many_messages", most=MOST_A_DAY)
    new = CaseMessage(
        kind=ANSWER if question else ADD, report=report, channel=channel, words=words, key=key,
        answers_id=question.id if question else None,
    )  # fmt: skip
    if question:
        hand_over(s, question, at=at)  # whoever answers has read it, whatever the mail server says
    _write(s, case, new, taken=taken, by=by, at=at, lang=report.lang)
    case.review = case.review or REPLIED
    if question and case.state == WAITING and sla.waits_for(case) == "resident":
        transitions.resume(s, case, by=THE_SYSTEM, at=at)
    return new


def may_write(report: Report, case: Case, at: datetime) -> bool:
    """Whether its reporter may still write: while the case is open, and for so long after it as it may be
    reopened. `case` is the root of the report's own."""
    if report.erased_at or case.cleared_at:
        return False
    last = last_day(case)
    return case.state in OPEN or (last is not None and at <= last)


def last_day(case: Case) -> datetime | None:
    """Until when something may be written about a case that is over; None while it is open."""
    over = None if case.state in OPEN else case.closed_at or _cancelled_at(case)
    return over + timedelta(days=REOPEN_DAYS) if over else None


def hand_over(s: Session, question: CaseMessage, *, at: datetime) -> bool:
    """Its reporter can read the question now: the case waits for the answer, and its clock stands.

    Danger waits for nobody, and a case that waits for something else goes on doing that. False where it was
    handed over before.
    """
    case = transitions.root_of(s, s.get_one(Case, question.case_id))
    locks.lock(s, case)
    s.refresh(question)  # the page and the worker may both come to it, and an answer between them
    if question.handed_over_at:
        return False
    question.handed_over_at, question.failed = at, None
    s.flush()
    if case.state in OPEN and case.state != WAITING and not sla.in_danger(case):
        transitions.wait(s, case, "resident", asked=True, by=THE_SYSTEM, at=at)
    return True


def seen(s: Session, report_id: int, *, at: datetime) -> int:
    """The report's page shows its questions; returns how many nobody had handed over before."""
    unread = select(CaseMessage).where(CaseMessage.report_id == report_id, _UNREAD)
    return sum(hand_over(s, each, at=at) for each in s.scalars(unread.order_by(CaseMessage.id)))


def is_unread(s: Session, report_id: int) -> bool:
    """Whether the report has a question that its page would hand over."""
    unread = select(CaseMessage.id).where(CaseMessage.report_id == report_id, _UNREAD)
    return s.scalar(unread.limit(1)) is not None


def settle(engine: Engine, now: datetime) -> int:
    """Hands over the questions that a channel has carried, and says of those that none could; for the worker.

    Returns how many changed. What was sent is read in the outbox, so a worker that was killed after sending
    does it at its next round.
    """
    sent = func.min(Message.sent_at)
    waits = func.count(Message.next_try_at)
    asked = (
        select(CaseMessage.id, sent.label("sent"), waits.label("waits"))
        .join(Message, Message.case_message_id == CaseMessage.id)
        .where(_UNREAD)
        .group_by(CaseMessage.id)
        .having(or_(sent.is_not(None), waits == 0))
    )
    with db.read_session(engine) as s:
        rows = s.execute(asked).all()
    changed = 0
    for row in rows:
        with db.transaction(engine) as s:
            question = s.get_one(CaseMessage, row.id)
            if row.sent:
                changed += hand_over(s, question, at=now)
            elif question.report and PAGE not in ways(question.report):
                changed += _not_delivered(s, question, now)
    return changed


def remind(engine: Engine, now: datetime) -> int:
    """Asks once more whoever has not answered for a while, where a channel carries it; for the worker.

    Returns how many. Only while their case waits for the answer.
    """
    answered = select(CaseMessage.answers_id).where(CaseMessage.answers_id.is_not(None))
    due = select(CaseMessage.id).where(
        CaseMessage.kind == ASK, CaseMessage.reminded_at.is_(None),
        CaseMessage.handed_over_at.between(now - 3 * REMIND_AFTER, now - REMIND_AFTER),
        CaseMessage.id.not_in(answered),
    )  # fmt: skip
    with db.read_session(engine) as s:
        ids = list(s.scalars(due.order_by(CaseMessage.id).limit(200)))
    return sum(_remind(engine, message_id, now) for message_id in ids)


def thread(s: Session, case_ids: Collection[int], report: Report | None = None) -> list[CaseMessage]:
    """What was written about these cases, the oldest first; to and from one reporter, and to all of them."""
    asked = select(CaseMessage).where(CaseMessage.case_id.in_(case_ids))
    if report:
        theirs = CaseMessage.report_id == report.id
        asked = select(CaseMessage).where(
            or_(theirs, CaseMessage.case_id.in_(case_ids) & CaseMessage.report_id.is_(None))
        )
    asked = asked.options(selectinload(CaseMessage.photos), selectinload(CaseMessage.report))
    return list(s.scalars(asked.order_by(CaseMessage.at, CaseMessage.id)))


def of_report(s: Session, report: Report) -> list[CaseMessage]:
    """What was written to and by one reporter, the oldest first."""
    asked = select(CaseMessage).where(CaseMessage.report_id == report.id)
    return list(s.scalars(asked.order_by(CaseMessage.at, CaseMessage.id)))


def public_updates(s: Session, case: Case) -> list[CaseMessage]:
    """What strangers may read of it: the updates that staff made public, the oldest first."""
    if case.service.private:
        return []
    asked = select(CaseMessage).where(CaseMessage.case_id == case.id, CaseMessage.is_public)
    return list(s.scalars(asked.options(selectinload(CaseMessage.photos)).order_by(CaseMessage.id)))


def shows(s: Session, message_id: int, case: Case) -> bool:
    """Whether strangers may see what was written there: an update that staff made public."""
    return s.get_one(CaseMessage, message_id).is_public and not case.service.private


def is_for(s: Session, message_id: int, report: Report) -> bool:
    """Whether a reporter may see it: what went between them and the city, or to all reporters."""
    return s.get_one(CaseMessage, message_id).report_id in (None, report.id)


def unanswered(lines: Iterable[CaseMessage]) -> list[CaseMessage]:
    """Of a thread the questions that nobody answered, the newest first."""
    lines = list(lines)
    done = {line.answers_id for line in lines}
    return [line for line in reversed(lines) if line.kind == ASK and line.id not in done]


def forget(s: Session, report: Report) -> list[Photo]:
    """Takes the words off all that was written to and by one reporter; returns the photos that were sent."""
    lines = list(s.scalars(select(CaseMessage).where(CaseMessage.report_id == report.id)))
    for line in lines:
        line.words, line.choices, line.key = "", None, None
    return list(s.scalars(select(Photo).where(Photo.message_id.in_([line.id for line in lines]))))


def cases_of(s: Session, report: Report) -> list[int]:
    """The ids of the cases in whose stories stands what was written to and by one reporter."""
    return list(s.scalars(select(CaseMessage.case_id).where(CaseMessage.report_id == report.id).distinct()))


_UNREAD: Final = (
    (CaseMessage.kind == ASK) & CaseMessage.handed_over_at.is_(None) & CaseMessage.failed.is_(None)
)


def _held(s: Session, report: Report) -> Case:
    """The root of the report's case, locked."""
    case = transitions.root_of(s, report.case)
    locks.lock(s, case)
    return case


def _cancelled_at(case: Case) -> datetime | None:
    """When a cancelled case ended: since then its clock stands."""
    return max((pause.began_at for pause in case.pauses if pause.ended_at is None), default=None)


def _known(s: Session, key: str | None) -> CaseMessage | None:
    return s.scalars(select(CaseMessage).where(CaseMessage.key == key)).first() if key else None


def _write(
    s: Session,
    case: Case,
    new: CaseMessage,
    *,
    taken: Sequence[Photo] = (),
    by: Actor,
    at: datetime,
    lang: str,
) -> CaseMessage:
    new.case_id, new.person_id, new.at, new.lang = case.id, by.person_id, at, lang
    s.add(new)
    s.flush()
    for position, photo in enumerate(taken[: photos.MAX_PHOTOS]):
        photos.attach(s, photo, case_id=case.id, message_id=new.id, position=position)
    facts: dict[str, Any] = {"message": new.id}
    if new.report:
        facts["report"] = new.report.number
    if new.is_public:
        facts["public"] = True
    events.record(
        s, transitions.subject(case), new.kind, by=by, at=at, facts=facts,
        photos=[photo.sha256 for photo in taken], words={"words": new.words} if new.words else None,
    )  # fmt: skip
    if case.review == REPLIED and by.person_id:  # whoever writes back has read it
        case.review = None
    transitions.bump_version(s, case)
    return new


def _remind(engine: Engine, message_id: int, now: datetime) -> bool:
    with db.transaction(engine) as s:
        question = s.get_one(CaseMessage, message_id)
        case = transitions.root_of(s, s.get_one(Case, question.case_id))
        locks.lock(s, case)
        s.refresh(question)
        is_answered = s.scalar(select(CaseMessage.id).where(CaseMessage.answers_id == message_id).limit(1))
        if question.reminded_at or is_answered or not question.words:
            return False
        question.reminded_at = now
        if case.state != WAITING or sla.waits_for(case) != "resident":
            return False
        facts = {"message": question.id, "report": question.report.number if question.report else ""}
        events.record(s, transitions.subject(case), "remind", by=THE_SYSTEM, at=now, facts=facts)
        return True


def _not_delivered(s: Session, question: CaseMessage, at: datetime) -> bool:
    """No channel could carry it: somebody at the city must know."""
    case = transitions.root_of(s, s.get_one(Case, question.case_id))
    locks.lock(s, case)
    question.failed = "undelivered"
    case.review = case.review or question.failed
    facts = {"message": question.id}
    events.record(s, transitions.subject(case), "undelivered", by=THE_SYSTEM, at=at, facts=facts)
    transitions.bump_version(s, case)
    return True
