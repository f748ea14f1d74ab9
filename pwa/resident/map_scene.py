"""The still picture of a place on the city's map, in the page's own colours by day and by night."""

import re
from functools import cache, lru_cache
from pathlib import Path

from flask import Flask, url_for

from city.geo import Point
from city.places import map_picture
from pwa.web import access

TOKENS = Path(__file__).parents[1] / "static" / "css" / "tokens.css"
ROLE = re.compile(r"--map-([a-z-]{1,20}): var\(--day, (#[0-9a-f]{3,8})\) var\(--night, (#[0-9a-f]{3,8})\)")
NEAR = 17  # the zoom of one case
PRECISION = 5  # decimals of a degree: a metre


def init(app: Flask) -> None:
    """Gives `map_scene` to every template."""
    app.jinja_env.globals["map_scene"] = address


def address(point: Point | None, zoom: int = NEAR) -> str:
    """The address of the picture around a point; empty where the city has no map, or the case no place."""
    if point is None or not access.current_city().settings.basemap.is_file():
        return ""
    at = f"{point.lat:.{PRECISION}f},{point.lon:.{PRECISION}f}"
    return url_for("place.map_picture", at=at, zoom=zoom)


def picture(at: str, zoom: int) -> str | None:
    """The picture that address() names, as SVG; None for a place or zoom of which there is none."""
    place = re.fullmatch(r"(-?\d{1,2}\.\d{5}),(-?\d{1,3}\.\d{5})", at)
    if not place or not map_picture.FURTHEST <= zoom <= map_picture.NEAREST:
        return None
    south, west, north, east = access.current_city().city.bounds
    point = Point(float(place[1]), float(place[2]))
    file = access.current_city().settings.basemap
    if not (south <= point.lat <= north and west <= point.lon <= east) or not file.is_file():
        return None
    return _drawn(file, file.stat().st_mtime_ns, point, zoom)


@lru_cache(256)
def _drawn(file: Path, _changed: int, point: Point, zoom: int) -> str:
    return map_picture.draw(file, point, zoom, _style())


@cache
def _style() -> str:
    """The rules of the picture: each role's colour by day, and the other by night."""
    roles = ROLE.findall(TOKENS.read_text())
    day = "".join(f"--{role}:{colour};" for role, colour, _ in roles)
    night = "".join(f"--{role}:{colour};" for role, _, colour in roles)
    return (
        f":root{{{day}}}@media(prefers-color-scheme:dark){{:root{{{night}}}}}"
        ".land{fill:var(--land)}.park{fill:var(--park)}.water{fill:var(--water)}"
        ".edge,.road{fill:none;stroke:var(--road-edge);stroke-linecap:round;stroke-linejoin:round}"
        ".road{stroke:var(--road)}"
        "text{fill:var(--word);font:500 13px sans-serif;text-anchor:middle;paint-order:stroke;"
        "stroke:var(--road);stroke-width:3px}"
    )
