"""A state is a row of the table of moves and a row of words: whatever else must know it asks these."""

from flask import Flask

from city.lifecycle import MERGED, MOVES, OPEN, STATES
from city.opendata import case_summaries
from pwa.open311 import parse, serializers
from pwa.web import formatting, states


def test_every_table_that_must_know_a_state_knows_it(app: Flask) -> None:
    known = set(STATES)
    with app.test_request_context():
        words = {name: states.of(name) for name in STATES}
        assert set(states._words()) == known
        assert all(each.label and each.label != name for name, each in words.items())
        assert {name for name, each in words.items() if each.stage and each.subject} == set(OPEN)
        steps = {name: formatting.public_step(each.step) for name, each in STATES.items() if each.step}
    assert all(words != STATES[name].step for name, words in steps.items())
    assert {each.step for each in STATES.values() if each.step} <= set(serializers.STATUSES)
    listed = [state for asked in parse.STATUSES.values() for state in asked]
    assert sorted(listed) == sorted(case_summaries.LISTED) == sorted(known - {MERGED})
    assert {state for move in MOVES.values() for state in (*move.sources, move.to) if state} == known
