"""What the forms offer that correct a case: other types, each with what it would change, and other places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import g
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.cases import corrections, transitions
from city.db.models import Case, Service
from city.geo import Point
from city.lifecycle import NEW_DATE_REASONS, Refused
from city.places import nearby_assets
from city.places.lookup import Place
from city.places.nearby_assets import Near
from city.places.resolve import Fix, Whereabouts, resolve
from city.reports import proposals
from pwa.web import access, formatting, localization

MOST_NEAR = 6
LONGEST = 200  # letters of a place


@dataclass(frozen=True)
class TypeChoice:
    """Another type: its code, names by language, and what becomes of due date and crew, in words."""

    code: str
    names: Mapping[str, str]
    effect: str


def types(s: Session, case: Case, services: Sequence[Service], now: datetime) -> list[TypeChoice]:
    """The other types that the case may be of, those of its own group first.

    One statement for each set of areas that the rules ask about.
    """
    fitting = [each for each in services if each.office == case.service.office and each is not case.service]
    ordered = sorted(fitting, key=lambda each: each.group != case.service.group)
    return [TypeChoice(each.code, each.names, _effect(s, case, each, now)) for each in ordered]


def bulk_types(services: Sequence[Service], *, office: bool) -> list[Service]:
    """The types that many cases may be changed to; what an office answers does not become field work."""
    return [each for each in services if each.office == office]


@dataclass(frozen=True)
class DateChoice:
    """Why somebody is given a new date: code, words, and a sentence with the date where nobody says one."""

    code: str
    words: str
    effect: str


def dates(case: Case, now: datetime) -> list[DateChoice]:
    """The reasons for a new date."""
    return [
        DateChoice(
            reason,
            formatting.reason(reason),
            _(
                "%(day)s, unless you choose another day.",
                day=localization.day(corrections.usual_date(case, reason, now)),
            ),
        )
        for reason in NEW_DATE_REASONS
    ]


def near(s: Session, case: Case) -> list[Near]:
    """Things of the kind that its service is about, the nearest first, but the one it is about."""
    if case.lat is None or case.lon is None or case.service.asset_kind is None:
        return []
    found = nearby_assets.nearest(s, case.service.asset_kind, Point(case.lat, case.lon))
    return [each for each in found if each.asset.id != case.asset_id][:MOST_NEAR]


def place(s: Session, form: Mapping[str, Any], *, geocoder: str, kind: str | None = None) -> Place:
    """Where the form says that a case lies: by words, a number, one of several, or a point on the map.

    `kind` is the kind of thing that its service is about. Raises Refused as a report's place does;
    `place_unclear` and `place_unknown` with `places`, pairs of a key and its words, where there are some to
    choose from.
    """
    words = str(form.get("place", "")).strip()[:LONGEST]
    said = Whereabouts(
        words, None if words else _fix(form), kind=kind, pick=form.get("pick") or None, is_sure=True
    )
    found = resolve(s, said, geocoder=geocoder, propose=False)
    if found.fault:
        places = [(each.key, each.label) for each in found.choices]
        raise Refused(found.fault.code, **found.fault.facts, places=places)
    if found.place is None:
        raise Refused("place_missing")
    return found.place


def to_type(s: Session, case: Case, code: str) -> bool:
    """Corrects the case's type as a form asks for it; whoever proposed that hears of it.

    Raises Refused `unknown_service`, or what corrections.reclassify() does.
    """
    city = access.current_city().city
    service = s.get(Service, code) if code in {each.code for each in city.services} else None
    if service is None:
        raise Refused("unknown_service")
    moved = corrections.reclassify(s, case, service, rules=city.routing, by=g.actor, at=access.now())
    if moved:
        proposals.take(s, case)
    return moved


def to_place(s: Session, case: Case, form: Mapping[str, Any]) -> bool:
    """Corrects the case's place in the same way. Raises Refused as place() or corrections.relocate() does."""
    found = place(s, form, geocoder=access.geocoder(), kind=case.service.asset_kind)
    rules = access.current_city().city.routing
    moved = corrections.relocate(s, case, found, rules=rules, by=g.actor, at=access.now())
    if moved:
        proposals.take(s, case)
    return moved


def _effect(s: Session, case: Case, service: Service, now: datetime) -> str:
    """What the type changes: "Due Fri, Dec 4.", and whether its crew loses it."""
    due = corrections.due_as(case, service, now)
    told = [_("Due %(day)s.", day=localization.day(due))]
    held = transitions.live(case)
    here = Point(case.lat, case.lon) if case.lat is not None and case.lon is not None else None
    rules = access.current_city().city.routing
    if held and not corrections.works_on(s, rules, held.crew, service, here):
        told.append(_("%(crew)s loses it.", crew=held.crew.name))
    if service.private != case.service.private:
        told.append(_("It becomes private.") if service.private else _("It becomes public."))
    return " ".join(told)


def _fix(form: Mapping[str, Any]) -> Fix | None:
    """The point that was put on the map; None where there is none that can be read."""
    try:
        lat, lon = float(form.get("lat", "")), float(form.get("lon", ""))
    except ValueError:
        return None
    return Fix(Point(lat, lon), 5.0, "pin") if -90 <= lat <= 90 and -180 <= lon <= 180 else None
