"""The map of the board, tile by tile: what a view has there, as JSON that a browser may keep."""

import math
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from flask import Blueprint, Response, abort, g, jsonify, request
from sqlalchemy.orm import Session

from city.board import tiles
from city.board.tiles import Spot, Tile
from city.geo import Box, Point
from city.places import ground as around
from pwa.board.view_url import revision, view_asked
from pwa.web import access, formatting, localization

AROUND = 0.1  # of the city's size: so far beyond its edge a case still lies at the city

bp = Blueprint("tiles", __name__, url_prefix="/tiles/cases")


@bp.get("/<natural:z>/<natural:x>/<natural:y>")
def tile(z: int, x: int, y: int) -> Response:
    """Clusters and points of a view in one tile of 512 px, zoom `z`.

    A cluster is [lat, lon, how many, worst standing, {standing: how many}], a point [number, lat, lon,
    standing, service]; `total` are the cases, `placed` those that are drawn.
    """

    def read(s: Session) -> dict[str, Any]:
        try:
            found = tiles.tile(s, view_asked(), z, x, y, now=access.now(), within_box=_ground_drawn())
        except ValueError:
            abort(404)
        return _as_json(found)

    return _unless_known(read)


@bp.get("/count")
def count() -> Response:
    """How many cases a view has, how many of them have no place, how many the map hides, and where they lie.

    `outside` are those that lie far outside the city, which only ?outside=yes draws. `box` is [south, west,
    north, east] in degrees, around what a map of all would draw: a lone case at the edge of its cell may lie
    a little outside. Null where no case has a place there. `dangers` are the points of those in which
    somebody can be hurt.
    """

    def read(s: Session) -> dict[str, Any]:
        view, now = view_asked(), access.now()
        found = tiles.extent(s, view, now=now, within_box=_ground_drawn())
        box = [round(edge, 6) for edge in found.box] if found.box else None
        return {
            "total": found.total, "unlocated": found.unlocated, "hidden": found.hidden, "box": box,
            "outside": found.outside,
            "dangers": _points(tiles.dangers(s, view, now=now, within_box=_ground_drawn()))
            if found.total
            else [],
        }  # fmt: skip

    return _unless_known(read)


@bp.get("/ground")
def ground() -> Response:
    """What stands within `metres` of ?lat&lon, which a close look at the map shows under the cases.

    A thing is [number, lat, lon, kind and number in words], a door [house number, lat, lon].
    """
    g.personal = False
    lat, lon, metres = (request.args.get(name, type=float) for name in ("lat", "lon", "metres"))
    if lat is None or lon is None or not (-90 <= lat <= 90 and -180 <= lon <= 180):
        abort(404)
    reach = metres if metres and math.isfinite(metres) and metres > 0 else around.MOST_METRES
    with access.reading() as s:
        found = around.around(s, Point(lat, lon), reach)
        doors = ((door.label.split(" ", 1)[0], door) for door in found.doors)
        return jsonify(
            things=[[each.number, each.lat, each.lon, formatting.asset(each)] for each in found.things],
            doors=[[number, door.lat, door.lon] for number, door in doors if number[:1].isdecimal()],
        )


def _ground_drawn() -> Box | None:
    """The city's box and some ground around it; None where what lies far outside is asked for too."""
    if request.args.get("outside") == "yes":
        return None
    south, west, north, east = access.current_city().city.bounds
    high, wide = (north - south) * AROUND, (east - west) * AROUND
    return Box(south - high, west - wide, north + high, east + wide)


def _as_json(found: Tile) -> dict[str, Any]:
    return {
        "clusters": [list(cluster) for cluster in found.clusters],
        "points": _points(found.points),
        "total": found.placed,
        "placed": found.placed,
    }


def _points(spots: Iterable[Spot]) -> list[list[Any]]:
    return [
        [spot.number, round(spot.lat, 6), round(spot.lon, 6), spot.standing, localization.said(spot.names)]
        for spot in spots
    ]


def _unless_known(read: Callable[[Session], dict[str, Any]]) -> Response:
    """What is read; 304 where the browser has it and nothing in the city changed since.

    How long a case has been open changes by itself: a view that asks for that is good for a minute.
    """
    g.personal = False  # the browser may keep it, and asks every time
    with access.reading() as s:
        until = f"{access.now():%Y-%m-%dT%H:%M}" if view_asked().age else ""
        view = view_asked()
        tag = f"{revision(s)}-{localization.lang()}-{until}"
        if view.sealed:  # who shares this browser may see more
            tag += f"-{zlib.crc32(' '.join(view.sealed).encode()):x}"
        known = request.if_none_match.contains_weak(tag)
        response = Response(status=304) if known else jsonify(read(s))
    response.set_etag(tag, weak=True)
    response.cache_control.private = True
    response.cache_control.no_cache = True
    return response
