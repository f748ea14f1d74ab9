"""Acting on many cases at once: one transaction, an event each, one Undo, and nothing half done."""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from factories import Town, statements
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from city.audit import events
from city.cases import batches, board_index, duplicates, locks, sla, sla_sweep, tags, transitions
from city.cases.transitions import Closing
from city.db.models import Batch, BatchItem, Case, Event
from city.lifecycle import Refused

pytestmark = pytest.mark.both_databases

LATER = timedelta(minutes=5)


def many(town: Town, count: int) -> list[str]:
    """The numbers of fresh cases."""
    with town.at_work() as scene:
        return [scene.report().case.number for _ in range(count)]


def acted(
    town: Town, numbers: list[str], name: str, *, by: str = "dispatcher", mode: str = "rest",
    at: datetime | None = None, sent: str = "", **what: Any,
) -> Batch:  # fmt: skip
    with town.at_work() as scene:
        who = scene.actor(by)
        digest = batches.digest(sent, who, name, what, numbers)
        return batches.act(
            scene.s, numbers, name, what, by=who, at=at or town.now, mode=mode, sent=digest
        )  # fmt: skip


def undone(town: Town, batch: Batch, *, by: str = "dispatcher", at: datetime | None = None) -> Batch:
    with town.at_work() as scene:
        return batches.undo(scene.s, batch.id, by=scene.actor(by), at=at or town.now + LATER)


def facts(case: Case) -> dict[str, Any]:
    """All that an undoing must bring back."""
    held = transitions.live(case)
    return {
        "state": case.state, "crew": held.crew_id if held else None,
        "started": held.started_at if held else None,
        "clock": [(p.why, p.began_at, p.ended_at) for p in case.pauses],
        "due": case.due_at if case.state != "waiting" else None,  # which moves on as long as it waits
        "cycle": case.cycle, "outcome": case.outcome, "closed": case.closed_at,
        "closures": len(case.closures),
        "review": case.review, "raised": case.raised, "rank": case.rank, "standing": case.standing,
        "held": case.crew_id, "follow_on": case.follow_on, "tags": tags.of(case),
        "waits": sla.waits_for(case), "into": case.merged_into_id, "urgent": case.urgent,
    }  # fmt: skip


def everything(town: Town, numbers: list[str]) -> dict[str, dict[str, Any]]:
    with town.looking() as scene:
        return {number: facts(scene.case(number)) for number in numbers}


@pytest.fixture
def states(town: Town) -> list[str]:
    """A case in every open state, and one that waits in a crew's hands."""
    numbers = many(town, 6)
    with town.at_work() as scene:
        s, by, rosa = scene.s, scene.actor("dispatcher"), scene.actor("rosa")
        found = [scene.case(number) for number in numbers]
        transitions.accept(s, found[1], by=by, at=town.now)
        for case in (found[2], found[3], found[5]):
            transitions.assign(s, case, scene.crew("lights"), by=by, at=town.now)
        transitions.start(s, found[3], by=rosa, at=town.now)
        transitions.wait(s, found[4], "weather", by=by, at=town.now - timedelta(hours=3))
        transitions.wait(s, found[5], "parts", by=by, at=town.now)
    return numbers


ACTS: list[tuple[str, dict[str, Any]]] = [
    ("assign", {"crew": "trees"}),
    ("accept", {}),
    ("wait", {"reason": "resident"}),
    ("close", {"outcome": "not found", "words": "We looked twice."}),
    ("tag", {"tag": "Storm"}),
    ("raise", {}),
    ("merge", {"into": ""}),
]


def with_crew(town: Town, what: dict[str, Any]) -> dict[str, Any]:
    return what | {"crew": town.ids[what["crew"]]} if "crew" in what else what


@pytest.mark.parametrize(("name", "what"), ACTS, ids=[name for name, _ in ACTS])
def test_undoing_a_batch_puts_every_case_back_as_it_was(
    town: Town, states: list[str], name: str, what: dict[str, Any]
) -> None:
    before = everything(town, states)
    batch = acted(town, states, name, **with_crew(town, what))
    after = everything(town, states)
    changed = [number for number in states if after[number] != before[number]]
    takes_over = name == "merge"  # the oldest, from a crew of the others
    assert batch.done > 0
    assert len(changed) == batch.done + takes_over
    assert undone(town, batch).left == []
    assert everything(town, states) == before
    with town.looking() as scene:
        assert events.verify(scene.s) == []
        assert board_index.differences(scene.s) == []


def test_a_mark_that_time_alone_has_made_meanwhile_outlives_the_undoing(town: Town) -> None:
    numbers = many(town, 1)
    at = town.now + timedelta(days=40)
    batch = acted(town, numbers, "assign", at=at, crew=town.ids["lights"])
    sla_sweep.sweep(town.engine, at + timedelta(minutes=1), late_days=7)
    assert everything(town, numbers)[numbers[0]]["review"] == "late"
    assert undone(town, batch, at=at + LATER).left == []
    assert everything(town, numbers)[numbers[0]]["review"] == "late"


def test_each_case_has_a_line_of_its_own(town: Town) -> None:
    numbers = many(town, 5)
    batch = acted(town, numbers, "assign", crew=town.ids["lights"])
    undone(town, batch)
    with town.looking() as scene:
        for number in numbers:
            story = events.of(scene.s, transitions.subject(scene.case(number)))
            assert [line.kind for line, _ in story][-2:] == ["assign", "undo batch"]
            assert story[-1][0].facts == {
                "what": "assign",
                "batch": batch.id,
                "cycle": 1,
                "crew": None,
            }


def test_those_that_may_not_move_are_left_out_and_named(town: Town) -> None:
    first, gone, last = many(town, 3)
    with town.at_work() as scene:
        transitions.cancel(scene.s, scene.case(gone), "test", by=scene.actor("dispatcher"), at=town.now)
    batch = acted(town, [last, gone, "26-999999", first], "assign", crew=town.ids["lights"])
    assert (batch.done, [(number, code) for number, code, _ in batch.refused]) == (
        2, [("26-999999", "unknown_number"), (gone, "wrong_state")],
    )  # fmt: skip
    told = everything(town, [first, gone, last])
    assert [told[number]["state"] for number in (first, gone, last)] == ["assigned", "cancelled", "assigned"]


def test_all_or_nothing_leaves_nothing_behind(town: Town) -> None:
    first, gone = many(town, 2)
    with town.at_work() as scene:
        transitions.cancel(scene.s, scene.case(gone), "test", by=scene.actor("dispatcher"), at=town.now)
    before = everything(town, [first, gone])
    with pytest.raises(Refused) as refused:
        acted(town, [first, gone], "assign", mode="all", crew=town.ids["lights"])
    assert refused.value.code == "batch_refused"
    assert [row[:2] for row in refused.value.facts["refused"]] == [[gone, "wrong_state"]]  # type: ignore[attr-defined]
    assert everything(town, [first, gone]) == before
    with town.looking() as scene:
        assert scene.s.scalar(select(func.count()).select_from(Batch)) == 0


def test_what_is_so_already_is_neither_refused_nor_told_again(town: Town) -> None:
    numbers = many(town, 3)
    acted(town, numbers[:1], "assign", crew=town.ids["lights"])
    batch = acted(town, numbers, "assign", crew=town.ids["lights"])
    assert (batch.done, batch.same, batch.refused) == (2, 1, [])
    undone(town, batch)
    assert everything(town, numbers)[numbers[0]]["state"] == "assigned"


def test_the_same_form_sent_twice_is_one_batch(town: Town) -> None:
    numbers = many(town, 2)
    first = acted(town, numbers, "accept", sent="a form")
    again = acted(town, numbers, "accept", sent="a form")
    assert (again.id, again.done) == (first.id, 2)
    with town.looking() as scene:
        assert scene.s.scalar(select(func.count()).select_from(Event).where(Event.kind == "accept")) == 2


def test_a_form_counts_as_the_same_only_for_who_sent_it_and_what_it_asks(town: Town) -> None:
    with town.looking() as scene:
        dispatcher, supervisor = scene.actor("dispatcher"), scene.actor("supervisor")
    mine = batches.digest("k", dispatcher, "assign", {"crew": 1}, ["a", "b"])
    assert mine == batches.digest("k", dispatcher, "assign", {"crew": 1}, ["b", "a", "a"])
    assert len({
        mine,
        batches.digest("k", supervisor, "assign", {"crew": 1}, ["a", "b"]),
        batches.digest("k", dispatcher, "assign", {"crew": 2}, ["a", "b"]),
        batches.digest("k", dispatcher, "accept", {"crew": 1}, ["a", "b"]),
        batches.digest("other", dispatcher, "assign", {"crew": 1}, ["a", "b"]),
        batches.digest("k", dispatcher, "assign", {"crew": 1}, ["a"]),
    }) == 6  # fmt: skip


def test_a_case_that_moved_on_is_left_and_named(town: Town) -> None:
    stays, moves = many(town, 2)
    batch = acted(town, [stays, moves], "assign", crew=town.ids["lights"])
    with town.at_work() as scene:
        transitions.start(scene.s, scene.case(moves), by=scene.actor("rosa"), at=town.now)
    assert undone(town, batch).left == [moves]
    told = everything(town, [stays, moves])
    assert (told[stays]["state"], told[moves]["state"]) == ("new", "underway")


def test_the_second_undo_changes_nothing_and_says_so(town: Town) -> None:
    numbers = many(town, 2)
    batch = acted(town, numbers, "assign", crew=town.ids["lights"])
    undone(town, batch)
    acted(town, numbers, "assign", crew=town.ids["trees"], sent="again")
    with pytest.raises(Refused, match="undone_already"):
        undone(town, batch, by="supervisor")
    assert everything(town, numbers)[numbers[0]]["crew"] == town.ids["trees"]


def test_undo_is_offered_for_half_an_hour_to_whoever_did_it(town: Town) -> None:
    batch = acted(town, many(town, 1), "assign", crew=town.ids["lights"])
    with town.looking() as scene:
        s, by = scene.s, scene.actor("dispatcher")
        found = batches.last(s, by, town.now + LATER)
        assert found
        assert found.id == batch.id
        assert batches.last(s, scene.actor("supervisor"), town.now + LATER) is None
        assert batches.last(s, by, town.now + batches.UNDO_FOR) is None
    with pytest.raises(Refused, match="too_late_to_undo"):
        undone(town, batch, at=town.now + batches.UNDO_FOR + timedelta(seconds=1))


@pytest.mark.parametrize("name", ["rosa", "manager", "call-taker"])
def test_whoever_may_not_do_it_may_not_undo_it(town: Town, name: str) -> None:
    numbers = many(town, 1)
    with pytest.raises(Refused, match="not_allowed"):
        acted(town, numbers, "assign", by=name, crew=town.ids["lights"])
    batch = acted(town, numbers, "assign", crew=town.ids["lights"])
    with pytest.raises(Refused, match="not_allowed"):
        undone(town, batch, by=name)
    assert everything(town, numbers)[numbers[0]]["state"] == "assigned"


@pytest.mark.parametrize(
    ("name", "what", "code"),
    [
        ("dance", {}, "unknown_value"),
        ("assign", {"crew": 999}, "unknown_value"),
        ("assign", {}, "unknown_value"),
        ("wait", {"reason": "lunch"}, "unknown_value"),
        ("close", {"outcome": "gone"}, "unknown_value"),
        ("close", {"outcome": "fixed"}, "evidence_missing"),
        ("close", {"outcome": "not found", "words": "x" * 4001}, "words_too_long"),
        ("tag", {"tag": " "}, "bad_tag"),
        ("merge", {"into": "26-999999"}, "unknown_number"),
    ],
)
def test_nonsense_is_refused_before_anything_moves(
    town: Town, name: str, what: dict[str, Any], code: str
) -> None:
    numbers = many(town, 2)
    before = everything(town, numbers)
    with pytest.raises(Refused, match=code):
        acted(town, numbers, name, **what)
    assert everything(town, numbers) == before
    with town.looking() as scene:
        assert scene.s.scalar(select(func.count()).select_from(Batch)) == 0


def test_nothing_and_too_many_are_refused(town: Town) -> None:
    with pytest.raises(Refused, match="nothing_chosen"):
        acted(town, [], "accept")
    with pytest.raises(Refused, match="too_many_cases"):
        acted(town, [f"26-{n:06d}" for n in range(batches.MOST + 1)], "accept", sent="many")
    with pytest.raises(Refused, match="too_many_to_merge"):
        acted(town, [f"26-{n:06d}" for n in range(batches.MOST_MERGED + 1)], "merge", into="", sent="fewer")


def test_merging_goes_into_the_oldest_and_separates_without_a_word_that_they_are_two(town: Town) -> None:
    numbers = many(town, 4)
    batch = acted(town, numbers, "merge", into="")
    told = everything(town, numbers)
    with town.looking() as scene:
        oldest = scene.case(numbers[0]).id
    assert [told[number]["into"] for number in numbers] == [None, oldest, oldest, oldest]
    undone(town, batch)
    with town.looking() as scene:
        assert duplicates.is_not_duplicate(scene.s, scene.case(numbers[0])) == set()


def test_what_was_merged_elsewhere_meanwhile_is_left_there(town: Town) -> None:
    """Undoing would give it back its state of before all merging: it would live again beside its root."""
    member, elsewhere, inner, root = many(town, 4)
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        transitions.merge(scene.s, scene.case(member), scene.case(elsewhere), by=by, at=town.now)
    before = everything(town, [member, elsewhere, inner, root])
    batch = acted(town, [member, inner], "merge", into=root)
    assert (batch.done, batch.refused) == (1, [[member, "wrong_state", {"move": "merge", "state": "merged"}]])
    assert undone(town, batch).left == []
    assert everything(town, [member, elsewhere, inner, root]) == before
    batch = acted(town, [member, inner, root], "merge", into="", sent="into the oldest")
    assert (batch.done, batch.what["into"]) == (1, inner)


def test_undoing_a_merge_of_danger_leaves_the_survivor_as_calm_as_it_was(town: Town) -> None:
    root, calm = many(town, 2)
    with town.at_work() as scene:
        urgent = scene.report(danger=True).case.number
    before = everything(town, [root, calm, urgent])
    batch = acted(town, [root, calm, urgent], "merge", into="")
    assert everything(town, [root])[root]["urgent"]
    undone(town, batch)
    assert everything(town, [root, calm, urgent]) == before


def test_a_survivor_that_moved_on_is_named_and_counts_for_none_of_those_put_back(town: Town) -> None:
    root, member = many(town, 2)
    batch = acted(town, [member], "merge", into=root)
    with town.at_work() as scene:
        transitions.note(scene.s, scene.case(root), "Looked.", by=scene.actor("dispatcher"), at=town.now)
    back = undone(town, batch)
    assert (back.left, batches.put_back(back)) == ([root], 1)
    assert everything(town, [member])[member]["into"] is None


@pytest.mark.postgresql
def test_a_root_that_is_merged_while_the_batch_locks_deadlocks_nobody(
    town: Town, monkeypatch: pytest.MonkeyPatch, soon: None
) -> None:
    """A colleague merges it into an older case just then; a third has that one and wants the root too."""
    older, root, member = many(town, 3)
    taken = threading.Event()
    take = locks.lock_numbered

    def merged_just_then(s: Session, numbers: Collection[str]) -> dict[str, Case]:
        monkeypatch.setattr(locks, "lock_numbered", take)
        with town.at_work() as scene:
            by = scene.actor("dispatcher")
            transitions.merge(scene.s, scene.case(root), scene.case(older), by=by, at=town.now)
        merged.set()
        assert taken.wait(60)
        return take(s, numbers)

    merged = threading.Event()
    monkeypatch.setattr(locks, "lock_numbered", merged_just_then)
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(acted, town, [member], "merge", into=root)
        assert merged.wait(60)
        with town.at_work() as scene:
            locks.lock(scene.s, scene.case(older))
            taken.set()
            town.await_waiting()
            locks.lock(scene.s, scene.case(root))
        assert batch.result(60).what["into"] == older
    assert everything(town, [member])[member]["into"] is not None


def test_two_crews_at_work_are_not_merged_by_the_dozen(town: Town) -> None:
    first, second, third = many(town, 3)
    with town.at_work() as scene:
        for number, crew in ((first, "lights"), (second, "trees")):
            transitions.assign(
                scene.s, scene.case(number), scene.crew(crew), by=scene.actor("dispatcher"), at=town.now
            )
    batch = acted(town, [first, second, third], "merge", into="")
    assert (batch.done, [row[:2] for row in batch.refused]) == (1, [[second, "choose_crew"]])


@pytest.mark.slow
def test_a_batch_needs_hardly_more_statements_for_fifty_than_for_five(town: Town) -> None:
    for name, what in ACTS[:6]:
        counts = []
        for count in (5, 50):
            numbers = many(town, count)
            with statements(town.engine) as sent:
                batch = acted(town, numbers, name, **with_crew(town, what))
                if name == "assign":  # and on to another crew
                    batch = acted(town, numbers, name, crew=town.ids["lights"])
                undone(town, batch)
            # SQLite is asked for a new row's id one by one, which is no journey there.
            one_by_one = ("INSERT INTO pauses", "INSERT INTO closures")
            counts.append(sum(not each.startswith(one_by_one) for each in sent))
        assert counts[1] <= counts[0] + 4, (name, counts)


def test_merging_takes_few_statements_a_case(town: Town) -> None:
    counts = []
    for count in (5, 25):
        numbers = many(town, count + 1)
        with statements(town.engine) as sent:
            acted(town, numbers, "merge", into="")
        counts.append(len(sent))
    assert counts[1] - counts[0] <= 5 * 20 + 4, counts


def test_old_batches_are_forgotten_and_the_log_is_not(town: Town) -> None:
    acted(town, many(town, 2), "accept")
    with town.at_work() as scene:
        assert batches.sweep(scene.s, town.now + batches.KEPT_FOR) == 0
        assert batches.sweep(scene.s, town.now + batches.KEPT_FOR + LATER) == 1
    with town.looking() as scene:
        assert scene.s.scalar(select(func.count()).select_from(BatchItem)) == 0
        assert scene.s.scalar(select(func.count()).select_from(Event).where(Event.kind == "accept")) == 2


SINGLE: list[tuple[str, Callable[..., bool], dict[str, Any]]] = [
    ("assign", lambda s, case, by, at, crew: transitions.assign(s, case, crew, by=by, at=at), {}),
    ("unassign", lambda s, case, by, at, _crew: transitions.unassign(s, case, by=by, at=at), {}),
    ("accept", lambda s, case, by, at, _crew: transitions.accept(s, case, by=by, at=at), {}),
    ("wait", lambda s, case, by, at, _crew: transitions.wait(s, case, "weather", by=by, at=at), {}),
    ("resume", lambda s, case, by, at, _crew: transitions.resume(s, case, by=by, at=at), {}),
    (
        "close",
        lambda s, case, by, at, _crew: transitions.close(s, case, Closing("not found"), by=by, at=at),
        {"outcome": "not found"},
    ),
    ("cancel", lambda s, case, by, at, _crew: transitions.cancel(s, case, "test", by=by, at=at), {}),
]


@pytest.mark.parametrize(("name", "verb", "what"), SINGLE, ids=[name for name, _, _ in SINGLE])
def test_what_was_done_to_one_case_is_put_back(
    town: Town, states: list[str], name: str, verb: Callable[..., bool], what: dict[str, Any]
) -> None:
    before = everything(town, states)
    kept = {}
    for number in states:
        with town.at_work() as scene:
            case, by = scene.case(number), scene.actor("dispatcher")
            was = transitions.snapshot(case)
            try:
                if verb(scene.s, case, by, town.now, scene.crew("trees")):
                    kept[number] = batches.keep_single(scene.s, case, name, what, was, by=by, at=town.now)
            except Refused:
                continue
    assert kept
    after = everything(town, states)
    assert {number for number in states if after[number] != before[number]} == set(kept)
    for batch in kept.values():
        assert undone(town, batch).left == []
    assert everything(town, states) == before
    with town.looking() as scene:
        assert events.verify(scene.s) == []
        assert board_index.differences(scene.s) == []


def single(town: Town, number: str, name: str, verb: Callable[..., bool], **by: str) -> Batch:
    """One act on one case, with its Undo."""
    with town.at_work() as scene:
        case, who = scene.case(number), scene.actor(by.get("by", "dispatcher"))
        was = transitions.snapshot(case)
        verb(scene.s, case, by=who, at=town.now)
        return batches.keep_single(scene.s, case, name, {}, was, by=who, at=town.now)


def test_an_offices_hands_undo_nothing_of_the_field(town: Town) -> None:
    (number,) = many(town, 1)
    closing = Closing("not found")
    batch = single(town, number, "close", lambda s, case, **who: transitions.close(s, case, closing, **who))
    with pytest.raises(Refused, match="not_allowed"):
        undone(town, batch, by="call-taker")
    assert everything(town, [number])[number]["state"] == "closed"


def test_danger_is_put_on_hold_again_by_a_supervisor_alone(town: Town) -> None:
    (number,) = many(town, 1)
    with town.at_work() as scene:
        case = scene.case(number)
        case.urgent = True
        transitions.wait(scene.s, case, "utility", by=scene.actor("supervisor"), at=town.now)
    batch = single(town, number, "resume", transitions.resume)
    with pytest.raises(Refused, match="danger_waits"):
        undone(town, batch)
    assert everything(town, [number])[number]["state"] != "waiting"
    assert undone(town, batch, by="supervisor").left == []


def test_what_moved_on_since_is_not_put_back(town: Town) -> None:
    (number,) = many(town, 1)
    with town.at_work() as scene:
        case, by = scene.case(number), scene.actor("dispatcher")
        was = transitions.snapshot(case)
        transitions.cancel(scene.s, case, "test", by=by, at=town.now)
        batch = batches.keep_single(scene.s, case, "cancel", {}, was, by=by, at=town.now)
    with town.at_work() as scene:
        transitions.restore(scene.s, scene.case(number), by=scene.actor("dispatcher"), at=town.now)
    assert undone(town, batch).left == [number]


def test_each_case_goes_to_its_usual_crew_and_what_has_one_stays(town: Town) -> None:
    with town.at_work() as scene:
        lamp, held = (scene.report().case.number for _ in range(2))
        limb = scene.report(service_code="limb-down").case.number
        transitions.assign(
            scene.s, scene.case(held), scene.crew("trees"), by=scene.actor("dispatcher"), at=town.now
        )
    with town.at_work() as scene:
        by, lights = scene.actor("dispatcher"), scene.crew("lights")
        lit = scene.case(lamp).id
        batch = batches.act(
            scene.s, [lamp, held, limb], "assign", {"crew": batches.USUAL}, by=by, at=town.now,
            sent="usual", usual=lambda _cases: {lit: lights},
        )  # fmt: skip
        assert (batch.done, batch.same) == (1, 1)
        assert [(number, code) for number, code, _ in batch.refused] == [(limb, "no_usual_crew")]
    with town.looking() as scene:
        assert scene.case(lamp).crew_id == town.ids["lights"]
        assert scene.case(held).crew_id == town.ids["trees"]
    assert undone(town, batch).left == []
    with town.looking() as scene:
        assert scene.case(lamp).crew_id is None
