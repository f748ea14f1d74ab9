"""Routing: the first rule that fits decides, and the crew it names stands first."""

from dataclasses import dataclass

import pytest

from city.config import routing
from city.config.routing import Route, Rule

RULES = (
    Rule("lights", "Lights 2", service="tree-on-wire"),
    Rule("parks", group="tree", area="Lark Park"),
    Rule("trees", "Trees 3", group="tree"),
    Rule("harbor", area="Old Harbor"),
)


@dataclass
class Crew:
    name: str
    department_code: str | None


CREWS = [
    Crew("Clean 1", "clean"), Crew("Helpers", None), Crew("Lights 2", "lights"), Crew("Trees 1", "trees"),
    Crew("Trees 3", "trees"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("service", "group", "areas", "goes"),
    [
        ("tree-on-wire", "tree", ["Lark Park"], Route("lights", "Lights 2")),
        ("stump", "tree", ["Lark Park"], Route("parks", None)),
        ("stump", "tree", ["Old Harbor"], Route("trees", "Trees 3")),  # the rule that stands first
        ("stump", "tree", [], Route("trees", "Trees 3")),
        ("pothole", "other", ["Mill End", "Old Harbor"], Route("harbor", None)),
        ("pothole", "other", ["Mill End"], None),
    ],
)
def test_the_first_rule_that_fits_decides(
    service: str, group: str, areas: list[str], goes: Route | None
) -> None:
    assert routing.match(RULES, service, group, areas) == goes


def test_only_areas_that_matter_are_looked_up() -> None:
    assert routing.areas_asked(RULES, "stump", "tree") == {"Lark Park", "Old Harbor"}
    assert routing.areas_asked(RULES, "pothole", "other") == {"Old Harbor"}
    assert routing.areas_asked(RULES[:1], "stump", "tree") == set()


@pytest.mark.parametrize(
    ("route", "first", "usual"),
    [
        (Route("trees", "Trees 3"), ["Trees 3", "Trees 1", "Clean 1"], "Trees 3"),
        (Route("trees", None), ["Trees 1", "Trees 3", "Clean 1"], None),  # two would do
        (Route("lights", None), ["Lights 2", "Clean 1", "Helpers"], "Lights 2"),
        (Route("trees", "Lights 2"), ["Lights 2", "Trees 1", "Trees 3"], "Lights 2"),
        (Route("trees", "Nobody 9"), ["Trees 1", "Trees 3", "Clean 1"], None),
        (Route("", None), ["Clean 1", "Helpers", "Lights 2"], None),
    ],
)
def test_the_named_crew_stands_first_then_its_department(
    route: Route, first: list[str], usual: str | None
) -> None:
    assert [crew.name for crew in routing.in_order(CREWS, route)][:3] == first
    found = routing.usual(CREWS, route)
    assert (found.name if found else None) == usual
