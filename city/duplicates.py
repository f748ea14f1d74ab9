"""Near, alike and open: cases that may be the one somebody is about to report."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.geo import Point, box_around, distance
from city.lifecycle import OPEN
from city.schema import Case, Service

# Distance alone over-merges: the next pole is another case. 50 m only decides what a person is shown.
NEAR_METRES = 50.0


@dataclass(frozen=True)
class Candidate:
    """A case that may be the same problem, and how far away it is in metres."""

    case: Case
    metres: float


def near(
    s: Session, service_code: str, point: Point, *, but: int | None = None, limit: int = 3
) -> list[Candidate]:
    """Open cases of the same service within 50 m, nearest first; never the case `but`."""
    box = box_around(point, NEAR_METRES)
    rows = s.scalars(
        select(Case)
        .join(Service, Service.code == Case.service_code)
        .where(
            Case.service_code == service_code,
            Case.state.in_(OPEN),
            Case.lat.between(box.south, box.north),
            Case.lon.between(box.west, box.east),
        )
    )
    found = [
        Candidate(case, distance(point, Point(case.lat, case.lon)))
        for case in rows
        if case.id != but and case.lat is not None and case.lon is not None
    ]
    return sorted((c for c in found if c.metres <= NEAR_METRES), key=lambda c: (c.metres, c.case.id))[:limit]
