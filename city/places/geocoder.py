"""What words name in the city: a geopy geocoder that asks the city's own layers and no network."""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import usaddress
from geopy.geocoders.base import Geocoder
from geopy.location import Location

from city.geo import Point, distance
from city.places import reverse_geocoder, streets
from city.places.index import Atlas, Place, numbered

SAME_METRES: Final = 250.0  # places as near as this with the same words are one: blocks whose ranges overlap
MOST_LETTERS: Final = 200  # nobody's address is longer

JOINED: Final = re.compile(r" (?:and|at|y|con|x|esquina con|esquina|esq) | ?[&/@] ?")
_CORNER_OF: Final = re.compile(
    r"^(?:en )?(?:the |la )?(?:corner of|intersection of|esquina de|esquina entre|esquina) "
)
_BEFORE: Final = re.compile(r"^(?:en la|en el|en|on|at|la|el|the) ")
_NUMBER_LAST: Final = re.compile(r"(.+?) (?:no |num |numero )?(\d{1,6}[a-z]?)")
_THING: Final = re.compile(r"^(?:pole|poste|light|luz|farol|tree|árbol|arbol|basket|papelera)\b\s*")
_STATE_OR_ZIP: Final = re.compile(r"(?:[a-z]{2})? ?(?:\d{5}(?:-\d{4})?)?")
# What usaddress calls the words of number and street, and what an address may hold besides. With any other
# word among them it is more than an address.
_ADDRESS: Final = ("AddressNumber", "StreetName")
_BESIDES: Final = ("Occupancy", "PlaceName", "StateName", "ZipCode")


class Answer(NamedTuple):
    """Places, best first. Not `sure` where the words had slips, and these are what they may mean."""

    places: list[Place]
    sure: bool = True


class Gazetteer(Geocoder):  # type: ignore[misc]
    """geopy's interface over the city's own layers. Never a street that was not asked for."""

    def __init__(self, atlas: Atlas) -> None:
        super().__init__()
        self.atlas = atlas

    def geocode(
        self, query: str, *, exactly_one: bool = True, timeout: object = None, limit: int | None = None
    ) -> Any:
        """geopy Locations of what `query` names, best first; None or [] where the city has no such place."""
        found = [
            Location(place.label, place.point, {"source": place.source, "asset_id": place.asset_id})
            for place in self.find(query).places[:limit]
        ]
        return (found[0] if found else None) if exactly_one else found

    def reverse(self, query: tuple[float, float], *, exactly_one: bool = True, timeout: object = None) -> Any:
        """The words for a point, as a geopy Location at the point; None or [] where nothing is near."""
        near = reverse_geocoder.describe_point(self.atlas, Point(*query))
        found = [Location(near.words, query, {"metres": near.metres})] if near else []
        return (found[0] if found else None) if exactly_one else found

    def find(self, words: str) -> Answer:
        """The places that `words` name: a pole by its number, a corner, an address, a landmark, a street.

        Words that hold more than a place and its city find nothing.
        """
        words = words[:MOST_LETTERS]
        if assets := self.atlas.assets.get(thing_number(words)):
            return Answer(assets)
        for asked in dict.fromkeys(self._readings(words)):
            for look in (self._corners, self._addresses, self._names, self._whole_streets):
                answer = look(asked)
                if answer.places:
                    return Answer(_once(answer.places), answer.sure)
        return Answer([])

    def _readings(self, words: str) -> Iterator[str]:
        """As they are written; without article and city; without what usaddress knows as flat and city."""
        yield _plain(words)
        parts = words.split(",")
        while len(parts) > 1 and self._is_here(streets.normal(parts[-1])):
            del parts[-1]
        yield _BEFORE.sub("", _plain(",".join(parts)), count=1)
        if bare := self._bare(words):
            yield bare

    def _is_here(self, tail: str) -> bool:
        """Whether an address may end so: the city's name, or any where the layers do not say it."""
        return not tail or bool(_STATE_OR_ZIP.fullmatch(tail)) or tail in (self.atlas.city or {tail})

    def _bare(self, words: str) -> str:
        """Number and street alone; "" where there is more than an address, or another city's name."""
        try:
            tagged, _ = usaddress.tag(words)
        except usaddress.RepeatedLabelError:
            return ""
        if not all(label.startswith(_ADDRESS + _BESIDES) for label in tagged):
            return ""
        if not self._is_here(streets.normal(tagged.get("PlaceName", ""))):
            return ""
        return _plain(" ".join(part for label, part in tagged.items() if label.startswith(_ADDRESS)))

    def _corners(self, asked: str) -> Answer:
        both = _CORNER_OF.sub("", asked, count=1)
        for joined in JOINED.finditer(both):
            here = self.atlas.directory.find(both[: joined.start()])
            there = self.atlas.directory.find(both[joined.end() :])
            corners = [
                self.atlas.place(corner)
                for one in here.streets
                for other in there.streets
                for corner in one.corners.get(other, ())
            ]
            if corners:
                return Answer(corners, sure=not here.slips + there.slips)
        return Answer([])

    def _addresses(self, asked: str) -> Answer:
        parts = numbered(asked)
        if not parts and (last := _NUMBER_LAST.fullmatch(asked)):
            parts = last[2], last[1]
        if not parts:
            return Answer([])
        number, name = parts
        match = self.atlas.directory.find(_BEFORE.sub("", name, count=1))
        found = [self.atlas.place(sign) for street in match.streets for sign in street.at(number)]
        return Answer(found, sure=not match.slips)

    def _names(self, asked: str) -> Answer:
        name = streets.normal(asked)
        if name in self.atlas.named:
            return Answer(self.atlas.named[name])
        near = sorted((slips, n) for n, slips in streets.alike(name, self.atlas.names))
        return Answer(
            [place for _, n in near[:1] for place in self.atlas.named[self.atlas.names[n]]], sure=False
        )

    def _whole_streets(self, asked: str) -> Answer:
        match = self.atlas.directory.find(asked)
        # No number and no corner says that a name with a slip is meant: any other is not found.
        named = () if match.slips else match.streets
        return Answer([self.atlas.place(street.whole) for street in named if street.whole])


def thing_number(words: str) -> str:
    """The number of a pole, tree or basket as the register has it: "poste #l-12" → "L-12"."""
    return _THING.sub("", words.strip().lower(), count=1).strip("# ").upper()


def _plain(words: str) -> str:
    return " ".join(streets.tokens(words))


def _once(places: list[Place]) -> list[Place]:
    """Without those that say the same as one before them, and lie beside it."""
    kept: list[Place] = []
    for place in places:
        same = (one for one in kept if one.label == place.label)
        if not any(distance(one.point, place.point) <= SAME_METRES for one in same):
            kept.append(place)
    return kept
