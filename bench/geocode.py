"""How well the city's own gazetteer finds addresses, and names points, in a real city.

    bin/bench geocode [--quick]

Cambridge's centerlines, boundary and neighborhoods are imported as `cityline import layer` does, its
addresses are not: every house number is worked out from the streets' ranges.

forward  every distinct (number, street, lot) of the master address list whose lot is on the map,
         asked for as "NUMBER STREET". Found is an answer on the right street within 150 m of the lot. Wrong
         is one on another street, compared letter by letter with the list's. Metres are from the answer to
         the middle of the lot, which is stricter than to its edge: that is `edge_…`, 0 within. `as_stated` of
         the answers lie as near as they claim to, and `asks` claim so little that a report asks.
typo     the same with one random slip in a letter of street or type: one more, less, other, or two swapped.
         Digits keep theirs: another number is another address, and no slip that anybody could see.
reverse  every streetlight that says its street, asked for by its point. Found names its street first;
         `at_found` counts the second street of a corner too; wrong names neither. Metres are those that the
         answer claims.

`p95_ms` is one look-up through city.places, `p95_cpu_ms` what of it was computed here: the rest is other
programs on the machine. --quick takes every twentieth address.
"""

import argparse
import csv
import json
import os
import random
import re
import statistics
import string
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely
from shapely.geometry import Point as Spot
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from bench._databases import database
from bench._site import ROOT, say
from bench._targets import Target, judge, printed
from city.db import engine as db
from city.geo import METRES_A_DEGREE, Box, Point
from city.imports import layers, readers
from city.imports.layers import Order
from city.people import accounts
from city.places import lookup, streets

FOUND_METRES = 150.0
SEED = 5
BOUNDS = Box(42.352, -71.161, 42.405, -71.063)
GROUND = (
    ("BOUNDARY_CityBoundary.geojson", Order("boundary")),
    (
        "TRANS_Centerlines.geojson",
        Order("streets", name="Label", left=("L_From", "L_To"), right=("R_From", "R_To")),
    ),
    ("BOUNDARY_CDDNeighborhoods.geojson", Order("areas", name="NAME")),
)
ADDRESSES = "Master_Address_Database_with_MapLot_and_BldgID.csv"
PARCELS = "ASSESSING_ParcelsFY2014.topojson"
LIGHTS = "INFRA_StreetLights.geojson"
WANTED: dict[str, list[Target]] = {
    "forward": [("found", ">=", 0.97), ("wrong", "<=", 0.005), ("median_m", "<=", 20), ("p95_m", "<=", 70)],
    "typo": [("found", ">=", 0.93), ("wrong", "<=", 0.03)],
    "reverse": [("found", ">=", 0.90), ("at_found", ">=", 0.96)],
}
MOST_MS = 10.0


class House(NamedTuple):
    """An address of the list, and its lot in metres on a plane."""

    number: str
    street: str
    lot: BaseGeometry


class Judged(NamedTuple):
    right: bool
    wrong: bool
    metres: float | None = None
    edge: float | None = None
    stated: float | None = None


class Taken(NamedTuple):
    ms: float
    cpu_ms: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="bin/bench geocode", add_help=False)
    parser.add_argument("--quick", action="store_true")
    options, _ = parser.parse_known_args()
    data = os.environ.get("CITYLINE_BENCH_DATA", "")
    folder = Path(data) / "geo" / "cambridge_ma"
    if not data or not folder.is_dir():
        skipped = "CITYLINE_BENCH_DATA isn't a folder with geo/cambridge_ma"
        print(json.dumps({"bench": "geocode", "skipped": skipped}))
        return
    every = 20 if options.quick else 1
    with database("sqlite", ROOT / "var" / "bench" / "geocode") as made:
        engine = db.connect(made.url)
        _import(engine, folder)
        houses = list(_houses(folder))[::every]
        say(f"{len(houses)} addresses are judged")
        with db.read_session(engine) as s:
            lookup.find(s, "nowhere")  # the layers are read once, by whoever comes first
            _forward(s, "forward", ((house, f"{house.number} {house.street}") for house in houses))
            chance = random.Random(SEED)
            slipped = ((house, f"{house.number} {_slip(chance, house.street)}") for house in houses)
            _forward(s, "typo", slipped)
            _reverse(s, list(_lights(folder)))
        engine.dispose()


def _import(engine: Any, folder: Path) -> None:
    for name, order in GROUND:
        with db.transaction(engine) as s:
            done = layers.replace(
                s, folder / name, order, bounds=BOUNDS, by=accounts.THE_SYSTEM, at=datetime.now(UTC)
            )
        say(f"{name}: {done.imported} rows")


def _houses(folder: Path) -> Iterator[House]:
    lots = _lots(folder / PARCELS)
    seen = set()
    with (folder / ADDRESSES).open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            parts = (row["street_name"], row["street_suffix"], row["dir_suffix"])
            street = " ".join(" ".join(parts).split())
            key = row["street_number"].strip(), street, row["MapLot"].strip()
            if key[2] in lots and key not in seen:
                seen.add(key)
                yield House(key[0], street, lots[key[2]])


def _lots(path: Path) -> dict[str, BaseGeometry]:
    parts: dict[str, list[BaseGeometry]] = {}
    with readers.open_source(path, whole=True) as source:
        for row in source.rows:
            try:
                ground = _plane(shape(row.geometry))
            except ValueError:  # a sliver that has lost its corners
                continue
            if row.values.get("ML"):
                parts.setdefault(row.values["ML"], []).append(ground)
    return {lot: shapely.union_all(shapely.make_valid(ground)) for lot, ground in parts.items()}


def _lights(folder: Path) -> Iterator[tuple[streets.Name, Point]]:
    for feature in json.loads((folder / LIGHTS).read_text())["features"]:
        facts, (lon, lat) = feature["properties"], feature["geometry"]["coordinates"]
        words = " ".join(facts.get(key) or "" for key in ("StreetName", "StreetSuffix")).strip()
        if words:
            yield streets.parse(words), Point(lat, lon)


def _plane(ground: BaseGeometry) -> BaseGeometry:
    wide = METRES_A_DEGREE * np.cos(np.radians((BOUNDS.south + BOUNDS.north) / 2))
    return shapely.transform(ground, lambda xy: xy * (wide, METRES_A_DEGREE))


def _slip(chance: random.Random, street: str) -> str:
    """The street with one letter more, less, other, or two swapped."""
    while True:
        at = chance.choice([n for n, letter in enumerate(street) if letter.isalpha()])
        letter = chance.choice(string.ascii_uppercase)
        slipped = chance.choice(
            (
                street[:at] + letter + street[at:],
                street[:at] + street[at + 1 :],
                street[:at] + letter + street[at + 1 :],
                street[:at] + street[at + 1 : at + 2] + street[at] + street[at + 2 :],
            )
        )
        if slipped != street:
            return slipped


def _forward(s: Any, kind: str, asked: Iterable[tuple[House, str]]) -> None:
    def judge(house: House, words: str) -> tuple[Judged, Taken]:
        found, taken = _timed(lambda: lookup.find(s, words))
        if not found:
            return Judged(right=False, wrong=False), taken
        _, _, street = found[0].label.partition(" ")
        if street.casefold() != house.street.casefold():
            return Judged(right=False, wrong=True), taken
        spot = _plane(Spot(found[0].lon, found[0].lat))
        edge = float(spot.distance(house.lot))
        metres = float(spot.distance(house.lot.centroid))
        return Judged(edge <= FOUND_METRES, False, metres, edge, found[0].accuracy_m), taken

    judged = [judge(house, words) for house, words in asked]
    edges = [one.edge for one, _ in judged if one.edge is not None]
    claims = [(one.metres, one.stated) for one, _ in judged if one.metres is not None and one.stated]
    _line(
        kind, judged, edge_median_m=statistics.median(edges), edge_p95_m=_p95(edges),
        as_stated=sum(metres <= stated for metres, stated in claims) / len(claims),
        asks=sum(stated > lookup.SURE_METRES for _, stated in claims) / len(claims),
    )  # fmt: skip


def _reverse(s: Any, lights: list[tuple[streets.Name, Point]]) -> None:
    def judge(name: streets.Name, point: Point) -> tuple[Judged, Taken]:
        near, taken = _timed(lambda: lookup.around(s, point))
        if near is None:
            return Judged(right=False, wrong=False), taken
        first, second = (streets.parse(re.sub(r"^\d+ ", "", words)) for words in (near.name, near.other))
        also.append(name in (first, second))
        return Judged(name == first, name not in (first, second), near.metres), taken

    also: list[bool] = []
    judged = [judge(*light) for light in lights]
    _line("reverse", judged, at_found=sum(also) / len(judged))


def _timed(look_up: Callable[[], Any]) -> tuple[Any, Taken]:
    began, computing = time.perf_counter(), time.thread_time()
    found = look_up()
    return found, Taken((time.perf_counter() - began) * 1000, (time.thread_time() - computing) * 1000)


def _line(kind: str, judged: list[tuple[Judged, Taken]], **more: float) -> None:
    n = len(judged)
    metres = [one.metres for one, _ in judged if one.metres is not None]
    line: dict[str, Any] = {
        "bench": "geocode",
        "kind": kind,
        "n": n,
        "found": sum(one.right for one, _ in judged) / n,
        "wrong": sum(one.wrong for one, _ in judged) / n,
        "median_m": statistics.median(metres),
        "p95_m": _p95(metres),
        "p95_ms": _p95([taken.ms for _, taken in judged]),
        "p95_cpu_ms": _p95([taken.cpu_ms for _, taken in judged]),
        **more,
    }
    judge(line, [*WANTED[kind], ("p95_ms", "<=", MOST_MS)])
    print(printed(line), flush=True)


def _p95(values: list[float]) -> float:
    return float(np.percentile(values, 95))


if __name__ == "__main__":
    sys.exit(main())
