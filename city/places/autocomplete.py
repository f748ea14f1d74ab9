"""Places that somebody who is still typing may mean."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from shapely.geometry import Point as Spot

from city.geo import Point, distance
from city.places import streets
from city.places.geocoder import JOINED, Gazetteer, thing_number
from city.places.index import Atlas, Place

AROUND_METRES: Final = 400.0  # streets on which a number alone may be meant
MOST_ASSETS: Final = 50

_FIGURE: Final = re.compile(r"\d{1,6}[a-z]?")
_CALLE: Final = re.compile(r"^(?:en )?(?:la )?calle ")
_T = TypeVar("_T")


def suggest(gazetteer: Gazetteer, words: str, *, near: Point | None = None, limit: int = 6) -> list[Place]:
    """What `words` may become, likeliest first; of two as likely the one nearer to `near`."""
    atlas, typed = gazetteer.atlas, " ".join(streets.tokens(words))
    figure, _, rest = _CALLE.sub("", typed, count=1).partition(" ")
    found: list[tuple[int, Place]] = []
    if (joined := JOINED.search(f"{typed} ")) and joined.start():
        found += _corners(atlas, _CALLE.sub("", typed[: joined.start()], count=1), typed[joined.end() :])
    if _FIGURE.fullmatch(figure):
        found += _doors(atlas, figure, rest) if rest else _around(atlas, figure, near)
    if typed and not found:
        found += _named(atlas, f"{figure} {rest}".strip())
    found += _assets(atlas, thing_number(words))
    if not found:
        return gazetteer.find(words).places[:limit]
    found.sort(key=lambda one: (one[0], distance(near, one[1].point) if near else 0.0, one[1].label))
    return list(dict.fromkeys(place for _, place in found))[:limit]


def _corners(atlas: Atlas, one: str, other: str) -> Iterator[tuple[int, Place]]:
    others = {id(street): rank for rank, street in _likely(atlas.spelled, other)} if other else {}
    for rank, street in _likely(atlas.spelled, one):
        for crossed, corners in street.corners.items():
            if not other or id(crossed) in others:
                for corner in corners:
                    yield rank + others.get(id(crossed), 0), atlas.place(corner)


def _doors(atlas: Atlas, figure: str, rest: str) -> Iterator[tuple[int, Place]]:
    for rank, street in _likely(atlas.spelled, rest):
        yield from ((rank, atlas.place(sign)) for sign in street.at(figure))


def _around(atlas: Atlas, figure: str, near: Point | None) -> Iterator[tuple[int, Place]]:
    """A number and nothing else, on the streets around."""
    if near is not None:
        at = Spot(atlas.xy(*near))
        blocks = atlas.near_blocks.query(at, predicate="dwithin", distance=AROUND_METRES)
        for street in {atlas.blocks[int(n)][0] for n in blocks}:
            yield from ((0, atlas.place(sign)) for sign in street.at(figure))


def _named(atlas: Atlas, typed: str) -> Iterator[tuple[int, Place]]:
    """Landmarks and areas, and whole streets, to go on from."""
    for rank, places in _likely(atlas.spelled_names, typed):
        yield from ((rank, place) for place in places)
    for rank, street in _likely(atlas.spelled, typed):
        if street.whole:
            yield rank, atlas.place(street.whole)


def _assets(atlas: Atlas, number: str) -> Iterator[tuple[int, Place]]:
    if any(letter.isdigit() for letter in number):
        start = bisect_left(atlas.numbers, number)
        for known in atlas.numbers[start : start + MOST_ASSETS]:
            if known.startswith(number):
                yield from ((len(known) - len(number), place) for place in atlas.assets[known])


def _likely(spelled: Sequence[tuple[tuple[str, ...], _T]], typed: str) -> list[tuple[int, _T]]:
    """Names that begin so, word by word ("mass av"); else those that do but for a slip of the finger."""
    wanted = [{token, streets.normal(token)} for token in typed.split()]
    found = [(rank, item) for words, item in spelled if (rank := _reads(wanted, words)) is not None]
    if found:
        return found
    joined = "".join(typed.split())
    begins = ["".join(words)[: len(joined)] for words, _ in spelled]
    return [(10 * slips, spelled[n][1]) for n, slips in streets.alike(joined, begins)]


def _reads(wanted: Sequence[set[str]], words: tuple[str, ...]) -> int | None:
    """How unlikely it is that each of `wanted` begins one of `words`, in their order; None if one does not.

    0 for a whole first word, 1 for its beginning, 2 for a name of which the first word was left out.
    """
    at = 0
    rank: int | None = None
    for starts in wanted:
        while at < len(words) and not words[at].startswith(tuple(starts)):
            at += 1
        if at == len(words):
            return None
        if rank is None:
            rank = 2 if at else 0 if words[0] in starts else 1
        at += 1
    return rank
