"""Where a report is: by a number on a pole, by words, by a point or by a photo. The one place that decides.

Somebody at a form can be asked: `resolve()` says what to ask. A phone that comes back from a dead zone and
another program cannot: `resolve_unasked()` guesses nothing, and leaves to a person what it does not know.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.orm import Session

from city.geo import Point, distance
from city.lifecycle import Refused
from city.places import lookup, nearby_assets
from city.places.lookup import SURE_METRES, Place
from city.places.nearby_assets import Near

OFFERED = 3


@dataclass(frozen=True)
class Fix:
    """A point, and how it is known. `metres` is how wrong it may be, None where nobody said.

    `source` as for a Place: "gps" where a phone says that it is there, "pin" where somebody put a cross on
    the map, "photo" where the report's photo tells so, and somebody said that this is meant.
    """

    point: Point
    metres: float | None
    source: str = "gps"

    @property
    def coarse(self) -> bool:
        """Whether it may be streets away, or a phone does not say: the resident confirms it."""
        return self.source == "gps" if self.metres is None else self.metres > SURE_METRES


@dataclass(frozen=True)
class Whereabouts:
    """What somebody said of a place. `kind` is what the service is about: pole, tree, basket, or None.

    `number` is that of the thing that was chosen or read off it, "" for none of those offered, None where
    nobody said. `pick` is the key of the one that was picked of several places. `is_sure`: they were asked
    whether it is there, and it is.
    """

    words: str = ""
    fix: Fix | None = None
    number: str | None = None
    kind: str | None = None
    pick: str | None = None
    is_sure: bool = False


@dataclass(frozen=True)
class Resolved:
    """A place, several to choose from, or why there is none.

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


def resolve(s: Session, said: Whereabouts, *, geocoder: str, propose: bool) -> Resolved:
    """What was typed goes before what the phone says; nothing given stays unknown, never a default point.

    Where the service is about poles, trees or baskets the chosen one is the place. With `propose` a good fix
    may choose by itself: for a page that shows it and lets it be undone. What is sent holds only what was
    chosen. `geocoder` as for lookup.find().
    """
    spot = _typed(s, said, geocoder) if said.words else _fixed(s, said)
    if spot.place is None or (spot.fault and spot.fault.code == "outside_city"):
        return spot
    return _at_asset(s, said, spot, propose)


def resolve_unasked(s: Session, said: Whereabouts, *, geocoder: str = "local") -> tuple[Place | None, str]:
    """The place, and what was said of it that the city does not know: for a person to read.

    A number goes before a point, a point before words. A point chooses no pole by itself, however near one
    stands: nobody has seen that choice. Words count where they name one place and no whole street. Asks the
    remote `geocoder` only where there is no point. No place is known for certain to lie within the city.
    """
    words = said.words.strip()
    found = lookup.find(s, words, geocoder="local" if said.fix else geocoder)
    exact = [place for place in found if not place.vague]
    one = exact[0] if len(exact) == 1 else None
    place = _numbered(s, said, one) or (_pointed(s, said.fix, exact) if said.fix else one)
    unknown = [] if _is_named(place, words, found) else [words]
    number = (said.number or "").strip()
    if number not in ("", words) and (place is None or place.asset_id is None):
        unknown.append(number)
    return place, "\n".join(unknown)


def _numbered(s: Session, said: Whereabouts, known: Place | None) -> Place | None:
    number = (said.number or "").strip()
    around = said.fix.point if said.fix else known.point if known else None
    asset = nearby_assets.named(s, number, said.kind, around) if number else None
    return nearby_assets.place_of(asset) if asset else None


def _pointed(s: Session, fix: Fix, found: Sequence[Place]) -> Place:
    """Its label is what everybody may call it: a place of the city's own that they named, else the nearest
    address. Their own words never: a name or a telephone number may stand among them.
    """
    named = (x.label for x in found if x.label and distance(fix.point, x.point) <= nearby_assets.NAMED_METRES)
    label = next(named, None) or lookup.describe(s, fix.point)
    return Place(fix.point.lat, fix.point.lon, fix.source, label, fix.metres)


def _is_named(place: Place | None, words: str, found: Sequence[Place]) -> bool:
    """Whether the words name the place for certain, so that nobody need read them besides."""
    if not words:
        return True
    if place is None or place.unsure:
        return False
    if lookup.normal(words) == lookup.normal(place.label):
        return True
    same_asset = place.asset_id is not None and place.asset_id in [each.asset_id for each in found]
    return same_asset or (bool(place.label) and place.label in [each.label for each in found])


def _typed(s: Session, said: Whereabouts, geocoder: str) -> Resolved:
    found = lookup.find(s, said.words, geocoder=geocoder)
    if not found:
        return _offered(s, said)
    found = _suited(s, said, [place for place in found if not place.vague] or found)
    chosen = _picked(said, found)
    if chosen is None and (said.pick or len(found) > 1):
        return Resolved(choices=found, fault=Refused("place_unclear"))
    chosen = chosen or found[0]
    return _sure(said, _inside(s, chosen, found if len(found) > 1 else []), _doubtful(said, chosen))


def _offered(s: Session, said: Whereabouts) -> Resolved:
    """What the city does not know may be cut short, as "Mass Ave": whole names are offered, none is taken."""
    offered = [place for place in lookup.suggest(s, said.words) if place.asset_id is None]
    chosen = _picked(said, offered)
    if chosen is None:
        return Resolved(choices=offered, fault=Refused("place_unknown"))
    return _sure(said, _inside(s, chosen, offered), _doubtful(said, chosen))


def _doubtful(said: Whereabouts, place: Place) -> bool:
    """Whether to ask if it is there. A house that we offered is taken; a whole street is to go on from."""
    return place.vague or (place.unsure and said.pick != place.key)


def _picked(said: Whereabouts, offered: list[Place]) -> Place | None:
    """The one that was picked; None where it is offered no more: the kind of problem may be another."""
    return next((place for place in offered if place.key == said.pick), None)


def _suited(s: Session, said: Whereabouts, found: list[Place]) -> list[Place]:
    """Of things with one number those of the service's kind, and of these the one that the phone stands by.

    A lamp's report by the number of a tree has that place, and not the tree for its pole.
    """
    things = nearby_assets.by_ids(s, [place.asset_id for place in found if place.asset_id is not None])
    if said.kind is None or not things:
        return found
    of_kind = [place for place in found if things[place.asset_id or 0].kind == said.kind]
    if not of_kind:
        return [replace(place, source="address", asset_id=None) for place in found]
    if len(of_kind) == 1 or said.pick is not None or said.fix is None or said.fix.coarse:
        return of_kind
    here = nearby_assets.named(s, things[of_kind[0].asset_id or 0].number, said.kind, said.fix.point)
    return [nearby_assets.place_of(here)] if here else of_kind


def _fixed(s: Session, said: Whereabouts) -> Resolved:
    fix = said.fix
    if fix is None:
        return Resolved(fault=Refused("place_missing"))
    return _sure(said, _inside(s, _pointed(s, fix, ()), []), fix.coarse)


def _sure(said: Whereabouts, spot: Resolved, doubtful: bool) -> Resolved:
    """A fix or a place that may be streets away is asked about before it counts."""
    asks = spot.fault is None and doubtful and not said.is_sure
    return replace(spot, fault=Refused("place_unsure") if asks else spot.fault, doubtful=doubtful)


def _inside(s: Session, place: Place, choices: list[Place]) -> Resolved:
    outside = lookup.outside(s, place.point)
    return Resolved(place, choices, Refused("outside_city") if outside else None)


def _at_asset(s: Session, said: Whereabouts, spot: Resolved, propose: bool) -> Resolved:
    """Whoever names the pole has said where it is, however vague the phone was."""
    kind, around = said.kind, spot.place
    if kind is None or around is None or around.asset_id is not None or (said.words and around.vague):
        return spot
    near = nearby_assets.nearest(s, kind, around.point)
    chosen = next((each for each in near if each.asset.number == said.number), None)
    proposed = None
    if propose and chosen is None and said.number != "" and around.source in ("gps", "photo"):
        proposed = nearby_assets.asset_at_fix(near, around.accuracy_m)
    known = chosen or proposed
    offered = near[:OFFERED] + ([known] if known and known not in near[:OFFERED] else [])
    if known is None:
        return replace(spot, near=offered, around=around)
    return Resolved(
        nearby_assets.place_of(known.asset), spot.choices, None, offered, known, proposed is not None, around
    )  # fmt: skip
