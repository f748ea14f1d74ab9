"""A raised priority goes first in the queue; a tag, words that staff put on a case, is kept once, folded."""

import pytest
from factories import Town
from sqlalchemy import func, select

from city.audit import events
from city.cases import board_index, priorities, tags, transitions
from city.db.models import Event
from city.lifecycle import Refused
from city.people import accounts


def test_a_raised_case_goes_before_others_and_behind_danger(town: Town) -> None:
    with town.at_work() as scene:
        case, by = scene.report().case, scene.actor("supervisor")
        assert priorities.raise_priority(scene.s, case, by=by, at=town.now)
        assert not priorities.raise_priority(scene.s, case, by=accounts.THE_SYSTEM, at=town.now)
        number, version = case.number, case.version
    with town.looking() as scene:
        assert (scene.case(number).rank, board_index.RAISED) == (1, 1)
        assert scene.case(number).version == version
        assert [event.kind for event in events.since(scene.s, 0)][-1] == "raise priority"
    with town.at_work() as scene:
        assert priorities.lower_priority(
            scene.s, scene.case(number), by=scene.actor("dispatcher"), at=town.now
        )
    with town.looking() as scene:
        assert scene.case(number).rank == board_index.NORMAL


def test_an_ended_case_has_no_priority(town: Town) -> None:
    with town.at_work() as scene:
        case, by = scene.report().case, scene.actor("dispatcher")
        transitions.cancel(scene.s, case, "test", by=by, at=town.now)
        with pytest.raises(Refused, match="wrong_state"):
            priorities.raise_priority(scene.s, case, by=by, at=town.now)


@pytest.mark.parametrize("name", ["rosa", "call-taker", "manager"])
def test_others_may_not_raise(town: Town, name: str) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        with pytest.raises(Refused, match="not_allowed"):
            priorities.raise_priority(scene.s, case, by=scene.actor(name), at=town.now)


def test_a_tag_is_kept_folded_and_written_once(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        assert tags.tag(scene.s, case, "  Storm   MAY ", by=scene.actor("dispatcher"), at=town.now)
        assert not tags.tag(scene.s, case, "storm may", by=scene.actor("supervisor"), at=town.now)
        number = case.number
    with town.looking() as scene:
        case = scene.case(number)
        assert tags.of(case) == ["storm may"]
        story = events.of(scene.s, transitions.subject(case))
        assert [(event.kind, event.facts, words) for event, words in story][-1] == (
            "tag", {}, {"tag": "storm may"},
        )  # fmt: skip
        assert events.verify(scene.s) == []


def test_a_tag_is_taken_off_once(town: Town) -> None:
    with town.at_work() as scene:
        case, by = scene.report().case, scene.actor("call-taker")
        tags.tag(scene.s, case, "storm", by=by, at=town.now)
        assert tags.untag(scene.s, case, "STORM", by=by, at=town.now)
        assert not tags.untag(scene.s, case, "storm", by=by, at=town.now)
        assert tags.of(case) == []


@pytest.mark.parametrize("word", ["", "  ", "x" * 41, "bell\x07", "left\u202eright"])
def test_a_tag_that_nobody_can_read_is_refused(town: Town, word: str) -> None:
    with town.at_work() as scene, pytest.raises(Refused, match="bad_tag"):
        tags.tag(scene.s, scene.report().case, word, by=scene.actor("dispatcher"), at=town.now)


def test_twenty_tags_are_enough(town: Town) -> None:
    with town.at_work() as scene:
        case, by = scene.report().case, scene.actor("dispatcher")
        for n in range(tags.MOST_TAGS):
            tags.tag(scene.s, case, f"tag {n}", by=by, at=town.now)
        assert not tags.tag(scene.s, case, "tag 3", by=by, at=town.now)
        with pytest.raises(Refused, match="too_many_tags"):
            tags.tag(scene.s, case, "one more", by=by, at=town.now)


@pytest.mark.parametrize("name", ["rosa", "manager", "administrator"])
def test_others_may_not_tag(town: Town, name: str) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        with pytest.raises(Refused, match="not_allowed"):
            tags.tag(scene.s, case, "storm", by=scene.actor(name), at=town.now)
    with town.looking() as scene:
        assert scene.s.scalar(select(func.count()).select_from(Event).where(Event.kind == "tag")) == 0
