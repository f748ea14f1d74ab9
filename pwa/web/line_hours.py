"""Whether the line is open, in words: who calls at night should know it before the phone rings."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask_babel import gettext as _

from city.config import business_hours
from pwa.web import access, localization

WEEK = timedelta(days=6)  # longer than that, a weekday's name could mean two days


@dataclass(frozen=True)
class Line:
    """The line at this moment: open or not, and the sentence that says until or from when."""

    is_open: bool
    words: str


def current_line() -> Line | None:
    """What pages say of the line now; None where the city file has no hours."""
    calendar, at = access.current_city().city.line, access.now()
    if calendar is None:
        return None
    if until := business_hours.closing(calendar, at):
        if until - at > timedelta(days=1):
            return Line(True, _("Open now, 24 hours a day."))
        return Line(True, _("Open now until %(time)s.", time=localization.clock(until)))
    opens = business_hours.next_opening(calendar, at)
    return Line(False, _closed(opens, at)) if opens else None


def _closed(opens: datetime, at: datetime) -> str:
    day, time = localization.local(opens).date(), localization.clock(opens)
    days = day - localization.local(at).date()
    if not days:
        return _("Our phone line is closed. It opens today at %(time)s.", time=time)
    if days == timedelta(days=1):
        return _("Our phone line is closed. It opens tomorrow at %(time)s.", time=time)
    named = localization.weekday(day) if days <= WEEK else localization.long_date(day)
    return _("Our phone line is closed. It opens %(day)s at %(time)s.", day=named, time=time)
