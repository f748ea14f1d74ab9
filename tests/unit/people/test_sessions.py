"""Codes, links and sessions: each works once, for its own browser, and a log-out ends every copy."""

import hashlib
from datetime import timedelta

import pytest
from factories import SECRET, Town, texts
from sqlalchemy import func, select

from city.audit import events
from city.db.models import AccountLetter, LoginCode, Person, Session
from city.lifecycle import Refused
from city.notifications import account_email
from city.people import account_letters, accounts, sessions

pytestmark = pytest.mark.both_databases

EMAIL = "rosa@town.test"


def asked(
    town: Town,
    browser: str = "hers",
    email: str = EMAIL,
    *,
    known: bool = False,
    source: str = "a network",
    hours: float = 0,
) -> str:
    with town.at_work() as scene:
        at = town.now + timedelta(hours=hours)
        row = sessions.ask_code(scene.s, email, at, browser=browser, known=known, source=source, lang="en")
        return sessions.code_of(row, SECRET)


def used(
    town: Town,
    code: str,
    browser: str = "hers",
    minutes: float = 0,
    *,
    email: str = EMAIL,
    known: bool = False,
) -> bool:
    """Whether the code let her in; a wrong guess is counted either way."""
    with town.at_work() as scene:
        at = town.now + timedelta(minutes=minutes)
        try:
            person = sessions.use_code(scene.s, email, code, at, browser=browser, known=known, secret=SECRET)
        except Refused:
            return False
        return person.email == email


def guessed_at(town: Town, email: str = EMAIL, *, known: bool = False) -> int:
    """How many wrong guesses somebody may make today, who asks for as many codes as they need."""
    for n in range(200):
        try:
            if n % sessions.GUESSES_A_CODE == 0:
                asked(town, f"guesser {n}", email, known=known, source=f"{n}", hours=n / 30)
            browser = f"guesser {n - n % sessions.GUESSES_A_CODE}"
            with town.at_work() as scene:
                try:
                    sessions.use_code(
                        scene.s, email, "x", town.now + timedelta(hours=n / 30), browser=browser,
                        known=known, secret=SECRET,
                    )  # fmt: skip
                except Refused as refused:
                    if refused.code != "wrong_code":
                        return n
        except Refused:
            return n
    return 200


def test_a_code_works_once(town: Town) -> None:
    code = asked(town)
    assert used(town, code)
    assert not used(town, code)


def test_a_code_with_a_space_in_it_is_the_same_code(town: Town) -> None:
    code = asked(town)
    assert used(town, f" {code[:3]} {code[3:]}")


def test_a_code_is_over_after_ten_minutes(town: Town) -> None:
    code = asked(town)
    assert not used(town, code, minutes=sessions.CODE_MINUTES)


def test_five_wrong_guesses_end_a_code(town: Town) -> None:
    code = asked(town)
    for _ in range(sessions.GUESSES_A_CODE):
        assert not used(town, "x")
    assert not used(town, code)


def test_a_stranger_neither_uses_nor_spoils_her_code(town: Town) -> None:
    code = asked(town)
    asked(town, "a stranger's")
    for _ in range(sessions.GUESSES_A_CODE + 1):
        assert not used(town, "x", browser="a stranger's")
    assert not used(town, code, browser="a stranger's")
    assert used(town, code)


def test_whoever_has_the_database_alone_learns_no_code(town: Town) -> None:
    """Six digits are tried in a moment: neither they nor any hash of them alone may stand anywhere."""
    codes = [asked(town, f"browser {n}", source=f"{n}") for n in range(20)]
    with town.looking() as scene:
        kept = {row.seed for row in scene.s.scalars(select(LoginCode))}
        stands = [value for name, value in texts(scene.s) if not name.endswith(".seed")]
        assert not any(code in value for value in stands for code in codes)
    hashes = {
        hashlib.sha256(told.encode()).hexdigest()
        for code in codes
        for told in (code, f"{EMAIL}\n{code}", f"login code:{EMAIL}:{code}")
    }
    assert not kept & hashes
    with town.looking() as scene:
        row = scene.s.scalars(select(LoginCode).order_by(LoginCode.id)).first()
        assert row
        assert sessions.code_of(row, SECRET) == codes[0]
        assert sessions.code_of(row, SECRET + "?") != codes[0]


def test_whoever_asks_for_many_codes_locks_out_their_own_network_only(town: Town) -> None:
    for n in range(sessions.CODES_AN_HOUR):
        asked(town, f"stranger {n}")
    with pytest.raises(Refused, match="too_many_codes"):
        asked(town, "one more")
    assert used(town, asked(town, "new phone", source="her own"), "new phone")
    assert used(town, asked(town, known=True), known=True)


def test_no_mailbox_is_flooded_from_many_networks_and_a_known_browser_stays_open(town: Town) -> None:
    for n in range(sessions.STRANGERS_CODES_AN_HOUR):
        asked(town, f"stranger {n}", source=f"network {n}")
    with pytest.raises(Refused, match="too_many_codes"):
        asked(town, "one more", source="one more")
    assert used(town, asked(town, known=True), known=True)


@pytest.mark.parametrize("email", [EMAIL, "nobody@town.test"])
def test_whoever_guesses_all_day_is_stopped_and_a_known_browser_stays_open(town: Town, email: str) -> None:
    """Alike for people and for strangers: it must not tell which address is whose."""
    assert guessed_at(town, email) == sessions.GUESSES_A_DAY[False]
    with pytest.raises(Refused, match="codes_closed"):
        asked(town, "new", email, hours=23)
    code = asked(town, "hers", email, known=True)
    assert used(town, code, "hers", email=email, known=True) == (email == EMAIL)
    assert asked(town, "new", email, hours=25)


def test_a_stolen_known_browser_may_not_guess_for_ever(town: Town) -> None:
    assert guessed_at(town, known=True) == sessions.GUESSES_A_DAY[True]


def test_she_and_the_administrators_hear_once_that_someone_guesses(town: Town) -> None:
    guessed_at(town)
    guessed_at(town, "nobody@town.test")
    with town.at_work() as scene:
        assert sessions.tell_of_guesses(scene.s, town.now + timedelta(minutes=50)) == 1
    with town.at_work() as scene:
        assert sessions.tell_of_guesses(scene.s, town.now + timedelta(minutes=51)) == 0
        letters = scene.s.scalars(select(AccountLetter).where(AccountLetter.kind == account_letters.CLOSED))
        told = {letter.email: letter.facts for letter in letters}
        rosa = scene.s.get_one(Person, town.ids["rosa"])
        assert told == {EMAIL: {"person": rosa.id}, "administrator@town.test": {"person": rosa.id}}
        assert [event.kind for event, _ in events.of(scene.s, accounts.subject(rosa))] == [sessions.CLOSED]


def test_the_code_of_nobody_and_of_the_disabled_lets_nobody_in(town: Town) -> None:
    code = asked(town, email="nobody@town.test")
    assert not used(town, code, email="nobody@town.test")
    code = asked(town)
    with town.at_work() as scene:
        scene.s.get_one(Person, town.ids["rosa"]).disabled_at = town.now
    assert not used(town, code)


def test_a_link_works_once_and_for_a_day_and_for_its_owner_alone(town: Town) -> None:
    def try_link(token: str, hours: float, email: str = EMAIL) -> str:
        with town.at_work() as scene:
            at = town.now + timedelta(hours=hours)
            try:
                return sessions.use_link(scene.s, token, email, at)[0].email
            except Refused as refused:
                return refused.code

    with town.at_work() as scene:
        rosa, by = scene.s.get_one(Person, town.ids["rosa"]), scene.actor("administrator")
        first, second, third = (sessions.make_link(scene.s, rosa, town.now, by=by) for _ in range(3))
        assert sessions.is_link(scene.s, first, town.now)
    assert try_link("x" * 32, 0) == "wrong_link"
    assert try_link(first, 23.9, "tom@town.test") == "not_your_link"
    assert try_link(first, 23.9, " Rosa@town.test ") == EMAIL
    assert try_link(first, 23.9) == "wrong_link"
    assert try_link(second, sessions.LINK_HOURS) == "wrong_link"
    tried = [try_link(third, 1, f"{n}@town.test") for n in range(sessions.GUESSES_A_CODE)]
    assert set(tried) == {"not_your_link"}
    assert try_link(third, 1) == "wrong_link"


def test_a_link_is_in_the_log_with_its_maker_and_so_is_the_session_that_came_of_it(town: Town) -> None:
    with town.at_work() as scene:
        rosa, by = scene.s.get_one(Person, town.ids["rosa"]), scene.actor("administrator")
        token = sessions.make_link(scene.s, rosa, town.now, by=by)
    with town.at_work() as scene:
        person, made_by = sessions.use_link(scene.s, token, EMAIL, town.now)
        sessions.begin(scene.s, person, town.now, how="link", made_by=made_by)
    with town.looking() as scene:
        told = [(e.kind, e.actor, e.facts) for e, _ in events.of(scene.s, f"person:{town.ids['rosa']}")]
        assert told == [
            ("make link", by.name, {}),
            ("log in", f"person:{town.ids['rosa']}", {"how": "link", "made_by": by.name}),
        ]


def test_logging_out_ends_every_copy_of_the_cookie(town: Town) -> None:
    with town.at_work() as scene:
        rosa = scene.s.get_one(Person, town.ids["rosa"])
        one, other = (sessions.begin(scene.s, rosa, town.now, how="code") for _ in range(2))
    with town.at_work() as scene:
        sessions.end(scene.s, one)
        assert sessions.person_of(scene.s, one, town.now) is None
        found = sessions.person_of(scene.s, other, town.now)
        assert found
        assert found.id == town.ids["rosa"]
        later = town.now + timedelta(hours=sessions.SESSION_HOURS)
        assert sessions.person_of(scene.s, other, later) is None
        sessions.end_all(scene.s, found)
        assert sessions.person_of(scene.s, other, town.now) is None


def test_what_is_over_is_forgotten(town: Town) -> None:
    asked(town)
    with town.at_work() as scene:
        sessions.begin(scene.s, scene.s.get_one(Person, town.ids["rosa"]), town.now, how="code")
    with town.at_work() as scene:
        assert sessions.sweep(scene.s, town.now + timedelta(minutes=30)) == 0
        later = town.now + timedelta(hours=26)  # a letter has a day, and an hour for its last try
        assert sessions.sweep(scene.s, later) == 2
        assert account_email.sweep(scene.s, later) == 1
        left = [
            scene.s.scalar(select(func.count()).select_from(table))
            for table in (LoginCode, Session, AccountLetter)
        ]
        assert left == [0, 0, 0]
