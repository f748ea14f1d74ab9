"""Other people's geocoders, asked over the network: seldom, not for long, never twice for the same words."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Final

from geopy.adapters import URLLibAdapter
from geopy.geocoders import Nominatim, Pelias, Photon
from geopy.location import Location
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from city.geo import Box

MOST_SECONDS: Final = 3.0
QUIET_SECONDS: Final = (
    30.0  # after a fault: nobody waits three seconds, one after the other, for what is down
)
REMEMBERED: Final = 2000
MOST_LETTERS: Final = 200
# The most that the public Nominatim allows; whoever comes too soon is answered locally.
_SELDOM: Final = RateLimitItemPerSecond(1)

log = logging.getLogger("cityline.geocoding")

Found = tuple[tuple[str, float, float], ...]  # address, latitude, longitude


class NoAnswer(Exception):
    """The geocoder was not asked, is down, took too long, or answered nonsense."""


def ask(setting: str, words: str, box: Box | None, limit: int) -> Found:
    """What the geocoder of the setting GEOCODER ("nominatim:URL" …) knows of `words`, within `box` if it can.

    Raises NoAnswer after three seconds at the latest.
    """
    return _asked(setting, " ".join(words.split()).lower(), box, limit)


@lru_cache(maxsize=REMEMBERED)
def _asked(setting: str, words: str, box: Box | None, limit: int) -> Found:
    """Remembered by what was asked; what raises is not."""
    if time.monotonic() < _quiet_until.get(setting, 0.0) or not _seldom.hit(_SELDOM, setting):
        raise NoAnswer("not asked")
    try:
        # geopy's own limit is for each piece of an answer: one that trickles in would take for ever.
        found = _threads.submit(_question(setting, words, box)).result(timeout=MOST_SECONDS)
        return tuple(_place(location) for location in (found or [])[:limit])
    except Exception as fault:  # whatever the other end sends
        _quiet_until[setting] = time.monotonic() + QUIET_SECONDS
        log.warning("the geocoder isn't answering: %s", type(fault).__name__)
        raise NoAnswer(type(fault).__name__) from fault


def _question(setting: str, words: str, box: Box | None) -> Callable[[], Any]:
    kind, _, url = setting.partition(":")
    scheme, _, domain = url.partition("://")
    maker, bounded = _SERVICES[kind]
    # geopy's other adapter, which it takes wherever that is installed, asks again by itself.
    service = maker(
        domain=domain.rstrip("/"), scheme=scheme, user_agent="cityline311", timeout=MOST_SECONDS,
        adapter_factory=URLLibAdapter,
    )  # fmt: skip
    corners = [(box.south, box.west), (box.north, box.east)] if box else None
    return lambda: service.geocode(words, exactly_one=False, **(bounded(corners) if corners else {}))


def _place(location: Location) -> tuple[str, float, float]:
    lat, lon = float(location.latitude), float(location.longitude)
    if not (abs(lat) <= 90 and abs(lon) <= 180):
        raise ValueError("no point on the globe")
    return str(location.address)[:MOST_LETTERS], lat, lon


# By the setting's first word: geopy's class, and how it is told to stay within a box.
_SERVICES: Final[dict[str, tuple[Any, Callable[[Any], dict[str, Any]]]]] = {
    "nominatim": (Nominatim, lambda corners: {"viewbox": corners, "bounded": True}),
    "photon": (Photon, lambda corners: {"bbox": corners}),
    "pelias": (Pelias, lambda corners: {"boundary_rect": corners}),
}
_quiet_until: dict[str, float] = {}
_seldom = FixedWindowRateLimiter(MemoryStorage())
_threads = ThreadPoolExecutor(2, thread_name_prefix="geocoder")
