"""A new date that residents are told, and a report that becomes a case of its own; and Undo of both."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from city.cases import batches, corrections, duplicates, legal_holds, queries, sla, transitions, waits
from city.cases.transitions import Closing
from city.db.models import Batch, Case, Service, Tally
from city.lifecycle import MERGED, WAIT_OVER, Refused
from city.photos.storage import FolderStore
from city.reports import intake
from tests.factories import Scene, Town

pytestmark = pytest.mark.both_databases

DAY = timedelta(days=1)


def reschedule(scene: Scene, case: Case, day: str = "", reason: str = "parts", **more: Any) -> bool:
    at, who = more.pop("at", scene.town.now), more.pop("who", "supervisor")
    return corrections.reschedule(
        scene.s, case, reason, waits.on_day(case, day, sla.END_OF_DAY), by=scene.actor(who), at=at
    )


def split(scene: Scene, case: Case, number: str, who: str = "dispatcher", **more: Any) -> Case:
    at = more.pop("at", scene.town.now)
    report = next(each for each in case.reports if each.number == number)
    return corrections.split(scene.s, case, report, by=scene.actor(who), at=at)


def joined(scene: Scene, **more: Any) -> Case:
    """A case that two have told of, the second a day later."""
    case = scene.report().case
    scene.report(join=case.number, at=scene.town.now + DAY, words="And the bench is broken.", **more)
    scene.s.expire(case, ["reports"])
    return case


class TestATakenBackSplit:
    def undo(self, scene: Scene, case: Case, number: str) -> None:
        """Splits the report off as the board does, and takes that back."""
        was = batches.snapshot(case, corrections.SPLIT)
        own = split(scene, case, number, at=scene.town.now + 20 * DAY)
        by, at = scene.actor("dispatcher"), scene.town.now + 20 * DAY
        batch = batches.keep_single(
            scene.s, case, corrections.SPLIT, {}, was, by=by, at=at, other=(own, {"own": True})
        )
        batches.undo(scene.s, batch.id, by=by, at=at)
        assert (own.state, own.merged_into_id) == (MERGED, case.id)

    def test_leaves_what_was_corrected_in_time_on_time(self, town: Town) -> None:
        with town.at_work() as scene:
            case = joined(scene)
            long = scene.s.get_one(Service, "limb-down")
            long.promise_days = 60
            by = scene.actor("dispatcher")
            corrections.reclassify(scene.s, case, long, by=by, at=town.now + DAY)
            assert not case.corrected_late
            self.undo(scene, case, f"{case.number}-B")
            assert not case.corrected_late
        town.is_right()

    def test_brings_danger_back_to_a_closed_case(self, town: Town) -> None:
        with town.at_work() as scene:
            case = joined(scene, danger=True)
            transitions.close(
                scene.s, case, Closing("not found"), by=scene.actor("dispatcher"), at=town.now + 2 * DAY
            )
            self.undo(scene, case, f"{case.number}-B")
            assert len(case.reports) == 2
        town.is_right()


class TestANewDate:
    def test_residents_are_told_and_the_clock_stays(self, town: Town) -> None:
        with town.at_work() as scene:
            case = scene.report().case
            due = case.due_at
            assert reschedule(scene, case)
            assert not reschedule(scene, case)  # twice is harmless
            assert case.rescheduled_to is not None
            assert case.rescheduled_to > due
            assert (case.due_at, case.standing) == (due, "ok")
        with town.looking() as scene:
            told, _ = queries.case_events(scene.s, scene.case(case.number))[-1]
            assert (told.kind, told.facts["reason"]) == ("reschedule", "parts")
        town.is_right()

    @pytest.mark.parametrize(("days", "kept"), [(5, 1), (9, 0)])
    def test_on_time_is_judged_by_the_first_promise_and_the_new_date_by_itself(
        self, town: Town, days: int, kept: int
    ) -> None:
        done = town.now + days * DAY
        with town.at_work() as scene:
            case = scene.report().case
            reschedule(scene, case, f"{town.now + 6 * DAY:%Y-%m-%d}")
            assert case.due_at < done
            transitions.close(scene.s, case, Closing("not found"), by=scene.actor("dispatcher"), at=done)
        with town.looking() as scene:
            wanted = ("closed", "timely", "new date", "new date kept")
            rows = scene.s.execute(
                select(Tally.what, Tally.n).where(Tally.facet == "city", Tally.what.in_(wanted), Tally.n != 0)
            )
            told = {"closed": 1, "new date": 1} | ({"new date kept": 1} if kept else {})
            assert dict(map(tuple, rows)) == told
        town.is_right()

    @pytest.mark.parametrize(
        ("day", "reason", "who", "code"),
        [
            ("2020-01-01", "parts", "supervisor", "date_past"),
            ("2199-01-01", "parts", "supervisor", "date_too_far"),
            ("soon", "parts", "supervisor", "wait_day"),
            ("", "moonlight", "supervisor", "unknown_value"),
            ("", "resident", "supervisor", "unknown_value"),
            ("", "parts", "dispatcher", "not_allowed"),
        ],
    )
    def test_what_cannot_be_is_refused(self, town: Town, day: str, reason: str, who: str, code: str) -> None:
        with town.at_work() as scene:
            case = scene.report().case
            with pytest.raises(Refused, match=code):
                reschedule(scene, case, day, reason, who=who)
            assert case.rescheduled_to is None

    def test_a_correction_of_the_type_promises_anew(self, town: Town) -> None:
        with town.at_work() as scene:
            case = scene.report().case
            reschedule(scene, case)
            limb = scene.report(service_code="limb-down").case.service
            corrections.reclassify(scene.s, case, limb, by=scene.actor("dispatcher"), at=town.now)
            assert case.rescheduled_to is None

    def test_it_can_be_given_to_many_at_once_and_undone(self, town: Town) -> None:
        with town.at_work() as scene:
            numbers = [scene.report().case.number for _ in range(3)]
        with town.at_work() as scene:
            by = scene.actor("supervisor")
            what = {"reason": "weather", "until": ""}
            batch = batches.act(scene.s, numbers, "reschedule", what, by=by, at=town.now, sent="one")
            assert batch.done == 3
            assert all(scene.case(number).rescheduled_to for number in numbers)
            id_ = batch.id
        with town.at_work() as scene:
            assert batches.undo(scene.s, id_, by=scene.actor("supervisor"), at=town.now).left == []
            assert not any(scene.case(number).rescheduled_to for number in numbers)
        town.is_right()


class TestASplit:
    def test_the_report_has_its_own_case_and_its_own_clock(self, town: Town) -> None:
        with town.at_work() as scene:
            case = joined(scene, danger=True)
            first, second = case.reports
            assert case.urgent
            own = split(scene, case, second.number, at=town.now + 2 * DAY)
            assert (own.opened_at, own.clock_from, own.state) == (town.now + DAY, town.now + DAY, "new")
            assert own.urgent
            assert not case.urgent
            assert [each.number for each in case.reports] == [first.number]
            assert [each.number for each in own.reports] == [second.number]
            assert second.number == f"{case.number}-B"
            assert duplicates.is_not_duplicate(scene.s, case) == {own.id}
        with town.looking() as scene:
            told, _ = queries.case_events(scene.s, scene.case(case.number))[-1]
            assert (told.kind, told.facts["case"], told.facts["report"]) == (
                "split",
                own.number,
                second.number,
            )
            opened, _ = queries.case_events(scene.s, scene.case(own.number))[0]
            assert opened.facts["split_from"] == case.number
        town.is_right()

    def test_the_next_report_takes_no_number_twice(self, town: Town) -> None:
        with town.at_work() as scene:
            case = joined(scene)
            split(scene, case, f"{case.number}-B")
            third = scene.report(join=case.number)
            assert third.number == f"{case.number}-C"

    def test_who_stays_learns_no_door_of_who_left(self, town: Town) -> None:
        with town.at_work() as scene:
            case = joined(scene)
            case.service.precision_m = 100
            first, second = case.reports
            own = split(scene, case, first.number)
            assert not queries.knows_place(case, second)
            assert queries.knows_place(own, first)

    def test_photos_and_wishes_go_along(self, town: Town) -> None:
        with town.at_work() as scene:
            case = scene.report().case
            told = scene.report(join=case.number, taken=[scene.photo()])
            scene.s.expire(case, ["reports"])
            intake.subscribe(scene.s, told, "rosa@town.test", lang="en", at=town.now)
            own = split(scene, case, told.number)
            scene.s.flush()
            scene.s.expire_all()
            assert [photo.case_id for photo in told.photos] == [own.id]
            assert [each.report.case_id for each in told.subscriptions if each.report] == [own.id]

    def test_the_only_report_stays_and_a_call_taker_may_not(self, town: Town) -> None:
        with town.at_work() as scene:
            case = scene.report().case
            with pytest.raises(Refused, match="only_report"):
                split(scene, case, f"{case.number}-A")
            both = joined(scene)
            with pytest.raises(Refused, match="not_allowed"):
                split(scene, both, f"{both.number}-B", "call-taker")
            with pytest.raises(Refused, match="unknown_report"):
                corrections.split(scene.s, both, case.reports[0], by=scene.actor("dispatcher"), at=town.now)

    def test_an_erasure_finds_its_words_in_the_first_story(self, town: Town, tmp_path: Path) -> None:
        with town.at_work() as scene:
            case = joined(scene)
            own = split(scene, case, f"{case.number}-B").number

        def told() -> bool:
            with town.looking() as scene:
                return any(
                    "bench" in str(words)
                    for _, words in queries.case_events(scene.s, scene.case(case.number))
                )

        assert told()
        with town.at_work() as scene:
            intake.erase(
                scene.s, scene.case(own).reports[0], FolderStore(tmp_path), town.settings.var,
                by=scene.actor("dispatcher"), at=town.now,
            )  # fmt: skip
        assert not told()

    def test_what_is_split_from_a_held_case_is_held(self, town: Town) -> None:
        with town.at_work() as scene:
            case = joined(scene)
            scene.hold(case)
            own = split(scene, case, f"{case.number}-B")
            assert legal_holds.held_case_ids(scene.s, [own.id]) == {own.id}


class TestUndo:
    def keep(
        self, scene: Scene, case: Case, name: str, verb: Any, into: Case | None = None, **what: Any
    ) -> Batch:
        by = scene.actor("dispatcher")
        other = batches.snapshot_with_root(scene.s, case, name, into) if into else None
        was = batches.snapshot(case, name)
        done = verb()
        if isinstance(done, Case):
            other = (done, {"own": True})
        return batches.keep_single(scene.s, case, name, what, was, by=by, at=scene.town.now, other=other)

    def undo(self, town: Town, id_: int) -> list[Any]:
        with town.at_work() as scene:
            left = batches.undo(scene.s, id_, by=scene.actor("dispatcher"), at=town.now).left
        town.is_right()
        return list(left)

    def test_a_split(self, town: Town) -> None:
        with town.at_work() as scene:
            case = joined(scene, danger=True)
            report = case.reports[1].number
            batch = self.keep(scene, case, "split", lambda: split(scene, case, report), report=report)
            id_, own = batch.id, batch.what["into"]
        assert self.undo(town, id_) == []
        with town.looking() as scene:
            case = scene.case(case.number)
            assert [each.number for each in case.reports] == [f"{case.number}-A", f"{case.number}-B"]
            assert case.urgent
            left = scene.case(own)
            assert (left.state, left.merged_into_id, left.reports) == (MERGED, case.id, [])

    def test_a_split_after_which_something_happened_stays(self, town: Town) -> None:
        with town.at_work() as scene:
            case = joined(scene)
            report = case.reports[1].number
            batch = self.keep(scene, case, "split", lambda: split(scene, case, report), report=report)
            id_, own = batch.id, batch.what["into"]
            transitions.accept(scene.s, scene.case(own), by=scene.actor("dispatcher"), at=town.now)
        assert self.undo(town, id_) == [case.number, own]
        with town.looking() as scene:
            assert len(scene.case(own).reports) == 1

    def test_a_reopening(self, town: Town) -> None:
        with town.at_work() as scene:
            case = scene.report().case
            reschedule(scene, case)
            by = scene.actor("dispatcher")
            transitions.close(scene.s, case, Closing("not found"), by=by, at=town.now)
            was = (case.state, case.cycle, case.closed_at, case.outcome, case.rescheduled_to, case.due_at)
            batch = self.keep(
                scene, case, "reopen", lambda: transitions.reopen(scene.s, case, by=by, at=town.now)
            )
            assert (case.cycle, case.rescheduled_to) == (2, None)
            id_ = batch.id
        assert self.undo(town, id_) == []
        with town.looking() as scene:
            case = scene.case(case.number)
            assert was == (
                case.state, case.cycle, case.closed_at, case.outcome, case.rescheduled_to, case.due_at
            )  # fmt: skip
            assert [pause.ended_at for pause in case.pauses] == [None]

    def test_a_merge_of_two_crews_and_its_separation(self, town: Town) -> None:
        with town.at_work() as scene:
            by = scene.actor("dispatcher")
            one, two = scene.report().case, scene.report().case
            transitions.assign(scene.s, one, scene.crew("lights"), by=by, at=town.now)
            transitions.assign(scene.s, two, scene.crew("trees"), by=by, at=town.now)
            lights = scene.crew("lights").id
            batch = self.keep(
                scene, one, "merge", lambda: transitions.merge(
                    scene.s, one, two, keep_crew=lights, by=by, at=town.now
                ), into=two,
            )  # fmt: skip
            assert transitions.live(two).crew_id == lights  # type: ignore[union-attr]
            id_ = batch.id
        assert self.undo(town, id_) == []
        with town.at_work() as scene:
            one, two = scene.case(one.number), scene.case(two.number)
            assert (one.state, transitions.live(one).crew_id) == ("assigned", lights)  # type: ignore[union-attr]
            assert transitions.live(two).crew_id == scene.crew("trees").id  # type: ignore[union-attr]
            assert duplicates.is_not_duplicate(scene.s, one) == set()
            by = scene.actor("dispatcher")
            transitions.merge(scene.s, one, two, keep_crew=lights, by=by, at=town.now)
            batch = self.keep(
                scene, one, "unmerge", lambda: transitions.unmerge(scene.s, one, by=by, at=town.now), into=one
            )
            id_ = batch.id
        assert self.undo(town, id_) == []
        with town.looking() as scene:
            one, two = scene.case(one.number), scene.case(two.number)
            assert (one.state, one.merged_into_id, one.merged_crew_id) == (MERGED, two.id, lights)
            assert transitions.live(two).crew_id == lights  # type: ignore[union-attr]
            assert duplicates.is_not_duplicate(scene.s, one) == set()

    def test_a_merged_case_that_went_elsewhere_is_merged_where_it_was(self, town: Town) -> None:
        with town.at_work() as scene:
            member, first, _second, id_ = self.gone_elsewhere(scene)
        assert self.undo(town, id_) == []
        with town.looking() as scene:
            member = scene.case(member.number)
            assert (member.state, member.merged_into_id) == (MERGED, first.id)
            assert duplicates.is_not_duplicate(scene.s, member) == set()

    def test_where_that_takes_no_more_it_stays(self, town: Town) -> None:
        with town.at_work() as scene:
            member, first, second, id_ = self.gone_elsewhere(scene)
            by = scene.actor("dispatcher")
            transitions.cancel(scene.s, scene.case(first.number), "test", by=by, at=town.now)
        assert self.undo(town, id_) == [member.number]
        with town.looking() as scene:
            assert scene.case(member.number).merged_into_id == second.id

    def gone_elsewhere(self, scene: Scene) -> tuple[Case, Case, Case, int]:
        """A case that was merged into the first of two others and then into the second; that act's batch."""
        by, at = scene.actor("dispatcher"), scene.town.now
        member, first, second = (scene.report().case for _ in range(3))
        transitions.merge(scene.s, member, first, by=by, at=at)
        away = partial(transitions.merge, scene.s, member, second, by=by, at=at)
        batch = self.keep(scene, member, "merge", away, into=second)
        return member, first, second, batch.id

    def test_a_case_whose_wait_is_over_is_marked_so_again(self, town: Town) -> None:
        with town.at_work() as scene:
            case, by = scene.report().case, scene.actor("dispatcher")
            case.review = WAIT_OVER
            batch = self.keep(
                scene, case, "assign",
                lambda: transitions.assign(scene.s, case, scene.crew("lights"), by=by, at=town.now),
            )  # fmt: skip
            assert case.review is None
            id_ = batch.id
        assert self.undo(town, id_) == []
        with town.looking() as scene:
            assert scene.case(case.number).review == WAIT_OVER
