"""Where a report form says it is: by what was typed, by a phone, a photo, or the number on a pole nearby."""

from dataclasses import dataclass, field, replace

from sqlalchemy.orm import Session

from city.lifecycle import Refused
from city.places import lookup, nearby_assets
from city.places.lookup import Place
from city.places.nearby_assets import Near
from pwa.web import access
from pwa.web.forms import ReportForm

OFFERED = 3


@dataclass(frozen=True)
class Spot:
    """What a form's place came to: a place, several to choose from, or why there is none.

    `near` are things of the service's kind around it, at most three and the chosen one; `chosen` is one of
    them. `proposed` tells that the fix chose it and nobody has said so yet. `around` is the place without it.
    `doubtful`: it may be streets away, and the one who reports is asked whether it is there.
    """

    place: Place | None = None
    choices: list[Place] = field(default_factory=list)
    fault: Refused | None = None
    near: list[Near] = field(default_factory=list)
    chosen: Near | None = None
    proposed: bool = False
    around: Place | None = None
    doubtful: bool = False

    @property
    def known(self) -> bool:
        return self.place is not None and self.fault is None


def of(s: Session, form: ReportForm, *, propose: bool) -> Spot:
    """What was typed goes before what the phone says; nothing given stays unknown, never a default point.

    Where the service is about poles, trees or baskets the chosen one is the place. With `propose` a good fix
    may choose by itself: for a page that shows it and lets it be undone. What is sent holds only what was
    chosen.
    """
    spot = _typed(s, form) if form.place else _fixed(s, form)
    if spot.place is None or (spot.fault and spot.fault.code == "outside_city"):
        return spot
    return _at_asset(s, form, spot, propose)


def _typed(s: Session, form: ReportForm) -> Spot:
    found = lookup.find(s, form.place, geocoder=access.current_city().settings.geocoder)
    if not found:
        return _offered(s, form)
    found = _suited(s, form, [place for place in found if not place.vague] or found)
    chosen = _picked(form, found)
    if chosen is None and (form.pick or len(found) > 1):
        return Spot(choices=found, fault=Refused("place_unclear"))
    chosen = chosen or found[0]
    return _sure(form, _inside(s, chosen, found if len(found) > 1 else []), _doubtful(form, chosen))


def _offered(s: Session, form: ReportForm) -> Spot:
    """What the city does not know may be cut short, as "Mass Ave": whole names are offered, none is taken."""
    offered = [place for place in lookup.suggest(s, form.place) if place.asset_id is None]
    chosen = _picked(form, offered)
    if chosen is None:
        return Spot(choices=offered, fault=Refused("place_unknown"))
    return _sure(form, _inside(s, chosen, offered), _doubtful(form, chosen))


def _doubtful(form: ReportForm, place: Place) -> bool:
    """Whether to ask if it is there. A house that we offered is taken; a whole street is to go on from."""
    return place.vague or (place.unsure and form.pick != place.key)


def _picked(form: ReportForm, offered: list[Place]) -> Place | None:
    """The one that was picked; None where it is offered no more: the kind of problem may be another."""
    return next((place for place in offered if place.key == form.pick), None)


def _suited(s: Session, form: ReportForm, found: list[Place]) -> list[Place]:
    """Of things with one number those of the service's kind, and of these the one that the phone stands by.

    A lamp's report by the number of a tree has that place, and not the tree for its pole.
    """
    kind = form.service.asset_kind if form.service else None
    things = nearby_assets.by_ids(s, [place.asset_id for place in found if place.asset_id is not None])
    if kind is None or not things:
        return found
    of_kind = [place for place in found if things[place.asset_id or 0].kind == kind]
    if not of_kind:
        return [replace(place, source="address", asset_id=None) for place in found]
    if len(of_kind) == 1 or form.pick is not None or form.fix is None or form.fix.coarse:
        return of_kind
    here = nearby_assets.named(s, things[of_kind[0].asset_id or 0].number, kind, form.fix.point)
    return [nearby_assets.place_of(here)] if here else of_kind


def _fixed(s: Session, form: ReportForm) -> Spot:
    if form.fix is None:
        return Spot(fault=Refused("place_missing"))
    point = form.fix.point
    place = Place(point.lat, point.lon, form.fix.source, lookup.describe(s, point), form.fix.metres)
    spot = _inside(s, place, [])
    return _sure(form, spot, form.fix.coarse)


def _sure(form: ReportForm, spot: Spot, doubtful: bool) -> Spot:
    """A fix or a place that may be streets away is asked about before it counts."""
    asks = spot.fault is None and doubtful and not form.sure
    return replace(spot, fault=Refused("place_unsure") if asks else spot.fault, doubtful=doubtful)


def _inside(s: Session, place: Place, choices: list[Place]) -> Spot:
    outside = lookup.outside(s, place.point)
    return Spot(place, choices, Refused("outside_city") if outside else None)


def _at_asset(s: Session, form: ReportForm, spot: Spot, propose: bool) -> Spot:
    """Whoever names the pole has said where it is, however vague the phone was."""
    kind, around = form.service.asset_kind if form.service else None, spot.place
    if kind is None or around is None or around.asset_id is not None or (form.place and around.vague):
        return spot
    near = nearby_assets.nearest(s, kind, around.point)
    chosen = next((each for each in near if each.asset.number == form.asset), None)
    proposed = None
    if propose and chosen is None and form.asset != "" and around.source in ("gps", "photo"):
        proposed = nearby_assets.asset_at_fix(near, around.accuracy_m)
    known = chosen or proposed
    offered = near[:OFFERED] + ([known] if known and known not in near[:OFFERED] else [])
    if known is None:
        return replace(spot, near=offered, around=around)
    return Spot(
        nearby_assets.place_of(known.asset), spot.choices, None, offered, known, proposed is not None, around
    )  # fmt: skip
