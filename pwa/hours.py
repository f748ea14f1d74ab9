"""Whether the line is open, in words: who calls at night should know it before the phone rings."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from babel.dates import format_date
from flask_babel import get_locale
from flask_babel import gettext as _

from city import worktime
from pwa import access, filters

WEEK = timedelta(days=6)  # longer than that, a weekday's name could mean two days


@dataclass(frozen=True)
class Line:
    """The line at this moment: open or not, and the sentence that says until or from when."""

    is_open: bool
    words: str


def told() -> Line | None:
    """What pages say of the line now; None where the city file has no hours."""
    calendar, at = access.here().city.line, access.now()
    if calendar is None:
        return None
    if until := worktime.closing(calendar, at):
        if until - at > timedelta(days=1):
            return Line(True, _("Open now, 24 hours a day."))
        return Line(True, _("Open now until %(time)s.", time=filters.clock(until)))
    opens = worktime.next_opening(calendar, at)
    return Line(False, _closed(opens, at)) if opens else None


def _closed(opens: datetime, at: datetime) -> str:
    day, time = filters.local(opens).date(), filters.clock(opens)
    days = day - filters.local(at).date()
    if not days:
        return _("Our phone line is closed. It opens today at %(time)s.", time=time)
    if days == timedelta(days=1):
        return _("Our phone line is closed. It opens tomorrow at %(time)s.", time=time)
    pattern = "EEEE" if days <= WEEK else "EEEE d MMMM"
    named = format_date(day, pattern, locale=get_locale())
    return _("Our phone line is closed. It opens %(day)s at %(time)s.", day=named, time=time)
