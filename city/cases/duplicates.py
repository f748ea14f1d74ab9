"""Which open cases may be the problem that somebody tells of: what lies near, is alike and recent, scored.

The score's numbers stand in duplicates.toml; docs/explanation/duplicates.md says how they were fitted and
what they are worth. Only what was known at the moment of the telling is used.
"""

import math
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

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
    """candidates_near() for a case that is here, for staff; none where it is not open, or lies nowhere."""
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
    """Notes for each service what refit_service_weights() found, for candidates_near() to use."""
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


def _around(s: Session, asked: Problem, *, later: bool, strangers: bool) -> Sequence[Any]:
    """All cases told around there in that time, in whatever state; by the index over cell and time."""
    within = reach(asked.group)
    rows = (
        select(
            Case.id, Case.number, Case.state, Case.merged_into_id, Case.service_code, Service.group,
            Service.department_code, Case.lat, Case.lon, Case.opened_at, Case.accuracy_m,
            Case.place_source, Case.asset_id,
        )
        .join(Service, Service.code == Case.service_code)
        .where(
            Case.cell.in_(cells_around(asked.point, within.metres)),
            Case.opened_at.between(asked.at - within.time, asked.at + within.time if later else asked.at),
        )
    )  # fmt: skip
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
            Case.id.in_(set(into.values()))
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
