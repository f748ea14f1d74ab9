"""The crew to which a case would go anyway: the rule's, else the department's where it has one."""

import pytest
from factories import Town
from sqlalchemy import select

from city.cases import usual_crews
from city.config.routing import Rule
from city.db.models import Area, Case, Crew, Department, Service

pytestmark = pytest.mark.both_databases


@pytest.fixture(autouse=True)
def departments(town: Town) -> None:
    """Each of the two crews is the only one of its department."""
    with town.at_work() as scene:
        for name, service in (("lights", "light-out"), ("trees", "limb-down")):
            scene.s.add(Department(code=name, names={"en": name}, time_zone="America/New_York"))
            scene.s.flush()
            scene.crew(name).department_code = scene.s.get_one(Service, service).department_code = name


def names(town: Town, *rules: Rule) -> dict[str, str]:
    """The crews' names by the cases' numbers."""
    with town.looking() as scene:
        cases = list(scene.s.scalars(select(Case)))
        services, crews = list(scene.s.scalars(select(Service))), list(scene.s.scalars(select(Crew)))
        found = usual_crews.of(scene.s, rules, services, crews, cases)
        return {case.number: found[case.id].name for case in cases if case.id in found}


def test_a_rule_names_the_crew_and_without_one_the_department_does(town: Town) -> None:
    with town.at_work() as scene:
        lamp = scene.report().case.number
        limb = scene.report(service_code="limb-down").case.number
        trees = scene.crew("trees")
        trees_name, department = trees.name, trees.department_code
        lights_name = scene.crew("lights").name
    assert names(town)[limb] == trees_name
    assert names(town, Rule(department="lights", crew=lights_name, service="limb-down"))[limb] == lights_name
    assert names(town)[lamp] == lights_name
    with town.at_work() as scene:
        scene.s.add(Crew(name="Trees 9", department_code=department))
    assert limb not in names(town), "of two nobody can say which"
    assert names(town, Rule(department="none", crew="Trees 9", service="limb-down"))[limb] == "Trees 9"


def test_an_area_counts_where_the_case_lies_in_it(town: Town) -> None:
    ring = [[-71.3, 39.5], [-71.1, 39.5], [-71.1, 39.7], [-71.3, 39.7], [-71.3, 39.5]]
    far = [[lon + 1, lat] for lon, lat in ring]
    with town.at_work() as scene:
        for name, corners in (("Here", ring), ("Elsewhere", far)):
            scene.s.add(Area(kind="ward", name=name, geometry={"type": "Polygon", "coordinates": [corners]}))
        lamp = scene.report().case.number
        nowhere = scene.report(place=None).case.number
        lights, trees = scene.crew("lights").name, scene.crew("trees").name
    assert names(town, Rule(department="trees", crew=trees, area="Here")) == {lamp: trees, nowhere: lights}
    assert names(town, Rule(department="trees", crew=trees, area="Elsewhere"))[lamp] == lights
