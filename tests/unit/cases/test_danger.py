"""Danger waits for nobody and stands first, and what is late stays late while it waits."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from city.board import queries as board_queries
from city.board.queries import SORTS, View
from city.cases import batches, board_index, queries, sla, sla_sweep, transitions
from city.db import engine as db
from city.db.models import Case
from city.lifecycle import Refused
from tests.factories import LAMP, Scene, Town


@pytest.fixture
def wire(town: Town) -> str:
    """The number of a case that somebody told danger of."""
    with town.at_work() as scene:
        return scene.report(danger=True).case.number


@pytest.mark.parametrize("reason", ["weather", "utility", "parts", "resident"])
def test_a_dispatcher_cannot_let_danger_wait(town: Town, wire: str, reason: str) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        with pytest.raises(Refused, match="danger_waits"):
            transitions.wait(scene.s, scene.case(wire), reason, by=by, at=town.now)
        assert scene.case(wire).state == "new"


def test_a_supervisor_may_and_it_stays_first(town: Town, wire: str) -> None:
    with town.at_work() as scene:
        plain = scene.report().case.number
        assert transitions.wait(
            scene.s, scene.case(wire), "utility", by=scene.actor("supervisor"), at=town.now
        )
    assert _numbers(town, View())[:2] == [wire, plain]


def test_many_at_once_leave_danger_out(town: Town, wire: str) -> None:
    with town.at_work() as scene:
        plain = scene.report().case.number
        batch = batches.act(
            scene.s, [wire, plain], "wait", {"reason": "weather"}, by=scene.actor("dispatcher"),
            at=town.now, sent="once",
        )  # fmt: skip
        assert (batch.done, [(number, code) for number, code, _ in batch.refused]) == (
            1, [(wire, "danger_waits")],
        )  # fmt: skip
        assert scene.case(wire).state == "new"


def test_what_a_crew_made_safe_may_wait_until_somebody_tells_of_danger_again(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned(danger=True)
        transitions.make_safe(scene.s, case, by=scene.actor("rosa"), at=town.now)
        assert transitions.wait(scene.s, case, "parts", by=scene.actor("dispatcher"), at=town.now)
        scene.report(danger=True, join=case.number)
        assert (case.state, case.follow_on) == ("accepted", False)
        with pytest.raises(Refused, match="danger_waits"):
            transitions.wait(scene.s, case, "parts", by=scene.actor("dispatcher"), at=town.now)


def test_a_crew_cannot_let_danger_wait_for_parts(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned(danger=True)
        for verb in (
            lambda: transitions.wait(scene.s, case, "weather", by=scene.actor("rosa"), at=town.now),
            lambda: transitions.needs_parts(scene.s, case, by=scene.actor("rosa"), at=town.now),
        ):
            with pytest.raises(Refused, match="danger_waits"):
                verb()
        assert case.state == "assigned"


def test_danger_told_where_a_case_waits_ends_the_wait(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        transitions.wait(scene.s, case, "weather", by=scene.actor("dispatcher"), at=town.now)
        scene.report(danger=True, join=case.number, at=town.now + timedelta(hours=1))
        assert (case.state, case.urgent, sla.waits_for(case)) == ("assigned", True, None)


def test_danger_merged_into_a_case_that_waits_ends_the_wait(town: Town, wire: str) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        transitions.wait(scene.s, case, "weather", by=scene.actor("dispatcher"), at=town.now)
        transitions.merge(scene.s, scene.case(wire), case, by=scene.actor("dispatcher"), at=town.now)
        assert (case.state, case.urgent) == ("accepted", True)


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("back", [False, True])
def test_danger_is_first_in_every_order_on_every_page(town: Town, sort: str, back: bool) -> None:
    with town.at_work() as scene:
        for n in range(7):
            street = f"{n * 37 % 7 + 1} {'ABCDEFG'[n * 3 % 7]} Street"
            scene.report(
                at=town.now - timedelta(hours=n * 5 % 7), danger=n in (2, 5), words=str(n),
                place=replace(LAMP, label=street),
            )  # fmt: skip
    view = View(sort=sort)
    whole = _numbers(town, view)
    with town.looking() as scene:
        danger = {case.number for case in map(scene.case, whole) if case.urgent}
    assert len(whole) == 7
    assert len(danger) == 2
    assert set(whole[:2]) == danger
    assert _by_page(town, view, back=back) == whole


@pytest.mark.parametrize("stopped_late", [True, False])
def test_what_was_late_stays_late_while_it_waits(town: Town, stopped_late: bool) -> None:
    stands = "late" if stopped_late else "wait"
    with town.at_work() as scene:
        case = scene.report().case
        number, due = case.number, case.due_at
        at = due + timedelta(days=2 if stopped_late else -1)
        by, until = scene.actor("dispatcher"), at + timedelta(days=60)
        transitions.wait(scene.s, case, "utility", until=until, by=by, at=at)
        assert sla.sla_status(case, at) == case.standing == stands
    much_later = at + timedelta(days=30)
    sla_sweep.sweep(town.engine, much_later)
    with town.looking() as scene:
        found = scene.case(number)
        assert (found.standing, found.due_at) == (stands, due)
        for name in ("late", "wait"):
            view = View(standing=name)
            expected = [number] if name == stands else []
            assert [row.number for row in board_queries.queue(scene.s, view, now=much_later).rows] == expected
            assert board_queries.count(scene.s, view, now=much_later) == len(expected)
            assert bool(scene.s.query(Case).filter(queries.has_standing(name, much_later)).all()) is bool(
                expected
            )
    with db.transaction(town.engine) as s:
        assert board_index.recompute(s, at=much_later) == 0
        assert board_index.differences(s) == []
    with town.at_work() as scene:
        case = scene.case(number)
        transitions.resume(scene.s, case, by=scene.actor("dispatcher"), at=much_later)
        assert case.due_at - due == much_later - at


def test_a_late_case_that_waits_is_said_to_be_late_and_reaches_the_supervisor(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        number, at = case.number, case.due_at + timedelta(hours=1)
        transitions.wait(scene.s, case, "utility", by=scene.actor("dispatcher"), at=at)
    sla_sweep.sweep(town.engine, at + timedelta(days=1), late_days=5)
    sla_sweep.sweep(town.engine, at + timedelta(days=9), late_days=5)
    with town.looking() as scene:
        case = scene.case(number)
        assert (case.warned, case.review) == ("escalated", "late")


def _numbers(town: Town, view: View) -> list[str]:
    with town.looking() as scene:
        return [row.number for row in board_queries.queue(scene.s, view, now=town.now).rows]


def _by_page(town: Town, view: View, *, back: bool) -> list[str]:
    """The queue by pages of two, from its beginning or from its end."""
    look: Callable[[Scene, View], board_queries.Page] = lambda scene, asked: board_queries.queue(  # noqa: E731
        scene.s, asked, now=town.now, limit=2
    )
    with town.looking() as scene:
        page = look(scene, view)
        pages = [page]
        while page.next:
            page = look(scene, replace(view, after=page.next))
            pages.append(page)
        if back:
            pages = [page]
            while page.previous:
                page = look(scene, replace(view, after=page.previous))
                pages.insert(0, page)
        assert [page.first for page in pages] == [1, 3, 5, 7]
    return [row.number for page in pages for row in page.rows]
