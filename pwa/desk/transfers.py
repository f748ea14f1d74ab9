"""To whom a call may be transferred: by name, with what they know, when they answer and their number."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask_babel import force_locale, lazy_gettext
from flask_babel import gettext as _

from city.config import business_hours
from city.config.business_hours import Calendar
from city.config.city_file import CityFile
from city.config.offices import Office
from city.config.toml_table import Words
from city.lifecycle import ELSEWHERE
from pwa.web import access, localization

# What those are called that the city file does not name.
CALLED = {
    "911": lazy_gettext("Emergency"), "police": lazy_gettext("Police"),
    "utility": lazy_gettext("Utility company"), "county": lazy_gettext("County"),
    "state": lazy_gettext("State"),
}  # fmt: skip


@dataclass(frozen=True)
class Transfer:
    """An office. `knows` are its topics' names, `said` what callers say who want it."""

    code: str
    names: Words
    phone: str
    hours: Calendar | None
    knows: Sequence[Words] = ()
    said: Sequence[Words] = ()


def all_of(city: CityFile) -> list[Transfer]:
    """Every office: who helps at once first, then the city's departments."""
    there = {office.code: office for office in city.elsewhere}
    elsewhere = [_outside(there[code]) if code in there else _unnamed(city, code) for code in ELSEWHERE]
    departments = []
    for each in city.departments:
        topics = [topic for topic in city.topics if topic.department_code == each.code]
        knows, said = [topic.names for topic in topics], [topic.words for topic in topics]
        departments.append(Transfer(each.code, each.names, each.phone, each.hours, knows, said))
    return [*elsewhere, *departments]


def in_order(offices: Iterable[Transfer], first: Sequence[str]) -> list[Transfer]:
    """Those of these codes first, as they stand there; the others behind."""
    place = {code: n for n, code in reversed(list(enumerate(first)))}
    return sorted(offices, key=lambda office: place.get(office.code, len(first)))


def answers(office: Transfer, at: datetime) -> str:
    """When somebody answers: "open until 4 pm"; "" where nobody has said."""
    if office.hours is None:
        return ""
    if until := business_hours.closing(office.hours, at):
        if until - at > timedelta(days=1):
            return _("24 hours")
        return _("open until %(time)s", time=localization.clock(until))
    opens = business_hours.next_opening(office.hours, at)
    if opens is None:
        return ""
    if localization.local(opens).date() == localization.local(at).date():
        return _("closed until %(time)s", time=localization.clock(opens))
    return _("closed until %(day)s, %(time)s", day=localization.day(opens), time=localization.clock(opens))


def told(office: Transfer, at: datetime) -> list[str]:
    """What is read to a caller who is transferred, in the language that is set."""
    lines = [_("I'll transfer you now: %(office)s.", office=localization.said(office.names))]
    if office.phone:
        lines.append(_("In case we get cut off, the number is %(number)s.", number=office.phone))
    until = business_hours.closing(office.hours, at) if office.hours else None
    if until and until - at <= timedelta(days=1):
        lines.append(_("They're there until %(time)s.", time=localization.clock(until)))
    elif office.hours and not until and (opens := business_hours.next_opening(office.hours, at)):
        day, time = localization.long_day(opens), localization.clock(opens)
        lines.append(_("They're closed now. They open %(day)s at %(time)s.", day=day, time=time))
    return lines


def _outside(office: Office) -> Transfer:
    phone = office.phone or (access.current_city().city.emergency if office.code == "911" else "")
    return Transfer(office.code, office.names, phone, office.hours, said=[office.words])


def _unnamed(city: CityFile, code: str) -> Transfer:
    names = {}
    for lang in city.languages:
        with force_locale(localization.locale_of(lang)):
            names[lang] = str(CALLED[code])
    return Transfer(code, names, city.emergency if code == "911" else "", None)
