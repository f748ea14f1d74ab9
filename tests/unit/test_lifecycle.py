"""The table of moves is the table of the design, row by row."""

import pytest

from city.lifecycle import (
    ACTS,
    DISPATCHER,
    MOVES,
    OPEN,
    ROLES,
    STATES,
    SUPERVISOR,
    Refused,
    check,
    given_for,
    may,
    possible,
    widened,
)

TABLE = """
accept | new | accepted | dispatcher, call-taker
assign | new, accepted, assigned, underway, waiting | assigned | dispatcher
unassign | assigned, underway | accepted | dispatcher, partner
start | assigned | underway | crew
pause | underway | assigned | crew
wait | new, accepted, assigned, underway, waiting | waiting | dispatcher, crew, system
resume | waiting | - | dispatcher, crew, system
make safe | assigned, underway | accepted | crew
needs parts | assigned, underway | waiting | crew
close | new, accepted, assigned, underway, waiting | closed | crew, partner, dispatcher, system
reopen | closed | accepted | resident, dispatcher
merge | new, accepted, assigned, underway, waiting, closed, merged | merged | dispatcher, call-taker
unmerge | merged | - | dispatcher
take on | new, accepted | assigned | crew
take back | accepted, waiting, closed | - | crew
undo batch | new, accepted, assigned, underway, waiting, closed, cancelled | - | dispatcher, call-taker
reclassify | new, accepted, assigned, underway, waiting | - | dispatcher, call-taker
relocate | new, accepted, assigned, underway, waiting | - | dispatcher, call-taker
reschedule | new, accepted, assigned, underway, waiting | - | supervisor
split | new, accepted, assigned, underway, waiting, closed | - | dispatcher
restore | cancelled | accepted | dispatcher, system
cancel | new, accepted, assigned, underway, waiting | cancelled | dispatcher, resident
"""


def test_the_table_says_what_the_design_says() -> None:
    rows = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()]
    told = {
        name: (set(sources.split(", ")), to if to != "-" else None, set(roles.split(", ")))
        for name, sources, to, roles in rows
    }
    assert {m.name: (set(m.sources), m.to, set(m.roles)) for m in MOVES.values()} == told


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("move", MOVES)
def test_only_the_rows_sources_and_roles_pass(move: str, state: str) -> None:
    row = MOVES[move]
    for role in ("resident", "crew", "supervisor", "dispatcher", "call-taker", "manager", "administrator"):
        allowed = role in row.roles and state in row.sources
        if move == "cancel" and role == "resident":
            allowed = state == "new"
        if allowed:
            assert check(move, state, frozenset({role})) is row
        else:
            with pytest.raises(Refused):
                check(move, state, frozenset({role}))


@pytest.mark.parametrize("office", [False, True])
@pytest.mark.parametrize("danger", [False, True])
@pytest.mark.parametrize("state", STATES)
def test_a_supervisor_may_all_that_a_dispatcher_may(state: str, danger: bool, office: bool) -> None:
    theirs = possible(state, widened({DISPATCHER}), office=office, danger=danger)
    assert set(theirs) <= set(possible(state, widened({SUPERVISOR}), office=office, danger=danger))


def test_a_supervisor_may_do_every_act_of_a_dispatcher() -> None:
    for act, roles in ACTS.items():
        if DISPATCHER in roles:
            may(act, widened({SUPERVISOR}))


def test_who_was_given_a_role_is_who_acts_in_it() -> None:
    """The rows of people are asked by what was given, and verbs by what they may."""
    for role in ROLES:
        assert set(given_for(role)) == {given for given in ROLES if role in widened({given})}
    assert widened({DISPATCHER}) == {DISPATCHER}, "and not the other way round"
    assert widened(()) == frozenset()


def test_danger_waits_by_a_supervisors_hand_alone() -> None:
    for role in ("dispatcher", "crew", "system"):
        for move in {"wait", "needs parts"} & set(possible("assigned", frozenset({role}))):
            with pytest.raises(Refused, match="danger_waits"):
                check(move, "assigned", frozenset({role}), danger=True)
    supervisor = widened({SUPERVISOR})
    assert "wait" in possible("assigned", supervisor, danger=True)
    assert "needs parts" not in possible("assigned", supervisor | {"crew"}, danger=True)


def test_a_manager_can_only_look() -> None:
    assert all(possible(state, frozenset({"manager"})) == [] for state in STATES)


def test_every_open_case_can_be_closed() -> None:
    assert all("close" in possible(state, frozenset({"dispatcher"})) for state in OPEN)
