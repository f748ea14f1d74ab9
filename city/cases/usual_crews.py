"""The usual crew of each of many cases: the one the routing rules name, else its department's only one."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.config import routing
from city.config.routing import Route, Rule
from city.db.models import Area, Crew, Service
from city.geo import Point, inside


class Placed(Protocol):
    """What a rule needs to know of a case."""

    @property
    def id(self) -> int: ...
    @property
    def service_code(self) -> str: ...
    @property
    def lat(self) -> float | None: ...
    @property
    def lon(self) -> float | None: ...


def of(
    s: Session,
    rules: Sequence[Rule],
    services: Iterable[Service],
    crews: Sequence[Crew],
    cases: Iterable[Placed],
) -> dict[int, Crew]:
    """The usual crew of each case, by the case's id; none of an office's, and none where several would do.

    The areas that the rules ask for are read once, and not at all where they ask for none.
    """
    cases, known = list(cases), {service.code: service for service in services}
    asked = {
        code: _asked(rules, known[code]) for code in {case.service_code for case in cases} & known.keys()
    }
    names = set[str]().union(*asked.values())
    shapes = list(s.execute(select(Area.name, Area.geometry).where(Area.name.in_(names)))) if names else []
    found = {}
    for case in cases:
        service = known.get(case.service_code)
        if service is None or service.office:
            continue
        areas = list[str]()
        if asked[service.code] and case.lat is not None and case.lon is not None:
            place = Point(case.lat, case.lon)
            areas = [name for name, shape in shapes if name in asked[service.code] and inside(place, shape)]
        route = routing.match(rules, service.code, service.group, areas) or Route(
            service.department_code, None
        )
        if crew := routing.usual(crews, route):
            found[case.id] = crew
    return found


def _asked(rules: Sequence[Rule], service: Service) -> set[str]:
    return routing.areas_asked(rules, service.code, service.group)
