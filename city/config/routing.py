"""Which department and crew a case goes to: rules in order, the first that fits decides. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

OTHER = 2  # the rank of a crew that no rule and no department names


class Crew(Protocol):
    """What a rule needs to know of a crew."""

    name: str
    department_code: str | None


C = TypeVar("C", bound=Crew)


@dataclass(frozen=True)
class Rule:
    """What must fit (empty: anything does), and where such a case goes. `area` and `crew` are names."""

    department: str
    crew: str = ""
    group: str = ""
    service: str = ""
    area: str = ""


class Route(NamedTuple):
    """A department's code and, where the rule names one, a crew."""

    department: str
    crew: str | None


def match(rules: Sequence[Rule], service: str, group: str, areas: Collection[str]) -> Route | None:
    """Where a case of this service, group and these areas goes; None where no rule fits."""
    for rule in rules:
        if _fits(rule, service, group) and rule.area in ("", *areas):
            return Route(rule.department, rule.crew or None)
    return None


def areas_asked(rules: Sequence[Rule], service: str, group: str) -> set[str]:
    """The areas that the answer may depend on: the only ones that a caller has to look up."""
    return {rule.area for rule in rules if rule.area and _fits(rule, service, group)}


def in_order(crews: Iterable[C], route: Route) -> list[C]:
    """The route's crew first, then the department's, then the others, each in the order given."""
    return sorted(crews, key=lambda crew: _rank(crew, route))


def usual(crews: Iterable[C], route: Route) -> C | None:
    """The crew that the rule names, else the department's only one; None where it has several or none."""
    crews = list(crews)
    named = [crew for crew in crews if route.crew and crew.name == route.crew]
    theirs = named or [crew for crew in crews if crew.department_code == route.department]
    return theirs[0] if len(theirs) == 1 else None


def _fits(rule: Rule, service: str, group: str) -> bool:
    return rule.service in ("", service) and rule.group in ("", group)


def _rank(crew: Crew, route: Route) -> int:
    if route.crew and crew.name == route.crew:
        return 0
    return 1 if crew.department_code == route.department else OTHER
