"""What the form offers that puts a case on hold: for what, until when, and what that does to its due date."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask_babel import gettext as _

from city.cases import sla, waits
from city.db.models import Case
from city.lifecycle import wait_reasons
from pwa.web import formatting, localization

AHEAD = (1, 3, 7)  # days from today that one tap chooses


@dataclass(frozen=True)
class HoldChoice:
    """A reason to wait: its code and words, and two sentences that are read before it counts."""

    code: str
    words: str
    clock: str  # what becomes of the due date
    back: str  # when the case comes back


def choices(case: Case, *, now: datetime) -> list[HoldChoice]:
    """The reasons for which this case may wait, with what each would do."""
    danger = sla.in_danger(case)
    return [_choice(case, reason, now, danger) for reason in wait_reasons(office=case.service.office)]


def ask_days(case: Case) -> int:
    """How many days a case waits for its reporter's answer."""
    return waits.terms(case.service, "resident").days


def days(now: datetime) -> list[tuple[str, str]]:
    """Days that one tap chooses, as 2026-12-04, each with its words."""
    today = localization.local(now).date()
    found = [(today + timedelta(days=ahead)) for ahead in AHEAD]
    return [
        (day.isoformat(), _("Tomorrow") if ahead == 1 else localization.short_day(day))
        for ahead, day in zip(AHEAD, found, strict=True)
    ]


def _choice(case: Case, reason: str, now: datetime, danger: bool) -> HoldChoice:
    terms = waits.terms(case.service, reason)
    due = {"day": localization.day(case.due_at)}
    if case.standing == "late":
        clock = _("It's late already and stays late.")
    elif reason == "resident":
        clock = _("The due date stays %(day)s. Only an unanswered question stops the clock: use Ask.", **due)
    elif terms.pauses:
        clock = _("The clock stops. The due date moves by the time on hold.")
    else:
        clock = _("The due date stays %(day)s. If it isn't done by then, it counts as late.", **due)
    end = localization.moment(waits.usual_end(case, reason, now))
    if danger:
        return HoldChoice(
            reason, formatting.reason(reason), clock, _("It comes back %(when)s at the latest.", when=end)
        )
    last = localization.day(waits.latest_end(case, reason, now))
    back = _(
        "It comes back %(when)s unless you choose another day, %(last)s at the latest.", when=end, last=last
    )
    return HoldChoice(reason, formatting.reason(reason), clock, back)
