"""What a story says of a case at one of its lines, and what in it matters to somebody about to act."""

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from factories import Scene, Town
from rivertown import put
from sqlalchemy import select

from city.audit import events
from city.board import changes
from city.board import queries as board_queries
from city.board.changes import Stand
from city.board.queries import View
from city.cases import batches, priorities, tags, transitions
from city.cases.transitions import Closing
from city.db.models import Area, EventSequence
from city.imports import runs as import_runs
from city.lifecycle import Refused
from city.places.areas import KINDS
from city.reports import intake

pytestmark = pytest.mark.both_databases


def stands(scene: Scene, number: str) -> list[Stand]:
    """How the case stood at each line of its story."""
    story = [line for line, _words in events.of(scene.s, transitions.subject(scene.case(number)))]
    return [changes.state_at(story, line.n) for line in story if line.now]


def test_a_story_gives_state_and_crew_at_every_line_as_the_case_had_them(town: Town) -> None:
    lights, trees = town.ids["lights"], town.ids["trees"]
    with town.at_work() as scene:
        number = scene.report().case.number
        other, third = (scene.report().case.number for _ in range(2))
    steps = [
        ("assigned", lights, lambda s, c, by: transitions.assign(s, c, s.get_one(type(crew), lights), **by)),
        ("waiting", lights, lambda s, c, by: transitions.wait(s, c, "weather", **by)),
        ("assigned", trees, lambda s, c, by: transitions.assign(s, c, s.get_one(type(crew), trees), **by)),
        ("merged", None, lambda s, c, by: transitions.merge(s, c, root, **by)),
        ("assigned", trees, lambda s, c, by: transitions.unmerge(s, c, **by)),
        ("accepted", None, lambda s, c, by: transitions.unassign(s, c, **by)),
        ("closed", None, lambda s, c, by: transitions.close(s, c, Closing("not found"), **by)),
        ("accepted", None, lambda s, c, by: transitions.reopen(s, c, **by)),
        ("assigned", lights, lambda s, c, by: transitions.assign(s, c, s.get_one(type(crew), lights), **by)),
        ("waiting", None, lambda s, c, by: transitions.needs_parts(s, c, by=hand, at=town.now)),
        ("merged", None, lambda s, c, by: transitions.merge(s, c, root, **by)),
        ("waiting", None, lambda s, c, by: transitions.unmerge(s, c, **by)),
        ("assigned", lights, lambda s, c, by: transitions.assign(s, c, s.get_one(type(crew), lights), **by)),
        ("merged", None, lambda s, c, by: transitions.merge(s, c, root, keep_crew=trees, **by)),
        ("merged", None, lambda s, c, by: transitions.merge(s, c, scene.case(third), **by)),
        ("assigned", lights, lambda s, c, by: transitions.unmerge(s, c, **by)),
    ]
    for state, crew_id, step in steps:
        with town.at_work() as scene:
            crew, root, hand = scene.crew("lights"), scene.case(other), scene.actor("rosa")
            step(scene.s, scene.case(number), {"by": scene.actor("dispatcher"), "at": town.now})
        with town.looking() as scene:
            case = scene.case(number)
            held = transitions.live(case)
            assert (case.state, held.crew_id if held else None) == (state, crew_id)
            last = stands(scene, number)[-1]
            assert (last.state, last.crew) == (state, crew_id)
    with town.looking() as scene:
        assert stands(scene, number)[2].why == "weather"


def test_a_case_that_waits_again_waits_for_what_it_waited_for(town: Town) -> None:
    with town.at_work() as scene:
        number, dispatcher = scene.report().case.number, scene.actor("dispatcher")
        transitions.wait(scene.s, scene.case(number), "weather", by=dispatcher, at=town.now)
    with town.at_work() as scene:
        what = {"outcome": "not found"}
        batch = batches.act(scene.s, [number], "close", what, by=dispatcher, at=town.now, sent="a form").id
    with town.at_work() as scene:
        batches.undo(scene.s, batch, by=dispatcher, at=town.now)
    with town.looking() as scene:
        assert [(each.state, each.why) for each in stands(scene, number)][-3:] == [
            ("waiting", "weather"), ("closed", "not found"), ("waiting", "weather"),
        ]  # fmt: skip


def test_a_raised_priority_is_part_of_how_it_stood_and_matters(town: Town) -> None:
    with town.at_work() as scene:
        number = scene.report().case.number
    for verb, raised in ((priorities.raise_priority, True), (priorities.lower_priority, False)):
        with town.looking() as scene:
            before = changes.last_line(scene.s, number)
        with town.at_work() as scene:
            verb(scene.s, scene.case(number), by=scene.actor("dispatcher"), at=town.now)
        with town.looking() as scene:
            case = scene.case(number)
            story = [line for line, _words in events.of(scene.s, transitions.subject(case))]
            assert changes.is_stale(scene.s, case, before)
            assert changes.state_at(story, before).raised is not raised
            assert changes.state_at(story, before + 1).raised is raised


def test_only_what_changes_what_somebody_would_do_matters(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        number = case.number
    with town.at_work() as scene:
        transitions.note(scene.s, scene.case(number), "Ladder", by=scene.actor("dispatcher"), at=town.now)
        scene.report(join=number)
    with town.looking() as scene:
        case = scene.case(number)
        last = changes.last_line(scene.s, number)
        assert not changes.is_stale(scene.s, case, 1)
        assert changes.is_stale(scene.s, case, last + 1), "a line that is not there is of another past"
    with town.at_work() as scene:
        transitions.accept(scene.s, scene.case(number), by=scene.actor("dispatcher"), at=town.now)
    with town.looking() as scene:
        assert changes.is_stale(scene.s, scene.case(number), last)
        assert not changes.is_stale(scene.s, scene.case(number), last + 1)


def test_a_report_of_danger_matters_to_whoever_is_about_to_close_the_case(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        transitions.accept(scene.s, case, by=scene.actor("dispatcher"), at=town.now)
        number = case.number
    with town.looking() as scene:
        read = changes.last_line(scene.s, number)
    with town.at_work() as scene:
        scene.report(join=number)
    with town.looking() as scene:
        assert not changes.is_stale(scene.s, scene.case(number), read)
    with town.at_work() as scene:
        scene.report(join=number, danger=True)
    with town.looking() as scene:
        assert changes.is_stale(scene.s, scene.case(number), read)


def test_a_case_that_is_not_there_has_no_line(town: Town) -> None:
    with town.looking() as scene:
        assert changes.last_line(scene.s, "26-999999") == 0


@pytest.mark.every_variant
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_a_list_that_hears_every_change_holds_what_a_list_read_anew_holds(town: Town, seed: int) -> None:
    """Whatever is done: what was shown, less what is said to be gone, and what is said to be fresh."""
    chance = random.Random(seed)
    crews = [town.ids["lights"], town.ids["trees"]]
    views = [
        View(), View(crew="none"), View(crew=str(crews[0])), View(state="waiting"), View(state="closed"),
        View(review="yes"), View(group="streetlight"), View(standing="wait"), View(tag="school"),
        View(words="flicker"), View(words="ana"), View(standing="risk"), View(words="flicker", crew="none"),
    ]  # fmt: skip
    numbers: list[str] = []
    shown: dict[View, set[str]] = {view: set() for view in views}
    heard = 0
    for _ in range(50):
        with town.at_work() as scene:
            step(scene, chance, numbers)
        if chance.random() < 0.5:
            continue
        with town.looking() as scene:
            for view in views:
                told = changes.in_view(scene.s, view, heard, now=town.now)
                gone = {number for number, _line in told.gone}
                shown[view] = shown[view] - gone | set(told.fresh)
                there = board_queries.queue(scene.s, view, now=town.now).rows
                assert shown[view] == {case.number for case in there}, view
            heard = scene.s.scalar(select(EventSequence.n)) or 0


def test_what_moves_within_a_list_is_not_new_in_it(town: Town) -> None:
    lights = str(town.ids["lights"])
    with town.at_work() as scene:
        case, rosa = scene.report().case, scene.actor("rosa")
        number = case.number
        transitions.assign(scene.s, case, scene.crew("lights"), by=scene.actor("dispatcher"), at=town.now)
    with town.looking() as scene:
        heard = scene.s.scalar(select(EventSequence.n)) or 0
    with town.at_work() as scene:
        transitions.start(scene.s, scene.case(number), by=rosa, at=town.now)
    with town.looking() as scene:
        for view, fresh in (
            (View(crew=lights), []), (View(service=scene.case(number).service_code), []),
            (View(state="underway"), [number]), (View(state="underway", crew=lights), [number]),
        ):  # fmt: skip
            told = changes.in_view(scene.s, view, heard, now=town.now)
            assert (told.here, told.fresh, told.gone) == ([number], fresh, []), view


def test_a_list_is_read_anew_when_an_import_is_undone(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, {}, {"ID": "102", "TYPE": "Lamp flickers", "LAT": "39.68"})
    with town.looking() as scene:
        heard = scene.s.scalar(select(EventSequence.n)) or 0
    with town.at_work() as scene:
        import_runs.undo(scene.s, 1, at=town.now)
    with town.looking() as scene:
        assert changes.in_view(scene.s, View(), heard, now=town.now) == changes.Changed(many=True)


def test_a_list_hears_of_what_another_system_says_of_service_and_place(town: Town, tmp_path: Path) -> None:
    box = [[-71.3, 39.65], [-71.1, 39.65], [-71.1, 39.7], [-71.3, 39.7], [-71.3, 39.65]]
    with town.at_work() as scene:
        north = Area(kind=KINDS[0], name="North", geometry={"type": "Polygon", "coordinates": [box]})
        scene.s.add(north)
        scene.s.flush()
        area = str(north.id)
    lamp = {"TYPE": "Lamp flickers", "LAT": "39.68"}
    put(town, tmp_path, {}, lamp | {"ID": "102"})
    with town.looking() as scene:
        heard = scene.s.scalar(select(EventSequence.n)) or 0
        service = scene.case("26-000002").service_code
    put(town, tmp_path, lamp, lamp | {"ID": "102"})
    with town.looking() as scene:
        for view in (View(area=area), View(service=service), View(area=area, service=service)):
            told = changes.in_view(scene.s, view, heard, now=town.now)
            assert told.fresh == ["26-000001"], view
        told = changes.in_view(scene.s, View(service="rivertown:lamp-out"), heard, now=town.now)
        assert [(number, line and line.kind) for number, line in told.gone] == [("26-000001", "place")]


def step(scene: Scene, chance: random.Random, numbers: list[str]) -> None:
    """A new report, or any verb on any case; what is refused changes nothing."""
    if not numbers or chance.random() < 0.2:
        numbers.append(scene.report().case.number)
        return
    s, by = scene.s, {"by": scene.actor("dispatcher"), "at": scene.town.now}
    case, other = (scene.case(chance.choice(numbers)) for _ in range(2))
    words = chance.choice(["it flickers", "dark"])
    crew = scene.crew(chance.choice(["lights", "trees"]))
    verb: Callable[[], object] = chance.choice(
        [
            lambda: transitions.assign(s, case, crew, **by),
            lambda: transitions.assign(s, case, crew, **by),
            lambda: transitions.unassign(s, case, **by),
            lambda: transitions.wait(s, case, "weather", **by),
            lambda: transitions.resume(s, case, **by),
            lambda: transitions.close(s, case, Closing("not found"), **by),
            lambda: transitions.reopen(s, case, **by),
            lambda: transitions.merge(s, case, other, keep_crew=crew.id, **by),
            lambda: transitions.unmerge(s, case, **by),
            lambda: transitions.note(s, case, "Look", **by),
            lambda: priorities.raise_priority(s, case, **by),
            lambda: tags.tag(s, case, "School", **by),
            lambda: tags.untag(s, case, "School", **by),
            lambda: transitions.record_fact(s, case, "start", why="reassigned", **by),
            lambda: transitions.reviewed(s, case, **by),
            lambda: transitions.photo_failed(s, case, why="unreadable", **by),
            lambda: scene.report(join=case.number, words=words, danger=chance.random() < 0.3),
            lambda: intake.subscribe(s, case.reports[0], "ana@mail.test", lang="en", at=scene.town.now),
        ]
    )
    with contextlib.suppress(Refused), events.savepoint(s):
        verb()
