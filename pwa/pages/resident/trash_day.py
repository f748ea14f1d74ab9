"""When is my trash day? By an address or from where one is, in sentences that can be read out."""

from dataclasses import dataclass
from datetime import date, timedelta

from babel.lists import format_list
from flask import Blueprint, Response, abort, g, request
from flask_babel import get_locale
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.config import business_hours
from city.config.collection_schedule import NextPickup
from city.lifecycle import Refused
from city.places import collection_days, lookup
from city.places.collection_days import Stream
from city.places.lookup import Place
from city.places.resolve import Fix
from pwa.web import access, errors, forms, localization
from pwa.web.fragments import render

bp = Blueprint("collection", __name__)


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
        outside = place is not None and not streams and lookup.outside(s, place.point)
    fault = errors.words(_lacking(told)) if asked and not found else ""
    response = render(
        "resident/trash_day.html", words=words, found=found, place=place, fault=fault, outside=outside,
        told=[_card(stream, place, today, first=not n) for n, stream in enumerate(streams)] if place else [],
        indexed=not asked,
    )  # fmt: skip
    response.status_code = 422 if fault else 200
    return response


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
