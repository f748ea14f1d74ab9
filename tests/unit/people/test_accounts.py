"""People, crews and keys: every change is in the log, and somebody can always let others in."""

import pytest
from factories import Scene, Town
from sqlalchemy import select

from city.audit import events
from city.db.models import ApiKey, Person
from city.lifecycle import Refused
from city.people import accounts


def person(scene: Scene, name: str) -> Person:
    return scene.s.get_one(Person, scene.town.ids[name])


def test_a_new_crew_makes_its_members_crew(town: Town) -> None:
    with town.at_work() as scene:
        crew = accounts.add_crew(scene.s, "Lamps 3", ["dispatcher@town.test"])
        who = scene.actor("dispatcher")
        assert crew.id in who.crew_ids
        assert {"dispatcher", "crew"} <= who.roles
        with pytest.raises(Refused, match="known_crew"):
            accounts.add_crew(scene.s, "Lamps 3")
        with pytest.raises(Refused, match="unknown_person"):
            accounts.add_crew(scene.s, "Lamps 4", ["nobody@town.test"])
        with pytest.raises(Refused, match="empty_name"):
            accounts.add_crew(scene.s, "  ")


def test_a_person_changes_and_the_log_says_how(town: Town) -> None:
    with town.at_work() as scene:
        rosa, by = person(scene, "rosa"), scene.actor("administrator")
        told = {"name": "Rosa M.", "lang": "es", "roles": ["crew", "supervisor"], "by": by, "at": town.now}
        assert accounts.change(scene.s, rosa, crews=[scene.crew("trees")], **told)
        assert not accounts.change(scene.s, rosa, crews=[scene.crew("trees")], **told)
    with town.looking() as scene:
        rosa = person(scene, "rosa")
        assert accounts.actor(rosa).roles == {"crew", "supervisor", "dispatcher"}
        assert [crew.name for crew in rosa.crews] == ["trees"]
        [(event, _)] = events.of(scene.s, accounts.subject(rosa))
        assert event.kind == "change person"
        assert event.facts["was"] == {
            "roles": ["crew"], "crews": [town.ids["lights"]], "departments": [],
        }  # fmt: skip
        assert "Rosa" not in str(event.facts), "the log's chained part holds no names"
        assert events.verify(scene.s) == []


def test_the_last_administrator_stays(town: Town) -> None:
    with town.at_work() as scene:
        alone, by = person(scene, "administrator"), scene.actor("administrator")
        with pytest.raises(Refused, match="last_administrator"):
            accounts.disable(scene.s, alone, by=by, at=town.now)
        with pytest.raises(Refused, match="last_administrator"):
            accounts.change(
                scene.s, alone, name="A", lang="en", roles=["manager"], crews=[], by=by, at=town.now
            )
        accounts.add(scene.s, "second@town.test", "Second", ["administrator"])
        assert accounts.disable(scene.s, alone, by=by, at=town.now)
        assert accounts.actor(alone).roles == frozenset()
        assert accounts.enable(scene.s, alone, by=by, at=town.now)


def test_nobody_is_made_resident_or_system(town: Town) -> None:
    with town.at_work() as scene:
        for role in ("resident", "system", "king"):
            with pytest.raises(Refused, match="unknown_role"):
                accounts.add(scene.s, "x@town.test", "X", [role])


def test_members_join_and_leave_a_crew(town: Town) -> None:
    with town.at_work() as scene:
        lights, by = scene.crew("lights"), scene.actor("administrator")
        told = {"name": "Lights 9", "department": "works", "by": by, "at": town.now}
        tom = town.ids["tom"]
        assert accounts.change_crew(scene.s, lights, members=[tom], **told)
        assert not accounts.change_crew(scene.s, lights, members=[tom], **told)
        with pytest.raises(Refused, match="known_crew"):
            accounts.change_crew(scene.s, lights, members=[tom], **told | {"name": "trees"})
    with town.looking() as scene:
        assert {crew.name for crew in person(scene, "tom").crews} == {"Lights 9", "trees"}
        assert person(scene, "rosa").crews == []


def test_a_key_opens_until_it_is_revoked(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("administrator")
        key = accounts.make_key(scene.s, "City app", key="k" * 32, by=by, at=town.now)
        row = accounts.by_key(scene.s, key)
        assert row
        assert key not in str(vars(row)), "only its hash is kept"
        assert accounts.by_key(scene.s, key + "x") is None
        assert accounts.revoke_key(scene.s, row, by=by, at=town.now)
        assert not accounts.revoke_key(scene.s, row, by=by, at=town.now)
        assert accounts.by_key(scene.s, key) is None
        assert scene.s.scalars(select(ApiKey)).one().made_by_id == town.ids["administrator"]
