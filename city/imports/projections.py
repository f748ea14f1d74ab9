"""Coordinate systems: what a file says of its own, and its coordinates as WGS 84 degrees."""

from collections.abc import Callable

import numpy as np
import pyproj
import shapely
from pyproj.exceptions import CRSError, ProjError
from shapely.geometry.base import BaseGeometry

from city.imports.readers import Unusable, shown

WGS_84 = "EPSG:4326"
HINT = "Name the coordinate system, for example --crs EPSG:2234. See https://epsg.io"

Project = Callable[[BaseGeometry], BaseGeometry]


def to_degrees(crs: str, where: str) -> Project:
    """What makes longitude and latitude of a shape that is drawn in `crs`.

    `crs` is a code as `EPSG:2234`, a URN or the text of a .prj; empty means degrees. What lies where the
    system does not reach comes out as infinite. Raises Unusable, naming `where` it stood.
    """
    flat = crs.upper().replace(" ", "").replace("_", "")
    if not flat or flat.endswith(("CRS84", ":4326")):
        return lambda ground: ground
    try:
        system = pyproj.CRS.from_user_input(crs)
        # Easting or longitude first, whatever order the system's own authority prefers: files do so.
        transformer = pyproj.Transformer.from_crs(system, WGS_84, always_xy=True)
    except (CRSError, ProjError, RecursionError) as error:
        raise Unusable(where, f"the coordinate system {shown(crs)} isn't known. {HINT}") from error

    def degrees(xy: np.ndarray) -> np.ndarray:
        return np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))

    return lambda ground: shapely.transform(ground, degrees)


def swapped(ground: BaseGeometry) -> BaseGeometry:
    """The same shape with both axes exchanged: to see whether a file has them the wrong way round."""
    return shapely.transform(ground, lambda xy: xy[:, ::-1])
