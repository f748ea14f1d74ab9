"""The verbs: every one writes state and log together, twice is harmless, and the rules of merging hold."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from factories import LAMP, SECRET, Scene, Town
from sqlalchemy import func, select

from city.audit import events
from city.cases import queries, sla, transitions
from city.cases.transitions import Closing
from city.db.models import Assignment, Case, Event, Photo, Service, SyncFeedRow
from city.lifecycle import Refused
from city.people import accounts
from city.places.lookup import Place
from city.reports import closing_feedback, intake

AFAR = Place(39.61, -71.2, "pin", "1 Elsewhere Street", 5.0)


def test_a_case_walks_from_report_to_proof(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report(taken=[scene.photo()]).case
        number = case.number
        assert transitions.accept(scene.s, case, by=scene.actor("dispatcher"), at=town.now)
        assert transitions.assign(
            scene.s, case, scene.crew("lights"), by=scene.actor("dispatcher"), at=town.now
        )
        assert transitions.start(scene.s, case, by=scene.actor("rosa"), at=town.now)
        proof = scene.photo("gold", "device:1")
        assert transitions.close(
            scene.s, case, Closing("fixed", photos=[proof]), by=scene.actor("rosa"), at=town.now
        )
    with town.looking() as scene:
        case = scene.case(number)
        assert (case.state, case.outcome, case.closures[0].crew_id) == ("closed", "fixed", town.ids["lights"])
        assert [a.ended_why for a in case.assignments] == ["closed"]
        kinds = [e.kind for e, _ in events.of(scene.s, transitions.subject(case))]
        assert kinds == ["open", "report", "accept", "assign", "start", "close"]
        assert events.verify(scene.s) == []
        row = scene.s.get_one(SyncFeedRow, (f"crew:{town.ids['lights']}", "job", number))
        assert (row.present, row.why) == (True, "closed")


def test_closing_twice_records_one_event(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        for expected in (True, False):
            done = transitions.close(
                scene.s, case, Closing("fixed", no_photo="dark"), by=scene.actor("rosa"), at=town.now
            )
            assert done is expected
        number = case.number
    with town.looking() as scene:
        lines = scene.s.scalar(select(func.count()).select_from(Event).where(Event.kind == "close"))
        assert lines == 1
        assert scene.case(number).closures[0].no_photo == "dark"


@pytest.mark.parametrize("other", [{"words": "Mended, and painted."}, {"outcome": "no action"}])
def test_another_closing_is_never_taken_for_the_same(town: Town, other: dict[str, str]) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        closing = Closing("fixed", no_photo="dark", words="Mended.")
        transitions.close(scene.s, case, closing, by=scene.actor("rosa"), at=town.now)
        with pytest.raises(Refused, match="wrong_state"):
            transitions.close(scene.s, case, replace(closing, **other), by=scene.actor("rosa"), at=town.now)  # type: ignore[arg-type]
        assert [done.words for done in case.closures] == ["Mended."]


def test_fixed_needs_a_photo_or_a_reason(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        with pytest.raises(Refused, match="evidence_missing"):
            transitions.close(scene.s, case, Closing("fixed"), by=scene.actor("rosa"), at=town.now)
        assert transitions.close(scene.s, case, Closing("not found"), by=scene.actor("rosa"), at=town.now)


def test_a_crew_closes_only_its_own_job(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned("lights")
        with pytest.raises(Refused, match="not_your_job"):
            transitions.close(scene.s, case, Closing("not found"), by=scene.actor("tom"), at=town.now)


def test_reassigning_ends_the_first_assignment_and_tells_both_crews(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned("lights")
        transitions.assign(scene.s, case, scene.crew("trees"), by=scene.actor("supervisor"), at=town.now)
        number, case_id = case.number, case.id
    with town.looking() as scene:
        rows = scene.s.scalars(
            select(Assignment).where(Assignment.case_id == case_id).order_by(Assignment.id)
        )
        assert [(a.crew_id, a.ended_why) for a in rows] == [
            (town.ids["lights"], "reassigned"),
            (town.ids["trees"], None),
        ]
        feed = {row.scope: (row.present, row.why) for row in scene.s.scalars(select(SyncFeedRow))}
        assert feed == {
            f"crew:{town.ids['lights']}": (False, "reassigned"),
            f"crew:{town.ids['trees']}": (True, None),
        }
        assert scene.case(number).state == "assigned"


def test_made_safe_ends_the_job_but_not_the_case(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        due = case.due_at
        transitions.make_safe(scene.s, case, by=scene.actor("rosa"), at=town.now)
        assert (case.state, case.follow_on, case.due_at, transitions.live(case)) == (
            "accepted",
            True,
            due,
            None,
        )


def test_waiting_stops_the_clock_and_resuming_goes_back_to_the_crew(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        due = case.due_at
        transitions.wait(scene.s, case, "utility", by=scene.actor("dispatcher"), at=town.now)
        assert sla.sla_status(case, town.now + timedelta(days=30)) == "wait"
        later = town.now + timedelta(days=2)
        transitions.resume(scene.s, case, by=scene.actor("dispatcher"), at=later)
        assert (case.state, case.due_at) == ("assigned", due + timedelta(days=2))


def test_the_clock_stops_when_the_work_was_done_not_when_the_phone_had_signal(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        at, done = town.now + timedelta(days=9), town.now + timedelta(hours=3)
        transitions.close(
            scene.s, case, Closing("fixed", no_photo="dark"), by=scene.actor("rosa"), at=at, at_device=done
        )
        assert case.closures[0].done_at == done
        too_early = town.now - timedelta(days=400)
        transitions.reopen(scene.s, case, by=scene.actor("dispatcher"), at=at)
        transitions.assign(scene.s, case, scene.crew("lights"), by=scene.actor("dispatcher"), at=at)
        transitions.close(
            scene.s,
            case,
            Closing("fixed", no_photo="dark"),
            by=scene.actor("rosa"),
            at=at,
            at_device=too_early,
        )
        assert case.closures[1].done_at == at, "bounded by the assignment"
        transitions.reopen(scene.s, case, by=scene.actor("dispatcher"), at=at)
        transitions.assign(scene.s, case, scene.crew("lights"), by=scene.actor("dispatcher"), at=at)
        ahead, received = at + timedelta(days=3), at + timedelta(hours=2)
        by = scene.actor("rosa")
        transitions.close(scene.s, case, Closing("not found"), by=by, at=received, at_device=ahead)
        assert case.closures[2].done_at == received, "bounded by receipt"
        number = case.number
    with town.looking() as scene:
        lines = events.of(scene.s, transitions.subject(scene.case(number)))
        assert [e.facts["bounded"] for e, _w in lines if e.kind == "close"] == [False, True, True]


def test_merging_keeps_every_reporter_and_unmerging_gives_everything_back(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        first, second = scene.report().case, scene.assigned("trees")
        due = second.due_at
        transitions.merge(scene.s, second, first, by=by, at=town.now)
        assert (second.state, second.merged_into_id) == ("merged", first.id)
        assert (first.state, transitions.live(first).crew_id) == ("assigned", town.ids["trees"]), (
            "its crew goes on"
        )
        transitions.unmerge(scene.s, second, by=by, at=town.now + timedelta(days=1))
        assert (second.state, second.due_at) == ("assigned", due)
        assert transitions.live(second).crew_id == town.ids["trees"]


def test_the_crew_hears_when_an_earlier_case_leaves_its_own_for_another(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        early, other = scene.report().case, scene.report().case
        town.now += timedelta(days=1)
        ours = scene.assigned("lights")
        transitions.merge(scene.s, early, ours, by=by, at=town.now)
        number, due = ours.number, ours.due_at
    with town.at_work() as scene:
        feed = (f"crew:{town.ids['lights']}", "job", number)
        before = scene.s.get_one(SyncFeedRow, feed).seq
        by, names = scene.actor("dispatcher"), (early.number, other.number)
        transitions.merge(scene.s, *(scene.case(name) for name in names), by=by, at=town.now)
    with town.looking() as scene:
        assert scene.case(number).due_at > due
        assert scene.s.get_one(SyncFeedRow, feed).seq > before


def test_two_live_crews_make_the_dispatcher_choose(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        first, second = scene.assigned("lights"), scene.assigned("trees")
        with pytest.raises(Refused, match="choose_crew"):
            transitions.merge(scene.s, second, first, by=by, at=town.now)
        transitions.merge(scene.s, second, first, by=by, at=town.now, keep_crew=town.ids["trees"])
        assert transitions.live(first).crew_id == town.ids["trees"]
        assert [a.ended_why for a in first.assignments] == ["withdrawn", None]
        assert [a.ended_why for a in second.assignments] == ["merged"]


def test_a_circle_of_merges_is_refused(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        a, b, c = (scene.report().case for _ in range(3))
        transitions.merge(scene.s, a, b, by=by, at=town.now)
        transitions.merge(scene.s, b, c, by=by, at=town.now)
        with pytest.raises(Refused, match="merge_cycle"):
            transitions.merge(scene.s, c, a, by=by, at=town.now)
        assert transitions.root_of(scene.s, a) is c


def test_a_refused_verb_leaves_nothing_behind(town: Town) -> None:
    def report_and_accept() -> None:
        with town.at_work() as scene:
            transitions.accept(scene.s, scene.report().case, by=scene.actor("rosa"), at=town.now)

    with pytest.raises(Refused, match="not_allowed"):
        report_and_accept()
    with town.looking() as scene:
        assert scene.s.scalar(select(func.count()).select_from(Case)) == 0
        assert scene.s.scalar(select(func.count()).select_from(Event)) == 0


def test_a_resident_withdraws_while_nobody_acted_and_nobody_joined(town: Town) -> None:
    with town.at_work() as scene:
        lonely, joined, read = scene.report(), scene.report(), scene.report()
        scene.report(join=joined.case.number)
        transitions.accept(scene.s, read.case, by=scene.actor("dispatcher"), at=town.now)
        assert transitions.cancel(
            scene.s, lonely.case, "withdrawn", by=accounts.reporter(lonely.id), at=town.now
        )
        with pytest.raises(Refused, match="others_joined"):
            transitions.cancel(
                scene.s, joined.case, "withdrawn", by=accounts.reporter(joined.id), at=town.now
            )
        with pytest.raises(Refused, match="wrong_state"):
            transitions.cancel(scene.s, read.case, "withdrawn", by=accounts.reporter(read.id), at=town.now)


def not_fixed(scene: Scene, report, at, key: str) -> str:
    closing, token = (
        closing_feedback.closing_of(transitions.root_of(scene.s, report.case)),
        intake.token_for(SECRET, key),
    )
    by = accounts.reporter(report.id)
    return closing_feedback.not_fixed(scene.s, report, closing, by=by, at=at, key=key, token=token)


def test_not_fixed_reopens_once_then_joins_then_goes_to_a_supervisor(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        mine = scene.report()
        case, theirs = mine.case, scene.report(join=mine.case.number)
        for cycle in (1, 2, 3):
            transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=by, at=town.now)
            led_to = not_fixed(scene, mine, town.now, f"k{cycle}")
            assert led_to == ("review" if cycle == 3 else "reopened")
            assert not_fixed(scene, mine, town.now, f"again{cycle}") == led_to, "twice is harmless"
            if cycle < 3:
                assert not_fixed(scene, theirs, town.now, f"theirs{cycle}") == "joined"
        assert (case.state, case.cycle, case.review) == ("closed", 3, "sent back")
        assert transitions.reopen(scene.s, case, by=by, at=town.now)


def test_after_fourteen_days_not_fixed_opens_a_linked_case(town: Town) -> None:
    with town.at_work() as scene:
        report = scene.report()
        transitions.close(
            scene.s, report.case, Closing("fixed", no_photo="dark"), by=scene.actor("dispatcher"), at=town.now
        )
        old = report.case
        assert not_fixed(scene, report, town.now + timedelta(days=15), "late") == "new case"
        new = scene.s.scalars(select(Case).where(Case.linked_to_id == old.id)).one()
        assert (old.state, new.state, new.address) == ("closed", "new", old.address)
        assert intake.by_token(scene.s, intake.token_for(SECRET, "late")).case is new


def test_who_joined_a_case_with_a_coarse_place_does_not_read_its_door_in_the_linked_one(town: Town) -> None:
    with town.at_work() as scene:
        first = scene.report()
        first.case.service.precision_m = 100
        own = replace(LAMP, lat=LAMP.lat + 0.001, label="228 Tansy Street")
        mine = scene.report(join=first.case.number, place=own)
        closing, by = Closing("fixed", no_photo="dark"), scene.actor("dispatcher")
        transitions.close(scene.s, first.case, closing, by=by, at=town.now)
        assert not_fixed(scene, mine, town.now + timedelta(days=15), "late") == "new case"
        new = scene.s.scalars(select(Case).where(Case.linked_to_id == first.case.id)).one()
        assert (new.address, new.lat) == ("228 Tansy Street", own.lat)


def test_what_another_tab_says_of_the_same_closing_is_kept_too(town: Town) -> None:
    with town.at_work() as scene:
        mine, ended = scene.report(), Closing("fixed", no_photo="dark")
        transitions.close(scene.s, mine.case, ended, by=scene.actor("dispatcher"), at=town.now)
        number, closing = mine.case.number, closing_feedback.closing_of(mine.case)
    for words, shows in (("It is dark", False), ("It is dark", False), ("And it hums", True)):
        with town.at_work() as scene:
            report = scene.case(number).reports[0]
            taken = [scene.photo()] if shows else []
            more = {"key": "k", "token": "t", "by": accounts.A_RESIDENT, "at": town.now}
            led_to = closing_feedback.not_fixed(scene.s, report, closing, words=words, taken=taken, **more)
            assert led_to == "reopened"
    with town.looking() as scene:
        case = scene.case(number)
        story = events.of(scene.s, transitions.subject(case))
        said = [words for line, words in story if line.kind == "not fixed"]
        assert said == [{"words": "It is dark"}, {"words": "And it hums"}]
        assert len(case.reports[0].photos) == 1


def test_a_city_file_that_changes_later_moves_no_given_word(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        due = case.due_at
        case.service.promise_days = 30
        scene.s.flush()
        sla.refresh(case, town.now)
        assert case.due_at == due


def test_separating_a_closed_case_does_not_move_its_due_date(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        closed, root = scene.report().case, scene.report().case
        transitions.close(scene.s, closed, Closing("not found"), by=by, at=town.now)
        due = closed.due_at
        transitions.merge(scene.s, closed, root, by=by, at=town.now)
        transitions.unmerge(scene.s, closed, by=by, at=town.now + timedelta(days=40))
        assert (closed.state, closed.due_at) == ("closed", due)


def test_the_clock_of_a_root_starts_at_the_first_report_of_all(town: Town) -> None:
    with town.at_work() as scene:
        by, later = scene.actor("dispatcher"), town.now + timedelta(days=2)
        old, young = scene.report().case, scene.report(at=later).case
        promised = young.due_at
        transitions.merge(scene.s, old, young, by=by, at=later)
        assert young.due_at == old.due_at == promised - timedelta(days=2)
        transitions.unmerge(scene.s, old, by=by, at=later)
        assert young.due_at == promised


def test_danger_hurries_the_case_it_joins_or_is_merged_into(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        calm, other = scene.report().case, scene.report().case
        promised = calm.due_at
        scene.report(join=calm.number, danger=True)
        assert calm.urgent
        assert calm.due_at == promised - timedelta(days=2)
        transitions.merge(scene.s, calm, other, by=by, at=town.now)
        assert other.urgent
        assert other.due_at == calm.due_at


def test_a_crew_at_work_is_at_work_again_after_separating(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        case, root = scene.assigned(), scene.report().case
        transitions.start(scene.s, case, by=scene.actor("rosa"), at=town.now)
        transitions.merge(scene.s, case, root, by=by, at=town.now)
        transitions.unmerge(scene.s, case, by=by, at=town.now)
        assert (case.state, transitions.live(case).started_at) == ("underway", town.now)


def test_another_reason_to_wait_is_not_swallowed(town: Town) -> None:
    with town.at_work() as scene:
        by, case = scene.actor("dispatcher"), scene.report().case
        assert transitions.wait(scene.s, case, "weather", by=by, at=town.now)
        assert not transitions.wait(scene.s, case, "weather", by=by, at=town.now)
        assert transitions.wait(scene.s, case, "utility", by=by, at=town.now)
        assert [(pause.why, pause.ended_at is None) for pause in case.pauses] == [
            ("weather", False), ("utility", True),
        ]  # fmt: skip


def test_a_photo_of_made_safe_proves_no_later_closing(town: Town) -> None:
    with town.at_work() as scene:
        by, case = scene.actor("dispatcher"), scene.assigned()
        photo = scene.photo("gold", "device:1")
        transitions.make_safe(scene.s, case, by=scene.actor("rosa"), at=town.now, photos_taken=[photo])
        photo.stored_at = town.now
        transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=by, at=town.now)
        assert queries.evidence(scene.s, case, 1) == []


def test_evidence_counts_when_it_is_stored(town: Town) -> None:
    with town.at_work() as scene:
        case, photo = scene.assigned(), scene.photo("gold", "device:1")
        transitions.close(
            scene.s, case, Closing("fixed", photos=[photo]), by=scene.actor("rosa"), at=town.now
        )
        assert queries.evidence(scene.s, case, 1) == []
        photo.stored_at = town.now
        assert queries.evidence(scene.s, case, 1) == [photo.id]


def test_not_fixed_is_heard_again_at_the_case_that_carries_on(town: Town) -> None:
    with town.at_work() as scene:
        by, report, other = scene.actor("dispatcher"), scene.report(), scene.report()
        for case in (report.case, other.case):
            transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=by, at=town.now)
        assert not_fixed(scene, report, town.now, "first") == "reopened"
        transitions.merge(scene.s, report.case, other.case, by=by, at=town.now)
        assert not_fixed(scene, report, town.now, "second") == "reopened"
        assert other.case.state == "accepted"


def test_words_without_end_are_refused_not_cut(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        with pytest.raises(Refused, match="words_too_long"):
            transitions.note(scene.s, case, "w" * 4001, by=scene.actor("rosa"), at=town.now)


def test_a_mark_to_look_at_goes_when_somebody_looked(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        transitions.record_fact(scene.s, case, "close", by=scene.actor("rosa"), at=town.now, why="reassigned")
        assert case.review == "reassigned"
        assert transitions.reviewed(scene.s, case, by=scene.actor("supervisor"), at=town.now)
        assert not transitions.reviewed(scene.s, case, by=scene.actor("supervisor"), at=town.now)
        assert case.review is None


@pytest.mark.parametrize("told", [{"place": None}, {"place": AFAR}, {"service_code": "limb-down"}])
def test_nobody_joins_from_afar_or_with_another_kind_of_thing(town: Town, told: dict[str, Any]) -> None:
    """Whoever joins hears what the first reporter hears, so a number alone opens nothing."""
    with town.at_work() as scene:
        number = scene.report().case.number
        with pytest.raises(Refused, match="unknown_case"):
            scene.report(join=number, **told)


def test_who_calls_the_same_thing_by_another_name_joins_all_the_same(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        scene.s.get_one(Service, "limb-down").group = case.service.group
        joined = scene.report(join=case.number, service_code="limb-down")
        assert (joined.case_id, joined.service_code) == (case.id, "limb-down")


def test_what_is_told_of_a_private_thing_joins_no_case_that_strangers_see(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        scene.s.get_one(Service, "nuisance").group = case.service.group
        with pytest.raises(Refused, match="unknown_case"):
            scene.report(join=case.number, service_code="nuisance")


def test_nobody_joins_a_private_case_through_one_that_was_merged_into_it(town: Town) -> None:
    with town.at_work() as scene:
        public, private = scene.report().case, scene.report().case
        transitions.merge(scene.s, public, private, by=scene.actor("dispatcher"), at=town.now)
        private.service = scene.s.get_one(Service, "nuisance")
        with pytest.raises(Refused, match="unknown_case"):
            scene.report(join=public.number)


def test_danger_is_not_merged_into_what_is_closed(town: Town) -> None:
    with town.at_work() as scene:
        by, closed, told = scene.actor("dispatcher"), scene.report().case, scene.report(danger=True).case
        transitions.close(
            scene.s, closed, Closing("not found", no_photo="nothing to see"), by=by, at=town.now
        )
        with pytest.raises(Refused, match="merge_danger"):
            transitions.merge(scene.s, told, closed, by=by, at=town.now)
        transitions.reopen(scene.s, closed, by=by, at=town.now)
        assert transitions.merge(scene.s, told, closed, by=by, at=town.now)
        assert closed.urgent


def test_who_told_of_something_public_never_comes_to_read_a_private_case(town: Town) -> None:
    with town.at_work() as scene:
        public, private = scene.report().case, scene.report(service_code="nuisance").case
        with pytest.raises(Refused, match="merge_private"):
            transitions.merge(scene.s, public, private, by=scene.actor("dispatcher"), at=town.now)
        assert transitions.merge(scene.s, private, public, by=scene.actor("dispatcher"), at=town.now)


def test_who_joins_does_not_learn_the_door_that_the_first_reporter_stood_at(town: Town) -> None:
    with town.at_work() as scene:
        first = scene.report()
        first.service.precision_m = 100
        joined = scene.report(join=first.case.number)
        assert queries.reporter_view(scene.s, joined, now=town.now).address == "Tansy Street"
        assert queries.reporter_view(scene.s, first, now=town.now).address == "214 Tansy Street"


def test_news_about_one_report_go_to_three_addresses_at_most(town: Town) -> None:
    with town.at_work() as scene:
        report = scene.report()
        for name in "abc":
            intake.subscribe(scene.s, report, f"{name}@town.test", lang="en", at=town.now)
            scene.s.expire(report, ["subscriptions"])
        with pytest.raises(Refused, match="too_many_addresses"):
            intake.subscribe(scene.s, report, "d@town.test", lang="en", at=town.now)


def test_a_role_that_may_not_is_refused_also_where_nothing_would_change(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        transitions.accept(scene.s, case, by=scene.actor("dispatcher"), at=town.now)
        for verb in (transitions.accept, transitions.unassign, transitions.reopen, transitions.unmerge):
            with pytest.raises(Refused, match="not_allowed"):
                verb(scene.s, case, by=scene.actor("manager"), at=town.now)


def test_a_reopened_case_leaves_the_phone_of_the_crew_that_closed_it(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        transitions.close(scene.s, case, Closing("not found"), by=scene.actor("rosa"), at=town.now)
        number = case.number
    with town.at_work() as scene:
        transitions.reopen(scene.s, scene.case(number), by=scene.actor("dispatcher"), at=town.now)
    with town.looking() as scene:
        row = scene.s.get_one(SyncFeedRow, (f"crew:{town.ids['lights']}", "job", number))
        assert (row.present, row.why) == (False, "reopened")


def test_a_photo_that_never_reaches_the_store_proves_nothing_after_three_days(town: Town) -> None:
    with town.at_work() as scene:
        numbers = []
        for colour in ("gold", "red"):
            case = scene.assigned()
            proof = scene.photo(colour, f"device:{colour}")
            closing = Closing("fixed", photos=[proof])
            transitions.close(scene.s, case, closing, by=scene.actor("rosa"), at=town.now)
            numbers.append(case.number)
        kept = scene.case(numbers[1])
        photo = scene.s.scalars(select(Photo).where(Photo.case_id == kept.id)).one()
        photo.stored_at = town.now

    def doubted(hours: float) -> int:
        with town.at_work() as scene:
            return transitions.flag_missing_evidence(
                scene.s, at=town.now + timedelta(hours=hours), by=accounts.THE_SYSTEM
            )

    assert [doubted(hours) for hours in (71.9, 72, 73)] == [0, 1, 0]
    with town.looking() as scene:
        assert [scene.case(number).review for number in numbers] == ["no evidence", None]
        assert scene.case(numbers[0]).closures[0].unproven_at == town.now + timedelta(hours=72)
        assert [e.kind for e, _ in events.of(scene.s, transitions.subject(scene.case(numbers[0])))][
            -1
        ] == "no evidence"
        assert events.verify(scene.s) == []


def test_a_closing_that_was_reopened_is_marked_in_its_history_only(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        proof = scene.photo("gold", "device:1")
        transitions.close(
            scene.s, case, Closing("fixed", photos=[proof]), by=scene.actor("rosa"), at=town.now
        )
        transitions.reopen(scene.s, case, by=scene.actor("dispatcher"), at=town.now)
        number = case.number
    with town.at_work() as scene:
        assert (
            transitions.flag_missing_evidence(
                scene.s, at=town.now + timedelta(days=4), by=accounts.THE_SYSTEM
            )
            == 1
        )
        assert (scene.case(number).review, scene.case(number).state) == (None, "accepted")
