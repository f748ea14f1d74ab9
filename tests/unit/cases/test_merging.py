"""Merging and reopening, sentence by sentence as the domain has them."""

import uuid
from datetime import timedelta

import pytest
from factories import SECRET, Scene, Town
from sqlalchemy import select, update

from city.audit import events
from city.board.queries import View, count
from city.cases import batches, corrections, priorities, reporter_count, sla, transitions
from city.cases.transitions import Closing
from city.db import engine as db
from city.db.models import Case, Message, Report, Service
from city.lifecycle import Refused
from city.notifications import fan_out
from city.people import accounts
from city.reports import closing_feedback, intake

pytestmark = pytest.mark.both_databases

DAY = timedelta(days=1)


def close(scene: Scene, case: Case, days: float = 0) -> None:
    at = scene.town.now + days * DAY
    transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=scene.actor("dispatcher"), at=at)


def merge(scene: Scene, case: Case, into: Case, days: float = 0, keep: str | None = None) -> None:
    crew = scene.crew(keep).id if keep else None
    at = scene.town.now + days * DAY
    transitions.merge(scene.s, case, into, by=scene.actor("dispatcher"), at=at, keep_crew=crew)


def unmerge(scene: Scene, case: Case, days: float = 0) -> None:
    transitions.unmerge(scene.s, case, by=scene.actor("dispatcher"), at=scene.town.now + days * DAY)


def not_fixed(scene: Scene, report: Report, days: float = 0) -> str:
    key, at = uuid.uuid4().hex, scene.town.now + days * DAY
    token = intake.token_for(SECRET, key)
    closing, by = (
        closing_feedback.closing_of(transitions.root_of(scene.s, report.case)),
        accounts.reporter(report.id),
    )
    return closing_feedback.not_fixed(scene.s, report, closing, by=by, at=at, key=key, token=token)


def test_one_not_fixed_within_14_days_of_that_persons_notice_reopens_once(town: Town) -> None:
    """Whoever's letter came five days late has five days more; a neighbor without one has not."""
    with town.at_work() as scene:
        mine = scene.report()
        theirs = scene.report(join=mine.case.number)
        wish = intake.subscribe(scene.s, mine, "ana@town.test", lang="en", at=town.now)
        intake.confirm(scene.s, wish, at=town.now)
        close(scene, mine.case)
        ids = mine.id, theirs.id
    with db.transaction(town.engine) as s:
        fan_out.process_events(s, town.now)
        for letter in s.scalars(select(Message).where(Message.kind == "closed")):
            letter.sent_at = town.now + 5 * DAY
    with town.at_work() as scene:
        mine, theirs = (scene.s.get_one(Report, id_) for id_ in ids)
        case = mine.case
        assert closing_feedback.told_at(scene.s, mine, case) == town.now + 5 * DAY
        assert closing_feedback.told_at(scene.s, theirs, case) == town.now
        assert not_fixed(scene, mine, 18.9) == "reopened"
        assert (case.state, case.cycle) == ("accepted", 2)
        assert not_fixed(scene, mine, 18.95) == "reopened"
        assert case.cycle == 2, "twice is harmless"


def test_what_a_resident_sends_back_is_under_review_until_somebody_looks_or_sends_a_crew(town: Town) -> None:
    with town.at_work() as scene:
        looked_at, given = scene.report(), scene.report()
        numbers = [looked_at.case.number, given.case.number]
        for report in (looked_at, given):
            close(scene, report.case)
            assert not_fixed(scene, report) == "reopened"
            assert (report.case.state, report.case.review) == ("accepted", "not fixed")
        assert count(scene.s, View(review="yes"), now=town.now) == 2
        transitions.reviewed(scene.s, looked_at.case, by=scene.actor("supervisor"), at=town.now)
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        what = {"crew": scene.crew("lights").id}
        sent = batches.digest("k", by, "assign", what, numbers[1:])
        batch = batches.act(scene.s, numbers[1:], "assign", what, by=by, at=town.now, mode="rest", sent=sent)
        assert [scene.case(number).review for number in numbers] == [None, None]
    with town.at_work() as scene:
        batches.undo(scene.s, batch.id, by=scene.actor("dispatcher"), at=town.now)
        assert [scene.case(number).review for number in numbers] == [None, "not fixed"]


def test_what_staff_reopen_needs_no_second_look(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        close(scene, case)
        transitions.reopen(scene.s, case, by=scene.actor("dispatcher"), at=town.now)
        assert (case.state, case.review) == ("accepted", None)


def test_later_ones_join(town: Town) -> None:
    with town.at_work() as scene:
        mine = scene.report()
        theirs = scene.report(join=mine.case.number)
        close(scene, mine.case)
        assert [not_fixed(scene, mine), not_fixed(scene, theirs)] == ["reopened", "joined"]
        assert mine.case.cycle == 2


def test_a_third_reopening_goes_to_a_supervisor(town: Town) -> None:
    with town.at_work() as scene:
        mine = scene.report()
        for expected in ("reopened", "reopened", "review"):
            close(scene, mine.case)
            assert not_fixed(scene, mine) == expected
        assert (mine.case.state, mine.case.review) == ("closed", "sent back")


def test_after_14_days_a_new_linked_case(town: Town) -> None:
    with town.at_work() as scene:
        mine = scene.report()
        close(scene, mine.case)
        assert not_fixed(scene, mine, 14.1) == "new case"
        new = scene.s.scalars(select(Case).where(Case.linked_to_id == mine.case_id)).one()
        assert (mine.case.state, new.state) == ("closed", "new")


def test_the_merged_case_keeps_its_rows_and_its_reports_keep_their_first_case(town: Town) -> None:
    with town.at_work() as scene:
        mine, root = scene.report(taken=[scene.photo()]), scene.report().case
        close(scene, mine.case)
        merge(scene, mine.case, root)
        assert (mine.case.number, mine.number) == ("26-000001", "26-000001-A")
        assert [photo.case_id for photo in mine.photos] == [mine.case_id]
        assert len(mine.case.closures) == 1


def test_unmerge_gives_it_its_former_state_and_due_date_as_if_its_clock_had_never_stopped(
    town: Town,
) -> None:
    with town.at_work() as scene:
        case, root = scene.assigned("lights"), scene.report(at=town.now + 9 * DAY).case
        due = case.due_at
        merge(scene, case, root, 9)
        unmerge(scene, case, 20)
        assert (case.state, case.due_at, case.standing) == ("assigned", due, "late")
        assert transitions.live(case).crew_id == scene.crew("lights").id


def test_what_was_separated_from_it_while_it_was_merged_takes_its_clock_along(town: Town) -> None:
    """The old case lent its first report's day; it goes, and the one it was merged into has its own day."""
    with town.at_work() as scene:
        old, middle, root = (scene.report(at=town.now + n * DAY).case for n in (0, 2, 4))
        own = middle.due_at
        merge(scene, old, middle, 4)
        assert middle.due_at == old.due_at
        merge(scene, middle, root, 4)
        unmerge(scene, old, 5)
        unmerge(scene, middle, 5)
        assert (middle.due_at, middle.clock_from) == (own, middle.opened_at)
        assert root.clock_from == root.opened_at


def test_danger_that_came_with_a_merged_case_goes_with_it(town: Town) -> None:
    with town.at_work() as scene:
        urgent, root = scene.report(danger=True).case, scene.report().case
        own = root.due_at, root.risk_at
        merge(scene, urgent, root)
        assert (root.urgent, root.due_at) == (True, urgent.due_at)
        unmerge(scene, urgent)
        assert (root.urgent, (root.due_at, root.risk_at)) == (False, own)
        assert urgent.urgent


def test_danger_stays_where_somebody_else_has_told_of_it(town: Town) -> None:
    with town.at_work() as scene:
        urgent, other, root = (scene.report(danger=danger).case for danger in (True, True, False))
        merge(scene, urgent, root)
        merge(scene, other, root)
        unmerge(scene, urgent)
        assert root.urgent, "the other brought it too"
        unmerge(scene, other)
        assert not root.urgent
        merge(scene, other, root)
        scene.report(join=root.number, danger=True)
        unmerge(scene, other)
        assert root.urgent, "one of its own reports says so"


def test_danger_goes_along_through_a_case_that_was_merged_itself(town: Town) -> None:
    with town.at_work() as scene:
        urgent, middle, root, next_ = (scene.report(danger=n == 0).case for n in range(4))
        merge(scene, urgent, middle)
        merge(scene, middle, root)
        assert root.urgent
        merge(scene, middle, next_)
        assert (root.urgent, next_.urgent) == (False, True)
        unmerge(scene, urgent)
        assert (middle.urgent, next_.urgent) == (False, False)


def test_danger_that_goes_leaves_the_word_of_another_system_as_it_was(town: Town) -> None:
    with town.at_work() as scene:
        urgent, root = scene.report(danger=True).case, scene.report().case
        root.promised_at = town.now + 9 * DAY
        merge(scene, urgent, root)
        assert root.due_at == urgent.due_at
        unmerge(scene, urgent)
        assert root.due_at == root.promised_at == town.now + 9 * DAY


def test_a_case_that_waited_waits_again_when_it_is_separated(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        case, root = scene.report().case, scene.report().case
        due = case.due_at
        transitions.wait(scene.s, case, "utility", by=by, at=town.now + DAY)
        merge(scene, case, root, 2)
        unmerge(scene, case, 3)
        assert (case.state, case.standing) == ("waiting", "wait")
        transitions.resume(scene.s, case, by=by, at=town.now + 4 * DAY)
        assert case.due_at == due + 3 * DAY


def test_what_was_added_after_the_merge_stays_on_the_survivor(town: Town) -> None:
    with town.at_work() as scene:
        mine, root = scene.report(), scene.report().case
        merge(scene, mine.case, root)
        joined = scene.report(join=mine.case.number, taken=[scene.photo()])
        assert joined.case is root
        close(scene, root)
        unmerge(scene, mine.case)
        assert (mine.case.state, root.state, joined.case_id) == ("new", "closed", root.id)
        assert [photo.case_id for photo in joined.photos] == [root.id]


def test_people_told_are_not_untold(town: Town) -> None:
    """Whoever heard of a closing and is separated from it gets no letter that takes it back."""
    with town.at_work() as scene:
        mine, root = scene.report(), scene.report().case
        wish = intake.subscribe(scene.s, mine, "ana@town.test", lang="en", at=town.now)
        intake.confirm(scene.s, wish, at=town.now)
        merge(scene, mine.case, root)
        close(scene, root)
        numbers = mine.case.number, root.number
    for undo in (False, True):
        with town.at_work() as scene:
            if undo:
                unmerge(scene, scene.case(numbers[0]))
        with db.transaction(town.engine) as s:
            fan_out.process_events(s, town.now)
            for letter in s.scalars(select(Message)):
                letter.sent_at = town.now
    with town.looking() as scene:
        kinds = scene.s.scalars(select(Message.kind).order_by(Message.id)).all()
        assert list(kinds) == ["receipt", "confirmed", "changed", "closed"], "changed, as it was merged"


@pytest.mark.parametrize("keep", ["lights", "trees"])
def test_of_two_live_assignments_the_dispatcher_names_the_survivor_and_the_other_is_withdrawn(
    town: Town, keep: str
) -> None:
    with town.at_work() as scene:
        case, root = scene.assigned("lights"), scene.assigned("trees")
        with pytest.raises(Refused, match="choose_crew"):
            merge(scene, case, root)
        assert case.state == "assigned", "nothing half done"
        merge(scene, case, root, keep=keep)
        assert transitions.live(root).crew_id == scene.crew(keep).id
        assert transitions.live(case) is None
        ended = [job.ended_why for job in root.assignments if job.ended_at]
        assert ended == (["withdrawn"] if keep == "lights" else [])


def many(town: Town, scene: Scene, people_: int = 3) -> Case:
    """A case that so many have told of, where three are many."""
    scene.s.execute(update(Service).values(many=3))
    case = scene.report().case
    for _ in range(people_ - 1):
        scene.report(join=case.number)
    return case


def test_who_became_many_while_it_was_closed_raise_it_when_it_is_reopened(town: Town) -> None:
    with town.at_work() as scene:
        case, by = many(town, scene, 2), scene.actor("dispatcher")
        transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=by, at=town.now)
        transitions.merge(scene.s, scene.report().case, case, by=by, at=town.now)
        assert not case.raised, "what is done has no turn"
        transitions.reopen(scene.s, case, by=by, at=town.now)
        assert case.raised


def priority(town: Town, case_id: int) -> list[tuple[str, str, int | None]]:
    with town.looking() as scene:
        story = events.of(scene.s, events.of_case(case_id))
        return [(e.kind, e.actor, e.facts.get("people")) for e, _ in story if "priority" in e.kind]


def test_many_people_raise_a_case_once(town: Town) -> None:
    with town.at_work() as scene:
        case = many(town, scene, 2)
        assert not case.raised
        for _ in range(3):
            scene.report(join=case.number)
        assert case.raised
        case_id = case.id
    assert priority(town, case_id) == [("raise priority", "system", 3)]
    with town.looking() as scene:
        assert scene.s.get_one(Case, case_id).rank == 1


def test_one_person_with_many_reports_is_one(town: Town) -> None:
    with town.at_work() as scene:
        scene.s.execute(update(Service).values(many=3))
        first = scene.report()
        told = [first] + [scene.report(join=first.case.number) for _ in range(1)]
        for each in told:
            intake.subscribe(scene.s, each, "ana@town.test", lang="en", at=town.now)
        intake.subscribe(scene.s, told[1], "bea@town.test", lang="en", at=town.now)
        third = scene.report(join=first.case.number)
        assert reporter_count.count(scene.s, [first.case_id]) == 2
        intake.subscribe(scene.s, third, "bea@town.test", lang="en", at=town.now)
        assert reporter_count.count(scene.s, [first.case_id]) == 1
        assert not first.case.raised


def test_lowered_by_staff_it_stays_lowered_until_twice_as_many_have_told(town: Town) -> None:
    with town.at_work() as scene:
        case_id = many(town, scene, 3).id
    with town.at_work() as scene:
        case = scene.s.get_one(Case, case_id)
        priorities.lower_priority(scene.s, case, by=scene.actor("dispatcher"), at=town.now)
    for n in range(4, 7):
        with town.at_work() as scene:
            case = scene.s.get_one(Case, case_id)
            scene.report(join=case.number, at=town.now + DAY)
            assert case.raised == (n == 6)


@pytest.mark.parametrize("act", ["raise", "lower"])
def test_a_batch_that_was_undone_leaves_the_priority_to_whom_it_was(town: Town, act: str) -> None:
    """A raise by mistake hinders nobody's head-count; a lowering by mistake does not make it staff's."""
    with town.at_work() as scene:
        case_id, number = (case := many(town, scene, 2 if act == "raise" else 3)).id, case.number
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        sent = batches.digest("a form", by, act, {}, [number])
        batch_id = batches.act(scene.s, [number], act, {}, by=by, at=town.now, sent=sent).id
    with town.at_work() as scene:
        batches.undo(scene.s, batch_id, by=scene.actor("dispatcher"), at=town.now)
        assert scene.case(number).raised == (act == "lower")
    if act == "raise":
        with town.at_work() as scene:
            scene.report(join=number, at=town.now + DAY)
            assert scene.case(number).raised
    else:
        with town.at_work() as scene:
            scene.s.execute(update(Service).values(many=9))
            case = scene.s.get_one(Case, case_id)
            reporter_count.reporter_removed(scene.s, case, at=town.now + DAY)
            assert not case.raised


def test_a_merge_counts_everybody_and_separating_counts_again(town: Town) -> None:
    with town.at_work() as scene:
        root, merged = many(town, scene, 2), scene.report().case
        merge(scene, merged, root)
        assert root.raised
        ids = root.id, merged.id
    with town.at_work() as scene:
        root, merged = (scene.s.get_one(Case, id_) for id_ in ids)
        unmerge(scene, merged)
        assert not root.raised
    assert [kind for kind, _by, _n in priority(town, ids[0])] == ["raise priority", "lower priority"]


def test_what_staff_had_lowered_is_low_again_when_cases_are_separated(town: Town) -> None:
    with town.at_work() as scene:
        root, merged = many(town, scene, 3), many(town, scene, 3)
        priorities.lower_priority(scene.s, root, by=scene.actor("dispatcher"), at=town.now)
        ids = root.id, merged.id
    with town.at_work() as scene:
        root, merged = (scene.s.get_one(Case, id_) for id_ in ids)
        merge(scene, merged, root)
        assert root.raised, "twice as many have told"
    with town.at_work() as scene:
        root, merged = (scene.s.get_one(Case, id_) for id_ in ids)
        unmerge(scene, merged)
        assert not root.raised


def test_what_staff_raised_stays_raised_when_cases_are_separated(town: Town) -> None:
    with town.at_work() as scene:
        root, merged = many(town, scene, 1), scene.report().case
        merge(scene, merged, root)
        priorities.raise_priority(scene.s, root, by=scene.actor("dispatcher"), at=town.now)
        ids = root.id, merged.id
    with town.at_work() as scene:
        root, merged = (scene.s.get_one(Case, id_) for id_ in ids)
        unmerge(scene, merged)
        assert root.raised


class TestWhatWasLate:
    """What was late and lies in another case lets none of them count as on time, whatever happens between."""

    def late(self, scene: Scene) -> Case:
        case = scene.report(at=scene.town.now - 9 * DAY).case
        assert sla.is_overdue(case, scene.town.now)
        return case

    def long(self, scene: Scene) -> Case:
        service = scene.s.get_one(Service, "limb-down")
        service.promise_days = 60
        return scene.report(at=scene.town.now - 8 * DAY, service_code="limb-down").case

    def restarted(self, scene: Scene, case: Case) -> bool:
        by, at = scene.actor("dispatcher"), scene.town.now
        transitions.close(scene.s, case, Closing("not found"), by=by, at=at)
        line = scene.s.info["pending"].lines[-1]
        assert line.kind == "close"
        return bool(line.facts.get("restarted"))

    def test_a_correction_of_the_root_outlives_the_separation(self, town: Town) -> None:
        with town.at_work() as scene:
            late, root, by = self.late(scene), self.long(scene), scene.actor("dispatcher")
            transitions.merge(scene.s, late, root, by=by, at=town.now)
            short = scene.s.get_one(Service, "light-out")
            corrections.reclassify(scene.s, root, short, by=by, at=town.now)
            transitions.unmerge(scene.s, late, by=by, at=town.now)
            assert self.restarted(scene, root)

    def test_danger_that_comes_and_goes_hides_nothing(self, town: Town) -> None:
        with town.at_work() as scene:
            late, root, by = self.late(scene), self.long(scene), scene.actor("dispatcher")
            danger = scene.report(danger=True).case
            transitions.merge(scene.s, danger, root, by=by, at=town.now)
            assert sla.is_overdue(root, town.now)
            transitions.merge(scene.s, late, root, by=by, at=town.now)
            transitions.unmerge(scene.s, danger, by=by, at=town.now)
            assert not sla.is_overdue(root, town.now)
            assert self.restarted(scene, root)

    def test_what_left_takes_its_lateness_along(self, town: Town) -> None:
        with town.at_work() as scene:
            late, root, by = self.late(scene), self.long(scene), scene.actor("dispatcher")
            second = self.long(scene)
            transitions.merge(scene.s, late, root, by=by, at=town.now)
            transitions.merge(scene.s, root, second, by=by, at=town.now)
            assert transitions.counts_as_restarted(scene.s, second)
            transitions.unmerge(scene.s, late, by=by, at=town.now)
            assert not self.restarted(scene, second)

    def test_what_was_closed_has_counted_then(self, town: Town) -> None:
        with town.at_work() as scene:
            late, root, by = self.late(scene), self.long(scene), scene.actor("dispatcher")
            transitions.close(scene.s, late, Closing("not found"), by=by, at=town.now)
            transitions.merge(scene.s, late, root, by=by, at=town.now)
            assert not self.restarted(scene, root)


def test_what_is_public_and_merged_keeps_its_root_public(town: Town) -> None:
    with town.at_work() as scene:
        case, root, by = scene.report().case, scene.report().case, scene.actor("dispatcher")
        transitions.merge(scene.s, case, root, by=by, at=town.now)
        private = scene.s.get_one(Service, "nuisance")
        with pytest.raises(Refused, match="public_duplicates"):
            corrections.reclassify(scene.s, root, private, by=by, at=town.now)
        transitions.unmerge(scene.s, case, by=by, at=town.now)
        assert corrections.reclassify(scene.s, root, private, by=by, at=town.now)
