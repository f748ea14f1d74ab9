"""What the residents of Larkhaven hear of their cases and say of a closing, all from one seed."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from city.audit import events
from city.cases import transitions
from city.cases.transitions import Closing
from city.db.engine import transaction
from city.db.models import Case, Closure, Event, Message, Person, Report, Subscription
from city.demo.cases import ON_THE_PHONE
from city.demo.phrases import FIXED, NOT_FIXED, NOT_FIXED_AGAIN
from city.lifecycle import CLOSED, CREW, DISPATCHER, REOPEN_DAYS
from city.notifications.fan_out import TOLD
from city.people import accounts
from city.reports import closing_feedback
from city.settings import Settings

LIGHTS = "lights"  # the department whose repairs most likely do not last
THANKS_SHARE = 0.4  # of those whose problem was fixed within REOPEN_DAYS
MOST_THANKS = 60  # each takes its turn by the verb, and the demo is to be there soon
DELIVERED = timedelta(seconds=40)  # after what a letter tells of
# Why two letters did not arrive: the one for good, the other until its next try.
NO_MAILBOX = "PermanentFailure: 550 5.1.1 <{}> mailbox unavailable"
SERVER_AWAY = "SMTPServerDisconnected: Connection unexpectedly closed"
TRIES, NEXT_TRY = 9, timedelta(hours=3)


def fill(engine: Engine, settings: Settings, seed: int = 311, now: datetime | None = None) -> None:
    """Thanks, a problem that was sent back three times, and the letters until `now`; needs the cases."""
    now = (now or datetime.now(UTC)).replace(second=0, microsecond=0)
    chance = Random(f"residents {seed}")
    with transaction(engine) as s:
        fixed = _fixed_lately(s, now)
        back = min(fixed, key=lambda case: _likely(case, now), default=None)
        if back:
            _sent_back_thrice(s, back, chance, now)
        thankful = [case for case in fixed if case is not back]
        many = min(MOST_THANKS, math.ceil(len(thankful) * THANKS_SHARE))
        for case in chance.sample(thankful, many):
            _thanked(s, case, chance, now)
    with transaction(engine) as s:  # letters tell of lines of the log, which are written by now
        letters = list(_letters(s, now))
        _undelivered(letters, chance, now)
        s.add_all(letters)


def _fixed_lately(s: Session, now: datetime) -> list[Case]:
    """Cases that were fixed so lately that the residents who told of them may still say it was not."""
    asked = select(Case).where(
        Case.state == CLOSED, Case.outcome == "fixed", Case.closed_at > now - timedelta(days=REOPEN_DAYS),
        ~Case.urgent, Case.review.is_(None), Case.cycle == 1,
    )  # fmt: skip
    fixed = s.scalars(asked.order_by(Case.id))
    return [
        case for case in fixed if not case.service.private and case.reports[0].channel in ("web", "phone")
    ]


def _likely(case: Case, now: datetime) -> tuple[bool, bool, int]:
    """Sorts first what may have come back three times: a new case's light, mended some days ago."""
    lately = case.closed_at is None or case.closed_at > now - timedelta(days=3)
    return case.service.department_code != LIGHTS, lately, -case.id


def _thanked(s: Session, case: Case, chance: Random, now: datetime) -> None:
    """The first reporter says that it is fixed."""
    report, last = case.reports[0], _last(s, case)
    at = (last + (min(now, last + timedelta(days=2)) - last) * chance.uniform(0.1, 0.8)).replace(
        microsecond=0
    )
    closing = closing_feedback.closing_of(case)
    closing_feedback.fixed(s, report, closing, by=accounts.reporter(report.id), at=at, origin="demo")


def _sent_back_thrice(s: Session, case: Case, chance: Random, now: datetime) -> None:
    """Mended twice more and back each time, so that a supervisor has to decide."""
    staff = [accounts.actor(person) for person in s.scalars(select(Person).order_by(Person.id))]
    dispatcher = next(actor for actor in staff if DISPATCHER in actor.roles)
    crew = case.closures[-1].crew
    hand = next(
        (actor for actor in staff if CREW in actor.roles and crew and crew.id in actor.crew_ids), None
    )
    report, last = case.reports[0], _last(s, case)
    if crew is None or hand is None:
        return
    said = (*NOT_FIXED[case.service.department_code][report.lang], *NOT_FIXED_AGAIN[report.lang])
    moments = (last + (now - last) * share / 10 for share in range(1, 10))
    ats = (at.replace(microsecond=0) for at in moments)
    for words in said:
        closing_feedback.not_fixed(
            s, report, closing_feedback.closing_of(case), by=accounts.reporter(report.id), at=next(ats),
            words=words, key="", token="", origin="demo",
        )  # fmt: skip
        if case.state != CLOSED:
            transitions.assign(s, case, crew, by=dispatcher, at=next(ats), origin="demo")
            done = Closing("fixed", "nothing to see", chance.choice(FIXED[case.service_code]))
            transitions.close(s, case, done, by=hand, at=next(ats), origin="demo")
    if case.closures[-1].closed_at < now - ON_THE_PHONE:  # what its crew's phones have put away since
        events.publish_to_sync_feed(s, f"crew:{crew.id}", "job", case.number, present=False, why="closed")


def _last(s: Session, case: Case) -> datetime:
    """When the last thing happened to the case."""
    told = select(func.max(Event.at)).where(Event.subject == events.of_case(case.id))
    return s.scalars(told).one() or case.opened_at


def _letters(s: Session, now: datetime) -> Iterator[Message]:
    """Every letter that told a reporter of a step of their case, as it went out."""
    asked = select(Subscription, Report.case_id).join(Report, Report.id == Subscription.report_id)
    for wish, case_id in s.execute(asked.order_by(Subscription.id)).all():
        closures = {c.cycle: c.id for c in s.scalars(select(Closure).where(Closure.case_id == case_id))}
        lines = select(Event).where(Event.subject == events.of_case(case_id), Event.at >= wish.asked_at)
        for line in s.scalars(lines.order_by(Event.n)):
            is_receipt = line.kind == "subscribe" and line.facts["subscription"] == wish.id
            kind = "confirmed" if is_receipt else TOLD.get(line.kind)
            if kind:
                yield Message(
                    event_seq=line.seq, subscription_id=wish.id, kind=kind, tries=1,
                    sent_at=min(line.at + DELIVERED, now), subscription=wish,
                    closure_id=closures[line.facts["cycle"]] if line.kind == "close" else None,
                )  # fmt: skip


def _undelivered(letters: list[Message], chance: Random, now: datetime) -> None:
    """Two did not arrive: the last one's mail server is away, and the mailbox of another is not there."""
    if len(letters) < 2:
        return
    last = max(letters, key=lambda letter: (letter.sent_at or now, letter.id or 0))
    last.sent_at, last.fault, last.tries, last.next_try_at = None, SERVER_AWAY, TRIES, now + NEXT_TRY
    gone = chance.choice([letter for letter in letters if letter is not last])
    gone.sent_at, gone.fault = None, NO_MAILBOX.format(gone.subscription.address)
