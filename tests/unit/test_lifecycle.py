"""The table of moves is the table of the design, row by row."""

import pytest

from city.lifecycle import MOVES, OPEN, STATES, Refused, check, possible

TABLE = """
accept | new | accepted | dispatcher, call-taker
assign | new, accepted, assigned, underway, waiting | assigned | dispatcher, supervisor
unassign | assigned, underway | accepted | dispatcher, supervisor
start | assigned | underway | crew
pause | underway | assigned | crew
wait | new, accepted, assigned, underway | waiting | dispatcher, crew, system
resume | waiting | - | dispatcher, crew, system
make safe | assigned, underway | accepted | crew
needs parts | assigned, underway | waiting | crew
close | new, accepted, assigned, underway, waiting | closed | crew, dispatcher
reopen | closed | accepted | resident, dispatcher
merge | new, accepted, assigned, underway, waiting, closed, merged | merged | dispatcher, call-taker
unmerge | merged | - | dispatcher
take on | new, accepted | assigned | crew
take back | accepted, waiting, closed | - | crew
undo batch | accepted, assigned, waiting, closed, cancelled | - | dispatcher, supervisor, call-taker
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


def test_danger_waits_by_a_supervisors_hand_alone() -> None:
    for role in ("dispatcher", "crew", "system"):
        for move in {"wait", "needs parts"} & set(possible("assigned", frozenset({role}))):
            with pytest.raises(Refused, match="danger_waits"):
                check(move, "assigned", frozenset({role}), danger=True)
    supervisor = frozenset({"supervisor", "dispatcher"})
    assert "wait" in possible("assigned", supervisor, danger=True)
    assert "needs parts" not in possible("assigned", supervisor | {"crew"}, danger=True)


def test_a_manager_can_only_look() -> None:
    assert all(possible(state, frozenset({"manager"})) == [] for state in STATES)


def test_every_open_case_can_be_closed() -> None:
    assert all("close" in possible(state, frozenset({"dispatcher"})) for state in OPEN)
