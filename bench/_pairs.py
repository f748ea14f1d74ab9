"""Boston's half-year of 2015 as tellings to look for duplicates among, and the pairs that its staff named.

Read through the mapping that imports it, so that services, groups and departments are the product's. Who asks
is always the later of two; what became of a case is used no earlier than it happened.
"""

import csv
import gzip
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from city.cases import duplicates
from city.cases.duplicates import Problem
from city.geo import METRES_A_DEGREE, Point
from city.imports import mapping, request_rows
from city.imports.mapping import Mapping

TABLE, LINKS = "requests/boston_311_2015_H1.csv.gz", "requests/boston_case_links_2015_H1.csv.gz"
TOLD_BEFORE = "Duplicate of Existing"  # in the words of a closing, with or without the other's number
WIDEST_METRES = 250.0  # of the fixed rules
WINDOW = timedelta(days=60)
APRIL = datetime(2015, 4, 1, 4, tzinfo=UTC)  # midnight in Boston


@dataclass(frozen=True, slots=True)
class Told:
    """One case of the table. `closed` is None while it was open when the table ends."""

    ref: str
    problem: Problem
    closed: datetime | None
    told_before: bool  # closed as told before


@dataclass(frozen=True)
class HalfYear:
    """All located cases in the order of time, and every two of them that are near in place and time.

    Row n of the arrays: when case `later[n]` was told, case `earlier[n]`, so many `metres` away and `days`
    old, was open or not. `crowded` says which earlier ones were told at the later one's spot of late, and
    `crowd` for each case how many those are. `named` are the labelled pairs, later and earlier.
    """

    told: list[Told]
    later: NDArray[np.int64]
    earlier: NDArray[np.int64]
    metres: NDArray[np.float64]
    days: NDArray[np.float64]
    open: NDArray[np.bool_]
    crowded: NDArray[np.bool_]
    crowd: NDArray[np.int64]
    named: list[tuple[int, int]]

    @property
    def april(self) -> int:
        """The first case of April: on those before it is fitted, those from it on judge."""
        return next(n for n, one in enumerate(self.told) if one.problem.at >= APRIL)

    def crowd_beside(self, row: int) -> int:
        """How many others were told at the spot when the two of a row met."""
        return int(self.crowd[self.later[row]]) - int(self.crowded[row])

    def looked_at(self) -> NDArray[np.int64]:
        """The rows that the product would score: open, and within the reach of the later one's group."""
        reach = [duplicates.reach(one.problem.group) for one in self.told]
        metres = np.array([each.metres for each in reach])[self.later]
        days = np.array([each.time / timedelta(days=1) for each in reach])[self.later]
        return np.flatnonzero(self.open & (self.metres <= metres) & (self.days <= days))


def folder() -> Path | None:
    """Where real data lies; None where there is none."""
    found = os.environ.get("CITYLINE_BENCH_DATA", "")
    return Path(found) if found and (Path(found) / TABLE).is_file() else None


def read(data: Path) -> HalfYear:
    """The half-year. What has no place, or the default point that stands for none, is left out."""
    told = _with_often(sorted(_rows(data / TABLE), key=lambda one: one.problem.at))
    at = np.array([one.problem.at.timestamp() for one in told])
    closed = np.array([one.closed.timestamp() if one.closed else np.inf for one in told])
    later, earlier, metres = _near(told, at)
    days = (at[later] - at[earlier]) / 86_400
    window = np.array([duplicates.reach(one.problem.group).time / timedelta(days=1) for one in told])
    crowded = (metres <= duplicates.CROWD_METRES) & (days <= window[later])
    index = {one.ref: n for n, one in enumerate(told)}
    return HalfYear(
        told, later, earlier, metres, days, closed[earlier] > at[later], crowded,
        np.bincount(later[crowded], minlength=len(told)), list(_named(data / LINKS, index, at)),
    )  # fmt: skip


def _rows(path: Path) -> Iterator[Told]:
    how = mapping.load("boston")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            point = _point(how, row["LATITUDE"], row["LONGITUDE"])
            if point is None:
                continue
            group = how.groups.get(row[how.group_by], how.other_group)
            at = request_rows.instant(row["OPEN_DT"], how.dates, how.time_zone)
            problem = Problem(row["TYPE"], group, row["Department"], point, at, source="address")
            end = row["CLOSED_DT"]
            yield Told(
                row["CASE_ENQUIRY_ID"], problem,
                request_rows.instant(end, how.dates, how.time_zone, after=at) if end else None,
                TOLD_BEFORE in row["CLOSURE_REASON"],
            )  # fmt: skip


def _point(how: Mapping, lat: str, lon: str) -> Point | None:
    """Where a case lies, unless the coordinates only stand for "no place"."""
    if not (lat and lon):
        return None
    point = Point(float(lat), float(lon))
    apart = (max(abs(point.lat - here), abs(point.lon - there)) for here, there in how.default_points)
    return None if any(each <= request_rows.SAME_POINT for each in apart) else point


def _with_often(told: list[Told]) -> list[Told]:
    """Each with its service's often() as the cases that had ended by then tell it."""
    ended: Counter[str] = Counter()
    before: Counter[str] = Counter()
    open_now: list[tuple[datetime, str, bool]] = []
    found = []
    for one in told:
        while open_now and open_now[0][0] <= one.problem.at:
            _at, service, told_before = heappop(open_now)
            ended[service] += 1
            before[service] += told_before
        code = one.problem.service
        often = duplicates.often(before[code], ended[code], before.total(), ended.total())
        found.append(replace(one, problem=replace(one.problem, often=often)))
        if one.closed:
            heappush(open_now, (one.closed, code, one.told_before))
    return found


def _near(
    told: list[Told], at: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Every two within the widest rule and the window: later, earlier, and metres as geo measures them."""
    lat = np.array([one.problem.point.lat for one in told])
    lon = np.array([one.problem.point.lon for one in told])
    northward = np.argsort(lat, kind="stable")
    first, last = (
        np.searchsorted(lat[northward], lat + side * WIDEST_METRES / METRES_A_DEGREE) for side in (-1, 1)
    )
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    for n in range(len(told)):
        others = northward[first[n] : last[n]]
        others = others[(others < n) & (at[others] >= at[n] - WINDOW.total_seconds())]
        east = (lon[others] - lon[n]) * np.cos(np.radians((lat[others] + lat[n]) / 2))
        metres = METRES_A_DEGREE * np.hypot(lat[others] - lat[n], east)
        within = metres <= WIDEST_METRES
        found.append((np.full(int(within.sum()), n), others[within], metres[within]))
    later, earlier, metres = (np.concatenate(part) for part in zip(*found, strict=True))
    return later, earlier, metres


def _named(path: Path, index: dict[str, int], at: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """The pairs that staff called duplicates, both located and within the window: later, earlier."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            ends = index.get(row["case"]), index.get(row["refers_to"])
            if row["relation"] != "duplicate" or None in ends or ends[0] == ends[1]:
                continue
            earlier, later = sorted(n for n in ends if n is not None)
            if at[later] - at[earlier] <= WINDOW.total_seconds():
                yield later, earlier
