"""Reads of the dispatcher's board: what a view asks, a page of its queue, its counts and its places."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import String, UnaryExpression, and_, bindparam, cast, func, literal, select, tuple_
from sqlalchemy import case as when
from sqlalchemy.orm import Session, aliased, joinedload
from sqlalchemy.sql.operators import custom_op

from city.board import rows as queue_rows
from city.board.rows import Row
from city.cases import search as case_search
from city.cases.board_index import CELL_ALL, CELL_DESK_WORK, CELL_NO_LOCATION, ENDED, URGENT
from city.db.in_list import is_in
from city.db.models import (
    Area,
    Case,
    CaseTag,
    CaseWords,
    Crew,
    MapCellCount,
    Report,
    Service,
    UtcDateTime,
)
from city.lifecycle import CLOSED, MERGED, OPEN, REPLIED, STATES, WAIT_OVER
from city.places.areas import KINDS

ROWS = 50  # a page of the queue
COUNTED = 10_000  # what is kept in no count is counted so far
MARKED = 1_000  # and so far on every page what somebody must look at
# So many cases with the words are fetched and sorted; of more, enough stand among the first of the queue.
FEW = 3_000
# Written into the statement: an index over open cases alone is used where it says that it asks for those.
_ENDED: Final = literal(ENDED, literal_execute=True)
_NO_CELL: Final = literal(0, literal_execute=True)
# What was merged is looked at with the case that it went into.
_TO_LOOK_AT: Final = {
    "yes": and_(Case.review.is_not(None), Case.review.not_in((WAIT_OVER, REPLIED)), Case.state != MERGED),
    "reply": and_(Case.review == REPLIED, Case.state != MERGED),
    "hold": and_(Case.review == WAIT_OVER, Case.state != MERGED),
}
STANDINGS = ("late", "risk", "ok", "wait")
# What no kept count knows: who asks for it has every case looked at.
UNCOUNTED = frozenset(("age", "since", "until", "tag", "words", "review", "department", "channel"))
SORTS = ("pressing", "newest", "oldest", "number", "street", "kind")


@dataclass(frozen=True)
class View:
    """A question to the queue, as the board's address carries it: all of it text, and "" asks nothing."""

    state: str = ""  # a state, or "" for all open
    standing: str = ""  # ok, risk, late, wait
    group: str = ""
    service: str = ""
    crew: str = ""  # a crew's id, "none", or ""
    area: str = ""  # a neighborhood's id
    place: str = ""  # "none": only cases whose place nobody knows, though they have one
    work: str = ""  # "office": only what is no field work
    # "yes": only cases that somebody must look at, ended ones too; "hold": those that came back from a wait.
    review: str = ""
    age: str = ""  # opened at least so many days ago
    since: str = ""  # opened on this day of the city or later, as 2026-11-30
    until: str = ""  # opened on this day or before
    department: str = ""  # a department's code
    channel: str = ""  # some report came by it: "web", "phone", …
    tag: str = ""  # a word that staff put on it
    words: str = ""  # number, street, pole, people or words
    sort: str = ""  # one of SORTS, danger first in each; "" is pressing, of ended cases the last that ended
    after: str = ""  # where the page begins, as Page.next says it
    # In which its days begin: the city's, and no part of the question.
    zone: str = field(default="UTC", compare=False)
    # Private services whose cases whoever asks may count and not read; no part of the question either.
    sealed: tuple[str, ...] = field(default=(), compare=False)

    @property
    def live(self) -> bool | None:
        """Whether it asks for open cases or ended ones; None for both."""
        if self.state:
            return self.state in OPEN
        return None if self.review else True

    @property
    def asked(self) -> dict[str, str]:
        """What it asks, by its fields' names, and where its page begins."""
        return {
            name: value for name, value in asdict(self).items() if value and name not in ("zone", "sealed")
        }

    @property
    def may_tell(self) -> bool:
        """Whether that a case is found tells something of what was written on it, or of where it is."""
        return bool(self.words or self.tag or self.area or self.channel or self.sort == "street")

    @property
    def whole(self) -> "View":
        """The view from its beginning."""
        return replace(self, after="")


@dataclass(frozen=True)
class Page:
    """A page of a queue. `first` is the place of its first case in the queue, counted from 1.

    `next` and `previous` are what View.after says of the pages beside it, "" where there is none.
    """

    rows: list[Row]
    first: int
    next: str
    previous: str
    strayed: bool = False  # View.after was no place in this queue: this is its beginning


@dataclass(frozen=True)
class Total:
    """How many cases there are; `more` where they were counted no further."""

    n: int
    more: bool = False


def queue(s: Session, view: View, *, now: datetime, limit: int = 0) -> Page:
    """A page of the cases of a view, ROWS unless `limit` says: no slower than the first, however far down."""
    sort, limit = _sort(view), limit or ROWS
    told = sort.read(view.after)
    back = told.back if told else False
    found = _found(s, view)
    keys = found.unordered(sort.keys)
    by_street = sort.name == "street"
    met = conditions(s, view, now, found, in_order=True, by_rank=not by_street)
    asked = select(sort.part, *sort.keys)
    if by_street:
        asked = asked.join(CaseWords, CaseWords.case_id == Case.id)
        if view.live is not None:
            met.append(CaseWords.open if view.live else ~CaseWords.open)
    down = sort.down != back
    asked = asked.where(*met).order_by(*(key.desc() if down else key for key in keys))
    places = list[Any]()
    for part in sort.parts(told):
        these = asked.where(*sort.lies_in(part))
        if told and told.part == part:
            here = tuple_(*(literal(value, key.type) for value, key in zip(told.key, sort.keys, strict=True)))
            these = these.where(tuple_(*keys) < here if down else tuple_(*keys) > here)
        places += s.execute(these.limit(limit + 1 - len(places))).all()
        if len(places) > limit:
            break
    more, places = len(places) > limit, places[:limit]
    if back:
        places = places[::-1]
    first = told.place + 1 if told else 1
    if told and back:
        first = max(1, told.place - len(places) + 1)
    has_next, has_previous = (True, more) if back else (more, told is not None)
    return Page(
        queue_rows.of_ids(s, [place[-1] for place in places], sealed=view.sealed),
        first,
        next=_place(places[-1], first + len(places) - 1) if places and has_next else "",
        previous=_place(places[0], first - 1, back=True) if places and has_previous else "",
        strayed=bool(view.after) and told is None,
    )


def all_rows(s: Session, view: View, *, now: datetime, at_once: int = 1000) -> Iterator[list[Row]]:
    """All cases of a view, from its beginning, page by page."""
    view = view.whole
    while True:
        page = queue(s, view, now=now, limit=at_once)
        yield page.rows
        if not page.next:
            return
        view = replace(view, after=page.next)


def count(s: Session, view: View, *, now: datetime) -> int:
    """How many cases a view holds, exactly, however many they are."""
    if (kept := tally(s, services(s)).of(view)) is not None:
        return kept
    return s.scalar(select(func.count()).select_from(Case).where(*conditions(s, view, now))) or 0


def filter_ids(s: Session, view: View, ids: Sequence[int], *, now: datetime) -> list[tuple[int, str, bool]]:
    """Of these cases the id, the number, and whether a view holds it."""
    held = when((and_(*conditions(s, view, now, in_order=True)), True), else_=False)
    asked = select(Case.id, Case.number, held).where(Case.id.in_(ids), Case.state.in_(list(STATES)))
    return [(row[0], row[1], bool(row[2])) for row in s.execute(asked.order_by(Case.id))]


def counts(s: Session, views: Sequence[View], kept: "Tally", *, now: datetime) -> list[Total]:
    """How many cases each view holds: exactly where that is kept, otherwise counted as far as people read it.

    One statement for all that must be counted, beside those that look for words.
    """
    found: dict[View, Total] = {}
    asked: dict[View, Any] = {}
    for view in dict.fromkeys(views):
        if (total := kept.total(view)) is not None:
            found[view] = total
            continue
        words = _found(s, view)
        if (
            view.words
            and not view.sealed
            and view == View(words=view.words, sort=view.sort, after=view.after)
        ):
            found[view] = _total(words.n, FEW)
            continue
        some = select(Case.id).where(*conditions(s, view, now, words)).limit(COUNTED + 1).subquery()
        asked[view] = select(func.count()).select_from(some).scalar_subquery()
    if asked:
        counted = s.execute(select(*asked.values())).one()
        found |= {view: _total(n, COUNTED) for view, n in zip(asked, counted, strict=True)}
    return [found[view] for view in views]


def conditions(
    s: Session,
    view: View,
    now: datetime,
    found: "_Found | None" = None,
    *,
    in_order: bool = False,
    by_rank: bool = True,
) -> list[Any]:
    """The conditions that a case of this view meets; those of open cases as their small indexes have them.

    Without `by_rank` none of these indexes is used: SQLite would go through all of one to sort by another.
    """
    met: list[Any] = []
    if view.may_tell:
        met += readable(view)
    if view.state:
        met.append(Case.state == view.state)
    if view.live and by_rank:
        met.append(Case.rank < _ENDED)
    elif view.live is False and by_rank:
        met.append(Case.rank == _ENDED)
    if view.review:
        met.append(_TO_LOOK_AT[view.review])
    if view.standing:
        met.append(Case.standing == view.standing)
    if view.group:
        met.append(Case.service_code.in_(select(Service.code).where(Service.group == view.group)))
    if view.service:
        met.append(Case.service_code == view.service)
    if view.crew:
        met += (
            [Case.crew_id.is_(None), ~of_offices()]
            if view.crew == "none"
            else [Case.crew_id == int(view.crew)]
        )
    if view.area:
        met.append(Case.area_id == int(view.area))
    if view.place:
        met += [Case.quad.is_(None), ~of_offices()]
    if view.work:
        met.append(of_offices())
    if view.age:
        met.append(Case.opened_at <= now - timedelta(days=int(view.age)))
    if view.since:
        met.append(Case.opened_at >= _begins(view.since, view.zone))
    if view.until:
        met.append(Case.opened_at < _begins(view.until, view.zone, after=1))
    if view.department:
        theirs = select(Service.code).where(Service.department_code == view.department)
        met.append(Case.service_code.in_(theirs))
    if view.channel:
        told = select(Report.id).where(Report.case_id == Case.id, Report.channel == view.channel)
        met.append(told.exists())
    if view.tag:
        met.append(select(CaseTag.tag).where(CaseTag.case_id == Case.id, CaseTag.tag == view.tag).exists())
    if view.words and view.sealed:  # a case is found by what was merged into it as well
        met.append(Case.id.not_in(_roots_of_sealed(view.sealed)))
    if view.words:
        met.append((found or _found(s, view)).condition(in_order=in_order))
    return met


def _roots_of_sealed(sealed: Sequence[str]) -> Any:
    """The ids of the cases into which one of these services was merged, however many merges lie between."""
    into = (
        select(Case.merged_into_id.label("id"))
        .where(Case.service_code.in_(sealed), Case.merged_into_id.is_not(None))
        .cte("roots_of_sealed", recursive=True)
    )
    further = aliased(Case)
    beyond = select(further.merged_into_id).join(into, further.id == into.c.id)
    into = into.union(beyond.where(further.merged_into_id.is_not(None)))
    return select(into.c.id)


def readable(view: View) -> list[Any]:
    """The condition of a case that whoever asks may read; none where that is all."""
    return [Case.service_code.not_in(view.sealed)] if view.sealed else []


def _begins(day: str, zone: str, *, after: int = 0) -> datetime:
    """When a day begins on the city's clocks, or one so many days later."""
    begins = datetime.combine(date.fromisoformat(day) + timedelta(days=after), time(), ZoneInfo(zone))
    return begins.astimezone(UTC)


def of_offices() -> Any:
    """Whether a case is an office's, which lies nowhere and is nobody's in the field."""
    return Case.service_code.in_(select(Service.code).where(Service.office))


@dataclass(frozen=True)
class Tally:
    """The kept counts without their cells: how many open cases there are by one thing, and how they stand.

    `counts` by facet, value, cell (all together or one of those that are none), and standing; `services` of
    each group of them;
    `marked`, what somebody must look at, is counted and not kept.
    """

    counts: dict[tuple[str, str, int, str], int]
    services: dict[str, list[str]]
    marked: dict[str, Total]  # by View.review

    def total(self, view: View) -> Total | None:
        """How many cases a view holds, and whether there are more; None where that is not kept."""
        if view.review and view.whole == View(review=view.review, sort=view.sort):
            return self.marked[view.review]
        return None if (n := self.of(view)) is None else Total(n)

    def of(self, view: View) -> int | None:
        """How many open cases a view holds; None where that is not kept."""
        asked = [
            (facet, value)
            for facet, value in (
                ("state", view.state), ("service", view.service), ("crew", view.crew), ("area", view.area),
                ("group", view.group),
            )
            if value
        ]  # fmt: skip
        if not view.live or UNCOUNTED & view.asked.keys() or len(asked) > 1:
            return None
        if view.place and view.work:
            return 0
        facet, value = asked[0] if asked else ("all", "")
        values = self.services.get(value, []) if facet == "group" else [value]
        if facet == "group":
            facet = "service"
        standings = [view.standing] if view.standing else STANDINGS
        cell = CELL_NO_LOCATION if view.place else CELL_DESK_WORK if view.work else CELL_ALL
        return sum(
            self.counts.get((facet, each, cell, standing), 0) for each in values for standing in standings
        )


def tally(s: Session, services: Sequence[Service]) -> Tally:
    """The counts of all lists that want no map: as many rows as there are things, not cases."""
    told = s.execute(_TALLY, {"most": MARKED + 1})
    counts = {(facet, value, quad, standing): n for facet, value, quad, standing, n in told}
    marked = {review: _total(counts.pop(("marked", review, CELL_ALL, "")), MARKED) for review in _TO_LOOK_AT}
    groups: dict[str, list[str]] = defaultdict(list)
    for service in services:
        groups[service.group].append(service.code)
    return Tally(counts, groups, marked)


def services(s: Session) -> list[Service]:
    """Every service in the city's order, also those that came with an import."""
    return list(s.scalars(_SERVICES))


def crews(s: Session) -> list[Crew]:
    """Every crew by name."""
    return list(s.scalars(_CREWS))


def areas_and_tags(s: Session, *, sealed: Sequence[str] = ()) -> tuple[dict[str, str], list[str]]:
    """The names of the areas in which cases are counted, by their ids; and every tag that a case bears.

    Without the tags that only cases of `sealed` services bear.
    """
    told = s.execute(_areas_and_tags(sealed) if sealed else _AREAS_AND_TAGS).all()
    return {row.id: row.name for row in told if row.id}, [row.name for row in told if not row.id]


def _areas_and_tags(sealed: Sequence[str]) -> Any:
    tags = select(literal("").label("id"), CaseTag.tag.label("name")).distinct()
    if sealed:
        tags = tags.join(Case, Case.id == CaseTag.case_id).where(Case.service_code.not_in(sealed))
    areas = select(cast(Area.id, String).label("id"), Area.name).where(Area.kind.in_(KINDS))
    return areas.union_all(tags).order_by("name", "id")


# Asked for every page, so they are made once.
_SERVICES: Final = (
    select(Service).options(joinedload(Service.department)).order_by(Service.position, Service.code)
)
_CREWS: Final = select(Crew).order_by(Crew.name)
_TALLY: Final = (
    select(MapCellCount.facet, MapCellCount.value, MapCellCount.quad, MapCellCount.standing, MapCellCount.n)
    .where(MapCellCount.quad < _NO_CELL, MapCellCount.n > 0)
    .union_all(
        *(
            select(
                literal("marked"), literal(review), literal(CELL_ALL), literal(""), func.count()
            ).select_from(select(Case.id).where(met).limit(bindparam("most")).subquery())
            for review, met in _TO_LOOK_AT.items()
        )
    )
)
_AREAS_AND_TAGS: Final = _areas_and_tags(())


def _total(n: int, most: int) -> Total:
    return Total(min(n, most), more=n > most)


class _Found:
    """What the words of a view find, looked up once."""

    def __init__(self, s: Session, view: View) -> None:
        self.s, self.live = s, view.live
        self.sought = case_search.terms(view.words)
        self.few: list[int] | None = None
        self.n = 0  # how many there are, counted to one more than FEW
        if not self.sought:
            self.few = [] if view.words else None  # signs alone find nothing
        elif self.live is not None:
            some = list(s.scalars(case_search.ids(s, self.sought, live=self.live).limit(FEW + 1)))
            self.few, self.n = some if len(some) <= FEW else None, len(some)

    def condition(self, *, in_order: bool) -> Any:
        """What a case of them meets; `in_order` where the first of an order are asked for, of very many."""
        if self.few is not None:
            return is_in(Case.id, self.few)
        if in_order or self.live is None:
            return case_search.matches(self.sought)
        return Case.id.in_(case_search.ids(self.s, self.sought, live=self.live))

    def unordered(self, keys: Sequence[Any]) -> list[Any]:
        """The keys of an order by which SQLite does not go through all cases to find these few."""
        if self.few is None or self.s.get_bind().dialect.name != "sqlite":
            return list(keys)
        return [UnaryExpression(keys[0], operator=custom_op("+")), *keys[1:]]


def _found(s: Session, view: View) -> _Found:
    """What its words find. A session asks once: the index changes as transactions end, and not before."""
    known: dict[tuple[str, bool | None], _Found] = s.info.setdefault("found", {})
    key = view.words, view.live
    if key not in known:
        known[key] = _Found(s, view)
    return known[key]


@dataclass(frozen=True)
class _Told:
    """A place in a queue: behind the case with this key in its part, or with `back` before it; `place` lie
    before it."""

    back: bool
    place: int
    part: int
    key: list[Any]


@dataclass(frozen=True)
class _Sort:
    """An order of the queue, all of whose keys go up or `down`; the last one tells any two cases apart.

    Danger comes first in each. Where no key says so, `by_danger`, it is a part of its own before all others:
    two short looks into the indexes that are there, since in one order keys cannot go both up and down.
    """

    name: str
    keys: tuple[Any, ...]
    down: bool = False
    by_danger: bool = True

    @property
    def part(self) -> Any:
        """In which part a case lies, as a column: 0 for danger, or all of them."""
        return when((Case.rank > URGENT, 1), else_=0) if self.by_danger else literal(0)

    def parts(self, told: "_Told | None") -> list[int]:
        """The parts from a place on, in the direction in which it looks."""
        if not self.by_danger:
            return [0]
        if told and told.back:
            return [1, 0][1 - told.part :]
        return [0, 1][told.part if told else 0 :]

    def lies_in(self, part: int) -> list[Any]:
        """The conditions of a part's cases. Of those without danger no index by rank may be used: they are
        nearly all, and it would lead through them in another order."""
        if not self.by_danger:
            return []
        rank = UnaryExpression(Case.rank.expression, operator=custom_op("+"), type_=Case.rank.type)
        return [rank > URGENT] if part else [Case.rank == URGENT]

    def read(self, after: str) -> _Told | None:
        """The place that View.after names; None where that is none in this order."""
        try:
            told = json.loads(urlsafe_b64decode(after + "=" * (-len(after) % 4)))
            back, place, part, *values = told
            if len(values) != len(self.keys) or back not in (0, 1) or type(place) is not int:
                return None
            if type(part) is not int or part not in self.parts(None):
                return None
            if not 0 <= place < 2**40:
                return None
            key = [_typed(column, value) for column, value in zip(self.keys, values, strict=True)]
        except (ValueError, TypeError, OverflowError):
            return None
        return _Told(bool(back), place, part, key)


def _place(key: Sequence[Any], place: int, *, back: bool = False) -> str:
    """What View.after says of the place behind the case with this key, or before it."""
    told = [int(back), place, *(_plain(value) for value in key)]
    return urlsafe_b64encode(json.dumps(told, separators=(",", ":")).encode()).decode().rstrip("=")


def _sort(view: View) -> _Sort:
    if view.live is False and not view.sort:
        return _LAST_CLOSED if view.state == CLOSED else _SORTS["newest"]
    return _SORTS.get(view.sort, _SORTS["pressing"])


_SORTS: Final = {
    sort.name: sort
    for sort in (
        _Sort("pressing", (Case.rank, Case.due_at, Case.id), by_danger=False),
        _Sort("newest", (Case.opened_at, Case.id), down=True),
        _Sort("oldest", (Case.opened_at, Case.id)),
        _Sort("number", (Case.number, Case.id)),
        _Sort("street", (CaseWords.street, Case.id)),
        _Sort("kind", (Case.service_code, Case.rank, Case.due_at, Case.id)),
    )
}
_LAST_CLOSED: Final = _Sort("closed", (Case.closed_at, Case.id), down=True, by_danger=False)


_BEGAN = datetime(1970, 1, 1, tzinfo=UTC)


def _plain(value: Any) -> Any:
    return (value - _BEGAN) // timedelta(microseconds=1) if isinstance(value, datetime) else value


def _typed(column: Any, value: Any) -> Any:
    """A value of a key as its column has it; ValueError where it can be none."""
    if isinstance(column.type, String):
        if not isinstance(value, str) or "\0" in value:
            raise ValueError(value)
        value.encode()  # half of a pair, as JSON may spell one, is no letter: a ValueError too
        return value
    most = 2**15 if column is Case.rank else 2**63
    if type(value) is not int or not -most <= value < most:
        raise ValueError(value)
    return _BEGAN + timedelta(microseconds=value) if isinstance(column.type, UtcDateTime) else value
