"""People and crews as the command line makes them, and codes that work once."""

import pytest
from factories import Town

from city import people
from city.lifecycle import Refused


def test_a_new_crew_makes_its_members_crew(town: Town) -> None:
    with town.at_work() as scene:
        crew = people.add_crew(scene.s, "Lamps 3", ["dispatcher@town.test"])
        who = scene.actor("dispatcher")
        assert crew.id in who.crew_ids
        assert {"dispatcher", "crew"} <= who.roles
        with pytest.raises(Refused, match="known_crew"):
            people.add_crew(scene.s, "Lamps 3")
        with pytest.raises(Refused, match="unknown_person"):
            people.add_crew(scene.s, "Lamps 4", ["nobody@town.test"])


def test_a_code_works_once_and_five_wrong_guesses_end_it(town: Town) -> None:
    with town.at_work() as scene:
        email = "rosa@town.test"
        code = people.ask_code(scene.s, email, town.now) or ""
        assert people.use_code(scene.s, email, code, town.now).email == email
        with pytest.raises(Refused, match="wrong_code"):
            people.use_code(scene.s, email, code, town.now)
        code = people.ask_code(scene.s, email, town.now) or ""
        for _ in range(people.GUESSES_A_CODE):
            with pytest.raises(Refused, match="wrong_code"):
                people.use_code(scene.s, email, "x", town.now)
        with pytest.raises(Refused, match="wrong_code"):
            people.use_code(scene.s, email, code, town.now)
        assert people.ask_code(scene.s, "stranger@town.test", town.now) is None
