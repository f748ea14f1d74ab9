"""Things that are not the city's: whose they are, and that no promise runs for what a utility mends."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from factories import LAMP, Scene, Town
from ground import feature, geojson

from city.audit import events
from city.cases import sla, transitions
from city.config import city_file
from city.db.models import Asset, Case, Owner
from city.imports.layers import Order
from city.lifecycle import NEW, WAITING
from city.people.accounts import THE_SYSTEM
from city.places import assets
from pwa.cli import imports

POLE = replace(LAMP, source="asset")


@pytest.fixture
def scene(town: Town) -> Iterator[Scene]:
    with town.at_work() as scene:
        scene.s.add(Owner(code="harbor", names=["harbor", "harbor electric", "heco"]))
        yield scene


@pytest.mark.parametrize("owner", ["Harbor Electric", "HECO", "harbor"])
def test_a_light_of_the_utility_waits_for_it_from_the_start(scene: Scene, owner: str) -> None:
    case = tell(scene, owner)
    assert (case.state, sla.waits_for(case)) == (WAITING, "utility")
    assert sla.owner_waited_for(case) == owner


def test_the_log_says_that_it_waits_by_itself(town: Town) -> None:
    with town.at_work() as scene:
        scene.s.add(Owner(code="harbor", names=["heco"]))
        case = tell(scene, "HECO")
        scene.report(place=replace(POLE, asset_id=case.asset_id), join=case.number)
        subject, until = transitions.subject(case), case.pauses[0].until.astimezone(UTC).isoformat()
    with town.looking() as scene:
        story = [(line.kind, line.actor, line.facts) for line, _ in events.of(scene.s, subject)]
    assert [kind for kind, _actor, _facts in story] == ["open", "report", "wait", "join"]
    assert story[2] == ("wait", THE_SYSTEM.name, {"reason": "utility", "owner": "HECO", "until": until})


def test_no_promise_is_missed_while_the_utility_has_it(scene: Scene) -> None:
    case, now = tell(scene, "HECO"), scene.town.now
    later = now + timedelta(days=13)
    assert sla.sla_status(case, later) == "wait"
    owed = case.due_at - now
    transitions.resume(scene.s, case, by=scene.actor("dispatcher"), at=later)
    assert case.due_at - later == owed


@pytest.mark.parametrize(
    ("owner", "changes"),
    [
        ("", {}),
        ("Somebody Else", {}),  # nobody in the city file: it may be the city by another name
        ("HECO", {"danger": True}),
        ("HECO", {"channel": "crew"}),
    ],
)
def test_what_the_city_must_look_at_itself_does_not_wait(scene: Scene, owner: str, changes: dict) -> None:
    assert tell(scene, owner, **changes).state == NEW


def test_who_joins_waits_with_the_others(scene: Scene) -> None:
    case = tell(scene, "HECO")
    joined = scene.report(place=replace(POLE, asset_id=case.asset_id), join=case.number)
    assert (joined.case_id, case.state) == (case.id, WAITING)


def test_an_owner_that_the_city_file_does_not_name_is_nobody(scene: Scene) -> None:
    asset = Asset(kind="pole", number="1", owner="Somebody", address="", lat=39.6, lon=-71.2, cell="")
    assert assets.owner_of(scene.s, asset) is None


def test_an_import_names_the_owners_that_the_city_file_does_not(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lights = [feature("Point", [-71.2, 39.6 + n / 1000], N=n, OWNER=whose) for n, whose in enumerate(OWNERS)]
    order = Order("assets", asset="pole", number="N", owner="OWNER")
    assert imports.layer(town.engine, town.settings, geojson(tmp_path, *lights), order, None) == 0
    told = capsys.readouterr().out
    assert "Owner 'Park Trust' isn't in the city file, so these assets count as the city's: 2." in told
    assert "HECO" not in told
    trees = replace(order, asset="tree")
    assert imports.layer(town.engine, town.settings, geojson(tmp_path, lights[0]), trees, None) == 0
    assert "Park Trust" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ('web = "nowhere"', "owners.b.web: 'nowhere' isn't a web address"),
        ('known_as = ["A Light"]', "owners.b.name: 'a light' already belongs to another owner"),
        ("fon = 1", "owners.b.fon: isn't a known key"),
    ],
)
def test_a_wrong_owner_in_the_city_file_is_told(change: str, fault: str) -> None:
    text = LEAST + f'[owners.a]\nname = "A Light"\n[owners.b]\nname = "B Light"\n{change}\n'
    with pytest.raises(city_file.CityFileError) as refused:
        city_file.parse(text, "city.toml")
    assert fault in str(refused.value)


def test_an_owner_is_known_by_all_its_names() -> None:
    text = LEAST + '[owners.a]\nname = "A Light"\nknown_as = ["ALCO"]\nphone = "1-800"\n'
    city = city_file.parse(text, "city.toml")
    for words in ("a", "A LIGHT", "alco"):
        found = city.owner(words)
        assert found
        assert (found.name, found.phone, found.web) == ("A Light", "1-800", "")
    assert city.owner("B") is None


OWNERS = ("HECO", "Park Trust", "", "Park Trust")
LEAST = """
name = "Tinyville"
time_zone = "America/Chicago"
bounds = [41.0, -88.0, 42.0, -87.0]
[departments.works]
names = { en = "Public works" }
[groups.street]
names = { en = "Street" }
[services.pothole]
group = "street"
default = true
names = { en = "Pothole" }
department = "works"
promise_days = 5
"""


def tell(scene: Scene, owner: str, **changes: object) -> Case:
    asset = Asset(kind="pole", number="1", owner=owner, address="", lat=39.6, lon=-71.2, cell="")
    scene.s.add(asset)
    scene.s.flush()
    return scene.report(place=replace(POLE, asset_id=asset.id), **changes).case
