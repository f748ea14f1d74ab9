"""One thing of the city's, or one address, over the years: its cases, how often it fails, its neighbors.

Staff's alone, as the board is: cases of every kind and state, but for those that an undone import left.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, select
from sqlalchemy import case as when
from sqlalchemy.orm import Session, aliased

from city.cases import search
from city.cases.queries import ABOUT_METRES
from city.db.in_list import is_in
from city.db.models import Asset, Case, Closure, Photo, Report, Service
from city.geo import Point, cells_around, flat_distance
from city.lifecycle import CANCELLED, MERGED, OPEN, UNDONE
from city.places.lookup import Place

MOST = 5_000  # of one spot no older case is looked at: an old system may have put all without a place there
SPOT_METRES = 25.0  # no further from an address lies what is at it: the width of a lot
NEAR_METRES = 500.0  # so far off stand the others that tell what is usual
NEIGHBORS = 10
YEARS = 8  # bars that a narrow screen has room for
AGAIN_TIMES, AGAIN = 3, timedelta(days=730)  # so often in so long, and a thing fails again and again
# How a case may end at a thing that had not failed, or is nobody's to mend here.
NOTHING_FAILED: Final = ("not found", "not ours")
UNCOUNTED: Final = (MERGED, CANCELLED, UNDONE)  # one problem told twice is one, and spam none


class Entry(NamedTuple):
    """A case as the history counts it. `service` are its kind's names, by language."""

    id: int
    state: str
    outcome: str | None
    opened_at: datetime
    service: dict[str, str]

    @property
    def counts(self) -> bool:
        """Whether it is a case of its own."""
        return self.state not in UNCOUNTED

    @property
    def is_failure(self) -> bool:
        """Whether something was wrong, as far as anybody knows."""
        return self.counts and self.outcome not in NOTHING_FAILED


@dataclass(frozen=True)
class Figures:
    """What the cases of one place come to; merged and cancelled ones are in none of them.

    `years` are (year, cases) without a gap, the last YEARS of them; what is older is in `older`. `gap` is the
    mean time between failures, of the last two years where there are two; `gap_before` that of all before.
    """

    cases: int
    open: int
    first_year: int | None
    this_year: int
    years: list[tuple[int, int]]
    older: int
    gap: timedelta | None
    gap_before: timedelta | None
    lately: list[
        tuple[dict[str, str], int]
    ]  # failures of the last two years by kind, the most frequent first

    @property
    def times(self) -> int:
        """How often it failed within two years."""
        return sum(n for _names, n in self.lately)

    @property
    def fails_again(self) -> bool:
        """Whether that is again and again."""
        return self.times >= AGAIN_TIMES


@dataclass(frozen=True)
class Ending:
    """How a case ended, beyond what a row of the queue tells."""

    words: str = ""  # what the city told of its last closing
    photos: int = 0
    photo: str | None = None  # the id of the first one that proves it
    into: str | None = None  # the number of the case that it was merged into


@dataclass(frozen=True)
class Neighbor:
    """A thing of the same kind, how many open cases it has, and how the most pressing of them stands."""

    asset: Asset
    open: int = 0
    standing: str = ""


@dataclass(frozen=True)
class Neighborhood:
    """The nearest of its kind in the order of their numbers, itself among them.

    `usual` is how many cases each of the `others` within NEAR_METRES had on average since the year began;
    None where there is none.
    """

    things: list[Neighbor]
    others: int
    usual: float | None

    def beside(self, asset: Asset) -> tuple[Asset | None, Asset | None]:
        """The thing before and the one after it in that order."""
        ids = [each.asset.id for each in self.things]
        here = ids.index(asset.id)
        before = self.things[here - 1].asset if here else None
        return before, self.things[here + 1].asset if here + 1 < len(ids) else None


def about(s: Session, asset: Asset, *, sealed: Collection[str] = ()) -> list[Entry]:
    """All cases about a thing, the newest first, but those of `sealed` services."""
    there = is_in(Case.cell, cells_around(Point(asset.lat, asset.lon), ABOUT_METRES))
    return _entries(s, _ENTRIES.where(Case.asset_id == asset.id, there), sealed)


def at(s: Session, place: Place, *, known: bool = True, sealed: Collection[str] = ()) -> list[Entry]:
    """All cases at an address, or within SPOT_METRES of it, the newest first; as about() says.

    Not `known`: no layer has the address, so nobody knows its spot, and only its words count.
    """
    near = select(Case.id, Case.lat, Case.lon).where(is_in(Case.cell, cells_around(place.point, SPOT_METRES)))
    spots = s.execute(near.order_by(Case.opened_at.desc()).limit(MOST)) if known else ()
    ids = {row.id for row in spots if flat_distance(place.point, Point(row.lat, row.lon)) <= SPOT_METRES}
    if place.label:
        ids.update(search.at(s, place.label, limit=MOST))
    return _entries(s, _ENTRIES.where(is_in(Case.id, sorted(ids))), sealed)


def things_at(s: Session, place: Place, *, limit: int) -> list[Asset]:
    """What stands within SPOT_METRES of an address, or has that very address; the nearest first."""
    cells = cells_around(place.point, ABOUT_METRES)
    found = s.scalars(select(Asset).where(is_in(Asset.cell, cells), Asset.retired_at.is_(None)))
    metres = {each: flat_distance(place.point, Point(each.lat, each.lon)) for each in found}
    there = [each for each in metres if metres[each] <= SPOT_METRES or each.address == place.label]
    return sorted(there, key=lambda each: (metres[each], each.number))[:limit]


def figures(entries: Sequence[Entry], *, now: datetime, zone: ZoneInfo) -> Figures:
    """What these cases come to. Years begin and end by the clocks of `zone`."""
    counted = [each for each in entries if each.counts]
    by_year = Counter(each.opened_at.astimezone(zone).year for each in counted)
    this_year = now.astimezone(zone).year
    first = min(by_year, default=None)
    shown = range(max(first or this_year, this_year - YEARS + 1), this_year + 1)
    years = [(year, by_year[year]) for year in shown]
    failures = sorted((each for each in counted if each.is_failure), key=lambda each: each.opened_at)
    since = now - AGAIN
    lately = [each for each in failures if each.opened_at >= since]
    kinds = Counter(tuple(sorted(each.service.items())) for each in lately)
    gap, gap_before = _gaps([each.opened_at for each in failures], since)
    return Figures(
        cases=len(counted),
        open=sum(each.state in OPEN for each in counted),
        first_year=first,
        this_year=by_year[this_year],
        years=years,
        older=len(counted) - sum(n for _year, n in years),
        gap=gap,
        gap_before=gap_before,
        lately=[(dict(names), n) for names, n in kinds.most_common()],
    )


def endings(s: Session, ids: Sequence[int]) -> dict[int, Ending]:
    """How these cases ended, by their ids; those that are missing have not, or without a word or a photo."""
    found: dict[int, dict[str, Any]] = {}
    closings = select(Closure.case_id, Closure.words, *_proof()).where(is_in(Closure.case_id, ids))
    for case_id, words, photos, photo in s.execute(closings.order_by(Closure.cycle)):
        found[case_id] = {"words": words, "photos": photos, "photo": photo}
    root = aliased(Case)
    merged = select(Case.id, root.number).join(root, root.id == Case.merged_into_id)
    for case_id, number in s.execute(merged.where(is_in(Case.id, ids), Case.state == MERGED)):
        found.setdefault(case_id, {})["into"] = number
    return {case_id: Ending(**told) for case_id, told in found.items()}


def last_photo(s: Session, ids: Collection[int]) -> tuple[str, datetime] | None:
    """The newest photo of these cases' reports and closings: its id, and when it came."""
    told = select(Photo.id, Photo.added_at).join(Report, Report.id == Photo.report_id)
    proven = select(Photo.id, Photo.added_at).join(Closure, Closure.id == Photo.closure_id)
    both = told.where(is_in(Report.case_id, ids), Photo.stored_at.is_not(None)).union_all(
        proven.where(is_in(Photo.case_id, ids), Photo.stored_at.is_not(None))
    )
    found = both.subquery()
    row = s.execute(select(found.c.id, found.c.added_at).order_by(found.c.added_at.desc()).limit(1)).first()
    return (row[0], row[1]) if row else None


def neighborhood(s: Session, asset: Asset, *, now: datetime, zone: ZoneInfo) -> Neighborhood:
    """What stands around a thing, of its own kind."""
    here = Point(asset.lat, asset.lon)
    cells = cells_around(here, NEAR_METRES)
    near = select(Asset).where(Asset.kind == asset.kind, is_in(Asset.cell, cells))
    metres = {
        each: flat_distance(here, Point(each.lat, each.lon))
        for each in s.scalars(near.where(Asset.retired_at.is_(None)))
        if each.id != asset.id
    }
    others = sorted((each for each in metres if metres[each] <= NEAR_METRES), key=lambda e: (metres[e], e.id))
    nearest = [asset, *others[:NEIGHBORS]]
    began = now.astimezone(zone).replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    is_open, is_new = Case.state.in_(OPEN), Case.state.not_in(UNCOUNTED) & (Case.opened_at >= began)
    asked = select(
        Case.asset_id,
        func.sum(when((is_open, 1), else_=0)),
        func.sum(when((is_new, 1), else_=0)),
        func.max(when((is_open, _PRESSING), else_=0)),
    )
    cells = cells_around(here, NEAR_METRES + ABOUT_METRES)
    asked = asked.where(
        is_in(Case.cell, cells), is_in(Case.asset_id, [asset.id, *(each.id for each in others)])
    )
    told = {row[0]: row[1:] for row in s.execute(asked.group_by(Case.asset_id))}
    things = [
        Neighbor(each, told[each.id][0], _STANDINGS[told[each.id][2]]) if each.id in told else Neighbor(each)
        for each in nearest
    ]
    usual = sum(told[each.id][1] for each in others if each.id in told) / len(others) if others else None
    ordered = sorted(things, key=lambda each: (in_figures(each.asset.number), each.asset.id))
    return Neighborhood(ordered, len(others), usual)


def times_so_far(s: Session, case: Case) -> int:
    """How many cases its thing had in the two years up to this one, itself included; 0 where it has none."""
    if case.asset is None or case.state in UNCOUNTED:
        return 0
    there = is_in(Case.cell, cells_around(Point(case.asset.lat, case.asset.lon), ABOUT_METRES))
    asked = select(func.count()).select_from(Case).where(there, Case.asset_id == case.asset_id)
    asked = asked.where(Case.opened_at.between(case.opened_at - AGAIN, case.opened_at))
    failed = Case.outcome.is_(None) | Case.outcome.not_in(NOTHING_FAILED)
    return s.scalar(asked.where(Case.state.not_in(UNCOUNTED), failed)) or 0


def in_figures(number: str) -> list[tuple[int, int, str]]:
    """A number in its parts, to sort by: 9 stands before 10, and 7 before 7A."""
    parts = re.findall(r"[0-9]{1,18}|[^\W0-9_]+", number.upper())
    return [(0, int(part), "") if part[0].isdecimal() else (1, 0, part) for part in parts]


_ENTRIES: Final = (
    select(Case.id, Case.state, Case.outcome, Case.opened_at, Service.names)
    .join(Service, Service.code == Case.service_code)
    .where(Case.state != UNDONE)
    .order_by(Case.opened_at.desc(), Case.id.desc())
)
_STANDINGS: Final = ("", "wait", "ok", "risk", "late")  # the later the more pressing
_PRESSING: Final = when(
    *((Case.standing == standing, n) for n, standing in enumerate(_STANDINGS) if standing), else_=0
)


def _entries(s: Session, asked: Select[Any], sealed: Collection[str]) -> list[Entry]:
    if sealed:  # where they lie is what nobody is to know
        asked = asked.where(Case.service_code.not_in(sorted(sealed)))
    return [Entry._make(row) for row in s.execute(asked.limit(MOST))]


def _proof() -> tuple[Any, Any]:
    """How many stored photos a closing has, and the id of the first."""
    # By the case too, of which photos have an index.
    here = Photo.case_id == Closure.case_id, Photo.closure_id == Closure.id, Photo.stored_at.is_not(None)
    first = select(Photo.id).where(*here).order_by(Photo.position, Photo.added_at).limit(1)
    return select(func.count(Photo.id)).where(*here).scalar_subquery(), first.scalar_subquery()


def _gaps(times: Sequence[datetime], since: datetime) -> tuple[timedelta | None, timedelta | None]:
    """The mean of the gaps that ended since then, and of those before; of all where none ended since."""
    gaps = [(later, later - earlier) for earlier, later in pairwise(times)]
    lately = [gap for ended, gap in gaps if ended >= since]
    before = [gap for ended, gap in gaps if ended < since]
    if not lately:
        return _mean(before), None
    return _mean(lately), _mean(before)


def _mean(gaps: Sequence[timedelta]) -> timedelta | None:
    return sum(gaps, timedelta()) / len(gaps) if gaps else None
