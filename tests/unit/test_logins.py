"""Codes, links and sessions: each works once, for its own browser, and a log-out ends every copy."""

from datetime import timedelta

import pytest
from factories import Town
from sqlalchemy import func, select

from city import logins
from city.lifecycle import Refused
from city.schema import LoginCode, Person, Session

EMAIL = "rosa@town.test"


def asked(town: Town, browser: str = "hers", email: str = EMAIL, *, known: bool = False) -> str | None:
    with town.at_work() as scene:
        return logins.ask_code(scene.s, email, town.now, browser=browser, known=known)


def used(town: Town, code: str | None, browser: str = "hers", minutes: float = 0) -> bool:
    """Whether the code let her in; a wrong guess is counted either way."""
    with town.at_work() as scene:
        at = town.now + timedelta(minutes=minutes)
        try:
            return logins.use_code(scene.s, EMAIL, code or "", at, browser=browser).email == EMAIL
        except Refused:
            return False


def test_a_code_works_once(town: Town) -> None:
    code = asked(town)
    assert used(town, code)
    assert not used(town, code)


def test_a_code_with_a_space_in_it_is_the_same_code(town: Town) -> None:
    code = asked(town) or ""
    assert used(town, f" {code[:3]} {code[3:]}")


def test_a_code_is_over_after_ten_minutes(town: Town) -> None:
    code = asked(town)
    assert not used(town, code, minutes=logins.CODE_MINUTES)


def test_five_wrong_guesses_end_a_code(town: Town) -> None:
    code = asked(town)
    for _ in range(logins.GUESSES_A_CODE):
        assert not used(town, "x")
    assert not used(town, code)


def test_a_stranger_neither_uses_nor_spoils_her_code(town: Town) -> None:
    code = asked(town)
    asked(town, "a stranger's")
    for _ in range(logins.GUESSES_A_CODE + 1):
        assert not used(town, "x", browser="a stranger's")
    assert not used(town, code, browser="a stranger's")
    assert used(town, code)


def test_whoever_asks_for_many_codes_locks_out_strangers_only(town: Town) -> None:
    for n in range(logins.CODES_AN_HOUR):
        asked(town, f"stranger {n}")
    with pytest.raises(Refused, match="too_many_codes"):
        asked(town, "one more")
    assert used(town, asked(town, known=True))


def test_strangers_and_the_disabled_get_no_code(town: Town) -> None:
    assert asked(town, email="nobody@town.test") is None
    with town.at_work() as scene:
        scene.s.get_one(Person, town.ids["rosa"]).disabled_at = town.now
    assert asked(town) is None


def test_a_link_works_once_and_for_a_day(town: Town) -> None:
    def try_link(token: str, hours: float) -> bool:
        with town.at_work() as scene:
            at = town.now + timedelta(hours=hours)
            try:
                return logins.use_link(scene.s, token, at).email == EMAIL
            except Refused:
                return False

    with town.at_work() as scene:
        rosa = scene.s.get_one(Person, town.ids["rosa"])
        first, second = (logins.make_link(scene.s, rosa, town.now) for _ in range(2))
        assert logins.by_link(scene.s, first, town.now) is rosa
    assert not try_link("x" * 32, 0)
    assert try_link(first, 23.9)
    assert not try_link(first, 23.9)
    assert not try_link(second, logins.LINK_HOURS)


def test_logging_out_ends_every_copy_of_the_cookie(town: Town) -> None:
    with town.at_work() as scene:
        rosa = scene.s.get_one(Person, town.ids["rosa"])
        one, other = (logins.begin(scene.s, rosa, town.now, how="code") for _ in range(2))
    with town.at_work() as scene:
        logins.end(scene.s, one)
        assert logins.person_of(scene.s, one, town.now) is None
        found = logins.person_of(scene.s, other, town.now)
        assert found
        assert found.id == town.ids["rosa"]
        later = town.now + timedelta(hours=logins.SESSION_HOURS)
        assert logins.person_of(scene.s, other, later) is None
        logins.end_all(scene.s, found)
        assert logins.person_of(scene.s, other, town.now) is None


def test_what_is_over_is_forgotten(town: Town) -> None:
    asked(town)
    with town.at_work() as scene:
        logins.begin(scene.s, scene.s.get_one(Person, town.ids["rosa"]), town.now, how="code")
    with town.at_work() as scene:
        assert logins.sweep(scene.s, town.now + timedelta(minutes=30)) == 0
        assert logins.sweep(scene.s, town.now + timedelta(hours=25)) == 2
        left = [scene.s.scalar(select(func.count()).select_from(table)) for table in (LoginCode, Session)]
        assert left == [0, 0]
