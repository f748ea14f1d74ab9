"""When is my trash day? By an address or from where one is, in sentences that can be read out."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from babel.lists import format_list
from flask import Blueprint, Response, abort, g, jsonify, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from icalendar import Alarm, Calendar, Event
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from city.channels import EMAIL, PUSH, SMS
from city.config import business_hours
from city.config.collection_schedule import NextPickup, Zone
from city.lifecycle import Refused
from city.notifications import pickup_reminders, subscriptions, webpush
from city.people import callers
from city.places import collection_days, lookup
from city.places.collection_days import Day, Stream
from city.places.lookup import Place
from city.places.resolve import Fix
from city.reports import intake
from pwa.web import access, errors, formatting, forms, localization
from pwa.web.fragments import go, render

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


@dataclass(frozen=True)
class Wish:
    """What was typed to be reminded, by which channel, and what is wrong with it."""

    channel: str = ""
    email: str = ""
    phone: str = ""
    fault: str = ""


@bp.get("/trash-day")
def trash_day() -> Response:
    """The form, and below it the answer for ?place (and ?pick, one of several) or for ?lat&lon."""
    return _page(request.args)


@bp.post("/trash-day/reminders/<zone>")
def remind(zone: str) -> Response:
    """Keeps an address or a number to be reminded before each pickup; a letter or a text asks it first."""
    here, about = access.current_city(), _zone(zone)
    email, phone = forms.text(request.form, "email"), forms.text(request.form, "phone")
    # Enter presses the first button, whichever field it was pressed in.
    by_text = request.form.get("by") == "sms" or (bool(phone) and not email)
    channel = SMS if by_text and here.settings.sms_url else EMAIL
    try:
        address = callers.normal(phone, here.city.region) if channel == SMS else email
        with access.writing() as s:
            subscriptions.subscribe(
                s,
                pickup_reminders.target(about),
                address,
                channel=channel,
                lang=localization.lang(),
                at=access.now(),
            )
    except Refused as refused:
        return _page(request.form, Wish(channel, email, phone, errors.words(refused)))
    answered: dict[str, Any] = {**_kept(request.form), "asked": channel, "_anchor": "remind"}
    return go(url_for(".trash_day", **answered))


@bp.post("/trash-day/reminders/<zone>/notifications")
def notify(zone: str) -> tuple[Response, int]:
    """This browser wants to be reminded: JSON as PushSubscription.toJSON() gives it.

    {} with 200, or {fault} with 422.
    """
    about = pickup_reminders.target(_zone(zone))
    try:
        endpoint, keys = webpush.checked(access.told_by_script(), access.current_city().settings)
        with access.writing() as s:
            subscriptions.subscribe(
                s, about, endpoint, channel=PUSH, keys=keys, lang=localization.lang(), at=access.now()
            )
    except Refused as refused:
        return jsonify(fault=errors.words(refused)), 422
    return jsonify(), 200


@bp.post("/trash-day/reminders/<zone>/notifications/stopped")
def stop_notifying(zone: str) -> tuple[Response, int]:
    """This browser wants no more of them: JSON {endpoint}. One that never wanted any is no fault."""
    told = access.told_by_script()
    endpoint = told.get("endpoint") if isinstance(told, dict) else None
    with access.writing() as s:
        about = pickup_reminders.target(_zone(zone))
        wish = subscriptions.wish(s, about, endpoint) if isinstance(endpoint, str) else None
        if wish and wish.channel == PUSH:
            intake.stop(s, wish, at=access.now())
    return jsonify(), 200


def _page(args: MultiDict[str, str], wish: Wish | None = None) -> Response:
    """The page for what `args` asks; with `wish` what was typed for reminders, and what is wrong with it."""
    here = access.current_city()
    if not here.city.collection.zones:
        abort(404)
    words = " ".join(forms.text(args, "place").split())[: lookup.MOST_LETTERS]
    fix = forms.fix(args)
    asked = bool(words or fix)
    g.personal = asked
    today = localization.local(access.now()).date()
    with access.reading() as s:
        told = _places(s, words, fix)
        # A street, a long block and all that a poor fix may mean can lie in several zones.
        found = [] if not words and fix and fix.coarse else [place for place in told if not place.unsure]
        place = _chosen(found, args.get("pick", ""))
        zone = collection_days.zone_at(s, here.city.collection, place.point) if place else None
        holidays = here.city.collection.calendar
        streams = collection_days.next_of(zone, holidays, today) if zone else []
        days = collection_days.days_of(zone, holidays, today, today + SHOWN) if zone else []
        outside = place is not None and not streams and lookup.outside(s, place.point)
    fault = errors.words(_lacking(told)) if asked and not found else ""
    response = render(
        "resident/trash_day.html", words=words, found=found, place=place, fault=fault, outside=outside,
        told=[_card(stream, place, today, first=not n) for n, stream in enumerate(streams) if place],
        indexed=not asked, days=days, kept_as=_kept(args), zone=zone, wish=wish or Wish(),
        asked=args.get("asked", ""), push_key=webpush.public_key(here.settings),
        texts=bool(here.settings.sms_url),
    )  # fmt: skip
    response.status_code = 422 if fault or wish else 200
    return response


def _kept(args: Mapping[str, str]) -> dict[str, str]:
    """What leads to the same answer again."""
    return {name: args[name] for name in KEPT if name in args}


def _zone(code: str) -> Zone:
    """The zone of the city file; 404 for any other."""
    zones = access.current_city().city.collection.zones
    return access.or_404(next((zone for zone in zones if zone.code == code), None))


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
        event.add("summary", formatting.picked_up(each))
        if address:
            event.add("location", address)
        event.add("transp", "TRANSPARENT")
        alarm = Alarm()
        alarm.add("action", "DISPLAY")
        alarm.add("description", formatting.picked_up(each))
        alarm.add("trigger", EVENING_BEFORE)
        event.add_component(alarm)
        told.add_component(event)
    return bytes(told.to_ical())


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
    what, days = formatting.stream(stream.what), _weekdays(stream.round.days)
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


def _weekdays(days: tuple[int, ...]) -> str:
    """ "Mondays and Thursdays"."""
    words = (
        _("Mondays"), _("Tuesdays"), _("Wednesdays"), _("Thursdays"), _("Fridays"), _("Saturdays"),
        _("Sundays"),
    )  # fmt: skip
    return str(format_list([words[day] for day in days], locale=get_locale()))
