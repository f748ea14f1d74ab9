"""When is my trash day? By an address or from where one is, in sentences that can be read out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from babel.lists import format_list
from flask import Blueprint, Response, abort, g, request
from flask_babel import get_locale
from flask_babel import gettext as _
from icalendar import Alarm, Calendar, Event
from sqlalchemy.orm import Session

from city.config import business_hours
from city.config.collection_schedule import NextPickup
from city.lifecycle import Refused
from city.places import collection_days, lookup
from city.places.collection_days import Day, Stream
from city.places.lookup import Place
from city.places.resolve import Fix
from pwa.web import access, errors, forms, localization
from pwa.web.fragments import render

bp = Blueprint("collection", __name__)


KEPT = ("place", "pick", "lat", "lon", "accuracy")  # of an address, for its calendar
SHOWN, IN_CALENDAR = timedelta(days=21), timedelta(weeks=26)
EVENING_BEFORE = timedelta(hours=-6)  # before the day begins: six in the evening


@dataclass(frozen=True)
class Said:
    """One stream's sentences: when it is collected, and when it comes next."""

    what: str
    usual: str
    coming: str


@bp.get("/trash-day")
def trash_day() -> Response:
    """The form, and below it the answer for ?place (and ?pick, one of several) or for ?lat&lon."""
    here = access.current_city()
    if not here.city.collection.zones:
        abort(404)
    words = " ".join(forms.text(request.args, "place").split())[: lookup.MOST_LETTERS]
    fix = forms.fix(request.args)
    asked = bool(words or fix)
    g.personal = asked
    today = localization.local(access.now()).date()
    with access.reading() as s:
        told = _places(s, words, fix)
        # A street, a long block and all that a poor fix may mean can lie in several zones.
        found = [] if not words and fix and fix.coarse else [place for place in told if not place.unsure]
        place = _chosen(found, request.args.get("pick", ""))
        streams = collection_days.next_days(s, here.city.collection, place.point, today) if place else []
        days = (
            collection_days.days_between(s, here.city.collection, place.point, today, today + SHOWN)
            if place else []
        )  # fmt: skip
        outside = place is not None and not streams and lookup.outside(s, place.point)
    fault = errors.words(_lacking(told)) if asked and not found else ""
    response = render(
        "resident/trash_day.html", words=words, found=found, place=place, fault=fault, outside=outside,
        told=[_card(stream, place, today, first=not n) for n, stream in enumerate(streams)] if place else [],
        indexed=not asked, days=days,
        kept_as={name: request.args[name] for name in KEPT if name in request.args},
    )  # fmt: skip
    response.status_code = 422 if fault else 200
    return response


@bp.get("/trash-day.ics")
def calendar() -> Response:
    """One address's days of collection as a calendar file, each with a reminder the evening before.

    404 where the address is not one that trash_day() answers for.
    """
    here = access.current_city()
    words = " ".join(forms.text(request.args, "place").split())[: lookup.MOST_LETTERS]
    g.personal = True
    today = localization.local(access.now()).date()
    with access.reading() as s:
        fix = forms.fix(request.args)
        told = [] if not words and fix and fix.coarse else _places(s, words, fix)
        found = [place for place in told if not place.unsure]
        place = _chosen(found, request.args.get("pick", ""))
        if place is None or not here.city.collection.zones:
            abort(404)
        days = collection_days.days_between(s, here.city.collection, place.point, today, today + IN_CALENDAR)
    if not days:
        abort(404)
    response = Response(_as_calendar(days, place.label), mimetype="text/calendar")
    response.headers["Content-Disposition"] = 'attachment; filename="trash-day.ics"'
    return response


def _as_calendar(days: Sequence[Day], address: str) -> bytes:
    """iCalendar (RFC 5545): an event of a whole day each, the same one whenever it is asked for."""
    city = access.current_city()
    told = Calendar()
    told.add("prodid", "-//Cityline 311//trash day//")
    told.add("version", "2.0")
    told.add("x-wr-calname", _("Trash day"))
    for each in days:
        event = Event()
        key = hashlib.sha256(f"{city.settings.base_url} {address} {each.day}".encode()).hexdigest()[:24]
        event.add("uid", f"{key}@cityline")
        event.add("dtstamp", access.now())
        event.add("dtstart", each.day)
        event.add("dtend", each.day + timedelta(days=1))
        event.add("summary", picked_up(each))
        if address:
            event.add("location", address)
        event.add("transp", "TRANSPARENT")
        alarm = Alarm()
        alarm.add("action", "DISPLAY")
        alarm.add("description", picked_up(each))
        alarm.add("trigger", EVENING_BEFORE)
        event.add_component(alarm)
        told.add_component(event)
    return bytes(told.to_ical())


@bp.app_template_filter()
def picked_up(day: Day) -> str:
    """ "Trash and recycling"."""
    named = str(format_list([_what(each) for each in day.streams], locale=get_locale()))
    return named[:1].upper() + named[1:]


def _places(s: Session, words: str, fix: Fix | None) -> list[Place]:
    """What was typed goes before where the phone is."""
    if words:
        return lookup.find(s, words, geocoder=access.geocoder())
    if fix is None:
        return []
    return [Place(fix.point.lat, fix.point.lon, "gps", "", fix.metres)]


def _lacking(told: list[Place]) -> Refused:
    """Why none of these says where the trash is."""
    if not told:
        return Refused("place_unknown")
    if told[0].vague:
        return Refused("place_vague")
    if told[0].source != "gps":
        return Refused("house_unsure", metres=told[0].accuracy_m)
    return Refused("fix_unsure", metres=told[0].accuracy_m) if told[0].accuracy_m else Refused("fix_unsaid")


def _chosen(found: list[Place], pick: str) -> Place | None:
    """The one, or the one of several that was picked."""
    if len(found) == 1:
        return found[0]
    return found[int(pick)] if pick.isdecimal() and len(pick) < 3 and int(pick) < len(found) else None


def _card(stream: Stream, place: Place, today: date, *, first: bool) -> Said:
    """The first stream names the place, where it has a name; the others follow it."""
    what, days = _what(stream.what), _weekdays(stream.round.days)
    if first and place.label:
        at = {"place": place.label, "what": what, "days": days}
        weekly = _("At %(place)s, %(what)s pickup is on %(days)s.", **at)
        other = _("At %(place)s, %(what)s pickup is every other week, on %(days)s.", **at)
    else:
        named = {"what": what[:1].upper() + what[1:], "days": days}
        weekly = _("%(what)s pickup is on %(days)s.", **named)
        other = _("%(what)s pickup is every other week, on %(days)s.", **named)
    words = weekly if stream.round.weeks == 1 else other
    return Said(stream.what, words, _coming(stream.next, today))


def _coming(coming: NextPickup, today: date) -> str:
    when = _when(coming.day, today)
    if coming.holiday is None:
        return _("The next pickup is %(when)s.", when=when)
    return _(
        "Because of %(holiday)s, the next pickup is %(when)s instead of %(usual)s.",
        holiday=_holiday(coming.holiday), when=when,
        usual=localization.weekday(coming.usual),
    )  # fmt: skip


def _when(day: date, today: date) -> str:
    if day == today:
        return _("today, %(day)s", day=localization.long_date(day))
    if day == today + timedelta(days=1):
        return _("tomorrow, %(day)s", day=localization.long_date(day))
    return _("on %(day)s", day=localization.long_date(day))


def _holiday(day: date) -> str:
    """By its name, where that is known in the visitor's language; otherwise by its day."""
    calendar = access.current_city().city.collection.calendar
    name = business_hours.name_of(calendar, day, localization.lang()) if calendar else ""
    return name or _("the holiday on %(day)s", day=localization.long_date(day))


def _what(stream: str) -> str:
    words = {"trash": _("trash"), "recycling": _("recycling"), "yard": _("yard waste")}
    return words[stream]


def _weekdays(days: tuple[int, ...]) -> str:
    """ "Mondays and Thursdays"."""
    words = (
        _("Mondays"), _("Tuesdays"), _("Wednesdays"), _("Thursdays"), _("Fridays"), _("Saturdays"),
        _("Sundays"),
    )  # fmt: skip
    return str(format_list([words[day] for day in days], locale=get_locale()))
