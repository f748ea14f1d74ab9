"""Which open cases may be the problem that somebody tells of: what lies near, is alike and recent, scored.

The score's numbers stand in duplicates.toml; docs/explanation/duplicates.md says how they were fitted and
what they are worth. Only what was known at the moment of the telling is used.
"""

import itertools
import math
import tomllib
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from city.cases import locks
from city.db.in_list import is_in
from city.db.models import Case, NotDuplicate, Service
from city.geo import Point, cells_around, flat_distance
from city.lifecycle import CLOSED, MERGED, OPEN
from city.places.lookup import Place

MOST: Final = 3  # offered at once: more is a list to read, not a question
MOST_LOOKED_AT: Final = (
    500  # the newest ones: a spot with thousands of cases must not hold up who tells there
)

_FILE: Final[dict[str, Any]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
_REACH: Final[dict[str, dict[str, float]]] = _FILE["reach"]
_BY_HAND: Final[dict[str, Any]] = _FILE["by_hand"]
OFFERED: Final[float] = _FILE["offer"]["least"]
MARKED: Final[float] = _FILE["offer"]["mark"]
CROWD_METRES: Final[float] = _BY_HAND["crowd_m"]
# The order of facts(); the first stands for a 1.
NAMES: Final = ("always", "far", "same_service", "same_group", "same_department", "age", "crowd", "often")
WEIGHTS: Final[tuple[float, ...]] = tuple(_FILE["fitted"][name] for name in NAMES)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is known of a problem when it is told. `often` is its service's, 1 where nothing is known."""

    service: str
    group: str
    department: str
    point: Point
    at: datetime
    accuracy_m: float | None = None
    source: str = "pin"
    asset_id: int | None = None
    often: float = 1.0


@dataclass(frozen=True, slots=True)
class Reach:
    """How far away and how long before or after something may be to be the same."""

    metres: float
    time: timedelta


class _Root(NamedTuple):
    id: int
    number: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """An open case that may be the same problem: how far away it was told of, and how likely it is (0 to 1).

    The likelihood is that of being named a duplicate by staff, who name fewer than there are.
    """

    case_id: int
    number: str
    metres: float
    likely: float
    plain: bool = False  # whether nobody need ask the table: see is_plain()

    @property
    def marked(self) -> bool:
        """Whether the board calls the two probably one problem."""
        return self.plain or self.likely >= MARKED


def candidates_near(
    s: Session,
    service_code: str,
    place: Place,
    *,
    at: datetime,
    later: bool = False,
    but: int | None = None,
    apart: Collection[int] = (),
    strangers: bool = True,
    least: float = OFFERED,
    limit: int = MOST,
) -> list[Candidate]:
    """The open cases that `service_code` at `place`, told at `at`, may repeat; the likeliest first.

    What was merged counts for the case it was merged into. With `later` what was told afterwards counts as
    well. The case `but` is never among them, nor those that were told `apart` from it. For `strangers`
    whatever they may not know in full, or could not join, is as if it were not there: private services,
    those whose place is coarsened, other groups.
    Two statements, and one more for each step of a chain of merges.
    """
    service = s.get(Service, service_code)
    if service is None or (strangers and _is_hidden(service)):
        return []
    asked = Problem(
        service.code, service.group, service.department_code, place.point, at, place.accuracy_m, place.source,
        place.asset_id, service.often,
    )  # fmt: skip
    rows = [row for row in _around(s, asked, later=later, strangers=strangers) if row.id != but]
    roots = _roots(s, asked, rows, strangers=strangers)
    told = {row.id: _problem(row) for row in rows}
    metres = {row.id: flat_distance(place.point, told[row.id].point) for row in rows}
    crowd = [row.id for row in rows if row.opened_at <= at and metres[row.id] <= CROWD_METRES]
    # What was told of the very same problem is no crowd beside it.
    own = Counter(roots[row_id].id for row_id in crowd if row_id in roots)
    best: dict[int, Candidate] = {}
    for row_id, root in roots.items():
        if root.id == but or root.id in apart or metres[row_id] > reach(asked.group).metres:
            continue
        other = told[row_id]
        found = Candidate(
            root.id, root.number, metres[row_id], likely(asked, other, len(crowd) - own[root.id]),
            is_plain(asked, other),
        )  # fmt: skip
        known = best.get(root.id)
        if (found.plain or found.likely >= least) and (known is None or _rank(found) < _rank(known)):
            best[root.id] = found
    return sorted(best.values(), key=_rank)[:limit]


def _rank(found: Candidate) -> tuple[Any, ...]:
    """What is plain goes first, then the likeliest."""
    return not found.plain, -found.likely, found.metres, -found.case_id


def candidates_for_case(
    s: Session, case: Case, *, later: bool = True, least: float = OFFERED, apart: Collection[int] = ()
) -> list[Candidate]:
    """near() for a case that is here, for staff; none where it is not open or nobody knows its place."""
    if case.state not in OPEN or case.lat is None or case.lon is None:
        return []
    place = Place(case.lat, case.lon, case.place_source, accuracy_m=case.accuracy_m, asset_id=case.asset_id)
    return candidates_near(
        s,
        case.service_code,
        place,
        at=case.opened_at,
        later=later,
        but=case.id,
        apart=apart,
        strangers=False,
        least=least,
    )


def flag_probable(s: Session, cases: Iterable[Case], *, apart: Collection[int] = ()) -> None:
    """Notes on each open case which earlier one it probably repeats, for the board's list to say so.

    None on what an import brought: those who told of it were not asked here, and there are thousands.
    """
    for case in cases:
        told_here = case.origin != "import"
        found = candidates_for_case(s, case, later=False, least=MARKED, apart=apart) if told_here else []
        case.twin_id = found[0].case_id if found else None


def flag_many(s: Session, cases: Collection[Case]) -> None:
    """flag_probable() for many cases, and what somebody told apart stays apart.

    Three statements for each locks.AT_ONCE of them, and one more for each step of a chain of merges.
    """
    s.flush()
    open_here = [
        case for case in cases if case.origin != "import" and case.state in OPEN and case.cell is not None
    ]
    found: dict[int, int] = {}
    for some in locks.parts(sorted(open_here, key=lambda case: (case.opened_at, case.id))):
        found |= _twins(s, some)
    for case in cases:
        case.twin_id = found.get(case.id)


def is_not_duplicate(s: Session, case: Case) -> set[int]:
    """The ids of the cases that somebody told apart from this one."""
    pairs = select(NotDuplicate).where(or_(NotDuplicate.case_id == case.id, NotDuplicate.other_id == case.id))
    return {pair.other_id if pair.case_id == case.id else pair.case_id for pair in s.scalars(pairs)}


def remember_not_duplicate(s: Session, case: Case, other: Case) -> bool:
    """Keeps that the two are two problems; False where it is known. The caller holds both.

    Either's mark gives way to the next likely one; who bore none gets none.
    """
    if _said_apart(s, case, other):
        return False
    first, second = sorted((case.id, other.id))
    s.add(NotDuplicate(case_id=first, other_id=second))
    s.flush()
    for one in (case, other):
        if one.twin_id:
            flag_probable(s, [one], apart=is_not_duplicate(s, one))
    return True


def forget_not_duplicate(s: Session, case: Case, other: Case) -> bool:
    """Forgets that the two were told apart; False where they were not. The caller holds both."""
    said = _said_apart(s, case, other)
    if said is None:
        return False
    s.delete(said)
    s.flush()
    return True


def refit_service_weights(s: Session) -> dict[str, float]:
    """Each service's often(), from the city's own merges. Goes through all ended cases."""
    ended = select(Case.service_code, func.count().filter(Case.state == MERGED), func.count()).where(
        Case.state.in_((CLOSED, MERGED))
    )
    counts = {code: (merged, all_) for code, merged, all_ in s.execute(ended.group_by(Case.service_code))}
    merged_in_all, ended_in_all = (sum(pair[n] for pair in counts.values()) for n in (0, 1))
    return {code: often(*pair, merged_in_all, ended_in_all) for code, pair in counts.items()}


def store_learned(s: Session, learned: Mapping[str, float]) -> None:
    """Notes for each service what was learned(), for near() to use."""
    for service in s.scalars(select(Service)):
        service.often = learned.get(service.code, 1.0)


def often(merged: int, ended: int, merged_in_all: int, ended_in_all: int) -> float:
    """How many times as often as all the city's cases a service's were merged; 1 where nothing is known.

    One merge is added to both sides: a city that merges nothing must not read that as "never twice".
    """
    expected = ended * merged_in_all / ended_in_all if ended_in_all else 0.0
    return (merged + 1) / (expected + 1)


def reach(group: str) -> Reach:
    """How far around a problem of this group is looked."""
    row = _REACH.get(group, _REACH["default"])
    return Reach(row["metres"], timedelta(days=row["days"]))


def likely(asked: Problem, other: Problem, crowd: int) -> float:
    """How likely staff would name the two one problem, 0 to 1.

    `crowd` is how many others were told at the spot of late: at a corner with many, being near says less.
    """
    weight = sum(w * fact for w, fact in zip(WEIGHTS, facts(asked, other, crowd), strict=True))
    if asked.asset_id and other.asset_id and asked.asset_id != other.asset_id:
        weight += _BY_HAND["other_asset"]
    return 1 / (1 + math.exp(-weight))


def is_plain(asked: Problem, other: Problem) -> bool:
    """Whether the two are of one service, told within a day, and no further apart than can be told apart.

    Two poles with numbers of their own never are.
    """
    unsure = math.hypot(_accuracy(asked), _accuracy(other))
    return (
        asked.service == other.service
        and abs(asked.at - other.at) <= timedelta(hours=_BY_HAND["plain"]["hours"])
        and not (asked.asset_id and other.asset_id and asked.asset_id != other.asset_id)
        and flat_distance(asked.point, other.point)
        <= min(max(unsure, _BY_HAND["plain"]["metres"]), _BY_HAND["blur_m"])
    )


def facts(asked: Problem, other: Problem, crowd: int) -> tuple[float, ...]:
    """What the score is made of, in the order of NAMES."""
    same = asked.service == other.service
    return (
        1.0,
        math.log1p(apart(asked, other) / 10),
        float(same),
        float(asked.group == other.group),
        float(asked.department == other.department),
        math.log1p(abs((asked.at - other.at).total_seconds()) / 3600),
        math.log1p(crowd),
        math.log(asked.often) if same else 0.0,
    )


def apart(asked: Problem, other: Problem) -> float:
    """Metres between the two, blurred by how well their places are known; 0 for the same pole.

    Badly known places draw every distance towards the blur: near then says less, and so does far.
    """
    if asked.asset_id and asked.asset_id == other.asset_id:
        return 0.0
    unsure = math.hypot(_accuracy(asked), _accuracy(other))
    measured = flat_distance(asked.point, other.point)
    return math.hypot(measured, unsure) / math.hypot(1.0, unsure / _BY_HAND["blur_m"])


def _accuracy(problem: Problem) -> float:
    if problem.accuracy_m is not None:
        return problem.accuracy_m
    return float(_BY_HAND["accuracy_m"].get(problem.source, _BY_HAND["blur_m"]))


def _said_apart(s: Session, case: Case, other: Case) -> NotDuplicate | None:
    return s.get(NotDuplicate, tuple(sorted((case.id, other.id))))


def _is_hidden(service: Service) -> bool:
    return service.private or service.precision_m > 0


class _Spot:
    """What was told around the place of an asked problem, in the order of time, for all who ask there.

    Of what is alike but for its time only the nearest in time can be the likeliest: `kinds` says what is.
    What was merged, and what it was merged into, is looked at one by one: `families`.
    """

    def __init__(self, asked: Problem, rows: Sequence[Any], roots: Mapping[int, _Root]) -> None:
        self.asked, self.rows, self.roots = asked, rows, roots
        self.within = reach(asked.group)
        self.times = [row.opened_at for row in rows]
        self.at = {row.id: n for n, row in enumerate(rows)}
        self.told = [_problem(row) for row in rows]
        self.metres = [flat_distance(asked.point, each.point) for each in self.told]
        close = [metres <= CROWD_METRES for metres in self.metres]
        self.close, self.crowd = close, [0, *itertools.accumulate(close)]
        merged = {roots[row.id].id for row in rows if row.id in roots and roots[row.id].id != row.id}
        near = [n for n, row in enumerate(rows) if row.id in roots and self.metres[n] <= self.within.metres]
        self.families = [n for n in near if roots[rows[n].id].id in merged]
        self.own = [n for n, row in enumerate(rows) if row.id in roots and roots[row.id].id in merged]
        self.kinds = {
            n: (replace(self.told[n], at=asked.at), close[n])
            for n in near
            if roots[rows[n].id].id not in merged
        }
        self.most_kinds = len(set(self.kinds.values()))

    def best(self, case: Case, apart: Collection[int]) -> Candidate | None:
        """The first of candidates_for_case(), as flag_probable() asks for them."""
        asked = replace(self.asked, at=case.opened_at)
        end = bisect_right(self.times, asked.at)
        start = max(bisect_left(self.times, asked.at - self.within.time), end - MOST_LOOKED_AT)
        here = self.at.get(case.id, -1)
        crowd = self.crowd[end] - self.crowd[start]
        crowd -= start <= here < end and self.close[here]
        own = Counter(
            self.roots[self.rows[n].id].id
            for n in self.own
            if start <= n < end and n != here and self.close[n]
        )
        found = []
        for n in self._looked_at(start, end, case.id, apart):
            root = self.roots[self.rows[n].id]
            others = crowd - (own[root.id] or int(self.close[n]))
            one = Candidate(
                root.id, root.number, self.metres[n], likely(asked, self.told[n], others),
                is_plain(asked, self.told[n]),
            )  # fmt: skip
            if one.marked:
                found.append(one)
        return min(found, key=_rank, default=None)

    def _looked_at(self, start: int, end: int, but: int, apart: Collection[int]) -> Iterator[int]:
        for n in self.families:
            if start <= n < end and self._may_be(n, but, apart):
                yield n
        seen = set[Any]()
        for n in range(end - 1, start - 1, -1):
            if len(seen) == self.most_kinds:
                return
            kind = self.kinds.get(n)
            if kind is not None and kind not in seen and self._may_be(n, but, apart):
                seen.add(kind)
                yield n

    def _may_be(self, n: int, but: int, apart: Collection[int]) -> bool:
        root = self.roots[self.rows[n].id]
        return self.rows[n].id != but and root.id != but and root.id not in apart


def _twins(s: Session, cases: Sequence[Case]) -> dict[int, int]:
    """Which earlier case each of these open ones probably repeats, by its id; they are in order of time."""
    asked = {case.id: _as_asked(case) for case in cases}
    first = cases[0].opened_at
    spots: dict[Problem, list[Case]] = {}
    for case in cases:
        spots.setdefault(replace(asked[case.id], at=first), []).append(case)
    cells = {spot: cells_around(spot.point, reach(spot.group).metres) for spot in spots}
    longest = max(reach(spot.group).time for spot in spots)
    rows = s.execute(
        _told()
        .where(
            is_in(Case.cell, set().union(*cells.values())),
            Case.opened_at.between(first - longest, cases[-1].opened_at),
        )
        .order_by(Case.opened_at, Case.id)
    ).all()
    by_cell: dict[str, list[tuple[int, Any]]] = {}
    for n, row in enumerate(rows):
        by_cell.setdefault(row.cell, []).append((n, row))
    roots = _roots(s, asked[cases[0].id], rows, strangers=False)
    apart = _all_apart(s, list(asked))
    found: dict[int, int] = {}
    for spot, theirs in spots.items():
        near = sorted((each for cell in cells[spot] for each in by_cell.get(cell, ())), key=itemgetter(0))
        around = _Spot(spot, [row for _n, row in near], roots)
        for case in theirs:
            if best := around.best(case, apart.get(case.id, ())):
                found[case.id] = best.case_id
    return found


def _as_asked(case: Case) -> Problem:
    service = case.service
    assert case.lat is not None and case.lon is not None  # noqa: S101, PT018 it has a cell
    return Problem(
        service.code, service.group, service.department_code, Point(case.lat, case.lon), case.opened_at,
        case.accuracy_m, case.place_source, case.asset_id, service.often,
    )  # fmt: skip


def _all_apart(s: Session, ids: Sequence[int]) -> dict[int, set[int]]:
    """The cases that somebody told apart from each of these."""
    pairs = s.execute(
        select(NotDuplicate.case_id, NotDuplicate.other_id).where(
            or_(is_in(NotDuplicate.case_id, ids), is_in(NotDuplicate.other_id, ids))
        )
    )
    found: dict[int, set[int]] = {}
    for one, other in pairs:
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return found


def _told() -> Select[*tuple[Any, ...]]:
    """What is known of every case, in whatever state, for _problem()."""
    return (
        select(
            Case.id, Case.number, Case.state, Case.merged_into_id, Case.service_code, Service.group,
            Service.department_code, Case.lat, Case.lon, Case.opened_at, Case.accuracy_m,
            Case.place_source, Case.asset_id, Case.cell,
        )
        .join(Service, Service.code == Case.service_code)
    )  # fmt: skip


def _around(s: Session, asked: Problem, *, later: bool, strangers: bool) -> Sequence[Any]:
    """All cases told around there in that time, in whatever state; by the index over cell and time."""
    within = reach(asked.group)
    rows = _told().where(
        Case.cell.in_(cells_around(asked.point, within.metres)),
        Case.opened_at.between(asked.at - within.time, asked.at + within.time if later else asked.at),
    )
    if strangers:
        rows = rows.where(_is_open_to_strangers(asked.group))
    return s.execute(rows.order_by(Case.opened_at.desc(), Case.id.desc()).limit(MOST_LOOKED_AT)).all()


def _is_open_to_strangers(group: str) -> ColumnElement[bool]:
    return Service.private.is_(False) & (Service.precision_m == 0) & (Service.group == group)


def _roots(s: Session, asked: Problem, rows: Sequence[Any], *, strangers: bool) -> dict[int, _Root]:
    """The open case that each row stands for, by the row's id: itself, or what it was merged into."""
    found = {row.id: _Root(row.id, row.number) for row in rows if row.state in OPEN}
    into = {row.id: row.merged_into_id for row in rows if row.state == MERGED}
    while into:
        wanted = select(Case.id, Case.number, Case.state, Case.merged_into_id).where(
            is_in(Case.id, set(into.values()))
        )
        if strangers:
            wanted = wanted.join(Service).where(_is_open_to_strangers(asked.group))
        parents = {row.id: row for row in s.execute(wanted)}
        further: dict[int, int] = {}
        for case_id, parent_id in into.items():
            parent = parents.get(parent_id)
            if parent and parent.state in OPEN:
                found[case_id] = _Root(parent.id, parent.number)
            elif parent and parent.state == MERGED:
                further[case_id] = parent.merged_into_id
        into = further
    return found


def _problem(row: Any) -> Problem:
    return Problem(
        row.service_code, row.group, row.department_code, Point(row.lat, row.lon), row.opened_at,
        row.accuracy_m, row.place_source, row.asset_id,
    )  # fmt: skip
